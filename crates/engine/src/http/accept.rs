//! Listening: connections are accepted, and each is a task of its own.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::is_news;
use super::serve::Listener;
use crate::admission::Admission;
use crate::engine::Engine;
use crate::handshake::{PeerAddr, Secure};
use crate::limit::Limit;
use crate::stream::{for_requests, for_websocket, is_prepared};

/// Connections that may wait to be accepted; the system cuts it down to its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

/// Accepts connections until `shutdown` resolves. What is under way then goes on: close the engine to end it.
///
/// # Errors
/// Only when the listener itself fails; a failed `accept` is retried.
pub async fn serve(
    listener: TcpListener,
    served: Listener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let engine = served.engine().clone();
    accept(listener, &engine, shutdown, |stream, known| {
        tokio::spawn(served.clone().tcp(stream, known));
    })
    .await
}

/// As [`serve`], with TLS or anything else between the connection and HTTP: `begin` makes the stream, and has
/// [`Config::tls_timeout`](crate::Config) for it. Requests on it are [`Secure`].
///
/// # Errors
/// As [`serve`]. A connection that does not begin is closed.
pub async fn serve_tls<F, Fut, S>(
    listener: TcpListener,
    served: Listener,
    begin: F,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let engine = served.engine().clone();
    let begin = Arc::new(begin);
    accept(listener, &engine, shutdown, |stream, mut known| {
        let (served, begin) = (served.clone(), begin.clone());
        // Nobody can say so any more once there is a WebSocket in it.
        for_websocket(&SockRef::from(&stream), served.engine().config());
        tokio::spawn(async move {
            known.insert(Secure);
            // Boxed: the connection does not need its room afterwards.
            match Box::pin(timeout(served.engine().config().tls_timeout, begin(stream))).await {
                Ok(Ok(stream)) => served.connection(stream, known).await,
                Ok(Err(error)) => {
                    let peer = known.get::<PeerAddr>().map(|peer| tracing::field::display(peer.0));
                    tracing::debug!(target: "wirebird::engineio", peer, %error, "TLS could not begin");
                }
                Err(_) => {
                    let peer = known.get::<PeerAddr>().map(|peer| tracing::field::display(peer.0));
                    tracing::debug!(target: "wirebird::engineio", peer, "TLS did not begin in time");
                    served.engine().count_limit(Limit::TlsTime, None);
                }
            }
        });
    })
    .await
}

async fn accept(
    listener: TcpListener,
    engine: &Engine,
    shutdown: impl Future<Output = ()>,
    serve: impl Fn(TcpStream, Extensions),
) -> io::Result<()> {
    engine.attach_runtime();
    prepare(&listener, engine);
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(target: "wirebird::engineio", %addr, "listening");
    }
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                let permit = match Admission::connect(engine.shared(), peer) {
                    Ok(permit) => permit,
                    Err(limit) => {
                        refuse(engine, stream, limit);
                        continue;
                    }
                };
                let socket = SockRef::from(&stream);
                // It is older than the call of this function, or the system does not hand options on.
                if !is_prepared(&socket) {
                    for_requests(&socket, engine.config());
                }
                let mut known = Listener::known(&stream, peer);
                if let Some(permit) = permit {
                    known.insert(permit);
                }
                serve(stream, known);
            }
            Err(error) => {
                // Out of file descriptors, or the peer was faster in leaving: neither ends the server.
                if is_news(engine, "accept") {
                    tracing::warn!(target: "wirebird::engineio", %error, "connections cannot be accepted");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What connections inherit, on Linux, and how many may wait.
fn prepare(listener: &TcpListener, engine: &Engine) {
    let socket = SockRef::from(listener);
    for_requests(&socket, engine.config());
    // The usual 128 are soon full when many clients come at once, and the kernel then drops or resets connections.
    if let Err(error) = socket.listen(BACKLOG) {
        tracing::debug!(target: "wirebird::engineio", %error, "the listener keeps its backlog");
    }
}

/// Closes a connection that is one too many.
fn refuse(engine: &Engine, stream: TcpStream, limit: Limit) {
    // What it has sent is not waited for, and nothing is kept for it.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
    if is_news(engine, limit.name()) {
        tracing::warn!(target: "wirebird::engineio", %limit, "connections are closed because there are too many");
    }
    engine.count_limit(limit, None);
}
