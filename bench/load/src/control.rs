//! What the threads share: the phase of the run, counters, and the first thing that went wrong.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;

/// When no client has become ready for so long, none will.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Clients connect.
    Connect,
    /// Messages flow.
    Run,
    /// Nothing new is sent; what is under way is awaited.
    Drain,
    /// The end.
    Stop,
}

/// A counter that shares its cache line with no other thread's.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    /// Only one thread calls it.
    fn add(&self, number: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + number, Ordering::Relaxed);
    }
}

pub(crate) struct Control {
    phase: AtomicU8,
    clients: usize,
    /// How many of them are to be connected by now.
    target: AtomicUsize,
    ready: AtomicUsize,
    drained: AtomicUsize,
    operations: Vec<Counter>,
    /// Nanoseconds that the threads have worked.
    busy: Vec<Counter>,
    /// The measured time, in nanoseconds since `epoch`.
    epoch: Instant,
    window: [AtomicU64; 2],
    error: Mutex<Option<String>>,
    wakers: Vec<Waker>,
}

impl Control {
    pub(crate) fn new(wakers: Vec<Waker>, clients: usize) -> Self {
        Self {
            phase: AtomicU8::new(0),
            clients,
            target: AtomicUsize::new(clients),
            ready: AtomicUsize::new(0),
            drained: AtomicUsize::new(0),
            operations: wakers.iter().map(|_| Counter::default()).collect(),
            busy: wakers.iter().map(|_| Counter::default()).collect(),
            epoch: Instant::now(),
            window: [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)],
            error: Mutex::new(None),
            wakers,
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.wakers.len()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Connect,
            1 => Phase::Run,
            2 => Phase::Drain,
            _ => Phase::Stop,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.wake_all();
    }

    pub(crate) fn wake(&self, thread: usize) {
        let _ = self.wakers[thread].wake();
    }

    fn wake_all(&self) {
        (0..self.threads()).for_each(|thread| self.wake(thread));
    }

    pub(crate) fn target(&self) -> usize {
        self.target.load(Ordering::Acquire)
    }

    /// How many of a thread's clients are to be connected by now.
    pub(crate) fn share(&self, thread: usize, total: usize) -> usize {
        let (target, threads) = (self.target(), self.threads());
        // The first threads take what cannot be divided.
        let share = (target + threads - 1 - thread) / threads;
        if target >= self.clients { total } else { share.min(total) }
    }

    pub(crate) fn set_target(&self, clients: usize) {
        self.target.store(clients, Ordering::Release);
        self.wake_all();
    }

    pub(crate) fn count_ready(&self, clients: usize) {
        self.ready.fetch_add(clients, Ordering::AcqRel);
    }

    pub(crate) fn count_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn count(&self, thread: usize, operations: u64) {
        self.operations[thread].add(operations);
    }

    pub(crate) fn count_busy(&self, thread: usize, time: Duration) {
        self.busy[thread].add(time.as_nanos() as u64);
    }

    /// How long the threads have worked, in seconds, all together.
    pub(crate) fn busy(&self) -> f64 {
        self.busy.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum::<u64>() as f64 / 1e9
    }

    pub(crate) fn operations(&self) -> u64 {
        self.operations.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn begin_window(&self) {
        self.window[0].store(self.since_epoch(Instant::now()), Ordering::Release);
    }

    pub(crate) fn end_window(&self) {
        self.window[1].store(self.since_epoch(Instant::now()), Ordering::Release);
    }

    /// Whether what began at `time` is to be measured.
    pub(crate) fn is_in_window(&self, time: Instant) -> bool {
        let time = self.since_epoch(time);
        time >= self.window[0].load(Ordering::Acquire) && time < self.window[1].load(Ordering::Acquire)
    }

    fn since_epoch(&self, time: Instant) -> u64 {
        time.duration_since(self.epoch).as_nanos() as u64
    }

    pub(crate) fn fail(&self, error: String) {
        self.error.lock().expect("no panic while it is held").get_or_insert(error);
        self.enter(Phase::Stop);
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        match &*self.error.lock().expect("no panic while it is held") {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    pub(crate) fn wait_ready(&self, deadline: Instant) -> Result<(), String> {
        let ready = || self.ready.load(Ordering::Acquire);
        let mut seen = ready();
        while seen < self.target() {
            let patience = deadline.min(Instant::now() + PATIENCE);
            self.wait(patience, || ready() != seen).map_err(|error| {
                format!("{error}: {} of {} clients are connected", ready(), self.target())
            })?;
            seen = ready();
        }
        self.check()
    }

    pub(crate) fn wait_drained(&self, deadline: Instant) -> Result<(), String> {
        self.wait(deadline, || self.drained.load(Ordering::Acquire) == self.threads())
            .map_err(|error| format!("{error}: answers are missing at the end"))
    }

    pub(crate) fn wait(&self, deadline: Instant, done: impl Fn() -> bool) -> Result<(), String> {
        while !done() {
            self.check()?;
            if Instant::now() >= deadline {
                return Err("out of time".to_owned());
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.check()
    }

    /// Sleeps, unless something goes wrong.
    pub(crate) fn sleep(&self, seconds: f64) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.check()?;
            thread::sleep(left.min(Duration::from_millis(100)));
        }
        self.check()
    }
}
