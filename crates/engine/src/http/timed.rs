//! A stream whose writes are not blocked for ever: a client that asks and does not read the answer is let go.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::engine::Engine;
use crate::limit::Limit;

/// Fails when nothing could be written for a while.
pub(super) struct Timed<S> {
    stream: S,
    engine: Engine,
    /// Runs while a write is blocked.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, engine: Engine) -> Self {
        Self { stream, engine, timer: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn in_time<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = &result {
            self.timer = None;
            // The kernel was first.
            if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                self.engine.count_limit(Limit::AnswerTime, None);
            }
            return result;
        }
        let limit = self.engine.config().write_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| {
            self.engine.count_limit(Limit::AnswerTime, None);
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::engine::Handler;
    use crate::message::Message;
    use crate::reason::CloseReason;
    use crate::session::Session;

    const LIMIT: Duration = Duration::from_secs(30);

    struct Silent;

    impl Handler for Silent {
        fn message(&self, _: &Arc<Session>, _: Message) {}
        fn close(&self, _: &Arc<Session>, _: CloseReason) {}
    }

    fn engine() -> Engine {
        Engine::new(Config::default(), Arc::new(Silent)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_in_time() {
        let (stream, _other) = duplex(10);
        let engine = engine();
        let mut timed = Timed::new(stream, engine.clone());
        timed.write_all(&[0; 10]).await.unwrap();
        let before = Instant::now();
        assert_eq!(timed.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(before.elapsed() >= LIMIT && before.elapsed() < LIMIT + Duration::from_millis(10));
        assert_eq!(engine.metrics().limit(Limit::AnswerTime), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_has_the_time_for_each_piece() {
        let (stream, mut other) = duplex(10);
        let mut timed = Timed::new(stream, engine());
        let reader = tokio::spawn(async move {
            let mut piece = [0; 10];
            for _ in 0..10 {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                other.read_exact(&mut piece).await.unwrap();
            }
        });
        timed.write_all(&[0; 100]).await.unwrap();
        assert!(timed.timer.is_none(), "nothing is kept for a write that is not blocked");
        reader.await.unwrap();
    }
}
