//! How long a connection may be idle between two requests: `keep_alive_timeout`, unless the client of the last one is found
//! dead before. Whoever vanishes without a word leaves no connection behind when its session has ended.

use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use crate::config::Config;
use crate::engine::Engine;
use crate::handshake::PeerAddr;
use crate::id::Id;

/// The timer of the session has run by then.
const GRAIN: Duration = Duration::from_millis(20);

/// A session that a request has opened, in the extensions of that.
#[derive(Clone, Copy)]
pub(super) struct Opened(pub(super) Id);

/// A connection that waits for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    end: Instant,
    /// The session of the last request.
    session: Option<Id>,
}

/// Whether the connection of requests with these extensions is that of one client. Proxies have one for many, and do not
/// vanish with one of these.
pub(super) fn is_one_clients(config: &Config, known: &Extensions) -> bool {
    known.get::<PeerAddr>().is_some_and(|peer| !config.trusted_proxies.trusts(Some(peer.0)))
}

impl Idle {
    /// From now on.
    pub(super) fn new(config: &Config, session: Option<Id>) -> Self {
        Self { end: Instant::now() + config.keep_alive_timeout, session }
    }

    /// As if it had begun now.
    pub(super) fn begun_again(self, config: &Config) -> Self {
        Self::new(config, self.session)
    }

    /// When it is to be looked for the first time. No session ends earlier for silence, and sessions are not looked at for each
    /// request.
    pub(super) fn first_look(self, config: &Config) -> Instant {
        let early = self.session.map(|_| Instant::now() + config.ping_timeout);
        early.map_or(self.end, |early| early.min(self.end))
    }

    /// When it is to be looked again; `None` when the connection has been idle for too long.
    pub(super) fn next_look(self, engine: &Engine) -> Option<Instant> {
        let now = Instant::now();
        if now >= self.end {
            return None;
        }
        let Some(id) = self.session else { return Some(self.end) };
        let left = engine.session(id.as_str())?.life_left()?;
        Some(self.end.min(now + left + GRAIN))
    }
}
