//! How sessions and engines end, and that nothing is left of them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Event, Http, Polling, TestServer, Ws, WsClosed, config, pending_for, quiet, until, within};
use wirebird_engine::{CloseReason, Engine, Outgoing};

/// F-PRO-22: what is queued arrives, then the close packet.
#[tokio::test]
async fn a_closed_polling_session_sends_what_waits() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for i in 0..20 {
        session.send(Outgoing::text(&i.to_string())).unwrap();
    }
    session.close(CloseReason::ForcedClose);
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert!(session.send(Outgoing::text("too late")).is_err());
    assert_eq!(server.engine.session_count(), 1, "its last packets have not been fetched");
    client.post(b"4too late").await.assert_error(400, 1, "Session ID unknown");
    let mut packets = client.poll().await;
    packets.extend(client.poll().await);
    let mut expected: Vec<_> = (0..20).map(|i| format!("4{i}")).collect();
    expected.push("1".into());
    assert_eq!(packets, expected);
    assert_eq!(server.engine.session_count(), 0);
    client.poll_response().await.assert_error(400, 1, "Session ID unknown");
}

/// wire-protocol §2.5: a close waits for the next poll, but not for ever.
#[tokio::test]
async fn a_close_nobody_fetches_is_forgotten() {
    let server = TestServer::with(config(|c| c.close_timeout = Duration::from_millis(100)), quiet).await;
    let client = Polling::open(server.addr).await;
    server.session(&client.sid).close(CloseReason::ForcedClose);
    assert_eq!(server.engine.session_count(), 1);
    within("an empty engine", server.engine.emptied()).await;
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-22: what is queued arrives, then the close frame.
#[tokio::test]
async fn a_closed_websocket_sends_what_waits() {
    let mut server = TestServer::start().await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let text = "x".repeat(50_000);
    let mut sent = 0;
    while session.queued().0 < 100 {
        session.send(Outgoing::text(&text)).unwrap();
        sent += 1;
    }
    session.close(CloseReason::ForcedClose);
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(server.engine.session_count(), 1, "its last packets have not gone out");
    for _ in 0..sent {
        assert_eq!(ws.text().await.len(), 50_001);
    }
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    until("no session", || server.engine.session_count() == 0).await;
}

/// F-PRO-22: a client that goes away instead of taking its last packets keeps neither the session nor a thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_leaves_during_the_close_is_forgotten() {
    let server = TestServer::start().await;
    let (ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let text = "x".repeat(50_000);
    while session.queued().0 < 100 {
        session.send(Outgoing::text(&text)).unwrap();
    }
    session.close(CloseReason::ForcedClose);
    let weak = Arc::downgrade(&session);
    drop(session);
    ws.reset();
    until("no session", || server.engine.session_count() == 0).await;
    until("the session to be dropped", || weak.upgrade().is_none()).await;
}

/// F-PRO-22: shutdown says so to every client and handler, and ends when all is said.
#[tokio::test]
async fn shutdown_closes_everybody() {
    let mut server = TestServer::start().await;
    let mut polling = Polling::open(server.addr).await;
    polling.begin_poll().await;
    until("a held poll", || server.session(&polling.sid).is_writable()).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    server.session(open["sid"].as_str().unwrap()).send(Outgoing::text("last")).unwrap();
    let emptied = server.engine.emptied();
    let closing = server.engine.closing();
    server.engine.begin_close();
    within("the word", closing).await;
    assert_eq!(polling.end_poll().await, ["6"]);
    assert_eq!(ws.text().await, "4last");
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1001)));
    within("an empty engine", emptied).await;
    within("an empty engine", server.engine.emptied()).await;
    for _ in 0..2 {
        assert_eq!(server.closed().await, CloseReason::ServerShutdown);
    }
    for target in ["/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket"] {
        let mut http = Http::connect(server.addr).await;
        Ws::handshake(&mut http, target, &[]).await.assert_empty(503);
    }
    server.engine.begin_close();
    assert!(!server.pending_events().iter().any(|event| matches!(event, Event::Open(_) | Event::Close(..))));
}

/// F-PRO-22: the engine is empty only when what was queued, and the close frame, have been written.
#[tokio::test]
async fn an_engine_is_empty_only_when_all_is_written() {
    let server = TestServer::start().await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let text = "x".repeat(50_000);
    let mut sent = 0;
    while session.queued().0 < 100 {
        session.send(Outgoing::text(&text)).unwrap();
        sent += 1;
    }
    server.engine.begin_close();
    assert!(pending_for(Duration::from_millis(100), server.engine.emptied()).await);
    for _ in 0..sent {
        ws.text().await;
    }
    within("an empty engine", server.engine.emptied()).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1001)));
}

/// F-PRO-22: an engine that is empty has said goodbye: the close frame is on its way even if the runtime ends now.
#[test]
fn the_close_frame_is_written_before_the_engine_is_empty() {
    use std::io::Read;
    for _ in 0..20 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ws = runtime.block_on(async {
            let server = TestServer::start().await;
            let (ws, _) = Ws::open(server.addr).await;
            server.engine.begin_close();
            within("an empty engine", server.engine.emptied()).await;
            ws.stream.into_std().unwrap()
        });
        runtime.shutdown_background();
        let mut ws = ws;
        ws.set_nonblocking(false).unwrap();
        let mut rest = Vec::new();
        ws.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\x88\x16\x03\xe9server shutting down");
    }
}

/// F-PRO-22: so is the answer to a held poll, which keeps no client from coming back.
#[test]
fn the_last_answer_is_written_before_the_engine_is_empty() {
    use std::io::Read;
    for _ in 0..50 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut http = runtime.block_on(async {
            let server = TestServer::start().await;
            let mut client = Polling::open(server.addr).await;
            client.begin_poll().await;
            until("a held poll", || server.session(&client.sid).is_writable()).await;
            server.engine.begin_close();
            within("an empty engine", server.engine.emptied()).await;
            client.get.stream.into_std().unwrap()
        });
        runtime.shutdown_background();
        http.set_nonblocking(false).unwrap();
        let mut rest = String::new();
        http.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("\r\n\r\n6"), "{rest:?}");
    }
}

/// Pain 20: a thousand clients on both transports are closed within two seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_clients_are_closed_within_two_seconds() {
    let server = TestServer::start().await;
    let mut clients = tokio::task::JoinSet::new();
    for i in 0..1000 {
        let addr = server.addr;
        clients.spawn(async move {
            if i % 2 == 0 {
                let (mut ws, _) = Ws::open(addr).await;
                assert_eq!(ws.closed().await, WsClosed::Code(Some(1001)));
            } else {
                let mut client = Polling::open(addr).await;
                assert_eq!(client.poll().await, ["6"]);
            }
        });
    }
    let writable = || server.engine.sessions().iter().filter(|session| session.is_writable()).count();
    tokio::time::timeout(Duration::from_secs(30), async {
        while writable() < 1000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a thousand clients");
    let begun = Instant::now();
    server.engine.begin_close();
    within("an empty engine", server.engine.emptied()).await;
    while let Some(client) = within("a client", clients.join_next()).await {
        client.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// R17: after `stop` no call reaches the handler, whatever happens on the sockets.
#[tokio::test]
async fn nothing_is_called_after_stop() {
    let mut server = TestServer::with(config(|c| c.ping_interval = Duration::from_millis(300)), quiet).await;
    let mut polling = Polling::open(server.addr).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    let idle = Polling::open(server.addr).await;
    let target = idle.target();
    server.engine.begin_close();
    server.engine.stop();
    let told = server.pending_events().iter().filter(|e| matches!(e, Event::Close(..))).count();
    assert_eq!(told, 3);
    ws.send("4too late").await;
    assert!(matches!(ws.closed().await, WsClosed::Code(Some(1001)) | WsClosed::Torn));
    polling.post(b"4too late").await.assert_error(400, 1, "Session ID unknown");
    support::request(server.addr, "PUT", &target, &[], b"").await;
    Http::connect(server.addr)
        .await
        .request("GET", "/socket.io/?EIO=4&transport=polling", &[], b"")
        .await
        .assert_empty(503);
    server.silent_for(Duration::from_millis(500)).await;
    assert_eq!(server.engine.session_count(), 0);
    server.engine.stop();
}

/// R17: work that was handed to the runtime before `stop` and has not begun does not run.
#[tokio::test]
async fn offloaded_work_does_not_outlive_stop() {
    let server = TestServer::start().await;
    let ran = Arc::new(AtomicUsize::new(0));
    server.engine.attach_runtime();
    let count = ran.clone();
    server.engine.offload(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    server.engine.stop();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

/// R17: an engine that is dropped takes its timer task along.
#[tokio::test]
async fn a_dropped_engine_ends_its_task() {
    let (engine, _events) = support::inline(Default::default(), quiet);
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(alive(), 0, "making an engine starts nothing");
    engine.attach_runtime();
    engine.attach_runtime();
    assert_eq!(alive(), 1);
    drop(engine.clone());
    drop(engine);
    until("no task", || alive() == 0).await;
}

/// R17: and so does one that is stopped, though it is still there.
#[tokio::test]
async fn a_stopped_engine_ends_its_task() {
    let (engine, _events) = support::inline(Default::default(), quiet);
    engine.attach_runtime();
    engine.stop();
    until("no task", || tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0).await;
}

/// A panic in somebody's deadline ends with it: the hearts of all sessions beat on.
#[tokio::test]
async fn a_panicking_deadline_stops_no_heart() {
    struct Panics;
    impl wirebird_engine::Expire for Panics {
        fn expire(self: Arc<Self>, _: u64, _: u64) {
            panic!("as the test wants it");
        }
    }
    let server = TestServer::with(config(|c| c.ping_interval = Duration::from_millis(50)), quiet).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    let panics: Arc<dyn wirebird_engine::Expire> = Arc::new(Panics);
    server.engine.schedule(server.engine.now() + 1, Arc::downgrade(&panics), 0);
    for _ in 0..3 {
        assert_eq!(ws.text().await, "2");
        ws.send("3").await;
    }
}

/// Sessions that are opened while the engine closes are closed with it, or never opened; each that was opened is
/// closed once.
#[test]
fn no_session_slips_through_a_shutdown() {
    for _ in 0..200 {
        let (engine, mut events) = support::inline(Default::default(), quiet);
        let start = Arc::new(std::sync::Barrier::new(5));
        let openers: Vec<_> = (0..4)
            .map(|_| {
                let (engine, start) = (engine.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    (0..50).filter_map(|_| open_in_memory(&engine)).collect::<Vec<_>>()
                })
            })
            .collect();
        start.wait();
        engine.begin_close();
        let clients: Vec<_> = openers.into_iter().flat_map(|t| t.join().unwrap()).collect();
        for client in &clients {
            assert!(!client.session().is_open(), "a session slipped through");
            client.take_batch();
        }
        assert_eq!(engine.session_count(), 0);
        let mut open = std::collections::HashSet::new();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Open(session) => {
                    if let Some(session) = session.upgrade() {
                        assert!(open.insert(session.id()));
                    }
                }
                Event::Close(id, reason) => {
                    assert!(open.remove(&id), "a close without an open");
                    assert_eq!(reason, CloseReason::ServerShutdown);
                }
                _ => {}
            }
        }
        assert!(open.is_empty());
    }
}

fn open_in_memory(engine: &Engine) -> Option<wirebird_engine::memory::Connection> {
    let request = http::Request::get("/").body(()).unwrap();
    let handshake =
        wirebird_engine::Handshake::new(&mut request.into_parts().0, &wirebird_engine::TrustedProxies::None);
    wirebird_engine::memory::Connection::open(engine, handshake, || {})
}

/// F-PRO-10, pain 9: whatever way a session ends, nothing of it is left, and its end was told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_leave_nothing_behind() {
    const ROUNDS: usize = 10;
    let server = TestServer::with(config(|c| c.max_payload = 1000), quiet).await;
    let TestServer { engine, addr, mut events, .. } = server;
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..ROUNDS {
        let mut handles = tokio::task::JoinSet::new();
        for kind in 0..14 {
            let engine = engine.clone();
            let dropped = dropped.clone();
            handles.spawn(async move { one_of_a_kind(kind, addr, engine, dropped).await });
        }
        while let Some(handle) = within("a client", handles.join_next()).await {
            handle.unwrap();
        }
    }
    until("no session", || engine.session_count() == 0).await;
    let mut sessions = Vec::new();
    let mut closed = 0;
    // A client that has left at once may have been quicker than its session.
    until("every session to have been opened", || {
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Open(session) => sessions.push(session),
                Event::Close(..) => closed += 1,
                _ => {}
            }
        }
        sessions.len() == 14 * ROUNDS
    })
    .await;
    until("every session to be dropped", || sessions.iter().all(|session| session.upgrade().is_none())).await;
    // Nobody can get at a session any more, but its last thread may still be at its parts.
    until("what the layer above kept to be dropped", || dropped.load(Ordering::SeqCst) == sessions.len())
        .await;
    while let Ok(event) = events.try_recv() {
        closed += usize::from(matches!(event, Event::Close(..)));
    }
    assert_eq!(closed, sessions.len());
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn one_of_a_kind(kind: usize, addr: std::net::SocketAddr, engine: Engine, dropped: Arc<AtomicUsize>) {
    let keep = |sid: &str| {
        let session = engine.session(sid).unwrap();
        session.set_slot(Some(Arc::new(Counted(dropped.clone()))));
        session
    };
    if kind < 6 {
        let (mut ws, open) = Ws::open(addr).await;
        let session = keep(open["sid"].as_str().unwrap());
        match kind {
            0 => drop(ws),
            1 => ws.reset(),
            2 => ws.send_close(1000).await,
            3 => ws.send("1").await,
            4 => ws.send_binary(&[0; 2000]).await,
            _ => {
                session.close(CloseReason::ForcedClose);
                ws.closed().await;
            }
        }
        return;
    }
    let mut client = Polling::open(addr).await;
    let session = keep(&client.sid);
    match kind {
        6 => drop(client.post(b"1").await),
        7 => drop(client.post(b"bad").await),
        8 => {
            client.begin_poll().await;
            until("a held poll", || session.is_writable()).await;
        }
        9 => {
            session.close(CloseReason::ForcedClose);
            assert_eq!(client.poll().await, ["1"]);
        }
        10 => {
            let target = client.target();
            client
                .post
                .raw(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n4").as_bytes())
                .await;
        }
        _ => {
            let mut ws = Ws::to(addr, &client.target_on("websocket"), &[]).await;
            ws.probe().await;
            match kind {
                11 => {
                    ws.send("5").await;
                    drop(ws);
                }
                12 => {
                    session.close(CloseReason::ForcedClose);
                    ws.closed().await;
                    assert_eq!(client.poll().await, ["1"]);
                }
                _ => {
                    ws.send("5").await;
                    ws.send("2").await;
                    ws.closed().await;
                }
            }
        }
    }
}
