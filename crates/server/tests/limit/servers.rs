//! Other servers of a cluster, and clients that were cut off.

use std::time::Duration;

use wirebird::{Adapter, Limit, Operation, Server};

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
    crate::support::settle().await;
    assert!(ask().await.unwrap());
    reached(&io, Limit::Questions, 1).await;
}
