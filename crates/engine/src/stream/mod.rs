//! WebSockets on byte streams: one task for each, which reads, and writes what other threads could not write at once.

mod connection;
mod io;
mod options;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use wirebird_proto::websocket::{self, DeflateParams};

use crate::admission::Permit;
use crate::engine::Engine;
use crate::handshake::Handshake;
use crate::http::{Step, begin};
use crate::id::Id;
use crate::session::Session;
pub(crate) use connection::GOODBYE;
use connection::{Connection, Role};
use io::{AnyStream, TcpSplit};
pub(crate) use options::{for_requests, for_websocket, is_prepared};
use socket2::SockRef;

/// A WebSocket whose handshake has been accepted and which now needs its connection.
#[derive(Debug)]
pub struct WebSocket {
    engine: Engine,
    purpose: Purpose,
    /// How its messages may be compressed.
    deflate: Option<DeflateParams>,
    /// What is to be written before everything else.
    answer: Vec<u8>,
    /// Counts the connection.
    permit: Option<Permit>,
}

#[derive(Debug)]
enum Purpose {
    Open(Arc<Handshake>, Id),
    Upgrade(Arc<Session>),
}

impl WebSocket {
    pub(crate) fn new(engine: Engine, handshake: Arc<Handshake>, id: Id) -> Self {
        Self {
            engine,
            purpose: Purpose::Open(handshake, id),
            deflate: None,
            answer: Vec::new(),
            permit: None,
        }
    }

    pub(crate) fn upgrading(engine: Engine, session: Arc<Session>) -> Self {
        Self { engine, purpose: Purpose::Upgrade(session), deflate: None, answer: Vec::new(), permit: None }
    }

    pub(crate) fn with_deflate(self, deflate: Option<DeflateParams>) -> Self {
        Self { deflate, ..self }
    }

    /// Keeps the connection counted as long as it runs.
    pub(crate) fn with_permit(self, permit: Option<Permit>) -> Self {
        Self { permit, ..self }
    }

    /// Whether it is to open a session.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.purpose, Purpose::Open(..))
    }

    /// Leaves it to the WebSocket to write the answer to its request: for a new session that is one write with the OPEN
    /// packet.
    pub(crate) fn with_answer(self, answer: Vec<u8>) -> Self {
        Self { answer, ..self }
    }

    /// Runs it on a TCP connection until it ends. `leftover` is what was read beyond the request. The session is opened
    /// by the call itself; the future holds little, so that it can be spawned as it is.
    ///
    /// Packets are written from the thread that sends them when nothing waits before them.
    pub fn run_tcp(self, stream: TcpStream, leftover: Bytes) -> impl Future<Output = ()> + Send + 'static {
        for_websocket(&SockRef::from(&stream), self.engine.config());
        let (io, link) = TcpSplit::new(stream);
        connection::run(self.start(io, link, leftover))
    }

    /// Runs it on any byte stream until it ends. `leftover` is what was read beyond the request. The session is opened
    /// by the call itself.
    pub fn run<S>(self, stream: S, leftover: Bytes) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (io, link) = AnyStream::new(stream);
        connection::run(self.start(io, link, leftover))
    }

    /// The connection; when there is nothing for it to carry, the stream and what is to be written to it first.
    fn start<S: io::Stream>(
        self,
        io: S,
        link: Arc<S::Link>,
        leftover: Bytes,
    ) -> Result<Connection<S>, (S, Vec<u8>)> {
        let transport: Arc<dyn crate::Transport> = link.clone();
        let (session, role) = match self.purpose {
            Purpose::Open(handshake, id) => match self.engine.open_as(id, handshake, transport, &self.answer)
            {
                Some(session) => {
                    if let Some(agreed) = &self.deflate {
                        session.agree(agreed);
                    }
                    // One that has ended already says so to the client: that is up to its connection.
                    self.engine.shared().announce(&session);
                    (session, Role::Session)
                }
                None => return Err((io, self.answer)),
            },
            Purpose::Upgrade(session) if session.begin_upgrade(&transport) => (session, Role::Candidate),
            Purpose::Upgrade(_) => return Err((io, self.answer)),
        };
        Ok(Connection::new(session, role, io, link, leftover, self.deflate).with_permit(self.permit))
    }
}

/// Takes over a connection on which a WebSocket request has been read: checks it, writes the answer itself, and runs
/// the WebSocket until it ends. For servers that are not built on hyper.
///
/// # Errors
/// When the answer cannot be written.
pub async fn adopt<S>(
    engine: &Engine,
    mut parts: Parts,
    mut stream: S,
    leftover: Bytes,
) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    engine.attach_runtime();
    // A poll could only be dropped here, and that would end its session.
    if !websocket::is_upgrade(&parts.headers) {
        return write_response(&mut stream, &crate::http::not_a_websocket()).await;
    }
    match begin(engine, &mut parts).await {
        Step::WebSocket(socket, reply) => {
            let response = reply.switching();
            let accept = response.headers().get(http::header::SEC_WEBSOCKET_ACCEPT).cloned();
            let mut extra = response.headers().clone();
            for name in [http::header::SEC_WEBSOCKET_ACCEPT, http::header::UPGRADE, http::header::CONNECTION]
            {
                extra.remove(name);
            }
            if let Some(accept) = accept {
                stream.write_all(&websocket::response_bytes(&accept, &extra)).await?;
            }
            socket.run(stream, leftover).await;
            Ok(())
        }
        Step::Respond(response) => write_response(&mut stream, &response).await,
        Step::Poll(..) | Step::Post(..) => write_response(&mut stream, &crate::http::not_a_websocket()).await,
    }
}

async fn write_response<S>(stream: &mut S, response: &http::Response<Bytes>) -> std::io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let mut head = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", response.body().len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(response.body()).await?;
    stream.shutdown().await
}
