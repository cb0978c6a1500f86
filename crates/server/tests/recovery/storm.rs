//! Connections that break at random while there is a lot going on.

use std::time::Duration;

use wirebird::extract::Data;
use wirebird::{DisconnectReason, Recovery, SendQueue, Server, Socket};

use crate::support::Dice;
use crate::tab::Tab;

/// A server whose clients may lag behind as far as they like.
fn patient() -> Server {
    let mut queue = SendQueue::default();
    queue.max_packets = 1 << 20;
    Server::builder().send_queue(queue).connection_state_recovery(Recovery::default()).build()
}

/// Pain 19, F-PRO-11: connections that are cut at random, by either side, while many threads emit to all, to rooms and to
/// single sockets: each client gets each event once, and those of one thread in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_whenever_connections_break() {
    const EVENTS: u32 = 3_000;
    let io = patient();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io.on_disconnect(async |_: DisconnectReason| ());
    let emitters: Vec<_> = (0..3_u32)
        .map(|thread| {
            let io = io.clone();
            std::thread::spawn(move || {
                // The clients have to be there first.
                while io.to("room").count() < 4 {
                    std::thread::yield_now();
                }
                for number in 0..EVENTS {
                    match number % 2 {
                        0 => io.emit("event", (thread, number)).unwrap(),
                        _ => io.to(["room", "other"]).emit("event", (thread, number)).unwrap(),
                    }
                    if number % 50 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            })
        })
        .collect();
    let clients: Vec<_> = (0..4_u64)
        .map(|seed| {
            let io = io.clone();
            tokio::spawn(async move {
                let mut dice = Dice(seed * 7919 + 17);
                let mut tab = Tab::open(&io).await;
                let sid = tab.sid.clone();
                tab.client.send(r#"2["join","room"]"#);
                let (mut got, mut cuts) = (Vec::new(), 0);
                while got.len() < 3 * EVENTS as usize {
                    for packet in tab.client.take() {
                        tab.event(&packet);
                    }
                    got.append(&mut tab.got);
                    if dice.below(20) == 0 && cuts < 100 {
                        cuts += 1;
                        let (pid, offset) = (tab.pid.clone(), tab.offset.clone());
                        // What has come by now is lost to a client that has not read it.
                        if dice.below(2) == 0 {
                            tab.client.break_off();
                        }
                        let old = tab;
                        tab = Tab::back(&io, &pid, offset).await;
                        got.append(&mut tab.got);
                        drop(old);
                        assert_eq!(tab.sid, sid, "recovered after {} events", got.len());
                    }
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                got
            })
        })
        .collect();
    for client in clients {
        let got =
            tokio::time::timeout(Duration::from_secs(60), client).await.expect("all events in time").unwrap();
        let mut next = [0_u32; 3];
        for event in got {
            let (_, thread, number): (String, usize, u32) = serde_json::from_str(&event).unwrap();
            assert_eq!(number, next[thread], "of thread {thread}");
            next[thread] += 1;
        }
        assert_eq!(next, [EVENTS; 3]);
    }
    tokio::task::spawn_blocking(|| emitters.into_iter().for_each(|thread| thread.join().unwrap()))
        .await
        .unwrap();
}

/// Pain 19, F-PRO-11: as above, while sockets are taken in and out of rooms: each client gets what was for it, and
/// nothing else, once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_whatever_rooms_change() {
    const CLIENTS: usize = 8;
    const EVENTS: usize = 4_000;
    const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
    let io = patient();
    let mut tabs = Vec::new();
    for _ in 0..CLIENTS {
        tabs.push(Tab::open(&io).await);
    }
    let sids: Vec<_> = tabs.iter().map(|tab| tab.sid.clone()).collect();

    // One thread emits and changes rooms, so that it knows who is to get what.
    let emitter = std::thread::spawn({
        let (io, sids) = (io.clone(), sids.clone());
        move || {
            let mut dice = Dice(4711);
            let mut pick = |count: usize| dice.below(count as u64) as usize;
            let mut rooms: Vec<Vec<&str>> = sids.iter().map(|sid| vec![sid.as_str()]).collect();
            let mut expected = vec![Vec::new(); CLIENTS];
            let mut number = 0;
            while number < EVENTS {
                let (client, room) = (pick(CLIENTS), ROOMS[pick(ROOMS.len())]);
                let sid = sids[client].as_str();
                if pick(4) == 0 {
                    let Some(socket) = io.socket(sid) else { continue };
                    let member = rooms[client].iter().position(|other| *other == room);
                    match member {
                        Some(at) if socket.leave(room) => drop(rooms[client].swap_remove(at)),
                        None if socket.join(room).is_ok() => rooms[client].push(room),
                        _ => {}
                    }
                    continue;
                }
                let (to, except) = match pick(6) {
                    0 => (None, None),
                    1 => (None, Some(sid)),
                    2 => (Some(sid), None),
                    3 => (Some(room), Some(sid)),
                    4 => (Some(room), Some(ROOMS[pick(ROOMS.len())])),
                    _ => (Some(room), None),
                };
                let mut target = io.all();
                if let Some(to) = to {
                    target = target.to(to);
                }
                if let Some(except) = except {
                    target = target.except(except);
                }
                target.emit("event", number).unwrap();
                for (client, expected) in expected.iter_mut().enumerate() {
                    let is_in = |room: &str| rooms[client].contains(&room);
                    if to.is_none_or(is_in) && !except.is_some_and(is_in) {
                        expected.push(number);
                    }
                }
                number += 1;
                if number % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            io.emit("event", EVENTS).unwrap();
            expected.iter_mut().for_each(|expected| expected.push(EVENTS));
            expected
        }
    });

    let clients: Vec<_> = tabs
        .into_iter()
        .enumerate()
        .map(|(seed, mut tab)| {
            let io = io.clone();
            tokio::spawn(async move {
                let mut dice = Dice(seed as u64 * 7919 + 17);
                let (sid, mut got, mut cuts) = (tab.sid.clone(), Vec::new(), 0);
                loop {
                    // It may read a part of what has come.
                    for packet in tab.client.take() {
                        tab.event(&packet);
                    }
                    for event in tab.got.drain(..) {
                        let (_, number): (String, usize) = serde_json::from_str(&event).unwrap();
                        got.push(number);
                    }
                    if got.last() == Some(&EVENTS) {
                        return (got, cuts);
                    }
                    if dice.below(10) == 0 {
                        cuts += 1;
                        if dice.below(2) == 0 {
                            tab.client.break_off();
                        }
                        if dice.below(2) == 0 {
                            tokio::time::sleep(Duration::from_millis(dice.below(5))).await;
                        }
                        let old = tab;
                        tab = Tab::back(&io, &old.pid, old.offset.clone()).await;
                        assert_eq!(tab.sid, sid, "recovered after {} events", got.len());
                    }
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        let done = tokio::time::timeout(Duration::from_secs(60), client).await;
        all.push(done.expect("all events in time").unwrap());
    }
    let expected = tokio::task::spawn_blocking(|| emitter.join().unwrap()).await.unwrap();
    assert!(all.iter().map(|(_, cuts)| cuts).sum::<u32>() > 50);
    for (client, (got, cuts)) in all.into_iter().enumerate() {
        assert_eq!(got, expected[client], "client {client} after {cuts} cuts");
    }
}
