//! What one client can make the server keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use wirebird::engine::Frame;
use wirebird::extract::{Data, State};
use wirebird::{Accept, AckError, Limit, RoomError, Server, Socket};

use crate::support::{Client, Latch, until};
use crate::{reached, server};

async fn refused(client: &Client, packet: &str, message: &str) {
    client.send(packet);
    let answer = client.next().await;
    assert!(
        answer.starts_with('4') && answer.ends_with(&format!(r#"{{"message":"{message}"}}"#)),
        "{answer}"
    );
    assert!(client.is_open());
}

/// F-SEC-01
#[tokio::test]
async fn namespaces() {
    let io = server(Server::builder().namespaces(Accept::Any).max_namespaces(2));
    let client = Client::open(&io);
    client.join("/a").await;
    client.join("/b").await;
    refused(&client, "0/c,", "Too many namespaces").await;
    reached(&io, Limit::Namespaces, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn dynamic_namespaces() {
    let io = server(Server::builder().namespaces(Accept::Any).max_dynamic_namespaces(3));
    let client = Client::open(&io);
    client.join("/a").await;
    client.join("/b").await;
    refused(&client, "0/c,", "Too many namespaces").await;
    reached(&io, Limit::DynamicNamespaces, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn namespace_name() {
    let io = server(Server::builder().namespaces(Accept::Any).max_namespace_name(10));
    let client = Client::open(&io);
    client.join("/012345678").await;
    refused(&client, "0/0123456789,", "Invalid namespace").await;
    reached(&io, Limit::NamespaceName, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn auth_bytes() {
    let io = server(Server::builder().max_auth(20));
    let client = Client::open(&io);
    refused(&client, r#"0{"token":"0123456789"}"#, "The auth payload is too large").await;
    reached(&io, Limit::Auth, 1).await;
}

async fn join(client: &Client, room: &str) -> String {
    client.call(1, &format!(r#"["join","{room}"]"#)).await.remove(0)
}

fn with_rooms(builder: wirebird::Builder) -> Server {
    let io = server(builder);
    io.on("join", async |socket: Socket, Data(room): Data<String>| match socket.join(room) {
        Ok(()) => "joined",
        Err(RoomError::TooMany) => "too many",
        Err(RoomError::NameTooLong) => "too long",
        Err(_) => "another error",
    });
    io
}

/// F-SEC-01
#[tokio::test]
async fn rooms() {
    let io = with_rooms(Server::builder().max_rooms(2));
    let client = Client::open(&io);
    client.join("/").await;
    for (room, answer) in [("a", "joined"), ("b", "joined"), ("b", "joined"), ("c", "too many")] {
        assert_eq!(join(&client, room).await, format!(r#"31["{answer}"]"#));
    }
    reached(&io, Limit::Rooms, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn room_name() {
    let io = with_rooms(Server::builder().max_room_name(3));
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(join(&client, "abc").await, r#"31["joined"]"#);
    assert_eq!(join(&client, "abcd").await, r#"31["too long"]"#);
    reached(&io, Limit::RoomName, 1).await;
}

/// A message that says when nobody keeps it any more.
struct Watched(String, Arc<AtomicBool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// F-SEC-01: of the message that joined a namespace, name and `auth` stay with the socket, not the rest of it.
#[tokio::test]
async fn what_is_beside_auth() {
    let io = server(Server::builder().namespaces(Accept::Any));
    let client = Client::open(&io);
    let gone = Arc::<AtomicBool>::default();
    let packet = format!(r#"40/room,{{"token":1{}}}{}"#, " ".repeat(10), " ".repeat(10_000));
    let message = ByteString::try_from(Bytes::from_owner(Watched(packet, gone.clone()))).unwrap();
    client.conn.feed(Frame::Text(message));
    assert!(client.next().await.starts_with("0/room,"));
    assert!(gone.load(Ordering::SeqCst));
    assert_eq!(io.of("/room").sockets().len(), 1);
}

/// F-SEC-01: a client that owes acknowledgements and never sends them.
#[tokio::test]
async fn pending_acks() {
    let io = server(Server::builder().max_pending_acks(2));
    let client = Client::open(&io);
    let socket = io.socket(client.join("/").await).unwrap();
    let ask = || tokio::spawn(std::future::IntoFuture::into_future(socket.emit_with_ack::<()>("ask", ())));
    let (_first, _second) = (ask(), ask());
    client.next_many(2).await;
    assert!(matches!(ask().await.unwrap(), Err(AckError::TooMany)));
    reached(&io, Limit::PendingAcks, 1).await;
}

/// F-ACK-06
#[tokio::test(start_paused = true)]
async fn ack_time() {
    let io = server(Server::builder().ack_timeout(Duration::from_secs(3)));
    let client = Client::open(&io);
    let socket = io.socket(client.join("/").await).unwrap();
    assert!(matches!(socket.emit_with_ack::<()>("ask", ()).await, Err(AckError::Timeout)));
    assert!(client.is_open());
    reached(&io, Limit::AckTime, 1).await;
}

/// A server whose event `stuck` lasts until the latch is opened.
fn with_stuck(builder: wirebird::Builder) -> (Server, Latch) {
    let latch = Latch::default();
    let io = server(builder.state(latch.clone()));
    io.on("stuck", async |State(latch): State<Latch>| latch.wait().await);
    (io, latch)
}

/// The client is not read from, and is when its handlers are done.
async fn stops_reading(io: &Server, latch: &Latch, limit: Limit, packets: &[String]) {
    let client = Client::open(io);
    client.join("/").await;
    let session = client.conn.session();
    for packet in packets {
        assert!(!session.is_paused());
        client.send(packet);
    }
    assert!(session.is_paused());
    if limit != Limit::PendingTotal {
        reached(io, limit, 1).await;
    }
    latch.open(packets.len());
    until("reading to go on", || !session.is_paused()).await;
    reached(io, limit, 1).await;
}

/// F-SEC-01: back-pressure, by the events of one client.
#[tokio::test]
async fn pending_events() {
    let (io, latch) = with_stuck(Server::builder().max_pending_events(3, 1000));
    stops_reading(&io, &latch, Limit::PendingEvents, &vec![r#"2["stuck"]"#.to_owned(); 3]).await;
}

/// F-SEC-01: by their bytes.
#[tokio::test]
async fn pending_bytes() {
    let (io, latch) = with_stuck(Server::builder().max_pending_bytes(1000, 100_000));
    let large = format!(r#"2["stuck","{}"]"#, "x".repeat(600));
    stops_reading(&io, &latch, Limit::PendingBytes, &[large.clone(), large]).await;
}

/// F-SEC-01: what a message has beside its arguments is kept with them, and counts.
#[tokio::test]
async fn pending_bytes_beside_arguments() {
    let (io, latch) = with_stuck(Server::builder().max_pending_bytes(1000, 100_000));
    let padded = format!(r#"2["stuck",1{}]"#, " ".repeat(600));
    stops_reading(&io, &latch, Limit::PendingBytes, &[padded.clone(), padded]).await;
}

/// F-SEC-01: and by those of all clients, among which those are held back that have some.
#[tokio::test]
async fn pending_total() {
    let (io, latch) = with_stuck(Server::builder().max_pending_events(1000, 3));
    stops_reading(&io, &latch, Limit::PendingTotal, &vec![r#"2["stuck"]"#.to_owned(); 3]).await;
}

/// F-SEC-01: clients that cause broadcasts faster than they are delivered.
#[tokio::test]
async fn broadcasts() {
    let io = server(Server::builder().max_waiting_broadcasts(10_000));
    io.on("flood", async |socket: Socket| {
        for _ in 0..20 {
            socket.broadcast().emit("news", "x".repeat(1000)).unwrap();
        }
    });
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    client.send(r#"2["flood"]"#);
    let session = client.conn.session();
    assert!(session.is_paused());
    assert_eq!(other.next_many(20).await.len(), 20);
    until("reading to go on", || !session.is_paused()).await;
    reached(&io, Limit::Broadcasts, 1).await;
}

/// F-DIS-01: handlers of a socket that is gone.
#[tokio::test(start_paused = true)]
async fn handler_time() {
    let (io, _latch) = with_stuck(Server::builder());
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"2["stuck"]"#);
    client.send(r#"2["echo"]"#);
    client.break_off();
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    reached(&io, Limit::HandlerTime, 1).await;
}
