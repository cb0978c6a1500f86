//! The server: what applications hold.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use wirebird_engine::http::{Fallback, FallbackBody, Incoming, Listener};
use wirebird_engine::{Engine, Handshake, memory};

use crate::builder::Builder;
use crate::class::{HandlerSet, NamespaceHandlers};
use crate::core::Core;
use crate::dynamic::DynamicNamespace;
use crate::event_layer::EventLayer;
use crate::failures;
use crate::fallback::Tower;
use crate::handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler, Outcome};
use crate::layer::{Layer, NotFound, Service};
use crate::metrics::Metrics;
use crate::named::NamedHandler;
use crate::namespace::Namespace;
use crate::socket::Socket;
use crate::task::BoxFuture;
use crate::tasks::TaskHandle;

/// How long [`Server::close`] waits for clients to take what is queued for them.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

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

    /// Handlers for all namespaces that have none of their own. They do not open namespaces to clients:
    /// [`Builder::namespaces`] does.
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

    // ---- serving ----

    /// A tower layer that answers the server's path and passes everything else on: `router.layer(io.layer())`.
    ///
    /// Under a prefix, axum asks a nested router only for routes that it has: give it a fallback, or use
    /// `nest_service("/prefix", io.service())`. Clients then say `path: "/prefix/socket.io"`.
    pub fn layer(&self) -> Layer {
        Layer::new(self.clone())
    }

    /// A tower service that answers the server's path, and 404 for everything else.
    pub fn service(&self) -> Service<NotFound> {
        Service::new(NotFound, self.clone())
    }

    /// Whether a path is the server's own.
    pub fn is_endpoint(&self, path: &str) -> bool {
        wirebird_engine::http::is_endpoint(&self.engine, path)
    }

    /// Answers one request to the server's path. For hyper services and other frameworks; must run in a tokio runtime.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        wirebird_engine::http::handle(&self.engine, request).await
    }

    /// As [`Server::handle`], for frameworks that have an upgrade of their own rather than hyper's: when the answer is `101
    /// Switching Protocols`, `upgrade` is awaited, and the stream that it gives is a WebSocket from then on.
    pub async fn handle_with_upgrade<B, S, E>(
        &self,
        request: Request<B>,
        upgrade: impl Future<Output = Result<S, E>> + Send + 'static,
    ) -> Response<Full<Bytes>>
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        E: fmt::Display + Send,
    {
        wirebird_engine::http::handle_with_upgrade(&self.engine, request, upgrade).await
    }

    /// Listens on an address and serves until [`Server::close`] has finished. For servers without a framework.
    ///
    /// ```no_run
    /// # async fn f(io: wirebird::Server) -> std::io::Result<()> {
    /// tokio::spawn(io.shutdown_on_signal()); // Ctrl-C and SIGTERM close the server, which ends `serve`
    /// io.serve("127.0.0.1:5000").await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let addrs: Vec<_> = lookup_host(addr).await?.collect();
        let listener = TcpListener::bind(&addrs[..]).await.map_err(|error| {
            let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}", addrs.join(", ")))
        })?;
        self.serve_listener(listener).await
    }

    /// Serves the connections of a listener until [`Server::close`] has finished.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve_listener(&self, listener: TcpListener) -> io::Result<()> {
        self.serve_with(listener, self.listener(None)).await
    }

    /// As [`Server::serve_listener`], with TLS, by whichever library you like: `begin` makes a stream of each connection,
    /// and has [`Builder::tls_timeout`] for it. Cookies are then `Secure`, and [`Handshake::is_secure`] is true.
    ///
    /// ```ignore
    /// let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    /// io.serve_tls(listener, move |stream| acceptor.accept(stream)).await
    /// ```
    ///
    /// # Errors
    /// When the listener fails. A connection that does not begin is closed.
    pub async fn serve_tls<F, Fut, S>(&self, listener: TcpListener, begin: F) -> io::Result<()>
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let served = self.listener(None);
        wirebird_engine::http::serve_tls(listener, served, begin, self.engine.closing()).await?;
        self.closed().await;
        Ok(())
    }

    /// As [`Server::serve_listener`], with somebody to answer what is not for the server.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve_with_fallback(
        &self,
        listener: TcpListener,
        fallback: impl Fallback,
    ) -> io::Result<()> {
        self.serve_with(listener, self.listener(Some(Arc::new(fallback)))).await
    }

    /// Serves one connection until it ends or becomes a WebSocket, which is a task of its own: TLS, a Unix socket, or
    /// any other stream. `known` is put into the extensions of each of its requests: [`PeerAddr`],
    /// [`LocalAddr`](crate::engine::LocalAddr), and [`Secure`](crate::engine::Secure) if it is encrypted. Must be called
    /// inside a tokio runtime.
    ///
    /// ```no_run
    /// # async fn f(io: wirebird::Server) -> std::io::Result<()> {
    /// let listener = tokio::net::UnixListener::bind("/run/chat.sock")?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     tokio::spawn(io.serve_connection(stream, http::Extensions::new()));
    /// }
    /// # }
    /// ```
    ///
    /// [`PeerAddr`]: crate::PeerAddr
    pub fn serve_connection<S>(
        &self,
        stream: S,
        known: Extensions,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.listener(None).connection(stream, known)
    }

    /// What connections get: the endpoint, static files, `rest`.
    fn listener(&self, rest: Option<Arc<dyn Fallback>>) -> Listener {
        let listener = Listener::new(self.engine.clone());
        #[cfg(feature = "static-files")]
        if let Some(files) = &self.root.core.options.static_map {
            return listener.fallback(crate::static_files::Before { files: files.clone(), rest });
        }
        match rest {
            Some(rest) => listener.fallback(rest),
            None => listener,
        }
    }

    /// Answers a request with a static file, if there are such files and it means one; resolves to `None` when that one
    /// is not there.
    pub(crate) fn static_file<B>(
        &self,
        request: &Request<B>,
    ) -> Option<BoxFuture<Option<Response<FallbackBody>>>> {
        #[cfg(feature = "static-files")]
        return self.root.core.options.static_map.as_ref()?.respond(request);
        #[cfg(not(feature = "static-files"))]
        {
            let _ = request;
            None
        }
    }

    /// Serves an application with [`Server::layer`] in it, such as an axum `Router`, by the server's own listener, which keeps
    /// the times of HTTP: [`Builder::header_timeout`], [`keep_alive_timeout`](Builder::keep_alive_timeout),
    /// [`write_timeout`](Builder::write_timeout). Every request passes the application and its middleware, those of clients
    /// included.
    ///
    /// In place of `axum::serve(listener, app)`, which keeps no such times. It ends when the server has closed; requests that
    /// are being answered have until then. [`PeerAddr`](crate::PeerAddr) in their extensions is who sent them.
    ///
    /// ```no_run
    /// # async fn f(io: wirebird::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let app = axum::Router::new().route("/", axum::routing::get(async || "hello")).layer(io.layer());
    /// tokio::spawn(io.shutdown_on_signal()); // Ctrl-C and SIGTERM close the server
    /// io.serve_app(listener, app).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve_app<S, B>(&self, listener: TcpListener, app: S) -> io::Result<()>
    where
        S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let served = Listener::new(self.engine.clone()).through(Tower(app));
        self.serve_with(listener, served).await
    }

    /// As [`Server::serve_listener`], with a tower service to answer what is not for the server: an axum `Router`, a
    /// service of warp's filters. Requests of clients do not pass it, and so none of its middleware: they are answered at
    /// once, which costs the least; an application whose middleware is to see them is served by [`Server::serve_app`]. It
    /// finds the client's address in the request's extensions, as [`PeerAddr`](crate::PeerAddr).
    ///
    /// ```no_run
    /// # async fn f(io: wirebird::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let app: axum::Router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    /// io.serve_with_service(listener, app).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve_with_service<S, B>(&self, listener: TcpListener, service: S) -> io::Result<()>
    where
        S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.serve_with_fallback(listener, Tower(service)).await
    }

    async fn serve_with(&self, listener: TcpListener, served: Listener) -> io::Result<()> {
        wirebird_engine::http::serve(listener, served, self.engine.closing()).await?;
        self.closed().await;
        Ok(())
    }

    // ---- without a runtime ----

    /// Connects a client inside this process: frames are handed over in memory. Without a tokio runtime handlers run
    /// in the thread that feeds them, and what they emit is there when the call returns.
    ///
    /// `on_wake` is called when frames wait for the client. `None` when the server is closing.
    pub fn connect_memory(
        &self,
        handshake: Handshake,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<memory::Connection> {
        memory::Connection::open(&self.engine, handshake, on_wake)
    }

    /// Lets time pass in a server without a runtime: heartbeats and timeouts up to `now` take effect.
    pub fn tick(&self, now: Instant) {
        self.engine.tick(now);
    }

    // ---- background ----

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

    // ---- closing ----

    /// Resolves when the server begins to close, for those who want to stop early.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        self.engine.closing()
    }

    /// Closes all connections with the reason `server shutting down`, lets them take what is queued for up to 5 s, and
    /// ends [`Server::serve`]. No handler is called afterwards, and what [`Server::spawn`] runs is cancelled. Idempotent.
    ///
    /// A route of an application that the server listens for waits for its own answer when it awaits this, up to the deadline:
    /// let it spawn the call.
    pub async fn close(&self) {
        self.close_within(CLOSE_DEADLINE).await;
    }

    /// As [`Server::close`], with another deadline.
    pub async fn close_within(&self, deadline: Duration) {
        self.engine.begin_close();
        // Without a runtime there is nobody to wait for.
        if tokio::runtime::Handle::try_current().is_ok() {
            let _ = tokio::time::timeout(deadline, self.emptied()).await;
        }
        self.stop();
    }

    /// As [`Server::close_within`], for a thread outside the runtime. Must not be called from a handler.
    pub fn close_blocking(&self, deadline: Duration) {
        match self.engine.runtime() {
            Some(runtime) => {
                let this = self.clone();
                let (done, wait) = std::sync::mpsc::channel();
                runtime.spawn(async move {
                    this.close_within(deadline).await;
                    let _ = done.send(());
                });
                // The runtime may be gone already; then there is nothing to wait for, but still something to end.
                let _ = wait.recv_timeout(deadline.saturating_add(Duration::from_secs(1)));
                self.stop();
            }
            None => {
                self.engine.begin_close();
                self.stop();
            }
        }
    }

    /// Resolves when the server has closed: every disconnect handler has run, or has had its time.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let core = self.root.core.clone();
        async move { core.stopped().await }
    }

    /// Resolves when no connection is left, every disconnect handler has run, and the application behind the listener has
    /// answered its requests.
    async fn emptied(&self) {
        self.engine.emptied().await;
        while self.root.core.has_sockets() || self.engine.has_other_requests() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn stop(&self) {
        self.engine.stop();
        self.root.core.stop();
        if let Some(adapter) = self.root.core.adapter.get() {
            crate::guard("adapter", || adapter.close());
        }
    }

    /// Closes the server when the process is asked to end (Ctrl-C, or SIGTERM on Unix), which ends [`Server::serve`] and
    /// its kin: `tokio::spawn(io.shutdown_on_signal())`. Signals are waited for from the call on; a second one ends the wait
    /// for clients. Where somebody else listens: `axum::serve(..).with_graceful_shutdown(io.shutdown_on_signal())`. Must be
    /// called inside a tokio runtime.
    pub fn shutdown_on_signal(&self) -> impl Future<Output = ()> + Send + 'static {
        self.shutdown_on_signal_within(CLOSE_DEADLINE)
    }

    /// As [`Server::shutdown_on_signal`], with another deadline for the clients.
    pub fn shutdown_on_signal_within(&self, deadline: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut signals = Signals::new();
        let this = self.clone();
        async move {
            signals.next().await;
            tokio::select! {
                () = this.close_within(deadline) => {}
                () = signals.next() => this.stop(),
            }
        }
    }
}

/// The signals by which a process is asked to end.
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        // A signal that cannot be waited for is not waited for.
        Self { streams: kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect() }
    }

    pub(crate) async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let came = self.streams.iter_mut().any(|stream| stream.poll_recv(cx).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
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

/// Handlers for all namespaces that have none of their own for the same purpose.
#[derive(Clone)]
pub struct AnyNamespace {
    core: Arc<Core>,
}

impl AnyNamespace {
    /// As [`Namespace::before_connect`], for every namespace, those that have such handlers of their own included: these
    /// here run first.
    pub fn before_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.core.any_namespace.add_before_connect(handler);
        self
    }

    /// As [`Namespace::on_connect`].
    pub fn on_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.core.any_namespace.set_connect(handler);
        self
    }

    /// As [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.core.any_namespace.set_disconnecting(handler);
        self
    }

    /// As [`Namespace::on_disconnect`].
    pub fn on_disconnect<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.core.any_namespace.set_disconnect(handler);
        self
    }

    /// As [`Namespace::on`].
    ///
    /// # Panics
    /// When `event` is a reserved name.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl EventHandler<M>) -> &Self {
        self.core.any_namespace.set_event(event.into(), handler);
        self
    }

    /// As [`Namespace::add`].
    pub fn add<M, H: NamedHandler<M>>(&self, handler: H) -> &Self {
        self.on(H::EVENT, handler)
    }

    /// Removes the handler of an event; returns whether there was one.
    pub fn off(&self, event: &str) -> bool {
        self.core.any_namespace.remove_event(event)
    }

    /// Removes the handler of connections; returns whether there was one.
    pub fn off_connect(&self) -> bool {
        self.core.any_namespace.remove_connect()
    }

    /// Removes the handler of the beginning of disconnections; returns whether there was one.
    pub fn off_disconnecting(&self) -> bool {
        self.core.any_namespace.remove_disconnecting()
    }

    /// Removes the handler of disconnections; returns whether there was one.
    pub fn off_disconnect(&self) -> bool {
        self.core.any_namespace.remove_disconnect()
    }

    /// Removes the handler of all other events; returns whether there was one.
    pub fn off_fallback(&self) -> bool {
        self.core.any_namespace.remove_fallback()
    }

    /// As [`Namespace::fallback`].
    pub fn fallback<M>(&self, handler: impl EventHandler<M>) -> &Self {
        self.core.any_namespace.set_fallback(handler);
        self
    }

    /// As [`Namespace::register`], for namespaces that have no such value of their own. A value of a namespace's own hides
    /// it, also where that one lacks a method.
    pub fn register(&self, handlers: impl NamespaceHandlers) -> &Self {
        self.core.any_namespace.set_class(HandlerSet::of(handlers));
        self
    }

    /// As [`Namespace::unregister`].
    pub fn unregister(&self) -> bool {
        self.core.any_namespace.remove_class()
    }
}

impl fmt::Debug for AnyNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyNamespace")
    }
}
