//! Listeners to all events of a namespace.

mod support;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use support::{Client, Latch, Log, logged, settle};
use wirebird::extract::{Data, EventName, State};
use wirebird::{ListenerId, MemoryCluster, Namespace, RawArgs, Recipients, Server, Socket};

/// Logs what comes in.
fn listen(namespace: &Namespace, log: &Log) -> ListenerId {
    let log = log.clone();
    namespace.on_any(move |socket, event, args| {
        assert!(socket.is_connected());
        log.push(format!("> {event} {}", args.json()));
    })
}

/// Logs what is emitted, and whom it is for.
fn listen_out(namespace: &Namespace, log: &Log) -> ListenerId {
    let log = log.clone();
    namespace.on_any_outgoing(move |recipients, event, args| {
        let whom = match recipients {
            Recipients::Socket(_) => "socket".into(),
            Recipients::Target(target) => match &target.to {
                Some(rooms) => rooms.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"),
                None => "all".into(),
            },
            _ => unreachable!(),
        };
        log.push(format!("{whom} < {event} {}", args.json()));
    })
}

/// F-EVT-15, F-NOD-14: every event, handled or not, right before its handler and in its turn, of this namespace alone.
#[tokio::test]
async fn every_event_is_seen_before_it_is_handled() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).build();
    listen(&io, &log);
    io.on("wait", async |State(latch): State<Latch>, State(log): State<Log>| {
        log.push("wait");
        latch.wait().await;
    });
    io.on("event", async |Data(n): Data<u8>, State(log): State<Log>| log.push(format!("event {n}")));
    io.of("/other").on("event", async || ());
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/other").await;
    client.send(r#"2/other,["event",0]"#);
    client.send(r#"2["wait"]"#);
    client.send(r#"2["event",1]"#);
    client.send(r#"52-["nobody's",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]"#);
    client.send_binary(&[1]);
    client.send_binary(&[2]);
    client.send(r#"2["event","bad"]"#);
    settle().await;
    assert_eq!(log.all(), ["> wait ", "wait"], "the others wait for their turn");
    latch.open(1);
    let binary = r#"> nobody's {"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]"#;
    let expected = ["> wait ", "wait", "> event 1", "event 1", binary, r#"> event "bad""#];
    assert_eq!(log.wait(6).await, expected);
}

/// F-EVT-15, F-CON-08: what a client sends before it is accepted is seen after that, and never if it is refused.
#[tokio::test]
async fn events_of_clients_that_are_not_accepted_are_not_seen() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).build();
    listen(&io, &log);
    io.on_connect(async |State(latch): State<Latch>, socket: Socket| {
        latch.wait().await;
        socket.auth::<serde_json::Value>().is_ok_and(|auth| auth["ok"] == true)
    });
    let (good, bad) = (Client::open(&io), Client::open(&io));
    good.send(r#"0{"ok":true}"#);
    bad.send("0{}");
    for client in [&good, &bad] {
        client.send(r#"2["event"]"#);
    }
    settle().await;
    assert!(log.all().is_empty());
    latch.open(2);
    assert_eq!(log.wait(1).await, ["> event "]);
    settle().await;
    assert_eq!(bad.take(), [r#"4{"message":"Connection rejected by server"}"#]);
    assert_eq!(log.len(), 1);
}

/// F-EVT-15, R16: several are called in the order they were added; each can be removed, from inside too; a panic in one
/// is nobody else's matter.
#[tokio::test]
async fn listeners_come_go_and_fail_without_harm() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on("event", async || "handled");
    let first = listen(&io, &log);
    io.on_any(|_, _, _| panic!("on purpose"));
    let once = Arc::new(OnceLock::new());
    let id = io.on_any({
        let (io, once, log) = (io.clone(), once.clone(), log.clone());
        move |_, _, _| {
            log.push("once");
            assert!(io.off_any(*once.get().unwrap()));
        }
    });
    once.set(id).unwrap();
    let out = listen_out(&io, &log);
    io.on_any_outgoing(|_, _, _| panic!("on purpose"));
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..2 {
        assert_eq!(client.call(n, r#"["event"]"#).await, [format!(r#"3{n}["handled"]"#)]);
    }
    io.emit("news", 1).unwrap();
    assert_eq!(client.next().await, r#"2["news",1]"#);
    assert_eq!(log.take(), ["> event ", "once", "> event ", "all < news 1"]);
    assert!(io.off_any(first) && !io.off_any(first) && !io.off_any(id));
    assert!(io.off_any(out) && !io.off_any(out));
    assert_eq!(client.call(2, r#"["event"]"#).await, [r#"32["handled"]"#]);
    io.emit("news", 2).unwrap();
    assert!(log.all().is_empty());
}

/// F-EVT-15, F-NOD-14: every way to emit is seen once for each call; acknowledgements and what cannot be emitted are
/// not.
#[tokio::test]
async fn every_emitted_event_is_seen_once() {
    let (builder, log) = logged();
    let io = builder.build();
    listen_out(&io, &log);
    io.on("event", async || "an acknowledgement");
    let clients = [Client::open(&io), Client::open(&io), Client::open(&io)];
    let mut ids = Vec::new();
    for client in &clients {
        ids.push(client.join("/").await);
    }
    let socket = io.socket(ids[0].as_str()).unwrap();
    socket.join("room").unwrap();
    let args = RawArgs::from_json_elements("1,2".into(), Vec::new()).unwrap();
    let seen = |line: &str| {
        let lines = log.take();
        assert_eq!(lines, [line]);
    };
    socket.emit("a", (1, "x")).unwrap();
    seen(r#"socket < a 1,"x""#);
    socket.emit_raw("b", &args).unwrap();
    seen("socket < b 1,2");
    socket.send(()).unwrap();
    seen("socket < message ");
    // The client has not taken the others yet: this one is emitted, and dropped.
    assert!(!socket.emit_volatile("c", Bytes::from_static(b"x")).unwrap());
    seen(r#"socket < c {"_placeholder":true,"num":0}"#);
    let ask = tokio::spawn(std::future::IntoFuture::into_future(socket.emit_with_ack::<u8>("d", 1)));
    settle().await;
    seen("socket < d 1");
    drop(socket.emit_with_sink("e", &args, None, Box::new(|_| ())).unwrap());
    seen("socket < e 1,2");
    io.emit("f", ()).unwrap();
    seen("all < f ");
    io.to(["room", "other"]).except("x").emit("g", 1).unwrap();
    seen("room+other < g 1");
    io.to("nobody").emit_raw("h", &args).unwrap();
    seen("nobody < h 1,2");
    io.to(ids[1].as_str()).volatile().emit("i", ()).unwrap();
    seen(&format!("{} < i ", ids[1]));
    let asks = io.emit_with_ack::<u8>("j", 1).stream().unwrap();
    seen("all < j 1");
    drop(asks);
    // None of these emits anything.
    assert!(socket.emit("disconnect", ()).is_err());
    assert!(io.emit("k", std::collections::BTreeMap::from([(vec![1], 1)])).is_err());
    io.to(Vec::<String>::new()).emit("l", ()).unwrap();
    drop(socket.emit_with_ack::<u8>("never awaited", ()));
    clients[0].send("30[7]");
    assert_eq!(ask.await.unwrap().unwrap(), 7);
    clients[2].take();
    clients[2].call(0, r#"["event"]"#).await;
    io.of("/other").emit("m", ()).unwrap();
    assert!(log.all().is_empty());
}

/// F-EVT-15: each server of a cluster sees what is emitted to its sockets, wherever that was.
#[tokio::test]
async fn what_other_servers_emit_is_seen_too() {
    let cluster = MemoryCluster::new();
    let (log, servers) =
        (Log::default(), [(); 2].map(|()| Server::builder().adapter(cluster.adapter()).build()));
    for io in &servers {
        io.on_connect(async || ());
        listen_out(io, &log);
    }
    let client = Client::open(&servers[1]);
    let id = client.join("/").await;
    servers[0].emit("to all", ()).unwrap();
    assert_eq!(log.take(), ["all < to all ", "all < to all "]);
    let ask = servers[0].to(id.as_str()).emit_with_ack::<u8>("ask", ());
    let ask = tokio::spawn(std::future::IntoFuture::into_future(ask));
    assert_eq!(client.next_many(2).await, [r#"2["to all"]"#, r#"20["ask"]"#]);
    client.send("30[7]");
    assert_eq!(ask.await.unwrap().unwrap()[0].1.as_ref().unwrap(), &7);
    assert_eq!(log.take(), [format!("{id} < ask "), format!("{id} < ask ")]);
    servers[0].local().emit("here", ()).unwrap();
    assert_eq!(log.take(), ["all < here "]);
}

/// F-EVT-15: for all namespaces of a pattern, and for one of them.
#[tokio::test]
async fn namespaces_of_a_pattern_have_listeners_in_common() {
    let (builder, log) = logged();
    let io = builder.build();
    let rooms = io.of_pattern("/room-{id}");
    rooms.on("event", async |name: EventName| name.to_string());
    let common = rooms.on_any({
        let log = log.clone();
        move |socket, event, _| log.push(format!("{} {event}", socket.namespace().name()))
    });
    rooms.on_any_outgoing({
        let log = log.clone();
        move |_, event, _| log.push(format!("emitted {event}"))
    });
    listen(&io.of("/room-2"), &log);
    let client = Client::open(&io);
    for name in ["/room-1", "/room-2"] {
        client.join(name).await;
        call_in(&client, name).await;
    }
    assert_eq!(log.take(), ["/room-1 event", "/room-2 event", "> event "]);
    io.of("/room-1").emit("news", ()).unwrap();
    assert_eq!(log.take(), ["emitted news"]);
    assert!(rooms.off_any(common) && !rooms.off_any(common));
    // A namespace that has something of its own is not forgotten when everybody has left.
    client.send("1/room-2,");
    settle().await;
    client.take();
    client.join("/room-2").await;
    call_in(&client, "/room-2").await;
    assert_eq!(log.take(), ["> event "]);
}

async fn call_in(client: &Client, namespace: &str) {
    client.send(format!(r#"2{namespace},0["event"]"#));
    assert_eq!(client.next().await, format!(r#"3{namespace},0["event"]"#));
}
