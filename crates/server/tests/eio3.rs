//! Clients of Socket.IO protocol 4 over Engine.IO 3 (wire-protocol §5): JavaScript clients 1.x and 2.x.

mod support;

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use support::{Client, Log, logged, settle, until, watched};
use wirebird::engine::memory::Connection;
use wirebird::engine::{CloseReason, Frame, Protocol};
use wirebird::extract::{Auth, Data, State};
use wirebird::{
    Accept, AckSender, Builder, ConnectError, Handshake, RawArgs, Server, Socket, TrustedProxies,
};

fn handshake(query: &str) -> Handshake {
    let uri = format!("/socket.io/?EIO=3&transport=websocket{query}");
    let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
    Handshake::new(&mut parts, &TrustedProxies::None)
}

/// A client of the older protocol; `query` is added to the one of its request.
fn old(io: &Server, query: &str) -> Client {
    io.engine().attach_runtime();
    Client::with(io, handshake(query))
}

fn allowed() -> Builder {
    Server::builder().allow_eio3(true)
}

/// F-PRO-02: unless older clients are allowed, a connection is of today's protocol whatever its request says.
#[tokio::test]
async fn older_clients_are_an_option() {
    let io = Server::new();
    let client = old(&io, "");
    assert_eq!(client.conn.session().protocol(), Protocol::V4);
    assert!(client.join("/").await.len() > 10);
    let io = allowed().build();
    assert_eq!(old(&io, "").conn.session().protocol(), Protocol::V3);
    assert_eq!(Client::open(&io).conn.session().protocol(), Protocol::V4);
}

/// F-PRO-02: a client is connected to `/` unasked, right after OPEN; its connect handler runs and may emit.
#[tokio::test]
async fn the_default_namespace_needs_no_asking() {
    let io = allowed().build();
    io.on_connect(async |socket: Socket| socket.emit("hello", 1));
    io.on("add", async |Data((a, b)): Data<(u32, u32)>| a + b);
    let client = old(&io, "");
    assert_eq!(client.next_many(2).await, ["0", r#"2["hello",1]"#]);
    assert_eq!(client.call(7, r#"["add",1,2]"#).await, ["37[3]"]);
    assert_eq!(io.socket_count(), 1);
}

/// F-PRO-02, invariant 9: the id of a socket is not the id of its session, though such clients believe so.
#[tokio::test]
async fn ids_of_sockets_stay_their_own() {
    let io = allowed().build();
    io.of("/ns").on_connect(async || ());
    let client = old(&io, "");
    assert_eq!(client.next().await, "0");
    client.send("0/ns,");
    assert_eq!(client.next().await, "0/ns,");
    let session = client.conn.session().id();
    let sockets = [io.sockets().remove(0), io.of("/ns").sockets().remove(0)];
    for socket in &sockets {
        assert_ne!(socket.id(), session.as_str());
        assert!(!socket.id().as_str().contains(session.as_str()));
        assert!(io.socket(session.as_str()).is_none());
    }
    assert_ne!(sockets[0].id(), sockets[1].id());
    io.to(sockets[0].id()).emit("you", ()).unwrap();
    assert_eq!(client.next().await, r#"2["you"]"#);
}

/// F-PRO-02: asking for `/` breaks the protocol, whether the client is connected to it, was refused, or has left.
#[tokio::test]
async fn asking_for_the_default_namespace_is_a_violation() {
    let (builder, log) = logged();
    let io = watched(builder.allow_eio3(true));
    let client = old(&io, "");
    assert_eq!(client.next().await, "0");
    client.send("0");
    client.closed().await;
    assert_eq!(log.wait(1).await, ["ForcedServerClose"]);

    let client = old(&io, "");
    assert_eq!(client.next().await, "0");
    client.send("1");
    until("the socket to leave", || io.socket_count() == 0).await;
    client.send("0");
    client.closed().await;

    let io = allowed().namespaces(Accept::List(vec!["/ns".into()])).build();
    let client = old(&io, "");
    assert_eq!(client.next().await, r#"4"Invalid namespace""#);
    client.send("0/ns,");
    assert_eq!(client.next().await, "0/ns,");
    client.send("0/,");
    client.closed().await;
}

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

async fn log_token(log: State<Log>, Auth(login): Auth<Option<Login>>) {
    log.0.push(login.map_or_else(|| "nobody".into(), |login| login.token));
}

/// F-PRO-02: the query of a namespace, or of the request for `/`, is what handlers find as `auth`.
#[tokio::test]
async fn queries_are_credentials() {
    let (builder, log) = logged();
    let io = builder.allow_eio3(true).build();
    io.on_connect(log_token);
    io.of("/ns").on_connect(log_token);
    let client = old(&io, "&t=abc&b64=1");
    client.next().await;
    let client = old(&io, "&token=of%20the%20request");
    client.next().await;
    for query in ["?token=of+the+namespace&x=1", "?token=%E2%82%AC", ""] {
        client.send(format!("0/ns{query},"));
        assert_eq!(client.next().await, "0/ns,");
        client.send("1/ns,");
        until("the socket to leave", || io.of("/ns").socket_count() == 0).await;
    }
    // Clients 1.x leave the last comma out.
    client.send("0/ns?token=1.x");
    assert_eq!(client.next().await, "0/ns,");
    let expected = ["nobody", "of the request", "of the namespace", "€", "nobody", "1.x"];
    assert_eq!(log.wait(6).await, expected);
}

/// F-PRO-02, F-SEC-01: a query that is too large for credentials is refused.
#[tokio::test]
async fn queries_have_the_limit_of_credentials() {
    let io = allowed().max_auth(50).build();
    io.of("/ns").on_connect(async || ());
    let client = old(&io, "");
    client.next().await;
    client.send(format!("0/ns?token={},", "x".repeat(50)));
    assert_eq!(client.next().await, r#"4/ns,"The auth payload is too large""#);
    let client = old(&io, &format!("&token={}", "x".repeat(50)));
    assert_eq!(client.next().await, r#"4"The auth payload is too large""#);
}

/// F-PRO-02, F-SEC-01: the limit is that of the query as it came. What is over it is not even looked at: a million bytes of
/// names would become an object of many times their size.
#[tokio::test]
async fn large_queries_are_not_decoded() {
    let io = allowed().max_auth(50).build();
    io.of("/ns").on_connect(async || ());
    let client = old(&io, "");
    client.next().await;
    client.send(format!("0/ns?{},", "&".repeat(51)));
    assert_eq!(client.next().await, r#"4/ns,"The auth payload is too large""#);
    client.send(format!("0/ns?{},", "&".repeat(50)));
    assert_eq!(client.next().await, "0/ns,");
}

/// F-PRO-02: a refusal is the details alone, or else the message as a string.
#[tokio::test]
async fn refusals_say_less() {
    let io = allowed().build();
    io.on_connect(async || Err::<(), _>(ConnectError::new("not \"you\"")));
    io.of("/data").on_connect(async || Err::<(), _>(ConnectError::new("no").with_data(json!({ "code": 1 }))));
    io.of("/error").on_connect(async || Err::<(), _>(std::io::Error::other("secret")));
    let client = old(&io, "");
    assert_eq!(client.next().await, r#"4"not \"you\"""#);
    for (namespace, refusal) in [
        ("/data", r#"4/data,{"code":1}"#),
        ("/error", r#"4/error,"Connection rejected by server""#),
        ("/unknown", r#"4/unknown,"Invalid namespace""#),
    ] {
        client.send(format!("0{namespace},"));
        assert_eq!(client.next().await, refusal);
    }
    assert!(client.is_open());
    assert_eq!(io.socket_count(), 0);
}

/// F-PRO-02, F-PRO-15: a client that is refused everywhere is closed after the connect timeout, as any other.
#[tokio::test(start_paused = true)]
async fn clients_without_a_namespace_are_closed() {
    let io = allowed().connect_timeout(Duration::from_secs(3)).build();
    io.on_connect(async || Err::<(), _>(ConnectError::new("no")));
    let client = old(&io, "");
    client.next().await;
    let begun = tokio::time::Instant::now();
    client.closed().await;
    assert_eq!(client.conn.session().close_reason(), Some(CloseReason::ForcedServerClose));
    assert!(begun.elapsed() >= Duration::from_secs(3));
}

/// F-PRO-02: a connect handler that waits holds the client's CONNECT back, and what is emitted meanwhile with it.
#[tokio::test]
async fn a_slow_connect_handler_comes_first() {
    let latch = support::Latch::default();
    let io = allowed().state(latch.clone()).build();
    io.on_connect(async |socket: Socket, State(latch): State<support::Latch>| {
        socket.emit("early", ()).unwrap();
        latch.wait().await;
    });
    let client = old(&io, "");
    settle().await;
    assert!(client.take().is_empty());
    latch.open(1);
    assert_eq!(client.next_many(2).await, ["0", r#"2["early"]"#]);
}

/// F-PRO-02: binary events and acknowledgements go both ways.
#[tokio::test]
async fn binary_goes_both_ways() {
    let io = allowed().build();
    io.on("echo", async |socket: Socket, args: RawArgs, ack: AckSender| {
        socket.emit_raw("echo", &args).unwrap();
        ack.send_raw(&args).unwrap();
    });
    let client = old(&io, "");
    client.next().await;
    client.send(r#"51-3["echo",{"_placeholder":true,"num":0}]"#);
    client.send_binary(&[1, 2, 3]);
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    assert_eq!(
        client.next_many(4).await,
        [
            format!(r#"51-["echo",{placeholder}]"#),
            "<010203>".into(),
            format!("61-3[{placeholder}]"),
            "<010203>".into()
        ]
    );
}

/// F-PRO-02: acknowledgements of clients arrive, with and without binary, also those of a broadcast.
#[tokio::test]
async fn clients_acknowledge() {
    let io = allowed().build();
    let client = old(&io, "");
    client.next().await;
    let socket = io.sockets().remove(0);
    let answer = tokio::spawn(async move { socket.emit_with_ack::<Bytes>("ask", 1).await });
    assert_eq!(client.next().await, r#"20["ask",1]"#);
    client.send(r#"61-0[{"_placeholder":true,"num":0}]"#);
    client.send_binary(&[9]);
    assert_eq!(answer.await.unwrap().unwrap(), [9][..]);

    let new = Client::open(&io);
    new.join("/").await;
    let answers = io.emit_with_ack::<u32>("all", Bytes::from_static(&[7])).stream().unwrap();
    assert_eq!(client.next_many(2).await, [r#"51-1["all",{"_placeholder":true,"num":0}]"#, "<07>"]);
    assert_eq!(new.next_many(2).await, [r#"51-0["all",{"_placeholder":true,"num":0}]"#, "<07>"]);
    client.send("31[1]");
    new.send("30[2]");
    let mut answers = answers;
    let mut sum = 0;
    while let Some((_, answer)) = answers.next().await {
        sum += answer.unwrap();
    }
    assert_eq!(sum, 3);
}

/// F-PRO-02: a broadcast reaches clients of both protocols, each once and in order.
#[tokio::test]
async fn broadcasts_reach_clients_of_both_kinds() {
    let io = allowed().build();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    let (older, newer) = (old(&io, ""), Client::open(&io));
    older.next().await;
    newer.join("/").await;
    for client in [&older, &newer] {
        client.call(0, r#"["join","room"]"#).await;
    }
    io.to("room").emit("text", "€").unwrap();
    io.to("room").emit("binary", (1, Bytes::from_static(&[1, 2]))).unwrap();
    io.to("room").emit("end", ()).unwrap();
    for client in [&older, &newer] {
        assert_eq!(
            client.next_many(4).await,
            [r#"2["text","€"]"#, r#"51-["binary",1,{"_placeholder":true,"num":0}]"#, "<0102>", r#"2["end"]"#]
        );
    }
}

/// F-PRO-02: leaving a namespace and coming back, and being disconnected by the server.
#[tokio::test]
async fn leaving_from_both_sides() {
    let (builder, log) = logged();
    let io = watched(builder.allow_eio3(true));
    let ns = io.of("/ns");
    ns.on_connect(async || ());
    let client = old(&io, "");
    client.next().await;
    for _ in 0..2 {
        client.send("0/ns,");
        assert_eq!(client.next().await, "0/ns,");
        client.send("1/ns,");
        until("the socket to leave", || ns.socket_count() == 0).await;
    }
    client.send("0/ns,");
    client.next().await;
    ns.sockets().remove(0).disconnect();
    assert_eq!(client.next().await, "1/ns,");
    io.sockets().remove(0).disconnect();
    assert_eq!(client.next().await, "1");
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    assert!(client.is_open());

    let client = old(&io, "");
    client.next().await;
    client.break_off();
    assert_eq!(log.wait(2).await, ["ServerDisconnect", "TransportClose"]);
    assert_eq!(io.socket_count(), 0);
}

/// F-PRO-02: the server pings nobody of them, and answers pings.
#[tokio::test]
async fn heartbeats_are_the_clients_affair() {
    let io = allowed().ping_interval(Duration::from_millis(10)).build();
    let conn = io.connect_memory(handshake(""), || ()).unwrap();
    let texts = |conn: &Connection| -> Vec<String> {
        let frames = conn.take_batch();
        frames
            .into_iter()
            .map(|frame| if let Frame::Text(text) = frame { text.to_string() } else { "?".into() })
            .collect()
    };
    let first = texts(&conn);
    assert!(first[0].starts_with("0{"));
    assert_eq!(first[1..], ["40"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(texts(&conn).is_empty());
    conn.feed(Frame::Text("2".into()));
    assert_eq!(texts(&conn), ["3"]);
}

/// F-PRO-02: what breaks the protocol of today breaks that of yesterday.
#[tokio::test]
async fn violations_close_the_connection() {
    let io = allowed().build();
    io.of("/ns").on_connect(async || ());
    for (packets, reason) in [
        (&["2/ns,[\"x\"]"][..], CloseReason::ForcedServerClose),
        (&["0/ns,", "0/ns,"], CloseReason::ForcedServerClose),
        (&["4\"error\""], CloseReason::ForcedServerClose),
        (&["2[\"connect\"]"], CloseReason::ParseError),
        (&["9"], CloseReason::ParseError),
        (&["50-[\"x\"]"], CloseReason::ParseError),
    ] {
        let client = old(&io, "");
        client.next().await;
        packets.iter().for_each(|packet| client.send(packet));
        client.closed().await;
        assert_eq!(client.conn.session().close_reason(), Some(reason), "{packets:?}");
    }
}

/// F-PRO-02, F-CON-10: with `always_connect` they are told that they are connected first, too.
#[tokio::test]
async fn always_connect_tells_them_first() {
    let io = allowed().always_connect(true).build();
    io.on_connect(async || Err::<(), _>(ConnectError::new("no")));
    assert_eq!(old(&io, "").next_many(2).await, ["0", "1"]);
}

/// F-PRO-02: nothing of this needs a runtime.
#[test]
fn everything_happens_inline_without_a_runtime() {
    let io = allowed().build();
    io.on_connect(async |socket: Socket| socket.emit("hello", ()));
    let client = Client::with(&io, handshake(""));
    assert_eq!(client.take(), ["0", r#"2["hello"]"#]);
    client.send("2[\"nobody handles this\"]");
    assert!(client.is_open());
}
