//! Servers that go out of service while clients are away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wirebird::extract::State;
use wirebird::{DisconnectReason, Handshake, Recovery, Server, Socket};

use crate::support::{Log, logged, settle};
use crate::tab::{Tab, server};

/// A server whose sockets keep a value.
fn keeping(value: &Arc<()>) -> (Server, Log) {
    let (builder, log) = logged();
    let io = builder.connection_state_recovery(Recovery::default()).state(value.clone()).build();
    io.on_connect(async |socket: Socket, State(value): State<Arc<()>>| {
        socket.session().insert(value.clone());
    });
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"));
    });
    (io, log)
}

/// F-PRO-22, F-NOD-21: clients that are away hold up neither draining nor closing, they are let in nowhere as they were, and what was
/// kept for them is dropped.
#[tokio::test(start_paused = true)]
async fn those_who_are_away_do_not_keep_a_server_open() {
    for window in [Some(Duration::from_secs(30)), None] {
        let value = Arc::new(());
        let (io, log) = keeping(&value);
        let kept = Arc::strong_count(&value);
        let (sid, pid, offset) = Tab::open(&io).await.cut().await;
        io.emit("missed", ()).unwrap();
        assert_eq!(log.take(), ["TransportClose"]);
        assert_eq!(Arc::strong_count(&value), kept + 1, "it may come back");
        let begun = Instant::now();
        match window {
            Some(window) => io.drain(window).await,
            None => io.close().await,
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(io.connect_memory(Handshake::default(), || ()).is_none(), "it is told to go elsewhere");
        assert_eq!(Arc::strong_count(&value), kept, "nothing is left of it");
        assert!(log.take().is_empty(), "it has had its disconnect handler");

        let other = server();
        let tab = Tab::back(&other, &pid, offset).await;
        assert_ne!(tab.sid, sid);
        assert!(!other.socket(wirebird::Room::from(&tab.sid)).unwrap().recovered());
    }
}

/// F-PRO-22, F-NOD-21: clients that a server sends away do not come back to it, so nothing is kept for them.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_those_who_are_sent_away() {
    let value = Arc::new(());
    let (io, log) = keeping(&value);
    let kept = Arc::strong_count(&value);
    let (one, two) = (Tab::open(&io).await, Tab::open(&io).await);
    let done = tokio::spawn({
        let io = io.clone();
        async move { io.drain(Duration::from_secs(60)).await }
    });
    let begun = Instant::now();
    for (left, tabs) in [(1, [&one, &two]), (0, [&two, &one])] {
        // Whoever is sent away first.
        while io.socket_count() > left {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tabs.iter().for_each(|tab| drop(tab.client.take()));
            assert!(begun.elapsed() < Duration::from_secs(61));
        }
        settle().await;
        assert_eq!(Arc::strong_count(&value), kept + left);
    }
    done.await.unwrap();
    assert_eq!(log.all(), ["ServerShutdown", "ServerShutdown"]);
    let other = server();
    assert_ne!(Tab::back(&other, &one.pid, None).await.sid, one.sid);
}

/// F-PRO-22, F-NOD-21: a client that came back before the server began to drain goes on until its turn has come.
#[tokio::test(start_paused = true)]
async fn those_who_are_back_are_sent_away_in_turn() {
    let (io, log) = keeping(&Arc::default());
    let (sid, pid, offset) = Tab::open(&io).await.cut().await;
    io.emit("missed", ()).unwrap();
    let mut tab = Tab::back(&io, &pid, offset).await;
    let done = tokio::spawn({
        let io = io.clone();
        async move { io.drain(Duration::from_secs(4)).await }
    });
    settle().await;
    io.emit("meanwhile", ()).unwrap();
    assert_eq!((tab.take().await, tab.sid), (vec![r#"["missed"]"#.into(), r#"["meanwhile"]"#.into()], sid));
    tab.client.closed().await;
    done.await.unwrap();
    assert_eq!(log.all(), ["TransportClose", "ServerShutdown"]);
}
