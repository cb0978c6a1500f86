//! The process that is attacked, and what it uses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use wirebird::Limit;

use crate::case::{Setup, Way};
use crate::wire::{Outcome, ensure, fail};

/// A server in a process of its own. It ends with this.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    /// Where it listens beside that, if it does.
    other: Option<SocketAddr>,
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// What the server says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    pub(crate) sessions: u64,
    pub(crate) sockets: u64,
    pub(crate) rooms: u64,
    pub(crate) namespaces: u64,
    pub(crate) connects: u64,
    pub(crate) disconnects: u64,
    /// Bytes of its heap, now and at most.
    pub(crate) heap: u64,
    pub(crate) peak: u64,
    pub(crate) panics: u64,
    /// How often the limit that was asked for has been reached.
    pub(crate) reached: u64,
}

impl Target {
    /// Starts this program as a server.
    pub(crate) fn start(way: Way, setup: Setup) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", way.name(), setup.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("no pipes").into());
        };
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let mut addrs = line.split_whitespace().map(str::parse);
        let no_address = || std::io::Error::other(format!("no address: {line:?}"));
        let addr = addrs.next().and_then(Result::ok).ok_or_else(no_address)?;
        let other = addrs.next().and_then(Result::ok);
        Ok(Self { addr, other, child, pipes: Mutex::new((input, output)) })
    }

    /// Where it listens beside its address, in setups that have such a listener.
    pub(crate) fn other(&self) -> Outcome<SocketAddr> {
        let Some(addr) = self.other else { fail!("there is no other listener") };
        Ok(addr)
    }

    /// What the server says of itself.
    pub(crate) fn state(&self) -> Outcome<State> {
        self.ask("state")
    }

    /// How often a limit has been reached.
    pub(crate) fn reached(&self, limit: Limit) -> Outcome<u64> {
        self.ask(limit.name()).map(|state| state.reached)
    }

    /// The same, and the most that it needed is counted anew.
    pub(crate) fn reset(&self) -> Outcome<State> {
        self.ask("reset")
    }

    fn ask(&self, question: &str) -> Outcome<State> {
        let mut pipes = self.pipes();
        let (input, output) = &mut *pipes;
        writeln!(input, "{question}")?;
        let mut line = String::new();
        ensure!(output.read_line(&mut line)? > 0, "the server is gone");
        let state: serde_json::Value = serde_json::from_str(&line)?;
        let number = |name: &str| state[name].as_u64().unwrap_or_default();
        Ok(State {
            sessions: number("sessions"),
            sockets: number("sockets"),
            rooms: number("rooms"),
            namespaces: number("namespaces"),
            connects: number("connects"),
            disconnects: number("disconnects"),
            heap: number("heap"),
            peak: number("peak"),
            panics: number("panics"),
            reached: number("reached"),
        })
    }

    fn pipes(&self) -> MutexGuard<'_, (ChildStdin, BufReader<ChildStdout>)> {
        self.pipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> Outcome<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Bytes of memory that are resident.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
        Ok(kilobytes << 10)
    }

    /// The time that all threads together were on a processor.
    pub(crate) fn busy(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += stat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
