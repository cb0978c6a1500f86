//! What the operator reads: stable targets, what is needed to find the cause, and no secrets.

mod support;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use support::{Client, settle};
use tracing::subscriber::DefaultGuard;
use wirebird::extract::{Auth, Data};
use wirebird::layers::{Beyond, RateLimit, Require};
use wirebird::{Error, EventHandlerExt, Server};

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, containing: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().filter(|line| line.contains(containing)).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// F-ERR-06, AB17: a failure without an error handler is logged once, with everything needed to find it.
#[tokio::test]
async fn a_failure_is_logged_with_event_namespace_and_socket() {
    let (log, _guard) = Log::start();
    let io = Server::new();
    io.of("/chat").on("say", async || Err::<(), _>(Error::msg("no ink")));
    io.of("/chat").on("shout", async || -> () { panic!("no voice") });
    let client = Client::open(&io);
    let id = client.join("/chat").await;
    client.send(r#"2/chat,["say"]"#);
    client.send(r#"2/chat,["shout"]"#);
    settle().await;
    for (event, why) in [("say", "no ink"), ("shout", "no voice")] {
        let lines = log.lines(why);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["ERROR", "wirebird::socketio", "/chat", &id, event] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
    }
    assert!(client.is_open());
}

/// AB9: current JavaScript clients close the connection at eleven attachments; the operator hears of it once.
#[tokio::test]
async fn too_many_attachments_for_clients_are_warned_of_once() {
    let (log, _guard) = Log::start();
    let io = Server::new();
    let eleven: Vec<Bytes> = vec![Bytes::from_static(b"x"); 11];
    io.emit("few", &eleven[..10]).unwrap();
    assert!(log.lines("attachments").is_empty());
    io.emit("many", &eleven).unwrap();
    io.emit("many", &eleven).unwrap();
    let lines = log.lines("attachments");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("many"));
}

/// F-LOG-03: what clients send is not logged, not even where it is wrong.
#[tokio::test]
async fn payloads_and_credentials_are_not_logged() {
    let (log, _guard) = Log::start();
    let io = Server::new();
    io.on_connect(async |Auth(_): Auth<Option<u32>>| ());
    io.of("/open").on("pin", async |Data(_): Data<u32>| ());
    let client = Client::open(&io);
    client.send(r#"0{"token":"swordfish"}"#);
    assert_eq!(client.next().await, r#"4{"message":"Connection rejected by server"}"#);
    client.join("/open").await;
    client.send(r#"2/open,["pin","swordfish"]"#);
    settle().await;
    assert_eq!(log.lines("a handler failed").len(), 2);
    assert_eq!(log.lines("swordfish"), [""; 0]);
    let session = client.conn.session().id();
    assert_eq!(log.lines(session.as_str()), [""; 0], "the session id is a credential");
}

/// F-LOG-03: an event's name is the client's choice wherever a fallback or a layer sees it: it is clipped in every log, and
/// cannot forge a line.
#[tokio::test]
async fn names_of_events_are_clipped() {
    let (log, _guard) = Log::start();
    let io = Server::builder().max_event_name(200_000).build();
    io.of("/failing").fallback(async || Err::<(), _>(Error::msg("no ink")));
    io.of("/typed").fallback(async |Data(_): Data<u32>| ());
    io.of("/silent").on("other", async || ());
    let limit = |beyond| RateLimit::new(1, Duration::from_secs(3600)).beyond(beyond);
    io.of("/limited").fallback(async || ()).event_layer(limit(Beyond::Refuse));
    io.of("/dropping").fallback(async || ()).event_layer(limit(Beyond::Drop));
    io.of("/required").fallback(async || ()).event_layer(Require::<u8>::new().or_disconnect());
    let client = Client::open(&io);
    let name = format!("\\n{}", "x".repeat(100_000));
    for namespace in ["/failing", "/typed", "/silent", "/limited", "/dropping", "/required"] {
        client.join(namespace).await;
        for _ in 0..2 {
            client.send(format!(r#"2{namespace},["{name}","text"]"#));
        }
    }
    settle().await;
    let lines = log.lines("xxx");
    assert!(lines.len() >= 6, "{} lines", lines.len());
    for line in lines {
        assert!(line.len() < 1000, "{} bytes: {}…", line.len(), &line[..300]);
        assert!(line.contains("wirebird::socketio"), "{line}");
    }
}

/// F-ERR-06, F-SEC-01: a client cannot fill the log with failures that it causes at will: each event's is an error of the log
/// once a minute.
#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_do_not_fill_the_log() {
    let (log, _guard) = Log::start();
    let io = Server::builder().ping_interval(Duration::from_secs(3600)).build();
    for event in ["number", "other"] {
        io.on(event, async |Data(_): Data<u8>| ());
    }
    io.on(
        "limited",
        (async || ()).layer(RateLimit::new(1, Duration::from_secs(3600)).beyond(Beyond::Refuse)),
    );
    let client = Client::open(&io);
    client.join("/").await;
    let errors = || log.lines("ERROR").len();
    for _ in 0..20 {
        client.send(r#"2["number","x"]"#);
        client.send(r#"2["limited"]"#);
    }
    settle().await;
    assert_eq!(errors(), 2, "the arguments, and the limit");
    assert_eq!(log.lines("a handler failed").len(), 39, "the others are there at level debug");
    client.send(r#"2["other","x"]"#);
    settle().await;
    assert_eq!(errors(), 3);
    tokio::time::sleep(Duration::from_secs(61)).await;
    client.send(r#"2["number","x"]"#);
    settle().await;
    assert_eq!(errors(), 4);
}
