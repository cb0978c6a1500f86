//! Options of transports and of the life of connections.

use std::sync::Arc;
use std::time::Duration;

use wirebird_engine::{Deflate, SendQueue, Transports};

use super::Builder;
use crate::slow::SlowConsumer;

/// Transports, and the life of connections.
impl Builder {
    /// The path that is answered. Default `/socket.io`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.engine.path = path.into();
        self
    }

    /// Which transports are offered. Default both.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.engine.transports = transports;
        self
    }

    /// Whether clients may move from polling to WebSocket. Default true.
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.engine.allow_upgrades = allow;
        self
    }

    /// Time between a client's pong and the next ping. Default 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// How much later than that clients may see a ping before they miss it, for slow networks: it is added to the
    /// interval that they are told. Default none.
    pub fn ping_grace(mut self, grace: Duration) -> Self {
        self.engine.ping_grace = grace;
        self
    }

    /// How long a pong may take. Default 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// How long a client may take to finish the move from polling to WebSocket. Default 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// How long a client may be connected without joining a namespace. Default 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long a close waits for what is still queued for the client. Default 30 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.engine.close_timeout = timeout;
        self
    }

    /// How long nothing may be taken of what waits for a client before the client is closed as too slow
    /// ([`DisconnectReason::SlowConsumer`](crate::DisconnectReason::SlowConsumer)), however little that is: over a
    /// WebSocket the peer reads nothing, on polling no poll comes. Also how long the answer to an HTTP request may be
    /// blocked, with
    /// [`Server::serve`](crate::Server::serve) and its kin. Default 30 s; it may be a quarter more.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let io = wirebird::Server::builder().write_timeout(Duration::from_secs(10)).build();
    /// ```
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.engine.write_timeout = timeout;
        self
    }

    /// What may be queued for one client, and what happens to clients that read too slowly. Default 8192 packets and
    /// 16 MiB, and such a client is closed.
    pub fn send_queue(mut self, limits: SendQueue) -> Self {
        self.engine.send_queue = limits;
        self
    }

    /// Is called when a client reads too slowly: when messages for it begin to be dropped or refused, and when it is closed
    /// for it, by its full queue or by the [`write_timeout`](Self::write_timeout). Its disconnect handlers run after that.
    /// Called without locks, and not by whoever sends; it must not block.
    ///
    /// ```
    /// let io = wirebird::Server::builder()
    ///     .on_slow_consumer(|slow| {
    ///         for socket in slow.sockets() {
    ///             eprintln!("{} is slow ({:?}): {} bytes wait", socket.id(), slow.slowness, slow.bytes);
    ///         }
    ///     })
    ///     .build();
    /// ```
    pub fn on_slow_consumer<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SlowConsumer<'_>) + Send + Sync + 'static,
    {
        self.options.on_slow_consumer = Some(Arc::new(hook));
        self
    }

    /// Whether older clients are let in, which speak Engine.IO 3 and Socket.IO protocol 4: JavaScript clients 1.x and
    /// 2.x, and others of their time. Default false.
    ///
    /// They are handled by the same handlers as all others. What they cannot say as `auth` they say in the query, and
    /// there handlers find it as [`Auth`](crate::extract::Auth), as an object of strings. What such a client calls its
    /// `socket.id` is the id of its Engine.IO session, a secret that [`Socket::id`](crate::Socket::id) never is: to name
    /// a client to others, tell it its id in an event.
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.engine.allow_eio3 = allow;
        self
    }

    /// Whether clients may poll by script tags (JSONP): pages in browsers without cross-origin requests, with JavaScript
    /// clients up to 4.2. Default false.
    ///
    /// A script tag is not subject to [`cors_allowed_origins`](Self::cors_allowed_origins): browsers send cookies with it
    /// and tell no origin. With this option, the page of any site can open a connection in the name of its visitor and
    /// read what comes. Use it only where clients are told apart by something that other sites do not know.
    pub fn jsonp(mut self, allow: bool) -> Self {
        self.engine.jsonp = allow;
        self
    }

    /// Whether polling replies of 1024 bytes and more are compressed. Default true.
    pub fn http_compression(mut self, compress: bool) -> Self {
        self.engine.http_compression = compress;
        self
    }

    /// The smallest polling reply that is compressed, in bytes. Default 1024.
    pub fn compression_threshold(mut self, bytes: usize) -> Self {
        self.engine.compression_threshold = bytes;
        self
    }

    /// Compresses WebSocket messages for clients that offer it (permessage-deflate). Default not.
    ///
    /// ```
    /// # use wirebird::{Deflate, Server};
    /// let io = Server::builder().per_message_deflate(Deflate::default().threshold(2048)).build();
    /// ```
    ///
    /// A broadcast is compressed once for all who receive it. Single events go out plain with
    /// [`Operator::compress`](crate::Operator::compress).
    pub fn per_message_deflate(mut self, deflate: Deflate) -> Self {
        self.engine.per_message_deflate = Some(deflate);
        self
    }
}
