//! The move from polling to WebSocket (wire-protocol §2.7).

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Event, Polling, TestServer, Ws, WsClosed, config, pending_for, quiet, text_frame, until};
use wirebird_engine::{CloseReason, Message, Outgoing, Session, TransportKind};

async fn candidate(client: &Polling) -> Ws {
    Ws::to(client.addr, &client.target_on("websocket"), &[]).await
}

async fn upgraded(server: &TestServer) -> (Ws, Polling, Arc<Session>) {
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.send("5").await;
    until("an upgrade", || session.transport() == TransportKind::WebSocket).await;
    (ws, client, session)
}

/// F-PRO-05: the whole dance; polls are answered with a noop again and again from the probe on.
#[tokio::test]
async fn a_session_moves_to_websocket() {
    let mut server = TestServer::echo(Default::default()).await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    client.begin_poll().await;
    until("a held poll", || session.is_writable()).await;
    let mut ws = candidate(&client).await;
    assert!(
        pending_for(Duration::from_millis(50), client.get.response()).await,
        "a poll is held until the probe"
    );
    ws.probe().await;
    assert_eq!(client.end_poll().await, ["6"]);
    for _ in 0..5 {
        assert_eq!(client.poll().await, ["6"]);
    }
    assert_eq!(session.transport(), TransportKind::Polling);
    client.send("4by post").await;
    assert_eq!(server.text().await, "by post");
    assert_eq!(client.poll().await, ["6"], "what was sent since the probe waits for the WebSocket");
    ws.send("5").await;
    server.upgraded().await;
    assert_eq!(session.transport(), TransportKind::WebSocket);
    assert_eq!(ws.text().await, "4by post");
    ws.send("4by websocket").await;
    assert_eq!(ws.text().await, "4by websocket");
}

/// What waits in the queue at the upgrade comes first over the WebSocket, before what is sent in `upgraded` and later.
#[tokio::test]
async fn nothing_overtakes_what_waits() {
    let server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for i in 0..100 {
        session.send(Outgoing::text(&i.to_string())).unwrap();
    }
    let mut ws = candidate(&client).await;
    ws.probe().await;
    session.send(Outgoing::text("100")).unwrap();
    ws.send("5").await;
    until("an upgrade", || session.transport() == TransportKind::WebSocket).await;
    session.send(Outgoing::text("101")).unwrap();
    for i in 0..102 {
        assert_eq!(ws.text().await, format!("4{i}"));
    }
}

/// Step 2: anything but the probe as the first packet drops the newcomer; the session stays on polling.
#[tokio::test]
async fn a_wrong_probe_leaves_the_session_on_polling() {
    let mut server = TestServer::start().await;
    for first in ["2", "2wrong", "3probe", "4hello", "5", "6", "hello", ""] {
        let mut client = Polling::open(server.addr).await;
        let mut ws = candidate(&client).await;
        ws.send(first).await;
        assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)), "{first}");
        client.send("4still here").await;
        assert_eq!(server.text().await, "still here");
        assert_eq!(server.session(&client.sid).transport(), TransportKind::Polling);
        server.session(&client.sid).send(Outgoing::text("hello")).unwrap();
        assert_eq!(client.poll().await, ["4hello"]);
    }
    let mut client = Polling::open(server.addr).await;
    let mut ws = candidate(&client).await;
    ws.send_binary(b"hello").await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    let mut ws = candidate(&client).await;
    ws.raw(&support::frame(true, 1, None, b"2probe")).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1002)));
    client.send("4still here").await;
    assert_eq!(server.text().await, "still here");
}

/// A client may try again after an upgrade that failed.
#[tokio::test]
async fn an_upgrade_may_be_tried_again() {
    let mut server = TestServer::echo(Default::default()).await;
    let client = Polling::open(server.addr).await;
    let mut ws = candidate(&client).await;
    ws.send("hello").await;
    ws.closed().await;
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.send("5").await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    server.upgraded().await;
}

/// Steps 1 and 7: another WebSocket for a session that has one, or is about to, is accepted and closed; the session
/// does not notice.
#[tokio::test]
async fn a_second_websocket_is_closed() {
    let mut server = TestServer::echo(Default::default()).await;
    let client = Polling::open(server.addr).await;
    let mut first = candidate(&client).await;
    first.probe().await;
    assert_eq!(candidate(&client).await.closed().await, WsClosed::Code(Some(1000)));
    first.send("5").await;
    first.send("4mine").await;
    assert_eq!(first.text().await, "4mine");
    assert_eq!(candidate(&client).await.closed().await, WsClosed::Code(Some(1000)));
    first.send("4still mine").await;
    assert_eq!(first.text().await, "4still mine");
    let (mut ws, open) = Ws::open(server.addr).await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(Ws::to(server.addr, &target, &[]).await.closed().await, WsClosed::Code(Some(1000)));
    ws.send("4fine").await;
    assert_eq!(ws.text().await, "4fine");
    assert_eq!(server.text().await, "mine");
}

/// Step 7: polling requests after the upgrade are 400, code 3, and the session does not notice: no matter how wrong
/// they are otherwise.
#[tokio::test]
async fn polling_after_the_upgrade_is_refused() {
    let server = TestServer::echo(config(|c| c.max_payload = 1000)).await;
    let (mut ws, mut client, session) = upgraded(&server).await;
    client.poll_response().await.assert_error(400, 3, "Bad request");
    client.post(b"4x").await.assert_error(400, 3, "Bad request");
    client.post(b"").await.assert_error(400, 3, "Bad request");
    let target = client.target();
    let octets = [("Content-Type", "application/octet-stream")];
    assert_eq!(client.post.request("POST", &target, &octets, b"4x").await.status, 400);
    assert!(session.is_open());
    let oversize = support::request(server.addr, "POST", &target, &[], &[b'4'; 1001]).await;
    assert!([400, 413].contains(&oversize.status));
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}

/// Step 6: a candidate that does not finish in time is closed, and the session goes on with polling.
#[tokio::test]
async fn the_upgrade_timeout_closes_only_the_candidate() {
    let mut server =
        TestServer::with(config(|c| c.upgrade_timeout = Duration::from_millis(100)), quiet).await;
    for probe in [false, true] {
        let mut client = Polling::open(server.addr).await;
        let mut ws = candidate(&client).await;
        if probe {
            ws.probe().await;
        }
        assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
        server.session(&client.sid).send(Outgoing::text("hello")).unwrap();
        assert_eq!(client.poll().await, ["4hello"]);
        client.send("4hello").await;
        assert_eq!(server.text().await, "hello");
    }
}

/// Step 6: when the candidate goes away, what was held back for it goes out by polling, in order.
#[tokio::test]
async fn a_lost_candidate_leaves_everything_to_polling() {
    let server = TestServer::start().await;
    for reset in [false, true] {
        let mut client = Polling::open(server.addr).await;
        let session = server.session(&client.sid);
        session.send(Outgoing::text("before")).unwrap();
        let mut ws = candidate(&client).await;
        ws.probe().await;
        session.send(Outgoing::text("between")).unwrap();
        assert_eq!(client.poll().await, ["6"]);
        if reset {
            ws.reset()
        } else {
            drop(ws)
        }
        // Polls are answered `6` until the server has noticed.
        let packets = loop {
            let packets = client.poll().await;
            if packets != ["6"] {
                break packets;
            }
        };
        assert_eq!(packets, ["4before", "4between"]);
        assert_eq!(session.transport(), TransportKind::Polling);
    }
}

/// A poll that is held when the candidate goes away is answered with what comes next.
#[tokio::test]
async fn a_poll_after_a_failed_upgrade_is_held_again() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.send_close(1000).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    client.begin_poll().await;
    assert!(pending_for(Duration::from_millis(50), client.get.response()).await);
    session.send(Outgoing::text("hello")).unwrap();
    assert_eq!(client.end_poll().await, ["4hello"]);
}

/// Step 5: messages may come right behind `5`, in the same segment, and even with the probe.
#[tokio::test]
async fn messages_right_behind_the_upgrade_count() {
    let mut server = TestServer::echo(Default::default()).await;
    let client = Polling::open(server.addr).await;
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.raw(&[text_frame("5"), text_frame("4one"), text_frame("4two")].concat()).await;
    assert_eq!((ws.text().await, ws.text().await), ("4one".into(), "4two".into()));
    server.upgraded().await;
    assert_eq!(server.text().await, "one");

    let client = Polling::open(server.addr).await;
    let mut ws = candidate(&client).await;
    ws.raw(&[text_frame("2probe"), text_frame("5"), text_frame("4all at once")].concat()).await;
    assert_eq!((ws.text().await, ws.text().await), ("3probe".into(), "4all at once".into()));
}

/// Step 8: a session that is closed in the middle of an upgrade closes both.
#[tokio::test]
async fn closing_in_the_middle_closes_both() {
    let mut server = TestServer::start().await;
    for reason in [CloseReason::ForcedClose, CloseReason::TransportError] {
        let mut client = Polling::open(server.addr).await;
        let session = server.session(&client.sid);
        client.begin_poll().await;
        until("a held poll", || session.is_writable()).await;
        let mut ws = candidate(&client).await;
        ws.probe().await;
        assert_eq!(client.end_poll().await, ["6"]);
        session.close(reason);
        assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
        assert_eq!(server.closed().await, reason);
        if reason == CloseReason::ForcedClose {
            assert_eq!(client.poll().await, ["1"]);
        }
        client.poll_response().await.assert_error(400, 1, "Session ID unknown");
        until("no session", || server.engine.session_count() == 0).await;
    }
}

/// WebSocket pings of a candidate are answered, and do not disturb the dance.
#[tokio::test]
async fn pings_of_a_candidate_are_answered() {
    let server = TestServer::echo(Default::default()).await;
    let client = Polling::open(server.addr).await;
    let mut ws = candidate(&client).await;
    ws.send_frame(true, 9, b"x").await;
    assert_eq!(ws.frame().await.unwrap().opcode, 10);
    ws.probe().await;
    ws.send_frame(true, 10, b"x").await;
    ws.send("5").await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}

/// Backpressure does not stand in the way of an upgrade: what follows it waits, and comes when reading goes on.
#[tokio::test]
async fn a_paused_session_can_be_upgraded() {
    let mut server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    session.pause_reading();
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.send("5").await;
    ws.send("4later").await;
    server.upgraded().await;
    server.silent_for(Duration::from_millis(50)).await;
    session.resume_reading();
    assert_eq!(server.text().await, "later");
}

/// A session that is paused between probe and upgrade and resumed goes on.
#[tokio::test]
async fn a_pause_between_probe_and_upgrade_loses_nothing() {
    let mut server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let mut ws = candidate(&client).await;
    session.pause_reading();
    ws.probe().await;
    session.resume_reading();
    ws.send("5").await;
    ws.send("4later").await;
    server.upgraded().await;
    assert_eq!(server.text().await, "later");
}

/// Calls for one session follow one another: a client that upgrades while its POST is being handled breaks the
/// protocol, and its new transport is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upgrade_during_a_post_is_refused() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let mut server = TestServer::with(Default::default(), move |_, message| {
        if *message == Message::Text("block".into()) {
            let _ = tokio::task::block_in_place(|| wait.lock().unwrap().recv());
        }
    })
    .await;
    let mut client = Polling::open(server.addr).await;
    client.begin_post(b"4block\x1e4second").await;
    assert_eq!(server.text().await, "block");
    let mut ws = candidate(&client).await;
    ws.probe().await;
    ws.send("5").await;
    ws.send("4overtaking").await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    go_on.send(()).unwrap();
    assert_eq!(client.post.response().await.text(), "ok");
    assert_eq!(server.text().await, "second");
    server.session(&client.sid).send(Outgoing::text("hello")).unwrap();
    assert_eq!(client.poll().await, ["4hello"]);
    assert!(!server.pending_events().iter().any(|e| matches!(e, Event::Upgraded(_))));
}

/// A poll that is aborted because the session has moved to WebSocket does not end the session.
#[tokio::test]
async fn a_poll_dropped_after_the_upgrade_harms_nobody() {
    let server = TestServer::echo(Default::default()).await;
    for _ in 0..20 {
        let mut client = Polling::open(server.addr).await;
        client.begin_poll().await;
        let session = server.session(&client.sid);
        until("a held poll", || session.is_writable()).await;
        let mut ws = candidate(&client).await;
        ws.raw(&[text_frame("2probe"), text_frame("5")].concat()).await;
        assert_eq!(ws.text().await, "3probe");
        drop(client);
        ws.send("4hello").await;
        assert_eq!(ws.text().await, "4hello");
        assert!(session.is_open());
    }
}
