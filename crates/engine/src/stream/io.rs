//! The two kinds of byte streams: TCP, which any thread may write to, and all others, which only their task does.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::session::Session;
use crate::transport::Transport;

/// Bytes that are taken from a session at once for a stream that only its task may write to.
const CHUNK: usize = 64 << 10;

/// Wakes the task of a connection and says that there is something to look at.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was raised since the last call; if not, the task is woken when it is.
    pub(crate) fn take(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.raised.load(Ordering::Acquire) && self.raised.swap(false, Ordering::AcqRel)
    }
}

/// What other threads hold of a connection.
pub(crate) trait Link: Transport {
    fn signal(&self) -> &Signal;
}

pub(crate) trait Stream: Send {
    type Link: Link;

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what the session has queued; ready when everything has gone out.
    fn poll_drain(&mut self, cx: &mut Context<'_>, session: &Session) -> Poll<io::Result<()>>;

    /// Writes what is left of bytes that did not come from the session.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes bytes that do not come from the session.
    fn write_raw(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes a few bytes that do not come from the session if they go without waiting.
    fn try_raw(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()>;

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// What has been written and not been taken by the peer is dropped when the stream is.
    fn abort(&self) {}
}

/// A TCP connection: the task reads, everybody writes.
pub(crate) struct TcpSplit {
    read: OwnedReadHalf,
    link: Arc<TcpLink>,
}

pub(crate) struct TcpLink {
    write: OwnedWriteHalf,
    signal: Signal,
}

impl TcpSplit {
    pub(crate) fn new(stream: TcpStream) -> (Self, Arc<TcpLink>) {
        let (read, write) = stream.into_split();
        let link = Arc::new(TcpLink { write, signal: Signal::default() });
        (Self { read, link: link.clone() }, link)
    }
}

impl Transport for TcpLink {
    fn wake(&self) {
        self.signal.raise();
    }

    fn takes_bytes(&self) -> bool {
        true
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.write.try_write(one),
            many => self.write.try_write_vectored(many),
        }
    }
}

impl Link for TcpLink {
    fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl Stream for TcpSplit {
    type Link = TcpLink;

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_read(Pin::new(&mut self.read), cx, buffer)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, session: &Session) -> Poll<io::Result<()>> {
        loop {
            if session.resume_writing() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.link.write.as_ref().poll_write_ready(cx))?;
        }
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    async fn write_raw(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.link.write.writable().await?;
            match self.link.write.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn try_raw(&mut self, _cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        match self.link.write.try_write(bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        // The write half belongs to the link, which others may hold: shut the socket down itself.
        let stream: &TcpStream = self.link.write.as_ref();
        let fd = socket2::SockRef::from(stream);
        fd.shutdown(std::net::Shutdown::Write)
    }

    fn abort(&self) {
        let stream: &TcpStream = self.link.write.as_ref();
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

/// Any other stream: its task takes what is queued and writes it.
pub(crate) struct AnyStream<S> {
    stream: S,
    buffer: Vec<u8>,
    written: usize,
}

#[derive(Debug, Default)]
pub(crate) struct AnyLink {
    signal: Signal,
}

impl<S> AnyStream<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<AnyLink>) {
        (Self { stream, buffer: Vec::new(), written: 0 }, Arc::default())
    }
}

impl Transport for AnyLink {
    fn wake(&self) {
        self.signal.raise();
    }

    fn takes_bytes(&self) -> bool {
        true
    }
}

impl Link for AnyLink {
    fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> AnyStream<S> {
    fn poll_buffer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.buffer[self.written..]))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += wrote;
        }
        self.written = 0;
        self.buffer = Vec::new();
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for AnyStream<S> {
    type Link = AnyLink;

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_read(Pin::new(&mut self.stream), cx, buffer)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, session: &Session) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_buffer(cx))?;
            session.take_wire(&mut self.buffer, CHUNK);
            if self.buffer.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_buffer(cx)
    }

    async fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.poll_buffer(cx)).await?;
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    fn try_raw(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() > CHUNK {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.buffer.extend_from_slice(bytes);
        match self.poll_buffer(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

fn poll_read<R: AsyncRead>(
    reader: Pin<&mut R>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(reader.poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
