//! The page of the chat and what belongs to it, part of the program.

use std::future::{Future, ready};
use std::pin::Pin;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use wirebird::Server;
use wirebird::engine::http::{Fallback, FallbackBody, full};
use wirebird::health::{Health, Ready};

const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing but what this server serves runs in the page. Images people send are `blob:` URLs. WebSockets are named
/// because not every browser counts them as the same origin.
const POLICY: &str =
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; style-src 'self'";

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const ASSETS: [Asset; 7] = [
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("../../assets/index.html"),
    },
    Asset {
        path: "/style.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("../../assets/style.css"),
    },
    Asset {
        path: "/app.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../../assets/app.js"),
    },
    Asset {
        path: "/images.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../../assets/images.js"),
    },
    Asset {
        path: "/tools.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../../assets/tools.js"),
    },
    Asset {
        path: "/wirebird-client.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../../assets/wirebird-client.js"),
    },
    Asset {
        path: "/favicon.svg",
        content_type: "image/svg+xml",
        body: include_str!("../../assets/favicon.svg"),
    },
];

/// Answers what is not for the Socket.IO server: the page, and how the server is.
pub(crate) struct Page {
    health: Health,
    ready: Ready,
}

impl Page {
    pub(crate) fn of(io: &Server) -> Self {
        Self { health: io.health(), ready: io.ready() }
    }
}

impl Fallback for Page {
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>> {
        let response = match request.uri().path() {
            "/health" => self.health.respond(request.method()),
            "/ready" => self.ready.respond(request.method()),
            path => answer(request.method(), path),
        };
        Box::pin(ready(response.map(full)))
    }
}

/// hyper leaves the body away when the method is HEAD, and keeps its length.
fn answer(method: &Method, path: &str) -> Response<Bytes> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return respond(StatusCode::NOT_FOUND, TEXT, "There is nothing here. The chat is at /.\n");
    };
    if method != Method::GET && method != Method::HEAD {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "This can only be read.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    respond(StatusCode::OK, asset.content_type, asset.body)
}

fn respond(status: StatusCode, content_type: &'static str, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The next version of the program has another page under the same address.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_the_page_names_is_there() {
        for path in ["/", "/style.css", "/app.js", "/wirebird-client.js", "/favicon.svg"] {
            assert_eq!(answer(&Method::GET, path).status(), StatusCode::OK, "{path}");
        }
        let page = ASSETS[0].body;
        for name in ["style.css", "app.js", "favicon.svg"] {
            assert!(page.contains(&format!("=\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for path in ["/index.htm", "/../Cargo.toml", "//", "/app.js/"] {
            assert_eq!(answer(&Method::GET, path).status(), StatusCode::NOT_FOUND, "{path}");
        }
        let response = answer(&Method::POST, "/");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }
}
