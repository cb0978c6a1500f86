//! Requests that are refused: why, and what clients are told of it.

use std::fmt;

use http::StatusCode;
use http::request::Parts;
use wirebird_proto::websocket::HandshakeError;

use crate::id;
use crate::limit::Limit;

/// A request that was refused.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// The HTTP status of the answer.
    pub status: StatusCode,
    /// The Engine.IO error code, if there is one for it.
    pub code: Option<u8>,
    /// What the client is told.
    pub message: &'a str,
    /// What is wrong, for the operator: it displays as a sentence, without secrets.
    pub cause: &'a Cause,
    /// The request.
    pub parts: &'a Parts,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The parameter `transport` is missing, unknown, or of a transport that is not offered.
    Transport(Option<String>),
    /// No session has this id: it has ended, or it lives on another server. Treat the id as a secret.
    Session(String),
    /// A session is not opened by this method.
    HandshakeMethod,
    /// A session has no such method.
    Method,
    /// A page of this origin may not connect.
    Origin {
        /// The origin, as the client sent it.
        origin: String,
        /// What it was compared with.
        expected: String,
    },
    /// A header that may stand once is there more often: which of them counts, a proxy could understand otherwise.
    Repeated(&'static str),
    /// The request asks for a WebSocket, and is no valid handshake for one.
    WebSocket(HandshakeError),
    /// The session cannot move to a WebSocket, because upgrades are not allowed.
    NoUpgrades,
    /// A poll or a POST that wants to become a WebSocket.
    UpgradeOnPolling,
    /// A poll or a POST, and the session is on WebSocket already.
    OtherTransport,
    /// A second poll or a second POST of a session at a time; it has been closed.
    Overlap,
    /// A POST of binary data, which this version of the protocol does not have; the session has been closed.
    BinaryPost,
    /// A poll or a POST of a client that polls by script tags, which is not allowed.
    NoJsonp,
    /// The parameter `j`, by which a client polls by script tags, is not 1 to 9 digits.
    Callback(String),
    /// The application refuses the client, in these words.
    Forbidden(String),
    /// The client speaks another version of the protocol.
    Version(Option<String>),
    /// The body is larger than `max_payload` allows.
    BodyTooLarge,
    /// The body did not come in the time that `body_timeout` gives it; the session has been closed.
    BodyTimeout,
    /// The head is larger than `max_head` allows.
    HeadTooLarge,
    /// There are more headers than `max_headers` allows.
    TooManyHeaders,
    /// The target is longer than `max_url` allows.
    UrlTooLong,
    /// The client's address has as many sessions as `max_connections_per_address` allows.
    AddressFull,
    /// More sessions are opened at a time than `handshake_rate` allows.
    TooFast,
    /// There are as many sessions as `max_sessions` allows.
    Full,
    /// The server is closing.
    Closing,
    /// The server is draining: those that are connected go on for a while, and no others are let in.
    Draining,
    /// No id could be made for a session.
    NoId,
}

impl Cause {
    /// A short name that stays the same, for logs and metrics: `unknown-session`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transport(_) => "unknown-transport",
            Self::Session(_) => "unknown-session",
            Self::HandshakeMethod => "handshake-method",
            Self::Method => "method",
            Self::Origin { .. } => "origin",
            Self::Repeated(_) => "repeated-header",
            Self::WebSocket(_) => "websocket-handshake",
            Self::NoUpgrades => "no-upgrades",
            Self::UpgradeOnPolling => "upgrade-on-polling",
            Self::OtherTransport => "other-transport",
            Self::Overlap => "overlap",
            Self::BinaryPost => "binary-post",
            Self::NoJsonp => "no-jsonp",
            Self::Callback(_) => "callback",
            Self::Forbidden(_) => "forbidden",
            Self::Version(_) => "version",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyTimeout => "body-timeout",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyHeaders => "too-many-headers",
            Self::UrlTooLong => "url-too-long",
            Self::AddressFull => "address-full",
            Self::TooFast => "too-fast",
            Self::Full => "full",
            Self::Closing => "closing",
            Self::Draining => "draining",
            Self::NoId => "no-id",
        }
    }

    /// The limit that the request ran into, if that is the cause.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Overlap => Some(Limit::Overlap),
            Self::BodyTooLarge => Some(Limit::Payload),
            Self::BodyTimeout => Some(Limit::BodyTime),
            Self::HeadTooLarge => Some(Limit::HeaderBytes),
            Self::TooManyHeaders => Some(Limit::HeaderCount),
            Self::UrlTooLong => Some(Limit::UrlBytes),
            Self::AddressFull => Some(Limit::ConnectionsPerAddress),
            Self::TooFast => Some(Limit::HandshakeRate),
            Self::Full => Some(Limit::Sessions),
            _ => None,
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UrlTooLong => StatusCode::URI_TOO_LONG,
            Self::AddressFull | Self::TooFast => StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::Closing | Self::Draining | Self::NoId => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The Engine.IO error code, if there is one for it.
    pub fn code(&self) -> Option<u8> {
        Some(match self {
            Self::Transport(_) => 0,
            Self::Session(_) => 1,
            Self::HandshakeMethod | Self::Method => 2,
            Self::Origin { .. }
            | Self::Repeated(_)
            | Self::WebSocket(_)
            | Self::NoUpgrades
            | Self::UpgradeOnPolling
            | Self::OtherTransport
            | Self::NoJsonp
            | Self::Callback(_) => 3,
            Self::Forbidden(_) => 4,
            Self::Version(_) => 5,
            _ => return None,
        })
    }

    /// What the client is told; empty where there is no code.
    pub fn message(&self) -> &str {
        match self {
            Self::Origin { .. } => "Not an accepted origin",
            Self::Forbidden(message) => message,
            _ => match self.code() {
                Some(0) => "Transport unknown",
                Some(1) => "Session ID unknown",
                Some(2) => "Bad handshake method",
                Some(3) => "Bad request",
                Some(5) => "Unsupported protocol version",
                _ => "",
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Transport(None) => "the parameter `transport` is missing",
            Self::Transport(Some(name)) => {
                return write!(f, "the transport {:?} is unknown or not offered", Clipped(name));
            }
            Self::Session(id) => {
                return write!(
                    f,
                    "there is no session {:?}…: it has ended, or lives on another server",
                    id::hint(id)
                );
            }
            Self::HandshakeMethod => "a session is opened by GET",
            Self::Method => "only GET, POST and OPTIONS are known",
            Self::Origin { origin, expected } => {
                return write!(
                    f,
                    "the origin {:?} is not one of those allowed: {:?}",
                    Clipped(origin),
                    Clipped(expected)
                );
            }
            Self::Repeated(name) => return write!(f, "the header `{name}` is there more than once"),
            Self::WebSocket(error) => return write!(f, "{error}; does a proxy drop the Upgrade header?"),
            Self::NoUpgrades => "upgrades are not allowed",
            Self::UpgradeOnPolling => "an upgrade request with transport=polling",
            Self::OtherTransport => "the session is on WebSocket",
            Self::Overlap => "a second request of the same kind at a time; the session has been closed",
            Self::BinaryPost => "a POST of binary data; the session has been closed",
            Self::NoJsonp => "polling by script tags is not allowed",
            Self::Callback(callback) => {
                return write!(f, "the parameter `j` is not 1 to 9 digits but {:?}", Clipped(callback));
            }
            Self::Forbidden(message) => {
                return write!(f, "the application refuses: {:?}", Clipped(message));
            }
            Self::Version(None) => "the parameter `EIO` is missing",
            Self::Version(Some(version)) => {
                return write!(f, "protocol version {:?} is not spoken here", Clipped(version));
            }
            Self::BodyTooLarge => "the body is over max_payload",
            Self::BodyTimeout => "the body did not come within body_timeout; the session has been closed",
            Self::HeadTooLarge => "the head is over max_head",
            Self::TooManyHeaders => "there are more headers than max_headers",
            Self::UrlTooLong => "the target is over max_url",
            Self::AddressFull => "the address has max_connections_per_address sessions",
            Self::TooFast => "more sessions are opened than handshake_rate",
            Self::Full => "max_sessions sessions are open",
            Self::Closing => "the server is closing",
            Self::Draining => "the server is draining: it takes no new clients",
            Self::NoId => "no session id could be made, or it was taken",
        };
        f.write_str(text)
    }
}

/// Text of a client, shown escaped and up to some length.
pub(crate) struct Clipped<'a>(pub(crate) &'a str);

impl fmt::Debug for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_is_shown_escaped_and_clipped() {
        let nasty = format!("\u{1b}[31m\n{}", "x".repeat(1000));
        for cause in [
            Cause::Transport(Some(nasty.clone())),
            Cause::Origin { origin: nasty.clone(), expected: nasty.clone() },
            Cause::Version(Some(nasty.clone())),
            Cause::Forbidden(nasty.clone()),
            Cause::Callback(nasty.clone()),
            Cause::Session(nasty),
        ] {
            let text = cause.to_string();
            assert!(!text.contains(char::is_control) && text.len() < 600, "{text}");
        }
    }

    #[test]
    fn session_ids_are_not_shown_as_a_whole() {
        let text = Cause::Session("7O_w46oQqMq5FpqZAAAA".into()).to_string();
        assert!(text.contains("7O_w") && !text.contains("7O_w4"), "{text}");
    }
}
