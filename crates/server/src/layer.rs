//! The server as a tower layer and service.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::server::Server;
use crate::task::BoxFuture;

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
    S: tower_service::Service<Request<B>, Response = Response<R>>,
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B::Data: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.server.is_endpoint(request.uri().path()) {
            let server = self.server.clone();
            ResponseFuture::Own { future: Box::pin(async move { server.handle(request).await }) }
        } else {
            ResponseFuture::Inner { future: self.inner.call(request) }
        }
    }
}

pin_project! {
    /// The response to come of a [`Service`].
    #[project = ResponseFutureProjection]
    #[allow(missing_docs, missing_debug_implementations)]
    #[non_exhaustive]
    pub enum ResponseFuture<F> {
        Own { future: BoxFuture<Response<Full<Bytes>>> },
        Inner { #[pin] future: F },
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProjection::Own { future } => {
                future.as_mut().poll(cx).map(|response| Ok(response.map(|body| ResponseBody::Own { body })))
            }
            ResponseFutureProjection::Inner { future } => future
                .poll(cx)
                .map(|result| result.map(|response| response.map(|body| ResponseBody::Inner { body }))),
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
        Inner { #[pin] body: R },
    }
}

impl<R: Body<Data = Bytes>> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project() {
            ResponseBodyProjection::Own { body } => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            ResponseBodyProjection::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            Self::Inner { body } => body.size_hint(),
        }
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
        ready(Ok(wirebird_engine::http::not_found().map(Full::new)))
    }
}
