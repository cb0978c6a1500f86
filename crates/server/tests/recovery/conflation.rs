//! Events that replace each other, and clients that were cut off meanwhile.

use std::time::Duration;

use wirebird::{Recovery, SendQueue, Server};

use crate::support::Dice;
use crate::tab::{Tab, server};

/// F-NOD-21, F-PRO-12: of what was missed, the newest with each key is sent, in its place among the others.
#[tokio::test(start_paused = true)]
async fn the_newest_of_what_was_missed_is_sent() {
    let io = server();
    let tab = Tab::open(&io).await;
    io.socket(wirebird::Room::from(&tab.sid)).unwrap().join("room").unwrap();
    let (_, pid, offset) = tab.cut().await;
    io.conflate("a").emit("a", 1).unwrap();
    io.emit("kept", 2).unwrap();
    io.conflate("b").emit("b", 3).unwrap();
    io.to("room").conflate("a").emit("a", 4).unwrap();
    io.emit("kept", 5).unwrap();
    io.of("/other").conflate("a").emit("other", 6).unwrap();
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert_eq!(tab.take().await, [r#"["kept",2]"#, r#"["b",3]"#, r#"["a",4]"#, r#"["kept",5]"#]);
    // What it has got is not sent again, and what it has got is no reason to leave out a newer one.
    let (_, pid, offset) = tab.cut().await;
    io.conflate("a").emit("a", 7).unwrap();
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert_eq!(tab.take().await, [r#"["a",7]"#]);
}

/// F-NOD-21, F-PRO-12: a client may miss more of them than it could be sent.
#[tokio::test(start_paused = true)]
async fn any_number_of_them_may_be_missed() {
    let mut queue = SendQueue::default();
    queue.max_packets = 200;
    let io = Server::builder().send_queue(queue).connection_state_recovery(Recovery::default()).build();
    let (sid, pid, offset) = Tab::open(&io).await.cut().await;
    for price in 0..350 {
        io.conflate("price").emit("price", price).unwrap();
    }
    let mut tab = Tab::back(&io, &pid, offset).await;
    assert_eq!((tab.sid.clone(), tab.take().await), (sid, vec![r#"["price",349]"#.to_owned()]));
    let (sid, pid, offset) = tab.cut().await;
    for price in 0..500 {
        io.conflate("price").emit("price", price).unwrap();
    }
    assert_ne!(Tab::back(&io, &pid, offset).await.sid, sid, "they are not looked at without end");
}

/// Pain 19, F-PRO-12: clients that read slowly and are cut off at random get all that nothing has replaced, once and in order,
/// and the last value of each key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_missing_was_replaced_whenever_connections_break() {
    const EVENTS: usize = 6_000;
    const KEYS: [&str; 3] = ["a", "b", "c"];
    let mut queue = SendQueue::default();
    queue.max_packets = 1 << 20;
    let io = Server::builder().send_queue(queue).connection_state_recovery(Recovery::default()).build();
    let mut tabs = Vec::new();
    for _ in 0..6 {
        tabs.push(Tab::open(&io).await);
    }
    let key_of = |number: usize| (!number.is_multiple_of(4) && number != EVENTS).then(|| KEYS[number % 3]);
    let emitter = std::thread::spawn({
        let io = io.clone();
        move || {
            for number in 0..=EVENTS {
                let to = key_of(number).map_or_else(|| io.all(), |key| io.conflate(key));
                to.emit("event", number).unwrap();
                if number % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    });
    let clients: Vec<_> = tabs
        .into_iter()
        .enumerate()
        .map(|(seed, mut tab)| {
            let io = io.clone();
            tokio::spawn(async move {
                let mut dice = Dice(seed as u64 * 7919 + 17);
                let (sid, mut got) = (tab.sid.clone(), Vec::new());
                loop {
                    for packet in tab.client.take() {
                        tab.event(&packet);
                    }
                    for event in tab.got.drain(..) {
                        let (_, number): (String, usize) = serde_json::from_str(&event).unwrap();
                        got.push(number);
                    }
                    if got.last() == Some(&EVENTS) {
                        return got;
                    }
                    if dice.below(10) == 0 {
                        if dice.below(2) == 0 {
                            tab.client.break_off();
                        }
                        let old = tab;
                        tab = Tab::back(&io, &old.pid, old.offset.clone()).await;
                        assert_eq!(tab.sid, sid, "recovered after {} events", got.len());
                    }
                    tokio::time::sleep(Duration::from_micros(dice.below(3_000))).await;
                }
            })
        })
        .collect();
    for client in clients {
        let done = tokio::time::timeout(Duration::from_secs(60), client).await;
        let got = done.expect("all events in time").unwrap();
        assert!(got.is_sorted_by(|one, other| one < other), "{got:?}");
        let mut rest = got.iter().copied().peekable();
        let last = |key| (0..EVENTS).rfind(|number| key_of(*number) == Some(key));
        for number in 0..=EVENTS {
            let is_got = rest.next_if_eq(&number).is_some();
            let replaceable = key_of(number).is_some_and(|key| last(key) != Some(number));
            assert!(is_got || replaceable, "{number} is missing");
        }
    }
    assert!(io.metrics().conflated_messages() > 0);
    tokio::task::spawn_blocking(|| emitter.join().unwrap()).await.unwrap();
}
