//! What handlers see and do when a client is cut off and comes back, and what becomes of what they have kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use wirebird::engine::{Id, IdError, IdGenerator};
use wirebird::extract::State;
use wirebird::{ConnectError, Namespace, Observer, Recovery, Room, Server, Socket};

use crate::support::{Client, Latch, settle};
use crate::tab::{Tab, server};

fn socket(io: &Server, tab: &Tab) -> Socket {
    io.socket(Room::from(&tab.sid)).expect("a connected socket")
}

/// F-SES-04, F-NOD-21: what the handlers of the end put into the session is there when the client is back; the room that
/// it is taken out of is not.
#[tokio::test(start_paused = true)]
async fn what_handlers_change_at_the_end_is_restored() {
    for back_early in [false, true] {
        let latch = Latch::default();
        let builder = Server::builder().state(latch.clone());
        let io = builder.connection_state_recovery(Recovery::default()).build();
        io.on_disconnecting(async |socket: Socket, State(latch): State<Latch>| {
            latch.wait().await;
            socket.leave("game");
            socket.join("bench").unwrap();
        });
        io.on_disconnect(async |socket: Socket, State(latch): State<Latch>| {
            latch.wait().await;
            socket.session().insert("at the end");
            socket.set_data("data").unwrap();
        });
        let tab = Tab::open(&io).await;
        socket(&io, &tab).join("game").unwrap();
        socket(&io, &tab).session().insert("at first");
        let (sid, pid, _) = tab.cut().await;
        if !back_early {
            latch.open(2);
            settle().await;
        }
        let back = tokio::spawn({
            let io = io.clone();
            async move { Tab::back(&io, &pid, None).await }
        });
        settle().await;
        latch.open(2);
        let tab = back.await.unwrap();
        assert_eq!(tab.sid, sid);
        let socket = socket(&io, &tab);
        assert_eq!(socket.session().get::<&str>(), Some("at the end"));
        assert_eq!(socket.data::<String>().unwrap(), "data");
        assert!(socket.in_room("bench") && !socket.in_room("game"));
    }
}

/// F-SEC-01: what was kept for a client that does not come back is dropped: after its time, when the server closes.
#[tokio::test(start_paused = true)]
async fn what_is_kept_is_dropped_in_the_end() {
    for closes in [false, true] {
        let io = server();
        let value = Arc::new(());
        let tab = Tab::open(&io).await;
        socket(&io, &tab).session().insert(value.clone());
        tab.cut().await;
        assert_eq!(Arc::strong_count(&value), 2);
        if closes {
            io.close().await;
        } else {
            tokio::time::sleep(Duration::from_secs(125)).await;
        }
        settle().await;
        assert_eq!(Arc::strong_count(&value), 1, "closes: {closes}");
    }
}

/// F-NOD-21: whom the connect handler refuses is not put back.
#[tokio::test(start_paused = true)]
async fn who_is_refused_is_connected_anew() {
    let io = server();
    io.on_connect(
        async |socket: Socket| {
            if socket.recovered() { Err(ConnectError::new("no")) } else { Ok(()) }
        },
    );
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    let client = Client::open(&io);
    client.send(format!("0{{\"pid\":{pid:?}}}"));
    assert_eq!(client.next().await, r#"4{"message":"no"}"#);
    let tab = Tab::back(&io, &pid, None).await;
    assert_ne!(tab.sid, sid);
    assert_eq!(io.socket_count(), 1);
}

/// F-PRO-20, F-NOD-21: private ids are random, whatever the application makes its ids of.
#[tokio::test(start_paused = true)]
async fn private_ids_do_not_come_from_the_application() {
    #[derive(Default)]
    struct Counted(AtomicU32);

    impl IdGenerator for Counted {
        fn generate(&self) -> Result<Id, IdError> {
            Ok(Id::new(&format!("id-{}", self.0.fetch_add(1, Ordering::Relaxed))).unwrap())
        }
    }

    let builder = Server::builder().ids(Counted::default());
    let io = builder.connection_state_recovery(Recovery::default()).build();
    let (one, other) = (Tab::open(&io).await, Tab::open(&io).await);
    assert!(one.sid.starts_with("id-") && !one.pid.contains("id-"));
    assert!(one.pid != other.pid && one.pid.len() > 40);
}

/// F-NOD-21: observers are told of every room that is joined, and of every one that is left.
#[tokio::test(start_paused = true)]
async fn observers_are_told_of_rooms() {
    #[derive(Clone, Default)]
    struct Counts(Arc<[AtomicI64; 2]>);

    impl Observer for Counts {
        fn joined(&self, _: &Socket, _: &Room) {
            self.0[0].fetch_add(1, Ordering::Relaxed);
        }

        fn left(&self, _: &Socket, _: &Room) {
            self.0[0].fetch_sub(1, Ordering::Relaxed);
        }

        fn room_created(&self, _: &Namespace, _: &Room) {
            self.0[1].fetch_add(1, Ordering::Relaxed);
        }

        fn room_deleted(&self, _: &Namespace, _: &Room) {
            self.0[1].fetch_sub(1, Ordering::Relaxed);
        }
    }

    let counts = Counts::default();
    let builder = Server::builder().observer(counts.clone());
    let io = builder.connection_state_recovery(Recovery::default()).build();
    let all = || counts.0.each_ref().map(|count| count.load(Ordering::Relaxed));
    let tab = Tab::open(&io).await;
    socket(&io, &tab).join("one").unwrap();
    socket(&io, &tab).join("two").unwrap();
    assert_eq!(all(), [2, 2]);
    let (_, pid, _) = tab.cut().await;
    assert_eq!(all(), [0, 0]);
    let tab = Tab::back(&io, &pid, None).await;
    assert_eq!(all(), [2, 2]);
    socket(&io, &tab).leave("one");
    tab.cut().await;
    assert_eq!(all(), [0, 0]);
}

/// F-OPT-17, F-NOD-21: with `always_connect`, what was missed comes before CONNECT as ever.
#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_first_with_always_connect() {
    let latch = Latch::default();
    let builder = Server::builder().always_connect(true).state(latch.clone());
    let io = builder.connection_state_recovery(Recovery::default()).build();
    io.on_disconnect(async |State(latch): State<Latch>| latch.wait().await);
    let (sid, pid, _) = Tab::open(&io).await.cut().await;
    io.emit("missed", 1).unwrap();
    let back = tokio::spawn({
        let io = io.clone();
        async move { Tab::back(&io, &pid, None).await }
    });
    settle().await;
    io.emit("missed", 2).unwrap();
    latch.open(1);
    let mut tab = back.await.unwrap();
    assert_eq!(tab.sid, sid);
    assert_eq!(tab.take().await, [r#"["missed",1]"#, r#"["missed",2]"#]);
    latch.open(1);
}
