//! Backtraces of errors. Whether there are any is settled once for a process, so each case is a process of its own.

mod support;

use std::io::{self, Write};
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use support::{Client, settle};
use wirebird::extract::{Auth, Data};
use wirebird::layers::Require;
use wirebird::{Error, EventHandlerExt, Server};

/// What makes this process the one that is looked at.
const CHILD: &str = "WIREBIRD_TEST_BACKTRACES";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}

fn again(setting: &str) {
    let mut this = Command::new(std::env::current_exe().unwrap());
    this.args(["--exact", "child", "--ignored"]).env(CHILD, setting);
    this.env("RUST_BACKTRACE", setting).env_remove("RUST_LIB_BACKTRACE");
    let output = this.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// F-ERR-06: with `RUST_BACKTRACE=1`, an error that nobody handles is logged with where it was made.
#[test]
fn a_failure_is_logged_with_its_backtrace() {
    again("1");
}

/// F-ERR-06: by default there are none, and nothing about them in the log.
#[test]
fn backtraces_are_off_by_default() {
    again("0");
}

async fn where_it_goes_wrong() -> Result<(), Error> {
    "x".parse::<u8>()?;
    Ok(())
}

#[tokio::test]
#[ignore = "run by the others, in another process"]
async fn child() {
    let Ok(setting) = std::env::var(CHILD) else { return };
    let on = setting == "1";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let io = Server::new();
    io.on("fail", where_it_goes_wrong);
    io.on("message", async || Err::<(), _>(Error::msg("only a message")));
    io.on("arguments", async |Data(_): Data<u8>| ());
    io.on("auth", async |Auth(_): Auth<u8>| ());
    io.on("session", (async || ()).layer(Require::<u8>::new()));
    io.on("request", (async || ()).layer(Require::<u8>::of_request()));
    let client = Client::open(&io);
    client.join("/").await;

    for (event, why) in [("fail", "invalid digit"), ("message", "only a message")] {
        client.send(format!(r#"2["{event}"]"#));
        settle().await;
        let text = log.take();
        assert!(text.contains(why), "{text}");
        assert_eq!(text.contains("backtrace"), on, "{text}");
        // The names of functions are there, the place of the error among them.
        assert_eq!(text.contains("backtrace::") && text.contains("   0: "), on, "{text}");
    }
    // What clients can cause as they like makes no backtraces.
    for event in ["arguments", "auth", "session", "request"] {
        client.send(format!(r#"2["{event}","x"]"#));
        settle().await;
        let text = log.take();
        assert!(text.contains("a handler failed") && !text.contains("backtrace"), "{text}");
    }
    let task = io.spawn(where_it_goes_wrong());
    task.await;
    settle().await;
    let text = log.take();
    assert!(text.contains("a background task failed"), "{text}");
    assert_eq!(text.contains("backtrace"), on, "{text}");
}
