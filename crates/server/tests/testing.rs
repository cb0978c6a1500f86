//! The test client, used as an application's tests would use it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use wirebird::extract::{Args, Auth, Data, Extension, State};
use wirebird::parser::{Decoder, Json, Limits, Message, Messages, Packet, Parser};
use wirebird::testing::{Disconnection, Event, TestClient, TestError, settle};
use wirebird::{
    AckError, AckSender, ConnectError, ConnectRequest, DisconnectReason, Error, Handshake, MemoryCluster,
    Server, Socket, Value,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::name).collect()
}

/// The application that most of these tests are for.
fn chat() -> Server {
    let io = Server::new();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io.on("say", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
        socket.to(room).emit("said", (socket.id(), text))
    });
    io.on("echo", async |Args(args): Args, ack: AckSender| ack.send_values(&args));
    io.on("pair", async || ("one", 2));
    io.on("nothing", async || ());
    io.on("message", async |socket: Socket, Data(text): Data<Value>| socket.send(text));
    io
}

/// F-TST-01, F-TST-07, F-TST-09: clients of one server hear each other, and each event is taken once.
#[tokio::test(start_paused = true)]
async fn clients_hear_each_other() -> Outcome {
    let io = chat();
    let (ann, ben) = (TestClient::connect(&io).await?, TestClient::connect(&io).await?);
    assert_ne!(ann.id(), ben.id());
    assert!(io.socket(ann.id()).is_some());
    assert_eq!(io.sockets_of_session(ann.engine_session().id().as_str()).len(), 1);
    for client in [&ann, &ben] {
        client.emit("join", "lobby")?;
    }
    ann.emit("say", ("lobby", "hello"))?;
    ann.emit("say", ("lobby", "again"))?;
    let heard = ben.received().await;
    assert_eq!(names(&heard), ["said", "said"]);
    assert_eq!(heard[0].args(), [Value::from(ann.id().as_str()), Value::from("hello")]);
    assert_eq!((heard[0].namespace(), heard[0].wants_ack()), ("/", false));
    assert_eq!(heard[1].data::<(String, String)>()?.1, "again");
    assert!(ben.received().await.is_empty() && ann.received().await.is_empty());
    Ok(())
}

/// F-TST-05, F-TST-06: one value, several, none; `send` is the event `message`.
#[tokio::test(start_paused = true)]
async fn acknowledgements_are_typed() -> Outcome {
    let io = chat();
    let client = TestClient::connect(&io).await?;
    assert_eq!(client.emit_with_ack::<(String, i64)>("pair", ()).await?, ("one".into(), 2));
    client.emit_with_ack::<()>("nothing", ()).await?;
    assert_eq!(client.emit_with_ack::<Option<String>>("nothing", ()).await?, None);
    assert_eq!(client.emit_with_ack::<Value>("echo", vec![1, 2]).await?, Value::from(vec![1, 2]));
    let error = client.emit_with_ack::<i64>("pair", ()).await.unwrap_err();
    let text = "what the server sent is not what was expected: argument 0: expected i64";
    assert_eq!(error.to_string(), text);

    // Emitted at once, awaited later, in any order.
    let (first, second) = (client.ask::<i64>("echo", 1), client.ask::<i64>("echo", 2));
    assert_eq!((second.await?, first.await?), (2, 1));

    client.send("hello")?;
    let message = client.next_event().await?;
    assert_eq!((message.name(), message.data::<String>()?), ("message", "hello".into()));
    Ok(())
}

/// F-TST-08: data is encoded and decoded on its way, and binary stays binary.
#[tokio::test(start_paused = true)]
async fn data_goes_over_the_wire() -> Outcome {
    let io = chat();
    let client = TestClient::connect(&io).await?;
    let binary = Bytes::from_static(&[0, 1, 255]);
    let (number, back) = client.emit_with_ack::<(f64, Bytes)>("echo", (1.5, binary.clone())).await?;
    assert_eq!((number, back), (1.5, binary.clone()));
    client.send(&binary)?;
    assert_eq!(client.expect("message").await?.args(), [Value::Binary(binary)]);
    // What cannot be sent is an error, and what names an event of the protocol too.
    let unsendable = client.emit("echo", HashMap::from([((), 1)])).unwrap_err();
    assert!(matches!(unsendable, TestError::Emit(_)), "{unsendable}");
    let reserved = client.emit_with_ack::<()>("disconnect", ()).await.unwrap_err();
    assert_eq!(reserved.to_string(), "\"disconnect\" is a reserved event name and cannot be emitted");
    Ok(())
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

#[derive(Clone, PartialEq, Debug)]
struct User(&'static str);

/// F-TST-01, F-TST-10: everything that a handler can know of the request.
#[tokio::test(start_paused = true)]
async fn the_request_is_what_the_test_says() -> Outcome {
    let io = Server::builder().path("/live").build();
    io.of("/in").on_connect(
        async |Auth(login): Auth<Login>, shake: Arc<Handshake>, Extension(user): Extension<User>| {
            assert_eq!((login.token.as_str(), user), ("secret", User("ann")));
            assert_eq!(shake.path(), "/live/");
            assert_eq!(shake.query("room").as_deref(), Some("a&b é"));
            assert_eq!(
                (shake.query("EIO").as_deref(), shake.query("transport").as_deref()),
                (Some("4"), Some("websocket"))
            );
            assert_eq!(shake.header("User-Agent"), Some("test"));
            assert_eq!((shake.cookie("session"), shake.cookie("other")), (Some("42"), Some("x")));
            assert_eq!(shake.peer_addr(), "10.1.2.3:4567".parse().ok());
        },
    );
    let client = TestClient::connect(&io)
        .namespace("in")
        .auth(json!({ "token": "secret" }))
        .query("room", "a&b é")
        .header("user-agent", "test")
        .cookie("session", "42")
        .cookie("other", "x")
        .extension(User("ann"))
        .peer_addr("10.1.2.3:4567".parse()?)
        .await?;
    assert_eq!(client.namespace(), "/in");
    assert!(io.of("/in").socket(client.id()).is_some());
    let error = TestClient::connect(&io).header("no header", "x").await.unwrap_err();
    assert_eq!(error.to_string(), "not a header: \"no header\": \"x\"");
    Ok(())
}

/// F-TST-02: a refusal carries what the server says, and leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn refusals_are_errors() -> Outcome {
    let io = Server::new();
    io.on_connect(async |Auth(login): Auth<Option<Login>>| match login {
        Some(_) => Ok(()),
        None => Err(ConnectError::new("unauthorized!").with_data(json!({ "code": 7 }))),
    });
    let error = TestClient::connect(&io).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused the connection: unauthorized! ({\"code\":7})");
    let refusal = error.refusal().expect("a refusal");
    assert_eq!((refusal.message(), &refusal.data().unwrap()["code"]), ("unauthorized!", &Value::from(7)));
    settle().await;
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));

    let client = TestClient::connect(&io).auth(json!({ "token": "" })).await?;
    let nowhere = client.of("/nowhere").await.unwrap_err();
    assert_eq!(nowhere.refusal().unwrap().message(), "Invalid namespace");
    assert!(client.is_connected());
    Ok(())
}

/// F-TST-02, F-TST-03, F-TST-04: namespaces of one connection come and go by themselves.
#[tokio::test(start_paused = true)]
async fn namespaces_share_a_connection() -> Outcome {
    let io = Server::new();
    for name in ["/", "/admin"] {
        io.of(name).on("where", async |socket: Socket| socket.namespace().name().to_owned());
    }
    io.of("/admin").on_connect(async |Auth(login): Auth<Login>| login.token == "root");
    let client = TestClient::connect(&io).await?;
    assert!(client.of("/admin").await.is_err());
    let admin = client.of("/admin").auth(json!({ "token": "root" })).await?;
    assert_eq!(io.engine().session_count(), 1);
    assert_eq!(client.emit_with_ack::<String>("where", ()).await?, "/");
    assert_eq!(admin.emit_with_ack::<String>("where", ()).await?, "/admin");
    assert_eq!(client.of("/admin").await?.id(), admin.id());

    io.of("/admin").emit("only for admins", ())?;
    assert_eq!(names(&admin.received().await), ["only for admins"]);
    assert!(client.received().await.is_empty());

    admin.disconnect()?;
    assert!(client.is_connected() && !admin.is_connected());
    let again = client.of("/admin").auth(json!({ "token": "root" })).await?;
    assert_ne!(again.id(), admin.id());
    assert!(again.is_connected() && !admin.is_connected());
    Ok(())
}

/// F-TST-04: what needs a connection says that there is none, and why.
#[tokio::test(start_paused = true)]
async fn not_connected_is_an_error() -> Outcome {
    let io = chat();
    let client = TestClient::connect(&io).await?;
    client.disconnect()?;
    let text = "not connected to /: io client disconnect";
    assert_eq!(client.emit("say", ()).unwrap_err().to_string(), text);
    assert_eq!(client.send("x").unwrap_err().to_string(), text);
    assert_eq!(client.emit_with_ack::<()>("say", ()).await.unwrap_err().to_string(), text);
    assert_eq!(client.disconnect().unwrap_err().to_string(), text);
    let begun = Instant::now();
    assert!(client.next_event().await.unwrap_err().is_not_connected());
    assert_eq!(client.expect("said").await.unwrap_err().to_string(), text);
    assert_eq!(begun.elapsed(), Duration::ZERO, "there is nothing to wait for");

    io.close().await;
    let error = TestClient::connect(&io).await.unwrap_err();
    assert_eq!(error.to_string(), "the server is closing");
    Ok(())
}

/// F-TST-13: each end of a connection, with the reasons that either side sees.
#[tokio::test(start_paused = true)]
async fn both_sides_know_why_it_ended() -> Outcome {
    let reasons = Arc::new(Mutex::new(Vec::<DisconnectReason>::new()));
    let io = Server::builder().state(reasons.clone()).build();
    io.on_disconnect(
        async |reason: DisconnectReason, State(reasons): State<Arc<Mutex<Vec<DisconnectReason>>>>| {
            reasons.lock().push(reason);
        },
    );
    io.on("kick me", async |socket: Socket| {
        socket.emit("farewell", ())?;
        socket.disconnect();
        Ok::<_, wirebird::Error>(())
    });
    type End = fn(&TestClient);
    let ends: [(End, Disconnection, DisconnectReason); 4] = [
        (|client| client.disconnect().unwrap(), Disconnection::Client, DisconnectReason::ClientDisconnect),
        (
            |client| client.emit("kick me", ()).unwrap(),
            Disconnection::Server,
            DisconnectReason::ServerDisconnect,
        ),
        (TestClient::break_off, Disconnection::Transport, DisconnectReason::TransportClose),
        (
            |client| client.engine_session().close(wirebird::engine::CloseReason::ForcedClose),
            Disconnection::Transport,
            DisconnectReason::ForcedClose,
        ),
    ];
    for (end, seen, reason) in ends {
        let client = TestClient::connect(&io).await?;
        end(&client);
        assert_eq!(client.disconnected().await?, seen);
        settle().await;
        assert_eq!(std::mem::take(&mut *reasons.lock()), [reason]);
        assert!(!client.is_connected());
        let last = client.received().await;
        assert_eq!(names(&last), if seen == Disconnection::Server { vec!["farewell"] } else { vec![] });
    }
    // Dropping it is the end of the connection.
    drop(TestClient::connect(&io).await?);
    settle().await;
    assert_eq!(*reasons.lock(), [DisconnectReason::TransportClose]);
    assert_eq!(io.engine().session_count(), 0);
    Ok(())
}

/// F-TST-13: heartbeats go on in paused time, and a client that does not answer is disconnected exactly when it should be.
#[tokio::test(start_paused = true)]
async fn heartbeats_follow_the_clock() -> Outcome {
    let builder =
        Server::builder().ping_interval(Duration::from_secs(25)).ping_timeout(Duration::from_secs(20));
    let io = builder.build();
    let alive = TestClient::connect(&io).await?;
    let dead = TestClient::connect(&io).answer_pings(false).timeout(Duration::from_secs(60)).await?;
    let begun = Instant::now();
    assert_eq!(dead.disconnected().await?, Disconnection::Transport);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(45) && took < Duration::from_millis(45_100), "{took:?}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(alive.is_connected());
    assert_eq!(
        alive.disconnected().await.unwrap_err().to_string(),
        "the end of the connection did not come within 5s"
    );
    Ok(())
}

/// F-TST-05, F-TST-13: clients answer the server, by hand or by a handler, or not at all.
#[tokio::test(start_paused = true)]
async fn the_server_is_answered() -> Outcome {
    let io = chat();
    let client = TestClient::connect(&io).await?;
    let socket = io.socket(client.id()).expect("a socket");

    let asking = tokio::spawn(socket.emit_with_ack::<(String, Bytes)>("question", 1).into_future());
    let question = client.expect("question").await?;
    assert!(question.wants_ack());
    question.ack(("answer", Bytes::from_static(b"x")))?;
    assert_eq!(asking.await??, ("answer".into(), Bytes::from_static(b"x")));
    assert!(!question.wants_ack());
    let twice = question.ack(()).unwrap_err();
    assert_eq!(twice.to_string(), "the server waits for no acknowledgement of \"question\"");

    client.on("add", |(a, b): (i64, i64)| a + b).on("noted", |_: Value| ());
    assert_eq!(socket.emit_with_ack::<i64>("add", (1, 2)).await?, 3);
    socket.emit("noted", "x")?;
    assert_eq!(
        names(&client.received().await),
        ["add", "noted"],
        "events that are handled can be looked at too"
    );

    let begun = Instant::now();
    let error =
        socket.emit_with_ack::<i64>("question", ()).timeout(Duration::from_secs(7)).await.unwrap_err();
    assert!(error.is_timeout());
    assert!(begun.elapsed() < Duration::from_millis(7_100));
    let asking = tokio::spawn(socket.emit_with_ack::<i64>("question", ()).into_future());
    settle().await;
    client.break_off();
    assert!(matches!(asking.await?, Err(AckError::Disconnected)));
    Ok(())
}

/// F-TST-13: what does not come says what came instead, after a time that nobody has to wait for.
#[tokio::test(start_paused = true)]
async fn waiting_ends_with_a_clear_error() -> Outcome {
    let io = chat();
    io.on("slow", async || tokio::time::sleep(Duration::from_secs(30)).await);
    io.of("/never").on_connect(async || std::future::pending::<()>().await);
    let client = TestClient::connect(&io).await?;
    io.emit("news", 1)?;
    io.emit("weather", 2)?;
    let begun = Instant::now();
    let error = client.expect("sports").await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "the event \"sports\" did not come within 5s; what came: news, weather");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(client.expect("weather").await?.data::<i64>()?, 2);
    assert_eq!(client.next_event().await?.name(), "news");

    let error = client.emit_with_ack::<()>("slow", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "the acknowledgement of \"slow\" did not come within 5s");
    client.ask::<()>("slow", ()).timeout(Duration::from_secs(60)).await?;

    let connecting = TestClient::connect(&io).namespace("/never").timeout(Duration::from_secs(1));
    let error = connecting.await.unwrap_err();
    assert_eq!(error.to_string(), "the confirmation of /never did not come within 1s");
    Ok(())
}

/// F-TST-05: what goes wrong in a handler of the client fails the test.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "the client's handler of \"add\": what the server sent: argument 1 is missing")]
async fn a_handler_of_the_client_gets_what_it_takes_or_the_test_fails() {
    let io = Server::new();
    let client = TestClient::connect(&io).await.unwrap();
    client.on("add", |(a, b): (i64, i64)| a + b);
    io.emit("add", 1).unwrap();
    client.received().await;
}

/// F-TST-05: a failing assertion in a handler of the client fails the test.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "left == right")]
async fn assertions_in_handlers_of_the_client_count() {
    let io = Server::new();
    let client = TestClient::connect(&io).await.unwrap();
    client.on("news", |number: i64| assert_eq!(number, 2));
    io.emit("news", 1).unwrap();
    let _ = client.expect("sports").await;
}

/// F-TST-11, F-TST-13: several servers that are one cluster.
#[tokio::test(start_paused = true)]
async fn a_cluster_in_one_process() -> Outcome {
    let cluster = MemoryCluster::new();
    let server = || Server::builder().adapter(cluster.adapter()).build();
    let (here, there) = (server(), server());
    let (ann, ben) = (TestClient::connect(&here).await?, TestClient::connect(&there).await?);
    here.emit("news", "for all")?;
    assert_eq!(names(&ann.received().await), ["news"]);
    assert_eq!(ben.expect("news").await?.data::<String>()?, "for all");

    ben.on("question", |()| "answer");
    let answers = here.to(ben.id()).emit_with_ack::<String>("question", ()).await?;
    assert_eq!(answers[0].1.as_ref().unwrap(), "answer");
    here.to(ben.id()).disconnect();
    assert_eq!(ben.disconnected().await?, Disconnection::Server);
    Ok(())
}

/// F-TST-12: a server goes on as before when its test clients are gone.
#[tokio::test]
async fn the_server_is_left_as_it_was() -> Outcome {
    let io = chat();
    io.on("wait", async || {
        tokio::time::sleep(Duration::from_millis(1)).await;
        "waited"
    });
    drop(TestClient::connect(&io).await?);
    settle().await;
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    let client = TestClient::connect(&io).await?;
    let begun = std::time::Instant::now();
    let asked = client.ask::<String>("wait", ());
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert_eq!(asked.await?, "waited", "handlers still wait without blocking their caller");
    Ok(())
}

/// F-TST-01: what the application adds to the confirmation, and handlers that use clients of their own server.
#[tokio::test(start_paused = true)]
async fn the_confirmation_can_be_read_and_calls_nest() -> Outcome {
    struct Greets;
    impl wirebird::Dispatcher for Greets {
        fn connect(&self, _: ConnectRequest, responder: wirebird::ConnectResponder) {
            responder.accept_with(&json!({ "motd": "hello" }));
        }
        fn event(&self, _: wirebird::IncomingEvent) {}
        fn disconnect(&self, _: Socket, _: DisconnectReason, _: wirebird::Completion) {}
    }
    let io = chat();
    io.of("/greets").set_dispatcher(Arc::new(Greets));
    let client = Arc::new(TestClient::connect(&io).namespace("/greets").await?);
    assert_eq!(client.connect_payload()["motd"].as_str(), Some("hello"));
    assert_eq!(client.connect_payload()["sid"].as_str(), Some(client.id().as_str()));

    // A handler of the server emits as the client, from inside the client's own call.
    let outer = Arc::new(TestClient::connect(&io).await?);
    let inner = outer.clone();
    io.on("nested", move || {
        let inner = inner.clone();
        async move { inner.emit("say", ("x", "y")).is_ok() }
    });
    assert!(outer.emit_with_ack::<bool>("nested", ()).await?);
    io.off("nested");
    Ok(())
}

/// Packets as binary messages: the default format in reverse.
struct Reversed;

impl Parser for Reversed {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        let Messages { message, attachments, .. } = Json.encode(packet)?;
        let Message::Text(text) = message else { return Err(Error::msg("JSON is text")) };
        let reversed: Vec<u8> = text.bytes().rev().collect();
        Ok(Messages::binary(reversed).with_attachments(attachments))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
        Box::new(ReversedDecoder(Json.decoder(limits), 0))
    }
}

/// The decoder of the default format, and how many attachments are to come.
struct ReversedDecoder(Box<dyn Decoder>, usize);

impl Decoder for ReversedDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        let Message::Binary(data) = &message else { return Err(Error::msg("text")) };
        if self.1 > 0 {
            self.1 -= 1;
            return self.0.decode(message);
        }
        let text: Vec<u8> = data.iter().rev().copied().collect();
        let text = String::from_utf8(text)?;
        if let Some(count) = text.strip_prefix(['5', '6']).and_then(|rest| rest.split_once('-')) {
            self.1 = count.0.parse()?;
        }
        self.0.decode(Message::Text(text.into()))
    }
}

/// F-TST-08: the client speaks the format of the server.
#[tokio::test(start_paused = true)]
async fn the_parser_is_that_of_the_server() -> Outcome {
    let io = Server::builder().parser(Reversed).build();
    io.on("echo", async |Args(args): Args, ack: AckSender| ack.send_values(&args));
    io.on_connect(async |Auth(login): Auth<Login>| login.token == "secret");
    let refused = TestClient::connect(&io).auth(json!({ "token": "wrong" })).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().message(), "Connection rejected by server");
    let client = TestClient::connect(&io).auth(json!({ "token": "secret" })).await?;
    let sent = (1, Bytes::from_static(b"x"));
    assert_eq!(client.emit_with_ack::<(i64, Bytes)>("echo", &sent).await?, sent);
    client.on("question", |()| Bytes::from_static(b"answer"));
    let answer: Bytes = io.socket(client.id()).unwrap().emit_with_ack("question", ()).await?;
    assert_eq!(answer, "answer");
    Ok(())
}

/// F-TST-02, F-CON-16: the request is checked as those of clients from outside are.
#[tokio::test(start_paused = true)]
async fn requests_are_checked() -> Outcome {
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let seen = refusals.clone();
    let io = Server::builder()
        .cors_allowed_origins(["https://example.com"])
        .allow_request(async |request: Arc<Handshake>| match request.query("pass").as_deref() {
            Some("wait") => std::future::pending().await,
            Some(_) => Ok(()),
            None => Err("no pass".to_owned()),
        })
        .on_connection_error(move |refusal| seen.lock().push(refusal.cause.name()))
        .max_sessions(1)
        .build();
    let connect = || TestClient::connect(&io).query("pass", "1");
    let error = TestClient::connect(&io).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused the request with 403 Forbidden: no pass");
    let error = connect().header("origin", "https://evil.example").await.unwrap_err();
    assert!(matches!(error, TestError::Rejected { status, .. } if status == 400), "{error}");
    let error = TestClient::connect(&io).query("pass", "wait").await.unwrap_err();
    assert_eq!(error.to_string(), "the answer to the request did not come within 5s");
    let client = connect().header("origin", "https://example.com").await?;
    assert!(client.is_connected());
    let error = connect().await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused the request with 503 Service Unavailable");
    assert_eq!(*refusals.lock(), ["forbidden", "origin", "full"]);
    Ok(())
}
