//! Checks before the connect handler.

mod support;

use serde::Deserialize;
use serde_json::json;
use support::{Client, Latch, Log, logged, settle, sid, watched};
use wirebird::extract::{Auth, Path, Session, State};
use wirebird::{Accept, ConnectError, Error, Namespace, Server, Socket};

#[derive(Clone, Deserialize)]
struct Login {
    name: String,
}

/// F-CON-18, F-NOD-12: they run one after another in the order they were added, waits included, with the extractors of
/// connect handlers; what one keeps the next one finds; what they emit follows the CONNECT packet.
#[tokio::test(start_paused = true)]
async fn checks_run_in_order_before_the_connect_handler() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_connect(async |Session(name): Session<String>, socket: Socket, State(log): State<Log>| {
        log.push(format!("connect {name}"));
        socket.emit("third", ())
    });
    io.before_connect(async |Auth(login): Auth<Login>, socket: Socket, State(log): State<Log>| {
        socket.emit("first", ())?;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        log.push("authenticate");
        socket.session().insert(login.name);
        Ok::<_, Error>(())
    });
    io.before_connect(async |Session(name): Session<String>, socket: Socket, State(log): State<Log>| {
        log.push(format!("load {name}"));
        socket.emit("second", name)
    });
    io.on("event", async |State(log): State<Log>| log.push("event"));
    let client = Client::open(&io);
    client.send(r#"0{"name":"ann"}"#);
    client.send(r#"20["event"]"#);
    sid(&client.next().await);
    let packets = client.next_many(4).await;
    assert_eq!(packets, [r#"2["first"]"#, r#"2["second","ann"]"#, r#"2["third"]"#, "30[]"]);
    assert_eq!(log.all(), ["authenticate", "load ann", "connect ann", "event"]);
}

/// F-CON-18, F-NOD-12: the first error refuses, with its data; nothing runs after it, and nothing is left of the socket.
#[tokio::test]
async fn the_first_error_refuses_with_its_data() {
    let (builder, log) = logged();
    let io = watched(builder);
    for name in ["/data", "/false", "/panic", "/other", "/extractor"] {
        let namespace = io.of(name);
        namespace.before_connect(async |State(log): State<Log>| log.push("first"));
        match name {
            "/data" => namespace.before_connect(async || {
                Err::<(), _>(ConnectError::new("not authorized").with_data(json!({ "retry": 5 })))
            }),
            "/false" => namespace.before_connect(async || false),
            "/panic" => namespace.before_connect(async |socket: Socket| {
                assert!(socket.is_connected(), "on purpose");
            }),
            "/other" => namespace.before_connect(async || Err::<(), _>(Error::msg("the database is down"))),
            _ => namespace.before_connect(async |Auth(_): Auth<Login>| ()),
        };
        namespace.before_connect(async |State(log): State<Log>| log.push("never"));
        namespace.on_connect(async |State(log): State<Log>| log.push("never"));
        namespace.on_disconnect(async |State(log): State<Log>| log.push("never"));
    }
    io.on_error({
        let log = log.clone();
        move |error: Error| {
            log.push(error.to_string());
            async {}
        }
    });
    let client = Client::open(&io);
    let general = r#"{"message":"Connection rejected by server"}"#;
    for (name, answer, cause) in [
        ("/data", r#"{"message":"not authorized","data":{"retry":5}}"#, None),
        ("/false", general, None),
        ("/panic", general, Some("on purpose")),
        ("/other", general, Some("the database is down")),
        ("/extractor", general, Some("the client sent no credentials")),
    ] {
        client.send(support::connect(name));
        assert_eq!(client.next().await, format!("4{name},{answer}"));
        let lines = log.take();
        assert_eq!(lines[0], "first");
        match cause {
            Some(cause) => assert!(lines.len() == 2 && lines[1].contains(cause), "{name}: {lines:?}"),
            None => assert_eq!(lines.len(), 1, "{name}"),
        }
        assert_eq!((io.of(name).socket_count(), io.of(name).all().sockets().len()), (0, 0));
    }
    assert!(client.is_open());
}

/// F-CON-13, F-CON-18: checks alone open a namespace; those for any namespace run in each, first, and open none.
#[tokio::test]
async fn checks_for_any_namespace_come_first() {
    let (builder, log) = logged();
    let io = builder.namespaces(Accept::List(vec!["/listed".into()])).build();
    io.any_namespace().before_connect(async |namespace: Namespace, State(log): State<Log>| {
        log.push(format!("any {}", namespace.name()));
        namespace.name() != "/closed"
    });
    io.of("/own").before_connect(async |State(log): State<Log>| log.push("own"));
    io.of("/closed").on_connect(async |State(log): State<Log>| log.push("never"));
    let client = Client::open(&io);
    client.join("/own").await;
    client.join("/listed").await;
    client.send("0/closed,");
    assert_eq!(client.next().await, r#"4/closed,{"message":"Connection rejected by server"}"#);
    client.send("0/unknown,");
    assert_eq!(client.next().await, r#"4/unknown,{"message":"Invalid namespace"}"#);
    assert_eq!(log.all(), ["any /own", "own", "any /listed", "any /closed"]);
}

/// F-CON-18: checks of a pattern are for all namespaces that it makes.
#[tokio::test]
async fn checks_of_a_pattern_are_for_all_its_namespaces() {
    let io = Server::new();
    io.of_pattern("/room-{id}").before_connect(async |Path(id): Path<u32>| {
        if id == 13 { Err(ConnectError::new("unlucky")) } else { Ok(()) }
    });
    let client = Client::open(&io);
    client.join("/room-12").await;
    client.send("0/room-13,");
    assert_eq!(client.next().await, r#"4/room-13,{"message":"unlucky"}"#);
}

/// F-CON-18, F-DIS-01: when the client is gone, or the check itself disconnects it, nothing else runs, no disconnect
/// handler either: it was never connected.
#[tokio::test]
async fn nothing_runs_for_a_client_that_is_gone() {
    for leaves in [true, false] {
        let latch = Latch::default();
        let (builder, log) = logged();
        let io = watched(builder.state(latch.clone()));
        io.before_connect(async |State(log): State<Log>, State(latch): State<Latch>, socket: Socket| {
            log.push("first");
            latch.wait().await;
            if socket.engine_session().close_reason().is_none() {
                socket.disconnect();
            }
        });
        io.before_connect(async |State(log): State<Log>| log.push("never"));
        io.on_connect(async |State(log): State<Log>| log.push("never"));
        let client = Client::open(&io);
        client.send("0");
        settle().await;
        if leaves {
            client.break_off();
        }
        latch.open(1);
        settle().await;
        assert_eq!(log.all(), ["first"]);
        assert_eq!(io.socket_count(), 0);
        if !leaves {
            assert_eq!(client.take(), [r#"4{"message":"Connection rejected by server"}"#]);
        }
    }
}

/// F-CON-18, F-EVT-19: one that is added later is for the clients that connect from then on.
#[tokio::test]
async fn checks_can_be_added_while_clients_are_connected() {
    let io = Server::new();
    io.on("event", async || "fine");
    let (client, late) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    io.before_connect(async || Err::<(), _>(ConnectError::new("full")));
    late.send("0");
    assert_eq!(late.next().await, r#"4{"message":"full"}"#);
    assert_eq!(client.call(0, r#"["event"]"#).await, [r#"30["fine"]"#]);
}
