//! What operators read of requests. Every refusal is an event at level debug; what somebody should do something about
//! is said at level warn, too, at most once a minute for each kind.

use http::header::{HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;

use super::Query;
use crate::engine::Engine;
use crate::handshake::PeerAddr;
use crate::id;
use crate::proxies::Forwarded;
use crate::refusal::{Cause, Clipped};
use crate::timer::Millis;

/// How long what was logged is not logged again, in milliseconds.
const EVERY: Millis = 60_000;
/// How much is remembered for that.
const MEMORY: usize = 64;

/// Says why a request is refused, with all that is needed to find out more.
pub(super) fn refused(engine: &Engine, parts: &Parts, cause: &Cause) {
    if tracing::enabled!(target: "wirebird::engineio", tracing::Level::DEBUG) {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let origin = parts.headers.get(ORIGIN).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        tracing::debug!(
            target: "wirebird::engineio",
            cause = cause.name(),
            detail = %cause,
            status = cause.status().as_u16(),
            code = cause.code(),
            method = %parts.method,
            transport = query.transport.as_deref().map(|name| tracing::field::debug(Clipped(name))),
            sid = query.sid.as_deref().map(|sid| tracing::field::debug(Clipped(id::hint(sid)))),
            origin = origin.as_deref().map(|origin| tracing::field::debug(Clipped(origin))),
            peer = parts.extensions.get::<PeerAddr>().map(|peer| tracing::field::display(peer.0)),
            "request refused"
        );
    }
    let advice = match cause {
        Cause::Origin { .. } => {
            "refused an origin; if it is yours, name it with cors_allowed_origins, \
             and behind a proxy set trusted_proxies"
        }
        Cause::Version(Some(version)) if version == "3" => {
            "refused a client of Engine.IO 3, such as JavaScript clients before version 3; allow_eio3 lets them in"
        }
        Cause::NoJsonp => {
            "refused a client that polls by script tags; jsonp lets such clients in, and says what that opens"
        }
        Cause::Version(_) => {
            "refused a client of another protocol version: this server speaks Engine.IO 4, \
             which JavaScript clients use from version 3 on"
        }
        Cause::Session(sid) if engine.shared().has_known(sid) => return,
        Cause::Session(_) => {
            "refused requests of sessions that are not here and have not ended here lately; after a restart this is \
             normal, but if several servers share the load, the balancer has to keep a client on one of them, or \
             clients have to use WebSocket alone"
        }
        Cause::BodyTooLarge => return too_large(engine, "polling"),
        Cause::HeadTooLarge => "refused a request with a large head; max_head allows more",
        Cause::TooManyHeaders => "refused a request with many headers; max_headers allows more",
        Cause::UrlTooLong => "refused a request with a long target; max_url allows more",
        Cause::BodyTimeout => "refused a request whose body did not come in time; body_timeout allows more",
        Cause::AddressFull => {
            "refused a client because max_connections_per_address clients of its address are connected; behind a proxy set \
             trusted_proxies"
        }
        Cause::TooFast => "refused a client because more than handshake_rate come in a second",
        Cause::Full => "refused a client because max_sessions sessions are open",
        _ => return,
    };
    let kind = match cause {
        Cause::Origin { origin, .. } => format!("origin {:?}", Clipped(origin)),
        other => other.name().to_owned(),
    };
    if is_news(engine, &kind) {
        tracing::warn!(target: "wirebird::engineio", cause = cause.name(), detail = %cause, "{advice}");
    }
}

/// Says that a client sent more than is allowed: nobody else would tell the operator.
pub(crate) fn too_large(engine: &Engine, transport: &str) {
    if is_news(engine, "max_payload") {
        tracing::warn!(
            target: "wirebird::engineio",
            transport, max_payload = engine.config().max_payload,
            "a client sent a message over the limit; raise max_payload if it should not be refused"
        );
    }
}

/// Says that trusted proxies are not recognised, because the listener does not say who connects.
pub(super) fn peer_unknown(engine: &Engine, headers: &HeaderMap) {
    if Forwarded::is_in(headers) && is_news(engine, "peer") {
        tracing::warn!(
            target: "wirebird::engineio",
            "forwarding headers do not count, because it is not known whose connection they come on: \
             let the listener put a PeerAddr into the requests' extensions, or set peer_addr"
        );
    }
}

/// Whether something has not been logged within the last minute. What comes from clients must not flood the log.
pub(crate) fn is_news(engine: &Engine, what: &str) -> bool {
    let now = engine.now();
    let mut seen = engine.shared().logged.lock();
    seen.retain(|(_, at)| now.saturating_sub(*at) < EVERY);
    // Many origins must not keep the few other kinds from being said.
    let room = seen.len() < MEMORY || !what.starts_with("origin ");
    let news = room && !seen.iter().any(|(other, _)| other == what);
    if news {
        seen.push((what.into(), now));
    }
    news
}
