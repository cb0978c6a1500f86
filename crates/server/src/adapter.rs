//! Several servers as one: what is done here is published to the others, and what they do is applied here.

use std::fmt;
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use parking_lot::Mutex;
use wirebird_proto::socket_io::RawArgs;

use crate::core::Core;
use crate::error::EmitError;
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::room::Room;

/// Connects a server with others. Payloads are raw: nothing is decoded on the way.
///
/// A server without an adapter is alone. Implementations must not block in [`Adapter::publish`].
pub trait Adapter: Send + Sync + 'static {
    /// The adapter belongs to a server from now on: `local` applies what other servers publish.
    fn attach(&self, local: Local);

    /// Something was done on this server that concerns the others. Operations of one thread come in their order.
    fn publish(&self, operation: Operation);

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
}

impl Target {
    /// Everybody in a namespace.
    pub fn everybody(namespace: impl Into<ByteString>) -> Self {
        Self { namespace: namespace.into(), to: None, except: Vec::new(), volatile: false, compress: true }
    }

    /// Those in some rooms of a namespace.
    pub fn rooms(namespace: impl Into<ByteString>, rooms: Vec<Room>) -> Self {
        Self { to: Some(rooms), ..Self::everybody(namespace) }
    }
}

/// What servers tell each other.
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
        /// Where acknowledgements go; `None` when none are wanted.
        ack: Option<AckRoute>,
    },
    /// A socket has acknowledged an event of another server.
    Callback {
        /// Whom it is for.
        route: AckRoute,
        /// What it acknowledged.
        args: RawArgs,
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
}

/// Where an acknowledgement belongs: to a server, and to what waits for it there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AckRoute {
    /// The server that emitted the event.
    pub server: ByteString,
    /// The number it gave to it.
    pub id: u64,
}

/// Applies what other servers publish to the sockets of this one.
#[derive(Clone)]
pub struct Local(Weak<Core>);

impl Local {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self(Arc::downgrade(core))
    }

    /// Applies an operation to this server's sockets alone. Namespaces that do not exist here are passed over.
    ///
    /// # Errors
    /// When an event has a reserved name.
    pub fn apply(&self, operation: Operation) -> Result<(), EmitError> {
        match operation {
            Operation::Emit { target, event, args, ack: None } => {
                if let Some(operator) = self.operator(target) {
                    operator.emit_raw(&event, &args)?;
                }
            }
            Operation::Emit { target, event, args, ack: Some(route) } => {
                if let Some(operator) = self.operator(target) {
                    operator.emit_for_other_server(&event, &args, &route)?;
                }
            }
            Operation::Callback { route, args } => {
                if let Some(core) = self.0.upgrade() {
                    core.remote_ack(&route, args);
                }
            }
            Operation::Join { target, rooms } => {
                if let Some(operator) = self.operator(target) {
                    operator.join(rooms);
                }
            }
            Operation::Leave { target, rooms } => {
                if let Some(operator) = self.operator(target) {
                    operator.leave(rooms);
                }
            }
            Operation::Disconnect { target, close } => match self.operator(target) {
                Some(operator) if close => operator.disconnect_transports(),
                Some(operator) => operator.disconnect(),
                None => {}
            },
        }
        Ok(())
    }

    fn operator(&self, target: Target) -> Option<Operator> {
        let core = self.0.upgrade()?;
        let inner = core.namespaces.get(&target.namespace).map(|entry| entry.value().clone())?;
        Some(Operator::for_target(Namespace { core, inner }, target))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

/// Servers of one process as a cluster: for tests, and as the model of an adapter.
#[derive(Debug, Clone, Default)]
pub struct MemoryCluster {
    members: Arc<Mutex<Vec<Local>>>,
}

impl MemoryCluster {
    /// A cluster without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// An adapter for one more server.
    pub fn adapter(&self) -> impl Adapter + use<> {
        Member { cluster: self.clone(), own: Mutex::new(None) }
    }
}

struct Member {
    cluster: MemoryCluster,
    own: Mutex<Option<Local>>,
}

impl Adapter for Member {
    fn attach(&self, local: Local) {
        *self.own.lock() = Some(local.clone());
        self.cluster.members.lock().push(local);
    }

    fn publish(&self, operation: Operation) {
        let Some(own) = self.own.lock().clone() else { return };
        let others: Vec<Local> =
            self.cluster.members.lock().iter().filter(|other| !other.0.ptr_eq(&own.0)).cloned().collect();
        for other in others {
            if let Err(error) = other.apply(operation.clone()) {
                tracing::warn!(target: "wirebird::socketio", %error, "an operation of another server failed");
            }
        }
    }

    fn close(&self) {
        if let Some(own) = self.own.lock().take() {
            self.cluster.members.lock().retain(|other| !other.0.ptr_eq(&own.0));
        }
    }
}
