//! A socket: one namespace connection of one client.

mod events;
mod handle;
mod kept;
mod life;
mod recovery;
mod send;
mod session;

use std::any::Any;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use parking_lot::Mutex;
use wirebird_engine::{Outgoing, Session};

use crate::acks::AckTable;
use crate::client::Client;
use crate::core::Core;
use crate::id::SocketId;
use crate::mailbox::Mailbox;
use crate::namespace::NamespaceInner;
use crate::rooms::Membership;
use crate::visit::Call;

use kept::Kept;
pub(crate) use recovery::Arrival;
pub(crate) use send::Queued;

pub use handle::{AckHandle, Socket};
pub use session::{SessionGuard, SocketSession};

/// What may go out to the client in this namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Gate {
    /// Nothing before the CONNECT packet: it is held.
    Held,
    /// Everything.
    Open,
    /// Nothing any more.
    Shut,
}

/// What waits for the gate to open.
#[derive(Default)]
struct Held {
    messages: Vec<Outgoing>,
    bytes: usize,
    /// The last message says goodbye: the gate shuts behind it.
    ends: bool,
}

impl Held {
    /// Where a message is that those with this key replace.
    fn older(&self, key: &str) -> Option<usize> {
        self.messages.iter().position(|message| message.key() == Some(key))
    }

    fn take_messages(&mut self) -> Vec<Outgoing> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

pub(crate) struct SocketInner {
    pub(crate) id: SocketId,
    pub(crate) core: Arc<Core>,
    pub(crate) namespace: Arc<NamespaceInner>,
    pub(crate) session: Arc<Session>,
    pub(crate) client: Arc<Client>,
    /// The shard that delivers broadcasts to this socket: the same for all of its session.
    pub(crate) shard: usize,
    /// What the client sent along with its CONNECT packet: a JSON object.
    pub(crate) auth: Option<ByteString>,
    gate: AtomicU8,
    /// `None` while nothing is held.
    held: Mutex<Option<Box<Held>>>,
    /// The last broadcast that looked at this socket.
    mark: AtomicU64,
    pub(crate) mailbox: Mutex<Mailbox>,
    pub(crate) call: Call,
    pub(crate) membership: Mutex<Membership>,
    pub(crate) acks: Mutex<AckTable>,
    /// What the application keeps and runs for it; `None` while that is nothing.
    kept: Mutex<Option<Box<Kept>>>,
    /// One update of the session at a time; nothing else in the server takes this lock.
    updating: Mutex<()>,
    /// The thread that does it, by its token; 0 for none.
    updating_thread: AtomicUsize,
    slot: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
    me: Weak<Self>,
}

impl SocketInner {
    pub(crate) fn new(
        id: SocketId,
        core: Arc<Core>,
        namespace: Arc<NamespaceInner>,
        session: Arc<Session>,
        client: Arc<Client>,
        auth: Option<ByteString>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            id,
            shard: client.shard,
            core,
            namespace,
            session,
            client,
            auth,
            gate: AtomicU8::new(Gate::Held as u8),
            held: Mutex::default(),
            mark: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox::new()),
            call: Call::default(),
            membership: Mutex::default(),
            acks: Mutex::default(),
            kept: Mutex::default(),
            updating: Mutex::default(),
            updating_thread: AtomicUsize::new(0),
            slot: Mutex::new(None),
            me: me.clone(),
        })
    }

    pub(crate) fn handle(&self) -> Option<Socket> {
        self.me.upgrade().map(Socket)
    }

    pub(crate) fn gate(&self) -> Gate {
        match self.gate.load(Ordering::Acquire) {
            0 => Gate::Held,
            1 => Gate::Open,
            _ => Gate::Shut,
        }
    }

    /// Notes that a broadcast has looked at this socket; `false` if it had already. Only the socket's shard calls it.
    pub(crate) fn mark(&self, broadcast: u64) -> bool {
        self.mark.swap(broadcast, Ordering::Relaxed) != broadcast
    }
}
