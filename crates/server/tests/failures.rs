//! Handlers that block, lag behind or never return.

mod support;

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::{Client, Latch, settle, until};
use wirebird::engine::Frame;
use wirebird::extract::{Data, State};
use wirebird::{Concurrency, Handshake, Server};

/// Pain 17: a handler that blocks its thread leaves the sockets of others alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocking_handler_does_not_hold_up_others() {
    let (blocked, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let io = Server::new();
    io.on("block", {
        let (blocked, release) = (blocked.clone(), release.clone());
        move || {
            blocked.store(true, Ordering::SeqCst);
            while !release.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            async { "at last" }
        }
    });
    io.on("quick", async |Data(n): Data<u32>| n);
    let clients: Vec<_> = (0..9).map(|_| Arc::new(Client::open(&io))).collect();
    for client in &clients {
        client.join("/").await;
    }
    let first = clients[0].clone();
    let stuck = tokio::spawn(async move { first.call(0, r#"["block"]"#).await });
    until("the handler to block", || blocked.load(Ordering::SeqCst)).await;
    let mut others = Vec::new();
    for client in &clients[1..] {
        let client = client.clone();
        others.push(tokio::spawn(async move {
            for n in 0..100 {
                assert_eq!(client.call(n, &format!(r#"["quick",{n}]"#)).await, [format!("3{n}[{n}]")]);
            }
        }));
    }
    for other in others {
        other.await.unwrap();
    }
    io.emit("broadcast", ()).unwrap();
    for client in &clients[1..] {
        assert_eq!(client.next().await, r#"2["broadcast"]"#);
    }
    release.store(true, Ordering::SeqCst);
    assert_eq!(stuck.await.unwrap().last().unwrap(), r#"30["at last"]"#);
}

/// R11: reading stops while too many events wait for their handlers, and goes on when half are done.
#[tokio::test]
async fn too_many_waiting_events_pause_the_reading() {
    let latch = Latch::default();
    let io = Server::builder().max_pending_events(10, 15).state(latch.clone()).build();
    io.on("event", async |State(latch): State<Latch>| latch.wait().await);
    let (one, other) = (Client::open(&io), Client::open(&io));
    one.join("/").await;
    other.join("/").await;
    let paused = |client: &Client| client.conn.session().is_paused();
    for n in 0..10 {
        assert!(!paused(&one), "{n}");
        one.send(format!(r#"2{n}["event"]"#));
    }
    assert!(paused(&one));
    // The limit for all.
    for _ in 0..5 {
        assert!(!paused(&other));
        other.send(r#"2["event"]"#);
    }
    assert!(paused(&other));
    for n in 0..5 {
        assert!(paused(&one), "{n}");
        latch.open(1);
        settle().await;
    }
    latch.open(10);
    until("both to go on", || !paused(&one) && !paused(&other)).await;
    assert_eq!(one.next_many(10).await.len(), 10);

    // What a client leaves behind does not count for ever.
    for _ in 0..10 {
        one.send(r#"2["event"]"#);
    }
    one.break_off();
    latch.open(10);
    for n in 0..4 {
        other.send(r#"2["event"]"#);
        assert!(!paused(&other), "{n}");
        latch.open(1);
        settle().await;
    }
}

/// The same, with events and handlers in threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reading_is_never_paused_for_good() {
    let io = Server::builder().max_pending_events(4, 1_000).build();
    io.concurrency(Concurrency::Concurrent(4));
    let handled = Arc::new(AtomicUsize::new(0));
    io.on("event", {
        let handled = handled.clone();
        move || {
            let handled = handled.clone();
            async move {
                tokio::task::yield_now().await;
                handled.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..20_000 {
        while client.conn.session().is_paused() {
            until("the reading to go on", || !client.conn.session().is_paused()).await;
        }
        client.send(format!(r#"2["event",{n}]"#));
    }
    until("all to be handled", || handled.load(Ordering::Relaxed) == 20_000).await;
    until("the reading to go on", || !client.conn.session().is_paused()).await;
}

/// A handler that never returns holds up the events behind it, but no acknowledgement of the same socket and nobody else.
#[tokio::test]
async fn a_handler_that_never_returns_holds_up_no_acknowledgement() {
    let io = Server::new();
    io.on("never", async || std::future::pending::<()>().await);
    io.on("fine", async || "fine");
    let (client, other) = (Client::open(&io), Client::open(&io));
    let id = client.join("/").await;
    other.join("/").await;
    client.send(r#"20["never"]"#);
    let ask = io.socket(id.as_str()).unwrap().emit_with_ack::<String>("still there?", ());
    let ask = tokio::spawn(ask.into_future());
    assert_eq!(client.next().await, r#"20["still there?"]"#);
    client.send(r#"30["yes"]"#);
    assert_eq!(ask.await.unwrap().unwrap(), "yes");
    assert_eq!(other.call(1, r#"["fine"]"#).await, [r#"31["fine"]"#]);
    assert!(client.is_open());
}

/// A client that catches up while broadcasts pile up is read from again when they are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn catching_up_during_an_overload_is_not_forgotten() {
    let latch = Latch::default();
    let io = Server::builder().shards(1).max_pending_events(1, 1_000).state(latch.clone()).build();
    io.on("event", async |State(latch): State<Latch>| latch.wait().await);
    io.on("fine", async || "fine");
    io.of("/big").on_connect(async || {});
    let (slow, other) = (Client::open(&io), Client::open(&io));
    slow.join("/").await;
    other.join("/").await;
    let paused = |client: &Client| client.conn.session().is_paused();
    slow.send(r#"2["event"]"#);
    assert!(paused(&slow), "it has as many events waiting as it may");

    // Somebody holds up the only shard.
    let held = Arc::new(AtomicBool::new(false));
    let hold = held.clone();
    let wake = move || {
        while hold.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let holder = io.connect_memory(Handshake::default(), wake).unwrap();
    holder.feed(Frame::Text("40/big,".into()));
    until("the connection", || io.of("/big").sockets().len() == 1).await;
    holder.take_batch();
    held.store(true, Ordering::SeqCst);
    let big = "x".repeat(1 << 20);
    for _ in 0..80 {
        io.of("/big").emit("big", &big).unwrap();
    }
    other.send(r#"2["fine"]"#);
    until("the reading to stop", || paused(&other)).await;
    latch.open(1);
    settle().await;
    assert!(paused(&slow) && paused(&other), "broadcasts still pile up");
    held.store(false, Ordering::SeqCst);
    until("the reading to go on", || !paused(&slow) && !paused(&other)).await;
}
