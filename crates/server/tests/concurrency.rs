//! Handlers whose events go beside the others of their socket.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, Dice, Latch, Log, logged, settle, until, watched};
use wirebird::extract::{Data, EventName, State};
use wirebird::{Accept, Concurrency, EventHandlerExt, HandlerSet, NamespaceHandlers, Server, Socket};

/// Waits for the test; logs when it begins.
async fn slow(name: EventName, State(log): State<Log>, State(latch): State<Latch>) -> String {
    log.push(format!("{name} begins"));
    latch.wait().await;
    name.to_string()
}

/// Does not wait.
async fn quick(name: EventName, State(log): State<Log>) -> String {
    log.push(name.to_string());
    name.to_string()
}

fn server() -> (Server, Log, Latch) {
    let (builder, log) = logged();
    let latch = Latch::default();
    (watched(builder.state(latch.clone())), log, latch)
}

/// F-EVT-13: it waits for none of the events before it, and none behind it waits for it. Those keep their order.
#[tokio::test]
async fn an_event_of_its_own_neither_waits_nor_holds_up_others() {
    let (io, log, latch) = server();
    io.on("ordered", slow).on("next", quick).on("free", slow.concurrency(Concurrency::Concurrent(2)));
    let client = Client::open(&io);
    client.join("/").await;
    for (id, event) in ["free", "ordered", "next", "free"].into_iter().enumerate() {
        client.send(format!(r#"2{id}["{event}"]"#));
    }
    settle().await;
    assert_eq!(log.take(), ["free begins", "ordered begins", "free begins"]);
    latch.open(3);
    let mut answers = client.next_many(4).await;
    let ordered: Vec<_> = answers.iter().filter(|answer| !answer.contains("free")).cloned().collect();
    assert_eq!(ordered, [r#"31["ordered"]"#, r#"32["next"]"#]);
    answers.sort();
    assert_eq!(answers, [r#"30["free"]"#, r#"31["ordered"]"#, r#"32["next"]"#, r#"33["free"]"#]);
    assert_eq!(log.all(), ["next"]);
}

/// F-EVT-14: of one socket so many at a time, and they begin in order; what is beyond waits, and nothing else does.
#[tokio::test]
async fn more_than_its_number_wait_in_order() {
    let (io, log, latch) = server();
    let begun = Arc::new(Mutex::new(Vec::new()));
    io.on("free", {
        let (begun, latch) = (begun.clone(), latch.clone());
        let handler = move |Data(n): Data<u32>| {
            begun.lock().push(n);
            let latch = latch.clone();
            async move {
                latch.wait().await;
                n
            }
        };
        handler.concurrency(Concurrency::Concurrent(2))
    });
    io.on("one", slow.concurrency(Concurrency::Ordered)).on("next", quick);
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    for n in 0..4 {
        client.send(format!(r#"2{n}["free",{n}]"#));
    }
    client.send(r#"24["one"]"#);
    client.send(r#"25["one"]"#);
    client.send(r#"26["next"]"#);
    other.send(r#"20["free",100]"#);
    settle().await;
    assert_eq!(*begun.lock(), [0, 1, 100], "each socket has its own two");
    assert_eq!(log.all(), ["one begins", "next"]);
    assert_eq!(client.take(), [r#"36["next"]"#]);
    // The latch lets them go on in the order they came to it.
    latch.open(1);
    assert_eq!(client.next().await, "30[0]");
    settle().await;
    assert_eq!(*begun.lock(), [0, 1, 100, 2]);
    latch.open(1);
    assert_eq!(client.next().await, "31[1]");
    settle().await;
    assert_eq!((begun.lock().len(), log.len()), (5, 2));
    latch.open(5);
    assert_eq!(client.next_many(4).await.len(), 4);
    assert_eq!(other.next().await, "30[100]");
    assert_eq!(log.all(), ["one begins", "next", "one begins"]);
}

/// F-EVT-13: in a namespace that handles several at once, the events of one handler can still be in order.
#[tokio::test(start_paused = true)]
async fn events_of_one_handler_can_be_in_order_where_others_are_not() {
    let (io, log, _) = server();
    io.concurrency(Concurrency::Concurrent(8));
    async fn wait(Data(n): Data<u64>, name: EventName, State(log): State<Log>) {
        tokio::time::sleep(Duration::from_millis(100 - n)).await;
        log.push(format!("{name} {n}"));
    }
    io.on("any", wait).on("ordered", wait.concurrency(Concurrency::Ordered));
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..3 {
        client.send(format!(r#"2["any",{}]"#, n * 10));
        client.send(format!(r#"2["ordered",{}]"#, n * 10));
    }
    let lines = log.wait(6).await;
    let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("any"), ["any 20", "any 10", "any 0"]);
    assert_eq!(of("ordered"), ["ordered 0", "ordered 10", "ordered 20"]);
}

/// F-EVT-13, F-DIS-01: the disconnect handler comes after all of them, those that waited included; after the time for
/// that is over, they are dropped.
#[tokio::test(start_paused = true)]
async fn the_disconnect_handler_comes_last() {
    for in_time in [true, false] {
        let (io, log, latch) = server();
        io.on("free", slow.concurrency(Concurrency::Concurrent(1))).on("ordered", slow).on("next", quick);
        let client = Client::open(&io);
        client.join("/").await;
        for event in ["free", "ordered", "free", "next"] {
            client.send(format!(r#"2["{event}"]"#));
        }
        settle().await;
        client.break_off();
        settle().await;
        assert_eq!(log.all(), ["free begins", "ordered begins"]);
        if in_time {
            latch.open(3);
            let lines = log.wait(5).await;
            assert_eq!(lines[4], "TransportClose");
            assert!(lines[2..4].contains(&"next".into()) && lines[2..4].contains(&"free begins".into()));
        } else {
            tokio::time::sleep(Duration::from_secs(4)).await;
            assert_eq!(log.len(), 2);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(log.all()[2..], ["TransportClose"]);
            latch.open(3);
            settle().await;
            assert_eq!(log.len(), 3);
        }
        until("the socket to be gone", || io.all().sockets().is_empty() && io.socket_count() == 0).await;
    }
}

/// F-EVT-14, R11: they count as events that wait, so that a client which sends too many is not read from; and when it
/// leaves, nothing of that is left.
#[tokio::test]
async fn they_count_against_the_limits() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).max_pending_events(6, 8).build();
    io.on("free", slow.concurrency(Concurrency::Concurrent(2))).on("ordered", slow);
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    let paused = |client: &Client| client.conn.session().is_paused();
    for event in ["free", "ordered", "free", "ordered", "free"] {
        client.send(format!(r#"2["{event}"]"#));
        assert!(!paused(&client), "{event}");
    }
    client.send(r#"2["free"]"#);
    assert!(paused(&client));
    other.send(r#"2["free"]"#);
    assert!(!paused(&other));
    other.send(r#"2["free"]"#);
    assert!(paused(&other), "the limit for all");
    latch.open(3);
    settle().await;
    assert!(!paused(&client), "half of its own are done");
    client.break_off();
    latch.open(5);
    settle().await;
    assert_eq!(log.take().len(), 8);
    // Everything is counted out: as many fit again.
    for _ in 0..5 {
        other.send(r#"2["free"]"#);
        assert!(!paused(&other));
    }
    other.send(r#"2["free"]"#);
    assert!(paused(&other));
    latch.open(6);
    settle().await;
    assert!(!paused(&other) && log.len() == 6);
}

/// F-SEC-01: a client that is not read from because of what others have waiting is read from again when that is done, also
/// when its own handler waits for what it has yet to say.
#[tokio::test]
async fn who_waits_for_others_goes_on_when_they_are_done() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).max_pending_events(10, 3).build();
    io.on("event", async |State(latch): State<Latch>| latch.wait().await);
    io.on("ask", async |socket: Socket| {
        socket.emit_with_ack::<u32>("question", ()).await.unwrap_or_default()
    });
    let (client, other) = (Client::open(&io), Client::open(&io));
    let paused = |client: &Client| client.conn.session().is_paused();
    for client in [&client, &other] {
        client.join("/").await;
    }
    other.send(r#"2["event"]"#);
    other.send(r#"2["event"]"#);
    client.send(r#"20["ask"]"#);
    assert_eq!(client.next().await, r#"20["question"]"#);
    assert!(paused(&client), "three wait");
    latch.open(2);
    until("reading to go on", || !paused(&client)).await;
    client.send("30[7]");
    assert_eq!(client.next().await, "30[7]");
}

/// F-EVT-06, F-EVT-07, F-EVT-13: whose handler it is makes no difference: a fallback, that of any namespace, of a
/// pattern, of a value.
#[tokio::test]
async fn handlers_of_all_kinds_can_have_it() {
    struct Class;
    impl NamespaceHandlers for Class {
        fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
            handlers.on("free", slow.concurrency(Concurrency::Concurrent(2)));
        }
    }
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).namespaces(Accept::Any).build();
    let two = Concurrency::Concurrent(2);
    io.of("/fallback").on("ordered", slow).fallback(slow.concurrency(two));
    io.of("/any").on("ordered", slow);
    io.any_namespace().on("free", slow.concurrency(two));
    io.of_pattern("/room-{id}").on("ordered", slow).on("free", slow.concurrency(two));
    for name in ["/fallback", "/any", "/room-1"] {
        let client = Client::open(&io);
        client.join(name).await;
        for event in ["ordered", "free", "free", "free"] {
            client.send(format!(r#"2{name},["{event}"]"#));
        }
        settle().await;
        assert_eq!(log.take(), ["ordered begins", "free begins", "free begins"], "{name}");
    }
    let io = Server::builder().state(log.clone()).state(latch.clone()).build();
    io.of("/class").on("ordered", slow).register(Class);
    let client = Client::open(&io);
    client.join("/class").await;
    for event in ["ordered", "free", "free", "free"] {
        client.send(format!(r#"2/class,["{event}"]"#));
    }
    settle().await;
    assert_eq!(log.take(), ["ordered begins", "free begins", "free begins"]);
}

/// F-EVT-13, F-EVT-19: events that wait when their handler is replaced are handled by the new one; without a handler they
/// are nobody's, and hold up nobody.
#[tokio::test]
async fn the_handler_may_change_while_events_wait() {
    let (io, log, latch) = server();
    let one = Concurrency::Concurrent(1);
    io.on("free", slow.concurrency(one)).on("next", quick);
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"20["free"]"#);
    client.send(r#"21["free"]"#);
    settle().await;
    io.on("free", async || "new");
    // This one goes with the others now.
    assert_eq!(client.call(2, r#"["free"]"#).await, [r#"32["new"]"#]);
    latch.open(1);
    assert_eq!(client.next_many(2).await, [r#"30["free"]"#, r#"31["new"]"#]);
    io.on("free", slow.concurrency(one));
    client.send(r#"23["free"]"#);
    client.send(r#"24["free"]"#);
    settle().await;
    assert!(io.off("free"));
    latch.open(1);
    assert_eq!(client.next().await, r#"33["free"]"#);
    assert_eq!(client.call(5, r#"["next"]"#).await, [r#"35["next"]"#]);
    client.send("1");
    assert_eq!(log.wait(4).await[2..], ["next", "ClientDisconnect"]);
}

/// F-EVT-13, F-CON-08: before the client is accepted they wait as all others.
#[tokio::test]
async fn they_wait_for_the_connection_to_be_accepted() {
    let (io, log, latch) = server();
    io.on_connect(async |State(latch): State<Latch>| latch.wait().await);
    io.on("free", quick.concurrency(Concurrency::Concurrent(1))).on("next", quick);
    let client = Client::open(&io);
    client.send("0");
    for event in ["next", "free", "next", "free"] {
        client.send(format!(r#"2["{event}"]"#));
    }
    settle().await;
    assert!(log.all().is_empty());
    latch.open(1);
    assert_eq!(log.wait(4).await, ["next", "free", "next", "free"], "in the order they came");
}

/// F-EVT-13, F-EVT-14: under load, with handlers that wait now and then, on many threads: every event is handled once, no
/// more of one kind at a time than may be, and in order where that is promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_holds_under_load() {
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<HashMap<String, Kind>>>);
    #[derive(Default)]
    struct Kind {
        running: usize,
        most: usize,
        order: Vec<u32>,
    }
    async fn handle(
        name: EventName,
        Data(n): Data<u32>,
        State(Seen(seen)): State<Seen>,
        State(dice): State<Arc<Mutex<Dice>>>,
    ) -> u32 {
        {
            let mut seen = seen.lock();
            let kind = seen.entry(name.to_string()).or_default();
            kind.running += 1;
            kind.most = kind.most.max(kind.running);
            kind.order.push(n);
        }
        let waits = dice.lock().below(3);
        for _ in 0..waits {
            tokio::task::yield_now().await;
        }
        seen.lock().get_mut(&*name).unwrap().running -= 1;
        n
    }
    let seen = Seen::default();
    let io = Server::builder().state(seen.clone()).state(Arc::new(Mutex::new(Dice(3)))).build();
    io.on("ordered", handle)
        .on("single", handle.concurrency(Concurrency::Ordered))
        .on("four", handle.concurrency(Concurrency::Concurrent(4)));
    let client = Client::open(&io);
    client.join("/").await;
    let mut dice = Dice(11);
    let names = ["ordered", "single", "four"];
    for n in 0..3000 {
        let name = names[usize::try_from(dice.below(3)).unwrap()];
        client.send(format!(r#"2{n}["{name}",{n}]"#));
    }
    let mut acknowledged: Vec<u32> = client
        .next_many(3000)
        .await
        .iter()
        .map(|packet| packet[packet.find('[').unwrap() + 1..packet.len() - 1].parse().unwrap())
        .collect();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, (0..3000).collect::<Vec<_>>());
    let seen = seen.0.lock();
    for (name, limit) in [("ordered", 1), ("single", 1), ("four", 4)] {
        let kind = &seen[name];
        assert!(kind.running == 0 && (1..=limit).contains(&kind.most), "{name}: {}", kind.most);
        assert!(limit > 1 || kind.order.is_sorted(), "{name}");
    }
}
