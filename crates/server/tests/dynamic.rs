//! Namespaces that come and go with their clients.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use support::{Client, Latch, Log, connect, logged, settle, until};
use wirebird::extract::{Data, EventContext, Path, State};
use wirebird::{
    Accept, Concurrency, DisconnectReason, Dispatcher, Error, Handshake, IncomingEvent, MemoryCluster,
    Namespace, Next, Server, Socket, TrustedProxies,
};

const INVALID: &str = r#"{"message":"Invalid namespace"}"#;

fn names(io: &Server) -> Vec<String> {
    let mut names: Vec<_> = io.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
    names.sort();
    names
}

/// Sends an event without arguments and returns the packets that came of it.
async fn ask(client: &Client, namespace: &str, event: &str) -> Vec<String> {
    client.send(format!(r#"2{namespace},0["{event}"]"#));
    settle().await;
    client.take()
}

/// F-NSP-09, F-NOD-15: what matches is a namespace like any other: its own sockets and rooms, its handlers those of the
/// pattern, its parameters for all handlers; it is emitted to by its name.
#[tokio::test]
async fn a_pattern_opens_namespaces_with_sockets_and_rooms_of_their_own() {
    let (builder, log) = logged();
    let io = builder.build();
    let chats = io.of_pattern("/chat-{room}");
    chats
        .on_connect(async |Path(room): Path<u32>, State(log): State<Log>| log.push(format!("+{room}")))
        .on("join", async |socket: Socket| socket.join("corner"))
        .on("say", async |chat: Namespace, Path(room): Path<u32>, Data(text): Data<String>| {
            chat.to("corner").emit("said", (room, text))
        })
        .on_disconnecting(async |socket: Socket, Path(room): Path<u32>, State(log): State<Log>| {
            log.push(format!("<{room} {}", socket.rooms().len()));
        })
        .on_disconnect(async |Path(room): Path<u32>, reason: DisconnectReason, State(log): State<Log>| {
            log.push(format!("-{room} {reason}"));
        });
    let (one, other) = (Client::open(&io), Client::open(&io));
    one.join("/chat-1").await;
    one.join("/chat-2").await;
    other.join("/chat-2").await;
    assert_eq!(log.take(), ["+1", "+2", "+2"]);
    for (client, name) in [(&one, "/chat-1"), (&one, "/chat-2"), (&other, "/chat-2")] {
        assert_eq!(ask(client, name, "join").await, [format!("3{name},0[]")]);
    }
    other.send(r#"2/chat-2,["say","hello"]"#);
    for client in [&one, &other] {
        assert_eq!(client.next().await, r#"2/chat-2,["said",2,"hello"]"#);
    }
    io.of("/chat-1").emit("news", "for one").unwrap();
    assert_eq!(one.next().await, r#"2/chat-1,["news","for one"]"#);
    assert_eq!(io.of("/chat-2").to("corner").sockets().len(), 2);
    assert_eq!((io.of("/chat-1").socket_count(), io.of("/chat-2").socket_count()), (1, 2));
    let mut children: Vec<_> = chats.namespaces().iter().map(|chat| chat.name().to_owned()).collect();
    children.sort();
    assert_eq!(children, ["/chat-1", "/chat-2"]);
    one.send("1/chat-1,");
    assert_eq!(log.wait(2).await, ["<1 2", "-1 client namespace disconnect"]);
    settle().await;
    assert!(other.take().is_empty() && one.take().is_empty());
}

/// F-NSP-09, F-CON-12: what does not match is refused, and the connection stays.
#[tokio::test]
async fn what_does_not_match_is_refused() {
    let io = Server::new();
    io.of_pattern("/chat-{room}");
    let client = Client::open(&io);
    for name in ["/chat-", "/chat-1/2", "/chat", "/x-chat-1", "/"] {
        client.send(connect(name));
        let answer = if name == "/" { format!("4{INVALID}") } else { format!("4{name},{INVALID}") };
        // The root namespace is open by default.
        if name == "/" {
            assert!(client.next().await.starts_with("0{"));
        } else {
            assert_eq!(client.next().await, answer);
        }
    }
    assert_eq!(names(&io), ["/"]);
    // It needs no handler to let clients in.
    client.join("/chat-1").await;
}

/// F-NSP-09: a namespace with handlers of its own comes before patterns, these in their order, then the option; and what
/// comes first is all there is, but for the handlers of all namespaces.
#[tokio::test]
async fn exact_names_come_first_then_patterns_in_their_order_then_the_option() {
    let io = Server::builder().namespaces(Accept::check(|name, _| name.starts_with("/c"))).build();
    io.of("/chat-exact").on("exact", async || "exact");
    io.of_pattern("/chat-{room}").on("who", async || "pattern");
    io.of_matching(|name, _| name.starts_with("/ch")).on("who", async || "function");
    io.of_pattern("/{*all}").on("who", async || "never");
    io.any_namespace().fallback(async |event: EventContext| format!("any {}", event.event()));
    let client = Client::open(&io);
    for (name, who) in
        [("/chat-exact", "any who"), ("/chat-1", "pattern"), ("/chat/1", "function"), ("/other", "never")]
    {
        client.join(name).await;
        assert_eq!(ask(&client, name, "who").await, [format!(r#"3{name},0["{who}"]"#)]);
    }
    assert_eq!(ask(&client, "/chat-exact", "exact").await, [r#"3/chat-exact,0["exact"]"#]);
    assert_eq!(ask(&client, "/chat-1", "exact").await, [r#"3/chat-1,0["any exact"]"#]);

    let io = Server::builder().namespaces(Accept::Any).build();
    io.of_pattern("/chat-{room}").on("who", async || "pattern");
    io.any_namespace().on("who", async || "option");
    let client = Client::open(&io);
    for (name, who) in [("/chat-1", "pattern"), ("/other", "option")] {
        client.join(name).await;
        assert_eq!(ask(&client, name, "who").await, [format!(r#"3{name},0["{who}"]"#)]);
    }
}

/// F-NSP-09, F-NOD-15: what nobody is in is forgotten, with what was set on it; it is made anew for the next client.
#[tokio::test]
async fn empty_namespaces_are_forgotten() {
    let io = Server::new();
    let chats = io.of_pattern("/chat-{room}");
    chats.on("join", async |socket: Socket| socket.join("corner"));
    let (one, other) = (Client::open(&io), Client::open(&io));
    for round in 0..3 {
        one.join("/chat-1").await;
        other.join("/chat-1").await;
        one.join(&format!("/chat-2-{round}")).await;
        ask(&one, "/chat-1", "join").await;
        assert_eq!(names(&io), ["/", "/chat-1", &format!("/chat-2-{round}")]);
        one.send("1/chat-1,");
        one.send(format!("1/chat-2-{round},"));
        until("one to be gone", || names(&io) == ["/", "/chat-1"]).await;
        other.send("1/chat-1,");
        until("all to be gone", || names(&io) == ["/"]).await;
        assert!(chats.namespaces().is_empty());
    }
    one.join("/chat-1").await;
    assert!(io.of("/chat-1").rooms().is_empty());
    one.break_off();
    until("it to be gone", || names(&io) == ["/"]).await;
    // One that is refused leaves nothing either.
    chats.on_connect(async || false);
    other.send("0/chat-3,");
    assert!(other.next().await.starts_with("4/chat-3,"));
    until("it to be gone", || names(&io) == ["/"]).await;
}

/// F-NSP-09, F-NSP-10: handlers that are added later serve the namespaces that are there already.
#[tokio::test]
async fn later_handlers_serve_present_namespaces() {
    let io = Server::new();
    let client = Client::open(&io);
    client.send("0/chat-1,");
    assert_eq!(client.next().await, format!("4/chat-1,{INVALID}"));
    let chats = io.of_pattern("/chat-{room}");
    client.join("/chat-1").await;
    assert!(ask(&client, "/chat-1", "event").await.is_empty());
    chats.on("event", async || "function");
    assert_eq!(ask(&client, "/chat-1", "event").await, [r#"3/chat-1,0["function"]"#]);
    assert!(chats.off("event"));
    chats.fallback(async || "fallback");
    assert_eq!(ask(&client, "/chat-1", "event").await, [r#"3/chat-1,0["fallback"]"#]);
    assert!(chats.off_fallback() && !chats.off_fallback());
    assert!(ask(&client, "/chat-1", "event").await.is_empty());
    chats.on_connect(async || false).on_disconnecting(async || ()).on_disconnect(async || ());
    assert!(chats.off_connect() && chats.off_disconnecting() && chats.off_disconnect() && !chats.off_error());
    client.join("/chat-2").await;
}

struct Chats;

#[wirebird::namespace]
impl Chats {
    async fn on_where(&self, Path(room): Path<String>) -> String {
        room
    }

    async fn on_fail(&self) -> Result<(), Error> {
        Err(Error::msg("on purpose"))
    }

    async fn on_error(&self, error: Error, event: EventContext) -> String {
        format!("{error} in {}", event.socket().namespace().name())
    }
}

/// F-NSP-09, F-NSP-02, F-EVT-09: one value serves all namespaces of a pattern; functions come before it.
#[tokio::test]
async fn a_value_serves_the_namespaces_of_a_pattern() {
    let io = Server::new();
    let chats = io.of_pattern("chat-{room}");
    assert_eq!(chats.pattern(), Some("/chat-{room}"));
    chats.register(Chats);
    let client = Client::open(&io);
    for room in ["1", "2"] {
        let name = format!("/chat-{room}");
        client.join(&name).await;
        assert_eq!(ask(&client, &name, "where").await, [format!(r#"3{name},0["{room}"]"#)]);
        assert_eq!(ask(&client, &name, "fail").await, [format!(r#"3{name},0["on purpose in {name}"]"#)]);
    }
    io.any_namespace().on("where", async || "any");
    assert_eq!(ask(&client, "/chat-1", "where").await, [r#"3/chat-1,0["any"]"#]);
    chats.on("where", async || "function").on_error(async |_: Error| "function");
    assert_eq!(ask(&client, "/chat-1", "where").await, [r#"3/chat-1,0["function"]"#]);
    assert_eq!(ask(&client, "/chat-1", "fail").await, [r#"3/chat-1,0["function"]"#]);
}

/// A client whose request says who it is.
fn client_of(io: &Server, user: &str) -> Client {
    let request = http::Request::get("/socket.io/").header("x-user", user).body(()).unwrap();
    let handshake = Handshake::new(&mut request.into_parts().0, &TrustedProxies::default());
    Client::with(io, handshake)
}

/// F-NSP-09: a function decides by the name and the request, for each client, also about a namespace that others have
/// opened; a panic refuses.
#[tokio::test]
async fn a_function_lets_each_client_in_or_not() {
    let (asked, io) = (Arc::new(Mutex::new(Vec::new())), Server::builder().namespaces(Accept::Any).build());
    let log = asked.clone();
    let users = io.of_matching(move |name, handshake| {
        let user = handshake.header("x-user");
        log.lock().push(format!("{name} {user:?}"));
        assert!(name != "/panic", "on purpose");
        name == "/users" && user == Some("alice")
    });
    users.on("who", async || "users");
    assert!(users.pattern().is_none() && format!("{users:?}").contains("DynamicNamespace"));
    let (alice, bob) = (client_of(&io, "alice"), client_of(&io, "bob"));
    alice.join("/users").await;
    assert_eq!(ask(&alice, "/users", "who").await, [r#"3/users,0["users"]"#]);
    // The option would let him in, but the namespace is taken.
    bob.send("0/users,");
    assert_eq!(bob.next().await, format!("4/users,{INVALID}"));
    assert_eq!(*asked.lock(), [r#"/users Some("alice")"#, r#"/users Some("bob")"#]);
    bob.join("/panic").await;
    assert!(ask(&bob, "/panic", "who").await.is_empty());
    let again = client_of(&io, "alice");
    again.join("/users").await;
    assert_eq!(users.namespaces()[0].socket_count(), 2);
}

/// F-NSP-09: parameters that do not fit refuse a connection, and are an error of an event; where there is no pattern,
/// there are none.
#[tokio::test]
async fn parameters_that_do_not_fit_are_errors() {
    let io = Server::new();
    io.on_error(async |error: Error| error.to_string());
    io.of_pattern("/strict-{n}").on_connect(async |_: Path<u8>| ());
    io.of_pattern("/lax-{n}").on("n", async |Path(n): Path<u8>| n);
    io.of_matching(|name, _| name == "/function").on("n", async |Path(n): Path<u8>| n);
    io.on("n", async |Path(n): Path<u8>| n);
    let client = Client::open(&io);
    client.send("0/strict-256,");
    assert_eq!(client.next().await, r#"4/strict-256,{"message":"Connection rejected by server"}"#);
    client.join("/strict-255").await;
    client.join("/lax-x").await;
    let told = r#"the parameters of the namespace \"/lax-x\": \"n\", \"x\", is not a u8"#;
    assert_eq!(ask(&client, "/lax-x", "n").await, [format!(r#"3/lax-x,0["{told}"]"#)]);
    for name in ["/function", "/"] {
        client.join(name).await;
        let event = if name == "/" { r#"20["n"]"#.into() } else { format!(r#"2{name},0["n"]"#) };
        client.send(event);
        let told = format!(r#"a handler wants Path<u8>, but \"{name}\" was not opened by a pattern"#);
        assert!(client.next().await.contains(&told));
    }
}

/// F-NSP-09: a namespace that gets handlers of its own is of the pattern no longer, until it loses them.
#[tokio::test]
async fn own_handlers_take_a_namespace_out_of_its_pattern() {
    let io = Server::new();
    let chats = io.of_pattern("/chat-{room}");
    chats.on("who", async || "pattern").on_connect(async |Path(room): Path<u8>| room < 10);
    let client = Client::open(&io);
    client.join("/chat-1").await;
    io.of("/chat-1").on("own", async || "own");
    assert_eq!(ask(&client, "/chat-1", "own").await, [r#"3/chat-1,0["own"]"#]);
    assert!(ask(&client, "/chat-1", "who").await.is_empty());
    assert!(chats.namespaces().is_empty());
    // It stays when everybody has left, as all that have handlers do.
    client.send("1/chat-1,");
    client.join("/chat-1").await;
    assert_eq!(ask(&client, "/chat-1", "own").await, [r#"3/chat-1,0["own"]"#]);
    io.of("/chat-1").off("own");
    assert_eq!(ask(&client, "/chat-1", "who").await, [r#"3/chat-1,0["pattern"]"#]);
}

/// F-NSP-09: a name that was emitted to before anybody was there is nobody's.
#[tokio::test]
async fn emitting_makes_no_namespace_of_ones_own() {
    let io = Server::new();
    io.of_pattern("/chat-{room}").on("who", async |Path(room): Path<String>| room);
    let held = io.of("/chat-1");
    held.emit("nobody hears", ()).unwrap();
    let client = Client::open(&io);
    client.join("/chat-1").await;
    assert_eq!(ask(&client, "/chat-1", "who").await, [r#"3/chat-1,0["1"]"#]);
    held.emit("heard", ()).unwrap();
    assert_eq!(client.next().await, r#"2/chat-1,["heard"]"#);
}

/// F-NSP-09: bad patterns fail where they are registered; the same pattern is the same.
#[tokio::test]
async fn bad_patterns_panic_at_once() {
    let io = Server::new();
    for pattern in ["/chat", "/chat-{room", "/{a}{b}", "/{a},", ""] {
        let panic = catch_unwind(AssertUnwindSafe(|| io.of_pattern(pattern))).expect_err(pattern);
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with(&format!("{pattern:?} is not a pattern of namespaces: ")), "{message}");
    }
    let reserved = catch_unwind(AssertUnwindSafe(|| {
        io.of_pattern("/x-{a}").on("connect", async || ());
    }));
    assert!(reserved.is_err());
    io.of_pattern("/chat-{room}").on("one", async || 1);
    io.of_pattern("chat-{room}").on("two", async || 2);
    let client = Client::open(&io);
    client.join("/chat-1").await;
    assert_eq!(ask(&client, "/chat-1", "one").await, ["3/chat-1,0[1]"]);
    assert_eq!(ask(&client, "/chat-1", "two").await, ["3/chat-1,0[2]"]);
}

/// F-EVT-13: how many events of a socket run at once is said for the pattern, also for namespaces that are there.
#[tokio::test]
async fn concurrency_is_the_patterns() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).build();
    let chats = io.of_pattern("/chat-{room}");
    chats.on("wait", async |State(latch): State<Latch>, Data(n): Data<u8>| {
        if n == 1 {
            latch.wait().await;
        }
        n
    });
    let client = Client::open(&io);
    client.join("/chat-1").await;
    chats.concurrency(Concurrency::Concurrent(2));
    client.join("/chat-2").await;
    for name in ["/chat-1", "/chat-2"] {
        for n in [1, 2] {
            client.send(format!(r#"2{name},{n}["wait",{n}]"#));
        }
        assert_eq!(client.next().await, format!("3{name},2[2]"));
        latch.open(1);
        assert_eq!(client.next().await, format!("3{name},1[1]"));
    }
}

/// R1: a dispatcher serves the namespaces of a pattern.
#[tokio::test]
async fn a_dispatcher_serves_the_namespaces_of_a_pattern() {
    struct Echo;
    impl Dispatcher for Echo {
        fn connect(&self, _: wirebird::ConnectRequest, responder: wirebird::ConnectResponder) {
            responder.accept();
        }
        fn event(&self, event: IncomingEvent) {
            event.ack.send_raw(&event.args).unwrap();
        }
        fn disconnect(&self, _: Socket, _: DisconnectReason, _: wirebird::Completion) {}
    }
    let io = Server::new();
    io.of_pattern("/echo-{n}").set_dispatcher(Arc::new(Echo));
    let client = Client::open(&io);
    client.join("/echo-1").await;
    client.send(r#"2/echo-1,0["any",1,[2]]"#);
    assert_eq!(client.next().await, "3/echo-1,0[1,[2]]");
}

/// F-SEC-01: what clients may make is limited in length and number, and what is forgotten makes room.
#[tokio::test]
async fn names_and_numbers_are_limited() {
    let io = Server::builder().max_dynamic_namespaces(5).build();
    io.of_pattern("/{*any}");
    let client = Client::open(&io);
    for name in [format!("/{}", "n".repeat(256)), "/forged\nline".into()] {
        client.send(connect(&name));
        assert_eq!(client.next().await, format!("4{name},{INVALID}"));
    }
    client.join(&format!("/{}", "n".repeat(255))).await;
    // The root is the first of the five.
    for n in 2..5 {
        client.join(&format!("/{n}")).await;
    }
    client.send("0/5,");
    assert_eq!(client.next().await, r#"4/5,{"message":"Too many namespaces"}"#);
    // Those that are there can be joined, and so can those of the application.
    let other = Client::open(&io);
    other.join("/4").await;
    io.of("/own").on("event", async || ());
    other.join("/own").await;
    client.send("1/2,");
    client.send("1/3,");
    until("them to be gone", || names(&io).len() == 4).await;
    client.join("/5").await;
}

/// F-SEC-01: namespaces that the application held on to are forgotten later.
#[tokio::test]
async fn what_was_held_is_forgotten_later() {
    type Held = Arc<Mutex<Vec<Namespace>>>;
    let held = Held::default();
    let io = Server::builder().state(held.clone()).build();
    io.of_pattern("/{n}").on_connect(async |namespace: Namespace, State(held): State<Held>| {
        held.lock().push(namespace);
    });
    let client = Client::open(&io);
    let mut most = 0;
    for n in 0..3_000 {
        client.join(&format!("/{n}")).await;
        client.send(format!("1/{n},"));
        if n % 100 == 99 {
            settle().await;
            most = most.max(io.namespaces().len());
            held.lock().clear();
        }
    }
    assert!((100..600).contains(&most), "{most}");
}

/// F-NSP-09: a namespace of a pattern is one over all servers of a cluster.
#[tokio::test]
async fn other_servers_emit_to_namespaces_of_a_pattern() {
    let cluster = MemoryCluster::new();
    let servers = [0; 2].map(|_| Server::builder().adapter(cluster.adapter()).build());
    for io in &servers {
        io.of_pattern("/chat-{room}");
    }
    let client = Client::open(&servers[1]);
    client.join("/chat-1").await;
    servers[0].of("/chat-1").emit("news", 1).unwrap();
    servers[0].of("/chat-2").emit("news", 2).unwrap();
    assert_eq!(client.next().await, r#"2/chat-1,["news",1]"#);
    settle().await;
    assert!(client.take().is_empty());
    assert_eq!(names(&servers[1]), ["/", "/chat-1"]);
}

/// F-EVT-17, F-NSP-09: layers of a pattern are around the handlers of all its namespaces.
#[tokio::test]
async fn layers_of_a_pattern_are_around_its_handlers() {
    let io = Server::new();
    let chats = io.of_pattern("/chat-{room}");
    chats.on("who", async || "handler");
    chats.event_layer(async |event: EventContext, next: Next| {
        if event.socket().namespace().name() == "/chat-1" {
            return Err(Error::msg("closed"));
        }
        next.run(event).await
    });
    chats.on_error(async |error: Error| error.to_string());
    let client = Client::open(&io);
    for (name, answer) in [("/chat-1", "closed"), ("/chat-2", "handler")] {
        client.join(name).await;
        assert_eq!(ask(&client, name, "who").await, [format!(r#"3{name},0["{answer}"]"#)]);
    }
}
