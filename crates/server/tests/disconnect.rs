//! Disconnecting: once, with the true reason, after everything before it, and leaving nothing behind.

mod support;

use std::time::Duration;

use support::{Client, Latch, Log, logged, settle, watched};
use wirebird::extract::{Data, State};
use wirebird::{AckError, DisconnectReason, MemoryCluster, SendQueue, Server, Socket};

/// F-DIS-01, F-DIS-02, F-DIS-03, pain 8: the causes that a client or the application brings about.
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

/// F-DIS-04: handlers take the reason, or do not.
#[tokio::test]
async fn handlers_need_not_take_the_reason() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_disconnect(async |State(log): State<Log>| log.push("no reason"));
    io.of("/nothing").on_disconnect({
        let log = log.clone();
        move || {
            log.push("nothing at all");
            std::future::ready(())
        }
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/nothing").await;
    client.break_off();
    let mut lines = log.wait(2).await;
    lines.sort();
    assert_eq!(lines, ["no reason", "nothing at all"]);
}

/// F-DIS-06: an id that nobody has is no error, in a cluster neither: the other servers are told.
#[tokio::test]
async fn disconnecting_unknown_sockets_is_no_error() {
    let (builder, log) = logged();
    let cluster = MemoryCluster::new();
    let io = Server::builder().adapter(cluster.adapter()).build();
    let there = watched(builder.adapter(cluster.adapter()));
    let client = Client::open(&there);
    let id = client.join("/").await;
    Server::new().to("AAAAAAAAAAAAAAAAAAAA").disconnect();
    io.to("AAAAAAAAAAAAAAAAAAAA").disconnect();
    assert!(there.socket_count() == 1 && log.len() == 0);
    io.to(id.as_str()).disconnect();
    assert_eq!(client.next().await, "1");
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
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
