//! Options of a server.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, HeaderMap};
use wirebird_engine::http::ClientFiles;
use wirebird_engine::{
    Config, ConfigError, Cookie, Cors, Decision, Deflate, Engine, Gate, Handshake, IdGenerator, OriginCheck,
    Origins, Refusal, SendQueue, Transports, TrustedProxies,
};

use crate::adapter::{Adapter, Local};
use crate::core::Core;
use crate::dispatch::{Dispatcher, Observer};
use crate::layers::Timing;
use crate::options::{Accept, Concurrency, Options};
use crate::parser::Parser;
use crate::recovery::Recovery;
use crate::server::Server;
use crate::slow::SlowConsumer;

/// Makes a [`Server`]. Every option has a default; where Node's server has one, it is the same.
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct Builder {
    engine: Config,
    options: Options,
    state: Extensions,
    observer: Option<Arc<dyn Observer>>,
    adapter: Option<Arc<dyn Adapter>>,
    dispatcher: Option<Arc<dyn Dispatcher>>,
    parser: Option<Arc<dyn Parser>>,
}

impl Builder {
    /// The path that is answered. Default `/socket.io`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.engine.path = path.into();
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

    /// How long a close waits for what is still queued for the client. Default 30 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.engine.close_timeout = timeout;
        self
    }

    /// How long nothing may be taken of what waits for a client before the client is closed as too slow
    /// ([`DisconnectReason::SlowConsumer`](crate::DisconnectReason::SlowConsumer)), however little that is: over a WebSocket
    /// the peer reads nothing, on polling no poll comes. Also how long the answer to an HTTP request may be blocked, with
    /// [`Server::serve`] and its kin. Default 20 s; it may be a quarter more.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let io = wirebird::Server::builder().write_timeout(Duration::from_secs(10)).build();
    /// ```
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.engine.write_timeout = timeout;
        self
    }

    /// How long a client may be connected without joining a namespace. Default 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// The largest message that is accepted, in bytes, on both transports. Default 1,000,000.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
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

    /// Sets a cookie with the session's id, for balancers that keep a client on one server by it. Default none.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// The origins whose pages may connect, each as a browser sends it (`https://example.com`, with the port if it is
    /// not the scheme's own), or `"*"` for any. An empty list switches the check and its headers off, for an outer
    /// layer that does both. Default: only the server's own origin.
    pub fn cors_allowed_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        self.engine.cors.origins = if origins.is_empty() {
            Origins::Disabled
        } else if origins == ["*"] {
            Origins::Any
        } else {
            Origins::List(origins)
        };
        self
    }

    /// Whether browsers may send cookies from other origins. Default true.
    pub fn cors_credentials(mut self, allow: bool) -> Self {
        self.engine.cors.credentials = allow;
        self
    }

    /// Lets the application decide on origins: is called with the origin and the headers of each request that has one.
    /// A panic refuses.
    ///
    /// ```
    /// let io = wirebird::Server::builder()
    ///     .allow_origin(async |origin: String, _headers| origin.ends_with(".example.com"))
    ///     .build();
    /// ```
    pub fn allow_origin<F, Fut>(self, check: F) -> Self
    where
        F: Fn(String, HeaderMap) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.cors_check(move |origin: &str, headers: &HeaderMap, decision: Decision| {
            let runtime = tokio::runtime::Handle::try_current().ok();
            crate::task::start(
                runtime.as_ref(),
                tracing::Span::current(),
                || Box::pin(check(origin.to_owned(), headers.clone())),
                |result| match result {
                    Ok(true) => decision.allow(),
                    Ok(false) => decision.refuse("Not an accepted origin"),
                    Err(panic) => {
                        tracing::error!(target: "wirebird::engineio", error = %panic, "allow_origin failed");
                        decision.refuse("Not an accepted origin");
                    }
                },
            );
        })
    }

    /// As [`Builder::allow_origin`], answered by a token.
    pub fn cors_check(mut self, check: impl OriginCheck) -> Self {
        self.engine.cors.origins = Origins::Check(Arc::new(check));
        self
    }

    /// All CORS options at once.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = cors;
        self
    }

    /// Whose `X-Forwarded-*` headers are believed. Default nobody's.
    ///
    /// ```
    /// # fn main() -> Result<(), wirebird::ConfigError> {
    /// use wirebird::{Server, TrustedProxies};
    ///
    /// let proxies = TrustedProxies::networks(["127.0.0.1", "10.0.0.0/8"])?;
    /// let io = Server::builder().trusted_proxies(proxies).build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.engine.trusted_proxies = proxies;
        self
    }

    /// Where the peer's address is found in a request's extensions, if the listener does not put a
    /// [`PeerAddr`](crate::PeerAddr) there. For axum:
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    ///
    /// let io = wirebird::Server::builder()
    ///     .peer_addr(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
    ///     .build();
    /// // … and serve `router.into_make_service_with_connect_info::<SocketAddr>()`.
    /// ```
    pub fn peer_addr<F>(mut self, find: F) -> Self
    where
        F: Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static,
    {
        self.engine.peer_addr = Some(Arc::new(find));
        self
    }

    /// Decides, before anything exists for it, whether a client may open a connection. What the error says is sent to
    /// the client with status 403.
    pub fn allow_request<F, Fut>(self, check: F) -> Self
    where
        F: Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.gate(move |request: Arc<Handshake>, decision: Decision| {
            let runtime = tokio::runtime::Handle::try_current().ok();
            crate::task::start(
                runtime.as_ref(),
                tracing::Span::current(),
                || Box::pin(check(request)),
                |result| match result {
                    Ok(Ok(())) => decision.allow(),
                    Ok(Err(message)) => decision.refuse(message),
                    Err(panic) => {
                        tracing::error!(target: "wirebird::engineio", error = %panic, "allow_request failed");
                        decision.refuse("Forbidden");
                    }
                },
            );
        })
    }

    /// As [`Builder::allow_request`], answered by a token.
    pub fn gate(mut self, gate: impl Gate) -> Self {
        self.engine.gate = Some(Arc::new(gate));
        self
    }

    /// Is called for every request that is refused before a session exists for it, or that its session does not take:
    /// with the status, code and message of the answer, the cause, and the request. For logs and metrics.
    ///
    /// ```
    /// let io = wirebird::Server::builder()
    ///     .on_connection_error(|refusal| {
    ///         eprintln!("{} {}: {}", refusal.parts.method, refusal.parts.uri.path(), refusal.cause);
    ///     })
    ///     .build();
    /// ```
    pub fn on_connection_error<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Refusal<'_>) + Send + Sync + 'static,
    {
        self.options.on_connection_error = Some(Arc::new(hook));
        self
    }

    /// Adds headers to every response of the server, refusals included. They take the place of the server's own; `Vary`
    /// and `Set-Cookie` grow. Headers of the framing (`Content-Length`, `Connection`, `Content-Type` …) are the server's:
    /// those that the hook sets are dropped with a warning. Without the hook, usual requests are answered faster.
    ///
    /// ```
    /// use http::HeaderValue;
    ///
    /// let io = wirebird::Server::builder()
    ///     .headers(|headers, _request| {
    ///         headers.insert("x-served-by", HeaderValue::from_static("host-7"));
    ///     })
    ///     .build();
    /// ```
    pub fn headers<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    {
        self.engine.headers = Some(Arc::new(hook));
        self
    }

    /// As [`Builder::headers`], for the response that opens a connection alone: the place for cookies of your own.
    pub fn initial_headers<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    {
        self.engine.initial_headers = Some(Arc::new(hook));
        self
    }

    /// Serves the JavaScript client beside the endpoint, as `/socket.io/socket.io.js` and under the other names that
    /// Node's server has for it, with an `ETag`. The client is not part of this crate: give the content of one file, or
    /// all files by [`ClientFiles`]. Default none.
    ///
    /// ```no_run
    /// use wirebird::{ClientFiles, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let files = ClientFiles::from_dir("node_modules/socket.io-client/dist")?;
    /// let io = Server::builder().serve_client(files).build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve_client(mut self, files: impl Into<ClientFiles>) -> Self {
        self.engine.client = Some(Arc::new(files.into()));
        self
    }

    /// Files that are served beside the endpoint: see [`StaticFiles`](crate::StaticFiles). Needs the cargo feature
    /// `static-files`. Default none.
    #[cfg(feature = "static-files")]
    pub fn static_files(mut self, files: crate::StaticFiles) -> Self {
        self.options.static_files = Some(files);
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

    /// Makes ids of sessions and sockets.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.engine.ids = Arc::new(ids);
        self
    }

    /// Which namespaces clients may connect to, beside those that have handlers. Default `/`.
    pub fn namespaces(mut self, accept: Accept) -> Self {
        self.options.namespaces = accept;
        self
    }

    /// Whether clients are told that they are connected before the connect handler runs; a refusal then disconnects
    /// them. What is emitted to everybody meanwhile reaches them. Default false.
    pub fn always_connect(mut self, always: bool) -> Self {
        self.options.always_connect = always;
        self
    }

    /// How the events of one socket are handled. Default in order; a namespace can say otherwise for itself.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// Whether arguments of events that a handler does not take are an error, as missing ones are. A handler that takes
    /// [`Args`](crate::extract::Args), [`RawArgs`](crate::RawArgs) or [`EventContext`](crate::extract::EventContext) takes
    /// them all. One handler can be strict by itself: [`EventHandlerExt::strict`](crate::EventHandlerExt::strict). Default
    /// false.
    pub fn strict_arguments(mut self, strict: bool) -> Self {
        self.options.strict_arguments = strict;
        self
    }

    /// Whether it is measured how long the handlers of events take, for [`Metrics::handler_times`](crate::Metrics::handler_times):
    /// a [`Timing`](crate::layers::Timing) layer that is there before all others. Two looks at the clock for each event. Not for
    /// a server with a [`Dispatcher`](crate::Dispatcher) of its own. Default false.
    pub fn handler_times(mut self, measured: bool) -> Self {
        self.options.handler_times = measured.then(Arc::default);
        self
    }

    /// How long acknowledgements of clients are waited for. Default 60 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.options.ack_timeout = timeout;
        self
    }

    /// How long other servers of the cluster may take to answer
    /// [`Operator::fetch_sockets`](crate::Operator::fetch_sockets) and
    /// [`Namespace::server_side_emit_with_ack`](crate::Namespace::server_side_emit_with_ack). Default 5 s.
    pub fn cluster_timeout(mut self, timeout: Duration) -> Self {
        self.options.cluster_timeout = timeout;
        self
    }

    /// How long the disconnect handler waits for the handlers of earlier events. Default 5 s.
    pub fn disconnect_grace(mut self, grace: Duration) -> Self {
        self.options.disconnect_grace = grace;
        self
    }

    /// Binary attachments that one packet of a client may have. Default 10.
    pub fn max_attachments(mut self, attachments: usize) -> Self {
        self.options.max_attachments = attachments;
        self
    }

    /// Bytes that all attachments of one packet of a client may have. Default 10,000,000.
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.options.max_attachment_bytes = bytes;
        self
    }

    /// How long the attachments of one packet may take, while the client is read from. Default 30 s.
    pub fn attachments_timeout(mut self, timeout: Duration) -> Self {
        self.options.attachments_timeout = timeout;
        self
    }

    /// Levels of arrays and objects that a packet of a client may have, 127 at most. The array of the arguments is the first.
    /// Default 64.
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.options.max_depth = levels;
        self
    }

    /// Arguments that one event or acknowledgement of a client may have. Default 10,000: JavaScript cannot call a function
    /// with many more.
    pub fn max_arguments(mut self, arguments: usize) -> Self {
        self.options.max_arguments = arguments;
        self
    }

    /// Bytes that the name of a client's event may have. Default 1024.
    pub fn max_event_name(mut self, bytes: usize) -> Self {
        self.options.max_event_name = bytes;
        self
    }

    /// Bytes that the name of a namespace may have that only clients ask for. Default 256.
    pub fn max_namespace_name(mut self, bytes: usize) -> Self {
        self.options.max_namespace_name = bytes;
        self
    }

    /// Bytes that the name of a room may have. Default 1024.
    pub fn max_room_name(mut self, bytes: usize) -> Self {
        self.options.max_room_name = bytes;
        self
    }

    /// Frames that one WebSocket message of a client may have, empty ones included. Default 4096.
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.engine.max_fragments = frames;
        self
    }

    /// Namespaces that one client may be connected to. Default 100.
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.options.max_namespaces = namespaces;
        self
    }

    /// Namespaces of the server beyond which clients cannot make new ones, by [patterns](Server::of_pattern) or by
    /// [`Builder::namespaces`]. Default 100,000.
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.options.max_dynamic_namespaces = namespaces;
        self
    }

    /// Rooms that one socket may be in. Default 10,000.
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.options.max_rooms = rooms;
        self
    }

    /// Acknowledgements that one socket may owe. Default 10,000.
    pub fn max_pending_acks(mut self, acks: usize) -> Self {
        self.options.max_pending_acks = acks;
        self
    }

    /// Events of one client, and of all, that may wait for their handlers or for them to end; beyond that the client is
    /// not read from. Default 10,000 and 1,000,000.
    pub fn max_pending_events(mut self, of_client: usize, of_all: usize) -> Self {
        self.options.max_client.events = of_client.max(1);
        self.options.max_total.events = of_all.max(1);
        self
    }

    /// As [`Builder::max_pending_events`], in bytes. Default 16 MiB and 1 GiB.
    pub fn max_pending_bytes(mut self, of_client: usize, of_all: usize) -> Self {
        self.options.max_client.bytes = of_client.max(1);
        self.options.max_total.bytes = of_all.max(1);
        self
    }

    /// Bytes of broadcasts that may wait to be delivered; beyond that, clients that send events are not read from. What your
    /// own tasks emit is theirs to limit. Default 64 MiB.
    pub fn max_waiting_broadcasts(mut self, bytes: usize) -> Self {
        self.options.max_waiting_broadcasts = bytes;
        self
    }

    /// Questions to other servers of the cluster that may be open at once. Default 100,000.
    pub fn max_questions(mut self, questions: usize) -> Self {
        self.options.max_questions = questions;
        self
    }

    /// The largest `auth` payload that a client may connect with, in bytes. Default 64 KiB.
    pub fn max_auth(mut self, bytes: usize) -> Self {
        self.options.max_auth = bytes;
        self
    }

    /// Lets clients that were cut off come back for a while as the same sockets: with their ids, rooms and values of
    /// their sessions, and with the events that they missed, in order. The guide lists the cases that are not right yet. Default
    /// off.
    ///
    /// The official clients from 4.6 on take part by themselves; others are connected anew as ever. Disconnect handlers run
    /// when a client is cut off, and connect handlers when it is back: [`Socket::recovered`](crate::Socket::recovered)
    /// tells that. Events get one more argument, their offset, as the protocol says. Volatile events and those that ask for
    /// an acknowledgement are not sent again. A client comes back to the server that it was connected to, as long as that
    /// neither [drains](crate::Server::drain) nor closes.
    ///
    /// # Errors
    /// A duration or a limit of zero.
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.options.recovery = Some(recovery);
        self
    }

    /// Connections that may exist at once. Default as many as come.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.engine.max_sessions = Some(sessions);
        self
    }

    /// The largest head of a request, in bytes. That of the one that opens a connection is kept as long as the connection.
    /// Default 16 KiB; what [`Server::serve`] serves may have 8 KiB in any case.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.engine.max_head = bytes;
        self
    }

    /// Headers that a request may have. Default 100.
    pub fn max_headers(mut self, headers: usize) -> Self {
        self.engine.max_headers = headers;
        self
    }

    /// The longest target of a request to the server, path and query together, in bytes. Default 8 KiB.
    pub fn max_url(mut self, bytes: usize) -> Self {
        self.engine.max_url = bytes;
        self
    }

    /// How long the head of a request may take, from the connection's beginning or from its first byte on, where the server
    /// listens by itself ([`Server::serve`] and its kin). Default 30 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.engine.header_timeout = timeout;
        self
    }

    /// How long the beginning of TLS may take, with [`Server::serve_tls`]. Default 10 s.
    pub fn tls_timeout(mut self, timeout: Duration) -> Self {
        self.engine.tls_timeout = timeout;
        self
    }

    /// How long the body of a client's POST may take. Default 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.engine.body_timeout = timeout;
        self
    }

    /// How long a connection of HTTP may be idle between two requests, where the server listens by itself. Default 75 s:
    /// longer than proxies keep theirs.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.engine.keep_alive_timeout = timeout;
        self
    }

    /// TCP connections that there may be at once, where the server listens by itself: others are closed at once. Default as
    /// many as come.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.engine.max_connections = Some(connections);
        self
    }

    /// Clients that may be connected from one address at once: others are refused with 429. Where the server listens by
    /// itself it is the limit of TCP connections of that address, too, of which a client on polling has up to three; the
    /// addresses of [trusted proxies](Builder::trusted_proxies) have none. Of IPv6, the addresses of one network of 64 bits
    /// count as one. Default as many as come.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.engine.max_connections_per_address = Some(connections);
        self
    }

    /// Clients that may connect in a second, all together: others are refused with 429, and come back by themselves. It keeps
    /// what your connect handlers ask (a database, a service for logins) from being asked by all at once. Default as many as
    /// come.
    pub fn handshake_rate(mut self, per_second: u32) -> Self {
        self.engine.handshake_rate = Some(per_second);
        self
    }

    /// The runtime that drives timers and runs handlers that wait. Default: that of the first request; a server whose
    /// clients are all [in memory](Server::connect_memory) needs none.
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.engine.runtime = Some(runtime);
        self
    }

    /// Into how many parts sockets are divided for the delivery of broadcasts. Default: as many as there are cores.
    pub fn shards(mut self, shards: usize) -> Self {
        self.options.shards = shards.max(1);
        self
    }

    /// Keeps a value that handlers get with [`State`](crate::extract::State), one of each type.
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.state.insert(state);
        self
    }

    /// Watches what happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Connects the server with others.
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self
    }

    /// How packets are written on the wire. Clients have to use the same parser. Default JSON.
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Hands everything to a dispatcher instead of handlers.
    pub fn dispatcher(mut self, dispatcher: Arc<dyn Dispatcher>) -> Self {
        self.dispatcher = Some(dispatcher);
        self
    }

    /// The server. Nothing runs before its first client.
    ///
    /// # Panics
    /// When an option has a value that cannot work; [`Builder::try_build`] returns the error instead.
    pub fn build(self) -> Server {
        match self.try_build() {
            Ok(server) => server,
            Err(error) => panic!("invalid options for a Socket.IO server: {error}"),
        }
    }

    /// The server. Nothing runs before its first client.
    ///
    /// # Errors
    /// When an option has a value that cannot work.
    pub fn try_build(mut self) -> Result<Server, ConfigError> {
        self.options.validate()?;
        let core = Core::new(self.options, self.state, self.observer, self.dispatcher, self.parser);
        let engine = Engine::new(self.engine, core.clone())?;
        core.set_engine(engine.downgrade());
        if let Some(recorder) = core.options.handler_times.clone() {
            core.defaults.add_layer(Timing::new(move |_, took| recorder.record(took)));
        }
        if let Some(adapter) = self.adapter {
            adapter.attach(Local::new(&core));
            let _ = core.adapter.set(adapter);
        }
        Ok(Server::new_with(core, engine))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("engine", &self.engine).finish_non_exhaustive()
    }
}
