//! Several servers as one: what is done here is published to the others, and what they do is applied here.

mod local;
mod memory;

use std::time::Duration;

use bytestring::ByteString;
use wirebird_proto::socket_io::RawArgs;

use crate::id::SocketId;
use crate::room::Room;
use crate::snapshot::SocketSnapshot;

pub use local::Local;
pub use memory::MemoryCluster;

/// Connects a server with others. Payloads are raw: nothing is decoded on the way.
///
/// A server without an adapter is alone. Implementations must not block in [`Adapter::publish`].
pub trait Adapter: Send + Sync + 'static {
    /// The adapter belongs to a server from now on: `local` applies what other servers publish.
    fn attach(&self, local: Local);

    /// Something was done on this server that concerns the others. Operations of one thread come in their order.
    ///
    /// Those with a [`ReplyTo`] that are not answers themselves are questions to all other servers; what answers them
    /// is for the server that is named there alone, and others pass it over.
    fn publish(&self, operation: Operation);

    /// How many other servers answer questions at present. With `None` that is not known, and answers are awaited until
    /// the time is up. The default is none: such an adapter need not carry questions and answers.
    fn others(&self) -> Option<usize> {
        Some(0)
    }

    /// The server has closed.
    fn close(&self) {}
}

/// The sockets that an operation concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The namespace.
    pub namespace: ByteString,
    /// The rooms; `None` is everybody, an empty list nobody.
    pub to: Option<Vec<Room>>,
    /// Rooms whose sockets are left out.
    pub except: Vec<Room>,
    /// Whether the event may be dropped for sockets that cannot take it at once.
    pub volatile: bool,
    /// Whether the event may be compressed on its way to clients.
    pub compress: bool,
    /// The key under which it replaces older events that still wait for clients, if it does.
    pub conflate: Option<ByteString>,
}

impl Target {
    /// Everybody in a namespace.
    pub fn everybody(namespace: impl Into<ByteString>) -> Self {
        Self {
            namespace: namespace.into(),
            to: None,
            except: Vec::new(),
            volatile: false,
            compress: true,
            conflate: None,
        }
    }

    /// Those in some rooms of a namespace.
    pub fn rooms(namespace: impl Into<ByteString>, rooms: Vec<Room>) -> Self {
        Self { to: Some(rooms), ..Self::everybody(namespace) }
    }
}

/// What servers tell and ask each other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Emit an event.
    Emit {
        /// To whom.
        target: Target,
        /// Its name.
        event: ByteString,
        /// Its arguments.
        args: RawArgs,
        /// Set when the sockets' acknowledgements are wanted: answered by [`Operation::Addressed`], and then by an
        /// [`Operation::Acknowledged`] for each socket.
        ack: Option<AckRequest>,
    },
    /// Answers [`Operation::Emit`]: these sockets of a server are asked for their acknowledgements.
    Addressed {
        /// Whom it is for.
        reply_to: ReplyTo,
        /// The server that answers.
        server: ByteString,
        /// Its sockets, also if there are none. A format that only counts them needs ids made up for them.
        sockets: Vec<SocketId>,
    },
    /// Answers [`Operation::Emit`]: a socket has acknowledged the event, or will not.
    Acknowledged {
        /// Whom it is for.
        reply_to: ReplyTo,
        /// The socket: one of those that were addressed, or the one that the event was for.
        socket: SocketId,
        /// What it acknowledged; `None` when it is gone.
        args: Option<RawArgs>,
    },
    /// Make sockets join rooms.
    Join {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Make sockets leave rooms.
    Leave {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Disconnect sockets.
    Disconnect {
        /// Which sockets.
        target: Target,
        /// Whether their connections are closed, with all namespaces.
        close: bool,
    },
    /// Which sockets are there? Answered by [`Operation::Sockets`].
    FetchSockets {
        /// Where the answers go.
        reply_to: ReplyTo,
        /// Which of them.
        target: Target,
    },
    /// Answers [`Operation::FetchSockets`].
    Sockets {
        /// Whom it is for.
        reply_to: ReplyTo,
        /// The server that answers.
        server: ByteString,
        /// Its sockets, also if there are none.
        sockets: Vec<SocketSnapshot>,
    },
    /// An event for the servers themselves.
    ServerEvent {
        /// In which namespace.
        namespace: ByteString,
        /// Its name.
        event: ByteString,
        /// Its arguments.
        args: RawArgs,
        /// Set when answers are wanted, by [`Operation::ServerAnswer`].
        reply_to: Option<ReplyTo>,
    },
    /// Answers [`Operation::ServerEvent`].
    ServerAnswer {
        /// Whom it is for.
        reply_to: ReplyTo,
        /// The server that answers.
        server: ByteString,
        /// What its handler returned; `None` when it has none, or that failed.
        args: Option<RawArgs>,
    },
}

/// Where answers belong: to a server, and to the question that it asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplyTo {
    /// The server that asked.
    pub server: ByteString,
    /// The number it gave to the question.
    pub id: u64,
}

/// A wish to know what the sockets acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRequest {
    /// Where the answers go.
    pub reply_to: ReplyTo,
    /// How long they are waited for; `None` until the sockets are disconnected.
    pub timeout: Option<Duration>,
}
