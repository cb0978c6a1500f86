//! The opening handshake (RFC 6455, section 4.2).

use std::{error, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    request::Parts,
};
use sha1::{Digest, Sha1};

/// What a server appends to the client's key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Keys are base64 of 16 bytes. Some clients leave stray bits in the last character; they do no harm.
const KEY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Why a request is no acceptable WebSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// The `Upgrade` header does not list `websocket`.
    Upgrade,
    /// The `Connection` header does not list `upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing, given twice, or not base64 of 16 bytes.
    Key,
    /// `Sec-WebSocket-Extensions` is no list of extensions.
    Extensions,
}

impl HandshakeError {
    /// The HTTP status to answer with: 426 for another WebSocket version, together with the header
    /// `Sec-WebSocket-Version: 13` (section 4.4), and 400 for all else.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "WebSocket handshake with a method other than GET",
            Self::HttpVersion => "WebSocket handshake with an HTTP version other than 1.1",
            Self::Upgrade => "WebSocket handshake without `Upgrade: websocket`",
            Self::Connection => "WebSocket handshake without `Connection: upgrade`",
            Self::Version => "WebSocket handshake with a `Sec-WebSocket-Version` other than 13",
            Self::Key => "WebSocket handshake with a missing or invalid `Sec-WebSocket-Key`",
            Self::Extensions => "WebSocket handshake with an invalid `Sec-WebSocket-Extensions`",
        })
    }
}

impl error::Error for HandshakeError {}

/// Checks an upgrade request, and gives the value of the `Sec-WebSocket-Accept` header (section 4.2).
///
/// Origin and subprotocols are not looked at, and extensions are for
/// [`DeflateOptions::negotiate`](super::DeflateOptions::negotiate).
///
/// # Errors
///
/// The first requirement of section 4.2.1 that the request does not meet.
pub fn accept(parts: &Parts) -> Result<HeaderValue, HandshakeError> {
    if parts.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if parts.version != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    let headers = &parts.headers;
    if !lists(headers, &UPGRADE, "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != b"13") {
        return Err(HandshakeError::Version);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    let mut nonce = [0; 18];
    if key.len() != 24 || KEY.decode_slice(key, &mut nonce) != Ok(16) {
        return Err(HandshakeError::Key);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut value = [0; 28];
    match general_purpose::STANDARD.encode_slice(digest, &mut value) {
        Ok(len) => HeaderValue::from_bytes(&value[..len]).map_err(|_| HandshakeError::Key),
        Err(_) => Err(HandshakeError::Key),
    }
}

/// Whether the request asks for an upgrade to WebSocket: `Connection` lists `upgrade`, and `Upgrade` lists `websocket`.
///
/// Whether it does so correctly is for [`accept`] to say.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    lists(headers, &UPGRADE, "websocket") && lists(headers, &CONNECTION, "upgrade")
}

/// The head of the response that accepts the handshake, down to the empty line, with the `extra` headers.
///
/// For sockets that no HTTP library answers. `extra` cannot replace the headers of the handshake itself.
#[must_use]
pub fn response_bytes(accept: &HeaderValue, extra: &HeaderMap) -> Bytes {
    let mut head = Vec::with_capacity(160 + 64 * extra.len());
    head.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    let mut put = |name: &[u8], value: &HeaderValue| {
        for part in [name, b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    put(b"Sec-WebSocket-Accept", accept);
    for (name, value) in extra {
        if ![UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT].contains(name) {
            put(name.as_str().as_bytes(), value);
        }
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// Whether one of the comma-separated values of the header is `token`, in any case.
fn lists(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that may stand only once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get("/socket.io/?EIO=4&transport=websocket");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn with(changed: &str, values: &[&str]) -> Parts {
        let mut headers = vec![
            ("host", "localhost"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", SAMPLE_KEY),
        ];
        headers.retain(|(name, _)| *name != changed);
        headers.extend(values.iter().map(|value| (changed, *value)));
        request(&headers)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let parts = with("origin", &["http://example.com"]);
        assert!(is_upgrade(&parts.headers));
        assert_eq!(accept(&parts).expect("accepted"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lists_in_any_case() {
        for value in ["keep-alive, Upgrade", "UPGRADE", "upgrade ,close"] {
            assert!(accept(&with("connection", &[value])).is_ok(), "{value}");
        }
        assert!(accept(&with("connection", &["keep-alive", "upgrade"])).is_ok());
        assert!(accept(&with("upgrade", &["h2c, WebSocket"])).is_ok());
    }

    #[test]
    fn refusals() {
        let mut post = with("", &[]);
        post.method = Method::POST;
        assert_eq!(accept(&post), Err(HandshakeError::Method));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            let mut parts = with("", &[]);
            parts.version = version;
            assert_eq!(accept(&parts), Err(HandshakeError::HttpVersion));
        }
        let refused = [
            (
                "upgrade",
                HandshakeError::Upgrade,
                &[&[][..], &["h2c"], &["websocket/13"], &["websockets"]][..],
            ),
            ("connection", HandshakeError::Connection, &[&[][..], &["keep-alive"], &["upgraded"]]),
            ("sec-websocket-version", HandshakeError::Version, &[&[][..], &["8"], &["13, 8"], &["13", "8"]]),
            (
                "sec-websocket-key",
                HandshakeError::Key,
                &[
                    &[][..],
                    &[""],
                    &["dGhlIHNhbXBsZSBub25jZQ"],
                    &["dGhlIHNhbXBsZSBub25jZQ=="; 2],
                    &["dGhlIHNhbXBsZSBub25jZSE="],
                    &["dGhlIHNhbXBsZSBub24=dGhl"],
                    &["dGhlIHNhbXBsZSBub25jZ!=="],
                ],
            ),
        ];
        for (name, error, cases) in refused {
            for values in cases {
                assert_eq!(accept(&with(name, values)), Err(error), "{name}: {values:?}");
            }
        }
        assert_eq!(HandshakeError::Version.status(), 426);
        assert_eq!(HandshakeError::Key.status(), 400);
    }

    #[test]
    fn not_every_upgrade_is_for_us() {
        assert!(!is_upgrade(&with("upgrade", &["h2c"]).headers));
        assert!(!is_upgrade(&with("connection", &[]).headers));
        assert!(is_upgrade(&with("sec-websocket-key", &[]).headers));
    }

    #[test]
    fn response_head() {
        let mut extra = HeaderMap::new();
        extra.append("set-cookie", HeaderValue::from_static("io=1"));
        extra.append("set-cookie", HeaderValue::from_static("a=b"));
        extra.insert(CONNECTION, HeaderValue::from_static("close"));
        let head = response_bytes(&HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), &extra);
        assert_eq!(
            std::str::from_utf8(&head),
            Ok("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nset-cookie: io=1\r\nset-cookie: a=b\r\n\r\n")
        );
    }
}
