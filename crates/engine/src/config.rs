//! Options of an engine, with their defaults and limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::deflate::Deflate;
use crate::gate::Gate;
use crate::http::ClientFiles;
use crate::id::{IdGenerator, RandomIds};
use crate::limit::Limit;
use crate::protocol::Protocol;
use crate::proxies::TrustedProxies;

/// What counts as for ever: longer times would overflow the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The longest ping interval and timeout that clients are told. Browsers add the two up for a timer, and one of 2^31 ms
/// or more fires at once.
const LONGEST_PING: Duration = Duration::from_millis((1 << 30) - 1);

/// Finds the peer's address in a request's extensions.
pub type FindPeer = Arc<dyn Fn(&http::Extensions) -> Option<std::net::SocketAddr> + Send + Sync>;

/// Adds headers to a response, given the request.
pub type AddHeaders = Arc<dyn Fn(&mut http::HeaderMap, &http::request::Parts) + Send + Sync>;

/// Options of an engine. Start from [`Config::default`] and change fields.
///
/// Where Node's server has a default, it is the same here.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The path that is answered, with or without a slash at the end. Default `/socket.io`.
    pub path: String,
    /// Time between a pong and the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// How much later than that clients may see a ping before they miss it: it is added to the interval that they are
    /// told. Default none.
    pub ping_grace: Duration,
    /// How long a pong may take. Default 20 s.
    pub ping_timeout: Duration,
    /// How long the probe of an upgrade may take. Default 10 s.
    pub upgrade_timeout: Duration,
    /// How long a close waits for what is still queued to be fetched. Default 30 s.
    pub close_timeout: Duration,
    /// How long nothing may be taken of what waits for a client before the client is closed as too slow, and how long an
    /// HTTP answer may be blocked. Default 30 s. It is looked at four times in that time, so that it may be a quarter more.
    pub write_timeout: Duration,
    /// The largest message or polling body that is accepted, in bytes. Default 1,000,000.
    pub max_payload: usize,
    /// Frames that one WebSocket message may have, empty ones included. Default 4096.
    pub max_fragments: u32,
    /// How long the head of a request may take, from the connection's beginning or from its first byte on. Default 30 s.
    pub header_timeout: Duration,
    /// How long the beginning of TLS may take. Default 10 s.
    pub tls_timeout: Duration,
    /// How long the body of a POST may take. Default 30 s.
    pub body_timeout: Duration,
    /// How long a connection of HTTP may be idle between two requests. Default 75 s: longer than proxies keep theirs. After
    /// the answer to a poll it is a little less than `ping_timeout` if that is less: a client that is there polls again at once. That
    /// does not hold for trusted proxies, nor for connections without an address, such as those of Unix sockets.
    pub keep_alive_timeout: Duration,
    /// The largest head of a request, in bytes. That of the one that opens a session is kept for the session's life. Default
    /// 16 KiB; a [`Listener`](crate::http::Listener) reads up to 8 KiB in any case.
    pub max_head: usize,
    /// Headers that a request may have. Default 100.
    pub max_headers: usize,
    /// The longest target of a request, path and query together, in bytes. Default 8 KiB.
    pub max_url: usize,
    /// Connections that the [listeners](crate::http::serve) have at once. Default as many as come.
    pub max_connections: Option<usize>,
    /// Connections that listeners have from one address at once, if that is no proxy's that is trusted, and sessions of one
    /// address. Of IPv6, all addresses of a network of 64 bits count as one. Default as many as come.
    pub max_connections_per_address: Option<usize>,
    /// Sessions that may be opened in a second. Default as many as come.
    pub handshake_rate: Option<u32>,
    /// Sessions that may exist at once. Default as many as come.
    pub max_sessions: Option<usize>,
    /// The transports that are offered. Default both.
    pub transports: Transports,
    /// Whether a polling client may move to WebSocket. Default true.
    pub allow_upgrades: bool,
    /// Whether clients of version 3 of the protocol are let in: JavaScript clients before version 3. Default false.
    pub allow_eio3: bool,
    /// Whether clients may poll by script tags (JSONP), for browsers without cross-origin requests. Default false: a
    /// script tag of any site can open a session with the visitor's cookies and read what comes, because browsers tell
    /// no origin for it.
    pub jsonp: bool,
    /// Whether polling replies are compressed (gzip, deflate) when the client accepts it. Default true.
    pub http_compression: bool,
    /// The smallest polling reply that is compressed, in bytes. Default 1024.
    pub compression_threshold: usize,
    /// Whether, and how, WebSocket messages are compressed. Default not.
    pub per_message_deflate: Option<Deflate>,
    /// A cookie with the session id, set by the reply to the first request. Default none.
    pub cookie: Option<Cookie>,
    /// Which origins may connect. Default same origin only.
    pub cors: Cors,
    /// Whose forwarding headers are believed. Default nobody's.
    pub trusted_proxies: TrustedProxies,
    /// Where the peer's address is found in a request's extensions, if there is no [`PeerAddr`](crate::PeerAddr).
    pub peer_addr: Option<FindPeer>,
    /// Decides whether a session may be opened. Default everybody's.
    pub gate: Option<Arc<dyn Gate>>,
    /// Adds headers to every response. Default none.
    pub headers: Option<AddHeaders>,
    /// Adds headers to the response that opens a session. Default none.
    pub initial_headers: Option<AddHeaders>,
    /// The files of the JavaScript client, served beside the endpoint. Default none.
    pub client: Option<Arc<ClientFiles>>,
    /// What may be queued for one client.
    pub send_queue: SendQueue,
    /// The runtime that drives timers and runs what waits. Default: that of the first request.
    pub runtime: Option<tokio::runtime::Handle>,
    /// Makes session ids.
    pub ids: Arc<dyn IdGenerator>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/socket.io".into(),
            ping_interval: Duration::from_secs(25),
            ping_grace: Duration::ZERO,
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            max_fragments: 4096,
            header_timeout: Duration::from_secs(30),
            tls_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
            max_head: 16 << 10,
            max_headers: 100,
            max_url: 8 << 10,
            max_connections: None,
            max_connections_per_address: None,
            handshake_rate: None,
            max_sessions: None,
            transports: Transports::ALL,
            allow_upgrades: true,
            allow_eio3: false,
            jsonp: false,
            http_compression: true,
            compression_threshold: 1024,
            per_message_deflate: None,
            cookie: None,
            cors: Cors::default(),
            trusted_proxies: TrustedProxies::default(),
            peer_addr: None,
            gate: None,
            headers: None,
            initial_headers: None,
            client: None,
            send_queue: SendQueue::default(),
            runtime: None,
            ids: Arc::new(RandomIds),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.path)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .field("transports", &self.transports)
            .field("allow_upgrades", &self.allow_upgrades)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Checks that the values make sense and brings the path into its one form (a slash before, none after).
    ///
    /// # Errors
    /// A sentence that names the option and what is wrong with it.
    pub fn validated(mut self) -> Result<Self, ConfigError> {
        self.path = path(&self.path)?;
        for (name, value) in [
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
            ("upgrade_timeout", self.upgrade_timeout),
            ("write_timeout", self.write_timeout),
            ("header_timeout", self.header_timeout),
            ("tls_timeout", self.tls_timeout),
            ("body_timeout", self.body_timeout),
            ("keep_alive_timeout", self.keep_alive_timeout),
        ] {
            if value < Duration::from_millis(1) {
                return Err(ConfigError::new(format!("{name} must be at least one millisecond")));
            }
        }
        for value in [
            &mut self.ping_interval,
            &mut self.ping_grace,
            &mut self.ping_timeout,
            &mut self.upgrade_timeout,
            &mut self.close_timeout,
            &mut self.write_timeout,
            &mut self.header_timeout,
            &mut self.tls_timeout,
            &mut self.body_timeout,
            &mut self.keep_alive_timeout,
        ] {
            *value = LONGEST.min(*value);
        }
        if self.max_payload == 0 {
            return Err(ConfigError::new("max_payload must be at least one byte"));
        }
        if self.max_fragments == 0 {
            return Err(ConfigError::new("max_fragments must be at least one frame"));
        }
        for (name, value) in [
            ("max_sessions", self.max_sessions),
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
            ("handshake_rate", self.handshake_rate.map(|rate| rate as usize)),
        ] {
            if value == Some(0) {
                return Err(ConfigError::new(format!(
                    "{name} must be at least one; leave it out for no limit"
                )));
            }
        }
        for (name, value) in
            [("max_head", self.max_head), ("max_headers", self.max_headers), ("max_url", self.max_url)]
        {
            if value == 0 {
                return Err(ConfigError::new(format!("{name} must be at least one")));
            }
        }
        if !self.transports.polling && !self.transports.websocket {
            return Err(ConfigError::new("transports: no valid transports; there are polling and websocket"));
        }
        if self.send_queue.max_packets == 0 || self.send_queue.max_bytes == 0 {
            return Err(ConfigError::new("send_queue needs room for at least one packet"));
        }
        if let Some(cookie) = &self.cookie {
            cookie.validate()?;
        }
        if let Some(deflate) = &self.per_message_deflate {
            deflate.validate()?;
        }
        self.cors.validate()?;
        if let Some(files) = &self.client {
            files.validate()?;
        }
        Ok(self)
    }

    /// Says what is allowed and yet hardly meant.
    pub(crate) fn warn(&self) {
        self.cors.warn();
        if self.trusted_proxies.is_empty() {
            tracing::warn!(target: "wirebird::engineio", "trusted_proxies names nobody");
        }
    }

    pub(crate) fn upgrades(&self) -> bool {
        self.allow_upgrades && self.transports.websocket
    }

    /// How long a connection may be idle, and the limit that this is. One that has answered a poll ends before its session
    /// does for want of another; that is no limit that clients run into.
    pub(crate) fn idle_time(&self, polled: bool) -> (Duration, Option<Limit>) {
        if polled {
            (self.keep_alive_timeout.min(self.ping_timeout * 9 / 10), None)
        } else {
            (self.keep_alive_timeout, Some(Limit::IdleTime))
        }
    }

    /// The time between pings that clients are told.
    pub(crate) fn told_ping_interval(&self) -> Duration {
        LONGEST_PING.min(self.ping_interval.saturating_add(self.ping_grace))
    }

    /// The time for a pong that clients are told.
    pub(crate) fn told_ping_timeout(&self) -> Duration {
        LONGEST_PING.min(self.ping_timeout)
    }

    /// The transports that a client on polling may move to. WebTransport came with version 4.
    pub(crate) fn offered_upgrades(&self, protocol: Protocol) -> &'static [&'static str] {
        let webtransport = self.transports.webtransport && protocol == Protocol::V4;
        match (self.allow_upgrades, self.transports.websocket, webtransport) {
            (true, true, true) => &["websocket", "webtransport"],
            (true, true, false) => &["websocket"],
            (true, false, true) => &["webtransport"],
            _ => &[],
        }
    }
}

/// The path in its one form.
fn path(path: &str) -> Result<String, ConfigError> {
    let inner = path.trim_matches('/');
    if inner.is_empty() {
        return Err(ConfigError::new("path must not be empty"));
    }
    // Requests are compared as they come: anything else in their paths is encoded, or begins something else.
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    if !inner.bytes().all(allowed) {
        return Err(ConfigError::new(format!("path: {path:?} has characters that no path of a request has")));
    }
    if inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(ConfigError::new(format!("path: clients never send {path:?}, but shorten it")));
    }
    Ok(format!("/{inner}"))
}

/// An option has a value that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// `text` names the option, and says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Which transports are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket.
    pub websocket: bool,
    /// WebTransport, which needs a driver of its own, such as the crate `wirebird-webtransport`.
    pub webtransport: bool,
}

impl Transports {
    /// Polling and WebSocket.
    pub const ALL: Self = Self { polling: true, websocket: true, webtransport: false };
    /// Only HTTP long-polling.
    pub const POLLING: Self = Self { polling: true, websocket: false, webtransport: false };
    /// Only WebSocket.
    pub const WEBSOCKET: Self = Self { polling: false, websocket: true, webtransport: false };

    /// Those of `polling`, `websocket` and `webtransport` that are named; other names are passed over.
    ///
    /// ```
    /// use wirebird_engine::Transports;
    ///
    /// assert_eq!(Transports::named(["websocket", "flash"]), Transports::WEBSOCKET);
    /// ```
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut named = Self { polling: false, websocket: false, webtransport: false };
        for name in names {
            match name {
                "polling" => named.polling = true,
                "websocket" => named.websocket = true,
                "webtransport" => named.webtransport = true,
                _ => {}
            }
        }
        named
    }

    /// These, and WebTransport.
    #[must_use]
    pub const fn with_webtransport(self) -> Self {
        Self { webtransport: true, ..self }
    }
}

/// What may be queued for one client, and what happens when it is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendQueue {
    /// Packets at most. Default 8192.
    pub max_packets: usize,
    /// Bytes at most. Default 16 MiB. One message alone may be larger.
    pub max_bytes: usize,
    /// What happens to a client that reads too slowly.
    pub overflow: Overflow,
}

impl SendQueue {
    /// The same with another limit of packets.
    #[must_use]
    pub fn packets(self, max_packets: usize) -> Self {
        Self { max_packets, ..self }
    }

    /// The same with another limit of bytes.
    #[must_use]
    pub fn bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// The same with another policy.
    ///
    /// ```
    /// use wirebird_engine::{Overflow, SendQueue};
    ///
    /// let queue = SendQueue::default().bytes(1 << 20).overflow(Overflow::DropVolatile);
    /// assert_eq!(queue.max_bytes, 1 << 20);
    /// ```
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }
}

impl Default for SendQueue {
    fn default() -> Self {
        Self { max_packets: 8192, max_bytes: 16 << 20, overflow: Overflow::default() }
    }
}

/// What happens when a client's queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The client is closed, with a reason of its own: nothing is lost silently.
    #[default]
    Close,
    /// Volatile messages are dropped first, the oldest before the others; if that is not enough the client is closed.
    DropVolatile,
    /// The send fails and the message is dropped; the sender is told and may wait until the queue has room.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.validated().unwrap_err().to_string()
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        assert!(rejected(|c| c.ping_interval = Duration::ZERO).contains("ping_interval"));
        assert!(rejected(|c| c.max_payload = 0).contains("max_payload"));
        assert!(rejected(|c| c.path = "//".into()).contains("path"));
        assert!(
            rejected(|c| c.transports = Transports { polling: false, ..Transports::POLLING })
                .contains("transports")
        );
        assert!(rejected(|c| c.cookie = Some(Cookie::named("a;b"))).contains("cookie"));
        assert!(
            rejected(|c| c.cookie = Some(Cookie::default().attribute("Path", "/\r\nX: y"))).contains("Path")
        );
        for deflate in [Deflate::default().level(0), Deflate::default().level(10)] {
            assert!(rejected(|c| c.per_message_deflate = Some(deflate)).contains("level"));
        }
        for bits in [8, 16] {
            let deflate = Deflate::default().server_max_window_bits(bits);
            assert!(rejected(|c| c.per_message_deflate = Some(deflate)).contains("bits"));
            let deflate = Deflate::default().client_max_window_bits(bits);
            assert!(rejected(|c| c.per_message_deflate = Some(deflate)).contains("bits"));
        }
    }

    #[test]
    fn the_path_has_one_form() {
        let config = Config { path: "ws/".into(), ..Config::default() };
        assert_eq!(config.validated().unwrap().path, "/ws");
    }
}
