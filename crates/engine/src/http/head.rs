//! Heads of HTTP/1.1 messages: those of requests as clients write them, and those of responses.

use std::io::Write;
use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};

use super::date;
use super::direct::SMALL_BODY;

/// Headers that a usual request has at most.
const MAX_HEADERS: usize = 100;
/// Bytes that the head of a usual request has at most.
pub(super) const MAX_HEAD: usize = 16 << 10;

/// What was found of a request.
pub(super) enum Scan<'a> {
    Head(Head<'a>),
    /// The end of its head has not come yet.
    NotYet,
    /// It is left to somebody who knows all of HTTP.
    Unusual,
}

/// The head of a request: GET or POST in HTTP/1.1 on a connection that stays open, with a body of known length.
pub(super) struct Head<'a> {
    /// Everything, with the empty line.
    pub(super) bytes: &'a [u8],
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// How many headers there are.
    pub(super) headers: usize,
    /// Of the body.
    pub(super) length: usize,
    pub(super) accept_encoding: Option<&'a str>,
    /// It has headers that mean something to the engine and are not given here.
    pub(super) special: bool,
    /// There is a `Host`.
    host: bool,
}

impl<'a> Head<'a> {
    pub(super) fn scan(input: &'a [u8]) -> Scan<'a> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(input, &mut headers) {
            Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => len,
            Ok(httparse::Status::Partial) if input.len() < MAX_HEAD => return Scan::NotYet,
            _ => return Scan::Unusual,
        };
        Self::usual(&request, &input[..len]).map_or(Scan::Unusual, Scan::Head)
    }

    /// What matters of a request; `None` when it is unusual.
    fn usual(request: &httparse::Request<'_, 'a>, bytes: &'a [u8]) -> Option<Self> {
        let method = match request.method? {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return None,
        };
        let target = request.path.filter(|target| target.starts_with('/') && request.version == Some(1))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Self {
            bytes,
            method,
            path,
            query,
            headers: request.headers.len(),
            length: 0,
            accept_encoding: None,
            special: false,
            host: false,
        };
        let mut length = None;
        for header in request.headers.iter() {
            head.header(header.name, header.value, &mut length)?;
        }
        head.length = length.unwrap_or(0);
        (head.length == 0 || head.method == Method::POST).then_some(head)
    }

    /// Looks at a header; `None` when it is unusual.
    fn header(&mut self, name: &str, value: &'a [u8], length: &mut Option<usize>) -> Option<()> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => self.special |= std::mem::replace(&mut self.host, true),
            6 if is("expect") => return None,
            6 if is("origin") => self.special = true,
            7 if is("upgrade") => self.special = true,
            10 if is("connection") => {
                let usual = |option: &[u8]| {
                    let option = option.trim_ascii();
                    option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"upgrade")
                };
                return value.split(|byte| *byte == b',').all(usual).then_some(());
            }
            12 if is("content-type") => self.special |= value.starts_with(b"application/octet-stream"),
            14 if is("content-length") => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let value = std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
                return length.replace(value).is_none().then_some(());
            }
            15 if is("accept-encoding") => {
                let value = std::str::from_utf8(value).ok();
                self.special |= value.is_none() || self.accept_encoding.is_some();
                self.accept_encoding = value;
            }
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
        Some(())
    }

    /// The request as all of HTTP sees it; `None` when it is unusual.
    pub(super) fn parts(&self) -> Option<Parts> {
        let bytes = Bytes::copy_from_slice(self.bytes);
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(&bytes, &mut headers).ok()?;
        let mut parts = Request::new(()).into_parts().0;
        parts.method = self.method.clone();
        parts.uri = Uri::from_maybe_shared(bytes.slice_ref(request.path?.as_bytes())).ok()?;
        parts.headers.reserve(request.headers.len());
        for header in request.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?;
            parts.headers.append(name, value);
        }
        Some(parts)
    }

    /// The session that is asked for over polling, if the query says that and is written plainly.
    pub(super) fn polled_session(&self) -> Option<&'a str> {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'&' | b'-' | b'_' | b'.');
        if self.special || !self.query.bytes().all(plain) {
            return None;
        }
        let (mut session, mut transport) = (None, None);
        for parameter in self.query.as_bytes().split(|byte| *byte == b'&') {
            if let Some(value) = parameter.strip_prefix(b"sid=") {
                session.get_or_insert(value);
            } else if let Some(value) = parameter.strip_prefix(b"transport=") {
                transport.get_or_insert(value);
            } else if matches!(parameter, b"sid" | b"transport" | b"j" | [b'j', b'=', ..]) {
                return None;
            }
        }
        session.filter(|_| transport == Some(b"polling")).and_then(|id| std::str::from_utf8(id).ok())
    }
}

/// A response up to its body, with room for that if it is small.
pub(super) fn of_response(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let mut head = Vec::with_capacity(512 + response.body().len().min(SMALL_BODY));
    let reason = status.canonical_reason().unwrap_or("<none>");
    put(&mut head, [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    for (name, value) in response.headers() {
        put(&mut head, [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    let length = response.body().len();
    let has_length = !status.is_informational() && status != StatusCode::NO_CONTENT;
    end(&mut head, has_length.then_some(length));
    head
}

/// The head of a poll's answer, as most are, with room for the body if it is small. `by_encoding` and `by_origin` say whether the
/// answer depends on those headers.
pub(super) fn of_poll(by_encoding: bool, by_origin: bool, length: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(256 + length.min(SMALL_BODY));
    let fixed = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=UTF-8\r\ncache-control: no-store\r\n";
    let encoding: &[u8] = if by_encoding { b"vary: Accept-Encoding\r\n" } else { b"" };
    let origin: &[u8] = if by_origin { b"vary: Origin\r\n" } else { b"" };
    put(&mut head, [fixed, encoding, origin]);
    end(&mut head, Some(length));
    head
}

/// The whole answer to a POST, as most are.
pub(super) fn of_post(by_origin: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    let origin: &[u8] = if by_origin { b"vary: Origin\r\n" } else { b"" };
    put(&mut head, [b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", origin]);
    end(&mut head, Some(2));
    head.extend_from_slice(b"ok");
    head
}

fn put<const N: usize>(head: &mut Vec<u8>, parts: [&[u8]; N]) {
    parts.into_iter().for_each(|part| head.extend_from_slice(part));
}

/// The headers that every response has.
fn end(head: &mut Vec<u8>, length: Option<usize>) {
    if let Some(length) = length {
        // Text into a vector cannot fail.
        let _ = write!(head, "content-length: {length}\r\n");
    }
    date::with(|date| put(head, [b"date: ", date, b"\r\n\r\n"]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Option<(usize, usize, bool)> {
        match Head::scan(text.as_bytes()) {
            Scan::Head(head) => {
                assert!(head.parts().is_some());
                Some((head.bytes.len(), head.length, head.special))
            }
            Scan::NotYet => Some((0, 0, false)),
            Scan::Unusual => None,
        }
    }

    #[test]
    fn usual_requests_are_read() {
        let get = "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(scan(get), Some((get.len(), 0, false)));
        for len in 0..get.len() {
            assert_eq!(scan(&get[..len]), Some((0, 0, false)));
        }
        let post =
            "POST /socket.io/?sid=a HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length:  12 \r\n\r\n";
        assert_eq!(scan(&format!("{post}40")), Some((post.len(), 12, false)));
        for special in
            ["GET / HTTP/1.1\r\nORIGIN: http://a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
        {
            assert_eq!(scan(special), Some((special.len(), 0, true)));
        }
        let Scan::Head(head) = Head::scan(get.as_bytes()) else { panic!() };
        assert_eq!(head.polled_session(), Some("abc"));
        let parts = head.parts().unwrap();
        assert_eq!(parts.uri, "/socket.io/?EIO=4&transport=polling&sid=abc");
        assert_eq!(parts.headers.len(), 1);
        assert_eq!(parts.headers["host"], "a");
    }

    #[test]
    fn anything_else_is_left_alone() {
        for text in [
            "\x16\x03\x01",
            "HEAD / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nnothing\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\na",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        ] {
            assert_eq!(scan(text), None, "{text:?}");
        }
        let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{many}\r\n")), None);
        assert!(scan(&format!("GET / HTTP/1.1\r\n{}\r\n", &many[6..])).is_some());
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MAX_HEAD))), None);
    }

    #[test]
    fn a_session_is_found_only_where_the_query_is_plain() {
        let session = |query: &str| {
            let text = format!("GET /?{query} HTTP/1.1\r\n\r\n");
            let Scan::Head(head) = Head::scan(text.as_bytes()) else { panic!() };
            head.polled_session().map(str::to_owned)
        };
        assert_eq!(session("sid=a&sid=b&transport=polling").as_deref(), Some("a"));
        for other in [
            "transport=polling",
            "sid=a&transport=websocket",
            "sid&sid=a&transport=polling",
            "%73id=b&sid=a&transport=polling",
            "sid=a&transport=polling&x=<>",
        ] {
            assert_eq!(session(other), None);
        }
    }
}
