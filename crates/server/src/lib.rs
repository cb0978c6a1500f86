//! A Socket.IO server for axum, tower and hyper, or for no framework at all.
//!
//! ```no_run
//! use wirebird::{Server, Socket, extract::Data};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Server::new();
//!     io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
//!     io.on("chat", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!         socket.to(room).emit("chat", (socket.id(), text))
//!     });
//!     io.serve("127.0.0.1:5000").await
//! }
//! ```
//!
//! With a framework, the server is a layer. An application on axum, with credentials, rooms, acknowledgements and errors:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use serde::Deserialize;
//! use wirebird::extract::{Auth, Data, EventContext, Session};
//! use wirebird::{ConnectError, Error, Server, Socket};
//!
//! #[derive(Deserialize)]
//! struct Login {
//!     token: String,
//! }
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! async fn verify(token: &str) -> Result<User, std::io::Error> {
//!     Ok(User(token.to_owned()))
//! }
//!
//! async fn connect(socket: Socket, Auth(login): Auth<Login>) -> Result<(), ConnectError> {
//!     let user = verify(&login.token).await.map_err(|_| ConnectError::new("unauthorized!"))?;
//!     socket.session().insert(user);
//!     Ok(())
//! }
//!
//! async fn chat(
//!     socket: Socket,
//!     Session(User(name)): Session<User>,
//!     Data((room, text)): Data<(String, String)>,
//! ) -> Result<&'static str, Error> {
//!     socket.to(&room).emit("chat", (name, text))?; // two arguments for the client's handler
//!     Ok("delivered") // the client's acknowledgement
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Server::builder().cors_allowed_origins("https://example.com").build();
//!     io.on_connect(connect);
//!     io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
//!     io.on("chat", chat);
//!     io.of("/news").on_connect(async |socket: Socket| socket.emit("hello", "reader"));
//!     io.on_error(async |error: Error, event: EventContext| {
//!         eprintln!("{} failed: {error}", event.event()); // every `?` ends here
//!     });
//!
//!     let app = Router::new().route("/", get(async || "hello")).layer(io.layer());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:5000").await?;
//!     tokio::spawn(io.shutdown_on_signal()); // Ctrl-C and SIGTERM close the server, which ends `serve_app`
//!     io.serve_app(listener, app).await
//! }
//! ```
//!
//! From anywhere else, also a plain thread: `io.to("room").emit("news", &item)`.
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | set options | [`Server::builder`], [`Builder`] |
//! | handle connections, events, disconnections, errors | [`Namespace::on_connect`], [`on`](Namespace::on), [`on_disconnecting`](Namespace::on_disconnecting), [`on_disconnect`](Namespace::on_disconnect), [`on_error`](Server::on_error) |
//! | handle a namespace with one value that keeps its state | [`namespace`](macro@namespace), [`Server::register`] |
//! | have a namespace for each chat, tenant, document | [`Server::of_pattern`], [`Server::of_matching`], [`extract::Path`] |
//! | know what a handler can take and return | [`extract`], [`EventHandler`] |
//! | put something around event handlers: checks, rate limits, timing | [`EventLayer`], [`layers`] |
//! | see every event that comes in or is emitted | [`Namespace::on_any`], [`Namespace::on_any_outgoing`], [`Observer`] |
//! | check a client before it is connected, refuse it | [`Namespace::before_connect`], [`ConnectError`] |
//! | emit to one client, to rooms, to all | [`Socket::emit`], [`Socket::to`], [`Namespace::to`], [`Operator`] |
//! | ask clients and await their answers | [`Socket::emit_with_ack`], [`Operator::emit_with_ack`] |
//! | keep values for a client | [`Socket::session`], for all servers to see [`Socket::set_data`] |
//! | look at sockets, those of other servers too | [`Operator::sockets`], [`Operator::fetch_sockets`] |
//! | do something in the background | [`Server::spawn`], [`Socket::spawn`] |
//! | compress, or not | [`Builder::per_message_deflate`], [`Builder::http_compression`], [`Operator::compress`] |
//! | serve it | [`Server::layer`], [`Server::service`], [`Server::handle`], [`Server::serve`], [`Server::serve_app`], [`Server::serve_with_service`] |
//! | speak TLS; HTTP/2 and WebSockets on it (cargo feature `http2`) | [`Server::serve_tls`], [`Server::serve_connection`] |
//! | serve static files (cargo feature `static-files`) | `Builder::static_files`, `StaticFiles` |
//! | know of refused requests, add headers, serve the JavaScript client | [`Builder::on_connection_error`], [`Builder::headers`], [`Builder::serve_client`] |
//! | watch it: sessions, sockets, traffic, how long handlers take, limits that clients run into, for Prometheus and others | [`Server::metrics`], [`Builder::handler_times`], [`Observer`] |
//! | send only the newest value to slow clients; limit what waits for them, and know of them | [`Operator::conflate`], [`Builder::send_queue`], [`Namespace::send_queue`], [`Builder::on_slow_consumer`] |
//! | take it out of service gently; answer orchestrators and balancers | [`Server::drain`], [`Server::drain_on_signal`], [`Server::health`], [`Server::ready`] |
//! | close it | [`Server::close`], [`Server::shutdown_on_signal`] |
//! | handle everything without types and futures | [`Dispatcher`] |
//! | let JavaScript clients 1.x and 2.x in, or pages that poll by script tags | [`Builder::allow_eio3`], [`Builder::jsonp`] |
//! | speak another format than JSON on the wire | [`parser`], [`Builder::parser`] |
//! | run several servers as one, and let them talk | [`Adapter`], [`Namespace::server_side_emit`] |
//! | test an application | [`testing::TestClient`] |
//! | run without a runtime, in one process | [`Server::connect_memory`], [`Server::tick`] |
//!
//! # How handlers run
//!
//! A handler's future is polled in place, in the task of the connection: one that does not wait costs no task. One that
//! waits becomes a task of its own, and the events behind it wait for it (or do not: [`Namespace::concurrency`],
//! [`EventHandlerExt::concurrency`]). Heartbeats, acknowledgements and other clients never wait for a handler. One that
//! *blocks* its thread holds that worker of the runtime: make a handler of a function that blocks with [`blocking()`], or
//! use `tokio::task::spawn_blocking`.
//!
//! Closures can be handlers as long as their futures borrow nothing from them: `async |…|` closures that capture nothing
//! are fine, others clone what they need first: `move |socket: Socket| { let db = db.clone(); async move { … } }`. Values
//! that handlers share are better given to [`Builder::state`] and taken with [`extract::State`].
//!
//! # Logs
//!
//! Events and spans go to [`tracing`] with the targets `wirebird::socketio` and `wirebird::engineio`. Nothing is
//! installed to print them. Credentials, cookies and session ids are not logged, and payloads at level trace alone, clipped. The
//! guide's chapter on debugging lists what each refused request means.

mod ack;
mod acks;
mod adapter;
mod blocking;
mod builder;
mod class;
mod client;
mod core;
mod dispatch;
mod drain;
mod dynamic;
mod error;
mod event_layer;
pub mod extract;
mod failures;
mod fallback;
mod guard;
mod handler;
mod handler_times;
mod handlers;
pub mod health;
mod id;
mod lanes;
mod layer;
pub mod layers;
mod listeners;
mod load;
mod mailbox;
mod members;
mod metrics;
mod named;
mod namespace;
mod old;
mod operator;
mod options;
mod packet;
pub mod parser;
mod places;
mod questions;
mod rare;
mod reason;
mod recovery;
mod reply;
mod room;
mod rooms;
mod router;
mod server;
mod server_events;
mod settings;
mod shard;
mod slow;
mod snapshot;
mod socket;
#[cfg(feature = "static-files")]
mod static_files;
mod task;
mod tasks;
pub mod testing;
mod visit;

pub use ack::{AckFuture, AckResults, AckStream, BroadcastWithAck, EmitWithAck};
pub use acks::{AckResult, AckSink};
pub use adapter::{AckRequest, Adapter, Local, MemoryCluster, Operation, ReplyTo, Target};
pub use blocking::{Blocking, blocking};
pub use builder::{AllowedOrigins, Builder};
pub use class::{HandlerSet, NamespaceHandlers};
pub use dispatch::{
    AckSender, Completion, ConnectRequest, ConnectResponder, Dispatcher, IncomingEvent, Observer,
};
pub use dynamic::DynamicNamespace;
pub use error::{AckError, ArgumentError, AuthError, ConnectError, EmitError, Error, Incomplete, RoomError};
pub use event_layer::{EventLayer, Next};
pub use handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler, Outcome};
pub use handler_times::HandlerTimes;
pub use id::SocketId;
pub use layer::{Layer, NotFound, ResponseBody, ResponseFuture, Service};
pub use listeners::{ListenerId, Recipients};
pub use metrics::Metrics;
pub use named::NamedHandler;
pub use namespace::Namespace;
pub use operator::Operator;
pub use options::{Accept, CheckNamespace, Concurrency};
pub use reason::DisconnectReason;
pub use recovery::Recovery;
pub use reply::Reply;
pub use room::{IntoRooms, Room};
pub use server::{AnyNamespace, Server};
pub use server_events::{ServerEvent, ServerEventHandler};
pub use settings::{Configured, EventHandlerExt};
pub use slow::SlowConsumer;
pub use snapshot::{HandshakeInfo, SocketSnapshot};
pub use socket::{AckHandle, SessionGuard, Socket, SocketSession};
#[cfg(feature = "static-files")]
pub use static_files::StaticFiles;
pub use tasks::{TaskEnd, TaskHandle};

pub(crate) use guard::guard;

/// What the macros write down.
#[doc(hidden)]
pub mod __private {
    pub use crate::named::{EventFuture, Named, argument, call};
}

/// Makes an impl block the handlers of a namespace, which are registered as one value: [`Server::register`].
///
/// | method | handles |
/// |---|---|
/// | `async fn on_connect` | connections, as [`Namespace::on_connect`] |
/// | `async fn on_<event>` | the event `<event>`, as [`Namespace::on`] |
/// | `#[event("any name")] async fn` | the event of that name |
/// | `#[event] async fn` | the event of the method's name |
/// | `#[fallback] async fn` | events that have no handler, as [`Namespace::fallback`] |
/// | `async fn on_disconnecting` | sockets that are about to leave, as [`Namespace::on_disconnecting`] |
/// | `async fn on_disconnect` | disconnections, as [`Namespace::on_disconnect`] |
/// | `async fn on_error` | errors and panics of the handlers, as [`Namespace::on_error`] |
///
/// Other methods are left as they are. A handler takes `&self` (or `self: Arc<Self>`, or `self: &Arc<Self>`) and then what
/// functions take: [extractors](extract). There is one value for all clients: what changes stands behind a lock, what
/// belongs to one client in [`Socket::session`].
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use wirebird::extract::{Data, EventContext, EventName};
/// use wirebird::{Error, Server, Socket};
///
/// #[derive(Default)]
/// struct Chat {
///     messages: AtomicUsize,
/// }
///
/// #[wirebird::namespace]
/// impl Chat {
///     async fn on_join(&self, socket: Socket, Data(room): Data<String>) -> Result<(), Error> {
///         Ok(socket.join(room)?)
///     }
///
///     async fn on_say(&self, socket: Socket, Data((room, text)): Data<(String, String)>) -> Result<(), Error> {
///         self.messages.fetch_add(1, Ordering::Relaxed);
///         Ok(socket.to(room).emit("said", text)?)
///     }
///
///     #[event("how many?")]
///     async fn count(&self) -> usize {
///         self.messages()
///     }
///
///     #[fallback]
///     async fn unknown(&self, event: EventName) -> String {
///         format!("no idea what {event} is")
///     }
///
///     async fn on_error(&self, error: Error, event: EventContext) -> String {
///         format!("{} failed: {error}", event.event())
///     }
///
///     fn messages(&self) -> usize {
///         self.messages.load(Ordering::Relaxed)
///     }
/// }
///
/// let (io, chat) = (Server::new(), Arc::new(Chat::default()));
/// io.register("/chat", chat.clone());
/// assert_eq!(chat.messages(), 0);
/// ```
///
/// What cannot be a handler does not compile: a method that is not async,
///
/// ```compile_fail
/// struct Chat;
/// #[wirebird::namespace]
/// impl Chat {
///     fn on_say(&self) {}
/// }
/// ```
///
/// a reserved name,
///
/// ```compile_fail
/// struct Chat;
/// #[wirebird::namespace]
/// impl Chat {
///     async fn on_connect_error(&self) {}
/// }
/// ```
///
/// an argument that is no extractor of this kind of handler.
///
/// ```compile_fail
/// struct Chat;
/// #[wirebird::namespace]
/// impl Chat {
///     async fn on_connect(&self, text: wirebird::extract::Data<String>) {}
/// }
/// ```
pub use wirebird_macros::namespace;

/// Names a function as the handler of an event: the event is called as the function, or as the attribute says
/// (`#[wirebird::event("any name")]`). [`Namespace::add`] registers it.
///
/// ```
/// use wirebird::{Server, extract::Data};
///
/// #[wirebird::event]
/// async fn shout(Data(text): Data<String>) -> String {
///     text.to_uppercase()
/// }
///
/// let io = Server::new();
/// io.add(shout);
/// io.of("/other").on("cry", shout); // it is a handler like any other
/// ```
///
/// The name stands for a value then, not for a function that can be called, and nothing else in its module can be named so,
/// variables included (in the function itself they can). On a method the attribute is part of
/// [`namespace`](macro@namespace).
pub use wirebird_macros::event;

/// Plain Engine.IO: sessions, transports, options.
pub use wirebird_engine as engine;
pub use wirebird_engine::http::ClientFiles;
pub use wirebird_engine::{
    ConfigError, Cookie, CookieValue, Cors, Deflate, Handshake, Limit, Origins, Overflow, PeerAddr, Refusal,
    SendQueue, Slowness, TransportKind, Transports, TrustedProxies,
};
pub use wirebird_proto::socket_io::RawArgs;
pub use wirebird_proto::value::{ArgsError, ArgsErrorCause, BinaryInJson, Date, EncodeError, Map, Value};

/// The handles of a server are safe to hold across a caught panic: nothing is left half changed behind their locks.
mod unwind {
    use std::panic::{RefUnwindSafe, UnwindSafe};

    use crate::{Namespace, Operator, Server, Socket};

    impl UnwindSafe for Server {}
    impl RefUnwindSafe for Server {}
    impl UnwindSafe for Namespace {}
    impl RefUnwindSafe for Namespace {}
    impl UnwindSafe for Operator {}
    impl RefUnwindSafe for Operator {}
    impl UnwindSafe for Socket {}
    impl RefUnwindSafe for Socket {}
}

/// The examples of the README are compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
