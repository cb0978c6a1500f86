//! Other servers of a cluster, and clients that were cut off.

use std::time::Duration;

use wirebird::{Adapter, Limit, Operation, Recovery, Server};

use crate::support::{Client, settle};
use crate::{reached, server};

/// A server that is there and says nothing.
struct Silent;

impl Adapter for Silent {
    fn attach(&self, _: wirebird::Local) {}

    fn publish(&self, _: Operation) {}

    fn others(&self) -> Option<usize> {
        Some(1)
    }
}

/// F-NOD-10
#[tokio::test(start_paused = true)]
async fn cluster_time() {
    let io = server(Server::builder().adapter(Silent).cluster_timeout(Duration::from_secs(2)));
    assert_eq!(io.fetch_sockets().await.unwrap_err().answered, 0);
    reached(&io, Limit::ClusterTime, 1).await;
}

/// F-SEC-01
#[tokio::test(start_paused = true)]
async fn questions() {
    let io = server(Server::builder().adapter(Silent).max_questions(2));
    let ask = || {
        let io = io.clone();
        tokio::spawn(async move { io.fetch_sockets().await.is_err() })
    };
    let (_first, _second) = (ask(), ask());
    settle().await;
    assert!(ask().await.unwrap());
    reached(&io, Limit::Questions, 1).await;
}

/// F-PRO-18, F-SEC-01: what is recorded beyond the limit is not there for those who come back.
#[tokio::test(start_paused = true)]
async fn recovery_events() {
    let recovery = Recovery { max_events: 2, ..Recovery::default() };
    let io = server(Server::builder().connection_state_recovery(recovery));
    let client = Client::open(&io);
    client.join("/").await;
    for _ in 0..5 {
        io.emit("news", ()).unwrap();
    }
    reached(&io, Limit::RecoveryEvents, 3).await;
}

/// F-PRO-18, F-SEC-01: of those who were cut off, the one that was so first is forgotten.
#[tokio::test(start_paused = true)]
async fn recovery_sockets() {
    let recovery = Recovery { max_sockets: 2, ..Recovery::default() };
    let io = server(Server::builder().connection_state_recovery(recovery));
    for _ in 0..3 {
        let client = Client::open(&io);
        client.join("/").await;
        client.break_off();
        settle().await;
    }
    reached(&io, Limit::RecoverySockets, 1).await;
}
