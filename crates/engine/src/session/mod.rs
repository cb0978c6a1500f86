//! A session: the state machine that every transport drives.
//!
//! All of a session's state is behind one lock, which is never held while user code runs. A send takes the shortest
//! way: it is written at once when nothing waits before it, and queued otherwise.

mod close;
mod compress;
mod drive;
mod flags;
mod heartbeat;
mod receive;
mod send;
mod slow;
mod stall;
mod upgrade;

use std::any::Any;
use std::fmt;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;

use parking_lot::Mutex;
use wirebird_proto::websocket::{CloseCode, Deflater};

use crate::config::SendQueue;
use crate::engine::{Engine, Shared};
use crate::handshake::Handshake;
use crate::id::Id;
use crate::limit::Limit;
use crate::protocol::Protocol;
use crate::queue::Queue;
use crate::reason::CloseReason;
use crate::timer::{Expire, Millis};
use crate::transport::{Transport, TransportKind};

pub(crate) use drive::wake_drained;
use flags::Flags;
pub use send::{Owed, SendError};
pub use slow::Slowness;
use stall::Stall;
pub use upgrade::Probe;

/// Timer tokens of a session.
const HEARTBEAT: u64 = 0;
const UPGRADE: u64 = 1;
const DRAIN: u64 = 2;
const STALL: u64 = 3;

/// One client's Engine.IO session, over whatever transport it is on.
///
/// Every method may be called from any thread, with or without a runtime, and none waits.
pub struct Session {
    id: Id,
    protocol: Protocol,
    /// The client takes binary over polling only as base64; said by clients of protocol 3.
    base64: bool,
    handshake: Arc<Handshake>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) core: Mutex<Core>,
    flags: Flags,
    slot: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
    /// What the layer above keeps; set once, before the first message.
    layer: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// The window of the compression agreed on with the client, when its messages can be shared with others; else 0.
    window: AtomicU8,
    me: Weak<Self>,
}

pub(crate) struct Core {
    pub(crate) phase: Phase,
    pub(crate) link: Link,
    pub(crate) queue: Queue,
    /// Messages were dropped or refused since there was room last.
    behind: bool,
    /// The transport did not take everything; its driver has been told.
    blocked: bool,
    /// Somebody has queued messages and will flush.
    flush_owed: bool,
    /// The thread that is handling a burst of incoming packets: what it sends is held until the burst is done.
    cork: usize,
    pub(crate) paused: bool,
    /// Woken when reading may go on, or when the session ends.
    pub(crate) read_waker: Option<Waker>,
    pub(crate) upgrade: Option<Box<Upgrade>>,
    pub(crate) posting: bool,
    heartbeat: Heartbeat,
    stall: Stall,
    drained: Vec<Waker>,
    pub(crate) reason: Option<CloseReason>,
    close_code: Option<CloseCode>,
    known: Known,
    /// A frame was cut short when the queue was dropped: no other may follow it.
    torn: bool,
    /// Compresses what goes out, when messages build on each other.
    deflater: Option<Box<Deflater>>,
}

/// Whether the layer above knows of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    /// It is being told.
    Opening,
    /// It is being told, and will be told of the end after that.
    Ended,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Closed for the application; what was queued is still on its way.
    Draining,
    Closed,
}

pub(crate) enum Link {
    Polling {
        /// A poll is held or being answered.
        polled: bool,
        waker: Option<Waker>,
    },
    Stream(Arc<dyn Transport>),
    /// The session is over and has let its transport go.
    Closed(TransportKind),
}

impl Link {
    pub(crate) fn kind(&self) -> TransportKind {
        match self {
            Self::Polling { .. } => TransportKind::Polling,
            Self::Stream(transport) => transport.kind(),
            Self::Closed(kind) => *kind,
        }
    }
}

pub(crate) struct Upgrade {
    transport: Arc<dyn Transport>,
    pub(crate) probed: bool,
    deadline: Millis,
}

#[derive(Debug, Default)]
struct Heartbeat {
    /// When the next ping is sent, or when the pong is late.
    due: Millis,
    /// When the timer entry that counts fires; others are left over.
    timer: Millis,
    /// In protocol 3 a ping is what is awaited, at all times.
    awaiting_pong: bool,
    /// The pong was due while it could not be seen.
    excused: bool,
    /// The pong was due while the server stood still, which counts once.
    spared: bool,
}

impl Core {
    /// A transport is about to take over: polls are answered with a noop.
    fn probed(&self) -> bool {
        self.upgrade.as_ref().is_some_and(|u| u.probed)
    }

    /// Nobody reads from the client, or the ping cannot reach it: that its pong does not come is not its fault.
    fn misses_pongs(&self, limits: &SendQueue) -> bool {
        self.paused || self.cork != 0 || self.probed() || self.is_clogged(limits)
    }

    /// The client does not take what it asks for.
    fn is_clogged(&self, limits: &SendQueue) -> bool {
        self.blocked && !self.queue.has_room(limits)
    }
}

impl Session {
    pub(crate) fn new(id: Id, handshake: Arc<Handshake>, shared: Arc<Shared>, link: Link) -> Arc<Self> {
        let protocol = Protocol::of(&shared.config, &handshake, link.kind());
        let base64 = protocol == Protocol::V3 && asks_for_base64(&handshake);
        let session = Arc::new_cyclic(|me| Self {
            id,
            protocol,
            base64,
            handshake,
            core: Mutex::new(Core {
                phase: Phase::Open,
                link,
                queue: Queue::default(),
                behind: false,
                blocked: false,
                flush_owed: false,
                cork: 0,
                paused: false,
                read_waker: None,
                upgrade: None,
                posting: false,
                heartbeat: Heartbeat::default(),
                stall: Stall::default(),
                drained: Vec::new(),
                reason: None,
                close_code: None,
                known: Known::No,
                torn: false,
                deflater: None,
            }),
            flags: Flags::default(),
            slot: Mutex::new(None),
            layer: OnceLock::new(),
            window: AtomicU8::new(0),
            shared,
            me: me.clone(),
        });
        session.begin_heartbeat();
        session
    }

    /// The session's id: a credential, never shown to other clients.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The version of the protocol that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn is_v3(&self) -> bool {
        self.protocol == Protocol::V3
    }

    /// Whether binary goes to the client as base64 over polling.
    pub(crate) fn takes_base64(&self) -> bool {
        self.base64
    }

    /// The engine the session belongs to.
    pub fn engine(&self) -> Engine {
        Engine::from_shared(self.shared.clone())
    }

    /// The request that opened the session.
    pub fn handshake(&self) -> &Arc<Handshake> {
        &self.handshake
    }

    /// The transport it is on.
    pub fn transport(&self) -> TransportKind {
        self.core.lock().link.kind()
    }

    /// Whether the session goes on.
    pub fn is_open(&self) -> bool {
        self.core.lock().phase == Phase::Open
    }

    /// Why the session ended; `None` while it goes on.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.core.lock().reason
    }

    /// What the layer above keeps for this session: the Socket.IO server, for one. Applications have the
    /// [slot](Session::slot).
    #[doc(hidden)]
    pub fn layer(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.layer.get().map(|layer| &**layer)
    }

    /// Keeps what belongs to the layer above; only the first call counts. It is dropped with the session.
    #[doc(hidden)]
    pub fn set_layer(&self, value: Arc<dyn Any + Send + Sync>) {
        let _ = self.layer.set(value);
    }

    /// Counts that the client has run into a limit, and tells the layer above. Must be called without locks.
    pub fn count_limit(&self, limit: Limit) {
        self.shared.limit_reached(limit, Some(self));
    }

    /// What the application keeps for this session.
    pub fn slot(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.slot.lock().clone()
    }

    /// Keeps something for this session; returns what was kept before. It is dropped soon after the session ends.
    pub fn set_slot(&self, value: Option<Arc<dyn Any + Send + Sync>>) -> Option<Arc<dyn Any + Send + Sync>> {
        std::mem::replace(&mut *self.slot.lock(), value)
    }
}

fn asks_for_base64(handshake: &Handshake) -> bool {
    handshake.query("b64").is_some_and(|value| !value.is_empty())
}

impl Expire for Session {
    fn expire(self: Arc<Self>, token: u64, now: Millis) {
        match token {
            HEARTBEAT => self.beat(now),
            UPGRADE => self.expire_upgrade(now),
            STALL => self.look(),
            _ => self.give_up_draining(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}
