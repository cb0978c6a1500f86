//! The answers to requests of clients.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use wirebird_proto::engine_io::{jsonp, v3};
use wirebird_proto::websocket::DeflateParams;

use super::hooks::Extra;
use super::{Step, compress, head, respond};
use crate::cors::CorsHeaders;
use crate::engine::Engine;
use crate::polling::PollBody;
use crate::refusal::Cause;
use crate::stream::WebSocket;

/// What the final answer to a request needs to know of it.
#[derive(Debug)]
pub struct Reply {
    pub(super) cors: CorsHeaders,
    pub(super) encoding: compress::Encoding,
    /// The key of a WebSocket; one of HTTP/2 has none.
    pub(super) accept: Option<HeaderValue>,
    pub(super) cookie: Option<HeaderValue>,
    pub(super) extra: Extra,
    /// Polls are answered with a script that calls this.
    pub(super) callback: Option<jsonp::Callback>,
    /// The extensions of the WebSocket.
    pub(super) extensions: Option<HeaderValue>,
}

impl Reply {
    pub(super) fn accepting(
        self,
        websocket: WebSocket,
        accept: Option<HeaderValue>,
        agreed: Option<DeflateParams>,
    ) -> Step {
        let extensions = agreed.map(|agreed| agreed.header_value());
        Step::WebSocket(websocket.with_deflate(agreed), Self { accept, extensions, ..self })
    }

    /// The answer to a poll, compressed if it is worth it and the client can read it.
    pub fn poll(&self, body: PollBody) -> Response<Bytes> {
        let (body, content_type) = match self.callback {
            Some(callback) => {
                (body.map(|packets| callback.script(&packets)), "text/javascript; charset=UTF-8")
            }
            None if v3::is_binary_payload(body.bytes()) => (body, "application/octet-stream"),
            None => (body, "text/plain; charset=UTF-8"),
        };
        let (body, encoding) = self.encoding.apply(body);
        let mut response = respond::text(StatusCode::OK, content_type, body);
        let headers = response.headers_mut();
        if self.callback.is_some() {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.encoding.varies() {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Some(cookie) = &self.cookie {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        self.finish(response)
    }

    /// Adds what every answer to this request has.
    pub(super) fn finish(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        self.cors.apply(response.headers_mut());
        self.extra.apply(response.headers_mut());
        response
    }

    /// To a request without an `Origin`.
    pub(super) fn without_origin(engine: &Engine, encoding: compress::Encoding) -> Self {
        Self {
            cors: CorsHeaders::without_origin(&engine.config().cors),
            encoding,
            accept: None,
            cookie: None,
            extensions: None,
            extra: Extra::default(),
            callback: None,
        }
    }

    /// Whether the answer has no headers but those that most have.
    pub(super) fn is_plain(&self) -> bool {
        !self.cors.names_origin() && self.extra.is_empty() && self.cookie.is_none()
    }

    /// The head of [`Reply::poll`], if it is one as most are.
    pub(super) fn plain_poll(&self, body: &PollBody) -> Option<Vec<u8>> {
        let plain = self.is_plain()
            && !self.encoding.compresses(body)
            && !v3::is_binary_payload(body.bytes())
            && self.callback.is_none();
        plain.then(|| head::of_poll(self.encoding.varies(), self.cors.varies(), body.bytes().len()))
    }

    /// All of [`Reply::posted`] for packets that were taken, if it is one as most are.
    pub(super) fn plain_posted(&self) -> Option<Vec<u8>> {
        self.is_plain().then(|| head::of_post(self.cors.varies()))
    }

    /// The answer to a POST: whether its packets were taken.
    pub fn posted(&self, valid: bool) -> Response<Bytes> {
        self.finish(if valid {
            respond::text(StatusCode::OK, "text/html", Bytes::from_static(b"ok"))
        } else {
            respond::bad_request()
        })
    }

    /// The answer to a POST whose body is over the limit. The session goes on.
    pub fn too_large(&self) -> Response<Bytes> {
        self.finish(respond::refusal(&Cause::BodyTooLarge))
    }

    /// The answer to a POST whose body did not come in time.
    pub(super) fn too_slow(&self) -> Response<Bytes> {
        self.finish(respond::refusal(&Cause::BodyTimeout))
    }

    /// The answer that turns the connection, or a stream of HTTP/2, into a WebSocket.
    pub fn switching(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
        let headers = response.headers_mut();
        if let Some(extensions) = &self.extensions {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions.clone());
        }
        if let Some(cookie) = &self.cookie {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        self.extra.apply(headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::cors::{Cors, Origins};

    #[test]
    fn plain_answers_are_the_same_bytes() {
        for (disabled, compression) in [(false, true), (true, false)] {
            let config = Config { http_compression: compression, ..Config::default() };
            let origins = if disabled { Origins::Disabled } else { Origins::Same };
            let cors = Cors { origins, ..Cors::default() };
            let encoding = compress::Encoding::negotiate(&config, None);
            let cors = CorsHeaders::without_origin(&cors);
            let (extra, callback) = (Extra::default(), None);
            let mut reply =
                Reply { cors, encoding, accept: None, cookie: None, extensions: None, extra, callback };
            for len in [0, 7, 10, 1000, 123_456] {
                let body = PollBody::from(Bytes::from(vec![b'a'; len]));
                let plain = reply.plain_poll(&body).unwrap();
                assert_eq!(plain, head::of_response(&reply.poll(body)));
            }
            let mut whole = head::of_response(&reply.posted(true));
            whole.extend_from_slice(b"ok");
            assert_eq!(reply.plain_posted().unwrap(), whole);
            assert_eq!(reply.plain_poll(&Bytes::from_static(&[0, 1, 255, b'2']).into()), None);
            reply.callback = jsonp::Callback::parse("0");
            assert_eq!(reply.plain_poll(&Bytes::from_static(b"2").into()), None);
        }
    }
}
