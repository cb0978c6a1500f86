//! Who comes back, and with what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wirebird::extract::State;
use wirebird::{ConnectError, Recovery, Server, Socket};

use crate::support::{self, Client, logged, settle, watched};
use crate::tab::{Tab, server};

/// F-PRO-18, F-NOD-21, F-OPT-29, pain 19: the same id, rooms, session and data, and what was missed, once and in order.
#[tokio::test(start_paused = true)]
async fn a_client_that_was_cut_off_is_back_and_has_missed_nothing() {
    let (builder, log) = logged();
    let io = watched(builder.connection_state_recovery(Recovery::default()));
    io.on_connect(async |socket: Socket, State(log): State<support::Log>| {
        log.push(format!("connected {}", socket.recovered()));
        if !socket.recovered() {
            socket.session().insert(7_u8);
        }
    });
    let mut tab = Tab::open(&io).await;
    let socket = io.socket(wirebird::Room::from(&tab.sid)).unwrap();
    socket.join("room").unwrap();
    socket.set_data("data").unwrap();
    io.emit("before", (1, "two")).unwrap();
    assert_eq!(tab.take().await, [r#"["before",1,"two"]"#]);
    let (sid, pid, offset) = tab.cut().await;

    io.emit("all", 1).unwrap();
    io.to("room").emit("room", ()).unwrap();
    io.to("other").emit("other", 3).unwrap();
    io.to(&sid).emit("alone", 4).unwrap();
    io.to("room").except(&sid).emit("others", 5).unwrap();
    io.volatile().emit("volatile", 6).unwrap();
    io.of("/elsewhere").emit("elsewhere", 7).unwrap();
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert_eq!((&tab.sid, &tab.pid), (&sid, &pid));
    assert_eq!(tab.take().await, [r#"["all",1]"#, r#"["room"]"#, r#"["alone",4]"#]);
    let socket = io.socket(wirebird::Room::from(&sid)).unwrap();
    assert!(socket.recovered() && socket.in_room("room"));
    assert_eq!(socket.session().get::<u8>(), Some(7));
    assert_eq!(socket.data::<String>().unwrap(), "data");
    io.to("room").emit("after", ()).unwrap();
    assert_eq!(tab.take().await, [r#"["after"]"#]);
    assert_eq!(log.take(), ["connected false", "TransportClose", "connected true"]);
    assert_eq!(io.socket_count(), 1);
}

/// F-NOD-21: no event yet, idle for longer than events are recorded, and several times in a row.
#[tokio::test(start_paused = true)]
async fn a_client_is_recovered_without_an_event_after_long_idleness_and_again() {
    let io = server();
    let tab = Tab::open(&io).await;
    let (sid, pid, offset) = tab.cut().await;
    assert_eq!(offset, None);
    io.emit("one", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, None).await;
    assert_eq!((tab.sid.clone(), tab.take().await), (sid.clone(), vec![r#"["one"]"#.to_owned()]));

    // Nothing that it knows is recorded any more; others have been busy.
    for minute in 0..60 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        io.of("/elsewhere").emit("minute", minute).unwrap();
        assert!(tab.take().await.is_empty());
    }
    for round in 0..3 {
        let (_, pid, offset) = tab.cut().await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid, sid, "round {round}");
        assert!(tab.take().await.is_empty());
    }
    let (_, pid, offset) = tab.cut().await;
    io.emit("two", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert_eq!(tab.take().await, [r#"["two"]"#]);
}

/// F-NOD-21: who is connected anew: unknown, stolen from another namespace, too late, gone on purpose, with an offset that
/// is none, a second time with the same claim.
#[tokio::test(start_paused = true)]
async fn who_cannot_be_recovered_is_connected_anew() {
    let io = server();
    io.of("/other").on_connect(async || ());
    let anew = async |pid: &str, offset: Option<&str>| {
        let tab = Tab::back(&io, pid, offset.map(str::to_owned)).await;
        assert!(!io.socket(wirebird::Room::from(&tab.sid)).unwrap().recovered());
        tab
    };
    let tab = anew("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", None).await;
    let (sid, pid, _) = tab.cut().await;
    let elsewhere = Client::open(&io);
    elsewhere.send(format!("0/other,{{\"pid\":{pid:?}}}"));
    assert_ne!(support::sid(&elsewhere.next().await), sid);
    let tab = anew(&pid, None).await;
    assert_ne!(tab.sid, sid, "the attempt with another namespace has used it up");

    for offset in ["~ff", "hello", "", "~-1", "~zz", "~99999999999999999999"] {
        let (_, pid, _) = anew("", None).await.cut().await;
        anew(&pid, Some(offset)).await;
    }
    let (_, pid, _) = tab.cut().await;
    tokio::time::sleep(Duration::from_secs(121)).await;
    anew(&pid, None).await;

    let tab = anew("", None).await;
    let pid = tab.pid.clone();
    tab.client.send("1");
    settle().await;
    drop(tab);
    anew(&pid, None).await;

    let (sid, pid, _) = anew("", None).await.cut().await;
    let first = Tab::back(&io, &pid, None).await;
    assert_eq!(first.sid, sid);
    let (_, pid, _) = first.cut().await;
    let second = Tab::back(&io, &pid, None).await;
    assert_eq!(second.sid, sid);
    for claim in [r#"{"pid":1}"#, r#"{"pid":null}"#, r#"{"pid":"x","offset":1}"#, "{}"] {
        Tab::connect(&io, &format!("0{claim}"), None).await;
    }
}

/// F-NOD-21: a connection that broke without the server having noticed is ended by the one that takes its place.
#[tokio::test(start_paused = true)]
async fn a_client_may_be_back_before_it_is_missed() {
    let (builder, log) = logged();
    let io = watched(builder.connection_state_recovery(Recovery::default()));
    let tab = Tab::open(&io).await;
    io.emit("one", ()).unwrap();
    // It never got that, and its end is silent.
    let mut back = Tab::back(&io, &tab.pid, None).await;
    assert_eq!(back.sid, tab.sid);
    assert_eq!(back.take().await, [r#"["one"]"#]);
    assert!(!tab.client.is_open());
    assert_eq!(log.take(), ["TransportClose"]);
    assert_eq!(io.socket_count(), 1);
    assert!(io.socket(wirebird::Room::from(&tab.sid)).unwrap().recovered());
}

/// F-NOD-21: the connect handler may still refuse, and checks before it run unless the options say otherwise.
#[tokio::test(start_paused = true)]
async fn credentials_are_checked_again() {
    for skip in [false, true] {
        let recovery = Recovery { skip_before_connect: skip, ..Recovery::default() };
        let open = Arc::new(AtomicBool::new(true));
        let io = Server::builder().connection_state_recovery(recovery).state(open.clone()).build();
        io.before_connect(async |State(open): State<Arc<AtomicBool>>| {
            if open.load(Ordering::Relaxed) { Ok(()) } else { Err(ConnectError::new("closed")) }
        });
        let (sid, pid, _) = Tab::open(&io).await.cut().await;
        open.store(false, Ordering::Relaxed);
        let client = Client::open(&io);
        client.send(format!("0{{\"pid\":{pid:?}}}"));
        let answer = client.next().await;
        if skip {
            assert_eq!(support::sid(&answer), sid);
        } else {
            assert_eq!(answer, r#"4{"message":"closed"}"#);
            assert_eq!(io.socket_count(), 0);
        }
    }
}

/// F-NOD-21: what was emitted to a room before the client joined it is none of its business, though it never got an event.
#[tokio::test(start_paused = true)]
async fn what_came_before_a_room_was_joined_is_not_sent() {
    let io = server();
    let tab = Tab::open(&io).await;
    io.to("secret").emit("before", ()).unwrap();
    let socket = io.socket(wirebird::Room::from(&tab.sid)).unwrap();
    socket.join("secret").unwrap();
    socket.join("left").unwrap();
    io.to("secret").emit("after", ()).unwrap();
    socket.leave("left");
    let (_, pid, _) = tab.cut().await;
    io.to("left").emit("left", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, None).await;
    assert_eq!(tab.take().await, [r#"["after"]"#]);
}

/// F-SEC-01: what is recorded and kept is limited; who may have missed something is connected anew.
#[tokio::test(start_paused = true)]
async fn what_is_kept_is_limited() {
    let recovery = Recovery { max_events: 3, max_sockets: 2, ..Recovery::default() };
    let io = Server::builder().connection_state_recovery(recovery).build();
    let mut cut = Vec::new();
    for _ in 0..3 {
        cut.push(Tab::open(&io).await.cut().await);
    }
    io.emit("event", ()).unwrap();
    let mut back = Vec::new();
    for (at, (sid, pid, _)) in cut.iter().enumerate() {
        back.push(Tab::back(&io, pid, None).await);
        assert_eq!(back[at].sid == *sid, at > 0, "the oldest made room");
    }
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    (0..4).for_each(|number| io.emit("event", number).unwrap());
    assert_ne!(Tab::back(&io, &pid, None).await.sid, sid, "one event that it missed is not there any more");
    for recovery in [
        Recovery { max_disconnection_duration: Duration::ZERO, ..Recovery::default() },
        Recovery { max_events: 0, ..Recovery::default() },
    ] {
        let error = Server::builder().connection_state_recovery(recovery).try_build().unwrap_err();
        assert!(error.to_string().starts_with("connection_state_recovery"), "{error}");
    }
}

/// F-NOD-21: without the option nothing of it is seen.
#[tokio::test(start_paused = true)]
async fn without_the_option_there_is_none() {
    let io = Server::new();
    let client = Client::open(&io);
    client.send(r#"0{"pid":"x"}"#);
    assert!(!client.next().await.contains("pid"));
    io.emit("event", 1).unwrap();
    assert_eq!(client.next().await, r#"2["event",1]"#);
}
