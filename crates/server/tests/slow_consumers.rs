//! Clients that read too slowly: what is replaced, what is dropped, who is closed, and who is told.

mod support;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, until, watched};
use wirebird::{
    Builder, DisconnectReason, EmitError, Limit, MemoryCluster, Overflow, SendQueue, Server, Slowness,
};

/// Clients whose events wait until they are taken: nothing goes out while the test holds them.
fn queue() -> SendQueue {
    SendQueue::default().packets(4).bytes(1 << 20)
}

/// What the hook was told.
type Told = Arc<Mutex<Vec<(Slowness, usize, Vec<String>)>>>;

fn telling(builder: Builder) -> (Builder, Told) {
    let told = Told::default();
    let here = told.clone();
    let builder = builder.on_slow_consumer(move |slow| {
        let names = slow.sockets().iter().map(|socket| socket.namespace().name().to_owned()).collect();
        here.lock().push((slow.slowness, slow.packets, names));
    });
    (builder, told)
}

async fn joined(io: &Server, namespaces: &[&str]) -> Client {
    let client = Client::open(io);
    for namespace in namespaces {
        client.join(namespace).await;
    }
    client
}

/// Everything that waits for the client, in order.
async fn all(client: &Client) -> Vec<String> {
    support::settle().await;
    client.take()
}

/// F-PRO-12: of what waits, an older event with the same key makes place for the newer; the order of all that go out is kept; it is
/// counted.
#[tokio::test]
async fn the_newest_value_replaces_what_still_waits() {
    let io = Server::new();
    let client = joined(&io, &["/"]).await;
    for round in 0..3 {
        for key in ["a", "b"] {
            io.conflate(key).emit("value", (key, round)).unwrap();
        }
        io.emit("tick", round).unwrap();
    }
    let expected =
        [r#"2["tick",0]"#, r#"2["tick",1]"#, r#"2["value","a",2]"#, r#"2["value","b",2]"#, r#"2["tick",2]"#];
    assert_eq!(all(&client).await, expected);
    assert_eq!(io.metrics().conflated_messages(), 4);
    assert!(io.metrics().to_openmetrics().contains("wirebird_conflated_messages_total 4\n"));
    // What was taken is not replaced.
    io.conflate("a").emit("value", ("a", 3)).unwrap();
    assert_eq!(all(&client).await, [r#"2["value","a",3]"#]);
    assert_eq!(io.metrics().conflated_messages(), 4);
}

/// F-PRO-12: for one socket, for a room, and with a key that is of its namespace alone.
#[tokio::test]
async fn keys_belong_to_a_namespace() {
    let io = Server::builder().namespaces(wirebird::Accept::Any).build();
    let client = joined(&io, &["/", "/other"]).await;
    let socket = io.sockets().remove(0);
    socket.join("room").unwrap();
    socket.conflate("k").emit("one", ()).unwrap();
    io.of("/other").conflate("k").emit("other", ()).unwrap();
    io.to("room").conflate("k").emit("room", ()).unwrap();
    io.emit("plain", ()).unwrap();
    io.to(socket.id()).conflate("another").emit("by id", ()).unwrap();
    let expected = [r#"2/other,["other"]"#, r#"2["room"]"#, r#"2["plain"]"#, r#"2["by id"]"#];
    assert_eq!(all(&client).await, expected);
}

/// F-PRO-12: a queue that would be full of old values never is, and attachments go with their message.
#[tokio::test]
async fn conflated_events_do_not_fill_the_queue() {
    let io = Server::builder().send_queue(queue()).build();
    let client = joined(&io, &["/"]).await;
    for round in 0..1000u32 {
        let image = bytes::Bytes::from(round.to_be_bytes().to_vec());
        io.conflate("image").emit("image", image).unwrap();
        support::settle().await;
    }
    assert!(client.is_open());
    let session = io.sockets().remove(0).engine_session().clone();
    assert_eq!(session.queued().0, 2);
    assert_eq!(all(&client).await.len(), 2, "the packet and its attachment");
    assert_eq!(session.queued(), (0, 0), "all that was replaced is not counted any more");
}

/// F-PRO-12: what is emitted before the client is connected waits for that, and is replaced there too.
#[tokio::test]
async fn what_waits_for_the_connect_packet_is_replaced_too() {
    let io = Server::builder().send_queue(queue()).build();
    io.on_connect(async |socket: wirebird::Socket| {
        for value in 0..100 {
            socket.conflate("value").emit("value", value)?;
        }
        socket.emit("done", ())
    });
    let client = joined(&io, &["/"]).await;
    assert_eq!(all(&client).await, [r#"2["value",99]"#, r#"2["done"]"#]);
    assert_eq!(io.metrics().conflated_messages(), 99);
}

/// F-PRO-12: each event with an acknowledgement has an answer of its own.
#[tokio::test]
async fn acknowledgements_cannot_be_conflated() {
    let io = Server::new();
    let _client = joined(&io, &["/"]).await;
    let answer = io.conflate("k").emit_with_ack::<()>("question", ()).await;
    let Err(error) = answer else { panic!("an answer to a question that was not asked") };
    assert!(error.to_string().contains("cannot be conflated"), "{error}");
    assert!(EmitError::Conflated.to_string().contains("acknowledgements"));
}

/// F-PRO-12: a value that is refused does not cost the client the older one.
#[tokio::test]
async fn a_refused_value_leaves_the_older_one() {
    let io = Server::builder().send_queue(queue().bytes(1000).overflow(Overflow::Refuse)).build();
    let client = joined(&io, &["/"]).await;
    let socket = io.sockets().remove(0);
    socket.conflate("k").emit("small", ()).unwrap();
    socket.emit("other", ()).unwrap();
    let large = "x".repeat(2000);
    assert!(matches!(socket.conflate("k").emit("large", &large), Err(EmitError::Full)));
    assert_eq!(all(&client).await, [r#"2["small"]"#, r#"2["other"]"#]);
    assert_eq!((io.metrics().conflated_messages(), io.metrics().dropped_messages()), (0, 1));
}

/// F-PRO-12: other servers of the cluster conflate too.
#[tokio::test]
async fn conflation_across_servers() {
    let cluster = MemoryCluster::new();
    let here = Server::builder().adapter(cluster.adapter()).build();
    let there = Server::builder().adapter(cluster.adapter()).build();
    let client = joined(&there, &["/"]).await;
    for value in 0..10 {
        here.conflate("k").emit("value", value).unwrap();
    }
    assert_eq!(all(&client).await, [r#"2["value",9]"#]);
}

/// F-PRO-12: a namespace has a share of the queue: what is over it follows the namespace's policy, and costs others nothing.
#[tokio::test]
async fn a_namespace_has_a_share() {
    let io = Server::builder().namespaces(wirebird::Accept::Any).build();
    io.of("/ticker").send_queue(queue().overflow(Overflow::Refuse));
    let client = joined(&io, &["/", "/ticker"]).await;
    let ticker = io.of("/ticker").sockets().remove(0);
    for n in 0..4 {
        ticker.emit("tick", n).unwrap();
    }
    assert!(matches!(ticker.emit("tick", 4), Err(EmitError::Full)));
    for n in 0..100 {
        io.emit("chat", n).unwrap();
    }
    let writable = ticker.writable();
    tokio::pin!(writable);
    assert!(futures_util::poll!(writable.as_mut()).is_pending(), "its share is full");
    assert_eq!(all(&client).await.len(), 104);
    writable.await;
    ticker.emit("tick", 5).unwrap();
    assert_eq!(all(&client).await, [r#"2/ticker,["tick",5]"#]);
    assert!(client.is_open());
    assert_eq!(io.metrics().dropped_messages(), 1);
}

/// F-PRO-12: the share of a namespace drops its own volatile events first, not those of others.
#[tokio::test]
async fn a_share_drops_its_own_volatile_events() {
    let io = Server::builder().namespaces(wirebird::Accept::Any).build();
    io.of_pattern("/room-{n}").send_queue(queue().packets(2).overflow(Overflow::DropVolatile));
    let client = joined(&io, &["/", "/room-1", "/room-2"]).await;
    // What one task emits without waiting is one burst: volatile events of it wait.
    let session = io.sockets().remove(0).engine_session().clone();
    session.cork();
    let emit = |room: &str, n: u8| io.of(room).sockets().remove(0).emit("kept", n).unwrap();
    let volatile = |room: &str| io.of(room).volatile().emit("volatile", ()).unwrap();
    volatile("/room-1");
    volatile("/room-2");
    support::settle().await;
    emit("/room-1", 1);
    emit("/room-1", 2);
    session.uncork();
    let got = all(&client).await;
    assert!(!got.iter().any(|packet| packet == r#"2/room-1,["volatile"]"#), "{got:?}");
    assert!(got.iter().any(|packet| packet == r#"2/room-1,["kept",2]"#), "{got:?}");
}

/// F-PRO-12, F-DIS-02: by default the client is closed, and the hook is told why while its sockets are still there; the handlers get the
/// reason of its own.
#[tokio::test]
async fn the_hook_is_told_before_the_end() {
    let (builder, log) = support::logged();
    let (builder, told) = telling(builder.send_queue(queue()));
    let io = watched(builder);
    let client = joined(&io, &["/"]).await;
    for n in 0..10 {
        io.emit("n", n).unwrap();
    }
    client.closed().await;
    assert_eq!(log.wait(1).await, [format!("{:?}", DisconnectReason::SlowConsumer)]);
    assert_eq!(*told.lock(), [(Slowness::QueueFull, 4, vec!["/".to_owned()])]);
    assert_eq!(io.metrics().limit(Limit::SendQueue), 1);
}

/// F-PRO-12: who only misses messages is told of once, until there is room again.
#[tokio::test]
async fn falling_behind_is_told_once() {
    let (builder, told) = telling(Server::builder().send_queue(queue().overflow(Overflow::Refuse)));
    let io = builder.build();
    let client = joined(&io, &["/"]).await;
    for round in 1..=2 {
        for n in 0..20 {
            io.emit("n", n).unwrap();
        }
        support::settle().await;
        until("the hook was told", || told.lock().len() == round).await;
        assert_eq!(all(&client).await.len(), 4);
    }
    assert!(told.lock().iter().all(|(slowness, packets, _)| (*slowness, *packets) == (Slowness::Behind, 4)));
    assert_eq!(io.metrics().dropped_messages(), 32);
}

/// F-PRO-12: a client that takes nothing is told of as that. A hook that panics does no harm.
#[tokio::test(start_paused = true)]
async fn a_stalled_client_is_told_of() {
    let (builder, told) = telling(Server::builder());
    let io = builder.write_timeout(Duration::from_secs(5)).build();
    let client = joined(&io, &["/"]).await;
    io.emit("news", ()).unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!client.is_open());
    assert_eq!(*told.lock(), [(Slowness::Stalled, 1, vec!["/".to_owned()])]);
    assert_eq!(io.metrics().limit(Limit::WriteTime), 1);

    let io = Server::builder().send_queue(queue()).on_slow_consumer(|_| panic!("a bug")).build();
    let client = joined(&io, &["/"]).await;
    for n in 0..10 {
        io.emit("n", n).unwrap();
    }
    client.closed().await;
    until("nothing is left", || io.sockets().is_empty()).await;
}

/// A share without room is a mistake.
#[test]
#[should_panic(expected = "send_queue needs room")]
fn a_share_of_nothing_is_a_mistake() {
    Server::new().send_queue(SendQueue::default().packets(0));
}
