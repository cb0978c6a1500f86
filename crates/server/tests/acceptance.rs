//! Who is accepted: while a connect handler waits, around it, and behind its back.

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use support::{Client, Latch, Log, logged, settle, sid, until};
use wirebird::extract::{Auth, Data, State};
use wirebird::{Accept, Namespace, Server, Socket};

#[derive(Debug, Deserialize)]
struct Token {
    #[serde(rename = "token")]
    _token: String,
}

/// F-CON-14
#[tokio::test]
async fn a_second_connect_closes_and_one_after_disconnect_is_new() {
    let io = Server::new();
    let client = Client::open(&io);
    let first = client.join("/").await;
    client.send("1");
    let second = client.join("/").await;
    assert_ne!(first, second);
    assert!(io.socket(first.as_str()).is_none() && io.socket(second.as_str()).is_some());
    client.send("0");
    client.closed().await;
    let reason = client.conn.session().close_reason();
    assert_eq!(reason, Some(wirebird::engine::CloseReason::ForcedServerClose));
}

/// F-CON-14: leaving and coming back without waiting for anything.
#[tokio::test]
async fn a_quick_leave_and_rejoin_loses_nothing() {
    let latch = Latch::default();
    let (builder, log) = logged();
    let io = builder.state(latch.clone()).build();
    io.on_connect(async |State(latch): State<Latch>| latch.wait().await);
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    io.on("event", async |Data(n): Data<u32>, State(log): State<Log>| {
        log.push(format!("event {n}"));
        n
    });
    let client = Client::open(&io);
    for packet in ["0", r#"20["event",0]"#, "1", "0", r#"21["event",1]"#] {
        client.send(packet);
    }
    latch.open(2);
    // The first connection was over before it was answered; its event was handled all the same.
    sid(&client.next().await);
    assert_eq!(client.next().await, "31[1]");
    let mut log = log.wait(3).await;
    assert!(log.iter().position(|l| l == "event 0") < log.iter().position(|l| l == "disconnect"));
    log.sort();
    assert_eq!(log, ["disconnect", "event 0", "event 1"]);
    assert_eq!(io.socket_count(), 1);
}

/// F-CON-15
#[tokio::test]
async fn connect_handlers_of_one_client_take_turns_while_others_proceed() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).namespaces(Accept::Any).build();
    io.any_namespace().on_connect(
        async |ns: Namespace, State(latch): State<Latch>, State(log): State<Log>| {
            log.push(format!("{} begins", ns.name()));
            if ns.name() != "/quick" {
                latch.wait().await;
            }
            log.push(format!("{} ends", ns.name()));
        },
    );
    let client = Client::open(&io);
    for name in ["/a", "/b", "/c"] {
        client.send(support::connect(name));
    }
    settle().await;
    assert_eq!(log.take(), ["/a begins"]);
    let other = Client::open(&io);
    other.join("/quick").await;
    assert_eq!(log.take(), ["/quick begins", "/quick ends"]);
    latch.open(3);
    let replies = client.next_many(3).await;
    assert!(replies.iter().zip(["0/a,", "0/b,", "0/c,"]).all(|(reply, start)| reply.starts_with(start)));
    assert_eq!(log.all(), ["/a ends", "/b begins", "/b ends", "/c begins", "/c ends"]);
}

/// F-PRO-15
#[tokio::test(start_paused = true)]
async fn clients_without_a_namespace_are_closed_in_time() {
    let latch = Latch::default();
    let io = Server::builder().connect_timeout(Duration::from_secs(10)).state(latch.clone()).build();
    io.of("/slow").on_connect(async |State(latch): State<Latch>| latch.wait().await);
    let (idle, refused, joined, slow) =
        (Client::open(&io), Client::open(&io), Client::open(&io), Client::open(&io));
    refused.send("0/unknown,");
    joined.join("/").await;
    joined.send("1");
    slow.send("0/slow,");
    tokio::time::sleep(Duration::from_millis(9900)).await;
    assert!(idle.is_open() && refused.is_open());
    tokio::time::sleep(Duration::from_millis(200)).await;
    for client in [&idle, &refused] {
        client.closed().await;
        let reason = client.conn.session().close_reason();
        assert_eq!(reason, Some(wirebird::engine::CloseReason::ForcedServerClose));
    }
    // One that has been in a namespace may stay, and a slow connect handler is not the client's fault.
    assert!(joined.is_open() && slow.is_open());
    latch.open(1);
    assert!(slow.next().await.starts_with("0/slow,"));
}

/// Durations that stand for "never" do not overflow the clock.
#[tokio::test]
async fn endless_timeouts_are_allowed() {
    let io = Server::builder()
        .connect_timeout(Duration::MAX)
        .ack_timeout(Duration::MAX)
        .disconnect_grace(Duration::MAX)
        .build();
    let client = Client::open(&io);
    let id = client.join("/").await;
    let ack = io.socket(id.as_str()).unwrap().emit_with_ack::<u8>("ask", ()).into_future();
    assert_eq!(client.next().await, r#"20["ask"]"#);
    client.send("30[7]");
    assert_eq!(ack.await.unwrap(), 7);
}

/// F-CON-10, AB-8: CONNECT before the handler; a refusal is a bare DISCONNECT, because clients take a payload for an error.
#[tokio::test]
async fn always_connect_says_yes_first() {
    let latch = Latch::default();
    let io = Server::builder().always_connect(true).state(latch.clone()).build();
    io.on_connect(async |socket: Socket, State(latch): State<Latch>, Auth(token): Auth<Option<Token>>| {
        latch.wait().await;
        socket.emit("welcome", ()).unwrap();
        token.is_some()
    });
    io.on("event", async || "handled");
    let client = Client::open(&io);
    client.send(r#"0{"token":""}"#);
    sid(&client.next().await);
    client.send(r#"20["event"]"#);
    settle().await;
    assert!(client.take().is_empty());
    latch.open(1);
    assert_eq!(client.next_many(2).await, [r#"2["welcome"]"#, r#"30["handled"]"#]);
    client.send("1");
    client.send("0");
    sid(&client.next().await);
    latch.open(1);
    assert_eq!(client.next_many(2).await, [r#"2["welcome"]"#, "1"]);
    assert_eq!(io.socket_count(), 0);
}

/// F-DIS-10: a disconnect inside the connect handler is a refusal, by whichever way.
#[tokio::test]
async fn disconnecting_inside_the_connect_handler_refuses() {
    let (builder, log) = logged();
    let io = builder.build();
    io.of("/self").on_connect(async |socket: Socket| socket.disconnect());
    io.of("/late").on_connect(async |socket: Socket| {
        tokio::task::yield_now().await;
        socket.disconnect();
        socket.disconnect();
        tokio::task::yield_now().await;
    });
    io.of("/room").on_connect(async |socket: Socket| {
        socket.join("banned").unwrap();
        socket.namespace().to("banned").disconnect();
    });
    for name in ["/self", "/late", "/room"] {
        io.of(name).on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
        let client = Client::open(&io);
        client.send(support::connect(name));
        assert_eq!(client.next().await, format!(r#"4{name},{{"message":"Connection rejected by server"}}"#));
        assert_eq!(io.of(name).socket_count(), 0);
        client.break_off();
    }
    settle().await;
    assert_eq!(log.len(), 0);
}

/// F-DIS-01: accepted or not decides whether there is a disconnect handler to run.
#[tokio::test]
async fn a_client_that_goes_while_its_connect_handler_waits_is_disconnected_once_if_accepted() {
    for (accept, leave) in [(true, "41"), (true, "1"), (true, ""), (false, "41"), (false, "")] {
        let (builder, log) = logged();
        let latch = Latch::default();
        let io = builder.state(latch.clone()).build();
        io.on_connect(move |socket: Socket, State(latch): State<Latch>, State(log): State<Log>| async move {
            latch.wait().await;
            socket.join("room").unwrap();
            log.push("answered");
            accept
        });
        io.on_disconnect(
            async |reason: wirebird::DisconnectReason, socket: Socket, State(log): State<Log>| {
                log.push(format!("{reason} {}", socket.in_room("room")));
            },
        );
        let client = Client::open(&io);
        client.send("0");
        if leave.is_empty() {
            client.break_off();
        } else {
            client.raw(leave);
        }
        latch.open(1);
        log.wait(1 + usize::from(accept)).await;
        settle().await;
        let reason =
            if leave.is_empty() { "transport close true" } else { "client namespace disconnect true" };
        let expected: &[&str] = if accept { &["answered", reason] } else { &["answered"] };
        assert_eq!(log.all(), expected, "{accept} {leave}");
        assert_eq!((io.socket_count(), io.rooms().len()), (0, 0));
    }
}

/// What a client that is gone was asked for fails at once, in its connect handler too.
#[tokio::test(start_paused = true)]
async fn a_connect_handler_does_not_wait_for_the_answer_of_a_client_that_is_gone() {
    let (builder, log) = logged();
    let io = builder.always_connect(true).build();
    io.on_connect(async |socket: Socket, State(log): State<Log>| {
        let answer = socket.emit_with_ack::<String>("who are you?", ()).no_timeout().await;
        log.push(answer.unwrap_err().to_string());
    });
    io.on("ask again", async |socket: Socket, State(log): State<Log>| {
        let answer = socket.emit_with_ack::<String>("really?", ()).no_timeout().await;
        log.push(answer.unwrap_err().to_string());
    });
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnected"));
    let client = Client::open(&io);
    client.send("0");
    client.send(r#"2["ask again"]"#);
    client.break_off();
    let log = log.wait(3).await;
    assert!(log[0].contains("disconnected before") && log[1].contains("disconnected before"), "{log:?}");
    assert_eq!(log[2], "disconnected");
}

/// A client that joins and leaves over and over while its connect handler waits piles nothing up.
#[tokio::test]
async fn joining_and_leaving_in_a_flood_keeps_nothing_and_overflows_nothing() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).build();
    io.on_connect(async |State(latch): State<Latch>, State(log): State<Log>| {
        log.push("connect");
        latch.wait().await;
    });
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    let client = Client::open(&io);
    for _ in 0..20_000 {
        client.send("0");
        client.send("1");
    }
    client.send("0");
    latch.open(2);
    sid(&client.next().await);
    let mut log = log.wait(3).await;
    log.sort();
    assert_eq!(
        log,
        ["connect", "connect", "disconnect"],
        "those in between had left before it was their turn"
    );
    until("one socket", || io.socket_count() == 1).await;
}

/// A client may try again the moment it hears of its refusal.
#[test]
fn a_refused_client_may_try_again_at_once() {
    let io = Server::new();
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = tries.clone();
    io.on_connect(move || {
        let accept = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
        async move { accept }
    });
    let latch = Latch::default();
    io.of("/slow").on_connect({
        let latch = latch.clone();
        move || {
            let latch = latch.clone();
            async move {
                latch.wait().await;
                false
            }
        }
    });
    // Woken by the server's answer, inside of its call.
    let slot: Arc<parking_lot::Mutex<Option<Arc<wirebird::engine::memory::Connection>>>> = Arc::default();
    let (conn, replies) = (slot.clone(), Log::default());
    let answers = replies.clone();
    let connection = io.connect_memory(wirebird::Handshake::default(), move || {
        let Some(conn) = conn.lock().clone() else { return };
        for frame in conn.take_batch() {
            if let wirebird::engine::Frame::Text(text) = frame
                && text.starts_with("44")
            {
                answers.push(text.to_string());
                conn.feed(wirebird::engine::Frame::Text("40/slow,".into()));
            }
        }
    });
    let connection = Arc::new(connection.unwrap());
    connection.take_batch();
    *slot.lock() = Some(connection.clone());
    connection.feed(wirebird::engine::Frame::Text("40/slow,".into()));
    latch.open(1);
    assert_eq!(replies.len(), 1);
    assert!(connection.is_open(), "the second try is no protocol violation");
    latch.open(1);
    assert_eq!(replies.len(), 2);
    *slot.lock() = None;
}
