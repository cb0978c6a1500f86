//! What a client may not do to another one. More of it is in the tests that the table in `SECURITY.md` names.

mod support;

use serde_json::json;
use support::{Client, Latch, settle, until};
use wirebird::extract::{Data, State};
use wirebird::{ConnectError, MemoryCluster, RoomError, Server, Socket, Value};

fn with_rooms(io: &Server) {
    io.on("join", async |socket: Socket, Data(room): Data<String>| match socket.join(room) {
        Ok(()) => "joined",
        Err(RoomError::Reserved) => "reserved",
        Err(_) => "another error",
    });
}

async fn join(client: &Client, room: &str) -> String {
    client.call(1, &json!(["join", room]).to_string()).await.pop().unwrap()
}

/// AB-13: nobody gets into another's personal room by naming it: of a socket that is here, on another server, or
/// gone; and what is sent there reaches nobody else.
#[tokio::test]
async fn nobody_joins_anothers_personal_room() {
    let cluster = MemoryCluster::new();
    let servers: [Server; 2] = std::array::from_fn(|_| Server::builder().adapter(cluster.adapter()).build());
    servers.iter().for_each(with_rooms);
    let (here, there) = (Client::open(&servers[0]), Client::open(&servers[1]));
    let (spy, gone) = (Client::open(&servers[0]), Client::open(&servers[0]));
    let ids = [here.join("/").await, there.join("/").await, gone.join("/").await];
    gone.break_off();
    let own = spy.join("/").await;
    for id in &ids {
        assert_eq!(join(&spy, id).await, r#"31["reserved"]"#);
        servers[0].to(spy_id(&own)).join(id.as_str());
    }
    assert_eq!(join(&spy, &own).await, r#"31["joined"]"#, "one's own is where one is already");
    for id in &ids {
        for io in &servers {
            io.to(id.as_str()).emit("secret", id).unwrap();
        }
    }
    let expected = |id: &str| vec![format!(r#"2["secret","{id}"]"#); 2];
    assert_eq!(here.next_many(2).await, expected(&ids[0]));
    assert_eq!(there.next_many(2).await, expected(&ids[1]));
    settle().await;
    assert!(spy.take().is_empty());
    // Names that only look a little like that are names.
    assert_eq!(join(&spy, "AAAAAAAAAAAAAAAAAAAA").await, r#"31["joined"]"#);
}

fn spy_id(id: &str) -> wirebird::SocketId {
    wirebird::SocketId::parse(id).unwrap()
}

/// F-SEC-03: names that mean something in JavaScript are names: of events, rooms, namespaces, members.
#[tokio::test]
async fn special_names_are_only_names() {
    let io = Server::builder().namespaces(wirebird::Accept::Any).build();
    for name in ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"] {
        io.on(name, async |Data(value): Data<Value>| value);
        let client = Client::open(&io);
        client.join("/").await;
        let other = Client::open(&io);
        other.join("/").await;
        let value = json!({ "__proto__": { "admin": true }, name: [name] });
        let event = json!([name, value]).to_string();
        assert_eq!(client.call(1, &event).await, [format!("31[{value}]")]);
        client.send(r#"2["unknown"]"#);
        with_rooms(&io);
        assert_eq!(join(&client, name).await, r#"31["joined"]"#);
        io.to(name).emit("news", 1).unwrap();
        assert_eq!(client.next().await, r#"2["news",1]"#);
        client.join(&format!("/{name}")).await;
        settle().await;
        assert!(other.take().is_empty());
    }
}

/// AB-09: floating-point numbers come back as they came, and what no JavaScript client can parse is neither sent nor
/// taken.
#[tokio::test]
async fn numbers_pass_unchanged() {
    let io = Server::new();
    io.on("typed", async |Data(number): Data<f64>| number);
    io.on("value", async |Data(value): Data<Value>| value);
    let client = Client::open(&io);
    client.join("/").await;
    let numbers: Vec<f64> = [
        0.1,
        0.3,
        1.0 / 3.0,
        2.225073858507201e-308,
        5e-324,
        1.7976931348623157e308,
        123456789.12345679,
        0.000001,
        1e21,
        9007199254740993.0,
        -0.0,
        31.245270191439438,
        17.35,
        8.41e21,
    ]
    .into();
    for number in numbers {
        for event in ["typed", "value"] {
            let packet = client.call(1, &format!(r#"["{event}",{number:?}]"#)).await.remove(0);
            let back: f64 = packet[3..packet.len() - 1].parse().unwrap();
            assert_eq!(back.to_bits(), number.to_bits(), "{packet}");
        }
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = io.emit("news", (1, [Some(number)])).unwrap_err();
        assert_eq!(error.to_string(), format!("the data cannot be sent: {number} is no number in JSON"));
    }
    settle().await;
    assert!(client.take().is_empty());
    for packet in [r#"21["typed",NaN]"#, r#"21["typed",-Infinity]"#] {
        let client = Client::open(&io);
        client.join("/").await;
        client.send(packet);
        client.closed().await;
    }
}

/// AB-01: who is not accepted yet, or is refused, or has left, gets nothing, counts nowhere and reaches no
/// handler.
#[tokio::test]
async fn who_is_not_connected_is_nobody() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).build();
    io.on_connect(async |State(latch): State<Latch>, socket: Socket| {
        socket.join("r").unwrap();
        latch.wait().await;
        Err::<(), _>(ConnectError::new("no"))
    });
    io.on("event", async || unreachable!("nobody is connected"));
    let client = Client::open(&io);
    client.send("0");
    client.send(r#"2["event"]"#);
    settle().await;
    let nobody = || {
        assert_eq!((io.socket_count(), io.sockets().len(), io.to("r").sockets().len()), (0, 0, 0));
        assert_eq!(io.metrics().sockets(), 0);
        io.emit("news", 1).unwrap();
        io.to("r").emit("news", 2).unwrap();
    };
    nobody();
    latch.open(1);
    assert_eq!(client.next().await, r#"4{"message":"no"}"#);
    nobody();
    settle().await;
    assert!(client.take().is_empty());

    // And after it has left.
    io.on_connect(async || ());
    client.join("/").await;
    client.send("1");
    until("it to have left", || io.socket_count() == 0).await;
    client.send(r#"2["event"]"#);
    nobody();
    client.closed().await;
}

/// AB-02: names that are the protocol's own reach no handler, not even one for all events.
#[tokio::test]
async fn reserved_names_reach_no_handler() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let io = Server::new();
        io.fallback(async || unreachable!("a reserved name"));
        io.on_any(|_, name, _| assert_ne!(name, "connect"));
        let client = Client::open(&io);
        client.join("/").await;
        client.send(format!(r#"2["{name}"]"#));
        client.closed().await;
        assert!(io.emit(name, ()).is_err());
    }
}
