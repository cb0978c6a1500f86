//! Slow readers, full queues, and sessions that are not read from.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use support::{Event, Polling, TestServer, Ws, WsClosed, config, pending_for, quiet, until};
use wirebird_engine::{CloseReason, Config, Outgoing, Overflow, SendError, Session};

fn queue(packets: usize, bytes: usize, overflow: Overflow) -> Config {
    config(|c| {
        c.send_queue.max_packets = packets;
        c.send_queue.max_bytes = bytes;
        c.send_queue.overflow = overflow;
    })
}

async fn stalled(server: &TestServer) -> (Ws, Arc<Session>) {
    let (ws, open) = Ws::open(server.addr).await;
    (ws, server.session(open["sid"].as_str().unwrap()))
}

/// Sends until the kernel takes no more and something waits in the queue.
fn fill(session: &Session, message: &Outgoing) {
    while session.queued().0 == 0 {
        session.send(message.clone()).expect("room");
    }
}

/// F-PRO-12, pain 10: a client that stops reading is closed at the limit of packets or of bytes, with a reason of its own; the
/// sender never waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_is_closed_at_the_limit() {
    for (limits, size, most) in [
        (queue(100, usize::MAX, Overflow::Close), 60_000, 100),
        (queue(usize::MAX, 1_000_000, Overflow::Close), 60_000, 17),
    ] {
        let mut server = TestServer::with(limits, quiet).await;
        let (ws, session) = stalled(&server).await;
        let message = Outgoing::text(&"x".repeat(size));
        let mut longest = Duration::ZERO;
        let mut waiting = 0;
        for sent in 0.. {
            assert!(sent < 100_000, "the queue has no limit");
            let before = Instant::now();
            let result = session.send(message.clone());
            longest = longest.max(before.elapsed());
            waiting = waiting.max(session.queued().0);
            if result == Err(SendError::Closed) || !session.is_open() {
                break;
            }
        }
        assert!(waiting <= most, "{waiting} packets waited");
        assert!(longest < Duration::from_millis(500), "a send took {longest:?}");
        assert_eq!(server.closed().await, CloseReason::SlowConsumer);
        assert!(session.queued().0 <= 1, "all but the message that is half written is dropped at once");
        until("its memory is free", || session.queued() == (0, 0) && server.engine.session_count() == 0)
            .await;
        assert_eq!(session.send(message), Err(SendError::Closed));
        drop(ws);
    }
}

/// The message that does not fit any more is not sent, and its sender is told so.
#[tokio::test]
async fn the_message_that_closes_a_slow_consumer_is_an_error() {
    let server = TestServer::with(queue(3, usize::MAX, Overflow::Close), quiet).await;
    for later in [false, true] {
        let client = Polling::open(server.addr).await;
        let session = server.session(&client.sid);
        for _ in 0..3 {
            session.send(Outgoing::text("x")).unwrap();
        }
        let message = Outgoing::text("too many");
        let result = if later { session.send_later(message).map(drop) } else { session.send(message) };
        assert_eq!(result, Err(SendError::Closed));
        assert_eq!(session.close_reason(), Some(CloseReason::SlowConsumer));
    }
}

/// Frames that a slow consumer still gets are whole: a message cut short is never filled up with other bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_message_is_never_completed_by_other_bytes() {
    let mut server = TestServer::with(queue(5, usize::MAX, Overflow::Close), quiet).await;
    let (mut ws, session) = stalled(&server).await;
    let message = Outgoing::binary(&vec![b'x'; 777_777]);
    while session.send(message.clone()).is_ok() && session.is_open() {}
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    while let Some(frame) = ws.frame().await {
        match frame.opcode {
            2 => assert!(frame.payload.len() == 777_777 && frame.payload.iter().all(|b| *b == b'x')),
            8 => assert_eq!(frame.payload, b"\x0f\xa8slow consumer"),
            other => panic!("opcode {other}"),
        }
    }
    if let Some(payload) = ws.fragment().get(10..) {
        assert!(payload.iter().all(|b| *b == b'x'), "other bytes were put into a message");
    }
}

/// F-PRO-12: with `Refuse` the sender is told, nothing is closed, and `has_room` says when to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuse_tells_the_sender() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let server = TestServer::with(queue(10, usize::MAX, Overflow::Refuse), quiet).await;
    let (mut ws, session) = stalled(&server).await;
    let message = Outgoing::text(&"x".repeat(60_000));
    let mut sent = 0;
    while session.send(message.clone()) != Err(SendError::Full) {
        sent += 1;
    }
    assert_eq!(session.queued().0, 10);
    assert_eq!(session.send_later(message.clone()), Err(SendError::Full));
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    assert!(!session.has_room(&waker));
    assert!(session.is_open());
    // The client reads; the waker is woken when half of the queue is free.
    for _ in 0..sent {
        assert_eq!(ws.text().await.len(), 60_001);
    }
    until("room", || flag.0.load(Ordering::SeqCst)).await;
    assert!(session.has_room(Waker::noop()));
    session.send(Outgoing::text("after")).unwrap();
    assert_eq!(ws.text().await, "4after", "nothing was lost or doubled");
}

/// `has_room` wakes a waiting sender by polling, too, and when the session ends.
#[tokio::test]
async fn room_on_polling_and_at_the_end() {
    let server = TestServer::with(queue(4, usize::MAX, Overflow::Refuse), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let full = || while session.send(Outgoing::text("x")).is_ok() {};
    full();
    let waiting = |session: Arc<Session>| {
        tokio::spawn(std::future::poll_fn(move |cx| {
            if session.has_room(cx.waker()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }))
    };
    let mut room = waiting(session.clone());
    assert!(pending_for(Duration::from_millis(50), &mut room).await);
    assert_eq!(client.poll().await.len(), 4);
    support::within("room", room).await.unwrap();
    full();
    let mut room = waiting(session.clone());
    assert!(pending_for(Duration::from_millis(50), &mut room).await);
    session.close(CloseReason::ForcedClose);
    support::within("the end", room).await.unwrap();
}

/// F-PRO-12, F-PRO-23: with `DropVolatile` volatile messages make room, the oldest first, and each is counted.
#[tokio::test]
async fn volatile_messages_make_room() {
    let server = TestServer::with(queue(4, usize::MAX, Overflow::DropVolatile), quiet).await;
    let (engine, mut events) = support::inline(queue(4, usize::MAX, Overflow::DropVolatile), |session, _| {
        // In one burst the transport is writable until it has been told.
        for i in 0..3 {
            assert_eq!(session.send_volatile(Outgoing::text(&format!("volatile {i}"))), Ok(true));
        }
        for i in 0..3 {
            session.send(Outgoing::text(&i.to_string())).unwrap();
        }
    });
    drop(server);
    let request = http::Request::get("/").body(()).unwrap();
    let handshake =
        wirebird_engine::Handshake::new(&mut request.into_parts().0, &wirebird_engine::TrustedProxies::None);
    let client = wirebird_engine::memory::Connection::open(&engine, handshake, || {}).unwrap();
    client.take_batch();
    client.feed(wirebird_engine::Frame::Text("4go".into()));
    let texts: Vec<_> = client
        .take_batch()
        .into_iter()
        .map(|frame| match frame {
            wirebird_engine::Frame::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["4volatile 2", "40", "41", "42"]);
    assert_eq!(engine.dropped_messages(), 2);
    for _ in 0..4 {
        client.session().send(Outgoing::text("x")).unwrap();
    }
    assert_eq!(
        client.session().send(Outgoing::text("x")),
        Err(SendError::Closed),
        "nothing volatile is left"
    );
    while !matches!(events.try_recv().unwrap(), Event::Close(_, CloseReason::SlowConsumer)) {}
}

/// A volatile message for a client that does not read is dropped at once, and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_messages_do_not_wait() {
    let server = TestServer::start().await;
    let (_ws, session) = stalled(&server).await;
    assert_eq!(session.send_volatile(Outgoing::text("now")), Ok(true));
    fill(&session, &Outgoing::text(&"x".repeat(60_000)));
    let waiting = session.queued();
    for _ in 0..10 {
        assert_eq!(session.send_volatile(Outgoing::text("never")), Ok(false));
    }
    assert_eq!(session.queued(), waiting);
    assert_eq!(server.engine.dropped_messages(), 10);
}

/// A slow reader delays nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_delays_nobody() {
    let server = TestServer::start().await;
    let (_slow, slow) = stalled(&server).await;
    let (mut ws, fast) = stalled(&server).await;
    let big = Outgoing::text(&"x".repeat(60_000));
    fill(&slow, &big);
    for i in 0..100 {
        slow.send(big.clone()).unwrap();
        fast.send(Outgoing::text(&i.to_string())).unwrap();
        assert_eq!(ws.text().await, format!("4{i}"));
    }
}

/// A client that reads late gets everything, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reader_gets_everything() {
    let server = TestServer::start().await;
    let (mut ws, session) = stalled(&server).await;
    let padding = "x".repeat(5000);
    let mut sent = 0;
    while session.queued().0 < 500 {
        session.send(Outgoing::text(&format!("{sent} {padding}"))).unwrap();
        sent += 1;
    }
    for i in 0..sent {
        assert_eq!(ws.text().await, format!("4{i} {padding}"));
    }
    assert_eq!(session.queued(), (0, 0));
}

// ---- the other direction ----

/// R11: a paused WebSocket is not read; it goes on exactly where it stopped.
#[tokio::test]
async fn a_paused_websocket_goes_on_where_it_stopped() {
    let mut server = TestServer::with(Default::default(), |session, _| session.pause_reading()).await;
    let (mut ws, session) = stalled(&server).await;
    let bytes: Vec<u8> = (0..200).flat_map(|i| support::text_frame(&format!("4{i}"))).collect();
    let (one, two) = bytes.split_at(bytes.len() / 2 + 3);
    ws.raw(one).await;
    ws.raw(two).await;
    for i in 0..200 {
        assert_eq!(server.text().await, i.to_string());
        if i % 50 == 0 {
            server.silent_for(Duration::from_millis(30)).await;
        }
        assert!(session.is_paused());
        session.resume_reading();
    }
    server.silent_for(Duration::from_millis(30)).await;
}

/// R11: a pause from elsewhere holds from then on.
#[tokio::test]
async fn a_pause_from_elsewhere_holds_at_once() {
    let mut server = TestServer::start().await;
    let (mut ws, session) = stalled(&server).await;
    ws.send("4before").await;
    assert_eq!(server.text().await, "before");
    session.pause_reading();
    ws.send("4later").await;
    server.silent_for(Duration::from_millis(50)).await;
    session.resume_reading();
    assert_eq!(server.text().await, "later");
}

/// R11: what a paused client sends stays in its socket: it cannot fill the server's memory.
#[tokio::test]
async fn a_paused_client_cannot_send_on() {
    let server = TestServer::with(Default::default(), |session, _| session.pause_reading()).await;
    let (mut ws, session) = stalled(&server).await;
    ws.send("4pause").await;
    until("a pause", || session.is_paused()).await;
    let flood = support::text_frame(&format!("4{}", "x".repeat(60_000))).repeat(10);
    let mut sent = 0;
    while !pending_for(Duration::from_millis(100), ws.raw(&flood)).await {
        sent += 1;
        assert!(sent < 200, "the server goes on reading");
    }
}

/// R11: the answer to a POST is held while its session is paused.
#[tokio::test]
async fn a_paused_post_is_held() {
    let mut server = TestServer::with(Default::default(), |session, _| session.pause_reading()).await;
    let mut client = Polling::open(server.addr).await;
    for round in 0..3 {
        client.begin_post(format!("4{round}").as_bytes()).await;
        assert_eq!(server.text().await, round.to_string());
        assert!(pending_for(Duration::from_millis(50), client.post.response()).await);
        // Packets still go the other way.
        server.session(&client.sid).send(Outgoing::text("hello")).unwrap();
        assert_eq!(client.poll().await, ["4hello"]);
        server.session(&client.sid).resume_reading();
        assert_eq!(client.post.response().await.text(), "ok");
    }
}

/// A session that ends while it is paused lets everything go.
#[tokio::test]
async fn a_paused_session_can_end() {
    let mut server = TestServer::with(Default::default(), |session, _| session.pause_reading()).await;
    let mut client = Polling::open(server.addr).await;
    client.begin_post(b"4pause").await;
    server.text().await;
    server.session(&client.sid).close(CloseReason::TransportError);
    assert_eq!(client.post.response().await.status, 200);
    let (mut ws, session) = stalled(&server).await;
    ws.send("4pause").await;
    server.text().await;
    session.close(CloseReason::ForcedClose);
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    until("no session", || server.engine.session_count() == 0).await;
}

/// R11, F-PRO-07: nobody reads the pong of a paused session, so it is not late.
#[tokio::test]
async fn a_paused_session_needs_no_pong() {
    let beats = config(|c| {
        c.ping_interval = Duration::from_millis(50);
        c.ping_timeout = Duration::from_millis(300);
    });
    let mut server = TestServer::with(beats, |session, _| session.pause_reading()).await;
    let (mut ws, session) = stalled(&server).await;
    ws.send("4pause").await;
    assert_eq!(server.text().await, "pause");
    for _ in 0..4 {
        assert_eq!(ws.text().await, "2", "a client that hears nothing would take the server for dead");
        ws.send("3").await;
    }
    assert!(session.is_open());
    session.resume_reading();
    for _ in 0..4 {
        assert_eq!(ws.text().await, "2");
        ws.send("3").await;
    }
    assert!(session.is_open());
}

/// F-PRO-07, F-SEC-01: a client that goes away while nobody reads from it is not waited for.
#[tokio::test]
async fn a_paused_session_ends_when_its_client_is_gone() {
    let beats = config(|c| {
        c.ping_interval = Duration::from_millis(50);
        c.ping_timeout = Duration::from_millis(100);
    });
    let mut server = TestServer::with(beats, |session, _| session.pause_reading()).await;
    let (mut ws, _) = stalled(&server).await;
    ws.send("4pause").await;
    assert_eq!(server.text().await, "pause");
    ws.reset();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(server.engine.session_count(), 0);
}
