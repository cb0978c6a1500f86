//! Runs an example in a process of its own, and ends it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::PATIENCE;

/// Starts an example on a free port.
#[macro_export]
macro_rules! example {
    ($name:literal) => {
        $crate::process::Example::start(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}

/// A running example; ends with this value.
pub(crate) struct Example {
    child: Child,
    addr: String,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Example {
    /// Starts it and waits until it listens.
    pub(crate) fn start(binary: &str) -> Self {
        Self::start_with(binary, &[])
    }

    /// As [`Example::start`], with these in its environment.
    pub(crate) fn start_with(binary: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.arg("127.0.0.1:0").envs(env.iter().copied()).stdin(Stdio::null());
        Self::spawn(&mut command).listening()
    }

    /// Waits until it listens.
    pub(crate) fn listening(mut self) -> Self {
        let line = self.wait_for_line("listening on http://");
        self.addr = line.trim_start_matches("listening on http://").into();
        self
    }

    /// Starts it with an argument.
    pub(crate) fn run(binary: &str, argument: &str) -> Self {
        let mut this = Self::spawn(Command::new(binary).arg(argument).stdin(Stdio::null()));
        this.addr = argument.into();
        this
    }

    /// Starts a command, which prints to this.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::<Output>::default();
        let readers =
            vec![output.collect(child.stdout.take().unwrap()), output.collect(child.stderr.take().unwrap())];
        Self { child, addr: String::new(), output, readers }
    }

    /// The address it listens on.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.output.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the example did not print {text:?}, but {lines:#?}");
            lines = self.output.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Sends it the signal that asks it to end.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends by itself; returns how, and all that it printed.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the example does not end");
            thread::yield_now();
            thread::park_timeout(std::time::Duration::from_millis(5));
        };
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        let lines = std::mem::take(&mut *self.output.lines.lock().unwrap());
        (status, lines)
    }
}

impl Output {
    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let this = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                this.lines.lock().unwrap().push(line);
                this.more.notify_all();
            }
        })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the example printed: {:#?}", self.output.lines.lock());
        }
    }
}
