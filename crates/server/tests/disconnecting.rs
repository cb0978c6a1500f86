//! What runs between being connected and being gone.

mod support;

use std::time::Duration;

use support::{Client, Latch, Log, logged, settle, until};
use wirebird::extract::{EventContext, State};
use wirebird::{DisconnectReason, Error, Server, Socket};

/// Logs both stages of every end: the name, the reason, the rooms, and whether the socket still counts.
fn watched() -> (Server, Log) {
    async fn stage(name: &str, socket: Socket, reason: DisconnectReason, log: Log) {
        let namespace = socket.namespace();
        let mut rooms: Vec<_> = socket.rooms().iter().skip(1).map(ToString::to_string).collect();
        rooms.sort();
        let listed = (
            namespace.sockets().contains(&socket),
            namespace.socket(socket.id()).is_some(),
            namespace.to("a").sockets().contains(&socket),
        );
        log.push(format!("{name} {reason:?} {rooms:?} {listed:?} {}", socket.is_connected()));
    }
    let (builder, log) = logged();
    let io = builder.build();
    io.on_disconnecting(async |socket: Socket, reason: DisconnectReason, State(log): State<Log>| {
        socket.to("a").emit("leaves", ()).unwrap();
        socket.emit("too late", ()).unwrap();
        stage("disconnecting", socket, reason, log).await;
    });
    io.on_disconnect(async |socket: Socket, reason: DisconnectReason, State(log): State<Log>| {
        stage("disconnect", socket, reason, log).await;
    });
    (io, log)
}

/// F-NOD-16, F-DIS-05: first it is still in its rooms and listed, then it is not; nothing more reaches its client.
#[tokio::test]
async fn rooms_are_still_left_while_disconnecting_and_not_any_more_when_disconnected() {
    type Cause = fn(&Client, &Socket);
    let causes: [(&str, Cause); 3] = [
        ("ClientDisconnect", |client, _| client.send("1")),
        ("ServerDisconnect", |_, socket| socket.disconnect()),
        ("TransportClose", |client, _| client.break_off()),
    ];
    for (reason, cause) in causes {
        let (io, log) = watched();
        let (client, other) = (Client::open(&io), Client::open(&io));
        let socket = io.socket(client.join("/").await).unwrap();
        let stays = io.socket(other.join("/").await).unwrap();
        for socket in [&socket, &stays] {
            socket.join("a").unwrap();
        }
        socket.join("b").unwrap();
        cause(&client, &socket);
        let expected = [
            format!(r#"disconnecting {reason} ["a", "b"] (true, true, true) false"#),
            format!(r#"disconnect {reason} ["a", "b"] (false, false, false) false"#),
        ];
        assert_eq!(log.wait(2).await, expected);
        assert_eq!(other.next().await, r#"2["leaves"]"#);
        settle().await;
        assert_eq!(log.len(), 2, "each once");
        assert!(!client.take().iter().any(|packet| packet.contains("late")));
        assert_eq!((io.socket_count(), io.sockets()), (1, vec![stays]));
    }
}

/// F-NOD-16: the disconnect handler waits for it, but not for longer than the grace.
#[tokio::test(start_paused = true)]
async fn a_disconnecting_handler_may_wait_as_long_as_the_grace() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).disconnect_grace(Duration::from_secs(3)).build();
    io.on_disconnecting(async |State(latch): State<Latch>, State(log): State<Log>| {
        latch.wait().await;
        log.push("done");
    });
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    for finishes in [true, false] {
        let client = Client::open(&io);
        let socket = io.socket(client.join("/").await).unwrap();
        socket.join("a").unwrap();
        client.send("1");
        tokio::time::sleep(Duration::from_millis(2900)).await;
        assert_eq!((log.len(), io.socket_count(), io.to("a").sockets().len()), (0, 1, 1));
        if finishes {
            latch.open(1);
            assert_eq!(log.wait(2).await, ["done", "disconnect"]);
            log.take();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        until("the end", || io.socket_count() == 0 && io.rooms().is_empty()).await;
    }
    assert_eq!(log.all(), ["disconnect"]);
    latch.open(1);
    assert_eq!(log.wait(2).await, ["disconnect", "done"]);
    // A server that closes does not wait for it either.
    let client = Client::open(&io);
    client.join("/").await;
    io.close_within(Duration::from_secs(1)).await;
    assert_eq!((log.len(), io.socket_count()), (2, 0));
    latch.open(1);
    settle().await;
    assert_eq!((log.all().pop().as_deref(), io.socket_count()), (Some("done"), 0));
}

/// F-NOD-16, F-DIS-09: one that fails tells the error handler, and the end takes its course.
#[tokio::test]
async fn a_failing_disconnecting_handler_changes_nothing() {
    for panics in [false, true] {
        let (builder, log) = logged();
        let io = builder.build();
        io.on_disconnecting(move || async move {
            assert!(!panics, "on purpose");
            Err::<(), _>(Error::msg("on purpose"))
        });
        io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
        io.on_error(move |error: Error, context: EventContext| {
            let State(log): State<Log> = wirebird::extract::FromContext::from_context(&context).unwrap();
            log.push(format!("{} {}", context.event(), error.is_panic()));
            async {}
        });
        let client = Client::open(&io);
        let socket = io.socket(client.join("/").await).unwrap();
        socket.join("a").unwrap();
        client.send("1");
        let expected = [format!("disconnecting {panics}"), "disconnect".to_owned()];
        assert_eq!(log.wait(2).await, expected);
        assert!(io.rooms().is_empty());
    }
}

/// F-NOD-16, F-EVT-07: namespaces without their own have that of any namespace; sockets that were refused have none.
#[tokio::test]
async fn any_namespace_may_have_it_and_refused_sockets_do_not() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on("event", async || ());
    io.of("/own").on_disconnecting(async |State(log): State<Log>| log.push("own"));
    io.of("/refuses").on_connect(async || false);
    io.any_namespace().on_disconnecting(async |socket: Socket, State(log): State<Log>| {
        log.push(format!("any {}", socket.namespace().name()));
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/own").await;
    client.send("0/refuses,");
    assert!(client.next().await.starts_with("4/refuses,"));
    client.break_off();
    let mut lines = log.wait(2).await;
    settle().await;
    lines.sort();
    assert_eq!(lines, ["any /", "own"]);
    assert_eq!(log.len(), 2);
}
