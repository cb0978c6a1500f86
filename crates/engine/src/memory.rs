//! Sessions inside one process: frames are handed over in memory, synchronously, with or without a runtime.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use wirebird_proto::engine_io::Packet;

use crate::engine::{Engine, guard};
use crate::handshake::Handshake;
use crate::queue::Frame;
use crate::reason::CloseReason;
use crate::session::{Probe, Session};
use crate::transport::{Attachment, Transport, TransportKind};

/// The client's end of a session in memory.
///
/// It counts as a WebSocket unless told otherwise. [`Connection::feed`] runs the server's handlers before it returns when
/// the engine has no runtime; calls must follow one another.
pub struct Connection {
    session: Arc<Session>,
    link: Arc<Link>,
    transport: Arc<dyn Transport>,
}

struct Link {
    kind: TransportKind,
    on_wake: Box<dyn Fn() + Send + Sync>,
    /// Answers to the probe of an upgrade, which do not come from the session.
    replies: Mutex<Vec<Frame>>,
}

impl Transport for Link {
    fn kind(&self) -> TransportKind {
        self.kind
    }

    fn wake(&self) {
        guard(|| (self.on_wake)());
    }
}

impl Connection {
    /// Opens a session. `on_wake` is called, without locks and from any thread, when frames wait or when the session
    /// has ended. `None` when the engine is closing.
    pub fn open(
        engine: &Engine,
        handshake: Handshake,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        Self::open_as(TransportKind::WebSocket, engine, Arc::new(handshake), on_wake)
    }

    /// As [`Connection::open`], for the driver of a transport whose packets it hands over: the session counts as one on
    /// that kind of transport.
    pub fn open_as(
        kind: TransportKind,
        engine: &Engine,
        handshake: Arc<Handshake>,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        let (link, transport) = Link::new(kind, on_wake);
        let session = engine.open(handshake, transport.clone())?;
        Some(Self { session, link, transport })
    }

    /// Begins to take a session over from polling: the probe is up to the caller. `None` when the session is not on
    /// polling, or is being taken over already.
    pub fn upgrade(session: &Arc<Session>, on_wake: impl Fn() + Send + Sync + 'static) -> Option<Self> {
        Self::upgrade_as(TransportKind::WebSocket, session, on_wake)
    }

    /// As [`Connection::upgrade`], for the driver of another kind of transport.
    pub fn upgrade_as(
        kind: TransportKind,
        session: &Arc<Session>,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        let (link, transport) = Link::new(kind, on_wake);
        session.begin_upgrade(&transport).then(|| Self { session: session.clone(), link, transport })
    }

    /// Hands one frame of the client to the server.
    pub fn feed(&self, frame: Frame) {
        match self.session.attachment(&self.transport) {
            Attachment::Active => {
                self.session.cork();
                match frame {
                    Frame::Text(text) => self.session.receive_text(text),
                    Frame::Binary(data) => self.session.receive(Packet::Binary(data)),
                }
                self.session.uncork();
            }
            Attachment::Candidate => {
                if let Frame::Text(text) = frame
                    && let Probe::Reply(reply) = self.session.probe(&self.transport, &text)
                {
                    self.link.replies.lock().push(Frame::Text(reply.into()));
                    self.link.wake();
                }
            }
            Attachment::Draining | Attachment::Detached => {}
        }
    }

    /// Takes every frame that waits for the client.
    pub fn take_batch(&self) -> Vec<Frame> {
        let mut frames = std::mem::take(&mut *self.link.replies.lock());
        match self.session.attachment(&self.transport) {
            Attachment::Active => frames.extend(self.session.take_frames()),
            Attachment::Draining => {
                frames.extend(self.session.take_frames());
                self.session.finish();
            }
            _ => {}
        }
        frames
    }

    /// Whether the session goes on, on this transport.
    pub fn is_open(&self) -> bool {
        matches!(self.session.attachment(&self.transport), Attachment::Active | Attachment::Candidate)
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The client goes away.
    pub fn close(&self) {
        match self.session.attachment(&self.transport) {
            Attachment::Candidate => self.session.abandon_upgrade(&self.transport),
            Attachment::Active | Attachment::Draining => {
                self.session.close(CloseReason::TransportClose);
                self.session.finish();
            }
            Attachment::Detached => {}
        }
    }
}

impl Link {
    fn new(
        kind: TransportKind,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> (Arc<Self>, Arc<dyn Transport>) {
        let link = Arc::new(Self { kind, on_wake: Box::new(on_wake), replies: Mutex::default() });
        (link.clone(), link)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("session", &self.session).finish_non_exhaustive()
    }
}
