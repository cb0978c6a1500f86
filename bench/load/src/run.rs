//! One run: clients connect, messages flow, a part of that is measured, and everything that is under way is awaited.

use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::{Args, Mode};
use crate::control::{Control, Phase};
use crate::histogram::Histogram;
use crate::modes::{Connect, Echo, Exchange, Fan, Latency, Layout, Polling, Soak, Soaked, Streams};
use crate::net::{Driver, Net};
use crate::process::Processes;
use crate::report::{Window, add_latencies, add_soaked, round};
use crate::websocket::Clients;

/// Clients that are connected before the memory of idle ones is measured: what a server sets up once is not counted.
const FIRST_CLIENTS: usize = 64;
/// Samples of the memory in a soak, beside the first.
const SAMPLES: u32 = 10;

pub(crate) fn run(args: &Args) -> Result<Value, String> {
    if args.clients < args.in_flight.max(args.threads) || args.in_flight == 0 || args.threads == 0 {
        return Err("too few clients for what they are to do".to_owned());
    }
    if args.mode == Mode::Room && !args.clients.is_multiple_of(args.room_size) {
        return Err("the clients do not fill the rooms".to_owned());
    }
    raise_file_limit(args)?;
    let nets: Vec<Net> = (0..args.threads)
        .map(|thread| Net::new(args.server, thread, args.mode.is_measured_by_time()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let wakers = nets.iter().map(Net::waker).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let control = Arc::new(Control::new(wakers, args.clients));
    let run = Run {
        args,
        control: control.clone(),
        server: Processes::of(args.pid),
        deadline: Instant::now() + Duration::from_secs_f64(args.deadline),
    };
    let mut report = run.run(nets)?;
    report["mode"] = json!(format!("{:?}", args.mode).to_lowercase());
    Ok(report)
}

fn raise_file_limit(args: &Args) -> Result<(), String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| error.to_string())?;
    let connections = if args.mode == Mode::Polling { 2 * args.clients } else { args.clients };
    match limit.maximum {
        Some(files) if files < connections as u64 + 64 => Err(format!("only {files} files can be open")),
        _ => Ok(()),
    }
}

struct Run<'a> {
    args: &'a Args,
    control: Arc<Control>,
    server: Processes,
    deadline: Instant,
}

impl Run<'_> {
    fn run(&self, nets: Vec<Net>) -> Result<Value, String> {
        let args = self.args;
        let control = || self.control.clone();
        // The first threads take the clients that cannot be divided.
        let share = |thread| (args.clients + args.threads - 1 - thread) / args.threads;
        match args.mode {
            Mode::Echo | Mode::Bin => {
                let exchange = match args.mode {
                    Mode::Echo => Exchange::text(args.size, args.dialect),
                    _ => Exchange::binary(args.size, args.dialect),
                };
                let drivers = (0..args.threads).map(|thread| {
                    let echo = Echo::new(control(), thread, share(thread), args.in_flight, exchange.clone());
                    Clients::new(echo, control(), args.dialect, thread, share(thread))
                });
                let (window, clients) = self.with(nets, drivers, || self.measure())?;
                let mut report = window.report(args)?;
                let reordered: u64 = clients.iter().map(|clients| clients.scenario.reordered).sum();
                report["reordered"] = json!(round(reordered as f64 / self.control.operations() as f64, 4));
                Ok(report)
            }
            Mode::Latency => {
                let exchange = Exchange::text(args.size, args.dialect);
                let drivers = (0..args.threads).map(|thread| {
                    let latency = Latency::new(control(), thread, share(thread), args.rate, exchange.clone());
                    Clients::new(latency, control(), args.dialect, thread, share(thread))
                });
                let (window, clients) = self.with(nets, drivers, || self.measure())?;
                let (mut times, mut delays) = (Histogram::new(), Histogram::new());
                for Clients { scenario, .. } in &clients {
                    times.add(&scenario.times);
                    delays.add(&scenario.delays);
                }
                let mut report = window.report(args)?;
                add_latencies(&mut report, &times, &delays);
                Ok(report)
            }
            Mode::Cast | Mode::Room => {
                let layout = match args.mode {
                    Mode::Cast => Layout::Everybody { senders: args.in_flight },
                    _ => Layout::Rooms { size: args.room_size },
                };
                let (window, _) = self.with(nets, self.fans(layout, args.size, None), || self.measure())?;
                window.report(args)
            }
            Mode::Polling => {
                let drivers = (0..args.threads)
                    .map(|thread| Polling::new(control(), thread, share(thread), args.size, args.dialect));
                let (window, _) = self.with(nets, drivers, || self.measure())?;
                window.report(args)
            }
            Mode::Connect => {
                let drivers = (0..args.threads).map(|thread| {
                    let connect = Connect::new(control(), thread, share(thread));
                    Clients::new(connect, control(), args.dialect, thread, share(thread))
                });
                let (window, _) = self.with(nets, drivers, || self.measure())?;
                window.report(args)
            }
            Mode::Memory => {
                self.control.set_target(FIRST_CLIENTS.min(args.clients / 2));
                let drivers = self.fans(Layout::Everybody { senders: 1 }, 16 << 10, Some(1));
                self.with(nets, drivers, || self.memory()).map(|(report, _)| report)
            }
            Mode::Soak | Mode::SoakBurst => {
                self.control.set_target(FIRST_CLIENTS.min(args.clients / 2));
                let drivers = (0..args.threads).map(|thread| {
                    let soak = Soak::new(share(thread), args.mode == Mode::SoakBurst);
                    Clients::new(soak, control(), args.dialect, thread, share(thread))
                });
                let (mut report, clients) = self.with(nets, drivers, || self.soak())?;
                let mut found = Soaked::new();
                clients.iter().for_each(|clients| found.add(&clients.scenario.found));
                add_soaked(&mut report, args, &found);
                Ok(report)
            }
        }
    }

    fn fans(&self, layout: Layout, size: usize, rounds: Option<u64>) -> impl Iterator<Item = Clients<Fan>> {
        let Args { clients, dialect, threads, .. } = *self.args;
        let shared = Streams::new(layout, clients);
        (0..threads).map(move |thread| {
            let control = self.control.clone();
            let fan = Fan::new(control.clone(), thread, clients, layout, size, dialect, shared.clone());
            let fan = match rounds {
                Some(rounds) => fan.rounds(rounds),
                None => fan,
            };
            Clients::new(fan, control, dialect, thread, layout.clients_of(threads, thread, clients))
        })
    }

    /// Runs the drivers in threads of their own while `body` watches them.
    fn with<D: Driver, R>(
        &self,
        nets: Vec<Net>,
        drivers: impl Iterator<Item = D>,
        body: impl FnOnce() -> Result<R, String>,
    ) -> Result<(R, Vec<D>), String> {
        thread::scope(|scope| {
            let threads = self.spawn(scope, nets, drivers);
            let result = body();
            self.control.enter(Phase::Stop);
            let drivers = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked"));
            let drivers = drivers.collect::<Result<_, _>>()?;
            self.control.check()?;
            Ok((result?, drivers))
        })
    }

    fn spawn<'scope, D: Driver + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        nets: Vec<Net>,
        drivers: impl Iterator<Item = D>,
    ) -> Vec<ScopedJoinHandle<'scope, D>> {
        nets.into_iter()
            .zip(drivers)
            .map(|(net, driver)| scope.spawn(move || net.run(driver, &self.control)))
            .collect()
    }

    fn measure(&self) -> Result<Window, String> {
        self.control.wait_ready(self.deadline)?;
        self.control.enter(Phase::Run);
        self.control.sleep(self.args.warmup)?;
        let read = || (Instant::now(), self.control.operations(), self.server.cpu(), self.control.busy());
        self.control.begin_window();
        let before = read();
        self.control.sleep(self.args.seconds)?;
        let after = read();
        self.control.end_window();
        self.drain()?;
        let cores = thread::available_parallelism().map_or(1, Into::into);
        Ok(Window {
            seconds: (after.0 - before.0).as_secs_f64(),
            operations: after.1 - before.1,
            server: after.2 - before.2,
            load: after.3 - before.3,
            load_cores: cores.min(self.args.threads),
        })
    }

    fn drain(&self) -> Result<(), String> {
        self.control.enter(Phase::Drain);
        self.control.wait_drained(self.deadline)
    }

    /// Memory of a client: idle, and after everybody has been sent 16 KiB and is idle again.
    fn memory(&self) -> Result<Value, String> {
        let settled = || {
            self.control.sleep(self.args.seconds)?;
            self.server.pss()
        };
        self.control.wait_ready(self.deadline)?;
        let first = self.control.target();
        let before = settled()?;
        self.control.set_target(self.args.clients);
        self.control.wait_ready(self.deadline)?;
        let idle = settled()?;
        self.control.enter(Phase::Run);
        self.control.wait(self.deadline, || self.control.operations() == self.args.clients as u64)?;
        let burst = settled()?;
        self.drain()?;
        let per_client = |pss: f64| round((pss - before) / (self.args.clients - first) as f64, 2);
        Ok(json!({
            "clients": self.args.clients,
            "empty_kib": before,
            "idle_kib": per_client(idle),
            "burst_kib": per_client(burst),
            "load_bound": false,
        }))
    }

    /// Idle clients, opened at a steady rate and held for the time given.
    fn soak(&self) -> Result<Value, String> {
        let (control, args) = (&self.control, self.args);
        control.wait_ready(self.deadline)?;
        let first = control.target();
        control.sleep(1.0)?;
        let empty = self.server.pss()?;
        let opening = Instant::now();
        while args.rate > 0.0 && control.target() < args.clients {
            let due = first + (opening.elapsed().as_secs_f64() * args.rate) as usize;
            control.set_target(due.min(args.clients));
            control.sleep(0.005)?;
        }
        control.set_target(args.clients);
        control.wait_ready(self.deadline)?;
        let opening = opening.elapsed().as_secs_f64();
        control.enter(Phase::Run);
        let own = Processes::own();
        let read = || (Instant::now(), self.server.cpu(), own.cpu());
        let before = read();
        let mut memory = Vec::new();
        for sample in 0..=SAMPLES {
            let due = args.seconds * f64::from(sample) / f64::from(SAMPLES);
            control.sleep((due - before.0.elapsed().as_secs_f64()).max(0.0))?;
            let kib = (self.server.pss()? - empty) / (args.clients - first) as f64;
            memory.push(json!([round(due, 1), round(kib, 3)]));
        }
        let after = read();
        self.drain()?;
        let seconds = (after.0 - before.0).as_secs_f64();
        Ok(json!({
            "clients": args.clients,
            "opening_seconds": round(opening, 1),
            "seconds": round(seconds, 1),
            "empty_kib": empty,
            "kib": memory,
            "server_percent": round(100.0 * (after.1 - before.1) / seconds, 2),
            "load_percent": round(100.0 * (after.2 - before.2) / seconds, 2),
        }))
    }
}
