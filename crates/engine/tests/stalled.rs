//! Clients that take nothing although something waits for them: each is let go in bounded time, with a reason of its own.

mod support;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use support::{
    Event, Http, KEY, Polling, TestServer, Ws, WsClosed, config, pending_for, quiet, text_frame, until,
    within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wirebird_engine::{CloseReason, Config, Limit, Outgoing, Overflow, Session, memory};

/// Short enough to be waited for, and far longer than a healthy client needs.
const TIMEOUT: Duration = Duration::from_millis(600);
/// What nothing else is waited for with.
const AGES: Duration = Duration::from_secs(600);

fn impatient() -> Config {
    config(|c| {
        c.write_timeout = TIMEOUT;
        c.ping_timeout = AGES;
        c.send_queue.max_bytes = usize::MAX;
        c.send_queue.max_packets = usize::MAX;
    })
}

async fn open(server: &TestServer) -> (Ws, Arc<Session>) {
    let (ws, open) = Ws::open(server.addr).await;
    (ws, server.session(open["sid"].as_str().unwrap()))
}

/// Sends until the kernel takes no more and something waits in the queue.
fn fill(session: &Session) {
    let message = Outgoing::binary(&[b'x'; 100_000]);
    while session.queued().0 == 0 {
        session.send(message.clone()).expect("room");
    }
}

/// How a connection that is not read from ends: reset, so that the kernel keeps nothing for it.
async fn reset(mut ws: Ws) {
    let mut buffer = vec![0; 1 << 20];
    let ended = within("the end", async {
        loop {
            match ws.stream.read(&mut buffer).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(error.kind()),
            }
        }
    });
    assert_eq!(ended.await, Some(ErrorKind::ConnectionReset));
}

/// F-PRO-12, F-EMT-15: a WebSocket client that reads nothing for `write_timeout` while something waits is closed, however little that
/// is, and although its pongs come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_closed() {
    let mut server = TestServer::with(impatient(), quiet).await;
    let (mut ws, session) = open(&server).await;
    fill(&session);
    let begun = Instant::now();
    within("its end", async {
        while session.is_open() {
            // The connection may be reset just before it is written.
            let _ = ws.stream.write_all(&text_frame("3")).await;
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(begun.elapsed() >= TIMEOUT, "closed after {:?}", begun.elapsed());
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    until("its memory is free", || session.queued() == (0, 0)).await;
    assert_eq!(server.engine.metrics().limit(Limit::WriteTime), 1);
    reset(ws).await;
}

/// F-PRO-12: whoever reads slowly, but reads, is not closed for it, nor is one for whom nothing waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_is_not() {
    let server = TestServer::with(impatient(), quiet).await;
    let (_idle, idle) = open(&server).await;
    while !reads_slowly(&server).await {}
    assert!(idle.is_open());
}

/// Reads a piece now and then, until a session that does not read would long be closed. `false` if the test itself did not get
/// to it in time, which says nothing.
async fn reads_slowly(server: &TestServer) -> bool {
    let (mut ws, session) = open(server).await;
    fill(&session);
    let begun = Instant::now();
    let mut last = begun;
    let mut piece = vec![0; 256 << 10];
    while begun.elapsed() < TIMEOUT * 4 {
        sleep(TIMEOUT / 8).await;
        let read = within("a piece", ws.stream.read(&mut piece)).await.unwrap_or(0);
        if last.elapsed() > TIMEOUT / 2 {
            return false;
        }
        assert!(read > 0, "the connection is open");
        last = Instant::now();
        if session.queued().0 == 0 {
            fill(&session);
        }
    }
    assert!(session.is_open());
    true
}

/// F-PRO-12: a client on polling that posts, and never polls for what waits, is closed; one that polls is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_polls_is_closed() {
    let mut server = TestServer::with(impatient(), quiet).await;
    let mut lazy = Polling::open(server.addr).await;
    let mut good = Polling::open(server.addr).await;
    let (session, kept) = (server.session(&lazy.sid), server.session(&good.sid));
    session.send(Outgoing::text("for nobody")).unwrap();
    let begun = Instant::now();
    within("its end", async {
        while session.is_open() {
            // The session may end just before it is answered.
            lazy.post(b"3").await;
            kept.send(Outgoing::text("for somebody")).unwrap();
            assert!(good.poll().await.iter().all(|packet| packet == "4for somebody"));
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(begun.elapsed() >= TIMEOUT, "closed after {:?}", begun.elapsed());
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    assert!(kept.is_open());
}

/// F-PRO-12: more waits than fits into one answer: what is left after a poll is waited for just so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_after_a_poll_is_waited_for_too() {
    let mut server = TestServer::with(impatient(), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for _ in 0..20 {
        session.send(Outgoing::text("x")).unwrap();
    }
    assert_eq!(client.poll().await.len(), 16);
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
}

/// F-PRO-12: a client that asks for an answer and does not read it is let go: its session, for what was in the answer is
/// lost, and its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_read_ends_the_session_and_the_connection() {
    let config = config(|c| {
        c.max_payload = 1 << 30;
        c.http_compression = false;
        c.send_queue.max_bytes = usize::MAX;
        c.write_timeout = TIMEOUT;
    });
    let mut server = TestServer::with(config, quiet).await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    // More than the kernel takes for a connection that nobody reads from.
    session.send(Outgoing::binary(&vec![0; 32 << 20])).unwrap();
    let mut http = Http::connect(server.addr).await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", client.sid);
    http.send("GET", &target, &[], b"").await;
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    assert_eq!(server.engine.metrics().limit(Limit::AnswerTime), 1);
    let (mut stream, _) = http.into_parts();
    within("the end of the connection", async {
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    })
    .await;
}

/// F-PRO-12: a slow client whose queue is full sees why it is closed if it reads on: the code 4008 in a close frame, after whole
/// messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_on_sees_why() {
    let limits = config(|c| {
        c.send_queue.max_packets = 5;
        c.send_queue.overflow = Overflow::Close;
    });
    let mut server = TestServer::with(limits, quiet).await;
    let (mut ws, session) = open(&server).await;
    let message = Outgoing::binary(&vec![b'x'; 777_777]);
    while session.send(message.clone()).is_ok() && session.is_open() {}
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    loop {
        let frame = ws.frame().await.expect("a close frame comes before the end");
        if frame.opcode == 8 {
            assert_eq!(frame.payload, b"\x0f\xa8slow consumer");
            break;
        }
        assert_eq!(frame.payload.len(), 777_777);
    }
    assert_eq!(ws.frame().await, None);
}

/// F-PRO-12: a client on polling sees it from the poll that it holds, also when it is the answers to its own POST that are too
/// many.
#[tokio::test]
async fn a_held_poll_sees_why() {
    let limits = config(|c| c.send_queue.max_packets = 24);
    let mut server =
        TestServer::with(limits, |session, _| while session.send(Outgoing::text("answer")).is_ok() {}).await;
    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    until("a held poll", || server.session(&client.sid).is_writable()).await;
    assert_eq!(client.post(b"4ask").await.text(), "ok");
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    assert_eq!(client.end_poll().await, ["1"]);
}

/// F-PRO-12: one that does not is gone at the level of TCP in bounded time, and with it what the kernel had for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_is_reset() {
    let limits = config(|c| c.send_queue.max_packets = 5);
    let mut server = TestServer::with(limits, quiet).await;
    let (ws, session) = open(&server).await;
    let message = Outgoing::binary(&vec![b'x'; 777_777]);
    while session.send(message.clone()).is_ok() && session.is_open() {}
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);
    until("nothing is left of the session", || server.engine.session_count() == 0).await;
    until("nothing holds the session", || Arc::strong_count(&session) == 1).await;
    reset(ws).await;
}

/// F-PRO-12: the same for a stream that only its task may write to, such as TLS.
#[tokio::test(start_paused = true)]
async fn any_stream_that_takes_nothing_is_closed() {
    let config = config(|c| c.ping_timeout = AGES);
    let timeout = config.write_timeout;
    let mut server = TestServer::with(config, quiet).await;
    let (mut ours, theirs) = tokio::io::duplex(1 << 10);
    let listener = wirebird_engine::http::Listener::new(server.engine.clone());
    tokio::spawn(listener.connection(theirs, http::Extensions::new()));
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    ours.write_all(request.as_bytes()).await.unwrap();
    until("a session", || server.engine.session_count() == 1).await;
    let session = server.engine.sessions().remove(0);
    for _ in 0..10 {
        session.send(Outgoing::binary(&[0; 60_000])).unwrap();
    }
    let begun = Instant::now();
    assert_eq!(closed_at_last(&mut server).await, CloseReason::SlowConsumer);
    assert!(begun.elapsed() >= timeout && begun.elapsed() <= timeout * 2, "{:?}", begun.elapsed());
    drop(ours);
}

/// The reason with which the next session ends, however long that takes on the paused clock.
async fn closed_at_last(server: &mut TestServer) -> CloseReason {
    let closed = async {
        loop {
            if let Event::Close(_, reason) = server.events.recv().await.expect("the handler lives") {
                return reason;
            }
        }
    };
    tokio::time::timeout(AGES, closed).await.expect("it ends at last")
}

/// F-PRO-12: and for a client within the process whose owner takes nothing.
#[tokio::test(start_paused = true)]
async fn a_client_in_memory_that_takes_nothing_is_closed() {
    let mut server = TestServer::with(config(|c| c.ping_interval = AGES), quiet).await;
    let client =
        memory::Connection::open(&server.engine, wirebird_engine::Handshake::default(), || {}).unwrap();
    assert_eq!(client.take_batch().len(), 1);
    let timeout = server.engine.config().write_timeout;
    assert!(matches!(server.event().await, Event::Open(_)));
    assert!(pending_for(timeout * 3, server.events.recv()).await, "nothing waits");
    client.session().send(Outgoing::text("x")).unwrap();
    assert_eq!(closed_at_last(&mut server).await, CloseReason::SlowConsumer);
}

/// F-PRO-05, F-PRO-12: while a client moves to WebSocket its packets wait, and that is not held against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upgrade_is_no_slow_reader() {
    let config = config(|c| {
        c.write_timeout = Duration::from_millis(200);
        c.upgrade_timeout = AGES;
    });
    let server = TestServer::with(config, quiet).await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", client.sid);
    let mut ws = Ws::to(server.addr, &target, &[]).await;
    ws.probe().await;
    session.send(Outgoing::text("x")).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(session.is_open());
    ws.send("5").await;
    assert_eq!(ws.text().await, "4x");
}

/// F-PRO-22: a client that is closed for another reason is told the code that suits it, and why.
#[tokio::test]
async fn the_other_codes() {
    let server = TestServer::start().await;
    let (mut ws, session) = open(&server).await;
    session.close(CloseReason::ForcedClose);
    assert_eq!(ws.frame().await.unwrap().payload, [3, 232]);
    let (mut ws, _) = open(&server).await;
    server.engine.begin_close();
    assert_eq!(ws.frame().await.unwrap().payload, b"\x03\xe9server shutting down");
    assert_eq!(ws.closed().await, WsClosed::Torn);
}
