//! A client inside the process, to test handlers with.
//!
//! [`TestClient`] connects to a [`Server`] without a network: what it sends and receives is encoded,
//! decoded and limited as it is for clients from outside. It goes by tokio's clock. In a test that pauses the clock,
//! timeouts of a minute pass at once, and always in the same order:
//!
//! ```
//! use std::time::Duration;
//! use wirebird::testing::TestClient;
//! use wirebird::{Server, Socket, extract::Data};
//!
//! /// The application: makes the server and registers its handlers.
//! fn chat() -> Server {
//!     let io = Server::new();
//!     io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
//!     io.on("say", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!         socket.to(room).emit("said", (socket.id(), text))
//!     });
//!     io.on("poke", async |socket: Socket| socket.emit_with_ack::<String>("poke", ()).await.is_ok());
//!     io
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), wirebird::Error> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let io = chat();
//! let ann = TestClient::connect(&io).await?;
//! let ben = TestClient::connect(&io).await?;
//! for client in [&ann, &ben] {
//!     client.emit_with_ack::<()>("join", "lobby").await?;
//! }
//! ann.emit("say", ("lobby", "hello"))?;
//! let said = ben.expect("said").await?;
//! assert_eq!(said.data::<(String, String)>()?, (ann.id().to_string(), "hello".into()));
//! assert!(ann.received().await.is_empty(), "nobody hears himself");
//!
//! // Ann answers the server, Ben does not: the server gives up after its 60 s, which take no time here.
//! ann.on("poke", |()| "ouch");
//! assert!(ann.emit_with_ack::<bool>("poke", ()).await?);
//! assert!(!ben.ask::<bool>("poke", ()).timeout(Duration::from_secs(90)).await?);
//! # Ok(())
//! # }
//! ```
//!
//! The request that opens the connection is checked as others are: its origin, if it has one, the limits,
//! [`Builder::allow_request`](crate::Builder::allow_request). Responses, polling and the upgrade from it are not there: the
//! client counts as a WebSocket.

mod connect;
mod connection;
mod error;
mod event;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wirebird_engine::Session;

use crate::id::SocketId;
use crate::{Server, Value};
use connection::{Connection, Joined};

pub use connect::{Connect, ConnectNamespace};
pub use error::{Disconnection, TestError};
pub use event::{Ask, Event};

/// A client in one namespace of a server in the same process.
///
/// It runs in the tokio runtime in which it connected, answers the server's pings, and keeps every event until the test
/// asks for it. Dropping it, with those of other namespaces on the same connection, closes the connection.
pub struct TestClient {
    connection: Arc<Connection>,
    joined: Arc<Joined>,
}

impl TestClient {
    /// Connects to the namespace `/` as soon as it is awaited. What the client sends along can be set first:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), wirebird::testing::TestError> {
    /// # use wirebird::{Server, testing::TestClient};
    /// # let io = Server::new();
    /// # io.of("/chat").on_connect(async || ());
    /// let client = TestClient::connect(&io)
    ///     .namespace("/chat")
    ///     .auth(serde_json::json!({ "token": "secret" }))
    ///     .query("room", "lobby")
    ///     .header("user-agent", "test")
    ///     .cookie("session", "42")
    ///     .await?;
    /// assert!(client.is_connected());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`TestError::Refused`] with the server's message and data when the connect handler refuses,
    /// [`TestError::Rejected`] when the request is refused before.
    pub fn connect(server: &Server) -> Connect {
        Connect::new(server.clone())
    }

    /// Connects to one more namespace, on the same connection, or again to one that has been left. For one that it is
    /// connected to, that is the same client.
    ///
    /// # Errors
    /// As [`TestClient::connect`].
    pub fn of(&self, namespace: impl Into<String>) -> ConnectNamespace {
        ConnectNamespace::new(self.connection.clone(), namespace.into())
    }

    // ---- what it is ----

    /// The id of its socket: `io.socket(client.id())` is the server's side of it.
    pub fn id(&self) -> SocketId {
        self.joined.id
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.joined.namespace
    }

    /// What the server sent with its confirmation: an object with `sid` and what the application added.
    pub fn connect_payload(&self) -> &Value {
        &self.joined.payload
    }

    /// The server's side of the connection.
    pub fn engine_session(&self) -> &Arc<Session> {
        self.connection.session()
    }

    /// Whether it is connected to its namespace, as far as the client has heard.
    pub fn is_connected(&self) -> bool {
        self.connection.ended(&self.joined).is_none()
    }

    // ---- sending ----

    /// Emits an event. A handler that does not wait has run when this returns.
    ///
    /// `data` is one argument for the server's handler, or several when it is a tuple, or none when it is `()`.
    ///
    /// # Errors
    /// When it is not connected, the name is reserved, or the data cannot be put into a packet.
    pub fn emit(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<(), TestError> {
        self.connection.emit(&self.joined, event.as_ref(), &data, None)
    }

    /// Emits `message`, as the `send()` of clients does.
    ///
    /// # Errors
    /// As [`TestClient::emit`].
    pub fn send(&self, data: impl Serialize) -> Result<(), TestError> {
        self.emit("message", data)
    }

    /// Emits an event and awaits what the server acknowledges: one value, a tuple of several, `()` for any, or
    /// [`Args`](crate::extract::Args) for all.
    ///
    /// # Errors
    /// As [`TestClient::emit`]; when the acknowledgement does not come in time or is not a `T`, and when the connection
    /// ends first.
    pub async fn emit_with_ack<T>(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<T, TestError>
    where
        T: DeserializeOwned + 'static,
    {
        self.ask(event, data).await
    }

    /// As [`TestClient::emit_with_ack`], with a [timeout](Ask::timeout) of its own. The event is emitted by this call;
    /// the acknowledgement can be awaited at any time after.
    pub fn ask<T>(&self, event: impl AsRef<str>, data: impl Serialize) -> Ask<T> {
        Ask::new(&self.connection, &self.joined, event.as_ref(), &data)
    }

    // ---- receiving ----

    /// Takes the events that have come since the last time, in their order, after every task that can go on has done so;
    /// no time passes. With several worker threads, or when a handler waits for something outside the runtime, await what
    /// must come with [`TestClient::expect`] instead.
    ///
    /// Those that came before a disconnection can still be taken after it.
    pub async fn received(&self) -> Vec<Event> {
        settle().await;
        self.connection.take_events(&self.joined)
    }

    /// Takes the next event, and waits for it if there is none.
    ///
    /// # Errors
    /// When none comes in time, or the client is disconnected first.
    pub async fn next_event(&self) -> Result<Event, TestError> {
        self.connection.next_event(&self.joined, None).await
    }

    /// Takes the next event of that name, and waits for it if there is none. Others stay to be taken later.
    ///
    /// # Errors
    /// As [`TestClient::next_event`]; the error says which other events have come.
    pub async fn expect(&self, event: &str) -> Result<Event, TestError> {
        self.connection.next_event(&self.joined, Some(event)).await
    }

    /// Handles an event of the server from now on: what `handler` returns is the acknowledgement, if the server wants one.
    /// The event is also kept for [`TestClient::received`]. A second handler of an event replaces the first.
    ///
    /// `handler` takes one argument: the data of the event, a tuple for several. When the data is not of that type, or
    /// the handler panics, the next call of the test to this client panics with it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), wirebird::Error> {
    /// # use wirebird::{Server, testing::TestClient};
    /// # let io = Server::new();
    /// let client = TestClient::connect(&io).await?;
    /// client.on("add", |(a, b): (i64, i64)| a + b);
    /// let socket = io.socket(client.id()).expect("a connected socket");
    /// assert_eq!(socket.emit_with_ack::<i64>("add", (1, 2)).await?, 3);
    /// # Ok(()) }
    /// ```
    pub fn on<T, R>(
        &self,
        event: impl Into<String>,
        handler: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> &Self
    where
        T: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        self.connection.set_handler(&self.joined, event.into(), event::answering(handler));
        self
    }

    // ---- the end ----

    /// Leaves the namespace. The connection and its other namespaces stay.
    ///
    /// # Errors
    /// When it is not connected.
    pub fn disconnect(&self) -> Result<(), TestError> {
        self.connection.leave(&self.joined)
    }

    /// The connection is lost, in all its namespaces: the server sees `transport close`.
    pub fn break_off(&self) {
        self.connection.break_off();
    }

    /// Waits until it is disconnected; returns how.
    ///
    /// # Errors
    /// When it stays connected.
    pub async fn disconnected(&self) -> Result<Disconnection, TestError> {
        self.connection.wait_ended(&self.joined).await
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("id", &self.id()).field("namespace", &self.namespace()).finish()
    }
}

/// How long a client waits unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns that every task gets in [`settle`].
const TURNS: usize = 100;

/// Lets every task that can go on do so, without time passing: after it, what was going to happen by itself has happened.
///
/// For runtimes with one thread, as `#[tokio::test]` has them; with several it only gives the others a moment.
pub async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}
