//! The task of one WebSocket.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::{Instant, timeout, timeout_at};
use wirebird_proto::engine_io::Packet;
use wirebird_proto::websocket::{
    CloseCode, DecodeError, Decoder, DeflateParams, Event, FrameHeader, Opcode, close_frame, pong_frame,
};

use super::io::{Link, Stream};
use crate::admission::Permit;
use crate::http::log_too_large;
use crate::limit::Limit;
use crate::read_buffer;
use crate::reason::CloseReason;
use crate::session::{Probe, Session};
use crate::transport::{Attachment, Transport};

/// How long the peer has to take our close frame and to answer it.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It carries the session.
    Session,
    /// It wants to take the session over from polling.
    Candidate,
}

pub(crate) struct Connection<S: Stream> {
    session: Arc<Session>,
    transport: Arc<dyn Transport>,
    link: Arc<S::Link>,
    role: Role,
    io: S,
    decoder: Decoder,
    /// What was read and not handled yet: beyond the request, or while reading was paused.
    stash: Vec<u8>,
    wants_write: bool,
    draining: bool,
    /// What was agreed on with a candidate, for the session that it may carry.
    deflate: Option<DeflateParams>,
    permit: Option<Permit>,
}

/// How a connection is to be closed.
enum End {
    /// With a close frame of this code.
    Close(Option<CloseCode>),
    /// The peer has closed or is gone: nothing more can be said.
    Gone,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        session: Arc<Session>,
        role: Role,
        io: S,
        link: Arc<S::Link>,
        leftover: Bytes,
        deflate: Option<DeflateParams>,
    ) -> Self {
        let config = &session.shared.config;
        let decoder = Decoder::new(config.max_payload).with_max_fragments(config.max_fragments);
        Self {
            decoder: match &deflate {
                Some(agreed) => decoder.with_deflate(agreed),
                None => decoder,
            },
            transport: link.clone(),
            session,
            link,
            role,
            io,
            stash: leftover.to_vec(),
            wants_write: false,
            draining: false,
            deflate,
            permit: None,
        }
    }

    /// Keeps the connection counted until it has been closed.
    pub(crate) fn with_permit(self, permit: Option<Permit>) -> Self {
        Self { permit, ..self }
    }

    /// Lets the session go and closes the stream.
    async fn finish(self, mut end: End) {
        let Self { io, transport, link, session, role, permit, .. } = self;
        let session = match role {
            Role::Candidate => {
                session.abandon_upgrade(&transport);
                None
            }
            Role::Session => {
                // For a session that is still open the transport has gone away under it.
                session.close(CloseReason::TransportClose);
                if session.is_torn() {
                    end = End::Gone;
                }
                Some(session)
            }
        };
        drop((transport, link));
        close(io, end, session).await;
        drop(permit);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.link.signal().take(cx) {
                match self.session.attachment(&self.transport) {
                    Attachment::Active | Attachment::Candidate => {}
                    Attachment::Draining => self.draining = true,
                    Attachment::Detached => return Poll::Ready(self.detached()),
                }
                self.wants_write = self.role == Role::Session;
            }
            if self.role == Role::Candidate && matches!(self.io.poll_flush(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(End::Gone);
            }
            if self.wants_write {
                match self.io.poll_drain(cx, &self.session) {
                    Poll::Ready(Ok(())) => self.wants_write = false,
                    Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                    Poll::Pending => {}
                }
            }
            if self.draining {
                return if self.wants_write { Poll::Pending } else { Poll::Ready(self.detached()) };
            }
            if self.pauses() {
                return Poll::Pending;
            }
            let ended = if self.stash.is_empty() {
                match self.read(cx) {
                    Poll::Ready(ended) => ended,
                    Poll::Pending => return Poll::Pending,
                }
            } else {
                let mut stash = std::mem::take(&mut self.stash);
                self.take_in(cx, &mut stash)
            };
            if let Some(end) = ended {
                return Poll::Ready(end);
            }
        }
    }

    /// Whether reading is to stop. Backpressure is for messages: the probe of an upgrade goes on.
    fn pauses(&self) -> bool {
        self.role == Role::Session && self.session.holds_back()
    }

    fn detached(&self) -> End {
        match self.session.close_reason() {
            Some(CloseReason::TransportClose) => End::Gone,
            _ => End::Close(Some(self.session.close_code())),
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        read_buffer::with(|buffer| match self.io.poll_read(cx, buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(Some(End::Gone)),
            Poll::Ready(Ok(read)) => Poll::Ready(self.take_in(cx, &mut buffer[..read])),
        })
    }

    /// Handles what was read; what it makes the server send goes out in one write at the end.
    fn take_in(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Option<End> {
        // Whoever only wants to carry the session does not hold it back.
        if self.role == Role::Session {
            self.session.cork();
        }
        let ended = self.decode(cx, bytes);
        if self.role == Role::Session {
            self.session.uncork();
        }
        ended
    }

    fn decode(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Option<End> {
        let mut at = 0;
        while at < bytes.len() {
            let decoded = match self.decoder.decode(&mut bytes[at..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    tracing::debug!(
                        target: "wirebird::engineio",
                        sid = self.session.id().hint(), %error, "refused WebSocket data, closing"
                    );
                    let code = error.close_code();
                    if code == CloseCode::TOO_BIG {
                        log_too_large(&self.session.engine(), "websocket");
                    }
                    if self.role == Role::Session {
                        answered(&self.session, &mut self.io, cx);
                        self.session.close_with_code(CloseReason::TransportError, code);
                    }
                    match error {
                        DecodeError::TooBig { .. } => self.session.count_limit(Limit::Payload),
                        DecodeError::TooManyFragments { .. } => self.session.count_limit(Limit::Fragments),
                        _ => {}
                    }
                    return Some(End::Close(Some(code)));
                }
            };
            at += decoded.consumed;
            let Some(event) = decoded.event else { break };
            let ended = match self.role {
                Role::Session => receive(&self.session, &mut self.io, cx, event),
                Role::Candidate => {
                    let (role, ended) = candidate(&self.session, &self.transport, &mut self.io, cx, event);
                    self.role = role;
                    if let Some(agreed) = self.deflate.filter(|_| role == Role::Session) {
                        self.session.agree(&agreed);
                    }
                    self.wants_write = role == Role::Session;
                    ended
                }
            };
            if ended.is_some() {
                return ended;
            }
            if self.pauses() {
                self.stash = bytes[at..].to_vec();
                break;
            }
        }
        None
    }
}

/// Writes what the messages before the end have made the server send, as much as goes: the end drops the rest.
#[cold]
fn answered<S: Stream>(session: &Session, io: &mut S, cx: &mut Context<'_>) {
    session.uncork();
    // What fails here fails again when the connection is closed.
    let _ = io.poll_drain(cx, session);
    session.cork();
}

fn receive<S: Stream>(
    session: &Arc<Session>,
    io: &mut S,
    cx: &mut Context<'_>,
    event: Event<'_>,
) -> Option<End> {
    match event {
        Event::Text(text) => match text.strip_prefix('4') {
            Some(message) => session.receive(Packet::Text(ByteString::from(message))),
            None => session.receive_text(ByteString::from(&*text)),
        },
        Event::Binary(data) => session.receive_frame(match data {
            std::borrow::Cow::Borrowed(data) => Bytes::copy_from_slice(data),
            std::borrow::Cow::Owned(data) => data.into(),
        }),
        Event::Ping(payload) => session.send_control(&pong_frame(&payload)),
        Event::Close(frame) => {
            let code = frame.map(|(code, _)| code);
            answered(session, io, cx);
            session.close(CloseReason::TransportClose);
            return Some(End::Close(code));
        }
        _ => {}
    }
    None
}

fn candidate<S: Stream>(
    session: &Session,
    transport: &Arc<dyn Transport>,
    io: &mut S,
    cx: &mut Context<'_>,
    event: Event<'_>,
) -> (Role, Option<End>) {
    let refused = (Role::Candidate, Some(End::Close(Some(CloseCode::NORMAL))));
    match event {
        Event::Text(text) => match session.probe(transport, &text) {
            Probe::Upgraded => {
                session.cork();
                (Role::Session, None)
            }
            Probe::Ignored => (Role::Candidate, None),
            Probe::Refused => refused,
            Probe::Reply(reply) => {
                let mut frame = FrameHeader::new(Opcode::Text, reply.len()).as_slice().to_vec();
                frame.extend_from_slice(reply.as_bytes());
                match io.try_raw(cx, &frame) {
                    Ok(()) => (Role::Candidate, None),
                    Err(_) => refused,
                }
            }
        },
        Event::Ping(payload) => match io.try_raw(cx, &pong_frame(&payload)) {
            Ok(()) => (Role::Candidate, None),
            Err(_) => refused,
        },
        Event::Pong(_) => (Role::Candidate, None),
        Event::Close(_) | Event::Binary(_) => refused,
    }
}

/// Runs a connection until it ends, whoever ends it. A stream without one was accepted for nothing (its session has a
/// transport already, or the server is closing) and is closed at once.
#[expect(clippy::manual_async_fn, reason = "an async fn has room for its argument twice")]
pub(crate) fn run<S: Stream>(
    mut started: Result<Connection<S>, (S, Vec<u8>)>,
) -> impl Future<Output = ()> + Send {
    async move {
        let end = poll_fn(|cx| match &mut started {
            Ok(connection) => connection.poll(cx),
            Err(_) => Poll::Ready(End::Close(Some(CloseCode::NORMAL))),
        })
        .await;
        // Boxed: an open connection must not carry the room that closing needs.
        Box::pin(finish(started, end)).await;
    }
}

async fn finish<S: Stream>(started: Result<Connection<S>, (S, Vec<u8>)>, end: End) {
    match started {
        Ok(connection) => connection.finish(end).await,
        Err((mut io, answer)) => {
            let _ = timeout(GOODBYE, io.write_raw(&answer)).await;
            close(io, end, None).await;
        }
    }
}

/// The closing handshake: our close frame, then what the peer still sends until it closes, for a short while. The
/// session is over when the frame has been written, so that a server that waits for its sessions has said goodbye. A peer
/// that has been silent for too long gets the frame alone, if the kernel takes it.
async fn close<S: Stream>(mut io: S, end: End, session: Option<Arc<Session>>) {
    // From whom nothing has come for so long, nothing more is waited for.
    let silent =
        session.as_ref().is_some_and(|session| session.close_reason() == Some(CloseReason::PingTimeout));
    let deadline = if silent { Instant::now() } else { Instant::now() + GOODBYE };
    let text = session.as_ref().map_or("", |session| session.close_text());
    let said = match end {
        End::Close(code) => {
            timeout_at(deadline, say_goodbye(&mut io, code, text)).await.is_ok_and(|said| said.is_ok())
        }
        End::Gone => false,
    };
    let given_up = session.is_some_and(|session| {
        session.finish();
        session.is_given_up()
    });
    let mut closed = false;
    if said {
        let mut rest = [0; 1024];
        let silence =
            async { while poll_fn(|cx| io.poll_read(cx, &mut rest)).await.is_ok_and(|read| read > 0) {} };
        closed = timeout_at(deadline, silence).await.is_ok();
    }
    // What the kernel still has for a client that takes nothing is not kept for it.
    if given_up && !closed && !(silent && said) {
        io.abort();
    }
}

async fn say_goodbye<S: Stream>(io: &mut S, code: Option<CloseCode>, text: &str) -> io::Result<()> {
    io.write_raw(&close_frame(code, text)).await?;
    io.shutdown().await
}
