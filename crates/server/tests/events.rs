//! Events: which handler runs, in which order, and what becomes of failures.

mod support;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, Dice, Latch, Log, logged, settle};
use wirebird::extract::{Args, Data, EventContext, EventName, State};
use wirebird::{Accept, Concurrency, EmitError, Error, Namespace, Next, Server, Socket};

const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// F-EVT-13, pain 11: a thousand at once, through handlers that wait for random times.
#[tokio::test(start_paused = true)]
async fn events_of_one_socket_are_handled_and_acknowledged_in_order() {
    let (builder, log) = logged();
    let io = builder.state(Arc::new(Mutex::new(Dice(7)))).build();
    io.on(
        "event",
        async |Data(n): Data<u64>, State(dice): State<Arc<Mutex<Dice>>>, State(log): State<Log>| {
            let wait = dice.lock().below(4);
            match wait {
                0 => {}
                1 => tokio::task::yield_now().await,
                _ => tokio::time::sleep(Duration::from_millis(wait)).await,
            }
            log.push(n.to_string());
            n
        },
    );
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..1000 {
        client.send(format!(r#"2{n}["event",{n}]"#));
    }
    for n in 0..1000 {
        assert_eq!(client.next().await, format!("3{n}[{n}]"));
    }
    assert_eq!(log.all(), (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// F-EVT-13, F-EVT-14
#[tokio::test]
async fn concurrent_handlers_overlap_up_to_the_limit_and_begin_in_order() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).build();
    io.concurrency(Concurrency::Concurrent(3));
    io.on("event", async |Data(n): Data<u32>, State(latch): State<Latch>, State(log): State<Log>| {
        log.push(n.to_string());
        latch.wait().await;
        n
    });
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..5 {
        client.send(format!(r#"2{n}["event",{n}]"#));
    }
    settle().await;
    assert_eq!(log.all(), ["0", "1", "2"]);
    latch.open(1);
    assert_eq!(client.next().await, "30[0]");
    settle().await;
    assert_eq!(log.all(), ["0", "1", "2", "3"]);
    latch.open(4);
    assert_eq!(client.next_many(4).await.len(), 4);
}

/// F-EVT-13: in order per socket means that nobody waits for the sockets of others, or for another namespace.
#[tokio::test]
async fn a_slow_handler_holds_up_nobody_else() {
    let io = Server::new();
    for namespace in [io.of("/"), io.of("/b")] {
        namespace.on("slow", async || std::future::pending::<()>().await);
        namespace.on("quick", async || "done");
    }
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    client.join("/b").await;
    other.join("/").await;
    client.send(r#"20["slow"]"#);
    client.send(r#"21["quick"]"#);
    client.send(r#"2/b,2["quick"]"#);
    assert_eq!(client.next().await, r#"3/b,2["done"]"#);
    other.send(r#"23["quick"]"#);
    assert_eq!(other.next().await, r#"33["done"]"#);
    settle().await;
    assert!(client.take().is_empty());
}

/// F-ACK-12: acknowledgements pass by the events that wait.
#[tokio::test]
async fn a_handler_may_wait_for_an_acknowledgement_of_its_own_socket() {
    let io = Server::new();
    io.on("ask me", async |socket: Socket| {
        let mut sum = 0;
        for _ in 0..3 {
            sum += socket.emit_with_ack::<i64>("number?", ()).await?;
        }
        Ok::<_, Error>(sum)
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"25["ask me"]"#);
    client.send(r#"26["ask me"]"#);
    for id in 0..6 {
        let mut packet = client.next().await;
        if packet.starts_with('3') {
            assert_eq!(packet, "35[3]");
            packet = client.next().await;
        }
        assert_eq!(packet, format!(r#"2{id}["number?"]"#));
        client.send(format!("3{id}[{}]", id % 3));
    }
    assert_eq!(client.next().await, "36[3]");
}

/// F-EVT-11, AB2: nobody but the server calls the connect and disconnect handlers.
#[tokio::test]
async fn reserved_names_close_the_client_and_call_no_handler() {
    for name in RESERVED.into_iter().chain([r"\u0063onnect"]) {
        let (builder, log) = logged();
        let io = builder.build();
        io.on_connect(async |State(log): State<Log>| log.push("connect"));
        io.fallback(async |name: EventName, State(log): State<Log>| log.push(name.to_string()));
        io.any_namespace().fallback(async |State(log): State<Log>| log.push("any"));
        io.on_disconnect(async |reason: wirebird::DisconnectReason, State(log): State<Log>| {
            log.push(format!("disconnect {reason}"));
        });
        let client = Client::open(&io);
        client.join("/").await;
        client.send(format!(r#"20["{name}",{{"REMOTE_ADDR":"::1"}}]"#));
        client.closed().await;
        assert_eq!(log.wait(2).await, ["connect", "disconnect parse error"], "{name}");
    }
}

/// F-EVT-12
#[tokio::test]
async fn emitting_a_reserved_name_is_an_error_at_the_call() {
    let io = Server::new();
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    for name in RESERVED {
        assert!(matches!(socket.emit(name, ()), Err(EmitError::ReservedName(n)) if n == name));
        assert!(socket.emit_raw(name, &wirebird::RawArgs::empty()).is_err());
        assert!(socket.emit_volatile(name, ()).is_err());
        assert!(io.emit(name, ()).is_err());
        assert!(io.to("nobody").emit(name, ()).is_err());
        assert!(socket.emit_with_ack::<()>(name, ()).await.is_err());
        assert!(io.emit_with_ack::<()>(name, ()).await.is_err());
        let registered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            io.on(name, async || ());
        }));
        assert!(registered.is_err(), "no client can send {name}");
    }
    io.emit("connected", ()).unwrap();
    assert_eq!(client.next().await, r#"2["connected"]"#);
}

/// AB-14, F-EVT-06, F-EVT-07, F-EVT-08, F-EVT-09, F-EVT-10: exactly one handler, the most particular one of the first table
/// that has any.
#[tokio::test]
async fn the_namespace_comes_before_the_others_and_the_name_before_the_fallback() {
    let io = Server::builder().namespaces(Accept::Any).build();
    async fn own(name: EventName) -> String {
        format!("own {name}")
    }
    io.any_namespace().on("shared", async |namespace: Namespace| format!("any {}", namespace.name()));
    io.any_namespace().on("both", async || "any both");
    io.of("/a").on("both", async || "own both").on("", async || "empty");
    io.of("/b").on("both", async || "own both").fallback(own);
    let client = Client::open(&io);
    client.join("/a").await;
    client.join("/b").await;
    client.join("/c").await;
    let ask = async |namespace: &str, event: &str| {
        client.send(format!(r#"2{namespace},0["{event}"]"#));
        client.next().await.split_once('[').unwrap().1.trim_matches(['"', ']']).to_owned()
    };
    assert_eq!(ask("/a", "both").await, "own both");
    assert_eq!(ask("/a", "").await, "empty");
    assert_eq!(ask("/a", "shared").await, "any /a");
    assert_eq!(ask("/b", "both").await, "own both");
    assert_eq!(ask("/b", "shared").await, "own shared");
    assert_eq!(ask("/c", "both").await, "any both");
    // Nobody: no acknowledgement, and no harm.
    client.send(r#"2/a,1["nobody's"]"#);
    client.send(r#"2/c,2["nobody's"]"#);
    assert_eq!(ask("/a", "shared").await, "any /a");
    io.any_namespace()
        .fallback(async |name: EventName, Args(args): Args| format!("last {name} {}", args.len()));
    assert_eq!(ask("/c", "nobody's").await, "last nobody's 0");
    assert_eq!(ask("/b", "nobody's").await, "own nobody's");
    assert!(client.take().is_empty());
}

/// F-EVT-07: connect and disconnect handlers of any namespace serve those without their own.
#[tokio::test]
async fn lifecycle_handlers_of_any_namespace_serve_those_without_their_own() {
    let (builder, log) = logged();
    let io = builder.namespaces(Accept::Any).build();
    io.any_namespace()
        .on_connect(async |ns: Namespace, State(log): State<Log>| log.push(format!("any +{}", ns.name())))
        .on_disconnect(async |ns: Namespace, State(log): State<Log>| log.push(format!("any -{}", ns.name())));
    io.of("/own").on_connect(async |State(log): State<Log>| log.push("own +"));
    let client = Client::open(&io);
    for name in ["/own", "/other"] {
        client.join(name).await;
        client.send(format!("1{name},"));
    }
    assert_eq!(log.wait(4).await, ["own +", "any -/own", "any +/other", "any -/other"]);
}

/// F-EVT-18: the event's name and arguments can be looked at while it is handled: by its handler, by a fallback, which
/// sees the real name, by layers and by error handlers.
#[tokio::test]
async fn the_event_can_be_looked_at_while_it_is_handled() {
    fn look(event: &EventContext) -> String {
        format!("{} {} {}", event.event(), event.args().json(), event.wants_ack())
    }
    let (builder, log) = logged();
    let io = builder.build();
    let seen = log.clone();
    io.event_layer(move |event: EventContext, next: Next| {
        seen.push(look(&event));
        next.run(event)
    });
    io.on("known", async |event: EventContext| look(&event));
    io.on("fails", async || Err::<(), _>("on purpose"));
    io.fallback(async |event: EventContext, name: EventName| {
        assert_eq!(event.event(), &*name);
        look(&event)
    });
    io.on_error(async |_: Error, event: EventContext| look(&event));
    let client = Client::open(&io);
    client.join("/").await;
    for name in ["known", "unknown", "fails"] {
        let looked = format!(r#"{name} 1,{{"a":[]}} true"#);
        let answer = format!("30[{}]", serde_json::to_string(&looked).unwrap());
        assert_eq!(client.call(0, &format!(r#"["{name}",1,{{"a":[]}}]"#)).await, [answer]);
        assert_eq!(log.take(), [looked]);
    }
}

/// F-EVT-01, F-EVT-03, F-EVT-19
#[tokio::test]
async fn handlers_can_be_replaced_added_and_removed_while_clients_are_connected() {
    let io = Server::new();
    io.on("my event", async || 1);
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(0, r#"["my event"]"#).await, ["30[1]"]);
    io.on("my event", async || 2).on("ünïcode 🚀", async || 3);
    assert_eq!(client.call(1, r#"["my event"]"#).await, ["31[2]"]);
    assert_eq!(client.call(2, r#"["ünïcode 🚀"]"#).await, ["32[3]"]);
    assert!(io.off("my event") && !io.off("my event"));
    client.send(r#"23["my event"]"#);
    assert_eq!(client.call(4, r#"["\u00fcn\u00efcode \ud83d\ude80"]"#).await, ["34[3]"]);
}

/// F-EVT-19: handlers of every kind can be removed; what they did before is done by the next in line, or by nobody.
#[tokio::test]
async fn handlers_of_every_kind_can_be_removed_while_clients_are_connected() {
    let (builder, log) = logged();
    let io = builder.build();
    let any = io.any_namespace();
    let say = |word: &'static str| {
        let log = log.clone();
        move || {
            log.push(word);
            async {}
        }
    };
    any.on("event", say("any event")).fallback(say("any other"));
    any.on_connect(say("any connect")).on_disconnecting(say("any leaving")).on_disconnect(say("any gone"));
    io.on("event", say("event")).fallback(say("other"));
    io.on_connect(say("connect")).on_disconnecting(say("leaving")).on_disconnect(say("gone"));
    io.on("fails", async || Err::<(), _>("on purpose"));
    let error = |word: &'static str| {
        let log = log.clone();
        move |_: Error| {
            log.push(word);
            async {}
        }
    };
    io.of("/").on_error(error("error"));
    io.on_error(error("any error"));

    let client = Client::open(&io);
    let visit = async || {
        client.join("/").await;
        for event in ["event", "unknown", "fails"] {
            client.send(format!(r#"2["{event}"]"#));
        }
        client.send("1");
        settle().await;
        log.take()
    };
    assert_eq!(visit().await, ["connect", "event", "other", "error", "leaving", "gone"]);
    // Without the handler of the event its fallback would handle it.
    assert!(io.off_fallback() && io.off("event") && io.of("/").off_error());
    assert!(io.off_connect() && io.off_disconnecting() && io.off_disconnect());
    let expected = ["any connect", "any event", "any other", "any error", "any leaving", "any gone"];
    assert_eq!(visit().await, expected);
    assert!(any.off("event") && any.off_fallback() && io.off_error());
    assert!(any.off_connect() && any.off_disconnecting() && any.off_disconnect());
    assert!(visit().await.is_empty());
    assert!(!io.off_fallback() && !io.off_connect() && !io.off_disconnecting() && !io.off_disconnect());
    assert!(!any.off_fallback() && !any.off_connect() && !any.off_disconnecting() && !any.off_disconnect());
    assert!(!io.off_error() && !io.of("/").off_error() && !io.off("event") && !any.off("event"));
}

/// F-EVT-19, F-CON-13: without handlers a namespace takes no new clients; those who are there stay.
#[tokio::test]
async fn a_namespace_whose_last_handler_is_removed_takes_no_new_clients() {
    let io = Server::new();
    let namespace = io.of("/shop");
    namespace.on("event", async || 1);
    let (client, late) = (Client::open(&io), Client::open(&io));
    client.join("/shop").await;
    assert!(namespace.off("event"));
    late.send("0/shop,");
    assert_eq!(late.next().await, r#"4/shop,{"message":"Invalid namespace"}"#);
    namespace.emit("still here", ()).unwrap();
    assert_eq!(client.next().await, r#"2/shop,["still here"]"#);
    namespace.on("event", async || 2);
    late.join("/shop").await;
    client.send(r#"2/shop,0["event"]"#);
    assert_eq!(client.next().await, "3/shop,0[2]");
}

/// F-EVT-19: threads change handlers, layers and listeners while others send events: every event is handled by one of the
/// handlers there were, and no change of one thread undoes that of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handlers_change_from_many_threads_under_load() {
    let io = Server::new();
    io.on("event", async || 0);
    let clients: Vec<_> = (0..4).map(|_| Client::open(&io)).collect();
    for client in &clients {
        client.join("/").await;
    }
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changing: Vec<_> = (1..=4)
        .map(|thread| {
            let (io, done) = (io.clone(), done.clone());
            std::thread::spawn(move || {
                let mine = format!("of thread {thread}");
                let mut rounds = 0;
                while !done.load(std::sync::atomic::Ordering::SeqCst) || rounds < 50 {
                    rounds += 1;
                    io.on("event", move || async move { thread });
                    io.on(&mine, async || ());
                    assert!(io.off(&mine) && !io.off(&mine));
                    let listener = io.on_any(|_, _, _| ());
                    assert!(io.off_any(listener));
                    if rounds <= 3 {
                        io.event_layer(async |event: EventContext, next: Next| next.run(event).await);
                    }
                    io.on(&mine, async || ());
                }
                mine
            })
        })
        .collect();
    for n in 0..500 {
        for client in &clients {
            let answer = client.call(n, r#"["event"]"#).await.pop().unwrap();
            let handler: u8 =
                answer.strip_prefix(&format!("3{n}[")).unwrap().strip_suffix(']').unwrap().parse().unwrap();
            assert!(handler <= 4);
        }
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    for thread in changing {
        assert!(io.off(&thread.join().unwrap()), "nobody else has removed it");
    }
}
