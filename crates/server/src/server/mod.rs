//! The server: what applications hold.

mod any_namespace;
mod closing;
mod serving;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use wirebird_engine::{Engine, Handshake};

pub use any_namespace::AnyNamespace;
pub(crate) use closing::{CLOSE_DEADLINE, Signals};

use crate::builder::Builder;
use crate::class::NamespaceHandlers;
use crate::core::Core;
use crate::dynamic::DynamicNamespace;
use crate::event_layer::EventLayer;
use crate::failures;
use crate::handler::{ErrorHandler, Outcome};
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::socket::Socket;
use crate::tasks::TaskHandle;

/// A Socket.IO server. Cheap to clone; usable from any thread, task or handler.
///
/// It stands for the default namespace `/` too: all methods of [`Namespace`] can be called on it.
#[derive(Clone)]
pub struct Server {
    root: Namespace,
    engine: Engine,
}

impl Deref for Server {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.root
    }
}

impl Server {
    /// A server with all options at their defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new_with(core: Arc<Core>, engine: Engine) -> Self {
        let inner = core.namespace("/");
        Self { root: Namespace { core, inner }, engine }
    }

    /// A namespace. Clients may connect to it once it has a handler.
    pub fn of(&self, name: impl AsRef<str>) -> Namespace {
        let core = self.root.core.clone();
        Namespace { inner: core.namespace(name.as_ref()), core }
    }

    /// Hands a namespace to a value, and opens it to clients: `io.register("/chat", Chat::new())`. Pass an `Arc` to keep
    /// the value for use elsewhere.
    ///
    /// ```
    /// use wirebird::{Namespace, Server, Socket, extract::Data};
    ///
    /// struct Chat {
    ///     greeting: String,
    /// }
    ///
    /// #[wirebird::namespace]
    /// impl Chat {
    ///     async fn on_connect(&self, socket: Socket) -> Result<(), wirebird::Error> {
    ///         Ok(socket.emit("greeting", &self.greeting)?)
    ///     }
    ///
    ///     async fn on_say(&self, namespace: Namespace, Data(text): Data<String>) -> Result<(), wirebird::Error> {
    ///         Ok(namespace.emit("said", text)?)
    ///     }
    /// }
    ///
    /// let io = Server::new();
    /// io.register("/chat", Chat { greeting: "hello".into() });
    /// ```
    pub fn register(&self, namespace: impl AsRef<str>, handlers: impl NamespaceHandlers) -> Namespace {
        let namespace = self.of(namespace);
        namespace.register(handlers);
        namespace
    }

    /// Namespaces whose names have a pattern: each is made when the first client connects to it, and forgotten when the
    /// last has left.
    ///
    /// `{name}` stands for one or more characters other than a slash, `{*name}` at the end for all the rest; handlers
    /// take them as [`extract::Path`](crate::extract::Path). Braces that are meant are written twice. A namespace with
    /// handlers of its own comes before all patterns, patterns come in the order in which they were registered, and
    /// [`Builder::namespaces`] comes last. The same pattern gives the same handlers again.
    ///
    /// ```
    /// use wirebird::extract::{Data, Path};
    /// use wirebird::{Namespace, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.of_pattern("/chat-{room}")
    ///     .on_connect(async |Path(room): Path<u32>| room < 1000) // `false` refuses
    ///     .on("say", async |chat: Namespace, Data(text): Data<String>| chat.emit("said", text));
    /// io.of("/chat-7").emit("news", "for those in /chat-7").unwrap();
    /// ```
    ///
    /// # Panics
    /// When it is not a pattern, or has no parameter.
    pub fn of_pattern(&self, pattern: impl AsRef<str>) -> DynamicNamespace {
        DynamicNamespace::of_pattern(self.root.core.clone(), pattern.as_ref())
    }

    /// As [`Server::of_pattern`], for the namespaces that a function lets a client into, by their names and the client's
    /// request. It is asked for each client, and must not block.
    pub fn of_matching(
        &self,
        check: impl Fn(&str, &Handshake) -> bool + Send + Sync + 'static,
    ) -> DynamicNamespace {
        DynamicNamespace::of_matching(self.root.core.clone(), Arc::new(check))
    }

    /// Handlers for all namespaces that have none of their own, and checks for every one
    /// ([`AnyNamespace::before_connect`]). They do not open namespaces to clients: [`Builder::namespaces`] does.
    pub fn any_namespace(&self) -> AnyNamespace {
        AnyNamespace { core: self.root.core.clone() }
    }

    /// Handles the errors and panics of handlers in all namespaces that have no error handler of their own. What it
    /// returns is the acknowledgement of the event that failed; `()` means none.
    pub fn on_error<M>(&self, handler: impl ErrorHandler<M>) -> &Self {
        self.root.core.defaults.set_error(handler);
        self
    }

    /// Removes the handler of errors in all namespaces; returns whether there was one.
    pub fn off_error(&self) -> bool {
        self.root.core.defaults.remove_error()
    }

    /// Puts a layer around the event handlers of all namespaces, outside the layers of each: see [`EventLayer`]. It is for
    /// the events that come from now on.
    pub fn event_layer(&self, layer: impl EventLayer) -> &Self {
        self.root.core.defaults.add_layer(layer);
        self
    }

    /// All namespaces there are.
    pub fn namespaces(&self) -> Vec<Namespace> {
        let core = &self.root.core;
        core.namespaces
            .iter()
            .map(|entry| Namespace { core: core.clone(), inner: entry.value().clone() })
            .collect()
    }

    /// The sockets of one connection in all namespaces, by the id of its Engine.IO session.
    pub fn sockets_of_session(&self, id: &str) -> Vec<Socket> {
        let session = self.engine.session(id);
        session.map(|session| Core::sockets_in(&session)).unwrap_or_default()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.root.core
    }

    /// The Engine.IO side: sessions, counters, the clock.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What has been counted so far: sessions, sockets, limits that clients ran into, requests that were refused.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.root.core, &self.engine)
    }

    /// Runs a future in the background until the server has closed: [`Server::close`] cancels it where it waits, once the
    /// clients and their disconnect handlers are done. Last things are better done behind `close` or `serve` than in a
    /// task.
    ///
    /// It runs in the server's runtime, else in the caller's; a server without one polls it in place, and then in the
    /// threads that wake it. Errors and panics are logged. Nobody needs to keep the handle, and a task that has ended
    /// leaves nothing behind.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let io = wirebird::Server::new();
    /// let task = io.spawn({
    ///     let io = io.clone();
    ///     async move {
    ///         tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    ///         io.emit("tick", ())
    ///     }
    /// });
    /// assert_eq!(task.await, wirebird::TaskEnd::Finished);
    /// # }
    /// ```
    pub fn spawn<F>(&self, future: F) -> TaskHandle
    where
        F: Future + Send + 'static,
        F::Output: Outcome<crate::Error>,
    {
        let core = &self.root.core;
        let report = |error| failures::log_task(&error);
        core.tasks.spawn(core.background_runtime().as_ref(), tracing::Span::none(), future, report)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("engine", &self.engine).finish_non_exhaustive()
    }
}
