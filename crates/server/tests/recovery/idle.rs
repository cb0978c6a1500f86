//! Clients to whom nothing happens for long, or nothing that is recorded.

use std::time::Duration;

use wirebird::{Recovery, Room, Server, Socket};

use crate::support::settle;
use crate::tab::{Tab, server};

fn small(max_events: usize) -> Server {
    let recovery = Recovery { max_events, ..Recovery::default() };
    Server::builder().connection_state_recovery(recovery).build()
}

fn socket(io: &Server, tab: &Tab) -> Socket {
    io.socket(Room::from(&tab.sid)).expect("a connected socket")
}

/// Pain 19, F-NOD-21: what others talk about in their rooms displaces what this client knows, and it has missed nothing.
#[tokio::test(start_paused = true)]
async fn the_talk_of_others_is_no_loss() {
    for before_cut in [true, false] {
        let io = small(10);
        let (mut others, mut tab) = (Tab::open(&io).await, Tab::open(&io).await);
        socket(&io, &others).join("others").unwrap();
        io.emit("both", ()).unwrap();
        assert_eq!(tab.take().await.len(), 1);
        let talk = || (0..50).for_each(|number| io.to("others").emit("talk", number).unwrap());
        if before_cut {
            talk();
        }
        let (sid, pid, offset) = tab.cut().await;
        if !before_cut {
            talk();
        }
        io.to(&sid).emit("missed", ()).unwrap();
        let mut tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid, sid);
        assert_eq!(tab.take().await, [r#"["missed"]"#]);
        assert_eq!(others.take().await.len(), 51);
    }
}

/// Pain 19, F-NOD-21: who only talks gets nothing of that back, and is as idle as those who are silent.
#[tokio::test(start_paused = true)]
async fn who_only_talks_is_idle() {
    let io = small(10);
    let (mut listener, mut talker) = (Tab::open(&io).await, Tab::open(&io).await);
    for (to_room, event) in [(false, "to all"), (true, "to a room")] {
        let socket = socket(&io, &talker);
        socket.join("room").unwrap();
        for _ in 0..50 {
            let target = if to_room { socket.to("room") } else { socket.broadcast() };
            target.emit(event, ()).unwrap();
        }
        assert!(talker.take().await.is_empty());
        let (sid, pid, offset) = talker.cut().await;
        talker = Tab::back(&io, &pid, offset).await;
        let got = talker.take().await;
        assert_eq!((&talker.sid, got), (&sid, Vec::new()));
    }
    assert_eq!(listener.take().await.len(), 50);
    // Whoever has not read what is gone is another matter.
    let (sid, pid, _) = listener.cut().await;
    assert_ne!(Tab::back(&io, &pid, None).await.sid, sid);
}

/// F-NOD-21: the last event that a client got was for a room that it has left since.
#[tokio::test(start_paused = true)]
async fn a_room_that_was_left_long_ago_does_not_matter() {
    let io = small(10);
    let mut others = Tab::open(&io).await;
    socket(&io, &others).join("room").unwrap();
    for unread in [false, true] {
        let mut tab = Tab::open(&io).await;
        let socket = socket(&io, &tab);
        socket.join("room").unwrap();
        io.to("room").emit("first", ()).unwrap();
        assert_eq!(tab.take().await.len(), 1);
        if unread {
            io.to("room").emit("second", ()).unwrap();
        }
        socket.leave("room");
        (0..50).for_each(|number| io.to("room").emit("talk", number).unwrap());
        settle().await;
        let (sid, pid, offset) = tab.cut().await;
        assert_eq!(Tab::back(&io, &pid, offset).await.sid == sid, !unread);
    }
    others.take().await;
}

/// F-NOD-04, F-NOD-21: a last argument that is text is an offset to the client. That of a volatile event is none, and so
/// one more argument follows it.
#[tokio::test(start_paused = true)]
async fn volatile_events_do_not_confuse_offsets() {
    let io = server();
    let mut tab = Tab::open(&io).await;
    for round in 0..3 {
        io.emit("recorded", round).unwrap();
        io.volatile().emit("status", "busy").unwrap();
        let recorded = format!("[\"recorded\",{round}]");
        assert_eq!(tab.take().await, [recorded.as_str(), r#"["status","busy",null]"#]);
        assert!(socket(&io, &tab).emit_volatile("tick", ()).unwrap());
        assert_eq!(tab.take().await, [r#"["tick",null]"#]);
        if round == 1 {
            // It is idle for so long that nothing it knows is recorded any more.
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                assert!(tab.take().await.is_empty());
            }
        }
        io.emit("on its way", round).unwrap();
        let (sid, pid, offset) = tab.cut().await;
        io.emit("missed", round).unwrap();
        io.volatile().emit("status", "away").unwrap();
        tab = Tab::back(&io, &pid, offset).await;
        assert_eq!(tab.sid, sid, "round {round}");
        let expected = [format!("[\"on its way\",{round}]"), format!("[\"missed\",{round}]")];
        assert_eq!(tab.take().await, expected);
    }
}

/// F-NOD-21: a client keeps its last offset when it is connected anew, and names it until it gets an event.
#[tokio::test(start_paused = true)]
async fn an_offset_from_before_it_came_is_none() {
    let io = server();
    let mut tab = Tab::open(&io).await;
    io.emit("event", ()).unwrap();
    assert_eq!(tab.take().await.len(), 1);
    let (sid, pid, offset) = tab.cut().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let tab = Tab::back(&io, &pid, offset.clone()).await;
    assert_ne!(tab.sid, sid, "too late");
    let (sid, pid, _) = tab.cut().await;
    io.emit("missed", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, offset.clone()).await;
    let got = tab.take().await;
    assert_eq!((&tab.sid, got), (&sid, vec![r#"["missed"]"#.to_owned()]));

    // The server is started anew: it begins to count at the beginning.
    let io = server();
    let tab = Tab::back(&io, &pid, offset.clone()).await;
    (0..5).for_each(|number| io.emit("missed", number).unwrap());
    let (sid, pid, _) = tab.cut().await;
    let mut tab = Tab::back(&io, &pid, offset).await;
    let got = tab.take().await.len();
    assert_eq!((&tab.sid, got), (&sid, 5));
}
