//! Answers that are the same for every session: refusals, with the bodies that clients know from Node's server, and
//! preflights.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use wirebird_proto::websocket::HandshakeError;

use crate::cors::CorsHeaders;
use crate::engine::Engine;
use crate::refusal::Cause;

/// The answer to a request that is refused.
pub(super) fn refusal(cause: &Cause) -> Response<Bytes> {
    let mut response = match cause.code() {
        Some(code) => {
            let body = serde_json::json!({ "code": code, "message": cause.message() }).to_string();
            text(cause.status(), "application/json", body.into())
        }
        None => text(cause.status(), "text/plain", Bytes::new()),
    };
    if *cause == Cause::TooFast {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if cause.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
    }
    // Another server may be in this one's place by then, or the balancer has noticed.
    if matches!(cause, Cause::Closing | Cause::Draining) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    // RFC 6455, section 4.4: which version is spoken here.
    if *cause == Cause::WebSocket(HandshakeError::Version) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

/// The answer to a POST whose packets cannot be decoded, and to a WebSocket request that is none.
pub(super) fn bad_request() -> Response<Bytes> {
    refusal(&Cause::OtherTransport)
}

pub(super) fn text(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn preflight(engine: &Engine, request: &HeaderMap, cors: &CorsHeaders) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors.apply(response.headers_mut());
    engine.config().cors.preflight(request, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_another_version_are_told_which_is_spoken() {
        let version = |error| {
            let response = refusal(&Cause::WebSocket(error));
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            response.headers().get(header::SEC_WEBSOCKET_VERSION).cloned()
        };
        assert_eq!(version(HandshakeError::Version).unwrap(), "13");
        assert_eq!(version(HandshakeError::Key), None);
    }
}
