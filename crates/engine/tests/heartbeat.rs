//! Pings, pongs and their deadlines.

mod support;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::{Polling, TestServer, Ws, config, quiet, within};
use wirebird_engine::{CloseReason, Config, Message, Outgoing};

fn beats(interval: u64, timeout: u64) -> Config {
    config(|c| {
        c.ping_interval = Duration::from_millis(interval);
        c.ping_timeout = Duration::from_millis(timeout);
    })
}

/// F-PRO-07: the first ping comes one interval after the OPEN packet, and the next one interval after the pong.
#[tokio::test]
async fn pings_come_one_interval_after_open_and_pong() {
    let server = TestServer::with(beats(300, 5000), quiet).await;
    let mut ws = Ws::connect(server.addr).await;
    let mut polling = Polling::open(server.addr).await;
    let mut last = Instant::now();
    ws.text().await;
    for _ in 0..3 {
        assert_eq!(ws.text().await, "2");
        let waited = last.elapsed();
        // Timers are up to 8 ms late by design, and the clocks are read at different moments.
        assert!(waited > Duration::from_millis(280), "{waited:?}");
        assert_eq!(polling.poll().await, ["2"]);
        polling.send("3").await;
        last = Instant::now();
        ws.send("3").await;
    }
}

/// F-PRO-07, hazard AB-18: without a pong the reason is "ping timeout", on polling as on WebSocket.
#[tokio::test]
async fn a_missing_pong_is_a_ping_timeout_on_polling() {
    let mut server = TestServer::with(beats(50, 1500), quiet).await;
    let mut client = Polling::open(server.addr).await;
    assert_eq!(client.poll().await, ["2"]);
    client.begin_poll().await;
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert_eq!(client.end_poll().await, ["1"]);
    client.poll_response().await.assert_error(400, 1, "Session ID unknown");
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-07, hazard AB-18.
#[tokio::test]
async fn a_missing_pong_is_a_ping_timeout_on_websocket() {
    let mut server = TestServer::with(beats(100, 100), quiet).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    assert_eq!(ws.text().await, "2");
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert_eq!(ws.closed().await, support::WsClosed::Code(Some(1000)));
    assert_eq!(server.engine.session_count(), 0);
}

/// wire-protocol §2.6: messages of the client are no pong.
#[tokio::test]
async fn other_traffic_is_no_pong() {
    let mut server = TestServer::with(beats(100, 200), quiet).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    let session = server.engine.sessions().remove(0);
    within("the end of the session", async {
        while session.is_open() {
            ws.send("4x").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}

/// wire-protocol §2.4: pongs that nobody asked for do no harm, and push the next ping away.
#[tokio::test]
async fn unsolicited_pongs_are_harmless() {
    let mut server = TestServer::echo(beats(200, 2000)).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    for _ in 0..1000 {
        ws.send("3").await;
    }
    ws.send("4still here").await;
    assert_eq!(ws.text().await, "4still here");
    for _ in 0..5 {
        assert_eq!(ws.text().await, "2");
        ws.send("3").await;
        ws.send("3").await;
    }
    assert_eq!(server.text().await, "still here");
    assert_eq!(server.engine.session_count(), 1);
}

/// wire-protocol §2.4: pings are the server's; a client that sends one outside a probe is closed.
#[tokio::test]
async fn a_ping_of_the_client_ends_the_session() {
    let mut server = TestServer::start().await;
    for packet in ["2", "2probe"] {
        let (mut ws, _) = Ws::open(server.addr).await;
        ws.send(packet).await;
        assert_eq!(server.closed().await, CloseReason::TransportError);
        assert_eq!(ws.closed().await, support::WsClosed::Code(Some(1000)));
        let mut client = Polling::open(server.addr).await;
        client.begin_poll().await;
        client.post(packet.as_bytes()).await;
        assert_eq!(server.closed().await, CloseReason::TransportError);
        assert_eq!(client.end_poll().await, ["1"]);
    }
}

/// A handler that blocks its thread until it is told to go on, without a word to the runtime.
async fn blocking(config: Config) -> (TestServer, mpsc::Sender<()>) {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = TestServer::with(config, move |_, message| {
        if *message == Message::Text("block".into()) {
            let _ = wait.lock().unwrap().recv();
        }
    })
    .await;
    (server, go_on)
}

/// F-PRO-07, pain 17: the heart beats on while a handler blocks, and a pong that nobody could read is not late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocked_handler_delays_no_ping_and_costs_no_session() {
    let (mut server, go_on) = blocking(beats(100, 1000)).await;
    let (mut blocked, _) = Ws::open(server.addr).await;
    let (mut other, _) = Ws::open(server.addr).await;
    blocked.send("4block").await;
    assert_eq!(server.text().await, "block");
    assert_eq!(blocked.text().await, "2", "the ping comes though the handler blocks");
    blocked.send("3").await;
    // The pong of the blocked one falls due meanwhile.
    for _ in 0..16 {
        assert_eq!(other.text().await, "2");
        other.send("3").await;
    }
    assert_eq!(server.engine.session_count(), 2, "no session is closed");
    go_on.send(()).unwrap();
    blocked.send("4after").await;
    assert_eq!(server.text().await, "after");
    assert_eq!(blocked.text().await, "2", "the heart beats on");
    assert_eq!(server.engine.session_count(), 2);
}

/// F-PRO-07, F-SCL-06: the same on polling, where the handler holds the POST and polls go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocked_post_delays_no_ping_and_costs_no_session() {
    let (mut server, go_on) = blocking(beats(100, 1000)).await;
    let mut client = Polling::open(server.addr).await;
    client.begin_post(b"4block").await;
    assert_eq!(server.text().await, "block");
    assert_eq!(client.poll().await, ["2"], "the ping comes though the handler blocks");
    // The client cannot send its pong: its POST has not been answered. It is asked again.
    assert_eq!(client.poll().await, ["2"]);
    assert_eq!(server.engine.session_count(), 1);
    client.begin_poll().await;
    go_on.send(()).unwrap();
    assert_eq!(client.post.response().await.text(), "ok");
    client.send("3").await;
    assert_eq!(client.end_poll().await, ["2"], "the heart beats on");
    client.send("3").await;
    assert_eq!(server.engine.session_count(), 1);
}

/// A WebSocket that probes a session does not make its blocked POST count as idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_probe_does_not_hide_a_blocked_post() {
    let (mut server, go_on) = blocking(beats(100, 1000)).await;
    let mut client = Polling::open(server.addr).await;
    client.begin_post(b"4block").await;
    assert_eq!(server.text().await, "block");
    assert_eq!(client.poll().await, ["2"]);
    let mut ws = Ws::to(server.addr, &client.target_on("websocket"), &[]).await;
    ws.probe().await;
    ws.send_close(1000).await;
    ws.closed().await;
    assert_eq!(client.poll().await, ["2"]);
    client.begin_poll().await;
    go_on.send(()).unwrap();
    assert_eq!(client.post.response().await.text(), "ok");
    client.send("3").await;
    assert_eq!(client.end_poll().await, ["2"]);
    assert_eq!(server.engine.session_count(), 1);
}

/// A handler that panics ends nothing but its own call.
#[tokio::test]
async fn a_panic_ends_only_its_call() {
    let mut server = TestServer::with(Config::default(), |session, message| {
        assert!(*message != Message::Text("panic".into()), "as the test wants it");
        let _ = session.send(Outgoing::text("fine"));
    })
    .await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send("4panic").await;
    ws.send("4go on").await;
    assert_eq!(ws.text().await, "4fine");
    let mut client = Polling::open(server.addr).await;
    client.send("4panic\x1e4go on").await;
    assert_eq!(client.poll().await, ["4fine"]);
    for expected in ["panic", "go on", "panic", "go on"] {
        assert_eq!(server.text().await, expected);
    }
}

/// A pong that comes by POST just in time keeps the session, again and again.
#[tokio::test]
async fn a_polling_session_lives_as_long_as_its_pongs() {
    let mut server = TestServer::with(beats(50, 2000), quiet).await;
    let mut client = Polling::open(server.addr).await;
    for _ in 0..10 {
        assert_eq!(client.poll().await, ["2"]);
        client.send("3").await;
    }
    client.send("4done").await;
    assert_eq!(server.text().await, "done");
}
