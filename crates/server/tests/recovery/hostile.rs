//! Clients that claim what is not theirs, or not theirs any more, and clients of other kinds.

use std::time::Duration;

use serde_json::json;
use wirebird::extract::{Auth, State};
use wirebird::{Handshake, Recovery, Server, TrustedProxies, Value};

use crate::support::{self, Client, Latch, Log, logged, settle};
use crate::tab::{Tab, server};

/// F-NOD-21, F-PRO-20: two that share a private id take turns; what one was sent and has not named, the other gets.
#[tokio::test(start_paused = true)]
async fn the_last_of_two_claims_counts() {
    let io = server();
    let mut tab = Tab::open(&io).await;
    let (sid, pid) = (tab.sid.clone(), tab.pid.clone());
    for number in 0..5 {
        io.emit("event", number).unwrap();
        let mut next = Tab::back(&io, &pid, tab.offset.clone()).await;
        assert_eq!(next.sid, sid);
        assert_eq!(next.take().await, [format!("[\"event\",{number}]")]);
        assert!(!tab.client.is_open());
        assert_eq!(io.socket_count(), 1);
        tab = next;
    }
}

/// F-NOD-21: likewise while both wait for the handlers of the one that was there.
#[tokio::test(start_paused = true)]
async fn the_last_of_two_that_wait_counts() {
    let latch = Latch::default();
    let builder = Server::builder().state(latch.clone());
    let io = builder.connection_state_recovery(Recovery::default()).build();
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    let first = Client::open(&io);
    first.send(format!("0{{\"pid\":{pid:?}}}"));
    settle().await;
    let second = Client::open(&io);
    second.send(format!("0{{\"pid\":{pid:?}}}"));
    settle().await;
    assert!(!first.is_open() && second.is_open());
    latch.open(1);
    assert_eq!(support::sid(&second.next().await), sid);
    assert_eq!(io.socket_count(), 1);
    latch.open(1);
}

/// F-NOD-21: what a client has missed is displaced while it waits: it is sent away, comes once more, and is connected anew.
#[tokio::test(start_paused = true)]
async fn what_was_missed_may_be_lost_at_the_last_moment() {
    let latch = Latch::default();
    let recovery = Recovery { max_events: 3, ..Recovery::default() };
    let io = Server::builder().state(latch.clone()).connection_state_recovery(recovery).build();
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    for disconnected in [false, true] {
        let tab = Tab::open(&io).await;
        let socket = io.socket(wirebird::Room::from(&tab.sid)).unwrap();
        let (sid, pid, _) = tab.cut().await;
        let client = Client::open(&io);
        client.send(format!("0{{\"pid\":{pid:?}}}"));
        settle().await;
        (0..4).for_each(|number| io.emit("event", number).unwrap());
        drop((socket, disconnected));
        latch.open(1);
        client.closed().await;
        assert_ne!(Tab::back(&io, &pid, None).await.sid, sid);
        latch.open(1);
        settle().await;
    }
}

/// F-PRO-20: the private id of one namespace is none of another, and does no harm there.
#[tokio::test(start_paused = true)]
async fn private_ids_belong_to_namespaces() {
    let io = server();
    io.of("/other").on_connect(async || ());
    let mut tab = Tab::open(&io).await;
    let thief = Client::open(&io);
    thief.send(format!("0/other,{{\"pid\":{:?}}}", tab.pid));
    assert_ne!(support::sid(&thief.next().await), tab.sid);
    io.emit("event", ()).unwrap();
    assert!(tab.client.is_open());
    assert_eq!(tab.take().await, [r#"["event"]"#]);
}

/// F-SEC-01, F-NOD-21: offsets may be anything.
#[tokio::test(start_paused = true)]
async fn offsets_may_be_anything() {
    let io = server();
    let mut real = Tab::open(&io).await;
    io.emit("event", ()).unwrap();
    real.take().await;
    let real = real.offset.expect("an offset");
    let (tag, _) = real.split_at(real.len() - 1);
    let huge = "9".repeat(9_000);
    let future = [format!("{tag}ffff"), format!("{tag}ffffffffffffffff"), format!("{tag}{huge}")];
    let odd = ["", "\u{0}", "é", "~", ".", tag, &huge].map(str::to_owned);
    for offset in
        future.into_iter().chain(odd).map(serde_json::Value::from).chain([json!(1), json!([]), json!({})])
    {
        let (sid, pid, _) = Tab::open(&io).await.cut().await;
        let tab = Tab::connect(&io, &format!("0{}", json!({ "pid": pid, "offset": offset })), None).await;
        assert_ne!(tab.sid, sid, "{offset}");
    }
    // That of an event that was for others says nothing of those before it, and gives nobody more than is theirs.
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    io.to(&sid).emit("mine", ()).unwrap();
    let other = Tab::open(&io).await;
    io.to(&other.sid).emit("other's", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, Some(real)).await;
    let got = tab.take().await;
    assert_eq!((&tab.sid, got), (&sid, vec![r#"["mine"]"#.to_owned()]));
}

/// F-PRO-02, F-NOD-21: clients of the older protocol are never recovered, and what they say is theirs.
#[tokio::test(start_paused = true)]
async fn older_clients_are_not_recovered() {
    let (builder, log) = logged();
    let io = builder.allow_eio3(true).connection_state_recovery(Recovery::default()).build();
    io.on_connect(async |Auth(auth): Auth<Option<Value>>, State(log): State<Log>| {
        log.push(serde_json::to_string(&auth).unwrap());
    });
    let tab = Tab::open(&io).await;
    let (sid, pid, _) = tab.cut().await;
    let uri = format!("/socket.io/?EIO=3&transport=websocket&pid={pid}");
    let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
    let old = Client::with(&io, Handshake::new(&mut parts, &TrustedProxies::None));
    assert_eq!(old.next().await, "0");
    assert_eq!(log.take(), ["null", &format!("{{\"pid\":{pid:?}}}")]);
    io.emit("event", 1).unwrap();
    assert!(old.next().await.starts_with(r#"2["event",1,""#));
    old.break_off();
    settle().await;
    let mut tab = Tab::back(&io, &pid, None).await;
    let got = tab.take().await.len();
    assert_eq!((&tab.sid, got), (&sid, 1));
}

/// F-NOD-21: a server that closes says goodbye to all, and lets nobody wait.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_server_that_closes() {
    let latch = Latch::default();
    let builder = Server::builder().state(latch.clone());
    let io = builder.connection_state_recovery(Recovery::default()).build();
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    let (_, pid, _) = Tab::open(&io).await.cut().await;
    let client = Client::open(&io);
    client.send(format!("0{{\"pid\":{pid:?}}}"));
    settle().await;
    io.close_within(Duration::from_secs(1)).await;
    client.closed().await;
    assert_eq!(io.socket_count(), 0);
}
