//! Agreeing on permessage-deflate (RFC 6455, section 9.1, and RFC 7692, sections 5 and 7.1).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

use super::HandshakeError;

/// The name by which clients ask for it.
const NAME: &str = "permessage-deflate";
/// What a window is without any word of it: 2^15 bytes.
const FULL: u8 = 15;
/// The smallest window that zlib compresses with, as 2^9 bytes.
const SMALLEST: u8 = 9;

/// What a server wants of permessage-deflate. Windows are powers of two: 9 (512 bytes) to 15 (32 KiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Whether the server compresses each message on its own, also for clients that do not ask for that.
    pub server_no_context_takeover: bool,
    /// Whether clients are told to compress each message on its own.
    pub client_no_context_takeover: bool,
    /// The largest window of the server.
    pub server_max_window_bits: u8,
    /// The largest window of clients that can be told one.
    pub client_max_window_bits: u8,
}

impl Default for DeflateOptions {
    /// Every message on its own, both ways, and full windows.
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: FULL,
            client_max_window_bits: FULL,
        }
    }
}

/// What a server and one client have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// Whether the server compresses each message on its own.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message on its own.
    pub client_no_context_takeover: bool,
    /// The window of the server.
    pub server_max_window_bits: u8,
    /// The largest window that the client may use.
    pub client_max_window_bits: u8,
    /// The client's window is named in the answer: the client has asked for that.
    names_client_window: bool,
}

impl DeflateOptions {
    /// Looks for the first acceptable offer of permessage-deflate in the headers of a WebSocket request. `None` when there
    /// is none: messages are then not compressed.
    ///
    /// An offer is passed over when a parameter in it is unknown, comes twice or has a value that it may not have
    /// (RFC 7692, section 7.1), or when it wants a server's window of 256 bytes, which zlib does not compress with.
    ///
    /// # Errors
    ///
    /// A header that is no list of extensions: the request is to be refused (RFC 6455, section 9.1).
    pub fn negotiate(&self, headers: &HeaderMap) -> Result<Option<DeflateParams>, HandshakeError> {
        let mut agreed = None;
        for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
            let mut rest = value.to_str().map_err(|_| HandshakeError::Extensions)?;
            while let Some(extension) = Extension::parse(&mut rest)? {
                if agreed.is_none() && extension.name.eq_ignore_ascii_case(NAME) {
                    agreed = self.accept(&extension);
                }
            }
        }
        Ok(agreed)
    }

    fn accept(&self, offer: &Extension<'_>) -> Option<DeflateParams> {
        let (mut server_alone, mut client_alone) = (None, None);
        let (mut server_window, mut client_window) = (None, None);
        for (name, value) in &offer.params {
            let first = match (*name, value.as_deref()) {
                ("server_no_context_takeover", None) => server_alone.replace(()).is_none(),
                ("client_no_context_takeover", None) => client_alone.replace(()).is_none(),
                ("server_max_window_bits", Some(bits)) => server_window.replace(window(bits)?).is_none(),
                ("client_max_window_bits", None) => client_window.replace(FULL).is_none(),
                ("client_max_window_bits", Some(bits)) => client_window.replace(window(bits)?).is_none(),
                _ => false,
            };
            if !first {
                return None;
            }
        }
        let bounded = |bits: u8| bits.clamp(SMALLEST, FULL);
        let server_max_window_bits = bounded(self.server_max_window_bits).min(server_window.unwrap_or(FULL));
        if server_max_window_bits < SMALLEST {
            return None;
        }
        let limit = bounded(self.client_max_window_bits);
        Some(DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover || server_alone.is_some(),
            client_no_context_takeover: self.client_no_context_takeover || client_alone.is_some(),
            server_max_window_bits,
            client_max_window_bits: client_window.map_or(FULL, |offered| offered.min(limit)),
            names_client_window: client_window.is_some(),
        })
    }
}

/// A window's size as it stands in a header: a number without leading zeros.
fn window(text: &str) -> Option<u8> {
    match text {
        "8" => Some(8),
        "9" => Some(9),
        _ => text.parse().ok().filter(|bits| text.len() == 2 && (10..=FULL).contains(bits)),
    }
}

impl DeflateParams {
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let mut text = NAME.to_owned();
        for (name, holds) in [
            ("server_no_context_takeover", self.server_no_context_takeover),
            ("client_no_context_takeover", self.client_no_context_takeover),
        ] {
            if holds {
                let _ = write!(text, "; {name}");
            }
        }
        // A window of 2^15 needs no word.
        for (name, bits, said) in [
            ("server_max_window_bits", self.server_max_window_bits, true),
            ("client_max_window_bits", self.client_max_window_bits, self.names_client_window),
        ] {
            if said && bits < FULL {
                let _ = write!(text, "; {name}={bits}");
            }
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(NAME))
    }
}

/// One element of the header's list.
struct Extension<'a> {
    name: &'a str,
    params: Vec<(&'a str, Option<String>)>,
}

impl<'a> Extension<'a> {
    /// Takes the next extension off the list; `None` at its end. Empty elements are passed over, as in every list of
    /// HTTP.
    fn parse(rest: &mut &'a str) -> Result<Option<Self>, HandshakeError> {
        while eat(rest, ',') {}
        if rest.is_empty() {
            return Ok(None);
        }
        let name = token(rest)?;
        let mut params = Vec::new();
        while eat(rest, ';') {
            let name = token(rest)?;
            let value = if eat(rest, '=') { Some(self::value(rest)?) } else { None };
            params.push((name, value));
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(HandshakeError::Extensions);
        }
        Ok(Some(Self { name, params }))
    }
}

/// Takes off a character and the spaces around it, if it is the next one.
fn eat(rest: &mut &str, character: char) -> bool {
    let trimmed = rest.trim_start_matches([' ', '\t']);
    let found = trimmed.strip_prefix(character);
    *rest = found.unwrap_or(trimmed).trim_start_matches([' ', '\t']);
    found.is_some()
}

/// Takes off a token, and the spaces after it.
fn token<'a>(rest: &mut &'a str) -> Result<&'a str, HandshakeError> {
    let (token, after) = rest.split_at(rest.bytes().take_while(is_token).count());
    *rest = after.trim_start_matches([' ', '\t']);
    if token.is_empty() { Err(HandshakeError::Extensions) } else { Ok(token) }
}

/// Takes off a parameter's value. In quotes it has to be a token, too (RFC 6455, section 9.1).
fn value(rest: &mut &str) -> Result<String, HandshakeError> {
    let Some(quoted) = rest.strip_prefix('"') else { return token(rest).map(Into::into) };
    let mut characters = quoted.chars();
    let mut text = String::new();
    loop {
        match characters.next().ok_or(HandshakeError::Extensions)? {
            '"' => break,
            '\\' => text.extend(characters.next()),
            character => text.push(character),
        }
    }
    *rest = characters.as_str().trim_start_matches([' ', '\t']);
    let valid = !text.is_empty() && text.bytes().all(|byte| is_token(&byte));
    if valid { Ok(text) } else { Err(HandshakeError::Extensions) }
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: DeflateOptions = DeflateOptions {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };

    fn answers(options: &DeflateOptions, headers: &[&'static str]) -> Option<String> {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(value));
        }
        let agreed = options.negotiate(&map).expect("a list of extensions")?;
        Some(agreed.header_value().to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn no_offer_no_answer() {
        assert_eq!(answers(&OPTIONS, &[]), None);
        assert_eq!(answers(&OPTIONS, &[""]), None);
        assert_eq!(answers(&OPTIONS, &["x-webkit-deflate-frame, bzip2; level=9"]), None);
    }

    /// RFC 7692, section 7.1: what may stand in an offer, and the answer to it.
    #[test]
    fn offers_and_answers() {
        for (offer, answer) in [
            ("permessage-deflate", "permessage-deflate"),
            ("Permessage-Deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate;client_max_window_bits=15", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8"),
            (
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover",
            ),
            (
                "permessage-deflate ;\tserver_no_context_takeover;server_max_window_bits = \"1\\0\"",
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
            ),
        ] {
            assert_eq!(answers(&OPTIONS, &[offer]).as_deref(), Some(answer), "{offer}");
        }
    }

    #[test]
    fn offers_that_are_declined() {
        for offer in [
            "permessage-deflate; unknown",
            "permessage-deflate; SERVER_MAX_WINDOW_BITS=10",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=ten",
        ] {
            assert_eq!(answers(&OPTIONS, &[offer]), None, "{offer}");
        }
    }

    #[test]
    fn the_first_acceptable_offer_counts() {
        let first =
            "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=11, permessage-deflate";
        assert_eq!(
            answers(&OPTIONS, &[first]).as_deref(),
            Some("permessage-deflate; server_max_window_bits=11")
        );
        let second = ["other; a=\"b\", permessage-deflate; server_max_window_bits", ",, permessage-deflate"];
        assert_eq!(answers(&OPTIONS, &second).as_deref(), Some("permessage-deflate"));
    }

    #[test]
    fn the_options_of_the_server() {
        let alone = DeflateOptions::default();
        assert_eq!(
            answers(&alone, &["permessage-deflate"]).as_deref(),
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        );
        let small = DeflateOptions { server_max_window_bits: 10, client_max_window_bits: 12, ..OPTIONS };
        for (offer, answer) in [
            // A client that does not say that it can be told a window is not told one.
            ("permessage-deflate", "permessage-deflate; server_max_window_bits=10"),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=12",
                "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
            ),
            (
                "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
            ),
        ] {
            assert_eq!(answers(&small, &[offer]).as_deref(), Some(answer), "{offer}");
        }
    }

    #[test]
    fn what_is_no_list_of_extensions() {
        for value in [
            ";",
            "permessage-deflate;",
            "permessage-deflate; =1",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"10",
            "permessage-deflate; server_max_window_bits=\"\"",
            "permessage-deflate; server_max_window_bits=\"1 0\"",
            "permessage-deflate other",
            "permessage-deflate, a=b",
            "permessage/deflate",
        ] {
            let mut map = HeaderMap::new();
            map.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(value));
            assert_eq!(OPTIONS.negotiate(&map), Err(HandshakeError::Extensions), "{value}");
        }
        let mut map = HeaderMap::new();
        map.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
        assert_eq!(OPTIONS.negotiate(&map), Err(HandshakeError::Extensions));
    }
}
