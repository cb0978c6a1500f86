//! Socket.IO over WebTransport, that is over HTTP/3, beside polling and WebSocket.
//!
//! A server offers it when its [`Transports`](wirebird::Transports) say so, and listens for it on a UDP port:
//!
//! ```no_run
//! use wirebird::{Server, Transports};
//! use wirebird_webtransport::{Identity, ServerConfig, WebTransport};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::builder().transports(Transports::ALL.with_webtransport()).build();
//! io.on("hello", async || "hello to you");
//!
//! let identity = Identity::load_pemfiles("cert.pem", "key.pem").await?;
//! let config = ServerConfig::builder().with_bind_default(5000).with_identity(identity).build();
//! let webtransport = WebTransport::bind(&io, config)?;
//! tokio::join!(webtransport.serve(), async { io.serve("0.0.0.0:5000").await });
//! # Ok(()) }
//! ```
//!
//! Browsers come with `io("https://…", { transports: ["polling", "websocket", "webtransport"] })`, directly or by an
//! upgrade from polling. They connect to the port of the page's own address, by UDP, so both listeners have the same
//! number, and the TCP one has TLS.
//!
//! Requests are checked as all others are: the path, the origin, [`allow_request`](wirebird::Builder::allow_request). A
//! connection that has not said within [`upgrade_timeout`](wirebird::Builder::upgrade_timeout) what it wants is closed.
//!
//! HTTP/3 itself is the work of [`wtransport`].

mod driver;
mod request;

use std::io;
use std::net::SocketAddr;

use tokio::task::JoinSet;
use wirebird::Server;
use wtransport::Endpoint;
use wtransport::endpoint::endpoint_side;

pub use wtransport::{Identity, ServerConfig};

/// A server's listener for WebTransport.
pub struct WebTransport {
    io: Server,
    endpoint: Endpoint<endpoint_side::Server>,
}

impl WebTransport {
    /// Listens where `config` says. To be called in a tokio runtime.
    ///
    /// # Errors
    /// When the server's [`Transports`](wirebird::Transports) do not include WebTransport, or when the UDP port cannot
    /// be had.
    pub fn bind(io: &Server, config: ServerConfig) -> io::Result<Self> {
        if !io.engine().config().transports.webtransport {
            let problem = "the server does not offer WebTransport: see `Transports::with_webtransport`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(Self { io: io.clone(), endpoint: Endpoint::server(config)? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Serves connections until the server is closed, and what they still have to say is said.
    pub async fn serve(self) {
        let closing = self.io.engine().closing();
        tokio::pin!(closing);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => {
                    connections.spawn(request::serve(self.io.clone(), incoming));
                }
                Some(_) = connections.join_next() => {}
                () = &mut closing => break,
            }
        }
        while connections.join_next().await.is_some() {}
        self.endpoint.wait_idle().await;
    }
}

impl std::fmt::Debug for WebTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebTransport").field("local_addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}
