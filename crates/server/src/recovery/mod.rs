//! Connection state recovery: a client whose connection broke comes back as the same socket, and gets what it missed.
//!
//! A client that is recovered has got every event that it would have got, in order, none twice; when that cannot be
//! promised, it is connected anew. How that is kept: what is emitted gets its place in one [record] and in the queues of
//! its sockets under one lock, so a client that names an event has got all before it. It is recovered if all after that
//! is recorded: if the last event for it that is not recorded any more is no later than the one that it names.
//!
//! Of what is not recorded any more, the last event of each room is remembered, for as long as somebody is in the room
//! who may be recovered. So a client may have been idle for any time, on a server however busy with others.
//!
//! * [`claim`]: what clients send along to come back.
//! * [`record`]: the events, and what a socket has missed of them.
//! * [`stays`]: which rooms a socket was in, and when.
//! * [`members`]: the sockets that may be recovered, connected or not.
//!
//! A socket that takes the place of another waits for the end of that one's handlers, at most for the
//! [grace](crate::Builder::disconnect_grace) of disconnections; see `socket/recovery.rs`.
//!
//! Source: "connection state recovery" of Socket.IO 4.6.

mod claim;
mod members;
mod record;
mod stays;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use wirebird_engine::{
    CloseReason, ConfigError, Engine, Expire, Limit, Millis, Outgoing, SendError, Session, WeakEngine,
};

use crate::adapter::Target;
use crate::core::Core;
use crate::error::{EmitError, RoomError};
use crate::id::SocketId;
use crate::options::millis;
use crate::packet::Encoded;
use crate::room::Room;
use crate::rooms::Change;
use crate::socket::{Arrival, Queued, SocketInner};

pub(crate) use claim::{Claim, Heard, Pid};
use claim::{Offsets, new_pid};
use members::{Claimed, Forgotten, Members};
pub(crate) use members::{Restored, Values};
use record::{Event, Limits};

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
    /// Events that are recorded at most, of all namespaces; the oldest make room. A client that has missed one that had
    /// to is connected anew. Default 100,000.
    pub max_events: usize,
    /// Bytes of recorded events at most, likewise. Default 64 MiB.
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

/// What is recorded and kept.
pub(crate) struct Recoveries {
    options: Recovery,
    offsets: Offsets,
    /// The number of the next event.
    numbers: AtomicU64,
    state: Mutex<State>,
    engine: OnceLock<WeakEngine>,
    me: Weak<Self>,
}

#[derive(Default)]
struct State {
    members: Members,
    /// A timer will look at what is to be forgotten.
    timed: bool,
}

impl Recoveries {
    pub(crate) fn new(options: Recovery) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            options,
            offsets: Offsets::new(),
            numbers: AtomicU64::new(0),
            state: Mutex::default(),
            engine: OnceLock::new(),
            me: me.clone(),
        })
    }

    pub(crate) fn set_engine(&self, engine: WeakEngine) {
        let _ = self.engine.set(engine);
    }

    pub(crate) fn skips_before_connect(&self) -> bool {
        self.options.skip_before_connect
    }

    fn engine(&self) -> Option<Engine> {
        self.engine.get()?.upgrade()
    }

    /// For how long an event is recorded: it may have been on its way to a client that was gone already.
    fn max_age(&self, engine: &Engine) -> Millis {
        let config = engine.config();
        let unnoticed = config.ping_interval + config.ping_timeout;
        millis(self.options.max_disconnection_duration.saturating_add(unnoticed))
    }

    // ---- emitting ----

    /// Records an event, and queues it by `enqueue`, which must not call anybody. An event that is refused is not
    /// recorded.
    pub(crate) fn emit(
        &self,
        core: &Core,
        target: Target,
        encoded: Encoded,
        enqueue: impl FnOnce(&Outgoing) -> (Result<(), SendError>, Queued),
    ) -> Result<(), EmitError> {
        encoded.trace(&target.namespace);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // Without the lock: this may be a parser of the application.
        let message = encoded.into_event_with(core, &target.namespace, &self.offsets.event(number))?;
        let engine = self.engine();
        let at = engine.as_ref().map_or(0, Engine::now);
        let limits = Limits { events: self.options.max_events, bytes: self.options.max_bytes };
        let mut dropped = Vec::new();
        let crowded;
        let (result, queued) = {
            let mut state = self.state.lock();
            let (result, queued) = enqueue(&message);
            if result != Err(SendError::Full) {
                state.members.record.push(Event { at, number, target, message }, limits, &mut dropped);
            }
            crowded = !dropped.is_empty();
            if let Some(engine) = &engine {
                state.members.record.expire(at.saturating_sub(self.max_age(engine)), &mut dropped);
                self.schedule(&mut state, engine);
            }
            (result, queued)
        };
        queued.finish(core);
        if let Some(engine) = engine.filter(|_| crowded) {
            engine.count_limit(Limit::RecoveryEvents, None);
        }
        match result {
            Err(SendError::Full) => Err(EmitError::Full),
            _ => Ok(()),
        }
    }

    // ---- members ----

    /// Has a socket join a room, between two events.
    pub(crate) fn join(
        &self,
        pid: &str,
        socket: &SocketInner,
        room: &Room,
        join: impl FnOnce() -> Result<Change, RoomError>,
    ) -> Result<Change, RoomError> {
        let mut state = self.state.lock();
        let change = join()?;
        if change != Change::None {
            state.members.joined(pid, socket, room);
        }
        Ok(change)
    }

    /// Has a socket leave a room, between two events.
    pub(crate) fn leave(
        &self,
        pid: &str,
        socket: &SocketInner,
        room: &Room,
        leave: impl FnOnce() -> Change,
    ) -> Change {
        let mut state = self.state.lock();
        let change = leave();
        if change != Change::None {
            state.members.left(pid, socket, room);
        }
        change
    }

    /// A client is told how to come back.
    pub(crate) fn told(&self, pid: &str, socket: &SocketInner) {
        self.state.lock().members.told(pid, socket);
    }

    /// A socket was cut off, and may come back.
    pub(crate) fn end(&self, pid: &str, socket: &SocketInner) {
        let Some(engine) = self.engine() else { return };
        let now = engine.now();
        let until = now + millis(self.options.max_disconnection_duration);
        let mut state = self.state.lock();
        let (forgotten, crowded) = state.members.end(pid, socket, now, until, self.options.max_sockets);
        self.schedule(&mut state, &engine);
        drop(state);
        forgotten.drop();
        if crowded {
            engine.count_limit(Limit::RecoverySockets, None);
        }
    }

    /// A socket will not come back.
    pub(crate) fn forget(&self, pid: &str, socket: &SocketInner) {
        let forgotten = self.state.lock().members.forget_held(pid, socket);
        forgotten.drop();
    }

    /// Nothing is left of a socket but the `values` that the application has kept for it. If it was not accepted, it has
    /// not [ended](Self::end) yet. Returns who waits for this.
    pub(crate) fn gone(
        &self,
        pid: &str,
        socket: &SocketInner,
        comes_back: bool,
        values: impl FnOnce() -> Option<Values>,
    ) -> Option<Arc<SocketInner>> {
        let accepted = self.state.lock().members.is_away(pid, socket);
        match (accepted, comes_back) {
            (true, _) => {}
            (false, true) => self.end(pid, socket),
            (false, false) => self.forget(pid, socket),
        }
        let mut state = self.state.lock();
        let values = values();
        state.members.gone(pid, socket, values)
    }

    /// The server has closed: nobody comes back to it.
    pub(crate) fn clear(&self) {
        let (away, forgotten) = self.state.lock().members.clear();
        if away > 0 {
            tracing::info!(
                target: "wirebird::socketio",
                sockets = away, "clients that were cut off, and have not come back, will be connected anew elsewhere"
            );
        }
        forgotten.drop();
    }

    // ---- coming ----

    /// The socket of a client that connects: the one that it had, if it was cut off and can be given all that it missed,
    /// else a new one. `None` when there are no ids.
    pub(crate) fn enter(
        &self,
        session: &Session,
        namespace: &ByteString,
        claim: Option<Claim>,
        new: impl FnOnce(SocketId) -> Arc<SocketInner>,
    ) -> Option<Arc<SocketInner>> {
        if let Some(claim) = &claim {
            let rivals = self.state.lock().members.rivals(claim, namespace);
            // Their connections broke, and nobody has noticed yet.
            for rival in rivals.iter().filter(|rival| !std::ptr::eq(&*rival.session, session)) {
                rival.session.close(CloseReason::TransportClose);
            }
            match self.claim(session, namespace, claim) {
                Ok(claimed) => return Some(self.succeed(session, claimed, new)),
                Err(forgotten) => forgotten.drop(),
            }
        }
        let id = session.engine().config().ids.generate().ok()?;
        let (pid, socket) = (new_pid()?, new(SocketId(id)));
        let mut state = self.state.lock();
        state.members.enter(pid.clone(), &socket, claim);
        socket.enter_recoverable(pid);
        drop(state);
        Some(socket)
    }

    fn claim(&self, session: &Session, namespace: &ByteString, claim: &Claim) -> Result<Claimed, Forgotten> {
        let (now, limits) = (session.engine().now(), limits_of(session));
        self.state.lock().members.claim(claim, &self.offsets, namespace, now, limits)
    }

    /// The socket that is going to take the place of another.
    fn succeed(
        &self,
        session: &Session,
        claimed: Claimed,
        new: impl FnOnce(SocketId) -> Arc<SocketInner>,
    ) -> Arc<SocketInner> {
        let socket = new(claimed.id);
        let patience = millis(socket.core.options.disconnect_grace);
        let deadline = session.engine().now() + patience;
        let Claimed { pid, heard, predecessor, .. } = claimed;
        self.state.lock().members.claimed(&pid, &socket);
        socket.expect_place(pid, Arrival { predecessor, deadline, heard });
        socket
    }

    /// Has a socket take its place between two events, by `enter`, which must not call anybody.
    pub(crate) fn arrive(
        &self,
        pid: &str,
        socket: &Arc<SocketInner>,
        predecessor: Option<&SocketInner>,
        heard: Heard,
        enter: impl FnOnce(&mut Restored),
    ) -> Option<Restored> {
        let limits = limits_of(&socket.session);
        let mut state = self.state.lock();
        let mut restored = state.members.arrive(pid, socket, predecessor, heard, limits)?;
        enter(&mut restored);
        Some(restored)
    }

    // ---- time ----

    fn schedule(&self, state: &mut State, engine: &Engine) {
        if state.timed {
            return;
        }
        let oldest = state.members.record.oldest().map(|at| at + self.max_age(engine));
        if let Some(at) = [state.members.next_end(), oldest].into_iter().flatten().min() {
            state.timed = true;
            // Not for each event on its own.
            engine.schedule(at.max(engine.now() + 1000), self.me.clone(), 0);
        }
    }
}

impl Expire for Recoveries {
    fn expire(self: Arc<Self>, _token: u64, now: Millis) {
        let Some(engine) = self.engine() else { return };
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        state.timed = false;
        state.members.record.expire(now.saturating_sub(self.max_age(&engine)), &mut dropped);
        let forgotten = state.members.expire(now);
        self.schedule(&mut state, &engine);
        drop(state);
        if !dropped.is_empty() || !forgotten.is_empty() {
            engine.offload(move || {
                drop(dropped);
                forgotten.drop();
            });
        }
    }
}

/// What a client may have missed at most: with more, its queue would be full before it had a chance to read.
fn limits_of(session: &Session) -> Limits {
    let engine = session.engine();
    let queue = &engine.config().send_queue;
    Limits { events: queue.max_packets / 2, bytes: queue.max_bytes / 2 }
}
