//! Telling the application of clients that read too slowly.

use std::sync::Arc;

use wirebird_engine::{Session, Slowness};

use crate::core::Core;
use crate::socket::Socket;

/// Is told of clients that read too slowly.
pub(crate) type OnSlowConsumer = dyn Fn(&SlowConsumer<'_>) + Send + Sync;

/// A client that reads too slowly, and what becomes of it: see
/// [`Builder::on_slow_consumer`](crate::Builder::on_slow_consumer).
#[derive(Debug)]
#[non_exhaustive]
pub struct SlowConsumer<'a> {
    /// Its connection.
    pub session: &'a Arc<Session>,
    /// What becomes of it.
    pub slowness: Slowness,
    /// Packets that wait for it, or that waited when it was closed.
    pub packets: usize,
    /// Bytes of those.
    pub bytes: usize,
}

impl SlowConsumer<'_> {
    /// Its sockets, in all namespaces. They are there also when the client is being closed: their disconnect handlers run
    /// afterwards.
    pub fn sockets(&self) -> Vec<Socket> {
        Core::sockets_in(self.session)
    }
}
