//! Connecting: authentication, acceptance, refusal, and what happens around them.

mod support;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use support::{Client, Latch, Log, logged, settle, sid};
use wirebird::extract::{Auth, Data, State};
use wirebird::{Accept, ConnectError, Error, Namespace, Server, Socket};

#[derive(Debug, Deserialize)]
struct Token {
    token: String,
}

/// False, but the compiler does not know.
fn weird() -> bool {
    std::hint::black_box(false)
}

/// F-CON-01, F-CON-02, F-CON-03, pain 28
#[tokio::test]
async fn auth_may_be_present_absent_typed_or_ignored() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_connect(async |Auth(auth): Auth<Option<Token>>, State(log): State<Log>| {
        log.push(format!("{:?}", auth.map(|auth| auth.token)));
    });
    io.of("/typed").on_connect(async |Auth(auth): Auth<Token>| auth.token == "right");
    io.of("/ignores").on_connect(async || ());
    let client = Client::open(&io);
    client.send("0");
    sid(&client.next().await);
    client.send("1");
    client.send(r#"0{"token":"x","more":[1]}"#);
    sid(&client.next().await);
    assert_eq!(log.all(), ["None", r#"Some("x")"#]);
    client.send(r#"0/typed,{"token":"right"}"#);
    assert!(client.next().await.starts_with(r#"0/typed,{"sid":"#));
    client.send(r#"0/ignores,{"token":7}"#);
    assert!(client.next().await.starts_with(r#"0/ignores,{"sid":"#));
}

/// F-CON-02: auth of another type refuses, in general words, and tells the error handler.
#[tokio::test]
async fn auth_of_another_type_is_a_refusal_and_never_a_panic() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_connect(async |Auth(_): Auth<Token>| ());
    io.on_error(async |error: Error, context: wirebird::extract::EventContext| {
        let State(log): State<Log> = wirebird::extract::FromContext::from_context(&context).unwrap();
        log.push(format!("{} {}", context.event(), error.is_panic()));
    });
    let client = Client::open(&io);
    for auth in ["", "{}", r#"{"token":1}"#] {
        client.send(format!("0{auth}"));
        assert_eq!(client.next().await, r#"4{"message":"Connection rejected by server"}"#);
    }
    assert_eq!(log.wait(3).await, ["connect false"; 3]);
    assert!(client.is_open());
}

/// F-CON-02: the protocol allows objects only.
#[tokio::test]
async fn auth_that_is_no_object_closes_the_connection() {
    for auth in [r#""x""#, "[1]", "7", "null", "true", "{"] {
        let (builder, log) = logged();
        let io = builder.build();
        io.on_connect(async |State(log): State<Log>| log.push("connect"));
        let client = Client::open(&io);
        client.send(format!("0{auth}"));
        client.closed().await;
        let reason = client.conn.session().close_reason();
        assert_eq!(reason, Some(wirebird::engine::CloseReason::ParseError), "{auth}");
        assert_eq!(log.len(), 0);
    }
}

/// F-CON-04, F-CON-05, F-CON-06, pain 30
#[tokio::test]
async fn a_refusal_tells_message_and_data() {
    let io = Server::new();
    io.of("/message").on_connect(async || Err::<(), _>(ConnectError::new("nope")));
    io.of("/data")
        .on_connect(async || Err::<(), _>(ConnectError::new("nope").with_data(json!({ "c": [1] }))));
    io.of("/list").on_connect(async || Err::<(), _>(ConnectError::new("nope").with_data((1, "b"))));
    io.of("/binary").on_connect(async || {
        Err::<(), _>(ConnectError::new("nope").with_data(bytes::Bytes::from_static(b"x")))
    });
    // What would be in `Ok` needs no word, since a handler has one kind of it.
    io.of("/only").on_connect(async || Err(ConnectError::new("nope")));
    io.of("/false").on_connect(async || false);
    io.of("/rejected").on_connect(async || Err(ConnectError::rejected()));
    let client = Client::open(&io);
    for (namespace, answer) in [
        ("/message", r#"4/message,{"message":"nope"}"#),
        ("/data", r#"4/data,{"message":"nope","data":{"c":[1]}}"#),
        ("/list", r#"4/list,{"message":"nope","data":[1,"b"]}"#),
        ("/binary", r#"4/binary,{"message":"nope"}"#),
        ("/only", r#"4/only,{"message":"nope"}"#),
        ("/false", r#"4/false,{"message":"Connection rejected by server"}"#),
        ("/rejected", r#"4/rejected,{"message":"Connection rejected by server"}"#),
    ] {
        client.send(support::connect(namespace));
        assert_eq!(client.next().await, answer);
        assert_eq!(io.of(namespace).socket_count(), 0);
    }
}

#[derive(Debug)]
struct Custom;

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database is down: password=hunter2")
    }
}

impl std::error::Error for Custom {}

/// F-CON-07, F-ERR-08: the client learns nothing of the cause, the error handler everything, and what it returns
/// accepts nobody.
#[tokio::test]
async fn any_error_or_panic_refuses_in_general_words() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_error({
        let log = log.clone();
        move |error: Error| {
            log.push(error.to_string());
            async { true }
        }
    });
    io.of("/custom").on_connect(async || Err::<(), _>(Custom));
    io.of("/io").on_connect(async || {
        std::fs::read("/nowhere/at/all")?;
        Ok::<_, std::io::Error>(())
    });
    io.of("/message").on_connect(async || Err::<(), _>(Error::msg("by name")));
    io.of("/panic").on_connect(async |socket: Socket| {
        assert!(socket.is_connected(), "panics at once");
    });
    io.of("/late").on_connect(async || {
        tokio::task::yield_now().await;
        assert!(weird(), "panics later");
    });
    let client = Client::open(&io);
    for namespace in ["/custom", "/io", "/message", "/panic", "/late"] {
        client.send(support::connect(namespace));
        let expected = format!(r#"4{namespace},{{"message":"Connection rejected by server"}}"#);
        assert_eq!(client.next().await, expected);
    }
    let log = log.wait(5).await;
    for (line, part) in
        log.iter().zip(["password", "No such file", "by name", "panics at once", "panics later"])
    {
        assert!(line.contains(part), "{line}");
    }
}

/// AB1: a failing connect handler leaves no zombie that receives broadcasts.
#[tokio::test]
async fn a_refused_socket_leaves_nothing_behind() {
    let (builder, log) = logged();
    let io = builder.build();
    let value = Arc::new("kept for the socket");
    let weak = Arc::downgrade(&value);
    let holder = parking_lot::Mutex::new(Some(value));
    io.on_connect(move |socket: Socket| {
        socket.join("room").unwrap();
        socket.session().insert(holder.lock().take().unwrap());
        async { assert!(weird(), "on purpose") }
    });
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    io.of("/other").on_connect(async || ());
    let client = Client::open(&io);
    client.send("0");
    assert!(client.next().await.starts_with("4{"));
    io.emit("secret", 1).unwrap();
    io.to("room").emit("secret", 2).unwrap();
    assert_eq!((io.socket_count(), io.sockets().len(), io.rooms().len()), (0, 0, 0));
    assert!(weak.upgrade().is_none());
    client.join("/other").await;
    io.of("/other").emit("marker", ()).unwrap();
    assert_eq!(client.next().await, r#"2/other,["marker"]"#);
    client.break_off();
    settle().await;
    assert_eq!(log.len(), 0);
}

/// F-CON-08, F-CON-09, R8, pain 27
#[tokio::test]
async fn what_is_emitted_while_connecting_follows_the_connect_packet_in_order() {
    let (builder, latch) = (Server::builder(), Latch::default());
    let io = builder.state(latch.clone()).build();
    io.on_connect(async |socket: Socket, namespace: Namespace, State(latch): State<Latch>| {
        socket.join("room")?;
        socket.emit("direct", 1)?;
        namespace.to(socket.id()).emit("by id", 2)?;
        namespace.to("room").emit("by room", 3)?;
        let everybody = namespace.clone();
        std::thread::spawn(move || everybody.emit("by thread", 4)).join().unwrap()?;
        latch.wait().await;
        assert!(!socket.is_connected() && namespace.socket_count() == 0 && namespace.sockets().is_empty());
        socket.emit("last", 5)?;
        Ok::<_, Error>(())
    });
    let client = Client::open(&io);
    client.send("0");
    settle().await;
    io.emit("from outside", ()).unwrap();
    settle().await;
    assert!(client.take().is_empty(), "nothing before CONNECT");
    latch.open(1);
    let id = sid(&client.next().await);
    let expected = [
        r#"2["direct",1]"#,
        r#"2["by id",2]"#,
        r#"2["by room",3]"#,
        r#"2["by thread",4]"#,
        r#"2["from outside"]"#,
        r#"2["last",5]"#,
    ];
    assert_eq!(client.next_many(6).await, expected);
    assert!(io.socket(id.as_str()).is_some());
}

/// F-CON-08: what was held is discarded on refusal.
#[tokio::test]
async fn what_was_emitted_to_a_refused_socket_is_discarded() {
    let io = Server::new();
    io.on_connect(async |socket: Socket| {
        socket.join("room").unwrap();
        socket.emit("direct", 1).unwrap();
        socket.namespace().emit("broadcast", 2).unwrap();
        tokio::task::yield_now().await;
        false
    });
    let client = Client::open(&io);
    for _ in 0..3 {
        client.send("0");
        assert!(client.next().await.starts_with("4{"));
    }
    settle().await;
    assert!(client.take().is_empty());
}

/// R9: no event before the connection is answered.
#[tokio::test]
async fn events_sent_right_after_connect_wait_for_acceptance() {
    let latch = Latch::default();
    let (builder, log) = logged();
    let io = builder.state(latch.clone()).build();
    io.on_connect(async |State(latch): State<Latch>, State(log): State<Log>| {
        log.push("connect begins");
        latch.wait().await;
        log.push("connect ends");
    });
    io.on("event", async |Data(n): Data<u32>, State(log): State<Log>| {
        log.push(format!("event {n}"));
        n
    });
    let client = Client::open(&io);
    client.send("0");
    for n in 0..3 {
        client.send(format!(r#"2{n}["event",{n}]"#));
    }
    settle().await;
    assert_eq!(log.all(), ["connect begins"]);
    latch.open(1);
    sid(&client.next().await);
    assert_eq!(client.next_many(3).await, ["30[0]", "31[1]", "32[2]"]);
    assert_eq!(log.all(), ["connect begins", "connect ends", "event 0", "event 1", "event 2"]);
}

/// F-CON-11, F-CON-12, F-CON-13, AB-8
#[tokio::test]
async fn unknown_namespaces_are_refused_and_the_connection_stays() {
    let io = Server::new();
    // Handlers for any namespace open none.
    io.any_namespace().on_connect(async || ()).on("event", async || 1);
    let client = Client::open(&io);
    client.send("0/unknown,");
    assert_eq!(client.next().await, r#"4/unknown,{"message":"Invalid namespace"}"#);
    client.join("/").await;
    // One that gets a handler later opens, one that loses its last closes.
    io.of("/unknown").on("event", async || ());
    client.join("/unknown").await;
    assert!(io.of("/unknown").off("event"));
    client.send("1/unknown,");
    client.send("0/unknown,");
    assert_eq!(client.next().await, r#"4/unknown,{"message":"Invalid namespace"}"#);
}

/// F-CON-13: option `namespaces`.
#[tokio::test]
async fn namespaces_can_be_listed_opened_or_checked() {
    for accept in [
        Accept::List(vec!["/admin".into(), "chat".into()]),
        Accept::check(|name, handshake| {
            assert!(handshake.path().starts_with("/socket.io"));
            assert!(name != "/panics", "on purpose");
            matches!(name, "/admin" | "/chat")
        }),
    ] {
        let io = Server::builder().namespaces(accept).build();
        let client = Client::open(&io);
        client.join("/admin").await;
        client.join("/chat").await;
        for name in ["/", "/panics", "/admin/x", "/Chat"] {
            client.send(support::connect(name));
            assert!(client.next().await.contains("Invalid namespace"), "{name}");
        }
        io.on("event", async || ());
        client.join("/").await;
    }
    let io = Server::builder().namespaces(Accept::Any).build();
    io.any_namespace().on("event", async |namespace: Namespace| namespace.name().to_owned());
    let client = Client::open(&io);
    client.join("/anything at all").await;
    client.send(r#"2/anything at all,0["event"]"#);
    assert_eq!(client.next().await, r#"3/anything at all,0["/anything at all"]"#);
}
