//! The server as a tower layer and service.

use std::convert::Infallible;
use std::future::{self, Future, Ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use wirebird_engine::http::FallbackBody;

use crate::server::Server;
use crate::task::BoxFuture;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers the server's path and passes everything else on. Made by [`Server::layer`].
#[derive(Debug, Clone)]
pub struct Layer {
    server: Server,
}

impl Layer {
    pub(crate) fn new(server: Server) -> Self {
        Self { server }
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Service<S>;

    fn layer(&self, inner: S) -> Service<S> {
        Service::new(inner, self.server.clone())
    }
}

/// A service that answers the server's path and passes everything else to `S`.
#[derive(Debug, Clone)]
pub struct Service<S> {
    inner: S,
    server: Server,
}

impl<S> Service<S> {
    pub(crate) fn new(inner: S, server: Server) -> Self {
        Self { inner, server }
    }
}

impl<S, B, R> tower_service::Service<Request<B>> for Service<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>> + Clone,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
    B::Data: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.server.is_endpoint(request.uri().path()) {
            let server = self.server.clone();
            return ResponseFuture::Own { future: Box::pin(async move { server.handle(request).await }) };
        }
        match self.server.static_file(&request) {
            Some(file) => {
                // The one that is ready is taken along.
                let next = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, next);
                ResponseFuture::File { file, rest: Some((ready, request)) }
            }
            None => ResponseFuture::Inner { future: self.inner.call(request) },
        }
    }
}

pin_project! {
    /// The response to come of a [`Service`]: its own, a static file, or that of the inner service.
    #[project = ResponseFutureProjection]
    #[allow(missing_docs, missing_debug_implementations)]
    #[non_exhaustive]
    pub enum ResponseFuture<S, B>
    where
        S: tower_service::Service<Request<B>>,
    {
        Own { future: BoxFuture<Response<Full<Bytes>>> },
        File { file: BoxFuture<Option<Response<FallbackBody>>>, rest: Option<(S, Request<B>)> },
        Inner { #[pin] future: S::Future },
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let inner = match self.as_mut().project() {
                ResponseFutureProjection::Own { future } => {
                    let response = ready!(future.as_mut().poll(cx));
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::Own { body })));
                }
                ResponseFutureProjection::File { file, rest } => {
                    if let Some(response) = ready!(file.as_mut().poll(cx)) {
                        return Poll::Ready(Ok(
                            response.map(|body| ResponseBody::File { body: FileBody::new(body) })
                        ));
                    }
                    let Some((mut inner, request)) = rest.take() else { return Poll::Pending };
                    inner.call(request)
                }
                ResponseFutureProjection::Inner { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::Inner { body })));
                }
            };
            self.set(Self::Inner { future: inner });
        }
    }
}

pin_project! {
    /// The body of a [`Service`]'s response.
    #[project = ResponseBodyProjection]
    #[derive(Debug)]
    #[allow(missing_docs)]
    #[non_exhaustive]
    pub enum ResponseBody<R> {
        Own { body: Full<Bytes> },
        File { body: FileBody },
        Inner { #[pin] body: R },
    }
}

impl<R> Body for ResponseBody<R>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ResponseBodyProjection::Own { body } => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            ResponseBodyProjection::File { body } => Pin::new(body.0.get_mut()).poll_frame(cx),
            ResponseBodyProjection::Inner { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::File { body } => body.0.lock().is_end_stream(),
            Self::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            Self::File { body } => body.0.lock().size_hint(),
            Self::Inner { body } => body.size_hint(),
        }
    }
}

/// The body of a static file. The lock is never waited for: it makes the body `Sync`, which frameworks may ask for.
#[derive(Debug)]
pub struct FileBody(Mutex<FallbackBody>);

impl FileBody {
    fn new(body: FallbackBody) -> Self {
        Self(Mutex::new(body))
    }
}

/// Answers every request with 404.
#[derive(Debug, Clone, Copy)]
pub struct NotFound;

impl<B> tower_service::Service<Request<B>> for NotFound {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        future::ready(Ok(wirebird_engine::http::not_found().map(Full::new)))
    }
}
