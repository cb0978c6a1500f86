//! Refusals, with the statuses and bodies that clients know from Node's server.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::cors::{CorsHeaders, OriginRefused};
use crate::engine::Engine;

/// How long what was refused is not logged again.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Refusals that are remembered for that.
const LOG_MEMORY: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<u8>,
    pub(crate) message: Cow<'static, str>,
}

impl Refused {
    pub(crate) const TRANSPORT: Self = Self::coded(0, "Transport unknown");
    pub(crate) const SESSION: Self = Self::coded(1, "Session ID unknown");
    pub(crate) const HANDSHAKE_METHOD: Self = Self::coded(2, "Bad handshake method");
    pub(crate) const REQUEST: Self = Self::coded(3, "Bad request");
    pub(crate) const ORIGIN: Self = Self::coded(3, "Not an accepted origin");
    pub(crate) const VERSION: Self = Self::coded(5, "Unsupported protocol version");
    pub(crate) const METHOD: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: Some(2),
        message: Cow::Borrowed("Bad handshake method"),
    };
    pub(crate) const EMPTY: Self = Self::bare(StatusCode::BAD_REQUEST);
    pub(crate) const TOO_LARGE: Self = Self::bare(StatusCode::PAYLOAD_TOO_LARGE);
    pub(crate) const HEAD_TOO_LARGE: Self = Self::bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    pub(crate) const CLOSING: Self = Self::bare(StatusCode::SERVICE_UNAVAILABLE);

    const fn coded(code: u8, message: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: Some(code), message: Cow::Borrowed(message) }
    }

    const fn bare(status: StatusCode) -> Self {
        Self { status, code: None, message: Cow::Borrowed("") }
    }

    pub(crate) fn forbidden(message: String) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: Some(4), message: Cow::Owned(message) }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = match self.code {
            Some(code) => {
                let body = serde_json::json!({ "code": code, "message": self.message }).to_string();
                text(self.status, "application/json", body.into())
            }
            None => text(self.status, "text/plain", Bytes::new()),
        };
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
        }
        response
    }
}

pub(crate) fn text(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn preflight(engine: &Engine, request: &HeaderMap, cors: &CorsHeaders) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors.apply(response.headers_mut());
    engine.config().cors.preflight(request, response.headers_mut());
    response
}

/// Says which origin was refused and what it was compared with, at most once a minute for each.
pub(crate) fn log_origin(engine: &Engine, refused: &OriginRefused) {
    let origin = format!("origin://{}", refused.origin);
    if !is_news(engine, &origin) {
        return;
    }
    tracing::warn!(
        target: "wirebird::engineio",
        origin = %refused.origin, expected = %refused.expected,
        "refused an origin; if it is yours, name it with cors_allowed_origins, \
         and behind a proxy set trusted_proxies"
    );
}

/// Whether something has not been logged within the last minute. What comes from clients must not flood the log.
fn is_news(engine: &Engine, what: &str) -> bool {
    let now = Instant::now();
    let mut seen = engine.shared().logged.lock();
    seen.retain(|(_, at)| now.duration_since(*at) < LOG_EVERY);
    // Many origins must not keep the few kinds of other refusals from being said.
    let room = seen.len() < LOG_MEMORY || !what.contains("://");
    let news = room && !seen.iter().any(|(other, _)| other == what);
    if news {
        seen.push((what.into(), now));
    }
    news
}

/// Says that a client speaks another version, at most once a minute.
pub(crate) fn log_version(engine: &Engine, version: Option<&str>) {
    if !is_news(engine, "EIO") {
        return;
    }
    tracing::warn!(
        target: "wirebird::engineio",
        version = version.unwrap_or("none"),
        "refused a client of another protocol version: this server speaks Engine.IO 4, \
         which JavaScript clients use from version 3 on"
    );
}

/// Says that a client sent more than is allowed, at most once a minute: nobody else would tell the operator.
pub(crate) fn log_too_large(engine: &Engine, transport: &str) {
    if is_news(engine, "max_payload") {
        tracing::warn!(
            target: "wirebird::engineio",
            transport, max_payload = engine.config().max_payload,
            "a client sent a message over the limit; raise max_payload if it should not be refused"
        );
    }
}
