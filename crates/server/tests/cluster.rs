//! Several servers as one: looking at the sockets of all, asking them, and telling the servers themselves.

mod support;

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use support::{Client, Latch, settle, until};
use tokio::time::Instant;
use wirebird::{
    AckError, AckRequest, Adapter, EmitError, Error, HandshakeInfo, Incomplete, Local, MemoryCluster,
    Operation, Overflow, RawArgs, ReplyTo, Room, SendQueue, Server, ServerEvent, Socket, SocketId,
    SocketSnapshot, Target, Value,
};

fn servers<const N: usize>() -> [Server; N] {
    let cluster = MemoryCluster::new();
    std::array::from_fn(|_| Server::builder().adapter(cluster.adapter()).build())
}

async fn connected(io: &Server) -> (Client, Socket) {
    let client = Client::open(io);
    let socket = io.socket(client.join("/").await).unwrap();
    (client, socket)
}

fn ids(sockets: &[SocketSnapshot]) -> Vec<SocketId> {
    let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id).collect();
    ids.sort();
    ids
}

fn sorted<const N: usize>(sockets: [&Socket; N]) -> Vec<SocketId> {
    let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id()).collect();
    ids.sort();
    ids
}

// ---- looking ----

/// F-NOD-10, pain 23, F-ROM-11, F-NOD-17: the sockets of all servers, by room, with their rooms, data and handshake.
#[tokio::test]
async fn sockets_of_all_servers_can_be_looked_at() {
    let [first, second, third] = servers();
    second.of("/only-here").on_connect(async || ());
    let (_a, one) = connected(&first).await;
    let (b, two) = connected(&second).await;
    let (_c, three) = connected(&second).await;
    let elsewhere = second.of("/only-here").socket(b.join("/only-here").await).unwrap();
    one.join("r").unwrap();
    two.join("r").unwrap();
    two.join(5).unwrap();
    two.set_data(("ann", Bytes::from_static(b"\x01"))).unwrap();

    // The third has no client of its own.
    for io in [&first, &second, &third] {
        assert_eq!(ids(&io.fetch_sockets().await.unwrap()), sorted([&one, &two, &three]));
        assert_eq!(ids(&io.to("r").fetch_sockets().await.unwrap()), sorted([&one, &two]));
        assert_eq!(ids(&io.to(5).fetch_sockets().await.unwrap()), sorted([&two]));
        assert_eq!(ids(&io.to(three.id()).to(5).fetch_sockets().await.unwrap()), sorted([&two, &three]));
        assert_eq!(ids(&io.except("r").fetch_sockets().await.unwrap()), sorted([&three]));
        assert_eq!(ids(&io.of("/only-here").fetch_sockets().await.unwrap()), [elsewhere.id()]);
        assert!(io.to(Vec::<Room>::new()).fetch_sockets().await.unwrap().is_empty());
        assert!(io.of("/nowhere").fetch_sockets().await.unwrap().is_empty());
    }
    assert_eq!(ids(&first.local().fetch_sockets().await.unwrap()), [one.id()]);
    assert_eq!(ids(&two.broadcast().fetch_sockets().await.unwrap()), sorted([&one, &three]));

    let found = third.to(two.id()).fetch_sockets().await.unwrap().remove(0);
    assert_eq!(found.rooms, [Room::from(two.id()), "r".into(), 5.into()]);
    let (name, key): (String, Bytes) = found.data().unwrap();
    assert_eq!((name.as_str(), &*key), ("ann", &b"\x01"[..]));
    assert!(found.data::<u8>().is_err());
    assert_eq!(
        (found.handshake.uri.as_str(), found.handshake.issued),
        (two.handshake().uri(), two.handshake().issued())
    );
    let other = third.to(three.id()).fetch_sockets().await.unwrap().remove(0);
    assert_eq!((other.data::<Value>().unwrap(), other.data::<Option<u8>>().unwrap()), (Value::Null, None));

    // Those that are not there any more are not seen.
    b.break_off();
    until("the end", || !two.is_connected()).await;
    assert_eq!(ids(&third.fetch_sockets().await.unwrap()), sorted([&one, &three]));
}

/// F-NOD-18, F-CTX-02: what clients sent when they connected is told to the servers of the cluster, and to nobody else.
#[tokio::test]
async fn a_snapshot_has_the_handshake_and_shows_no_secrets() {
    let [first, second] = servers();
    let request = http::Request::get("/socket.io/?EIO=4&transport=websocket&page=a%20b")
        .header("Cookie", "session=secret")
        .header("Origin", "https://example.com")
        .extension(wirebird::PeerAddr("10.1.2.3:4000".parse().unwrap()));
    let mut parts = request.body(()).unwrap().into_parts().0;
    let handshake = wirebird::Handshake::new(&mut parts, &wirebird::TrustedProxies::None);
    let connection = first.connect_memory(handshake, || ()).unwrap();
    connection.take_batch();
    connection.feed(wirebird::engine::Frame::Text(r#"40{"token":"secret"}"#.into()));
    until("the connection", || first.socket_count() == 1).await;

    // All of it here …
    let socket = first.sockets().remove(0);
    let here = socket.handshake();
    assert_eq!(
        (here.query("page").as_deref(), here.header("origin")),
        (Some("a b"), Some("https://example.com"))
    );
    assert_eq!((here.peer_addr(), here.is_secure()), ("10.1.2.3:4000".parse().ok(), false));
    assert_eq!(socket.auth::<Value>().unwrap()["token"], "secret".into());
    // … and the same there.
    let found = second.fetch_sockets().await.unwrap().remove(0);
    let there = &found.handshake;
    assert_eq!((there.uri.as_str(), there.header("origin")), (here.uri(), Some("https://example.com")));
    assert_eq!((there.peer_addr, there.is_secure), (here.peer_addr(), false));
    assert_eq!((there.issued, there.auth.as_deref()), (here.issued(), Some(r#"{"token":"secret"}"#)));
    let shown = format!("{found:?} {there:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

// ---- asking ----

/// F-ACK-09, F-NOD-07: a broadcast collects what the sockets of all servers acknowledge, each once.
#[tokio::test(start_paused = true)]
async fn a_broadcast_collects_the_acknowledgements_of_all_servers() {
    let [first, second, third] = servers();
    let mut members = Vec::new();
    for io in [&first, &second, &second, &third] {
        members.push(connected(io).await);
    }
    let (outside, _) = connected(&third).await;
    for (_, socket) in &members {
        socket.join("r").unwrap();
    }
    let ask = second.to("r").emit_with_ack::<(u8, Bytes)>("ask", ("x", Bytes::from_static(b"\x02")));
    let ask = tokio::spawn(ask.into_future());
    for (n, (client, _)) in members.iter().enumerate() {
        let expected = [r#"51-0["ask","x",{"_placeholder":true,"num":0}]"#, "<02>"];
        assert_eq!(client.next_many(2).await, expected);
        client.send(format!(r#"61-0[{n},{{"_placeholder":true,"num":0}}]"#));
        client.send_binary(&[n as u8]);
        client.send("30[9,9]");
    }
    let results = ask.await.unwrap().unwrap();
    assert_eq!(results.len(), 4);
    for (n, (_, socket)) in members.iter().enumerate() {
        let found: Vec<_> = results.iter().filter(|(id, _)| *id == socket.id()).collect();
        assert!(
            matches!(&found[..], [(_, Ok((answer, binary)))] if *answer == n as u8 && binary[..] == [n as u8]),
            "{results:?}"
        );
    }
    assert!(outside.take().is_empty());
    // Nobody there is no reason to wait, and neither is nobody elsewhere.
    let begun = Instant::now();
    assert!(second.to("nobody").emit_with_ack::<()>("ask", ()).await.unwrap().is_empty());
    assert!(second.to(Vec::<Room>::new()).emit_with_ack::<()>("ask", ()).await.unwrap().is_empty());
    assert!(second.of("/nowhere").emit_with_ack::<()>("ask", ()).await.unwrap().is_empty());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// F-ACK-09, F-ACK-11, F-NOD-06, F-NOD-07: when the time is up the answers that came are there, with an error for each that
/// did not; the sockets of all servers have forgotten the question.
#[tokio::test(start_paused = true)]
async fn partial_answers_are_kept_when_the_time_is_up() {
    let cluster = MemoryCluster::new();
    let [first, second] =
        [(); 2].map(|()| Server::builder().adapter(cluster.adapter()).max_pending_acks(1).build());
    let (here, _) = connected(&first).await;
    let (answers, one) = connected(&second).await;
    let (silent, two) = connected(&second).await;
    let (leaves, three) = connected(&second).await;
    for round in 0..2 {
        let begun = Instant::now();
        let ask = first.timeout(Duration::from_secs(2)).emit_with_ack::<u8>("ask", ());
        let ask = tokio::spawn(ask.into_future());
        for client in [&here, &answers, &silent] {
            client.next().await;
        }
        here.send(format!("3{round}[1]"));
        answers.send(format!("3{round}[2]"));
        if round == 0 {
            leaves.next().await;
            leaves.send("1");
        }
        let results = ask.await.unwrap().unwrap();
        assert_eq!(results.len(), 4 - round, "{results:?}");
        assert!((2000..2050).contains(&begun.elapsed().as_millis()));
        let of =
            |socket: &Socket| results.iter().find(|(id, _)| *id == socket.id()).map(|(_, result)| result);
        assert!(matches!(of(&one), Some(Ok(2))));
        assert!(matches!(of(&two), Some(Err(AckError::Timeout))));
        assert!(round == 1 || matches!(of(&three), Some(Err(AckError::Disconnected))), "told at once");
    }
}

/// F-ACK-09: answers of other servers come in the stream as they come; dropping it leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn answers_of_other_servers_come_one_by_one() {
    let [first, second] = servers();
    let (a, one) = connected(&second).await;
    let (b, two) = connected(&second).await;
    let mut stream = first.emit_with_ack::<u8>("ask", ()).no_timeout().stream().unwrap();
    for (client, socket, n) in [(&b, &two, 2), (&a, &one, 1)] {
        client.next().await;
        client.send(format!("30[{n}]"));
        let (id, answer) = stream.next().await.unwrap();
        assert_eq!((id, answer.unwrap()), (socket.id(), n));
    }
    assert!(stream.next().await.is_none());
    let stream = first.emit_with_ack::<u8>("ask", ()).no_timeout().stream().unwrap();
    drop(stream);
    a.next().await;
    a.send("31[1]");
    settle().await;
    assert!(a.is_open());
}

/// F-ACK-14, pain 7, R20: a socket of another server can be asked by its id.
#[tokio::test(start_paused = true)]
async fn a_socket_of_another_server_acknowledges() {
    let [here, there, third] = servers();
    let (client, socket) = connected(&there).await;
    let (bystander, _) = connected(&third).await;
    let ask = here.to(socket.id()).emit_with_ack::<(String, u8)>("question", (1, "two"));
    let ask = tokio::spawn(ask.into_future());
    assert_eq!(client.next().await, r#"20["question",1,"two"]"#);
    client.send(r#"30["answer",7]"#);
    let answers = ask.await.unwrap().unwrap();
    assert!(
        matches!(&answers[..], [(id, Ok((text, 7)))] if *id == socket.id() && text == "answer"),
        "{answers:?}"
    );
    // One that does not answer.
    let ask = here.to(socket.id()).emit_with_ack::<u8>("question", ()).timeout(Duration::from_secs(1));
    let answers = ask.await.unwrap();
    assert!(matches!(answers[..], [(_, Err(AckError::Timeout))]), "{answers:?}");
    // A socket that is here needs nobody else.
    let ask = there.to(socket.id()).emit_with_ack::<u8>("question", ()).into_future();
    let (answers, ()) = tokio::join!(ask, async {
        assert_eq!(client.next_many(2).await[1], r#"22["question"]"#);
        client.send("32[5]");
    });
    assert!(matches!(answers.unwrap()[..], [(_, Ok(5))]));
    settle().await;
    assert!(bystander.take().is_empty());
}

/// F-ACK-13: an id that no server knows fails at once; so does a socket that is gone.
#[tokio::test(start_paused = true)]
async fn unknown_ids_fail_at_once() {
    let [alone, _other] = servers();
    for io in [&alone, &Server::new()] {
        let (client, socket) = connected(io).await;
        let begun = Instant::now();
        assert!(io.socket("AAAAAAAAAAAAAAAAAAAA").is_none());
        let unknown = io.to("AAAAAAAAAAAAAAAAAAAA").emit_with_ack::<u8>("question", ()).await.unwrap();
        assert!(unknown.is_empty(), "{unknown:?}");
        client.break_off();
        until("the end", || !socket.is_connected()).await;
        let gone = socket.emit_with_ack::<u8>("question", ()).await;
        assert!(matches!(gone, Err(AckError::Disconnected)), "{gone:?}");
        assert!(begun.elapsed() < Duration::from_millis(100));
    }
}

/// F-NOD-06: a queue that refuses on another server is told, too.
#[tokio::test]
async fn a_full_queue_of_another_server_fails_at_once() {
    let cluster = MemoryCluster::new();
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.overflow) = (4, Overflow::Refuse);
    let here = Server::builder().adapter(cluster.adapter()).build();
    let there = Server::builder().adapter(cluster.adapter()).send_queue(queue).build();
    let (_client, socket) = connected(&there).await;
    for n in 0..4 {
        socket.emit("fill", n).unwrap();
    }
    let results = here.emit_with_ack::<u8>("question", ()).await.unwrap();
    assert!(matches!(results[..], [(_, Err(AckError::Disconnected))]), "{results:?}");
}

/// R20: what is still waited for when the server closes fails at once.
#[tokio::test]
async fn closing_ends_the_wait_for_other_servers() {
    let [here, there] = servers();
    let (client, socket) = connected(&there).await;
    let ask =
        tokio::spawn(here.to(socket.id()).emit_with_ack::<u8>("question", ()).no_timeout().into_future());
    client.next().await;
    here.close().await;
    let answers = ask.await.unwrap().unwrap();
    assert!(matches!(answers[..], [(_, Err(AckError::Disconnected))]), "{answers:?}");
    let answers = here.to(socket.id()).emit_with_ack::<u8>("question", ()).await.unwrap();
    assert!(!answers.iter().any(|(_, answer)| answer.is_ok()), "{answers:?}");
}

// ---- the servers themselves ----

/// F-NOD-11: events for the other servers, and one value of each.
#[tokio::test]
async fn servers_tell_and_ask_each_other() {
    let servers: [Server; 4] = servers();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    for (n, io) in servers.iter().enumerate() {
        let told = told.clone();
        io.on_server_event("hello", move |event: ServerEvent| {
            let told = told.clone();
            async move {
                let (name, number): (String, u8) = event.data()?;
                told.lock().push(format!(
                    "{n} {} {} {name} {number}",
                    event.namespace().name(),
                    event.name()
                ));
                Ok::<_, Error>(())
            }
        });
        if n < 3 {
            io.of("/x").on_server_event("number", move |_| async move {
                tokio::task::yield_now().await;
                n
            });
        }
    }
    servers[1].server_side_emit("hello", ("ann", 7)).unwrap();
    let mut lines = std::mem::take(&mut *told.lock());
    lines.sort();
    assert_eq!(lines, ["0 / hello ann 7", "2 / hello ann 7", "3 / hello ann 7"]);
    // Not to those that have no handler, nor in another namespace, nor to clients.
    let (client, _) = connected(&servers[0]).await;
    let mut numbers: Vec<usize> = servers[1].of("/x").server_side_emit_with_ack("number", ()).await.unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 2]);
    let none: Vec<usize> = servers[1].server_side_emit_with_ack("number", ()).await.unwrap();
    assert!(none.is_empty() && client.take().is_empty());
    assert!(Server::new().server_side_emit_with_ack::<u8>("alone", ()).await.unwrap().is_empty());
    // Names that the protocol keeps for itself, and data that cannot be sent.
    for name in ["connection", "connect", "new_namespace", "disconnecting"] {
        assert!(matches!(servers[0].server_side_emit(name, ()), Err(EmitError::ReservedName(_))), "{name}");
    }
    assert!(servers[0].server_side_emit("e", std::collections::HashMap::from([((), ())])).is_err());
    // A namespace that handles them is not forgotten, and not opened to clients by that.
    let stranger = Client::open(&servers[0]);
    stranger.send("0/x,");
    assert_eq!(stranger.next().await, r#"4/x,{"message":"Invalid namespace"}"#);
}

/// F-NOD-11, F-ERR-07: a server whose handler fails has no value; one that takes too long is missing.
#[tokio::test(start_paused = true)]
async fn servers_that_fail_or_dawdle_have_no_value() {
    let cluster = MemoryCluster::new();
    let servers = [(); 4].map(|()| {
        Server::builder().adapter(cluster.adapter()).cluster_timeout(Duration::from_secs(2)).build()
    });
    let latch = Latch::default();
    servers[1].on_server_event("ask", async |_| Err::<u8, _>(Error::msg("on purpose")));
    servers[2].on_server_event("ask", async |_| 2);
    let values: Vec<u8> = servers[0].server_side_emit_with_ack("ask", ()).await.unwrap();
    assert_eq!(values, [2]);
    servers[1].on_server_event("ask", async |event: ServerEvent| event.data::<String>());
    let wait = latch.clone();
    servers[3].on_server_event("ask", move |_| {
        let wait = wait.clone();
        async move { wait.wait().await }
    });
    let begun = Instant::now();
    let error = servers[0].server_side_emit_with_ack::<u8>("ask", ()).await.unwrap_err();
    let incomplete = error.downcast_ref::<Incomplete<u8>>().unwrap();
    assert_eq!((&incomplete.answers[..], incomplete.answered, incomplete.servers), (&[2][..], 2, 3));
    assert_eq!(error.to_string(), "2 of 3 other servers answered in time");
    assert!((2000..2050).contains(&begun.elapsed().as_millis()));
    latch.open(1);
    // A value of another type is an error that says so.
    let error = servers[1].server_side_emit_with_ack::<String>("ask", ()).await.unwrap_err();
    assert!(error.is_bad_arguments() || error.downcast_ref::<Incomplete<String>>().is_some(), "{error}");
}

// ---- what comes from others is not trusted ----

/// An adapter whose other side is the test.
#[derive(Clone, Default)]
struct Wire {
    local: Arc<Mutex<Option<Local>>>,
    published: Arc<Mutex<Vec<Operation>>>,
    others: Option<usize>,
}

impl Adapter for Wire {
    fn attach(&self, local: Local) {
        *self.local.lock() = Some(local);
    }

    fn publish(&self, operation: Operation) {
        self.published.lock().push(operation);
    }

    fn others(&self) -> Option<usize> {
        self.others
    }
}

impl Wire {
    fn server(others: Option<usize>) -> (Server, Self) {
        let wire = Self { others, ..Self::default() };
        let io = Server::builder().adapter(wire.clone()).max_pending_acks(2).build();
        (io, wire)
    }

    fn apply(&self, operation: Operation) -> Result<(), EmitError> {
        let local = self.local.lock().clone().unwrap();
        local.apply(operation)
    }

    async fn next(&self) -> Operation {
        until("an operation", || !self.published.lock().is_empty()).await;
        self.published.lock().remove(0)
    }
}

fn id(text: &str) -> SocketId {
    SocketId::parse(text).unwrap()
}

fn args(json: &'static str) -> RawArgs {
    RawArgs::from_json_elements(json.into(), Vec::new()).unwrap()
}

fn snapshot(name: &str) -> SocketSnapshot {
    SocketSnapshot::new(id(name), vec![Room::from(name)], HandshakeInfo::default(), args("1"))
}

/// F-NOD-10: other servers have 5 s to answer, or as long as the operator says; what the others have is in the error.
#[tokio::test(start_paused = true)]
async fn servers_that_do_not_answer_are_missing() {
    let (io, wire) = Wire::server(Some(2));
    let (_client, here) = connected(&io).await;
    for (operator, seconds) in [(io.all(), 5), (io.timeout(Duration::from_secs(1)), 1)] {
        let begun = Instant::now();
        let fetch = tokio::spawn(async move { operator.fetch_sockets().await });
        let Operation::FetchSockets { reply_to, target } = wire.next().await else { panic!("a question") };
        assert_eq!(target, Target::everybody("/"));
        let server = "one".into();
        wire.apply(Operation::Sockets { reply_to, server, sockets: vec![snapshot("there")] }).unwrap();
        let error = fetch.await.unwrap().unwrap_err();
        assert!((seconds * 1000..seconds * 1000 + 50).contains(&begun.elapsed().as_millis()));
        assert_eq!((error.answered, error.servers), (1, 2));
        let mut expected = vec![here.id(), id("there")];
        expected.sort();
        assert_eq!(ids(&error.answers), expected);
    }
    // Where nobody knows how many there are, all that came in time is the answer.
    let (io, wire) = Wire::server(None);
    let server = io.clone();
    let fetch = tokio::spawn(async move { server.fetch_sockets().await });
    let Operation::FetchSockets { reply_to, .. } = wire.next().await else { panic!("a question") };
    for (server, name) in [("one", "a"), ("two", "b"), ("two", "c"), ("three", "a")] {
        let (reply_to, server) = (reply_to.clone(), server.into());
        wire.apply(Operation::Sockets { reply_to, server, sockets: vec![snapshot(name)] }).unwrap();
    }
    assert_eq!(
        ids(&fetch.await.unwrap().unwrap()),
        [id("a"), id("b")],
        "one answer of a server, each socket once"
    );
}

/// F-SEC-01: answers to what was not asked, from too many, twice, for others or of the wrong kind are passed over.
#[tokio::test(start_paused = true)]
async fn answers_that_nobody_asked_for_are_passed_over() {
    let (io, wire) = Wire::server(Some(1));
    let (client, here) = connected(&io).await;
    let ask = io.to("r").emit_with_ack::<u8>("ask", ()).timeout(Duration::from_secs(1));
    let ask = tokio::spawn(ask.into_future());
    let Operation::Emit { ack: Some(AckRequest { reply_to, timeout }), target, .. } = wire.next().await
    else {
        panic!("a question")
    };
    assert_eq!((timeout, target), (Some(Duration::from_secs(1)), Target::rooms("/", vec!["r".into()])));
    let stranger = ReplyTo { server: "another".into(), id: reply_to.id };
    let unknown = ReplyTo { id: u64::MAX, ..reply_to.clone() };
    let addressed = |reply_to: &ReplyTo, server: &'static str, sockets: &[&str]| Operation::Addressed {
        reply_to: reply_to.clone(),
        server: server.into(),
        sockets: sockets.iter().map(|name| id(name)).collect(),
    };
    let acknowledged = |reply_to: &ReplyTo, socket: &str, value: Option<&'static str>| {
        Operation::Acknowledged { reply_to: reply_to.clone(), socket: id(socket), args: value.map(args) }
    };
    let sockets = Operation::Sockets { reply_to: reply_to.clone(), server: "x".into(), sockets: Vec::new() };
    let value = Operation::ServerAnswer { reply_to: reply_to.clone(), server: "x".into(), args: None };
    for operation in [
        acknowledged(&reply_to, "a", Some("1")), // before it was addressed
        addressed(&stranger, "x", &["a"]),
        addressed(&unknown, "x", &["a"]),
        sockets,
        value,
        addressed(&reply_to, "one", &["a", "b", "c"]),
        addressed(&reply_to, "one", &["d"]),  // again
        addressed(&reply_to, "more", &["d"]), // more servers than there are
        acknowledged(&reply_to, "d", Some("1")),
        acknowledged(&stranger, "a", Some("1")),
        acknowledged(&unknown, "a", Some("1")),
        acknowledged(&reply_to, here.id().as_str(), Some("1")), // ours
        acknowledged(&reply_to, "b", Some("2")),
        acknowledged(&reply_to, "b", Some("3")), // again
        acknowledged(&reply_to, "c", None),
    ] {
        wire.apply(operation).unwrap();
    }
    let mut results = ask.await.unwrap().unwrap();
    results.sort_by_key(|(id, _)| *id);
    assert!(
        matches!(&results[..], [(_, Err(AckError::Timeout)), (b, Ok(2)), (_, Err(AckError::Disconnected))] if *b == id("b")),
        "{results:?}"
    );
    wire.apply(acknowledged(&reply_to, "a", Some("1"))).unwrap();
    assert!(client.is_open() && client.take().is_empty());
}

/// F-SEC-01: operations that make no sense do nothing, and what is answered to questions is bounded.
#[tokio::test(start_paused = true)]
async fn operations_of_others_are_checked() {
    let (io, wire) = Wire::server(Some(1));
    let (client, socket) = connected(&io).await;
    let reply_to = ReplyTo { server: "another".into(), id: 7 };
    let emit = |event: &'static str, namespace: &'static str, timeout| Operation::Emit {
        target: Target::everybody(namespace),
        event: event.into(),
        args: args("1"),
        ack: Some(AckRequest { reply_to: reply_to.clone(), timeout }),
    };
    assert!(matches!(wire.apply(emit("disconnect", "/", None)), Err(EmitError::ReservedName(_))));
    assert!(client.take().is_empty() && wire.published.lock().is_empty());
    // Namespaces that are not here are answered, so that nobody waits, and not made.
    wire.apply(emit("ask", "/nowhere", None)).unwrap();
    assert!(matches!(wire.next().await, Operation::Addressed { sockets, .. } if sockets.is_empty()));
    wire.apply(Operation::FetchSockets { reply_to: reply_to.clone(), target: Target::everybody("/nowhere") })
        .unwrap();
    assert!(matches!(wire.next().await, Operation::Sockets { sockets, .. } if sockets.is_empty()));
    wire.apply(Operation::ServerEvent {
        namespace: "/nowhere".into(),
        event: "e".into(),
        args: args("1"),
        reply_to: Some(reply_to.clone()),
    })
    .unwrap();
    assert!(matches!(wire.next().await, Operation::ServerAnswer { args: None, .. }));
    assert_eq!(io.namespaces().len(), 1);
    // Questions that are never answered are bounded by what one socket may owe.
    for n in 0..5 {
        wire.apply(emit("ask", "/", if n == 0 { Some(Duration::MAX) } else { None })).unwrap();
        assert!(
            matches!(wire.next().await, Operation::Addressed { sockets, .. } if sockets == [socket.id()])
        );
        let failed = wire.published.lock().pop();
        assert_eq!(failed.is_some(), n >= 2, "{failed:?}");
    }
    assert_eq!(client.next_many(2).await, [r#"20["ask",1]"#, r#"21["ask",1]"#]);
    client.send("31[5]");
    let Operation::Acknowledged { reply_to: to, socket: from, args: Some(args) } = wire.next().await else {
        panic!("an answer")
    };
    assert_eq!((to, from, args.json()), (reply_to.clone(), socket.id(), "5"));
    // Personal rooms stay personal, names stay short, and rooms stay few.
    let rooms = vec![Room::from("x".repeat(2000)), Room::from(socket.id()), "ok".into()];
    wire.apply(Operation::Join { target: Target::everybody("/"), rooms: rooms.clone() }).unwrap();
    assert_eq!(socket.rooms(), [Room::from(socket.id()), "ok".into()]);
    wire.apply(Operation::Leave { target: Target::everybody("/"), rooms }).unwrap();
    assert_eq!(socket.rooms(), [Room::from(socket.id())]);
    let target = Target::rooms("/", Vec::new());
    wire.apply(Operation::Disconnect { target, close: true }).unwrap();
    assert!(socket.is_connected() && wire.published.lock().is_empty());
}

/// R16, R20: an adapter that panics is its own misfortune.
#[tokio::test]
async fn an_adapter_that_panics_harms_nobody() {
    struct Panics;
    impl Adapter for Panics {
        fn attach(&self, _: Local) {}
        fn publish(&self, _: Operation) {
            panic!("on purpose");
        }
        fn others(&self) -> Option<usize> {
            panic!("on purpose");
        }
        fn close(&self) {
            panic!("on purpose");
        }
    }
    let io = Server::builder().adapter(Panics).build();
    let (client, socket) = connected(&io).await;
    io.emit("e", ()).unwrap();
    io.all().join("r");
    assert_eq!(client.next().await, r#"2["e"]"#);
    assert_eq!(ids(&io.to("r").fetch_sockets().await.unwrap()), [socket.id()]);
    io.server_side_emit("e", ()).unwrap();
    io.close_within(Duration::ZERO).await;
}
