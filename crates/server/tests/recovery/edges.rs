//! What is less usual: clients that are idle, slow or impatient, much that was missed, handlers that take their time.

use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use wirebird::engine::CloseReason;
use wirebird::extract::{Auth, State};
use wirebird::parser::{Decoder, Limits, Message, Messages, Packet, PacketKind, Parser};
use wirebird::{EmitError, Error, Overflow, Recovery, Room, SendQueue, Server, Socket, Value};

use crate::support::{Client, Latch, Log, logged, settle, watched};
use crate::tab::{Tab, server};

fn socket(io: &Server, tab: &Tab) -> Socket {
    io.socket(Room::from(&tab.sid)).expect("a connected socket")
}

/// Pain 19, F-NOD-21: others are so busy that nothing this client knows is recorded any more, though it has missed
/// nothing.
#[tokio::test(start_paused = true)]
async fn an_idle_client_of_a_busy_server_is_recovered() {
    let recovery = Recovery { max_events: 10, ..Recovery::default() };
    let io = Server::builder().connection_state_recovery(recovery).build();
    for with_event in [false, true] {
        let mut tab = Tab::open(&io).await;
        if with_event {
            io.to(&tab.sid).emit("only one", ()).unwrap();
            assert_eq!(tab.take().await.len(), 1);
        }
        (0..100).for_each(|number| io.to("others").emit("event", number).unwrap());
        settle().await;
        let (sid, pid, offset) = tab.cut().await;
        (0..5).for_each(|number| io.to("others").emit("event", number).unwrap());
        io.to(&sid).emit("missed", ()).unwrap();
        let mut tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid, sid);
        assert_eq!(tab.take().await, [r#"["missed"]"#]);
    }
}

/// Pain 19: the first event for a long time was on its way when the connection broke.
#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_to_an_idle_client_is_sent_again() {
    let io = server();
    for with_event in [false, true] {
        let mut tab = Tab::open(&io).await;
        if with_event {
            io.emit("long ago", ()).unwrap();
            assert_eq!(tab.take().await.len(), 1);
        }
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            io.to("others").emit("event", ()).unwrap();
            assert!(tab.take().await.is_empty());
        }
        io.emit("on its way", ()).unwrap();
        let (sid, pid, offset) = tab.cut().await;
        io.emit("missed", ()).unwrap();
        let mut tab = Tab::back(&io, &pid, offset.clone()).await;
        assert_eq!(tab.sid, sid);
        assert_eq!(tab.take().await, [r#"["on its way"]"#, r#"["missed"]"#]);
        // And that again, as if none of it had arrived.
        let (_, pid, _) = tab.cut().await;
        let mut tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid, sid);
        assert_eq!(tab.take().await, [r#"["on its way"]"#, r#"["missed"]"#]);
    }
}

/// Pain 19: a client that reads so slowly that what it has not read is not recorded any more is not told that it had
/// missed nothing.
#[tokio::test(start_paused = true)]
async fn a_client_that_lagged_behind_is_connected_anew() {
    let io = server();
    let mut tab = Tab::open(&io).await;
    io.emit("read", ()).unwrap();
    assert_eq!(tab.take().await.len(), 1);
    io.emit("not read", ()).unwrap();
    for number in 0..30 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        // It answers pings, which overtake what it has not read.
        tab.client.raw("3");
        io.emit("not read either", number).unwrap();
    }
    let (sid, pid, offset) = tab.cut().await;
    assert_ne!(Tab::back(&io, &pid, offset).await.sid, sid);
}

/// F-NOD-21, F-PRO-12: more than fits into a queue is not sent again, or the client would be closed for it again and again.
#[tokio::test(start_paused = true)]
async fn too_much_was_missed() {
    for (events, size, comes_back) in [(4000, 1, true), (5000, 1, false), (9, 1_000_000, false)] {
        let io = server();
        let (sid, pid, offset) = Tab::open(&io).await.cut().await;
        (0..events).for_each(|_| io.emit("event", "x".repeat(size)).unwrap());
        let mut tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid == sid, comes_back, "{events} × {size}");
        assert_eq!(tab.take().await.len(), if comes_back { events } else { 0 });
        settle().await;
        assert!(tab.client.is_open());
    }
}

/// F-NOD-21: connections that break while the connect handler of a client that is back is still at it.
#[tokio::test(start_paused = true)]
async fn a_client_may_be_cut_off_on_its_way_back() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = watched(builder.state(latch.clone()).connection_state_recovery(Recovery::default()));
    io.on_connect(async |socket: Socket, State(latch): State<Latch>, State(log): State<Log>| {
        if socket.recovered() {
            latch.wait().await;
        }
        log.push(format!("connected {}", socket.recovered()));
    });
    let tab = Tab::open(&io).await;
    socket(&io, &tab).join("room").unwrap();
    let (sid, pid, _) = tab.cut().await;
    io.to("room").emit("missed", 1).unwrap();
    for number in 2..5 {
        let client = Client::open(&io);
        client.send(format!("0{{\"pid\":{pid:?}}}"));
        settle().await;
        client.break_off();
        settle().await;
        io.to("room").emit("missed", number).unwrap();
    }
    // Those that wait are done with when they find that their client is gone.
    latch.open(4);
    let mut tab = Tab::back(&io, &pid, None).await;
    assert_eq!(tab.sid, sid);
    assert_eq!(tab.take().await, (1..5).map(|n| format!("[\"missed\",{n}]")).collect::<Vec<_>>());
    assert!(socket(&io, &tab).in_room("room"));
    settle().await;
    assert_eq!(io.socket_count(), 1);
    drop(log);
}

/// F-NOD-21: the time of a client runs from when it was cut off, not from its last attempt to come back.
#[tokio::test(start_paused = true)]
async fn attempts_do_not_prolong_the_time() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).connection_state_recovery(Recovery::default()).build();
    io.on_connect(async |socket: Socket, State(latch): State<Latch>| {
        if socket.recovered() {
            latch.wait().await;
        }
    });
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(31)).await;
        let client = Client::open(&io);
        client.send(format!("0{{\"pid\":{pid:?}}}"));
        settle().await;
        client.break_off();
        settle().await;
    }
    latch.open(10);
    assert_ne!(Tab::back(&io, &pid, None).await.sid, sid);
}

/// F-NOD-21: an event to a room, on its way when the socket was taken out of that room and then cut off.
#[tokio::test(start_paused = true)]
async fn rooms_that_were_left_meanwhile_count() {
    let io = server();
    let tab = Tab::open(&io).await;
    let socket = socket(&io, &tab);
    socket.join("room").unwrap();
    io.to("room").emit("member", 1).unwrap();
    socket.leave("room");
    io.to("room").emit("left", 2).unwrap();
    io.except("room").emit("not except", 3).unwrap();
    socket.join("room").unwrap();
    io.to("room").emit("member again", 4).unwrap();
    io.except("room").emit("except", 5).unwrap();
    let (_, pid, _) = tab.cut().await;
    let mut tab = Tab::back(&io, &pid, None).await;
    assert_eq!(tab.take().await, [r#"["member",1]"#, r#"["not except",3]"#, r#"["member again",4]"#]);
}

/// F-SEC-01: joining and leaving again and again is remembered up to a limit; beyond it nobody guesses.
#[tokio::test(start_paused = true)]
async fn rooms_that_were_left_are_remembered_up_to_a_limit() {
    let io = server();
    let mut tab = Tab::open(&io).await;
    io.emit("read", ()).unwrap();
    assert_eq!(tab.take().await.len(), 1);
    let socket = socket(&io, &tab);
    socket.join("stays").unwrap();
    for number in 0..2000 {
        let room = format!("room {number}");
        socket.join(&room).unwrap();
        io.to(&room).emit("event", number).unwrap();
        socket.leave(&room);
    }
    let (sid, pid, offset) = tab.cut().await;
    assert_ne!(Tab::back(&io, &pid, offset).await.sid, sid);
}

/// F-NOD-21: the disconnect handler is done, or has had its time, before the connect handler of the same socket runs.
#[tokio::test(start_paused = true)]
async fn handlers_of_one_socket_run_in_their_order() {
    for ends in [true, false] {
        let (builder, log) = logged();
        let latch = Latch::default();
        let builder = builder.state(latch.clone()).disconnect_grace(Duration::from_secs(3));
        let io = builder.connection_state_recovery(Recovery::default()).build();
        io.on_connect(async |socket: Socket, State(log): State<Log>| {
            log.push(format!("connected {}", socket.recovered()));
        });
        io.on_disconnect(async |State(latch): State<Latch>, State(log): State<Log>| {
            latch.wait().await;
            log.push("disconnected");
        });
        let (sid, pid, _) = Tab::open(&io).await.cut().await;
        let back = tokio::spawn({
            let (io, pid) = (io.clone(), pid.clone());
            async move { Tab::back(&io, &pid, None).await.sid }
        });
        settle().await;
        assert_eq!(log.all(), ["connected false"]);
        io.emit("meanwhile", ()).unwrap();
        if ends {
            latch.open(1);
            assert_eq!(back.await.unwrap(), sid);
            assert_eq!(log.take(), ["connected false", "disconnected", "connected true"]);
        } else {
            // It never ends; the client does not wait for ever.
            assert_eq!(back.await.unwrap(), sid);
            assert_eq!(log.take(), ["connected false", "connected true"]);
        }
    }
}

/// F-NOD-21: a client that gives up while it waits for the disconnect handler leaves nothing behind, and may try again.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_end_may_leave() {
    let latch = Latch::default();
    let io = Server::builder()
        .state(latch.clone())
        .connection_state_recovery(Recovery::default())
        .disconnect_grace(Duration::from_secs(3600))
        .build();
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    for _ in 0..3 {
        let client = Client::open(&io);
        client.send(format!("0{{\"pid\":{pid:?}}}"));
        settle().await;
        assert!(client.take().is_empty());
        client.break_off();
        settle().await;
    }
    latch.open(1);
    settle().await;
    let tab = Tab::back(&io, &pid, None).await;
    assert_eq!(tab.sid, sid);
    assert_eq!(io.socket_count(), 1);
    latch.open(10);
    tab.cut().await;
    settle().await;
    assert_eq!(io.socket_count(), 0);
}

/// F-CON-02, F-NOD-21: what the client needs to come back is no business of handlers.
#[tokio::test(start_paused = true)]
async fn the_private_id_is_not_shown_to_handlers() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        token: String,
    }
    let (builder, log) = logged();
    let io = builder.connection_state_recovery(Recovery::default()).build();
    io.on_connect(async |Auth(login): Auth<Login>, State(log): State<Log>| log.push(login.token));
    io.of("/any").on_connect(async |Auth(auth): Auth<Option<Value>>, State(log): State<Log>| {
        log.push(serde_json::to_string(&auth).unwrap());
    });
    let tab = Tab::connect(&io, r#"0{"token":"first"}"#, None).await;
    let (sid, pid, _) = tab.cut().await;
    let claim = format!(r#"0{{"pid":{pid:?},"offset":"~1","token":"second"}}"#);
    let tab = Tab::connect(&io, &claim, None).await;
    assert_ne!(tab.sid, sid, "no such offset");
    let (sid, pid, _) = tab.cut().await;
    assert_eq!(Tab::back(&io, &pid, None).await.sid, sid);
    assert_eq!(log.take(), ["first", "second", "t"]);

    let auth = async |text: &str| {
        let client = Client::open(&io);
        client.send(format!("0/any,{text}"));
        let answer = client.next().await;
        (serde_json::from_str::<serde_json::Value>(&answer[6..]).unwrap(), client)
    };
    let (answer, client) = auth("").await;
    client.break_off();
    settle().await;
    let pid = answer["pid"].as_str().unwrap();
    auth(&format!(r#"{{"pid":{pid:?}}}"#)).await;
    // What only looks like one of ours is the application's.
    auth(r#"{"pid":"product 1","offset":2}"#).await;
    assert_eq!(log.take(), ["null", "null", r#"{"pid":"product 1","offset":2}"#]);
}

/// F-NOD-21: a handle that was kept since before the cut emits to the client that is back; while nobody is there, what it
/// emits is missed and sent.
#[tokio::test(start_paused = true)]
async fn old_handles_reach_the_client_that_is_back() {
    let io = server();
    let tab = Tab::open(&io).await;
    let old = socket(&io, &tab);
    old.emit("before", 1).unwrap();
    let (_, pid, _) = tab.cut().await;
    old.emit("meanwhile", 2).unwrap();
    let mut tab = Tab::back(&io, &pid, None).await;
    assert_eq!(tab.take().await, [r#"["before",1]"#, r#"["meanwhile",2]"#]);
    old.emit("after", 3).unwrap();
    assert_eq!(tab.take().await, [r#"["after",3]"#]);
    assert!(!old.is_connected());
}

/// F-PRO-12, F-NOD-21: an emit that is refused is told so, and is not sent when the client is back.
#[tokio::test(start_paused = true)]
async fn a_refused_event_stays_refused() {
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.overflow) = (10, Overflow::Refuse);
    let io = Server::builder().send_queue(queue).connection_state_recovery(Recovery::default()).build();
    let tab = Tab::open(&io).await;
    let socket = socket(&io, &tab);
    settle().await;
    let mut sent = Vec::new();
    for number in 0..30 {
        match socket.emit("event", number) {
            Ok(()) => sent.push(format!("[\"event\",{number}]")),
            Err(error) => assert!(matches!(error, EmitError::Full)),
        }
    }
    assert!(sent.len() >= 9 && sent.len() < 30, "{}", sent.len());
    let mut tab = tab;
    assert_eq!(tab.take().await, sent);
    let (_, pid, offset) = tab.cut().await;
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert!(tab.take().await.is_empty());
}

/// F-NOD-21: a client whose engine closes is cut off, as with Node's server; a client that leaves is not. After the server
/// has closed nothing is kept.
#[tokio::test(start_paused = true)]
async fn who_is_cut_off_and_who_leaves() {
    let io = server();
    let comes_back = async |end: &dyn Fn(&Client)| {
        let tab = Tab::open(&io).await;
        end(&tab.client);
        settle().await;
        let (sid, pid) = (tab.sid.clone(), tab.pid.clone());
        drop(tab);
        settle().await;
        Tab::back(&io, &pid, None).await.sid == sid
    };
    assert!(comes_back(&|client| client.raw("1")).await, "the engine's close packet");
    assert!(comes_back(&|client| client.conn.session().close(CloseReason::ForcedClose)).await);
    assert!(comes_back(&|client| client.raw("2")).await, "a packet that breaks the rules of the engine");
    assert!(!comes_back(&|client| client.raw("4x")).await, "a packet that breaks those of Socket.IO");
    assert!(!comes_back(&|client| client.raw("41")).await);
    assert!(!comes_back(&|client| client.raw("41\u{0}")).await);
    assert!(!comes_back(&|_| io.all().disconnect()).await);
    assert!(!comes_back(&|_| io.all().disconnect_transports()).await);
}

/// R16: no lock is held while a parser of the application writes a packet.
#[tokio::test(start_paused = true)]
async fn parsers_may_do_anything() {
    static IO: OnceLock<Server> = OnceLock::new();

    struct Busy;

    impl Parser for Busy {
        fn encode(&self, _: &Packet) -> Result<Messages, Error> {
            if let Some(io) = IO.get()
                && let Some(socket) = io.sockets().first()
            {
                socket.join("written").unwrap();
                socket.leave("written");
            }
            Ok(Messages::text("packet"))
        }

        fn decoder(&self, _: Limits) -> Box<dyn Decoder> {
            Box::new(ConnectOnly)
        }
    }

    struct ConnectOnly;

    impl Decoder for ConnectOnly {
        fn decode(&mut self, _: Message) -> Result<Option<Packet>, Error> {
            Ok(Some(Packet::new("/", PacketKind::Connect { auth: None })))
        }
    }

    let io = Server::builder().parser(Busy).connection_state_recovery(Recovery::default()).build();
    let _ = IO.set(io.clone());
    let client = Client::open(&io);
    client.send("connect");
    settle().await;
    assert_eq!(io.socket_count(), 1);
    io.emit("event", ()).unwrap();
    settle().await;
    assert_eq!(io.rooms(), Vec::<Room>::new());
}
