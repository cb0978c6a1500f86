//! Rooms, and who receives what is emitted to them.

mod support;

use std::time::Duration;

use support::{Client, Log, settle, until};
use wirebird::extract::{Data, State};
use wirebird::{DisconnectReason, MemoryCluster, Overflow, Room, RoomError, SendQueue, Server, Socket};

struct Member {
    client: Client,
    socket: Socket,
}

async fn members<const N: usize>(io: &Server) -> [Member; N] {
    let mut members = Vec::new();
    for _ in 0..N {
        let client = Client::open(io);
        let id = client.join("/").await;
        let socket = io.socket(id.as_str()).unwrap();
        members.push(Member { client, socket });
    }
    members.try_into().ok().unwrap()
}

/// Who has received an event of that name, exactly once, since the last time; a marker to all comes behind it.
async fn receivers(io: &Server, members: &[Member], event: &str) -> Vec<usize> {
    io.emit("marker", ()).unwrap();
    let mut found = Vec::new();
    for (n, member) in members.iter().enumerate() {
        let mut count = 0;
        loop {
            let packet = member.client.next().await;
            if packet.contains("marker") {
                break;
            }
            assert!(packet.starts_with(&format!(r#"2["{event}""#)), "{packet}");
            count += 1;
        }
        assert!(count <= 1, "member {n} received it {count} times");
        found.extend((count == 1).then_some(n));
    }
    found
}

/// F-EMT-01 to F-EMT-06, F-EMT-12, F-NOD-01 to F-NOD-03, AB6
#[tokio::test]
async fn every_combination_of_targets_reaches_each_member_once() {
    let io = Server::builder().shards(3).build();
    let m = members::<5>(&io).await;
    for (n, rooms) in [(0, vec!["a", "b"]), (1, vec!["a"]), (2, vec!["b"]), (3, vec!["a", "b", "c"])] {
        for room in rooms {
            m[n].socket.join(room).unwrap();
        }
    }
    let id = |n: usize| m[n].socket.id();
    let none: Vec<&str> = Vec::new();
    macro_rules! check {
        ($($target:expr => [$($n:literal),*]),* $(,)?) => {$(
            $target.emit("e", 1).unwrap();
            assert_eq!(receivers(&io, &m, "e").await, Vec::<usize>::from([$($n),*]), stringify!($target));
        )*};
    }
    check! {
        io => [0, 1, 2, 3, 4],
        io.all() => [0, 1, 2, 3, 4],
        io.local() => [0, 1, 2, 3, 4],
        io.to("a") => [0, 1, 3],
        io.to("a").to("b") => [0, 1, 2, 3],
        io.to(["a", "b", "a"]) => [0, 1, 2, 3],
        io.to(vec![Room::from("c"), id(4).into(), id(4).into()]) => [3, 4],
        io.to(id(4)) => [4],
        io.to(id(4).as_str()) => [4],
        io.to(id(3)).to("c") => [3],
        io.to("nobody") => [],
        io.to(none.clone()) => [],
        io.to(none.clone()).to("c") => [3],
        io.to("a").except("b") => [1],
        io.to("a").except(id(1)) => [0, 3],
        io.to(id(1)).except("a") => [],
        io.except("a") => [2, 4],
        io.except(["b", "c"]).except(id(4)) => [1],
        io.except(none.clone()) => [0, 1, 2, 3, 4],
        m[0].socket.broadcast() => [1, 2, 3, 4],
        m[0].socket.to("a") => [1, 3],
        m[0].socket.to(id(0)) => [],
        m[0].socket.to(none.clone()) => [],
        m[0].socket.except("b") => [1, 4],
        m[0].socket => [0],
        io.of("/elsewhere") => [],
    }
    // Operators are values: they can be kept, and see who is there when they are used.
    let kept = io.to("late");
    kept.emit("e", ()).unwrap();
    assert!(receivers(&io, &m, "e").await.is_empty());
    m[2].socket.join("late").unwrap();
    kept.clone().except("x").emit("e", ()).unwrap();
    assert_eq!(receivers(&io, &m, "e").await, [2]);
    assert_eq!(kept.sockets(), [m[2].socket.clone()]);
}

/// F-ROM-01, F-ROM-07, F-ROM-09
#[tokio::test]
async fn rooms_come_and_go_with_their_members() {
    let io = Server::new();
    let [one, other] = members::<2>(&io).await;
    assert!(io.rooms().is_empty());
    assert_eq!(one.socket.rooms(), [Room::from(one.socket.id())]);
    for _ in 0..2 {
        one.socket.join("5").unwrap();
        one.socket.join(5).unwrap();
        one.socket.join(0).unwrap();
        one.socket.join("").unwrap();
    }
    other.socket.join(5).unwrap();
    assert_eq!(one.socket.rooms().len(), 5);
    assert!(one.socket.in_room(5) && one.socket.in_room("") && one.socket.in_room(one.socket.id()));
    assert!(!other.socket.in_room("5") && !other.socket.in_room(one.socket.id()));
    assert_eq!((io.to(5).sockets().len(), io.to("5").sockets().len()), (2, 1));
    // The default namespace's rooms are not those of another.
    assert!(io.of("/x").rooms().is_empty() && io.of("/x").to(5).sockets().is_empty());
    assert!(one.socket.leave("5") && !one.socket.leave("5"));
    assert!(one.socket.leave(0) && one.socket.leave(""));
    assert_eq!(io.rooms(), [Room::from(5)]);
    one.client.send("1");
    other.socket.disconnect();
    until("the rooms to go", || io.rooms().is_empty()).await;
    assert_eq!(one.socket.join("x"), Err(RoomError::Disconnected));
    assert!(!one.socket.leave(5) && one.socket.rooms().is_empty());
}

/// F-ROM-08: joining and leaving in the name of sockets that nobody knows, or in places that are not there, does nothing;
/// a handle of one that is gone says so.
#[tokio::test]
async fn unknown_sockets_join_and_leave_nothing() {
    let io = Server::new();
    let [one] = members::<1>(&io).await;
    io.to("AAAAAAAAAAAAAAAAAAAA").join("r");
    io.to("AAAAAAAAAAAAAAAAAAAA").leave("r");
    io.of("/nowhere").to(one.socket.id()).join("r");
    io.all().leave("never there");
    assert!(io.rooms().is_empty() && io.of("/nowhere").rooms().is_empty());
    assert!(io.socket("AAAAAAAAAAAAAAAAAAAA").is_none());
    one.client.break_off();
    until("the end", || io.socket_count() == 0).await;
    assert_eq!(one.socket.join("r"), Err(RoomError::Disconnected));
    assert!(!one.socket.leave("r") && one.socket.rooms().is_empty());
}

/// F-ROM-06: a room is closed on all servers, and closing one that is not there does nothing.
#[tokio::test]
async fn closing_a_room_empties_it_everywhere() {
    let cluster = MemoryCluster::new();
    let servers = [(); 2].map(|()| Server::builder().adapter(cluster.adapter()).build());
    let mut all = Vec::new();
    for io in &servers {
        let [member] = members::<1>(io).await;
        member.socket.join("r").unwrap();
        member.socket.join("stays").unwrap();
        all.push(member);
    }
    servers[0].close_room("r").unwrap();
    servers[0].close_room("never there").unwrap();
    for io in &servers {
        assert_eq!(io.rooms(), [Room::from("stays")]);
    }
}

/// F-ROM-02, F-ROM-03, F-ROM-04, AB13
#[tokio::test]
async fn a_personal_room_has_one_member_for_ever() {
    let io = Server::new();
    let [victim, other] = members::<2>(&io).await;
    let id = victim.socket.id();
    assert_eq!(other.socket.join(id), Err(RoomError::Reserved));
    assert_eq!(other.socket.join(id.as_str()), Err(RoomError::Reserved));
    io.all().join(id);
    assert_eq!(io.close_room(id), Err(RoomError::Reserved));
    victim.socket.join(id).unwrap();
    assert!(!victim.socket.leave(id));
    io.to(id).leave(id);
    assert_eq!(victim.socket.rooms(), [Room::from(id)]);
    assert_eq!(other.socket.rooms(), [Room::from(other.socket.id())]);
    io.to(id).emit("private", ()).unwrap();
    io.emit("marker", ()).unwrap();
    assert_eq!(victim.client.next_many(2).await, [r#"2["private"]"#, r#"2["marker"]"#]);
    assert_eq!(other.client.next().await, r#"2["marker"]"#);
    assert!(io.rooms().is_empty());
}

/// F-ROM-06
#[tokio::test]
async fn closing_a_room_empties_it() {
    let io = Server::new();
    let m = members::<3>(&io).await;
    for member in &m {
        member.socket.join("r").unwrap();
        member.socket.join("stays").unwrap();
    }
    io.to("r").emit("e", ()).unwrap();
    io.close_room("r").unwrap();
    io.to("r").emit("late", ()).unwrap();
    io.close_room("never there").unwrap();
    assert_eq!(receivers(&io, &m, "e").await, [0, 1, 2]);
    assert_eq!(io.rooms(), [Room::from("stays")]);
}

/// F-SEC-01
#[tokio::test]
async fn the_number_of_rooms_has_a_limit() {
    let io = Server::builder().max_rooms(2).build();
    let [one] = members::<1>(&io).await;
    one.socket.join("a").unwrap();
    one.socket.join("b").unwrap();
    one.socket.join("a").unwrap();
    assert_eq!(one.socket.join("c"), Err(RoomError::TooMany));
    io.all().join(["c", "d"]);
    assert_eq!(io.rooms().len(), 2);
    one.socket.leave("a");
    one.socket.join("c").unwrap();
}

/// F-NOD-09, F-DIS-11
#[tokio::test]
async fn operators_join_leave_and_disconnect() {
    let log = Log::default();
    let io = Server::builder().state(log.clone()).build();
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| log.push(reason.to_string()));
    let m = members::<4>(&io).await;
    m[0].socket.join("a").unwrap();
    io.except("a").join(["b", "c"]);
    io.to("b").except(m[3].socket.id()).leave("c");
    io.to("c").emit("e", ()).unwrap();
    assert_eq!(receivers(&io, &m, "e").await, [3]);
    io.to(Vec::<Room>::new()).disconnect();
    io.to("c").disconnect_transports();
    assert_eq!(m[3].client.next().await, "1");
    m[3].client.closed().await;
    io.to("b").disconnect();
    assert_eq!(m[1].client.next().await, "1");
    assert!(m[1].client.is_open());
    assert_eq!(log.wait(3).await, ["server namespace disconnect"; 3]);
    assert_eq!(io.sockets(), [m[0].socket.clone()]);
}

/// F-NOD-04: volatile events are for those who can take them now.
#[tokio::test]
async fn volatile_events_are_dropped_where_something_waits() {
    let io = Server::new();
    let [free, busy] = members::<2>(&io).await;
    busy.socket.emit("fill", ()).unwrap();
    io.volatile().emit("now", 1).unwrap();
    io.to([free.socket.id(), busy.socket.id()]).volatile().emit("now", 2).unwrap();
    assert_eq!(free.client.next().await, r#"2["now",1]"#);
    settle().await;
    assert_eq!(busy.client.take(), [r#"2["fill"]"#]);
    free.client.take();
    assert!(busy.socket.emit_volatile("now", 3).unwrap());
    assert!(!busy.socket.emit_volatile("now", 4).unwrap());
    io.to(busy.socket.id()).volatile().emit("now", 5).unwrap();
    settle().await;
    assert_eq!(busy.client.take(), [r#"2["now",3]"#]);
    assert!(io.engine().dropped_messages() >= 2);
    busy.client.break_off();
    assert!(!busy.socket.emit_volatile("now", 6).unwrap());
}

/// F-EMT-15: a client that never reads costs nobody anything, and is let go when its queue is full.
#[tokio::test]
async fn a_dead_recipient_delays_nobody() {
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.overflow) = (100, Overflow::Close);
    let log = Log::default();
    let io = Server::builder().send_queue(queue).state(log.clone()).build();
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"))
    });
    let [reader, dead] = members::<2>(&io).await;
    for n in 0..500 {
        io.emit("news", n).unwrap();
        assert_eq!(reader.client.next().await, format!(r#"2["news",{n}]"#));
    }
    assert_eq!(log.wait(1).await, ["SlowConsumer"]);
    assert!(!dead.client.is_open() && reader.client.is_open());
}

/// A sender that would rather wait than overrun a client.
#[tokio::test]
async fn a_sender_may_wait_until_the_client_has_room() {
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.overflow) = (10, Overflow::Refuse);
    let io = Server::builder().send_queue(queue).build();
    let [member] = members::<1>(&io).await;
    let socket = member.socket.clone();
    let sender = tokio::spawn(async move {
        for n in 0..1000 {
            socket.writable().await;
            socket.emit("e", n).unwrap();
        }
        socket
    });
    for n in 0..1000 {
        assert_eq!(member.client.next().await, format!(r#"2["e",{n}]"#));
    }
    let socket = sender.await.unwrap();
    for n in 0..10 {
        socket.emit("fill", n).unwrap();
    }
    let waits = tokio::spawn(async move { socket.writable().await });
    settle().await;
    assert!(!waits.is_finished());
    member.client.break_off();
    waits.await.unwrap();
}

/// F-EMT-13, F-NOD-08, R20: three servers as one.
#[tokio::test]
async fn a_cluster_acts_as_one_server() {
    let cluster = MemoryCluster::new();
    let log = Log::default();
    let servers: Vec<_> = (0..3)
        .map(|_| {
            let io = Server::builder().adapter(cluster.adapter()).state(log.clone()).build();
            io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
            io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
            io
        })
        .collect();
    let mut m = Vec::new();
    for io in &servers {
        let [a, b] = members::<2>(io).await;
        m.extend([a, b]);
    }
    // 0 and 1 are on the first server, 2 and 3 on the second, 4 and 5 on the third.
    for n in [0, 2, 5] {
        assert_eq!(m[n].client.call(0, r#"["join","r"]"#).await, ["30[]"]);
    }
    macro_rules! check {
        ($($target:expr => [$($n:literal),*]),* $(,)?) => {$(
            $target.emit("e", bytes::Bytes::from_static(b"!")).unwrap();
            $target.emit("f", (1, "two")).unwrap();
            $target.emit("g", ()).unwrap();
            servers[0].emit("marker", ()).unwrap();
            for (n, member) in m.iter().enumerate() {
                if Vec::<usize>::from([$($n),*]).contains(&n) {
                    let expected =
                        [r#"51-["e",{"_placeholder":true,"num":0}]"#, "<21>", r#"2["f",1,"two"]"#, r#"2["g"]"#];
                    assert_eq!(member.client.next_many(4).await, expected, "{n}");
                }
                assert_eq!(member.client.next().await, r#"2["marker"]"#, "{n}");
            }
        )*};
    }
    let id = |n: usize| m[n].socket.id();
    check! {
        servers[1] => [0, 1, 2, 3, 4, 5],
        servers[1].to("r") => [0, 2, 5],
        servers[0].to(id(5)) => [5],
        servers[0].to([id(0), id(3)]).to("r") => [0, 2, 3, 5],
        servers[2].except("r") => [1, 3, 4],
        m[2].socket.broadcast() => [0, 1, 3, 4, 5],
        m[2].socket.to("r").except(id(5)) => [0],
        servers[1].local() => [2, 3],
        servers[1].local().to("r") => [2],
        servers[0].to(Vec::<Room>::new()) => [],
    }
    servers[0].except(id(3)).join("s");
    servers[1].to(id(4)).leave("s");
    servers[2].close_room("r").unwrap();
    assert!(servers.iter().all(|io| !io.rooms().contains(&"r".into())));
    check! { servers[2].to("s") => [0, 1, 2, 5] }
    servers[0].to(id(5)).disconnect();
    assert_eq!(m[5].client.next().await, "1");
    servers[0].to(id(4)).disconnect_transports();
    m[4].client.closed().await;
    log.wait(2).await;
    servers[1].local().disconnect();
    log.wait(4).await;
    assert_eq!(servers.iter().map(|io| io.socket_count()).collect::<Vec<_>>(), [2, 0, 0]);
    // One that has closed is no member any more.
    servers[1].close_within(Duration::ZERO).await;
    servers[2].emit("after", ()).unwrap();
    assert_eq!(m[0].client.next().await, r#"2["after"]"#);
}
