//! A tower service behind the server's own listener.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use wirebird_engine::http::{Fallback, FallbackBody, Incoming};

/// Answers with a tower service what is not for the server.
pub(crate) struct Tower<S>(pub(crate) S);

impl<S, B> Fallback for Tower<S>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
            let Ok(response) = service.call(request).await;
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}
