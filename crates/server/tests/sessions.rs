//! What is kept for a socket: its session, and the data that others may see.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use support::{Client, Latch, Log, logged, settle, until};
use wirebird::extract::{Data, Session, State};
use wirebird::{Concurrency, Error, Server, Socket, Value};

#[derive(Debug, Clone, Default, PartialEq)]
struct Score(u32);

#[derive(Debug, Clone, Default, PartialEq)]
struct Name(String);

async fn connected(io: &Server, namespace: &str) -> (Client, Socket) {
    let client = Client::open(io);
    let socket = io.of(namespace).socket(client.join(namespace).await).unwrap();
    (client, socket)
}

/// F-SES-01: values by type, for each socket and namespace on its own; nothing by default.
#[tokio::test]
async fn every_socket_has_a_session_of_its_own() {
    let io = Server::new();
    io.of("/other").on_connect(async || ());
    let client = Client::open(&io);
    let one = io.socket(client.join("/").await).unwrap();
    let same_client = io.of("/other").socket(client.join("/other").await).unwrap();
    let (_other, another) = connected(&io, "/").await;
    assert_eq!(one.session().get::<Score>(), None);
    assert_eq!(one.session().insert(Score(1)), None);
    assert_eq!(one.session().insert(Score(2)), Some(Score(1)));
    one.session().insert(Name("ann".into()));
    assert_eq!((one.session().get(), one.session().get()), (Some(Score(2)), Some(Name("ann".into()))));
    assert_eq!((same_client.session().get::<Score>(), another.session().get::<Score>()), (None, None));
    assert_eq!(one.session().remove::<Score>(), Some(Score(2)));
    assert_eq!((one.session().get::<Score>(), one.session().remove::<Score>()), (None, None));
}

/// F-SES-02, F-SES-03: whoever holds a value holds it alone, also while it waits.
#[tokio::test]
async fn a_locked_value_is_nobody_elses_across_waits() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).concurrency(Concurrency::Concurrent(8)).build();
    io.on("add", async |socket: Socket, Data(n): Data<u32>, State(latch): State<Latch>| {
        let mut score = socket.session().lock::<Score>().await;
        let before = score.0;
        latch.wait().await;
        score.0 = before + n;
        score.0
    });
    io.on("read", async |socket: Socket| socket.session().get::<Score>().map(|score| score.0));
    let (client, socket) = connected(&io, "/").await;
    for n in 1..=5 {
        client.send(format!(r#"2{n}["add",{n}]"#));
    }
    // Reads and values of another type do not wait.
    assert_eq!(client.call(9, r#"["read"]"#).await, ["39[null]"]);
    socket.session().lock::<Name>().await.0.push('x');
    latch.open(5);
    assert_eq!(client.next_many(5).await, ["31[1]", "32[3]", "33[6]", "34[10]", "35[15]"]);
    assert_eq!(socket.session().get(), Some(Score(15)));
    // Another socket's is another.
    let (_other, another) = connected(&io, "/").await;
    let held = socket.session().lock::<Score>().await;
    assert_eq!(another.session().lock::<Score>().await.0, 0);
    drop(held);
}

/// F-SES-02: what was changed is kept, also when the block fails or panics; what was only looked at stays as it is.
#[tokio::test]
async fn a_locked_value_is_kept_whatever_comes() {
    let io = Server::new();
    io.on("error", async |socket: Socket| {
        let mut score = socket.session().lock::<Score>().await;
        score.0 += 1;
        Err::<(), _>(Error::msg("on purpose"))
    });
    io.on("panic", async |socket: Socket| {
        let mut score = socket.session().lock::<Score>().await;
        score.0 += 1;
        assert!(score.0 > 100, "on purpose");
    });
    io.on("given up", async |socket: Socket| {
        let task = tokio::spawn(async move {
            let mut score = socket.session().lock::<Score>().await;
            score.0 += 1;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        task.abort();
    });
    let (client, socket) = connected(&io, "/").await;
    for event in ["error", "panic", "given up"] {
        client.send(format!(r#"2["{event}"]"#));
    }
    until("all three", || socket.session().get() == Some(Score(3))).await;
    let looked = socket.session().lock::<Score>().await;
    assert_eq!(*looked, Score(3));
    socket.session().insert(Score(7));
    drop(looked);
    assert_eq!(socket.session().get(), Some(Score(7)));
    // What is asked for is there from then on, as with `update`.
    drop(socket.session().lock::<Name>().await);
    assert_eq!(socket.session().get(), Some(Name::default()));
}

/// F-SES-02: updates from many threads exclude each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_exclude_each_other() {
    let io = Server::new();
    let (_client, socket) = connected(&io, "/").await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let socket = socket.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..500 {
                if n % 2 == 0 {
                    socket.session().update(|score: &mut Score| score.0 += 1);
                } else {
                    socket.session().lock::<Name>().await.0.push('x');
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(socket.session().get(), Some(Score(2000)));
    assert_eq!(socket.session().get::<Name>().unwrap().0.len(), 2000);
}

/// F-SES-04, F-SES-05, F-SES-07, F-DIS-05: writable in the connect handler, readable in the disconnect handler, gone
/// afterwards, and not there for the client's next connection.
#[tokio::test]
async fn a_session_lives_from_the_connect_handler_to_the_disconnect_handler() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let (builder, log) = logged();
    let io = builder.build();
    io.on_connect(async |socket: Socket, State(log): State<Log>| {
        log.push(format!("connect {:?}", socket.session().get::<Score>()));
        socket.session().insert(Score(CONNECTIONS.fetch_add(1, Ordering::Relaxed) as u32));
        socket.set_data("early").unwrap();
    });
    io.on("score", async |Session(Score(score)): Session<Score>| score);
    io.on_disconnect(async |socket: Socket, Session(score): Session<Score>, State(log): State<Log>| {
        socket.session().lock::<Score>().await.0 += 10;
        socket.session().update(|name: &mut Name| name.0.push('x'));
        log.push(format!("disconnect {score:?} {:?}", socket.data::<String>().unwrap()));
    });
    let client = Client::open(&io);
    for n in 0..2 {
        let socket = io.socket(client.join("/").await).unwrap();
        assert_eq!(client.call(0, r#"["score"]"#).await, [format!("30[{n}]")]);
        client.send("1");
        log.wait(2).await;
        let expected = ["connect None".to_owned(), format!(r#"disconnect Score({n}) "early""#)];
        assert_eq!(log.take(), expected);
        // Nothing is kept for one that is gone, and nobody finds it.
        assert!(io.socket(socket.id()).is_none());
        assert_eq!(socket.session().get::<Score>(), None);
        socket.session().insert(Score(1));
        socket.session().update(|score: &mut Score| score.0 += 1);
        socket.session().lock::<Score>().await.0 += 1;
        socket.set_data("late").unwrap();
        assert_eq!((socket.session().get::<Score>(), socket.data().unwrap()), (None, Value::Null));
    }
}

/// F-SES-06: what `get` returns is a copy: changing it changes nothing before it is kept. An `Arc` is shared.
#[tokio::test]
async fn values_are_copies_unless_they_are_shared() {
    let io = Server::new();
    let (_client, socket) = connected(&io, "/").await;
    socket.session().insert(Name("ann".into()));
    let mut copy: Name = socket.session().get().unwrap();
    copy.0.push('a');
    assert_eq!((copy.0.as_str(), socket.session().get()), ("anna", Some(Name("ann".into()))));
    let shared = Arc::new(AtomicUsize::new(1));
    socket.session().insert(shared.clone());
    socket.session().get::<Arc<AtomicUsize>>().unwrap().store(2, Ordering::Relaxed);
    assert_eq!(shared.load(Ordering::Relaxed), 2);
}

/// F-SES-04: values that only the session holds go with it, those of refused sockets as well.
#[tokio::test]
async fn sessions_of_refused_sockets_are_gone_too() {
    let kept: Arc<()> = Arc::default();
    let io = Server::builder().state(kept.clone()).build();
    io.on_connect(async |socket: Socket, State(kept): State<Arc<()>>| {
        socket.session().insert(kept);
        false
    });
    let client = Client::open(&io);
    client.send("0");
    assert!(client.next().await.starts_with('4'));
    settle().await;
    assert_eq!(Arc::strong_count(&kept), 2, "the server's state, and this one");
}

/// F-NOD-17: one value of any serialisable type; it can be read back as another, and is null by default.
#[tokio::test]
async fn data_is_one_value_of_any_serialisable_type() {
    let io = Server::new();
    let (_client, socket) = connected(&io, "/").await;
    assert_eq!(socket.data::<Option<u8>>().unwrap(), None);
    assert_eq!(socket.data::<Value>().unwrap(), Value::Null);
    assert!(socket.data::<u8>().is_err());
    socket.set_data(("ann", 7, Bytes::from_static(b"\x01"))).unwrap();
    let (name, level, key): (String, u8, Bytes) = socket.data().unwrap();
    assert_eq!((name.as_str(), level, &*key), ("ann", 7, &b"\x01"[..]));
    assert_eq!(socket.data::<Value>().unwrap()[1], 7.into());
    assert!(socket.data::<(u8, u8)>().is_err());
    // What cannot be kept leaves what was there.
    assert!(socket.set_data(std::collections::HashMap::from([((1, 2), 3)])).is_err());
    assert_eq!(socket.data::<Value>().unwrap()[0], "ann".into());
    socket.set_data(()).unwrap();
    assert_eq!(socket.data::<Value>().unwrap(), Value::Null);
}
