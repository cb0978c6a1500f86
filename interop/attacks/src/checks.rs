//! What has to hold after every case: others are served, and nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::target::{State, Target};
use crate::wire::session::Polling;
use crate::wire::ws::Ws;
use crate::wire::{Fail, Outcome, ensure};

/// How long an echo may take for a client that has done nothing wrong.
const ECHO: Duration = Duration::from_secs(1);
/// How long the server may take to be rid of a case: its own times, one after another, and some.
const SETTLE: Duration = Duration::from_secs(6);
/// Bytes of heap that may be left after a case, in tables that do not shrink and in threads' buffers.
const HEAP: u64 = 1 << 20;
/// Bytes of resident memory that may be left: the allocator gives back late what it has.
const RESIDENT: u64 = 128 << 20;
/// For so long the processor is watched, and this part of it may be used while nobody asks for anything.
const WINDOW: Duration = Duration::from_millis(40);
const IDLE: f64 = 0.5;

/// What the server uses when it has nothing to do but the healthy client.
#[derive(Debug)]
pub(crate) struct Baseline {
    descriptors: usize,
    state: State,
    resident: u64,
}

/// What a case has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// The longest echo of the healthy client meanwhile.
    pub(crate) echo: Duration,
    /// Bytes of heap: at most, and left.
    pub(crate) peak: u64,
    pub(crate) left: u64,
    /// Resident bytes more than at first.
    pub(crate) resident: u64,
}

impl Baseline {
    /// After everything has been used once.
    pub(crate) fn take(target: &Target) -> Outcome<Self> {
        for _ in 0..20 {
            newcomers(target)?;
        }
        thread::sleep(Duration::from_millis(200));
        Ok(Self { descriptors: target.descriptors()?, state: target.reset()?, resident: target.resident()? })
    }

    /// Checks that the server has come to rest as it was before.
    pub(crate) fn check(&self, target: &Target, room: usize) -> Outcome<Cost> {
        newcomers(target)?;
        let until = Instant::now() + SETTLE;
        let state = loop {
            match self.is_restored(target) {
                Ok(state) => break state,
                Err(fail) if Instant::now() >= until => return Err(fail),
                Err(_) => {}
            }
        };
        let peak = state.peak.saturating_sub(self.state.heap);
        ensure!(peak <= room as u64, "it needed {} KiB of heap, more than {} KiB", peak >> 10, room >> 10);
        ensure!(state.panics == self.state.panics, "a thread panicked");
        Ok(Cost {
            peak,
            left: state.heap.saturating_sub(self.state.heap),
            resident: target.resident()?.saturating_sub(self.resident),
            ..Cost::default()
        })
    }

    fn is_restored(&self, target: &Target) -> Outcome<State> {
        let busy = target.busy()?;
        let since = Instant::now();
        thread::sleep(WINDOW);
        let busy = target.busy()?.saturating_sub(busy).as_secs_f64() / since.elapsed().as_secs_f64();
        ensure!(busy < IDLE, "{:.0} % of a processor are used, and nobody asks for anything", busy * 100.0);
        let state = target.state()?;
        let descriptors = target.descriptors()?;
        ensure!(descriptors <= self.descriptors, "{} descriptors are left", descriptors - self.descriptors);
        for (what, now, before) in [
            ("sessions", state.sessions, self.state.sessions),
            ("sockets", state.sockets, self.state.sockets),
            ("rooms", state.rooms, self.state.rooms),
            ("namespaces", state.namespaces, self.state.namespaces),
        ] {
            ensure!(now <= before, "{} {what} are left", now - before);
        }
        let open = |state: &State| state.connects.saturating_sub(state.disconnects);
        ensure!(
            open(&state) == open(&self.state),
            "{} connect and {} disconnect handlers have run",
            state.connects,
            state.disconnects
        );
        let left = state.heap.saturating_sub(self.state.heap);
        ensure!(left <= HEAP, "{} KiB of heap are left", left >> 10);
        let resident = target.resident()?.saturating_sub(self.resident);
        ensure!(resident <= RESIDENT, "{} MiB more are resident", resident >> 20);
        Ok(state)
    }
}

/// New clients are served at once, over both transports.
fn newcomers(target: &Target) -> Outcome {
    let since = Instant::now();
    let mut ws = Ws::joined(target.addr)?;
    ws.echoes()?;
    ws.leave();
    let polling = Polling::joined(target.addr)?;
    polling.echoes()?;
    polling.leave();
    let took = since.elapsed();
    ensure!(took < ECHO * 2, "a new client had to wait {} ms", took.as_millis());
    Ok(())
}

/// A client that has an echo all the time, on a thread of its own.
pub(crate) struct Bystander {
    slowest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome>>,
}

impl Bystander {
    pub(crate) fn join(target: &Target) -> Outcome<Self> {
        let mut ws = Ws::joined(target.addr)?;
        let (slowest, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (slowest.clone(), stop.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let since = Instant::now();
                ws.echoes()?;
                seen.fetch_max(since.elapsed().as_micros() as u64, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
            ws.leave();
            Ok(())
        });
        Ok(Self { slowest, stop, thread: Some(thread) })
    }

    /// The longest echo since this was asked last.
    pub(crate) fn check(&mut self) -> Outcome<Duration> {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            let why = thread.join().map_err(|_| Fail("a panic".into()))?;
            return Err(Fail(format!("the healthy client has lost its connection: {why:?}")));
        }
        ensure!(self.thread.is_some(), "the healthy client had lost its connection before");
        let echo = Duration::from_micros(self.slowest.swap(0, Ordering::Relaxed));
        ensure!(echo <= ECHO, "the healthy client waited {} ms for its echo", echo.as_millis());
        Ok(echo)
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
