//! Handlers for those who ask how the server is: orchestrators and balancers.

use std::convert::Infallible;
use std::future::{Ready as Done, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::server::Server;

/// Whether the server works: 200 as long as it has not closed, also while it drains. A tower service, made by
/// [`Server::health`].
#[derive(Debug, Clone)]
pub struct Health(Server);

/// Whether the server lets new clients in: 200, or 503 from the moment when it begins to drain or to close. A tower
/// service, made by [`Server::ready`].
#[derive(Debug, Clone)]
pub struct Ready(Server);

impl Server {
    /// A handler for `/health`, the liveness probe: 200 with `{"status":"ok"}`, and 503 with `{"status":"closed"}` once the
    /// server has closed.
    ///
    /// ```
    /// let io = wirebird::Server::new();
    /// let app: axum::Router = axum::Router::new()
    ///     .route_service("/health", io.health())
    ///     .route_service("/ready", io.ready())
    ///     .layer(io.layer());
    /// ```
    pub fn health(&self) -> Health {
        Health(self.clone())
    }

    /// A handler for `/ready`, the readiness probe: 200 with `{"status":"ready"}`, and 503 with `{"status":"draining"}` or
    /// `{"status":"closed"}` when no new clients are to be sent here any more.
    pub fn ready(&self) -> Ready {
        Ready(self.clone())
    }
}

impl Health {
    /// The answer, for those who do without tower.
    pub fn respond(&self, method: &Method) -> Response<Bytes> {
        let closed = self.0.engine().is_closing();
        answer(method, !closed, if closed { "closed" } else { "ok" })
    }
}

impl Ready {
    /// The answer, for those who do without tower.
    pub fn respond(&self, method: &Method) -> Response<Bytes> {
        let status = match (self.0.is_ready(), self.0.engine().is_closing()) {
            (true, _) => "ready",
            (false, false) => "draining",
            (false, true) => "closed",
        };
        answer(method, self.0.is_ready(), status)
    }
}

fn answer(method: &Method, good: bool, status: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    if method != Method::GET && method != Method::HEAD {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What was true a moment ago is of no use.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !good {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    *response.body_mut() = format!("{{\"status\":\"{status}\"}}").into();
    response
}

macro_rules! service {
    ($name:ty) => {
        impl<B> tower_service::Service<Request<B>> for $name {
            type Response = Response<Full<Bytes>>;
            type Error = Infallible;
            type Future = Done<Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<B>) -> Self::Future {
                ready(Ok(self.respond(request.method()).map(Full::new)))
            }
        }
    };
}

service!(Health);
service!(Ready);
