//! Emitting: from anywhere, to whom it concerns, in whatever form.

mod support;

use std::collections::HashMap;
use std::future::IntoFuture;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use support::{Client, Latch, settle, until};
use wirebird::extract::{Data, State};
use wirebird::{AckError, EmitError, RawArgs, Room, Server, Socket};

async fn connected<const N: usize>(io: &Server) -> [(Client, Socket); N] {
    let mut all = Vec::new();
    for _ in 0..N {
        let client = Client::open(io);
        let socket = io.socket(client.join("/").await).unwrap();
        all.push((client, socket));
    }
    all.try_into().ok().unwrap()
}

/// F-EMT-01: an operator is a value; narrowing it down leaves the one it was made of as it was.
#[tokio::test]
async fn operators_can_be_kept_and_narrowed_down_without_changing() {
    let io = Server::new();
    let [(one, first), (other, second)] = connected(&io).await;
    first.join("a").unwrap();
    second.join("a").unwrap();
    let all = io.to("a");
    let but_one = all.clone().except(first.id());
    but_one.emit("some", ()).unwrap();
    all.emit("all", ()).unwrap();
    assert_eq!(one.next().await, r#"2["all"]"#);
    assert_eq!(other.next_many(2).await, [r#"2["some"]"#, r#"2["all"]"#]);
}

/// F-EMT-02, F-EMT-10: without rooms it is for everybody, from wherever the server's handle is.
#[tokio::test]
async fn without_rooms_everybody_receives_it() {
    let io = Server::new();
    io.of("/other").on_connect(async || ());
    io.on("announce", async |socket: Socket, Data(text): Data<String>| {
        socket.namespace().emit("news", text) // to the sender, too
    });
    let [(one, _), (other, _)] = connected(&io).await;
    let elsewhere = Client::open(&io);
    elsewhere.join("/other").await;
    one.send(r#"2["announce","x"]"#);
    for client in [&one, &other] {
        assert_eq!(client.next().await, r#"2["news","x"]"#);
    }
    io.of("/other").emit("there", ()).unwrap();
    assert_eq!(elsewhere.next().await, r#"2/other,["there"]"#);
}

/// F-EMT-03, F-EMT-04, F-EMT-05, F-NOD-02, F-NOD-03, AB6: a list of rooms and ids is their union; an empty one is nobody, never everybody.
#[tokio::test]
async fn lists_are_unions_and_empty_lists_are_nobody() {
    let io = Server::new();
    let [(a, one), (b, two), (c, three)] = connected(&io).await;
    one.join("x").unwrap();
    one.join(0).unwrap();
    two.join("x").unwrap();
    io.to([Room::from("x"), one.id().into(), three.id().into()]).emit("list", ()).unwrap();
    io.to(Vec::<Room>::new()).emit("nobody", ()).unwrap();
    one.to(Vec::<Room>::new()).emit("nobody", ()).unwrap();
    io.to("").emit("nobody is in the room without a name", ()).unwrap();
    io.to(0).emit("zero", ()).unwrap();
    io.except([one.id(), two.id()]).emit("skipped", ()).unwrap();
    assert_eq!(a.next_many(2).await, [r#"2["list"]"#, r#"2["zero"]"#]);
    assert_eq!(b.next().await, r#"2["list"]"#);
    assert_eq!(c.next_many(2).await, [r#"2["list"]"#, r#"2["skipped"]"#]);
    settle().await;
    assert!([a, b, c].iter().all(|client| client.take().is_empty()));
}

/// F-EMT-06, F-EMT-09, F-NOD-01: `broadcast` leaves the socket itself out, `emit` is for it alone.
#[tokio::test]
async fn a_socket_emits_to_itself_or_to_all_others() {
    let io = Server::new();
    io.on("both", async |socket: Socket| {
        socket.broadcast().emit("others", ()).unwrap();
        socket.emit("self", ()).unwrap();
    });
    let [(one, _), (other, _)] = connected(&io).await;
    assert_eq!(one.call(1, r#"["both"]"#).await, [r#"2["self"]"#, "31[]"]);
    assert_eq!(other.next().await, r#"2["others"]"#);
    assert!(other.take().is_empty());
}

/// F-EVT-04, F-EMT-07, F-EMT-08: `send` is the event `message`, `send_json` the event `json`; both are ordinary names.
#[tokio::test]
async fn unnamed_events_are_message_and_json() {
    let io = Server::new();
    io.on("message", async |socket: Socket, Data(text): Data<String>| socket.send(text));
    io.on("json", async |socket: Socket, Data(value): Data<HashMap<String, u8>>| socket.send_json(value));
    let [(client, socket)] = connected(&io).await;
    client.send(r#"2["message","hi"]"#);
    client.send(r#"2["json",{"a":1}]"#);
    assert_eq!(client.next_many(2).await, [r#"2["message","hi"]"#, r#"2["json",{"a":1}]"#]);
    io.send(1).unwrap();
    io.to(socket.id()).send((1, 2)).unwrap();
    io.send_json([1]).unwrap();
    io.all().send_json(()).unwrap();
    let expected = [r#"2["message",1]"#, r#"2["message",1,2]"#, r#"2["json",[1]]"#, r#"2["json"]"#];
    assert_eq!(client.next_many(4).await, expected);
}

/// F-EMT-12: what nobody is there for is no error.
#[tokio::test]
async fn unknown_rooms_ids_and_namespaces_are_nobody() {
    let io = Server::new();
    io.to("no such room").emit("e", ()).unwrap();
    io.to("AAAAAAAAAAAAAAAAAAAA").emit("e", ()).unwrap();
    io.of("/nowhere").emit("e", ()).unwrap();
    let [(client, socket)] = connected(&io).await;
    client.break_off();
    until("the end", || !socket.is_connected()).await;
    socket.emit("e", ()).unwrap();
    assert!(!socket.emit_volatile("e", ()).unwrap());
}

/// F-EMT-14, F-EMT-18: any number of plain threads emit at once, without a runtime; what each emits stays in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_threads_emit_without_a_runtime() {
    const EACH: usize = 200;
    let io = Server::builder().shards(2).build();
    let [(client, socket), (other, _)] = connected(&io).await;
    socket.join("room").unwrap();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (io, socket) = (io.clone(), socket.clone());
            thread::spawn(move || {
                assert!(tokio::runtime::Handle::try_current().is_err());
                for count in 0..EACH {
                    match count % 3 {
                        0 => io.emit("e", (n, count)).unwrap(),
                        1 => io.to("room").emit("e", (n, count)).unwrap(),
                        _ => socket.emit("e", (n, count)).unwrap(),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut seen = [0; 4];
    for packet in client.next_many(4 * EACH).await {
        let (n, count): (usize, usize) =
            serde_json::from_str(&packet.replace(r#"2["e","#, "[")).expect(&packet);
        assert_eq!(count, seen[n], "in the order of its thread");
        seen[n] += 1;
    }
    assert_eq!(other.next_many(4 * EACH.div_ceil(3)).await.len(), 4 * EACH.div_ceil(3));
    // In a server that no runtime drives it is there when the call returns.
    let inline = Server::new();
    let client = Client::inline(&inline);
    thread::scope(|scope| {
        scope.spawn(|| {
            client.join_now("/");
            inline.emit("e", Bytes::from_static(b"x")).unwrap();
        });
    });
    assert_eq!(client.take(), [r#"51-["e",{"_placeholder":true,"num":0}]"#, "<78>"]);
}

/// F-EMT-16: whom an operator is for can be counted, and listed.
#[tokio::test]
async fn an_operator_counts_the_sockets_it_is_for() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).build();
    let [(_a, one), (b, two), (_c, three)] = connected(&io).await;
    one.join("x").unwrap();
    two.join("x").unwrap();
    two.join("y").unwrap();
    assert_eq!((io.all().count(), io.to(["x", "y"]).count(), io.to("x").except("y").count()), (3, 2, 1));
    assert_eq!((one.broadcast().count(), io.to(three.id()).count(), io.to("nobody").count()), (2, 1, 0));
    assert_eq!(io.to(Vec::<Room>::new()).count(), 0);
    // Those who are not connected yet, or not any more, do not count.
    io.on_connect(async |socket: Socket, State(latch): State<Latch>| {
        socket.join("x").unwrap();
        latch.wait().await;
    });
    let late = Client::open(&io);
    late.send("0");
    settle().await;
    assert_eq!((io.to("x").count(), io.to("x").sockets().len()), (2, 2));
    latch.open(1);
    late.next().await;
    assert_eq!(io.to("x").count(), 3);
    b.break_off();
    until("the end", || io.to("y").count() == 0).await;
    assert_eq!(io.to("x").count(), 2);
}

/// F-EMT-17, F-EMT-15: emitting returns when the event is queued, whether the client reads or not.
#[tokio::test]
async fn emitting_does_not_wait_for_clients() {
    let io = Server::new();
    let [(reads, _), (does_not, _)] = connected(&io).await;
    for n in 0..1000 {
        io.emit("e", n).unwrap();
    }
    assert_eq!(reads.next_many(1000).await.len(), 1000);
    assert_eq!(does_not.next_many(1000).await.len(), 1000);
}

/// F-ARG-06, F-EVT-12: bad data and reserved names are errors at the call, with nobody connected as well, and nothing is
/// sent.
#[tokio::test]
async fn what_cannot_be_sent_is_an_error_at_the_call() {
    let io = Server::new();
    let bad = HashMap::from([((1, 2), 3)]);
    assert!(matches!(io.emit("e", &bad), Err(EmitError::Encode(_))));
    assert!(matches!(io.send_json(&bad), Err(EmitError::Encode(_))));
    assert!(matches!(
        io.to("x").emit_raw("disconnecting", &RawArgs::empty()),
        Err(EmitError::ReservedName(_))
    ));
    let [(client, socket)] = connected(&io).await;
    assert!(matches!(socket.emit("e", (1, &bad)), Err(EmitError::Encode(_))));
    assert!(matches!(io.emit_with_ack::<()>("e", &bad).await, Err(EmitError::Encode(_))));
    assert!(matches!(socket.emit_with_ack::<()>("e", &bad).await, Err(AckError::Emit(EmitError::Encode(_)))));
    settle().await;
    assert!(client.take().is_empty());
}

/// F-NOD-06, F-ACK-11: the time that an operator allows holds for what it asks, unless the question says otherwise.
#[tokio::test(start_paused = true)]
async fn an_operator_may_say_how_long_it_waits() {
    let io = Server::builder().ack_timeout(Duration::from_secs(3)).max_pending_acks(1).build();
    let [(client, _)] = connected(&io).await;
    let begun = tokio::time::Instant::now();
    for (ask, seconds) in [
        (io.timeout(Duration::from_secs(2)).emit_with_ack::<u8>("ask", ()), 2),
        (
            io.all().timeout(Duration::from_secs(2)).emit_with_ack("ask", ()).timeout(Duration::from_secs(1)),
            1,
        ),
        (io.emit_with_ack("ask", ()), 3),
    ] {
        let begun_at = begun.elapsed();
        let results = ask.into_future().await.unwrap();
        assert!(
            matches!(results[..], [(_, Err(AckError::Timeout))]),
            "the entry before is gone: {results:?}"
        );
        let waited = (begun.elapsed() - begun_at).as_millis();
        assert!((seconds * 1000..seconds * 1000 + 50).contains(&waited), "{waited}");
    }
    assert_eq!(client.take().len(), 3);
}
