//! What clients make the server keep is bounded in bytes, not only in number.

mod support;

use std::time::Duration;

use support::{Client, Latch, until};
use wirebird::engine::SendQueue;
use wirebird::extract::{Data, State};
use wirebird::{Accept, RoomError, Server, Socket, Value};

fn paused(client: &Client) -> bool {
    client.conn.session().is_paused()
}

/// F-SEC-01: large events count for more than small ones.
#[tokio::test]
async fn waiting_events_are_limited_in_bytes() {
    let latch = Latch::default();
    let io = Server::builder().max_pending_bytes(10_000, 1_000_000).state(latch.clone()).build();
    io.on("event", async |State(latch): State<Latch>| latch.wait().await);
    let client = Client::open(&io);
    client.join("/").await;
    let text = "x".repeat(4_000);
    for _ in 0..3 {
        assert!(!paused(&client));
        client.send(format!(r#"20["event","{text}"]"#));
    }
    assert!(paused(&client), "12,000 bytes wait");
    latch.open(3);
    until("reading to go on", || !paused(&client)).await;
}

/// F-SEC-01: a disconnect handler that has not finished counts as an event does.
#[tokio::test]
async fn coming_and_going_is_limited_by_slow_disconnect_handlers() {
    let latch = Latch::default();
    let io = Server::builder().max_pending_events(5, 1_000).state(latch.clone()).build();
    io.on_connect(async || ());
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    let client = Client::open(&io);
    for _ in 0..5 {
        assert!(!paused(&client));
        client.join("/").await;
        client.send("1");
    }
    assert!(paused(&client), "five disconnect handlers have not finished");
    latch.open(5);
    until("reading to go on", || !paused(&client)).await;
}

/// F-SEC-01: an attachment that is referred to twice would make a large value of a small packet.
#[tokio::test]
async fn an_attachment_counts_once() {
    let io = Server::new();
    io.on("event", async |Data(value): Data<Value>| value);
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"51-["event",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]]"#);
    until("the client to be closed", || !client.is_open()).await;
}

/// F-SEC-01: names and payloads of clients that are kept have a limit.
#[tokio::test]
async fn names_and_credentials_have_a_length() {
    let io = Server::builder().namespaces(Accept::Any).max_auth(100).build();
    io.on("join", async |socket: Socket, Data(room): Data<String>| match socket.join(room) {
        Err(RoomError::NameTooLong) => "too long",
        Err(_) => "another error",
        Ok(()) => "joined",
    });
    let client = Client::open(&io);
    client.send(format!(r#"0{{"token":"{}"}}"#, "x".repeat(100)));
    assert_eq!(client.next().await, r#"4{"message":"The auth payload is too large"}"#);
    client.join("/").await;
    client.send(format!(r#"21["join","{}"]"#, "r".repeat(1025)));
    assert_eq!(client.next().await, r#"31["too long"]"#);
    client.send(format!(r#"22["join","{}"]"#, "r".repeat(1024)));
    assert_eq!(client.next().await, r#"32["joined"]"#);

    let long = format!("/{}", "n".repeat(256));
    for name in [long.as_str(), "/forged\nline"] {
        client.send(format!("0{name},"));
        assert_eq!(client.next().await, format!(r#"4{name},{{"message":"Invalid namespace"}}"#));
    }
    assert!(client.is_open());
}

/// F-PRO-12: what waits for a slow connect handler is bounded as what waits for a slow client is.
#[tokio::test]
async fn what_is_held_before_acceptance_is_limited_in_bytes() {
    let latch = Latch::default();
    let mut limits = SendQueue::default();
    limits.max_bytes = 10_000;
    let io = Server::builder().send_queue(limits).state(latch.clone()).build();
    io.on_connect(async |State(latch): State<Latch>| latch.wait().await);
    let client = Client::open(&io);
    client.send("0");
    let text = "x".repeat(4_000);
    for _ in 0..3 {
        io.emit("news", &text).unwrap();
    }
    until("the client to be closed", || !client.is_open()).await;
    latch.open(1);
}

/// Invariant 5: a broadcast to a client that reads is unaffected by all that.
#[tokio::test]
async fn others_are_served_meanwhile() {
    let latch = Latch::default();
    let io = Server::builder().max_pending_bytes(100, 1_000_000).state(latch.clone()).build();
    io.on("stuck", async |State(latch): State<Latch>| latch.wait().await);
    let (greedy, other) = (Client::open(&io), Client::open(&io));
    greedy.join("/").await;
    let id = other.join("/").await;
    greedy.send(format!(r#"2["stuck","{}"]"#, "x".repeat(1_000)));
    assert!(paused(&greedy));
    io.to(id.as_str()).emit("news", 1).unwrap();
    let news = tokio::time::timeout(Duration::from_secs(5), other.next()).await.unwrap();
    assert_eq!(news, r#"2["news",1]"#);
    latch.open(1);
}
