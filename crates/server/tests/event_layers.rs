//! Layers around event handlers: those that applications write, and the ready-made ones.

mod support;

use std::time::Duration;

use support::{Client, Log, logged, settle, watched};
use wirebird::extract::{Data, EventContext, EventName, Extension, Session, State};
use wirebird::layers::{Beyond, NotInRequest, NotInSession, RateLimit, RateLimited, Require, Timing};
use wirebird::testing::TestClient;
use wirebird::{Accept, Error, EventHandlerExt, EventLayer, Next, Reply, Server, Socket};

/// Logs what goes in and what comes out.
struct Trace(&'static str, Log);

impl EventLayer for Trace {
    async fn call(&self, event: EventContext, next: Next) -> Result<Reply, Error> {
        let Self(name, log) = self;
        log.push(format!("{name} > {}", event.event()));
        let result = next.run(event).await;
        let outcome = match &result {
            Ok(reply) => reply.args().map_or("nothing".into(), |args| args.json().to_owned()),
            Err(error) => error.to_string(),
        };
        log.push(format!("{name} < {outcome}"));
        result
    }
}

/// F-EVT-17: the server's layers are outside those of the namespace, these outside the handler's; the first one added is
/// the outermost.
#[tokio::test]
async fn layers_are_around_each_other_in_the_order_they_were_added() {
    let (builder, log) = logged();
    let io = builder.build();
    let trace = |name| Trace(name, log.clone());
    io.of("/").event_layer(trace("c")).event_layer(trace("d"));
    io.event_layer(trace("a")).event_layer(trace("b"));
    io.on("event", (async |Data(n): Data<u32>| n + 1).layer(trace("e")).layer(trace("f")));
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(0, r#"["event",1]"#).await, ["30[2]"]);
    let inwards = ["a > event", "b > event", "c > event", "d > event", "e > event", "f > event"];
    let outwards = ["f < 2", "e < 2", "d < 2", "c < 2", "b < 2", "a < 2"];
    assert_eq!(log.take(), [inwards, outwards].concat());
    // Without an acknowledgement wanted nothing is encoded.
    client.send(r#"2["event",1]"#);
    settle().await;
    assert_eq!(log.take()[6..8], ["f < nothing", "e < nothing"]);
}

/// F-EVT-17: whose handlers a layer is around: one handler, a namespace with its fallback, all namespaces; events that
/// nobody handles too.
#[tokio::test]
async fn layers_are_around_what_they_were_attached_to() {
    let (builder, log) = logged();
    let io = builder.namespaces(Accept::Any).build();
    let trace = |name| Trace(name, log.clone());
    io.event_layer(trace("server"));
    io.of("/a").event_layer(trace("a"));
    io.of("/a")
        .on("own", (async || ()).layer(trace("own")))
        .fallback(async |name: EventName| name.to_string());
    io.any_namespace().on("shared", (async || "any").layer(trace("shared")));
    let client = Client::open(&io);
    for namespace in ["/a", "/b"] {
        client.join(namespace).await;
    }
    let outer = async |namespace: &str, event: &str| {
        client.send(format!(r#"2{namespace},0["{event}"]"#));
        settle().await;
        let lines: Vec<_> = log.take().into_iter().filter(|line| line.contains('>')).collect();
        (lines.join(", "), client.take())
    };
    let own = outer("/a", "own").await;
    assert_eq!(own, ("server > own, a > own, own > own".into(), vec!["3/a,0[]".to_owned()]));
    let fallback = outer("/a", "x").await;
    assert_eq!(fallback, ("server > x, a > x".into(), vec![r#"3/a,0["x"]"#.to_owned()]));
    let shared = outer("/b", "shared").await;
    assert_eq!(shared, ("server > shared, shared > shared".into(), vec![r#"3/b,0["any"]"#.to_owned()]));
    let nobodys = outer("/b", "nobody's").await;
    assert_eq!(nobodys, ("server > nobody's".into(), vec![]));
}

/// F-EVT-17: layers of a pattern are around those of the namespaces that it makes.
#[tokio::test]
async fn layers_of_a_pattern_are_around_those_of_its_namespaces() {
    let (builder, log) = logged();
    let io = builder.build();
    let trace = |name| Trace(name, log.clone());
    io.event_layer(trace("server"));
    io.of("/room-1").event_layer(trace("room 1"));
    io.of_pattern("/room-{id}").event_layer(trace("rooms")).on("event", (async || ()).layer(trace("event")));
    let client = Client::open(&io);
    for (name, expected) in
        [("/room-1", &["server", "rooms", "room 1", "event"][..]), ("/room-2", &["server", "rooms", "event"])]
    {
        client.join(name).await;
        client.send(format!(r#"2{name},0["event"]"#));
        client.next().await;
        let lines = log.take();
        let inwards: Vec<_> = lines.iter().filter_map(|line| line.strip_suffix(" > event")).collect();
        assert_eq!(inwards, expected);
    }
}

/// F-EVT-16, F-EVT-17, F-ERR-05: a layer answers in place of the handler, refuses with an error, replaces the reply,
/// changes the session, ends the socket.
#[tokio::test]
async fn a_layer_can_do_what_a_handler_can_and_more() {
    async fn guard(event: EventContext, next: Next) -> Result<Reply, Error> {
        match event.event() {
            "answered" => Ok(Reply::new(("by the layer", 1))?),
            "refused" => Err(Error::msg("not for you")),
            "silent" => Ok(Reply::none()),
            "panic" => panic!("on purpose"),
            "ends" => {
                event.socket().disconnect();
                Ok(Reply::none())
            }
            "replaced" => {
                let args = next.run(event).await?.args().unwrap();
                Ok(Reply::new(format!("was {}", args.json()))?)
            }
            "echoed" => Ok(Reply::raw(event.args())),
            _ => {
                event.socket().session().update(|count: &mut u32| *count += 1);
                next.run(event).await
            }
        }
    }
    let (builder, log) = logged();
    let io = watched(builder);
    io.event_layer(guard);
    io.fallback(async |Session(count): Session<u32>| count);
    io.on("replaced", async || (1, 2));
    io.of("/").on_error(async |error: Error, event: EventContext| {
        format!("{} {}: {error}", event.event(), event.args().json())
    });
    let client = Client::open(&io);
    client.join("/").await;
    for (event, reply) in [
        (r#"["answered"]"#, r#"30["by the layer",1]"#),
        (r#"["refused",7]"#, r#"30["refused 7: not for you"]"#),
        (r#"["panic",8]"#, r#"30["panic 8: the handler panicked: on purpose"]"#),
        (r#"["replaced"]"#, r#"30["was 1,2"]"#),
        (r#"["echoed",{"b":1,"a":1e400}]"#, r#"30[{"b":1,"a":1e400}]"#),
        (r#"["counted"]"#, "30[1]"),
        (r#"["counted"]"#, "30[2]"),
    ] {
        assert_eq!(client.call(0, event).await, [reply], "{event}");
    }
    client.send(r#"20["silent"]"#);
    client.send(r#"2["answered"]"#);
    client.send(r#"21["ends"]"#);
    client.send(r#"22["answered"]"#);
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    settle().await;
    assert_eq!(client.take(), ["1"], "no acknowledgement that nobody asked for, or gave");
}

/// F-EVT-13, F-EVT-17: what waits in a layer keeps its place in the order of events.
#[tokio::test(start_paused = true)]
async fn events_stay_in_order_through_layers_that_wait() {
    let io = Server::new();
    io.event_layer(async |event: EventContext, next: Next| {
        let n: u64 = event.args().json().parse()?;
        tokio::time::sleep(Duration::from_millis(10 - n)).await;
        next.run(event).await
    });
    io.on("event", async |Data(n): Data<u64>| n);
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..10 {
        client.send(format!(r#"2{n}["event",{n}]"#));
    }
    let expected: Vec<_> = (0..10).map(|n| format!("3{n}[{n}]")).collect();
    assert_eq!(client.next_many(10).await, expected);
}

/// F-EVT-17, F-EVT-19: a layer that is added later is around the events that come from then on.
#[tokio::test]
async fn layers_can_be_added_while_clients_are_connected() {
    let io = Server::new();
    io.on("event", async || "open");
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(0, r#"["event"]"#).await, [r#"30["open"]"#]);
    io.of("/").event_layer(async |_: EventContext, _: Next| Ok(Reply::new("namespace closed")?));
    assert_eq!(client.call(1, r#"["event"]"#).await, [r#"31["namespace closed"]"#]);
    io.event_layer(async |_: EventContext, _: Next| Ok(Reply::new("server closed")?));
    assert_eq!(client.call(2, r#"["event"]"#).await, [r#"32["server closed"]"#]);
}

#[derive(Clone)]
struct User(&'static str);

/// F-EVT-17: `Require` lets only sockets pass whose session has a value.
#[tokio::test]
async fn what_is_required_must_be_in_the_session() {
    let (builder, log) = logged();
    let io = watched(builder);
    io.on("login", async |socket: Socket| {
        socket.session().insert(User("ann"));
    });
    io.on("secret", (async |Session(User(name)): Session<User>| name).layer(Require::<User>::new()));
    io.on("quiet", (async || "fine").layer(Require::<User>::new().or_disconnect()));
    io.on_error(async |error: Error| {
        error.downcast_ref::<NotInSession>().map(|missing| missing.type_name().ends_with("User"))
    });
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(0, r#"["secret"]"#).await, ["30[true]"]);
    client.call(1, r#"["login"]"#).await;
    assert_eq!(client.call(2, r#"["secret"]"#).await, [r#"32["ann"]"#]);
    assert_eq!(client.call(3, r#"["quiet"]"#).await, [r#"33["fine"]"#]);
    let stranger = Client::open(&io);
    stranger.join("/").await;
    stranger.send(r#"20["quiet"]"#);
    assert_eq!(stranger.next().await, "1");
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    assert!(client.take().is_empty() && stranger.take().is_empty());
}

/// F-EVT-17: `Require::of_request` lets only sockets pass whose request has a value from middleware; others are refused, or
/// disconnected. A value in the session does not count.
#[tokio::test]
async fn what_is_required_may_have_to_be_in_the_request() {
    let (builder, log) = logged();
    let io = watched(builder);
    let required = Require::<User>::of_request;
    io.on("secret", (async |Extension(User(name)): Extension<User>| name).layer(required()));
    io.on("quiet", (async || "fine").layer(required().or_disconnect()));
    io.on_error(async |error: Error| {
        let missing =
            error.downcast_ref::<NotInRequest>().map(|missing| missing.type_name().ends_with("User"));
        (
            missing,
            error.to_string().starts_with("the extensions of the socket's request have no value of type"),
        )
    });
    let ann = TestClient::connect(&io).extension(User("ann")).await.unwrap();
    assert_eq!(ann.emit_with_ack::<String>("secret", ()).await.unwrap(), "ann");
    assert_eq!(ann.emit_with_ack::<String>("quiet", ()).await.unwrap(), "fine");
    let stranger = TestClient::connect(&io).await.unwrap();
    io.socket(stranger.id()).unwrap().session().insert(User("eve"));
    assert_eq!(
        stranger.emit_with_ack::<(Option<bool>, bool)>("secret", ()).await.unwrap(),
        (Some(true), true)
    );
    stranger.emit("quiet", ()).unwrap();
    stranger.disconnected().await.unwrap();
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    assert!(io.socket(ann.id()).is_some());
}

/// F-EVT-17: a bucket of so many events, filled evenly, for each socket and each limit apart.
#[tokio::test(start_paused = true)]
async fn events_beyond_a_rate_limit_are_errors() {
    let io = Server::new();
    io.event_layer(RateLimit::new(4, Duration::from_secs(2)));
    io.on("event", async || "fine");
    io.on("rare", (async || "rare").layer(RateLimit::new(1, Duration::from_secs(1)).burst(2)));
    io.on_error(async |error: Error| error.downcast_ref::<RateLimited>().is_some());
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    let passes = async |client: &Client, event: &str| {
        client.call(0, &format!(r#"["{event}"]"#)).await[0] != "30[true]"
    };
    for _ in 0..4 {
        assert!(passes(&client, "event").await);
    }
    assert!(!passes(&client, "event").await, "the fifth at once");
    assert!(passes(&other, "event").await, "another socket has its own");
    tokio::time::sleep(Duration::from_millis(499)).await;
    assert!(!passes(&client, "event").await);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(passes(&client, "event").await, "one is earned every 500 ms");
    assert!(!passes(&client, "event").await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The limit of the handler is within that of the server, and counts by itself.
    for (event, expected) in
        [("rare", true), ("rare", true), ("rare", false), ("event", true), ("event", false)]
    {
        assert_eq!(passes(&client, event).await, expected, "{event}");
    }
}

/// F-EVT-17: the other answers to too many events. Those without a handler count too.
#[tokio::test(start_paused = true)]
async fn events_beyond_a_rate_limit_may_be_dropped_or_end_the_socket() {
    let (builder, log) = logged();
    let io = watched(builder);
    io.on_error(async |_: Error| "no error comes of it");
    io.event_layer(RateLimit::new(3, Duration::from_secs(1)).beyond(Beyond::Disconnect));
    io.on("event", (async || "fine").layer(RateLimit::new(1, Duration::from_secs(1)).beyond(Beyond::Drop)));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"20["event"]"#);
    client.send(r#"21["event"]"#);
    settle().await;
    assert_eq!(client.take(), [r#"30["fine"]"#]);
    client.send(r#"22["nobody's"]"#);
    settle().await;
    assert!(log.all().is_empty());
    client.send(r#"23["nobody's"]"#);
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    assert_eq!(client.take(), ["1"]);
    // Who comes back is a new socket, with a full bucket.
    client.join("/").await;
    assert_eq!(client.call(4, r#"["event"]"#).await, [r#"34["fine"]"#]);
}

/// F-EVT-17, R14: without a runtime the clock is the one that the caller sets.
#[test]
fn a_rate_limit_goes_by_the_clock_of_the_server() {
    let io = Server::new();
    io.event_layer(RateLimit::new(1, Duration::from_secs(1)).beyond(Beyond::Drop));
    io.on("event", async || "fine");
    let client = Client::inline(&io);
    client.join_now("/");
    let begun = std::time::Instant::now();
    for (millis, passes) in [(10, true), (20, false), (1005, false), (1015, true), (1020, false)] {
        io.tick(begun + Duration::from_millis(millis));
        client.send(r#"20["event"]"#);
        assert_eq!(client.take().len(), usize::from(passes), "{millis}");
    }
}

/// A limit that lets nothing pass is a mistake.
#[test]
fn a_rate_limit_of_nothing_is_refused() {
    for mistake in [
        || drop(RateLimit::new(0, Duration::from_secs(1))),
        || drop(RateLimit::new(1, Duration::ZERO)),
        || drop(RateLimit::new(1, Duration::from_secs(1)).burst(0)),
    ] {
        assert!(std::panic::catch_unwind(mistake).is_err());
    }
}

/// F-EVT-17: how long handlers take, however they end.
#[tokio::test(start_paused = true)]
async fn handlers_can_be_timed() {
    let (builder, log) = logged();
    let io = builder.build();
    io.event_layer(Timing::new({
        let log = log.clone();
        move |event: &EventContext, took: Duration| {
            log.push(format!("{} {}", event.event(), took.as_millis()));
            assert!(event.event() != "quick", "a panic of the report does no harm");
        }
    }));
    io.on("slow", async || tokio::time::sleep(Duration::from_millis(250)).await);
    io.on("quick", async || "done");
    io.on("fails", async |State(_): State<u8>| ());
    io.on("panics", async |name: EventName| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(&*name != "panics", "on purpose");
    });
    let client = Client::open(&io);
    client.join("/").await;
    for event in ["slow", "nobody's", "fails", "panics"] {
        client.send(format!(r#"2["{event}"]"#));
    }
    assert_eq!(client.call(0, r#"["quick"]"#).await, [r#"30["done"]"#]);
    assert_eq!(log.all(), ["slow 250", "fails 0", "panics 20", "quick 0"]);
}
