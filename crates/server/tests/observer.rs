//! What an observer sees of rooms.

mod support;

use support::{Client, Log, until};
use wirebird::{Namespace, Observer, Room, Server, Socket};

#[derive(Clone, Default)]
struct Watch(Log);

impl Watch {
    fn server(shards: usize) -> (Server, Log) {
        let watch = Self::default();
        (Server::builder().shards(shards).observer(watch.clone()).build(), watch.0)
    }
}

impl Observer for Watch {
    fn room_created(&self, namespace: &Namespace, room: &Room) {
        self.0.push(format!("created {} {room}", namespace.name()));
    }

    fn room_deleted(&self, namespace: &Namespace, room: &Room) {
        self.0.push(format!("deleted {} {room}", namespace.name()));
    }

    fn joined(&self, _: &Socket, room: &Room) {
        self.0.push(format!("joined {room}"));
    }

    fn left(&self, _: &Socket, room: &Room) {
        self.0.push(format!("left {room}"));
    }
}

async fn connected(io: &Server, namespace: &str) -> (Client, Socket) {
    let client = Client::open(io);
    let socket = io.of(namespace).socket(client.join(namespace).await).unwrap();
    (client, socket)
}

/// F-ROM-12: rooms are created with their first member and deleted with their last, whichever way it leaves and however
/// the sockets are spread.
#[tokio::test]
async fn rooms_are_seen_to_come_and_go() {
    let (io, log) = Watch::server(3);
    io.of("/x").on_connect(async || ());
    let (a, one) = connected(&io, "/").await;
    let (_b, two) = connected(&io, "/").await;
    let (_c, three) = connected(&io, "/").await;
    let (_d, elsewhere) = connected(&io, "/x").await;
    assert!(log.all().is_empty(), "personal rooms are nobody's business");
    for socket in [&one, &two, &three, &elsewhere] {
        socket.join("r").unwrap();
        socket.join("r").unwrap();
    }
    let expected = ["created / r", "joined r", "joined r", "joined r", "created /x r", "joined r"];
    assert_eq!(log.take(), expected);
    assert!(two.leave("r") && !two.leave("r") && !two.leave("never there"));
    io.to(three.id()).leave("r");
    assert_eq!(log.take(), ["left r", "left r"]);
    one.join("s").unwrap();
    log.take();
    // Leaving by disconnecting.
    a.break_off();
    log.wait(4).await;
    assert_eq!(log.take(), ["left r", "deleted / r", "left s", "deleted / s"]);
    // A room may come back, and be closed.
    two.join("r").unwrap();
    three.join("r").unwrap();
    io.close_room("r").unwrap();
    assert_eq!(log.take(), ["created / r", "joined r", "joined r", "left r", "left r", "deleted / r"]);
    elsewhere.disconnect();
    assert_eq!(log.wait(2).await, ["left r", "deleted /x r"]);
}

/// F-ROM-12: what a refused socket has joined is seen to be left again.
#[tokio::test]
async fn rooms_of_refused_sockets_are_deleted() {
    let (io, log) = Watch::server(2);
    io.on_connect(async |socket: Socket| {
        socket.join("r").unwrap();
        false
    });
    let client = Client::open(&io);
    client.send("0");
    assert!(client.next().await.starts_with('4'));
    assert_eq!(log.wait(4).await, ["created / r", "joined r", "left r", "deleted / r"]);
}

/// F-ROM-12: as many rooms are deleted as are created, with many threads at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_created_room_is_deleted_once() {
    let (io, log) = Watch::server(4);
    let mut members = Vec::new();
    for _ in 0..8 {
        members.push(connected(&io, "/").await);
    }
    let mut threads = Vec::new();
    for (_, socket) in &members {
        let socket = socket.clone();
        threads.push(std::thread::spawn(move || {
            for n in 0..200 {
                socket.join(n % 3).unwrap();
                socket.leave(n % 3);
            }
            socket.join("last").unwrap();
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    for (client, _) in &members {
        client.break_off();
    }
    until("the end", || io.rooms().is_empty() && io.socket_count() == 0).await;
    let lines = log.all();
    let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("joined"), count("created")), (count("left"), count("deleted")));
    assert_eq!((count("joined"), count("created / last"), count("deleted / last")), (8 * 201, 1, 1));
}
