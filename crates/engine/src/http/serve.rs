//! The driver for hyper: one function from request to response, and a listener for those without a framework.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::body::{self, BodyError};
use super::direct::{self, Next};
#[cfg(feature = "http2")]
use super::http2;
use super::pace::{Pace, Paced};
use super::rewind::Rewind;
use super::timed::Timed;
use crate::admission::Permit;
use crate::config::Config;
use crate::engine::Engine;
use crate::handshake::{LocalAddr, PeerAddr};
use crate::http::{Step, begin, is_endpoint, tell_refused};
use crate::refusal::Cause;
use crate::stream::WebSocket;

/// hyper takes heads of so many bytes in any case.
const LEAST_HEAD: usize = 8 << 10;

/// Whether the connection of requests with these extensions is that of a proxy, which has one for many clients: one that is
/// named, or one without an address.
pub(super) fn is_proxy(config: &Config, known: &Extensions) -> bool {
    known.get::<PeerAddr>().is_none_or(|peer| config.trusted_proxies.trusts(Some(peer.0)))
}

/// Answers a request to the engine's path, whatever the body type. Must run inside a tokio runtime.
pub async fn handle<B>(engine: &Engine, mut request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (response, websocket) = answer(engine, request).await;
    if let Some(websocket) = websocket {
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => start_upgraded(websocket, upgraded),
                Err(error) => not_upgraded(&error),
            }
        });
    }
    response
}

/// As [`handle`], for servers with an upgrade of their own: when the answer is `101 Switching Protocols`, `upgrade` is
/// awaited and the WebSocket run on the stream that it gives; otherwise it is dropped.
pub async fn handle_with_upgrade<B, S, E>(
    engine: &Engine,
    request: Request<B>,
    upgrade: impl Future<Output = Result<S, E>> + Send + 'static,
) -> Response<Full<Bytes>>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Display + Send,
{
    let (response, websocket) = answer(engine, request).await;
    if let Some(websocket) = websocket {
        tokio::spawn(async move {
            match upgrade.await {
                Ok(stream) => websocket.run(stream, Bytes::new()).await,
                Err(error) => not_upgraded(&error),
            }
        });
    }
    response
}

fn not_upgraded(error: &dyn Display) {
    tracing::debug!(target: "wirebird::engineio", %error, "the connection could not be upgraded");
}

/// The answer to a request, and what is to be run on the connection after it.
async fn answer<B>(engine: &Engine, request: Request<B>) -> (Response<Full<Bytes>>, Option<WebSocket>)
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    engine.attach_runtime();
    let (mut parts, body) = request.into_parts();
    let permit = parts.extensions.remove::<Permit>();
    let pace = parts.extensions.remove::<Pace>();
    let mut websocket = None;
    let response = match begin(engine, &mut parts).await {
        Step::Respond(response) => {
            body::pass_over(&parts.headers, Box::pin(body));
            response
        }
        Step::Poll(poll, reply) => {
            let response = reply.poll(poll.await);
            pace.iter().for_each(Pace::polled);
            response
        }
        Step::Post(mut post, reply) => {
            let mut body = Box::pin(body);
            let response = match body::read(engine, &post, body.as_mut()).await {
                Ok(body) => {
                    let valid = post.deliver(body).await;
                    post.finish();
                    reply.posted(valid)
                }
                Err(BodyError::TooLarge) => {
                    tell_refused(engine, &parts, &Cause::BodyTooLarge);
                    post.finish();
                    reply.too_large()
                }
                Err(BodyError::TooSlow) => {
                    tell_refused(engine, &parts, &Cause::BodyTimeout);
                    drop(post);
                    reply.too_slow()
                }
                Err(BodyError::Broken) => {
                    drop(post);
                    reply.posted(false)
                }
            };
            body::pass_over(&parts.headers, body);
            response
        }
        Step::WebSocket(accepted, reply) => {
            websocket = Some(accepted.with_permit(permit));
            reply.switching()
        }
    };
    (response.map(Full::new), websocket)
}

/// Runs a WebSocket on a connection that hyper has let go. A plain TCP connection is taken out of its wrappers, so
/// that packets can be written to it from any thread.
fn start_upgraded(websocket: WebSocket, upgraded: hyper::upgrade::Upgraded) {
    let upgraded = match upgraded.downcast::<TokioIo<Paced<Rewind<Timed<TcpStream>>>>>() {
        Ok(parts) => {
            let (stream, leftover) = parts.io.into_inner().into_inner().into_inner(parts.read_buf);
            drop(tokio::spawn(websocket.run_tcp(stream.into_inner(), leftover)));
            return;
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return drop(tokio::spawn(websocket.run_tcp(parts.io.into_inner(), parts.read_buf))),
        Err(upgraded) => upgraded,
    };
    drop(match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => tokio::spawn(websocket.run_tcp(parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => tokio::spawn(websocket.run(TokioIo::new(upgraded), Bytes::new())),
    });
}

/// The body of a [`Fallback`]'s response.
pub type FallbackBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Answers the requests that are not for the engine: the rest of an application, or a host of another kind.
///
/// The request still has its upgrade (`hyper::upgrade::on`; the stream in it is a private type) and the connection's
/// [`PeerAddr`] and [`LocalAddr`] in its extensions; bodies stream both ways.
pub trait Fallback: Send + Sync + 'static {
    /// Answers a request.
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>>;
}

impl<F: Fallback + ?Sized> Fallback for Arc<F> {
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>> {
        (**self).call(request)
    }
}

/// A response body that is there as a whole.
pub fn full(body: impl Into<Bytes>) -> FallbackBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The answer to a request that nobody is there for.
pub fn not_found() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Not Found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let plain = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

/// A listener and what it serves.
#[derive(Clone)]
pub struct Listener {
    engine: Engine,
    fallback: Option<Arc<dyn Fallback>>,
    /// The fallback gets the engine's requests, too.
    through: bool,
}

impl Listener {
    /// Serves `engine`, and 404 for everything else.
    pub fn new(engine: Engine) -> Self {
        Self { engine, fallback: None, through: false }
    }

    /// Lets `fallback` answer what is not for the engine.
    #[must_use]
    pub fn fallback(mut self, fallback: impl Fallback) -> Self {
        self.fallback = Some(Arc::new(fallback));
        self
    }

    /// Lets `fallback` answer everything. It has to hand the engine's requests to [`handle`].
    #[must_use]
    pub fn through(mut self, fallback: impl Fallback) -> Self {
        self.through = true;
        self.fallback(fallback)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<FallbackBody> {
        if !self.through && is_endpoint(&self.engine, request.uri().path()) {
            return handle(&self.engine, request)
                .await
                .map(|body| body.map_err(|e| match e {}).boxed_unsync());
        }
        if let Some(fallback) = &self.fallback {
            return fallback.call(request).await;
        }
        not_found().map(full)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is put into the extensions of the requests of a connection.
    pub(super) fn known(stream: &TcpStream, peer: SocketAddr) -> Extensions {
        let mut known = Extensions::new();
        known.insert(PeerAddr(peer));
        if let Ok(local) = stream.local_addr() {
            known.insert(LocalAddr(local));
        }
        known
    }

    pub(super) async fn tcp(self, stream: TcpStream, known: Extensions) {
        // Boxed: a WebSocket must not carry the room that requests need.
        if let Some((websocket, stream, leftover)) = Box::pin(self.requests(stream, known)).await {
            websocket.run_tcp(stream, leftover).await;
        }
    }

    /// Serves one connection until it ends or becomes a WebSocket, which is a task of its own: TLS, a Unix socket,
    /// memory. `known` is put into the extensions of each of its requests: [`PeerAddr`], [`LocalAddr`] and
    /// [`Secure`](crate::Secure) if they apply.
    pub async fn connection<S>(self, stream: S, known: Extensions)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some((websocket, stream, leftover)) = Box::pin(self.requests(stream, known)).await {
            start(websocket, stream, leftover);
        }
    }

    /// Answers requests. When one of them opens a WebSocket, gives that, the stream and what was read beyond the
    /// request.
    async fn requests<S>(self, stream: S, known: Extensions) -> Option<(WebSocket, S, Bytes)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.engine.attach_runtime();
        let stream = Timed::new(stream, self.engine.clone());
        match direct::run(&self.engine, stream, &known, !self.through).await {
            Ok(Next::WebSocket(websocket, stream, leftover)) => {
                return Some((websocket, stream.into_inner(), leftover));
            }
            #[cfg(feature = "http2")]
            Ok(Next::Unusual(stream, read)) if http2::begins(&read) => {
                Box::pin(self.by_http2(stream, read, known)).await;
            }
            Ok(Next::Unusual(stream, read)) => {
                Box::pin(self.by_hyper(Rewind::new(stream, read), known)).await;
            }
            Err(error) => tracing::debug!(target: "wirebird::engineio", %error, "connection ended"),
        }
        None
    }

    #[cfg(feature = "http2")]
    async fn by_http2<S>(self, stream: S, read: Bytes, known: Extensions)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let engine = self.engine.clone();
        let _served = engine.served();
        let answer = move |mut request: Request<Incoming>| {
            request.extensions_mut().extend(known.clone());
            let this = self.clone();
            async move { this.answer(request).await }
        };
        let Some(stream) = http2::begin(&engine, stream, read).await else { return };
        if let Err(error) = http2::serve(&engine, stream, answer, engine.closing()).await {
            tracing::debug!(target: "wirebird::engineio", %error, "connection ended");
        }
    }

    async fn by_hyper<S>(self, stream: S, known: Extensions)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let engine = self.engine.clone();
        let _served = engine.served();
        let pace = Pace::new(&engine);
        let paced = pace.stream(stream);
        let answers = pace.clone();
        let is_proxy = is_proxy(engine.config(), &known);
        let service = service_fn(move |mut request: Request<Incoming>| {
            answers.begin();
            request.extensions_mut().extend(known.clone());
            if !is_proxy {
                request.extensions_mut().insert(answers.clone());
            }
            let (this, pace) = (self.clone(), answers.clone());
            async move {
                let response = this.answer(request).await;
                // What comes after that is no request.
                let last = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                let response = if last { response } else { response.map(|body| pace.answer(body)) };
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let config = engine.config();
        let connection = hyper::server::conn::http1::Builder::new()
            .max_headers(config.max_headers)
            .max_buf_size(config.max_head.max(LEAST_HEAD))
            .serve_connection(TokioIo::new(paced), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            // What has been read is answered, also when the engine is closing already.
            biased;
            ended = connection.as_mut() => ended,
            () = engine.closing() => {
                // A request whose head is not there yet is none that anybody waits for.
                if pace.is_in_head() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(target: "wirebird::engineio", %error, "connection ended");
            if error.is_parse_too_large() {
                engine.count_limit(pace.too_large(), None);
            }
        }
    }
}

/// Runs a WebSocket. Packets can be written to a plain TCP connection from any thread.
fn start<S>(websocket: WebSocket, stream: S, leftover: Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = Some(stream);
    let tcp: Option<&mut Option<TcpStream>> = (&mut stream as &mut dyn Any).downcast_mut();
    if let Some(stream) = tcp.and_then(Option::take) {
        tokio::spawn(websocket.run_tcp(stream, leftover));
    } else if let Some(stream) = stream {
        tokio::spawn(websocket.run(stream, leftover));
    }
}
