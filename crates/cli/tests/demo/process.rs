//! The binary as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

fn wirebird(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wirebird"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A running demo on a port of its own; ends with the test.
pub(crate) struct Demo {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Demo {
    /// Returns when it has said where it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::logging_to(Stdio::null(), args)
    }

    pub(crate) fn logging_to(log: Stdio, args: &[&str]) -> Self {
        let mut command = wirebird(&["demo", "--port", "0"]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = url.and_then(|url| url.parse().ok()).unwrap_or_else(|| panic!("no URL in {line:?}"));
        Self { child, address }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    #[cfg(unix)]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that ends with `code`, and returns the only line that it writes.
pub(crate) fn fails(args: &[&str], code: i32) -> String {
    let output = wirebird(args).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(output.stdout.is_empty());
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("wirebird: "), "{line}");
    line
}

/// Runs a command that succeeds, and returns what it writes.
pub(crate) fn output(args: &[&str]) -> String {
    let output = wirebird(args).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}
