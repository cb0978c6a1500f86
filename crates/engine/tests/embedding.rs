//! The engine under other drivers: any byte stream, an adopted connection, memory, and no runtime at all.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll as TaskPoll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Event, Ws, WsClosed, config, inline, quiet, text_frame, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use wirebird_engine::http::{Reply, Step, begin, handle_with_upgrade};
use wirebird_engine::memory::Connection;
use wirebird_engine::{
    CloseReason, Config, Engine, Frame, Handshake, Message, Outgoing, Poll, Post, Session, TransportKind,
    TrustedProxies, stream,
};

// ---- by hand ----

/// Counts how often it is woken: all the executor that these tests need.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>, count: &Arc<Count>) -> TaskPoll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(count.clone())))
}

/// The result of a future that needs nobody else.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match poll_once(pin!(future), &Arc::default()) {
        TaskPoll::Ready(value) => value,
        TaskPoll::Pending => panic!("it waits for something"),
    }
}

fn step(engine: &Engine, method: &str, target: &str) -> Step {
    let request =
        http::Request::builder().method(method).uri(target).header("Host", "localhost").body(()).unwrap();
    block_on(begin(engine, &mut request.into_parts().0))
}

fn open_polling(engine: &Engine) -> Arc<Session> {
    let Step::Respond(response) = step(engine, "GET", "/socket.io/?EIO=4&transport=polling") else {
        panic!("an answer")
    };
    let open: serde_json::Value = serde_json::from_slice(&response.body()[1..]).unwrap();
    engine.session(open["sid"].as_str().unwrap()).unwrap()
}

fn poll(engine: &Engine, session: &Session) -> (Poll, Reply) {
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session.id());
    match step(engine, "GET", &target) {
        Step::Poll(poll, reply) => (poll, reply),
        other => panic!("{other:?}"),
    }
}

fn post(engine: &Engine, session: &Session) -> (Post, Reply) {
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session.id());
    match step(engine, "POST", &target) {
        Step::Post(post, reply) => (post, reply),
        other => panic!("{other:?}"),
    }
}

fn handshake() -> Handshake {
    let request = http::Request::get("/socket.io/?token=1").body(()).unwrap();
    Handshake::new(&mut request.into_parts().0, &TrustedProxies::None)
}

fn echo(session: &Arc<Session>, message: &Message) {
    let _ = session.send(match message {
        Message::Text(text) => Outgoing::text(text),
        Message::Binary(data) => Outgoing::binary(data),
        _ => return,
    });
}

fn text(text: &str) -> Frame {
    Frame::Text(text.into())
}

/// R12e, R14: polling without a runtime: the held poll is a future that any waker drives.
#[test]
fn polling_needs_no_runtime() {
    let (engine, mut events) = inline(Config::default(), echo);
    let session = open_polling(&engine);
    let (held, reply) = poll(&engine, &session);
    let mut held = pin!(held);
    let count = Arc::new(Count::default());
    assert!(poll_once(held.as_mut(), &count).is_pending());
    assert_eq!(count.woken(), 0);

    let (mut permit, post_reply) = post(&engine, &session);
    assert!(block_on(permit.deliver(Bytes::from_static(b"4one\x1e4two\x1ebAQ=="))));
    permit.finish();
    assert_eq!(post_reply.posted(true).body(), "ok");
    assert_eq!(count.woken(), 1, "a burst wakes once");
    let TaskPoll::Ready(body) = poll_once(held.as_mut(), &count) else { panic!("an answer") };
    assert_eq!(reply.poll(body).body(), "4one\x1e4two\x1ebAQ==");
    assert!(matches!(events.try_recv(), Ok(Event::Open(_))));
    assert!(matches!(events.try_recv(), Ok(Event::Text(_, text)) if text == "one"));
    assert!(engine.runtime().is_none());
}

/// A poll that is dropped unanswered has been aborted; so has a POST.
#[test]
fn dropping_a_poll_or_a_post_ends_the_session() {
    let (engine, mut events) = inline(Config::default(), quiet);
    let session = open_polling(&engine);
    drop(poll(&engine, &session));
    assert_eq!(session.close_reason(), Some(CloseReason::TransportError));
    let session = open_polling(&engine);
    drop(post(&engine, &session));
    assert_eq!(session.close_reason(), Some(CloseReason::TransportError));
    let mut closed = 0;
    while let Ok(event) = events.try_recv() {
        closed += usize::from(matches!(event, Event::Close(_, CloseReason::TransportError)));
    }
    assert_eq!((closed, engine.session_count()), (2, 0));
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session.id());
    assert!(matches!(step(&engine, "GET", &target), Step::Respond(response) if response.status() == 400));
}

/// A poll that was not answered before the session moved on may be dropped: the session does not need it any more.
#[test]
fn a_poll_dropped_after_the_upgrade_ends_nothing() {
    let (engine, _events) = inline(Config::default(), quiet);
    let session = open_polling(&engine);
    let (held, _reply) = poll(&engine, &session);
    let mut held = Box::pin(held);
    assert!(poll_once(held.as_mut(), &Arc::default()).is_pending());
    let client = Connection::upgrade(&session, || {}).unwrap();
    client.feed(text("2probe"));
    client.feed(text("5"));
    drop(held);
    assert!(session.is_open());
    assert_eq!(session.transport(), TransportKind::WebSocket);
}

/// A poll that is still held at the upgrade is answered with a noop.
#[test]
fn a_poll_held_at_the_upgrade_gets_a_noop() {
    let (engine, _events) = inline(Config::default(), quiet);
    let session = open_polling(&engine);
    let (held, _reply) = poll(&engine, &session);
    let mut held = Box::pin(held);
    let count = Arc::new(Count::default());
    assert!(poll_once(held.as_mut(), &count).is_pending());
    let client = Connection::upgrade(&session, || {}).unwrap();
    client.feed(text("2probe"));
    assert_eq!(count.woken(), 1);
    client.feed(text("5"));
    session.send(Outgoing::text("for the new transport")).unwrap();
    let TaskPoll::Ready(body) = poll_once(held.as_mut(), &count) else { panic!("an answer") };
    assert_eq!(body.bytes(), "6");
    assert_eq!(client.take_batch(), [text("3probe"), text("4for the new transport")]);
}

/// R12: a session moves from polling driven by hand to a WebSocket in memory, with all that waits, in order.
#[test]
fn polling_by_hand_moves_to_memory() {
    let (engine, mut events) = inline(Config::default(), echo);
    let session = open_polling(&engine);
    for i in 0..3 {
        session.send(Outgoing::text(&i.to_string())).unwrap();
    }
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = wakes.clone();
    let client = Connection::upgrade(&session, move || {
        count.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    assert!(Connection::upgrade(&session, || {}).is_none(), "one at a time");
    client.feed(text("2probe"));
    assert_eq!(client.take_batch(), [text("3probe")]);
    let (held, _reply) = poll(&engine, &session);
    assert_eq!(block_on(held).bytes(), "6");
    client.feed(text("5"));
    assert!(wakes.load(Ordering::SeqCst) >= 2);
    client.feed(text("4hello"));
    client.feed(Frame::Binary(Bytes::from_static(b"data")));
    assert_eq!(
        client.take_batch(),
        [text("40"), text("41"), text("42"), text("4hello"), Frame::Binary(Bytes::from_static(b"data"))]
    );
    assert!(Connection::upgrade(&session, || {}).is_none());
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(matches!(&told[1..3], [Event::Upgraded(_), Event::Text(_, text)] if text == "hello"), "{told:?}");
}

/// R14: memory without a runtime: the handler runs inside `feed`, and what it sends is there when `feed` returns.
#[test]
fn memory_is_synchronous() {
    let (engine, mut events) = inline(Config::default(), echo);
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = wakes.clone();
    let client = Connection::open(&engine, handshake(), move || {
        count.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    assert_eq!(wakes.load(Ordering::SeqCst), 1, "the OPEN packet waits");
    let Some(Frame::Text(open)) = client.take_batch().pop() else { panic!("an OPEN packet") };
    assert!(open.starts_with(r#"0{"sid":""#));
    client.feed(text("4hello"));
    client.feed(Frame::Binary(Bytes::from_static(&[1, 2])));
    assert_eq!(client.take_batch(), [text("4hello"), Frame::Binary(Bytes::from_static(&[1, 2]))]);
    assert_eq!(client.session().handshake().query("token").as_deref(), Some("1"));
    let woken = wakes.load(Ordering::SeqCst);
    client.session().send(Outgoing::text("from outside")).unwrap();
    client.session().send(Outgoing::text("and again")).unwrap();
    assert_eq!(wakes.load(Ordering::SeqCst), woken + 1, "woken once until it takes what waits");
    assert_eq!(client.take_batch().len(), 2);

    client.feed(text("1"));
    assert!(!client.is_open());
    assert_eq!(engine.session_count(), 0);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(matches!(told.last(), Some(Event::Close(_, CloseReason::ClientClose))), "{told:?}");
}

/// R14: time passes only by `tick`; hearts beat and stop by it.
#[test]
fn time_passes_by_tick() {
    let (engine, mut events) = inline(Config::default(), quiet);
    let client = Connection::open(&engine, handshake(), || {}).unwrap();
    client.take_batch();
    let start = Instant::now();
    assert!(engine.next_deadline().unwrap() <= start + Duration::from_secs(26));
    engine.tick(start + Duration::from_secs(24));
    assert_eq!(client.take_batch(), []);
    engine.tick(start + Duration::from_millis(25_100));
    assert_eq!(client.take_batch(), [text("2")]);
    client.feed(text("3"));
    engine.tick(start + Duration::from_millis(50_000));
    assert_eq!(client.take_batch(), []);
    engine.tick(start + Duration::from_millis(50_300));
    assert_eq!(client.take_batch(), [text("2")]);
    engine.tick(start + Duration::from_millis(70_000));
    assert!(client.is_open());
    engine.tick(start + Duration::from_millis(70_500));
    assert!(!client.is_open());
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(matches!(told.last(), Some(Event::Close(_, CloseReason::PingTimeout))), "{told:?}");
    assert_eq!(engine.session_count(), 0);
}

/// A client that takes its time between probe and upgrade gets no ping meanwhile, and is not closed for want of a pong.
#[test]
fn no_pong_is_due_between_probe_and_upgrade() {
    let beats = config(|c| {
        c.ping_interval = Duration::from_secs(1);
        c.ping_timeout = Duration::from_secs(2);
    });
    let (engine, _events) = inline(beats, quiet);
    let session = open_polling(&engine);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session.id());
    let start = Instant::now();
    let stream = Connection::upgrade(&session, || {}).expect("nobody else wants to take over");
    stream.feed(text("2probe"));
    assert_eq!(stream.take_batch(), [text("3probe")]);
    for seconds in 1..9 {
        engine.tick(start + Duration::from_secs(seconds));
        let Step::Poll(poll, _) = step(&engine, "GET", &target) else { panic!("the session is gone") };
        assert_eq!(block_on(poll).bytes(), "6", "after {seconds} s");
    }
    stream.feed(text("5"));
    assert_eq!(stream.take_batch(), [text("2")], "the ping has waited");
    engine.tick(start + Duration::from_millis(9900));
    assert!(stream.is_open(), "its pong has its whole time from now on");
    stream.feed(text("3"));
    engine.tick(start + Duration::from_millis(11_200));
    assert_eq!(stream.take_batch(), [text("2")], "the heart beats on");
    engine.tick(start + Duration::from_millis(13_200));
    assert!(!stream.is_open());
}

/// R14: where tests pause tokio's clock, the engine goes by that from its first moment on, however much later by the clock on
/// the wall it was made.
#[tokio::test(start_paused = true)]
async fn a_paused_clock_is_the_clock_of_the_engine() {
    std::thread::sleep(Duration::from_millis(30));
    let (engine, _events) = inline(Config::default(), quiet);
    engine.attach_runtime();
    for expected in [0, 10, 20] {
        assert_eq!(engine.now(), expected);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// F-PRO-07: a pong that was due while a handler blocked gets its whole time once the handler is done.
#[test]
fn a_pong_gets_its_time_after_a_blocked_handler() {
    let start = Instant::now();
    let at = move |ms: u64| start + Duration::from_millis(ms);
    let beats = config(|c| {
        c.ping_interval = Duration::from_millis(1000);
        c.ping_timeout = Duration::from_millis(1000);
    });
    let (engine, _events) = inline(beats, move |session, _| {
        // The handler takes from 1,500 to 2,990 ms: the pong is due at 2,100, and would be at 3,200 again.
        session.engine().tick(at(2200));
        session.engine().tick(at(2990));
    });
    let client = Connection::open(&engine, handshake(), || {}).unwrap();
    engine.tick(at(1100));
    let frames = client.take_batch();
    assert!(matches!(&frames[..], [Frame::Text(open), ping] if open.starts_with("0{") && *ping == text("2")));
    client.feed(text("4block"));
    engine.tick(at(3500));
    assert!(client.is_open(), "the client had half a second to answer");
    assert_eq!(client.take_batch(), [text("2")], "it was asked again meanwhile");
    client.feed(text("3"));
    engine.tick(at(4400));
    assert!(client.is_open());
    assert_eq!(client.take_batch(), []);
    engine.tick(at(4600));
    assert_eq!(client.take_batch(), [text("2")]);
    engine.tick(at(5700));
    assert!(!client.is_open(), "later pongs are due as ever");
}

/// F-PRO-07: a pong that came while the server itself stood still is not late; a client that does not answer after
/// that is let go.
#[test]
fn a_server_that_stood_still_gives_its_clients_time() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let beats = config(|c| {
        c.ping_interval = Duration::from_millis(1000);
        c.ping_timeout = Duration::from_millis(1000);
    });
    let (engine, _events) = inline(beats, quiet);
    let open = || Connection::open(&engine, handshake(), || {}).unwrap();
    let (well, dead) = (open(), open());
    engine.tick(at(1100));
    // The pongs are due at 2,100, and nobody looks until 10,000.
    engine.tick(at(10_000));
    assert!(well.is_open() && dead.is_open());
    well.feed(text("3"));
    engine.tick(at(11_100));
    assert!(well.is_open(), "its pong had arrived");
    assert!(!dead.is_open(), "nothing came from it");
    // The next pong is due at 12,100. Whoever does not answer is spared once, however often the server stands still.
    engine.tick(at(20_000));
    assert!(well.is_open());
    engine.tick(at(30_000));
    assert!(!well.is_open());
}

/// A session in memory that the server closes hands out what waits, and is gone then; nothing is left of a dropped one.
#[test]
fn memory_sessions_leave_nothing_behind() {
    let (engine, mut events) = inline(Config::default(), quiet);
    let mut sessions = Vec::new();
    for kind in 0..4 {
        let client = Connection::open(&engine, handshake(), || {}).unwrap();
        let session = client.session().clone();
        sessions.push(Arc::downgrade(&session));
        client.take_batch();
        session.send(Outgoing::text("last")).unwrap();
        match kind {
            0 => client.close(),
            1 => {
                session.close(CloseReason::ForcedClose);
                assert_eq!(client.take_batch(), [text("4last")]);
            }
            2 => session.close(CloseReason::ForcedClose),
            _ => {}
        }
        drop(client);
        assert_eq!(engine.session_count(), 0, "{kind}");
    }
    assert!(sessions.iter().all(|session| session.upgrade().is_none()));
    let closed =
        std::iter::from_fn(|| events.try_recv().ok()).filter(|e| matches!(e, Event::Close(..))).count();
    assert_eq!(closed, 4);
}

/// R16: a panic in `on_wake` harms neither the sender nor the hearts of others.
#[test]
fn a_panic_in_on_wake_ends_there() {
    let (engine, _events) = inline(Config::default(), quiet);
    let client = Connection::open(&engine, handshake(), || panic!("as the test wants it")).unwrap();
    let other = Connection::open(&engine, handshake(), || {}).unwrap();
    client.take_batch();
    other.take_batch();
    client.session().send(Outgoing::text("hello")).unwrap();
    engine.tick(Instant::now() + Duration::from_secs(26));
    let frames = client.take_batch();
    assert!(frames.contains(&text("4hello")) && frames.contains(&text("2")), "{frames:?}");
    assert_eq!(other.take_batch(), [text("2")]);
}

/// R16: no lock is held during calls of the handler and of `on_wake`: anything may be called from inside.
#[test]
fn everything_may_be_called_from_inside() {
    let probe = |session: &Arc<Session>| {
        let _ = (session.is_open(), session.transport(), session.queued(), session.is_writable());
        let _ = (session.engine().sessions(), session.engine().session(session.id().as_str()));
        let _ = session.send(Outgoing::text("x"));
        session.pause_reading();
        session.resume_reading();
        session.set_slot(None);
    };
    let (engine, _events) = inline(Config::default(), move |session, message| {
        probe(session);
        if *message == Message::Text("close".into()) {
            session.close(CloseReason::ForcedClose);
        }
    });
    let held: Arc<std::sync::OnceLock<Arc<Session>>> = Arc::default();
    let seen = held.clone();
    let client = Connection::open(&engine, handshake(), move || {
        if let Some(session) = seen.get() {
            let _ = (session.queued(), session.take_frames(), session.engine().sessions());
        }
    })
    .unwrap();
    held.set(client.session().clone()).unwrap();
    for packet in ["4hello", "4close"] {
        client.feed(text(packet));
    }
    client.take_batch();
    assert_eq!(engine.session_count(), 0);
}

// ---- any stream ----

fn websocket_request(target: &str) -> http::request::Parts {
    http::Request::get(target)
        .header("Host", "localhost")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", support::KEY)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

/// A WebSocket on a stream with room for `capacity` bytes each way.
async fn on_duplex(engine: &Engine, target: &str, capacity: usize, leftover: Bytes) -> Ws<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let Step::WebSocket(websocket, reply) = begin(engine, &mut websocket_request(target)).await else {
        panic!("a WebSocket")
    };
    assert_eq!(reply.switching().status(), 101);
    engine.attach_runtime();
    tokio::spawn(websocket.run(theirs, leftover));
    Ws::on(ours)
}

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// R12b: a WebSocket on any byte stream, even one that takes three bytes at a time.
#[tokio::test]
async fn a_websocket_runs_on_any_stream() {
    for capacity in [3, 100, 1 << 20] {
        let (engine, mut events) = inline(Config::default(), echo);
        let leftover = Bytes::from([text_frame("4left"), text_frame("4over")[..4].to_vec()].concat());
        let mut ws = on_duplex(&engine, WEBSOCKET, capacity, leftover).await;
        assert!(ws.text().await.starts_with("0{"));
        ws.raw(&text_frame("4over")[4..]).await;
        assert_eq!((ws.text().await, ws.text().await), ("4left".into(), "4over".into()));
        ws.send_binary(&[7; 300]).await;
        assert_eq!(ws.binary().await, [7; 300]);
        ws.send_frame(true, 9, b"hi").await;
        assert_eq!(ws.frame().await.unwrap().opcode, 10);
        let session = engine.sessions().remove(0);
        let sender = session.clone();
        let thread = std::thread::spawn(move || {
            for i in 0..100 {
                sender.send(Outgoing::text(&i.to_string())).unwrap();
            }
        });
        for i in 0..100 {
            assert_eq!(ws.text().await, format!("4{i}"));
        }
        thread.join().unwrap();
        session.send(Outgoing::text("last")).unwrap();
        session.close(CloseReason::ForcedClose);
        assert_eq!(ws.text().await, "4last");
        assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
        until("no session", || engine.session_count() == 0).await;
        let weak = Arc::downgrade(&session);
        drop(session);
        drop(ws);
        until("the session to be dropped", || weak.upgrade().is_none()).await;
        while !matches!(events.recv().await, Some(Event::Close(_, CloseReason::ForcedClose))) {}
    }
}

/// Five thousand messages in one write over a generic stream, echoed in order.
#[tokio::test]
async fn a_burst_on_any_stream_keeps_its_order() {
    let (engine, _events) = inline(Config::default(), echo);
    let mut ws = on_duplex(&engine, WEBSOCKET, 64 << 10, Bytes::new()).await;
    ws.text().await;
    let bytes: Vec<u8> = (0..5000).flat_map(|i| text_frame(&format!("4{i}"))).collect();
    let (mut read, mut write) = tokio::io::split(ws.stream);
    let writer = tokio::spawn(async move { write.write_all(&bytes).await });
    let mut got = Vec::new();
    let expected: Vec<u8> = (0..5000)
        .flat_map(|i| {
            let text = format!("4{i}");
            [&[0x81, text.len() as u8], text.as_bytes()].concat()
        })
        .collect();
    within("all echoes", async {
        while got.len() < expected.len() {
            let mut chunk = vec![0; 4096];
            let read = read.read(&mut chunk).await.unwrap();
            got.extend_from_slice(&chunk[..read]);
        }
    })
    .await;
    assert_eq!(got, expected);
    writer.await.unwrap().unwrap();
}

/// F-PRO-05: the upgrade on a stream that takes a few bytes at a time: nothing stays in a buffer.
#[tokio::test]
async fn an_upgrade_on_a_narrow_stream_completes() {
    for capacity in [1, 2, 5, 64] {
        let (engine, _events) = inline(Config::default(), echo);
        let session = open_polling(&engine);
        let target = format!("{WEBSOCKET}&sid={}", session.id());
        let mut ws = on_duplex(&engine, &target, capacity, Bytes::new()).await;
        ws.send_frame(true, 9, b"ping").await;
        assert_eq!(ws.frame().await.unwrap().opcode, 10);
        ws.probe().await;
        session.send(Outgoing::text("waits")).unwrap();
        ws.send("5").await;
        assert_eq!(ws.text().await, "4waits");
        ws.send("4hello").await;
        assert_eq!(ws.text().await, "4hello");
        assert_eq!(session.transport(), TransportKind::WebSocket);
    }
}

/// A candidate that sends pings and never reads is given up, not stored.
#[tokio::test]
async fn a_candidate_cannot_fill_the_memory() {
    let (engine, _events) = inline(Config::default(), quiet);
    let session = open_polling(&engine);
    let mut ws = on_duplex(&engine, &format!("{WEBSOCKET}&sid={}", session.id()), 1000, Bytes::new()).await;
    let ping = support::frame(true, 9, Some([0; 4]), &[b'x'; 125]);
    let flood = async {
        for sent in 0.. {
            if ws.stream.write_all(&ping).await.is_err() {
                return sent;
            }
            assert!(sent < 100_000, "it stores all the answers");
        }
        0
    };
    within("the end of the candidate", flood).await;
    assert!(session.is_open());
}

/// A stream that ends ends its session.
#[tokio::test]
async fn the_end_of_a_stream_is_a_transport_close() {
    let (engine, mut events) = inline(Config::default(), quiet);
    let mut ws = on_duplex(&engine, WEBSOCKET, 1000, Bytes::new()).await;
    ws.text().await;
    drop(ws);
    let reason = within("the end", async {
        loop {
            if let Some(Event::Close(_, reason)) = events.recv().await {
                break reason;
            }
        }
    })
    .await;
    assert_eq!(reason, CloseReason::TransportClose);
}

/// R12c: a connection on which a request has been read is adopted: the answer is written by the engine, cookie
/// included.
#[tokio::test]
async fn a_connection_can_be_adopted() {
    let cookie = config(|c| c.cookie = Some(wirebird_engine::Cookie::default()));
    let (engine, _events) = inline(cookie, echo);
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let adopting = engine.clone();
    let leftover = Bytes::from(text_frame("4early"));
    let task = tokio::spawn(async move {
        stream::adopt(&adopting, websocket_request(WEBSOCKET), theirs, leftover).await
    });
    let head = read_head(&mut ours).await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    assert!(head.to_ascii_lowercase().contains("set-cookie: io="), "{head}");
    let mut ws = Ws::on(ours);
    assert!(ws.text().await.starts_with("0{"));
    assert_eq!(ws.text().await, "4early");
    ws.send_close(1000).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    drop(ws);
    within("the end", task).await.unwrap().unwrap();
}

/// R12c: what is no WebSocket request of ours gets its refusal on the connection.
#[tokio::test]
async fn an_adopted_connection_can_be_refused() {
    let (engine, _events) = inline(Config::default(), quiet);
    let session = open_polling(&engine);
    let sid = session.id();
    let poll = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    for (target, body) in [
        ("/socket.io/?EIO=3&transport=websocket", r#"{"code":5,"message":"Unsupported protocol version"}"#),
        ("/socket.io/?EIO=4&transport=websocket&sid=x", r#"{"code":1,"message":"Session ID unknown"}"#),
        (&poll, r#"{"code":3,"message":"Bad request"}"#),
    ] {
        let (mut ours, theirs) = tokio::io::duplex(1 << 16);
        stream::adopt(&engine, websocket_request(target), theirs, Bytes::new()).await.unwrap();
        let mut answer = String::new();
        within("an answer", ours.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
    assert!(session.is_open(), "a request that is not for a WebSocket touches no session");
    // A plain poll on an adopted connection is refused, and harms nobody either.
    let mut parts = http::Request::get(&*poll).body(()).unwrap().into_parts().0;
    parts.headers.insert("host", "localhost".parse().unwrap());
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    stream::adopt(&engine, parts, theirs, Bytes::new()).await.unwrap();
    let mut answer = String::new();
    within("an answer", ours.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(session.is_open(), "{:?}", session.close_reason());
}

/// R12: a framework with an upgrade of its own hands the stream over; one that fails at that harms nobody, and what is
/// no WebSocket never asks for it.
#[tokio::test]
async fn a_framework_can_have_an_upgrade_of_its_own() {
    let (engine, _events) = inline(Config::default(), echo);
    let request =
        |target| http::Request::from_parts(websocket_request(target), http_body_util::Empty::<Bytes>::new());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (late, upgrade) = tokio::sync::oneshot::channel();
    let answer = handle_with_upgrade(&engine, request(WEBSOCKET), upgrade).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(engine.session_count(), 0, "the connection is not there yet");
    late.send(theirs).unwrap();
    let mut ws = Ws::on(ours);
    assert!(ws.text().await.starts_with("0{"));
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    ws.send_close(1000).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));

    let (failed, upgrade) = tokio::sync::oneshot::channel::<DuplexStream>();
    assert_eq!(handle_with_upgrade(&engine, request(WEBSOCKET), upgrade).await.status(), 101);
    drop(failed);
    let refused = async { panic!("nobody asked for it") as Result<DuplexStream, std::io::Error> };
    let unknown = request("/socket.io/?EIO=4&transport=websocket&sid=unknown");
    assert_eq!(handle_with_upgrade(&engine, unknown, refused).await.status(), 400);
    until("all to be gone", || engine.session_count() == 0).await;
}

async fn read_head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
