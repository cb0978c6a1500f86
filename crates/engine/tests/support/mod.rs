//! A server on a real socket, and raw clients for it: HTTP/1.1 and WebSocket frames written byte by byte, so that
//! tests can break every rule.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

mod http;
mod polling;
mod server;
mod ws;

use std::future::Future;
use std::time::Duration;

pub use http::{Http, Response, request};
pub use polling::{Polling, packets};
pub use server::{App, Event, TestServer, config, inline, quiet};
pub use ws::{Frame, KEY, Ws, WsClosed, frame, text_frame};

/// How long any single thing may take. Far more than it needs: only a test that fails waits this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The result of `future`, which must come within [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Whether `future` is still pending after `time`.
pub async fn pending_for(time: Duration, future: impl Future) -> bool {
    tokio::time::timeout(time, future).await.is_err()
}
