//! Disconnecting: once, with the true reason, after everything before it, and leaving nothing behind.

mod support;

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, Latch, Log, settle, until};
use wirebird::extract::{Data, State};
use wirebird::{AckError, Builder, DisconnectReason, Error, SendQueue, Server, Socket};

fn logged() -> (Builder, Log) {
    let log = Log::default();
    (Server::builder().state(log.clone()), log)
}

/// Logs every disconnection.
fn watched(builder: Builder) -> Server {
    let io = builder.build();
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"));
    });
    io
}

/// F-DIS-01, F-DIS-02, F-DIS-03: the causes that a client or the application brings about.
#[tokio::test]
async fn each_cause_has_its_reason_and_comes_once() {
    type Cause = fn(&Client, &Socket);
    let causes: [(&str, Cause); 10] = [
        ("ClientDisconnect", |client, _| client.send("1")),
        ("ClientDisconnect", |client, _| client.raw("1")),
        ("ServerDisconnect", |_, socket| socket.disconnect()),
        ("ServerDisconnect", |_, socket| socket.disconnect_transport()),
        ("ServerDisconnect", |_, socket| socket.namespace().to(socket.id()).disconnect_transports()),
        ("TransportClose", |client, _| client.break_off()),
        ("ParseError", |client, _| client.send("2{}")),
        ("ParseError", |client, _| client.raw("x")),
        ("ForcedServerClose", |client, _| client.send(r#"2/elsewhere,["event"]"#)),
        ("TransportError", |client, _| client.raw("2")),
    ];
    for (reason, cause) in causes {
        let (builder, log) = logged();
        let io = watched(builder);
        let client = Client::open(&io);
        let id = client.join("/").await;
        let socket = io.socket(id.as_str()).unwrap();
        cause(&client, &socket);
        log.wait(1).await;
        // Whatever comes after is too late.
        socket.disconnect();
        socket.disconnect_transport();
        client.send("1");
        client.break_off();
        settle().await;
        assert_eq!(log.all(), [reason]);
        assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0), "{reason}");
    }
}

/// F-DIS-03, AB18
#[tokio::test(start_paused = true)]
async fn a_missing_pong_is_a_ping_timeout() {
    let (builder, log) = logged();
    let io = watched(builder.ping_interval(Duration::from_secs(25)).ping_timeout(Duration::from_secs(20)));
    let client = Client::mute(&io);
    client.join("/").await;
    tokio::time::sleep(Duration::from_millis(44_900)).await;
    assert_eq!(log.len(), 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(log.wait(1).await, ["PingTimeout"]);
}

/// F-PRO-12: a client that does not read.
#[tokio::test]
async fn a_full_queue_is_a_slow_consumer() {
    let (builder, log) = logged();
    let mut queue = SendQueue::default();
    queue.max_packets = 10;
    let io = watched(builder.send_queue(queue));
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..11 {
        io.emit("news", n).unwrap();
    }
    assert_eq!(log.wait(1).await, ["SlowConsumer"]);
    assert!(!client.is_open());
}

/// F-PRO-22, F-INT-04
#[tokio::test]
async fn closing_the_server_is_a_shutdown() {
    let (builder, log) = logged();
    let io = watched(builder);
    let clients = [Client::open(&io), Client::open(&io)];
    for client in &clients {
        client.join("/").await;
    }
    tokio::join!(io.close(), io.close(), async {
        for client in &clients {
            client.closed().await;
            client.take();
        }
    });
    assert_eq!(log.all(), ["ServerShutdown"; 2]);
    io.close().await;
    assert_eq!(log.len(), 2);
}

/// F-DIS-05, F-SES-04
#[tokio::test]
async fn rooms_and_session_are_readable_in_the_handler_and_gone_afterwards() {
    #[derive(Clone)]
    struct User(Arc<&'static str>);
    let (builder, log) = logged();
    let io = builder.build();
    io.on_disconnect(async |socket: Socket, State(log): State<Log>| {
        let (mut rooms, user) = (socket.rooms(), socket.session().get::<User>().unwrap());
        rooms.remove(0);
        log.push(format!("{rooms:?} {} {}", user.0, socket.is_connected()));
        let namespace = socket.namespace();
        log.push(format!("{} {}", namespace.socket_count(), namespace.sockets().len()));
        log.push(format!("{} {:?}", namespace.socket(socket.id()).is_none(), socket.join("late").is_err()));
        socket.emit("too late", ()).unwrap();
        namespace.to("a").emit("too late", ()).unwrap();
    });
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    let value = Arc::new("me");
    let weak: Weak<_> = Arc::downgrade(&value);
    socket.session().insert(User(value));
    socket.join("a").unwrap();
    socket.disconnect();
    assert_eq!(log.wait(3).await, ["[Room(a)] me false", "0 0", "true true"]);
    until("the session's values to go", || weak.upgrade().is_none()).await;
    assert!(socket.rooms().is_empty() && io.rooms().is_empty());
    assert!(socket.session().get::<User>().is_none());
    assert_eq!(client.next().await, "1");
    settle().await;
    assert!(client.take().is_empty(), "nothing after the farewell");
}

/// F-DIS-05: from the moment it leaves, whatever its handlers still do.
#[tokio::test]
async fn a_leaving_socket_gets_no_broadcasts() {
    let (builder, latch) = (Server::builder(), Latch::default());
    let io = builder.state(latch.clone()).build();
    io.on("wait", async |State(latch): State<Latch>| latch.wait().await);
    io.of("/stays").on("event", async || ());
    let client = Client::open(&io);
    let id = client.join("/").await;
    client.join("/stays").await;
    let socket = io.socket(id.as_str()).unwrap();
    socket.join("room").unwrap();
    client.send(r#"20["wait"]"#);
    io.emit("before", ()).unwrap();
    socket.disconnect();
    for _ in 0..3 {
        io.emit("after", ()).unwrap();
        io.to("room").emit("after", ()).unwrap();
        io.to(id.as_str()).emit("after", ()).unwrap();
    }
    latch.open(1);
    io.of("/stays").emit("marker", ()).unwrap();
    assert_eq!(client.next_many(3).await, [r#"2["before"]"#, "1", r#"2/stays,["marker"]"#]);
    assert!(client.take().is_empty());
}

/// F-DIS-06: what the client has sent meanwhile is no reason to close everything.
#[tokio::test]
async fn disconnecting_one_namespace_leaves_the_others_alone() {
    let (builder, log) = logged();
    let io = watched(builder);
    io.on("event", async || ());
    io.of("/other").on("event", async || "still here");
    let client = Client::open(&io);
    let id = client.join("/").await;
    client.join("/other").await;
    io.socket(id.as_str()).unwrap().disconnect();
    for packet in [r#"21["event"]"#, "31[]", "1", r#"2["event"]"#] {
        client.send(packet);
    }
    assert_eq!(client.next().await, "1");
    client.send(r#"2/other,0["event"]"#);
    assert_eq!(client.next().await, r#"3/other,0["still here"]"#);
    client.join("/").await;
    assert_eq!(log.all(), ["ServerDisconnect"]);
}

/// F-DIS-07
#[tokio::test]
async fn disconnect_transport_ends_all_namespaces_after_what_was_emitted() {
    let (builder, log) = logged();
    let io = watched(builder);
    io.of("/b").on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("b {reason:?}"));
    });
    let client = Client::open(&io);
    let id = client.join("/").await;
    client.join("/b").await;
    let socket = io.socket(id.as_str()).unwrap();
    io.emit("broadcast", ()).unwrap();
    socket.emit("last words", ()).unwrap();
    socket.disconnect_transport();
    let mut packets = client.next_many(4).await;
    assert_eq!(packets[..2], [r#"2["broadcast"]"#, r#"2["last words"]"#]);
    packets[2..].sort();
    assert_eq!(packets[2..], ["1", "1/b,"]);
    client.closed().await;
    let mut reasons = log.wait(2).await;
    reasons.sort();
    assert_eq!(reasons, ["ServerDisconnect", "b ServerDisconnect"]);
}

/// F-DIS-08
#[tokio::test]
async fn pending_acks_fail_at_once() {
    for cause in [Socket::disconnect as fn(&Socket), Socket::disconnect_transport] {
        let io = Server::new();
        let client = Client::open(&io);
        let id = client.join("/").await;
        let socket = io.socket(id.as_str()).unwrap();
        let ack = socket.emit_with_ack::<u8>("ask", ()).no_timeout().into_future();
        let log = Log::default();
        let sink = log.clone();
        let sink = Box::new(move |answer: wirebird::AckResult| sink.push(format!("{answer:?}")));
        socket.emit_with_sink("ask", &wirebird::RawArgs::empty(), None, sink).unwrap();
        cause(&socket);
        assert_eq!(log.all(), ["Err(Disconnected)"]);
        assert!(matches!(ack.await, Err(AckError::Disconnected)));
        // And so does whoever asks afterwards.
        assert!(matches!(socket.emit_with_ack::<u8>("ask", ()).await, Err(AckError::Disconnected)));
    }
}

/// F-DIS-09
#[tokio::test]
async fn a_failing_disconnect_handler_never_prevents_the_cleanup() {
    for failure in ["error", "panic", "late panic"] {
        let (builder, log) = logged();
        let io = builder.build();
        io.on_disconnect(move || async move {
            match failure {
                "error" => return Err(Error::msg("on purpose")),
                "late panic" => tokio::task::yield_now().await,
                _ => {}
            }
            panic!("on purpose");
        });
        io.on_error({
            let log = log.clone();
            move |error: Error, context: wirebird::extract::EventContext| {
                log.push(format!("{} {}", context.event(), error.is_panic()));
                async { std::hint::black_box("an acknowledgement of nothing") }
            }
        });
        let client = Client::open(&io);
        let id = client.join("/").await;
        let socket = io.socket(id.as_str()).unwrap();
        let value = Arc::new(());
        let weak = Arc::downgrade(&value);
        socket.session().insert(value);
        socket.join("room").unwrap();
        drop(socket);
        client.break_off();
        assert_eq!(log.wait(1).await, [format!("disconnect {}", failure != "error")]);
        until("the cleanup", || weak.upgrade().is_none() && io.rooms().is_empty()).await;
        assert_eq!(io.socket_count(), 0);
    }
}

/// R9, R10: events that were sent before are handled first.
#[tokio::test]
async fn events_before_the_disconnect_are_handled_first() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = watched(builder.state(latch.clone()));
    io.on("event", async |Data(n): Data<u32>, State(latch): State<Latch>, State(log): State<Log>| {
        latch.wait().await;
        log.push(n.to_string());
    });
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..3 {
        client.send(format!(r#"2["event",{n}]"#));
    }
    client.send("1");
    for line in 0..3 {
        settle().await;
        assert_eq!(log.len(), line);
        latch.open(1);
    }
    assert_eq!(log.wait(4).await, ["0", "1", "2", "ClientDisconnect"]);
}

/// A handler that never returns delays the end by `disconnect_grace`, and events behind it are dropped.
#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_delays_the_end_by_the_grace_only() {
    for before_acceptance in [false, true] {
        let (builder, log) = logged();
        let (latch, connecting) = (Latch::default(), Latch::default());
        let io = watched(builder.state(latch.clone()).disconnect_grace(Duration::from_secs(3)));
        let waiting = connecting.clone();
        io.on_connect(move || {
            let waiting = waiting.clone();
            async move { waiting.wait().await }
        });
        io.on("stuck", async |State(latch): State<Latch>, State(log): State<Log>| {
            latch.wait().await;
            log.push("got on");
        });
        let client = Client::open(&io);
        client.send("0");
        if !before_acceptance {
            connecting.open(1);
            client.next().await;
        }
        client.send(r#"2["stuck"]"#);
        client.send(r#"2["stuck"]"#);
        client.send("1");
        connecting.open(1);
        tokio::time::sleep(Duration::from_millis(2900)).await;
        assert_eq!(log.len(), 0);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(log.all(), ["ClientDisconnect"], "{before_acceptance}");
        latch.open(2);
        log.wait(2).await;
        settle().await;
        assert_eq!(log.all(), ["ClientDisconnect", "got on"]);
        assert_eq!(io.socket_count(), 0);
    }
}

/// F-DIS-10
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn disconnecting_from_anywhere_neither_deadlocks_nor_fires_twice() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on("leave", async |socket: Socket, State(log): State<Log>| {
        socket.disconnect();
        socket.disconnect();
        log.push("event");
    });
    io.on_disconnect(async |socket: Socket, State(log): State<Log>| {
        socket.disconnect();
        socket.disconnect_transport();
        socket.namespace().all().disconnect_transports();
        log.push("disconnect");
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"2["leave"]"#);
    assert_eq!(client.next().await, "1");
    let mut lines = log.wait(2).await;
    lines.sort();
    assert_eq!(lines, ["disconnect", "event"]);
    client.closed().await;
    log.take();

    // Everybody at once.
    for _ in 0..200 {
        let client = Client::open(&io);
        let id = client.join("/").await;
        let socket = io.socket(id.as_str()).unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let (socket, conn) = (socket.clone(), client.conn.clone());
                tokio::spawn(async move {
                    match n {
                        0 => socket.disconnect(),
                        1 => socket.disconnect_transport(),
                        2 => conn.close(),
                        _ => socket.namespace().to(socket.id()).disconnect(),
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        log.wait(1).await;
        until("the end", || io.socket_count() == 0).await;
        assert_eq!(log.take(), ["disconnect"]);
    }
}

/// A disconnection in the very moment of acceptance: the client is never left with a connection that is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disconnect_that_races_with_acceptance_is_told_to_the_client() {
    let slot: Arc<Mutex<Option<Socket>>> = Arc::default();
    let io = Server::builder().state(slot.clone()).build();
    io.on_connect(async |socket: Socket, State(slot): State<Arc<Mutex<Option<Socket>>>>| {
        *slot.lock() = Some(socket);
        tokio::task::yield_now().await;
    });
    for _ in 0..1000 {
        let client = Client::open(&io);
        client.send("0");
        let socket = slot.lock().take().unwrap();
        tokio::spawn(async move { socket.disconnect() });
        // Either it was refused, or it was connected and then disconnected.
        let first = client.next().await;
        if first.starts_with("0{") {
            assert_eq!(client.next().await, "1");
        } else {
            assert!(first.starts_with("4{"), "{first}");
        }
        until("the end", || io.socket_count() == 0).await;
    }
}

/// After the end nothing is left: not in the engine, not in the namespace, not in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_a_thousand_clients() {
    let io = Server::new();
    let value = Arc::new(());
    io.on_connect({
        let weak = Arc::downgrade(&value);
        move |socket: Socket| {
            socket.session().insert(weak.upgrade());
            socket.set_slot(weak.upgrade().map(|value| value as _));
            let _ = socket.join("room");
            async { std::hint::black_box(()) }
        }
    });
    for round in 0..10 {
        let clients: Vec<_> = (0..100).map(|_| Client::open(&io)).collect();
        for client in &clients {
            client.join("/").await;
            drop(io.emit_with_ack::<u8>("ask", ()).stream().unwrap());
        }
        assert!(Arc::strong_count(&value) > 100);
        for (n, client) in clients.iter().enumerate() {
            match (n + round) % 3 {
                0 => client.send("1"),
                1 => client.break_off(),
                _ => client.raw("1"),
            }
        }
        drop(clients);
        until("the end of all", || Arc::strong_count(&value) == 1).await;
        assert_eq!((io.socket_count(), io.engine().session_count(), io.rooms().len()), (0, 0, 0));
    }
}
