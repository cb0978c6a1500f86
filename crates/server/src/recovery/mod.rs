//! Connection state recovery: a client whose connection broke comes back as the same socket, and gets what it missed.
//!
//! Events are recorded with an offset, which goes along as a last argument, and the state of sockets that were cut off is
//! kept for a while. Offsets are the positions in one record of the whole server. What is emitted gets its offset and
//! goes into the queues of the shards under one lock, so that every client sees offsets grow.
//!
//! Source: "connection state recovery" of Socket.IO 4.6. Three things are better here. A client is recovered though no
//! event has reached it yet, though it was idle for so long that its last event is not recorded any more, and as often as
//! it is cut off. The second holds as long as the limits have displaced nothing; docs/src/recovery.md lists what is not right yet.

mod kept;
mod record;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use serde::Deserialize;
use wirebird_engine::{CloseReason, ConfigError, Engine, Expire, Millis, Outgoing, Session, WeakEngine};

use crate::adapter::Target;
use crate::core::Core;
use crate::error::EmitError;
use crate::id::SocketId;
use crate::options::millis;
use crate::packet::Encoded;
use crate::reason::DisconnectReason;
use crate::shard::Begun;
use crate::socket::SocketInner;

use kept::Kept;
pub(crate) use kept::{Cut, Restored};
use record::Record;

/// How connections are recovered; see [`Builder::connection_state_recovery`](crate::Builder::connection_state_recovery).
///
/// ```
/// use std::time::Duration;
/// use wirebird::{Recovery, Server};
///
/// let recovery = Recovery { max_disconnection_duration: Duration::from_secs(30), ..Recovery::default() };
/// let io = Server::builder().connection_state_recovery(recovery).build();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// For how long a client that was cut off may come back. Default 2 minutes.
    pub max_disconnection_duration: Duration,
    /// Whether the handlers of [`before_connect`](crate::Namespace::before_connect) are passed over for clients that are
    /// recovered. The connect handler always runs, and [`Socket::recovered`](crate::Socket::recovered) tells it.
    /// Default false: credentials are checked again.
    pub skip_before_connect: bool,
    /// Events that are recorded at most, of all namespaces. When one that a client may have missed had to make room, it
    /// is not recovered. Default 100,000.
    pub max_events: usize,
    /// Bytes of recorded events at most. Default 64 MiB.
    pub max_bytes: usize,
    /// Sockets that are kept at most; the oldest make room. Default 10,000.
    pub max_sockets: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_before_connect: false,
            max_events: 100_000,
            max_bytes: 64 << 20,
            max_sockets: 10_000,
        }
    }
}

impl Recovery {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let none = self.max_disconnection_duration < Duration::from_millis(1)
            || [self.max_events, self.max_bytes, self.max_sockets].contains(&0);
        if none {
            return Err(ConfigError::new(
                "connection_state_recovery: nothing could be recovered with a limit of zero",
            ));
        }
        Ok(())
    }
}

/// What a client sends along that wants its connection back.
#[derive(Deserialize)]
struct Claim {
    pid: String,
    /// The last one that it got.
    #[serde(default)]
    offset: Option<String>,
}

impl Claim {
    fn of(auth: Option<&str>) -> Option<Self> {
        serde_json::from_str(auth?).ok()
    }
}

/// What is recorded and kept.
pub(crate) struct Recoveries {
    options: Recovery,
    state: Mutex<State>,
    engine: Mutex<Option<WeakEngine>>,
    me: Weak<Self>,
}

#[derive(Default)]
struct State {
    record: Record,
    /// Sockets that were cut off, by their private ids.
    kept: HashMap<Box<str>, Kept>,
    /// Until when they are kept, the first to go in front. Some are gone already.
    order: VecDeque<(Millis, Box<str>)>,
    /// Sockets that are connected, by their private ids.
    live: HashMap<Box<str>, Weak<SocketInner>>,
    /// Whether a timer will look at what is to be forgotten.
    timed: bool,
}

impl State {
    /// Takes out the socket that has been kept for longest, if its time ends by `until`.
    fn drop_oldest(&mut self, until: Millis) -> Option<Kept> {
        while self.order.front().is_some_and(|(end, _)| *end <= until) {
            let (end, pid) = self.order.pop_front()?;
            // It may have come back, and have been cut off anew.
            if self.kept.get(&pid).is_some_and(|kept| kept.until == end) {
                return self.kept.remove(&pid);
            }
        }
        None
    }
}

impl Recoveries {
    pub(crate) fn new(options: Recovery) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            options,
            state: Mutex::default(),
            engine: Mutex::default(),
            me: me.clone(),
        })
    }

    pub(crate) fn set_engine(&self, engine: WeakEngine) {
        *self.engine.lock() = Some(engine);
    }

    pub(crate) fn skips_before_connect(&self) -> bool {
        self.options.skip_before_connect
    }

    fn engine(&self) -> Option<Engine> {
        self.engine.lock().as_ref()?.upgrade()
    }

    /// For how long an event is recorded: it may have been on its way to a client that was gone already.
    fn max_age(&self, engine: &Engine) -> Millis {
        let config = engine.config();
        let unnoticed = config.ping_interval + config.ping_timeout;
        millis(self.options.max_disconnection_duration.saturating_add(unnoticed))
    }

    /// Records an event, and queues it by `enqueue`, which must not call anybody.
    pub(crate) fn emit(
        &self,
        core: &Core,
        target: Target,
        encoded: Encoded,
        enqueue: impl FnOnce(&Outgoing) -> Begun,
    ) -> Result<(), EmitError> {
        encoded.trace(&target.namespace);
        let engine = self.engine();
        let now = engine.as_ref().map_or(0, Engine::now);
        let begun = {
            let mut state = self.state.lock();
            let offset = record::offset_text(state.record.next_offset());
            let message = encoded.into_event_with(core, &target.namespace, &offset)?;
            let begun = enqueue(&message);
            state.record.push(now, target, message, self.options.max_events, self.options.max_bytes);
            if let Some(engine) = engine {
                state.record.expire(now.saturating_sub(self.max_age(&engine)));
                self.schedule(&mut state, &engine);
            }
            begun
        };
        begun.into_iter().for_each(|shard| core.shards.begin(shard));
        Ok(())
    }

    /// Does something between two events; `act` gets the position of the one before, and must not call anybody.
    pub(crate) fn at_one_moment<T>(&self, act: impl FnOnce(u64) -> T) -> T {
        let state = self.state.lock();
        act(state.record.position())
    }

    /// A socket is connected, and may be recovered by `pid` when it is cut off.
    pub(crate) fn watch(&self, pid: &str, socket: &Arc<SocketInner>) {
        self.state.lock().live.insert(pid.into(), Arc::downgrade(socket));
    }

    /// A socket is not connected any more. It is kept if it may come back; a client that `parted` may not.
    pub(crate) fn end(&self, pid: &str, reason: DisconnectReason, parted: bool, cut: impl FnOnce() -> Cut) {
        if parted || !is_recoverable(reason) {
            self.state.lock().live.remove(pid);
            return;
        }
        let cut = cut();
        let Some(engine) = self.engine() else { return };
        let until = engine.now() + millis(self.options.max_disconnection_duration);
        let mut state = self.state.lock();
        if state.live.remove(pid).is_none() {
            return;
        }
        let mut displaced = None;
        if state.kept.len() >= self.options.max_sockets {
            displaced = state.drop_oldest(Millis::MAX);
        }
        state.kept.insert(pid.into(), Kept { cut, until });
        state.order.push_back((until, pid.into()));
        if state.order.len() > 2 * self.options.max_sockets {
            let State { order, kept, .. } = &mut *state;
            order.retain(|(end, pid)| kept.get(pid).is_some_and(|kept| kept.until == *end));
        }
        self.schedule(&mut state, &engine);
        drop(state);
        forget(displaced);
    }

    /// Makes the socket of a client that connects a member of its namespace: the one that it had, if it was cut off and can
    /// be given all that it missed, else a new one. `None` when there are no ids.
    pub(crate) fn enter(
        &self,
        session: &Session,
        namespace: &ByteString,
        auth: Option<&str>,
        new: impl FnOnce(SocketId) -> Arc<SocketInner>,
    ) -> Option<Arc<SocketInner>> {
        let claim = Claim::of(auth);
        if let Some(claim) = &claim {
            // Its connection broke, and nobody has noticed yet.
            let live = self.state.lock().live.get(&*claim.pid).and_then(Weak::upgrade);
            if let Some(socket) = live.filter(|socket| socket.namespace.name == *namespace) {
                socket.session.close(CloseReason::TransportClose);
            }
        }
        let ids = session.engine().config().ids.clone();
        let (id, pid) = (ids.generate().ok()?, [ids.generate().ok()?, ids.generate().ok()?]);
        let mut state = self.state.lock();
        let mut lost = None;
        let claimed = claim.and_then(|claim| {
            // Whatever comes of it, a private id is good for one attempt.
            let kept = state.kept.remove(&*claim.pid)?;
            let now = session.engine().now();
            match kept.missed(&state.record, now, namespace, claim.offset.as_deref()) {
                Some(missed) => Some((claim.pid, Restored { cut: kept.cut, missed })),
                None => {
                    lost = Some(kept);
                    None
                }
            }
        });
        let socket = match claimed {
            Some((pid, restored)) => {
                let socket = new(restored.cut.id);
                socket.enter_again(pid.into(), restored);
                socket
            }
            None => {
                let socket = new(SocketId(id));
                socket
                    .enter_recoverable(pid.map(|id| id.to_string()).concat().into(), state.record.position());
                socket
            }
        };
        drop(state);
        forget(lost);
        Some(socket)
    }

    fn schedule(&self, state: &mut State, engine: &Engine) {
        let next = [
            state.order.front().map(|(until, _)| *until),
            state.record.oldest().map(|at| at + self.max_age(engine)),
        ];
        if !state.timed
            && let Some(at) = next.into_iter().flatten().min()
        {
            state.timed = true;
            // Not for each event on its own.
            engine.schedule(at.max(engine.now() + 1000), self.me.clone(), 0);
        }
    }
}

impl Expire for Recoveries {
    fn expire(self: Arc<Self>, _token: u64, now: Millis) {
        let Some(engine) = self.engine() else { return };
        let mut state = self.state.lock();
        state.timed = false;
        state.record.expire(now.saturating_sub(self.max_age(&engine)));
        let dropped: Vec<_> = std::iter::from_fn(|| state.drop_oldest(now)).collect();
        self.schedule(&mut state, &engine);
        drop(state);
        engine.offload(move || dropped.into_iter().for_each(|kept| forget(Some(kept))));
    }
}

/// Drops what is kept, values of the application included: that is its code, and may panic.
fn forget(kept: Option<Kept>) {
    crate::guard("recovery", || drop(kept));
}

/// Whether a socket may come back: not when the server has ended it on purpose, and not when it makes no sense.
fn is_recoverable(reason: DisconnectReason) -> bool {
    use DisconnectReason as Reason;
    !matches!(reason, Reason::ServerDisconnect | Reason::ParseError)
}
