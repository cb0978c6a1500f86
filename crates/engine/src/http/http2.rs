//! HTTP/2: WebSockets by extended CONNECT (RFC 8441) instead of an upgrade, and connections that begin with HTTP/2.
//! Without the cargo feature `http2` there is no such thing.

use http::request::Parts;
use wirebird_proto::websocket::HandshakeError;

/// Whether a request asks for a WebSocket in the way of HTTP/2.
#[cfg(feature = "http2")]
pub(super) fn is_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    parts.method == http::Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

#[cfg(not(feature = "http2"))]
pub(super) fn is_websocket(_: &Parts) -> bool {
    false
}

/// Checks such a request. There is no key: the stream is not mistaken for anything else.
///
/// # Errors
/// When it is for another version of the WebSocket protocol.
pub(super) fn accept(parts: &Parts) -> Result<(), HandshakeError> {
    let version = parts.headers.get(http::header::SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version == "13") { Ok(()) } else { Err(HandshakeError::Version) }
}

/// Whether a connection of which this has been read is one of HTTP/2.
#[cfg(feature = "http2")]
pub(super) fn begins(read: &[u8]) -> bool {
    // As far as HTTP/1.1 reads it before it gives up.
    read.starts_with(b"PRI * HTTP/")
}

#[cfg(feature = "http2")]
pub(super) use serve::{begin, serve};

#[cfg(feature = "http2")]
mod serve {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use hyper::body::Incoming;
    use hyper::server::conn::http2::Builder;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
    use parking_lot::Mutex;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
    use tokio::time::{Instant, sleep_until, timeout};

    use crate::engine::Engine;
    use crate::http::rewind::Rewind;
    use crate::http::serve::FallbackBody;
    use crate::limit::Limit;

    /// Requests of one connection that may be under way.
    const MAX_STREAMS: u32 = 256;
    /// How often a client without requests is asked whether it is still there, and how long it may take to say so.
    const PING: Duration = Duration::from_secs(30);
    const PONG: Duration = Duration::from_secs(20);

    /// Bytes with which every connection begins.
    const PREFACE: usize = 24;

    /// Waits until as much has been read as every connection begins with, which has the time of a head: after that, a client
    /// that says nothing is found out by pings.
    pub(in crate::http) async fn begin<S: AsyncRead + Unpin>(
        engine: &Engine,
        mut stream: S,
        read: Bytes,
    ) -> Option<Rewind<S>> {
        let mut read = Vec::from(read);
        let all = async {
            while read.len() < PREFACE {
                if stream.read_buf(&mut read).await.is_ok_and(|length| length > 0) {
                    continue;
                }
                return false;
            }
            true
        };
        let begun = timeout(engine.config().header_timeout, all).await.unwrap_or_else(|_| {
            engine.count_limit(Limit::HeaderTime, None);
            false
        });
        begun.then(|| Rewind::new(stream, read.into()))
    }

    /// What is under way on a connection.
    struct Activity {
        requests: AtomicUsize,
        /// Since when there may be none.
        since: Mutex<Instant>,
    }

    /// A request, and the session that it has opened: that keeps the extensions of the request, and may be a WebSocket on
    /// this connection.
    struct UnderWay(Arc<Activity>);

    impl UnderWay {
        fn begin(activity: &Arc<Activity>) -> Arc<Self> {
            activity.requests.fetch_add(1, Ordering::AcqRel);
            Arc::new(Self(activity.clone()))
        }
    }

    impl Drop for UnderWay {
        fn drop(&mut self) {
            *self.0.since.lock() = Instant::now();
            self.0.requests.fetch_sub(1, Ordering::AcqRel);
        }
    }

    impl Activity {
        /// Resolves when there has been nothing for so long.
        async fn idle(&self, time: Duration) {
            loop {
                let busy = self.requests.load(Ordering::Acquire) > 0;
                let since = if busy { Instant::now() } else { *self.since.lock() };
                if !busy && since.elapsed() >= time {
                    return;
                }
                sleep_until(since + time).await;
            }
        }
    }

    /// Serves a connection until it ends; once `closing` resolves, or when it has been idle for too long, it takes no more
    /// requests. WebSockets on it are tasks of their own.
    ///
    /// # Errors
    /// When the connection fails.
    pub(in crate::http) async fn serve<S, A, F>(
        engine: &Engine,
        stream: S,
        answer: A,
        closing: impl Future<Output = ()>,
    ) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<FallbackBody>> + Send + 'static,
    {
        let config = engine.config();
        let activity =
            Arc::new(Activity { requests: AtomicUsize::new(0), since: Mutex::new(Instant::now()) });
        let counted = activity.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let under_way = UnderWay::begin(&counted);
            request.extensions_mut().insert(under_way.clone());
            let response = answer(request);
            async move {
                let response = response.await;
                drop(under_way);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = closing => {}
            () = activity.idle(config.keep_alive_timeout) => engine.count_limit(Limit::IdleTime, None),
        }
        // What is under way goes on to its end.
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}
