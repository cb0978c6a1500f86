//! Acknowledgements, both ways.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use support::{Client, Log, settle, until};
use wirebird::extract::{Args, Data, EventContext, State};
use wirebird::{
    AckError, AckResult, AckSender, EmitError, Error, Overflow, RawArgs, SendQueue, Server, Socket, Value,
};

async fn connected(io: &Server) -> (Client, Socket) {
    let client = Client::open(io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    (client, socket)
}

/// Writes what becomes of an acknowledgement into a log.
fn sink(log: &Log) -> wirebird::AckSink {
    let log = log.clone();
    Box::new(move |answer: AckResult| {
        log.push(match answer {
            Ok(args) => format!("{} +{}", args.json(), args.attachments().len()),
            Err(error) => format!("{error:?}"),
        });
    })
}

// ---- for clients ----

/// F-ACK-01, F-ACK-03
#[tokio::test]
async fn ids_are_echoed_exactly_and_only_where_there_is_one() {
    let io = Server::new();
    io.on("e", async || "a");
    let (client, _) = connected(&io).await;
    client.send(r#"2["e"]"#);
    for id in ["0", "1", "4294967296", "9007199254740991"] {
        client.send(format!(r#"2{id}["e"]"#));
        assert_eq!(client.next().await, format!(r#"3{id}["a"]"#));
    }
    client.send(r#"2007["e"]"#);
    assert_eq!(client.next().await, r#"37["a"]"#);
    client.send(r#"29007199254740992["e"]"#);
    client.closed().await;
}

/// F-ACK-04: a handler that fails acknowledges nothing, and neither does nobody.
#[tokio::test]
async fn failures_and_unknown_events_are_not_acknowledged() {
    let io = Server::new();
    io.on("error", async || Err::<u8, _>(Error::msg("on purpose")));
    io.on("panic", async || -> u8 { panic!("on purpose") });
    io.on("arguments", async |Data(n): Data<u8>| n);
    io.on("fence", async || ());
    let (client, _) = connected(&io).await;
    for event in ["error", "panic", "arguments", "nobody handles this"] {
        client.send(format!(r#"21["{event}","x"]"#));
        assert_eq!(client.call(2, r#"["fence"]"#).await, ["32[]"], "{event}");
    }
}

/// F-ACK-03, F-ACK-05
#[tokio::test]
async fn an_event_is_acknowledged_at_most_once() {
    let io = Server::new();
    // Who takes the acknowledgement over is the only one to send it.
    io.on("now", async |ack: AckSender| {
        ack.send((1, "first")).unwrap();
        "second"
    });
    io.on("dropped", async |ack: AckSender| {
        drop(ack);
        "second"
    });
    io.on("fails", async |_ack: AckSender| Err::<(), _>(Error::msg("on purpose")));
    io.on("twice", async |_one: AckSender, _two: AckSender| ());
    io.on_error(async |_: Error, context: EventContext| context.wants_ack());
    io.on("fence", async || ());
    let (client, _) = connected(&io).await;
    for (event, answers) in
        [("now", vec![r#"31[1,"first"]"#]), ("dropped", vec![]), ("fails", vec![]), ("twice", vec![])]
    {
        client.send(format!(r#"21["{event}"]"#));
        let mut packets = client.call(2, r#"["fence"]"#).await;
        packets.pop();
        assert_eq!(packets, answers, "{event}");
        // Not asked for.
        client.send(format!(r#"2["{event}"]"#));
        assert_eq!(client.call(2, r#"["fence"]"#).await.len(), 1, "{event}");
    }
}

/// F-ACK-05, R2: from another thread, long after the handler has returned.
#[tokio::test]
async fn an_acknowledgement_may_come_later_from_another_thread() {
    let kept: Arc<Mutex<HashMap<String, AckSender>>> = Arc::default();
    let io = Server::builder().state(kept.clone()).build();
    io.on(
        "e",
        async |ack: AckSender, Data(name): Data<String>, State(kept): State<Arc<Mutex<HashMap<_, _>>>>| {
            assert!(ack.is_wanted());
            kept.lock().insert(name, ack);
        },
    );
    let (client, _) = connected(&io).await;
    for (id, name) in ["raw", "values", "binary", "unsendable", "late"].iter().enumerate() {
        client.send(format!(r#"2{id}["e","{name}"]"#));
    }
    settle().await;
    let take = |name: &str| kept.lock().remove(name).unwrap();
    let (raw, values, binary, bad) = (take("raw"), take("values"), take("binary"), take("unsendable"));
    let thread = std::thread::spawn(move || {
        binary.send(Bytes::from_static(&[5])).unwrap();
        values.send_values(&[1.into(), wirebird::Value::Null]).unwrap();
        raw.send_raw(&RawArgs::from_json_elements("1e999, 2".into(), Vec::new()).unwrap()).unwrap();
        bad.send(HashMap::from([((), 1)])).unwrap_err();
    });
    thread.join().unwrap();
    let expected = [r#"61-2[{"_placeholder":true,"num":0}]"#, "<05>", "31[1,null]", "30[1e999, 2]"];
    assert_eq!(client.next_many(4).await, expected);
    // One whose client is gone.
    client.break_off();
    take("late").send("nobody").unwrap();
}

// ---- for the server ----

/// F-ACK-06, F-ACK-10, R18
#[tokio::test]
async fn answers_of_clients_are_typed() {
    let io = Server::new();
    let (client, socket) = connected(&io).await;
    macro_rules! answered {
        ($id:literal, $type:ty, $answer:literal) => {{
            let ack = socket.emit_with_ack::<$type>("ask", (1, "b")).into_future();
            assert_eq!(client.next().await, concat!("2", $id, r#"["ask",1,"b"]"#));
            client.send(concat!("3", $id, $answer));
            ack.await
        }};
    }
    assert_eq!(answered!("0", i64, "[7]").unwrap(), 7);
    assert_eq!(answered!("1", (i64, String), r#"[7,"x"]"#).unwrap(), (7, "x".into()));
    answered!("2", (), r#"[1,2,3]"#).unwrap();
    assert_eq!(answered!("3", Option<i64>, "[]").unwrap(), None);
    assert_eq!(answered!("4", Vec<i64>, "[[1,2]]").unwrap(), [1, 2]);
    assert!(matches!(answered!("5", i64, r#"["x"]"#), Err(AckError::Decode(error)) if error.index == 0));
    let log = Log::default();
    socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap();
    assert_eq!(client.next().await, r#"26["ask"]"#);
    client.send(r#"61-6[{"_placeholder":true,"num":0},1e400]"#);
    client.send_binary(&[1]);
    assert_eq!(log.wait(1).await, [r#"{"_placeholder":true,"num":0},1e400 +1"#]);
}

/// F-ACK-10: all arguments of an answer, whether none, one or several, with binary; a type that asks for fewer ignores the
/// others.
#[tokio::test]
async fn all_arguments_of_an_answer_can_be_taken() {
    let io = Server::new();
    let (client, socket) = connected(&io).await;
    let number = |n: i64| Value::from(n);
    for (id, (answer, expected)) in [
        ("[]", vec![]),
        ("[7]", vec![number(7)]),
        ("[null]", vec![Value::Null]),
        ("[[7,8]]", vec![Value::from(vec![7, 8])]),
        (r#"[7,"x",null]"#, vec![number(7), "x".into(), Value::Null]),
    ]
    .into_iter()
    .enumerate()
    {
        let ack = socket.emit_with_ack::<Args>("ask", ()).start();
        client.next().await;
        client.send(format!("3{id}{answer}"));
        assert_eq!(ack.await.unwrap(), Args(expected), "{answer}");
    }

    let ack = socket.emit_with_ack::<Args>("ask", ()).start();
    client.next().await;
    client.send(r#"62-5[7,{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]"#);
    client.send_binary(&[1]);
    client.send_binary(&[2, 3]);
    let Args(answer) = ack.await.unwrap();
    assert_eq!(answer.len(), 3);
    assert_eq!(answer[1].as_binary().unwrap()[..], [1]);
    assert_eq!(answer[2]["b"].as_binary().unwrap()[..], [2, 3]);

    let ack = socket.emit_with_ack::<(i64, String)>("ask", ()).start();
    client.next().await;
    client.send(r#"36[7,"x","ignored"]"#);
    assert_eq!(ack.await.unwrap(), (7, "x".into()));
    let ack = socket.emit_with_ack::<Args>("ask", ()).start();
    client.next().await;
    client.send("37[7,1e400]");
    assert!(matches!(ack.await, Err(AckError::Decode(error)) if error.index == 1));
}

/// F-ACK-09, F-ACK-10: each answer of a broadcast has as many arguments as its client sent.
#[tokio::test]
async fn all_arguments_of_the_answers_of_many_can_be_taken() {
    let io = Server::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connected(&io).await);
    }
    let all = io.emit_with_ack::<Args>("ask", ()).into_future();
    let (results, ()) = tokio::join!(all, async {
        for (client, _) in &clients {
            client.next().await;
        }
        clients[0].0.send("30[]");
        clients[1].0.send("30[7]");
        clients[2].0.send(r#"61-0[7,{"_placeholder":true,"num":0},"x"]"#);
        clients[2].0.send_binary(&[1]);
    });
    let results: HashMap<_, _> =
        results.unwrap().into_iter().map(|(id, answer)| (id, answer.unwrap().0)).collect();
    assert_eq!(results[&clients[0].1.id()], []);
    assert_eq!(results[&clients[1].1.id()], [Value::from(7)]);
    let binary = Value::from(Bytes::from_static(&[1]));
    assert_eq!(results[&clients[2].1.id()], [Value::from(7), binary, "x".into()]);

    let mut stream = io.to(clients[0].1.id()).emit_with_ack::<Args>("ask", ()).stream().unwrap();
    clients[0].0.next().await;
    clients[0].0.send("31[1,2]");
    assert_eq!(stream.next().await.unwrap().1.unwrap(), Args(vec![1.into(), 2.into()]));
}

/// F-ACK-07
#[tokio::test]
async fn unknown_and_repeated_acknowledgements_are_ignored_and_others_cannot_answer() {
    let io = Server::new();
    io.of("/b").on("e", async || ());
    let ((client, socket), (other, _)) = (connected(&io).await, connected(&io).await);
    client.join("/b").await;
    let log = Log::default();
    socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap();
    client.next().await;
    client.send("31[]");
    other.send(r#"30["from another"]"#);
    client.send(r#"3/b,0["from another namespace"]"#);
    settle().await;
    assert_eq!(log.len(), 0);
    client.send(r#"30["mine"]"#);
    client.send(r#"30["again"]"#);
    client.send(r#"39007199254740991["unknown"]"#);
    settle().await;
    assert_eq!(log.all(), [r#""mine" +0"#]);
    assert!(client.is_open() && other.is_open());
}

/// F-ACK-11, AB15
#[tokio::test(start_paused = true)]
async fn a_timeout_is_an_error_and_removes_the_entry() {
    let io = Server::builder().ack_timeout(Duration::from_secs(3)).max_pending_acks(2).build();
    let (client, socket) = connected(&io).await;
    let begun = tokio::time::Instant::now();
    let (short, standard) = tokio::join!(
        async {
            let answer = socket.emit_with_ack::<u8>("ask", ()).timeout(Duration::from_secs(1)).await;
            (answer, begun.elapsed().as_millis())
        },
        async { (socket.emit_with_ack::<u8>("ask", ()).await, begun.elapsed().as_millis()) }
    );
    assert!(matches!(short, (Err(AckError::Timeout), 1000..1050)), "{short:?}");
    assert!(matches!(standard, (Err(AckError::Timeout), 3000..3050)), "{standard:?}");
    // Both entries are gone: there is room for two more, and late answers are nobody's.
    client.send("30[1]");
    let log = Log::default();
    let handles: Vec<_> =
        (0..3).map(|_| socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap()).collect();
    assert_eq!(log.all(), ["TooMany"]);
    client.send("32[1]");
    assert_eq!(log.wait(2).await, ["TooMany", "1 +0"]);
    drop(handles);
}

/// Dropping the future forgets the acknowledgement; so does cancelling a handle.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_forgotten() {
    let io = Server::builder().max_pending_acks(1).build();
    let (client, socket) = connected(&io).await;
    let log = Log::default();
    for _ in 0..3 {
        let ack = socket.emit_with_ack::<u8>("ask", ()).no_timeout().into_future();
        assert!(matches!(socket.emit_with_ack::<u8>("ask", ()).await, Err(AckError::TooMany)));
        drop(ack);
        let handle = socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap();
        assert!(handle.cancel());
    }
    let handle = socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap();
    let packets = client.next_many(7).await;
    client.send(format!("3{}", packets[6].replace('2', "").replace(r#"["ask"]"#, "[1]")));
    settle().await;
    let answered = log.len();
    assert_eq!(handle.cancel(), answered == 0);
    let awaited = io.emit_with_ack::<u8>("all", ()).stream().unwrap();
    drop(awaited);
    socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log)).unwrap();
    assert_eq!(log.len(), answered, "there was room for another");
}

/// Nothing is lost silently: a queue that refuses fails the call.
#[tokio::test]
async fn a_full_queue_that_refuses_fails_the_call_at_once() {
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.overflow) = (4, Overflow::Refuse);
    let io = Server::builder().send_queue(queue).build();
    io.on("e", async |ack: AckSender| {
        assert!(matches!(ack.send(1), Err(EmitError::Full)));
        std::hint::black_box(())
    });
    let (client, socket) = connected(&io).await;
    for n in 0..4 {
        socket.emit("fill", n).unwrap();
    }
    assert!(matches!(socket.emit("more", ()), Err(EmitError::Full)));
    let ack = socket.emit_with_ack::<u8>("ask", ()).await;
    assert!(matches!(ack, Err(AckError::Emit(EmitError::Full))), "{ack:?}");
    let results = io.emit_with_ack::<u8>("ask", ()).await.unwrap();
    assert!(matches!(results[..], [(_, Err(AckError::Emit(EmitError::Full)))]), "{results:?}");
    let log = Log::default();
    let _ = socket.emit_with_sink("ask", &RawArgs::empty(), None, sink(&log));
    assert!(log.all().is_empty() || log.all() == ["Emit(Full)"], "{:?}", log.all());
    client.send(r#"20["e"]"#);
    assert_eq!(client.next_many(4).await.len(), 4);
    socket.emit("room again", ()).unwrap();
    assert_eq!(client.next().await, r#"2["room again"]"#);
}

/// F-ACK-09, F-ACK-08, F-EMT-11, F-NOD-07: each recipient's answer comes by itself, with who gave it.
#[tokio::test(start_paused = true)]
async fn a_broadcast_collects_answers_timeouts_and_disconnections() {
    let io = Server::new();
    let mut clients = Vec::new();
    for n in 0..5 {
        let (client, socket) = connected(&io).await;
        socket.join(if n == 4 { "out" } else { "in" }).unwrap();
        clients.push((client, socket));
    }
    let mut stream =
        io.to("in").emit_with_ack::<i64>("ask", "x").timeout(Duration::from_secs(2)).stream().unwrap();
    for (client, _) in &clients[..4] {
        assert_eq!(client.next().await, r#"20["ask","x"]"#);
    }
    clients[1].0.send("30[1]");
    let (id, answer) = stream.next().await.unwrap();
    assert_eq!((id, answer.unwrap()), (clients[1].1.id(), 1));
    clients[0].0.send(r#"30["not a number"]"#);
    clients[2].1.disconnect();
    let mut results = HashMap::new();
    while let Some((id, answer)) = StreamExt::next(&mut stream).await {
        assert!(results.insert(id, answer.unwrap_err()).is_none(), "each once");
    }
    assert_eq!(results.len(), 3);
    assert!(matches!(results[&clients[0].1.id()], AckError::Decode(_)));
    assert!(results[&clients[2].1.id()].is_disconnected());
    assert!(results[&clients[3].1.id()].is_timeout());
    assert!(clients[4].0.take().is_empty());

    let all =
        io.emit_with_ack::<()>("ask", Bytes::from_static(&[1])).timeout(Duration::from_secs(1)).into_future();
    let (results, ()) = tokio::join!(all, async {
        for n in [0, 1, 3, 4] {
            let ask = clients[n].0.next().await;
            let id = if n == 4 { 0 } else { 1 };
            assert_eq!(ask, format!(r#"51-{id}["ask",{{"_placeholder":true,"num":0}}]"#));
            assert_eq!(clients[n].0.next().await, "<01>");
            if n != 3 {
                clients[n].0.send(format!("3{id}[]"));
            }
        }
    });
    let results = results.unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(results.iter().filter(|(_, answer)| answer.is_ok()).count(), 3);
    assert!(io.to("nobody").emit_with_ack::<()>("ask", ()).await.unwrap().is_empty());
}

/// F-ACK-06, F-ACK-10: acknowledgements and broadcasts of one thread come in their order; `start` emits at once.
#[tokio::test]
async fn asking_does_not_overtake_what_was_emitted_before() {
    let io = Server::new();
    let (client, socket) = connected(&io).await;
    io.emit("first", ()).unwrap();
    let ask = socket.emit_with_ack::<u8>("second", ()).start();
    let all = io.emit_with_ack::<()>("third", ()).stream().unwrap();
    io.emit("fourth", ()).unwrap();
    let expected = [r#"2["first"]"#, r#"20["second"]"#, r#"21["third"]"#, r#"2["fourth"]"#];
    assert_eq!(client.next_many(4).await, expected);
    client.send("30[7]");
    assert_eq!(ask.await.unwrap(), 7);
    drop(all);
}

/// Pain 6: unanswered questions leave nothing behind.
#[tokio::test(start_paused = true)]
async fn two_hundred_thousand_unanswered_questions_leave_nothing() {
    let mut queue = SendQueue::default();
    queue.max_packets = 1_000_000;
    let io = Server::builder().send_queue(queue).max_pending_acks(10_000).build();
    let token = Arc::new(());
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(connected(&io).await);
    }
    for round in 0..10u64 {
        for (client, socket) in &clients {
            for n in 0..1000 {
                let token = token.clone();
                let sink = Box::new(move |answer: AckResult| {
                    assert!(matches!(answer, Err(AckError::Timeout)));
                    drop(token);
                });
                let timeout = Duration::from_millis(1 + (n * 7 + round) % 50);
                socket.emit_with_sink("ask", &RawArgs::empty(), Some(timeout), sink).unwrap();
            }
            client.take();
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    until("all to time out", || Arc::strong_count(&token) == 1).await;
    // And the table still works.
    let (client, socket) = &clients[0];
    let ask = socket.emit_with_ack::<u8>("ask", ()).into_future();
    assert_eq!(client.next().await, r#"210000["ask"]"#);
    client.send("310000[1]");
    assert_eq!(ask.await.unwrap(), 1);
}
