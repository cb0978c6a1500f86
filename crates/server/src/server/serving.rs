//! How the server gets its requests and connections: by a listener of its own, from a framework, in memory.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use wirebird_engine::http::{Fallback, FallbackBody, Incoming, Listener};
use wirebird_engine::{Handshake, memory};

use super::Server;
use crate::fallback::Tower;
use crate::layer::{Layer, NotFound, Service};
use crate::task::BoxFuture;

/// How requests and connections get here.
impl Server {
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
    /// and has [`Builder::tls_timeout`](crate::Builder::tls_timeout) for it. Cookies are then `Secure`, and
    /// [`Handshake::is_secure`] is true.
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

    /// Serves an application with [`Server::layer`] in it, such as an axum `Router`, by the server's own listener, which
    /// keeps the times of HTTP: [`Builder::header_timeout`](crate::Builder::header_timeout),
    /// [`keep_alive_timeout`](crate::Builder::keep_alive_timeout),
    /// [`write_timeout`](crate::Builder::write_timeout). Every request passes the application and its middleware, those of clients
    /// included.
    ///
    /// In place of `axum::serve(listener, app)`, which keeps no such times. It ends when the server has closed; requests
    /// that are being answered have until then. [`PeerAddr`](crate::PeerAddr) in their extensions is who sent them.
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
}
