//! The time that requests may take on a connection that hyper serves, which knows of one time alone: the head has its own
//! from the first byte on, and between two requests the connection may be idle for longer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::serve::FallbackBody;
use crate::engine::Engine;
use crate::limit::Limit;

/// What a connection is at.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Waits for a request.
    Idle { since: Instant, polled: bool },
    /// The head of a request has begun then.
    Head(Instant),
    /// A request is being answered, or the connection has become something else: that has times of its own.
    Busy,
}

/// What the stream and the answers of a connection know of each other.
#[derive(Clone)]
pub(super) struct Pace {
    engine: Engine,
    state: Arc<Mutex<State>>,
}

struct State {
    stage: Stage,
    /// What has been read of the head.
    read: usize,
    /// The request is a client's poll.
    polled: bool,
    /// Who reads, to be told when there is a deadline.
    reader: Option<Waker>,
}

/// A stream that fails when a request takes too long.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    /// The client has not taken all of an answer yet.
    sending: bool,
}

/// The body of an answer; after it the connection is idle.
struct Last {
    body: FallbackBody,
    pace: Pace,
}

impl Pace {
    /// Of a connection of which something has been read.
    pub(super) fn new(engine: &Engine) -> Self {
        let state = State { stage: Stage::Head(Instant::now()), read: 0, polled: false, reader: None };
        Self { engine: engine.clone(), state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn stream<S>(&self, stream: S) -> Paced<S> {
        Paced { stream, pace: self.clone(), timer: None, sending: false }
    }

    /// The head of a request is complete.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock();
        state.stage = Stage::Busy;
        state.read = 0;
    }

    /// Whether a request has begun whose head is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Head(_))
    }

    /// The request was a poll, of a client that has the connection for itself.
    pub(super) fn polled(&self) {
        self.state.lock().polled = true;
    }

    fn pause(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.stage = Stage::Idle { since: Instant::now(), polled: mem::take(&mut state.polled) };
            state.read = 0;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// An answer is about to be sent; after it the connection waits for the next request.
    pub(super) fn answer(&self, body: FallbackBody) -> FallbackBody {
        FallbackBody::new(Last { body, pace: self.clone() })
    }

    /// hyper has refused a head because it is too large: in which way?
    pub(super) fn too_large(&self) -> Limit {
        let many = self.state.lock().read < self.engine.config().max_head;
        if many { Limit::HeaderCount } else { Limit::HeaderBytes }
    }

    fn has_read(&self, bytes: usize) {
        let mut state = self.state.lock();
        if let Stage::Idle { .. } = state.stage {
            state.stage = Stage::Head(Instant::now());
        }
        state.read += bytes;
    }

    /// A client that is still taking the last answer, which hyper holds as a whole, has not been idle: it is from now on.
    /// `false` when the connection is not.
    fn idle_anew(&self) -> bool {
        let mut state = self.state.lock();
        let Stage::Idle { since, .. } = &mut state.stage else { return false };
        *since = Instant::now();
        true
    }

    /// Until when a read may wait, and what limit that is, if it is one to count. If there is no such time, `reader` is woken
    /// when there is one.
    fn deadline(&self, reader: &Waker) -> Option<(Instant, Option<Limit>)> {
        let config = self.engine.config();
        let mut state = self.state.lock();
        match state.stage {
            Stage::Idle { since, polled } => {
                let (time, limit) = config.idle_time(polled);
                Some((since + time, limit))
            }
            Stage::Head(since) => Some((since + config.header_timeout, Some(Limit::HeaderTime))),
            Stage::Busy => {
                state.reader = Some(reader.clone());
                None
            }
        }
    }
}

impl<S> Paced<S> {
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if result.is_ready() {
            this.pace.has_read(buffer.filled().len() - before);
            return result;
        }
        loop {
            let Some((end, limit)) = this.pace.deadline(cx.waker()) else { return Poll::Pending };
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if timer.deadline() != end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            if !(this.sending && this.pace.idle_anew()) {
                if let Some(limit) = limit {
                    this.pace.engine.count_limit(limit, None);
                }
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sending = result.is_pending();
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.sending = result.is_pending();
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.sending = result.is_pending();
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Body for Last {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.pace.pause();
    }
}
