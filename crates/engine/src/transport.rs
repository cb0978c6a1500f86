//! What carries a session's packets.

use std::fmt;
use std::io::{self, IoSlice};

/// The kind of transport a session is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
    /// WebTransport, over HTTP/3.
    WebTransport,
}

impl TransportKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Polling, Self::WebSocket, Self::WebTransport];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A transport that packets can be pushed through: a WebSocket, a WebTransport, or the memory of the same process.
///
/// The session tells it that something waits; its driver then takes it with
/// [`Session::take_wire`](crate::Session::take_wire) or [`Session::take_frames`](crate::Session::take_frames), and
/// feeds what the client sends to the session.
pub trait Transport: Send + Sync + 'static {
    /// What it counts as. The default is a WebSocket.
    fn kind(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    /// Something changed: packets wait, the session closes, an upgrade was given up. Called without locks, from any
    /// thread; must not block.
    fn wake(&self);

    /// Whether its driver takes what waits as WebSocket bytes, never as [frames](crate::Session::take_frames): small messages
    /// of one burst are joined then. The default is no.
    fn takes_bytes(&self) -> bool {
        false
    }

    /// Writes WebSocket bytes at once, as much as goes without waiting. Called under the session's lock: it must not
    /// block and must not call the session. The default takes nothing, so that the driver is woken to take them.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing can be taken now, anything else when the transport is broken.
    fn try_write(&self, _slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// What a transport is to its session at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attachment {
    /// It carries the session's packets.
    Active,
    /// It waits for the client to finish an upgrade.
    Candidate,
    /// The session has ended: send what waits, then close.
    Draining,
    /// The session has ended, or has given this transport up: close at once.
    Detached,
}
