//! Headers that the application adds to responses.

use http::HeaderMap;
use http::header::{self, HeaderName};
use http::request::Parts;

use super::is_news;
use crate::config::AddHeaders;
use crate::engine::{Engine, guard};

/// What belongs to the framing of messages, and what the protocol itself says. Others must not touch it.
const OWN: [HeaderName; 13] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The headers that hooks add to one response.
#[derive(Debug, Default)]
pub(super) struct Extra(Option<Box<HeaderMap>>);

impl Extra {
    /// Asks a hook, if there is one.
    pub(super) fn ask(engine: &Engine, hook: Option<&AddHeaders>, parts: &Parts) -> Self {
        let Some(hook) = hook else { return Self(None) };
        let mut headers = HeaderMap::new();
        guard(|| hook(&mut headers, parts));
        for name in OWN {
            if headers.remove(&name).is_some() && is_news(engine, name.as_str()) {
                tracing::warn!(
                    target: "wirebird::engineio",
                    header = %name, "a header that is the server's own was not added to a response"
                );
            }
        }
        Self((!headers.is_empty()).then(|| Box::new(headers)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds those of another hook.
    pub(super) fn add(&mut self, other: Self) {
        match &mut self.0 {
            Some(headers) => other.apply(headers),
            None => *self = other,
        }
    }

    /// Adds the headers to a response. They take the place of others of their name, but where a list grows.
    pub(super) fn apply(&self, response: &mut HeaderMap) {
        let Some(headers) = &self.0 else { return };
        for name in headers.keys() {
            if !matches!(*name, header::VARY | header::SET_COOKIE) {
                response.remove(name);
            }
            for value in headers.get_all(name) {
                response.append(name, value.clone());
            }
        }
    }
}
