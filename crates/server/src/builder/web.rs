//! Options of what is answered over HTTP: origins, cookies, headers, who is let in, files.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap};
use wirebird_engine::http::ClientFiles;
use wirebird_engine::{
    Cookie, Cors, Decision, Gate, Handshake, OriginCheck, Origins, Refusal, TrustedProxies,
};

use super::{AllowedOrigins, Builder};

/// What is answered over HTTP: origins, cookies, headers, who is let in, files.
impl Builder {
    /// Sets a cookie with the session's id, for balancers that keep a client on one server by it. Default none.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// The origins whose pages may connect, one or a list, each as a browser sends it (`https://example.com`, with the port
    /// if it is not the scheme's own), or `"*"` for any. [`Origins::Disabled`], or an empty list, switches the check and
    /// its headers off, for an outer layer that does both. Default: only the server's own origin.
    ///
    /// ```
    /// use wirebird::{Origins, Server};
    ///
    /// Server::builder().cors_allowed_origins("https://example.com");
    /// Server::builder().cors_allowed_origins(["https://example.com", "http://localhost:3000"]);
    /// Server::builder().cors_allowed_origins("https://a.com,https://b.com".split(','));
    /// Server::builder().cors_allowed_origins(Origins::Disabled);
    /// ```
    ///
    /// What is neither does not compile:
    ///
    /// ```compile_fail,E0277
    /// wirebird::Server::builder().cors_allowed_origins(5);
    /// ```
    pub fn cors_allowed_origins<O, Kind>(mut self, origins: O) -> Self
    where
        O: AllowedOrigins<Kind>,
    {
        self.engine.cors.origins = origins.into_origins();
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
}
