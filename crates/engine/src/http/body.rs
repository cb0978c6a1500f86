//! Bodies of requests: read up to a limit, or read past so that the answer can be found.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use tokio::time::timeout;

use crate::engine::Engine;
use crate::polling::Post;

/// How long the rest of a refused body is read. A connection that is closed while data still arrives is reset, and
/// the reset can overtake the answer: a proxy then says 502 in place of what the server said.
pub(super) const LINGER: Duration = Duration::from_secs(5);

pub(super) enum BodyError {
    TooLarge,
    /// It has had its time.
    TooSlow,
    Broken,
}

/// Reads a body up to the limits, unless the session ends meanwhile.
pub(super) async fn read<B>(engine: &Engine, post: &Post, body: Pin<&mut B>) -> Result<Bytes, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = engine.config();
    let mut read = pin!(timeout(config.body_timeout, Limited::new(body, config.max_payload).collect()));
    let mut abandoned = pin!(Post::abandoned(post.session().clone()));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = read.as_mut().poll(cx) {
            return Poll::Ready(match result {
                Ok(Ok(collected)) => Ok(collected.to_bytes()),
                Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
                Ok(Err(_)) => Err(BodyError::Broken),
                Err(_) => Err(BodyError::TooSlow),
            });
        }
        abandoned.as_mut().poll(cx).map(|()| Err(BodyError::Broken))
    })
    .await
}

/// Reads past what is left of a body, beside the answer to its request.
pub(super) fn pass_over<B>(headers: &HeaderMap, body: Pin<Box<B>>)
where
    B: Body + Send + 'static,
{
    // Who asks before sending the body takes the answer for a no, and sends none.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(timeout(LINGER, discard(body)));
}

async fn discard<B: Body>(mut body: Pin<Box<B>>) {
    while let Some(Ok(frame)) = body.frame().await {
        drop(frame);
    }
}
