//! What is left after the end: nothing, whichever way it came.

mod support;

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, Latch, Log, logged, settle, until, watched};
use wirebird::extract::State;
use wirebird::{Error, Server, Socket};

/// F-DIS-05, F-ROM-05, F-SES-04
#[tokio::test]
async fn rooms_and_session_are_readable_in_the_handler_and_gone_afterwards() {
    #[derive(Clone)]
    struct User(Arc<String>);
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
    let value = Arc::new("me".to_owned());
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
