//! What a socket does to come back when it is cut off.
//!
//! A client that is back gets a new [`SocketInner`] with the old id. It takes its place when nothing is left of its
//! predecessor, whose handlers may still be at it, or when it has waited for that long enough.

use std::sync::{Arc, Weak};

use wirebird_engine::{CloseReason, Millis, Outgoing};

use super::{Socket, SocketInner};
use crate::error::RoomError;
use crate::guard;
use crate::mailbox::Stage;
use crate::reason::DisconnectReason;
use crate::recovery::{Heard, Pid, Restored, Values};
use crate::room::Room;
use crate::rooms::Change;

/// The timer token of a socket that waits for its predecessor.
pub(super) const ARRIVE: u64 = 2;

/// What is known of a socket that may be cut off.
pub(crate) struct Recoverable {
    /// What the client names it by when it comes back. Nobody else knows it.
    pid: Pid,
    /// Until it takes its place.
    arrival: Option<Arrival>,
    recovered: bool,
    /// What it missed, to be sent before everything else.
    missed: Vec<Outgoing>,
}

/// A socket that is to take the place of another.
pub(crate) struct Arrival {
    pub(crate) predecessor: Weak<SocketInner>,
    /// It does not wait for longer.
    pub(crate) deadline: Millis,
    /// What its client has got.
    pub(crate) heard: Heard,
}

impl SocketInner {
    /// Becomes a member of its namespace.
    pub(crate) fn enter(self: &Arc<Self>) {
        self.namespace.sockets.insert(self.id, self.clone());
        self.namespace.rooms.enter(self);
    }

    /// Becomes a member of its namespace that can be recovered.
    pub(crate) fn enter_recoverable(self: &Arc<Self>, pid: Pid) {
        self.enter();
        self.keep_recoverable(pid, None);
    }

    fn keep_recoverable(&self, pid: Pid, arrival: Option<Arrival>) {
        let recovery = Recoverable { pid, arrival, recovered: false, missed: Vec::new() };
        self.keep(|kept| kept.recovery = Some(Box::new(recovery)));
    }

    // ---- coming back ----

    /// Is to take the place of another.
    pub(crate) fn expect_place(&self, pid: Pid, arrival: Arrival) {
        let (at, waits) = (arrival.deadline, arrival.predecessor.strong_count() > 0);
        self.keep_recoverable(pid, Some(arrival));
        if waits {
            self.session.engine().schedule(at, self.me.clone(), ARRIVE);
        }
    }

    /// There is no place to take any more: it need not wait.
    pub(crate) fn expect_nothing(&self) {
        self.keep(|kept| {
            if let Some(arrival) = kept.recovery.as_deref_mut().and_then(|recovery| recovery.arrival.as_mut())
            {
                arrival.predecessor = Weak::new();
            }
        });
        self.client.next_connect();
    }

    /// Whether it is to take the place of another, and has not.
    pub(crate) fn is_arriving(&self) -> bool {
        self.core.recoveries.is_some()
            && self.recoverable(|recovery| recovery.arrival.is_some()).unwrap_or_default()
    }

    /// Whether nothing is in its place, or it has waited for that long enough.
    pub(crate) fn may_arrive(&self) -> bool {
        if self.core.recoveries.is_none() {
            return true;
        }
        let arrival = self.recoverable(|recovery| {
            recovery.arrival.as_ref().map(|arrival| (arrival.predecessor.upgrade(), arrival.deadline))
        });
        let Some(Some((Some(predecessor), deadline))) = arrival else { return true };
        predecessor.stage() == Stage::Gone || self.session.engine().now() >= deadline
    }

    /// Takes its place, if it is to: a member of all that its predecessor was a member of. Returns false, and closes the
    /// connection, if that is not possible any more: the client will be back, and be connected anew.
    pub(crate) fn arrive(self: &Arc<Self>) -> bool {
        let Some(recoveries) = &self.core.recoveries else { return true };
        let take = |recovery: &mut Recoverable| Some((recovery.pid.clone(), recovery.arrival.take()?));
        let Some((pid, arrival)) = self.keep(|kept| kept.recovery.as_deref_mut().and_then(take)).flatten()
        else {
            return true;
        };
        let predecessor = arrival.predecessor.upgrade();
        if let Some(predecessor) = &predecessor {
            // Its time is over. From here on it gets nothing that is not missed.
            predecessor.shut_gate();
            predecessor.leave_rooms();
        }
        let mut joined = Vec::new();
        let restored = recoveries.arrive(&pid, self, predecessor.as_deref(), arrival.heard, |restored| {
            joined = self.take_place(restored);
        });
        guard("recovery", || drop(predecessor));
        let Some(restored) = restored else {
            tracing::debug!(
                target: "wirebird::socketio",
                nsp = %self.namespace.name, sid = %self.id, "what the client has missed is not known any more, closing"
            );
            self.session.close(CloseReason::ForcedServerClose);
            return false;
        };
        guard("recovery", || drop(restored));
        for (room, change) in joined {
            self.observe_joined(&room, change);
        }
        if self.core.options.always_connect {
            self.open_gate(self.connect_packet(None));
        }
        true
    }

    fn take_place(self: &Arc<Self>, restored: &mut Restored) -> Vec<(Room, Change)> {
        self.enter();
        self.keep(|kept| {
            (kept.values, kept.data) = restored.values.take().unwrap_or_default();
            if let Some(recovery) = &mut kept.recovery {
                (recovery.recovered, recovery.missed) = (true, std::mem::take(&mut restored.missed));
            }
        });
        let join = |room: Room| {
            let change = self.namespace.rooms.join(self, room.clone());
            (room, change.unwrap_or(Change::None))
        };
        std::mem::take(&mut restored.rooms).into_iter().map(join).collect()
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recoverable(|recovery| recovery.recovered).unwrap_or_default()
    }

    pub(super) fn private_id(&self) -> Option<Pid> {
        self.core.recoveries.as_ref()?;
        self.recoverable(|recovery| recovery.pid.clone())
    }

    pub(super) fn take_missed(&self) -> Vec<Outgoing> {
        if self.core.recoveries.is_none() {
            return Vec::new();
        }
        let take = |recovery: &mut Recoverable| std::mem::take(&mut recovery.missed);
        self.keep(|kept| kept.recovery.as_deref_mut().map(take)).flatten().unwrap_or_default()
    }

    // ---- going ----

    /// The client is told how to come back.
    pub(super) fn watch(&self) {
        if let Some(recoveries) = &self.core.recoveries
            && let Some(pid) = self.private_id()
        {
            recoveries.told(&pid, self);
        }
    }

    /// The socket ends. It may come back, or is forgotten.
    pub(super) fn keep_for_recovery(&self, reason: DisconnectReason) {
        if let Some(recoveries) = &self.core.recoveries
            && let Some(pid) = self.private_id()
        {
            if self.may_come_back(reason) {
                recoveries.end(&pid, self);
            } else {
                recoveries.forget(&pid, self);
            }
        }
    }

    /// Not when the server has ended it on purpose, when the client has, or when it makes no sense. A server that shuts down
    /// is none to come back to.
    fn may_come_back(&self, reason: DisconnectReason) -> bool {
        match reason {
            DisconnectReason::ServerDisconnect
            | DisconnectReason::ServerShutdown
            | DisconnectReason::ParseError => false,
            // A client that closes its connection has not said goodbye to this namespace.
            DisconnectReason::ClientDisconnect => self.session.close_reason().is_some(),
            _ => true,
        }
    }

    /// Nothing is left of the socket but what the application has kept. If it may come back, that goes to whoever takes
    /// its place.
    pub(super) fn hand_over(&self) {
        let Some(recoveries) = &self.core.recoveries else { return };
        let Some(pid) = self.private_id() else { return };
        // A client that was cut off on its way back may try again.
        let reason = self.mailbox.lock().reason();
        let comes_back = reason.is_some_and(|reason| self.may_come_back(reason));
        let successor = recoveries.gone(&pid, self, comes_back, || self.values());
        if let Some(successor) = successor {
            successor.client.next_connect();
        }
    }

    /// What the application has kept.
    pub(crate) fn values(&self) -> Option<Values> {
        self.kept(|kept| Some((kept.values.clone(), kept.data.clone())))
    }

    // ---- rooms ----

    pub(super) fn join(self: &Arc<Self>, room: &Room) -> Result<Change, RoomError> {
        let join = || self.namespace.rooms.join(self, room.clone());
        match (&self.core.recoveries, self.private_id()) {
            (Some(recoveries), Some(pid)) => recoveries.join(&pid, self, room, join),
            _ => join(),
        }
    }

    pub(super) fn part_from(&self, room: &Room) -> Change {
        let leave = || self.namespace.rooms.leave(self, room);
        match (&self.core.recoveries, self.private_id()) {
            (Some(recoveries), Some(pid)) => recoveries.leave(&pid, self, room, leave),
            _ => leave(),
        }
    }

    pub(super) fn observe_joined(self: &Arc<Self>, room: &Room, change: Change) {
        let Some(observer) = self.core.observer.as_ref().filter(|_| change != Change::None) else { return };
        let socket = Socket(self.clone());
        if change == Change::Room {
            guard("observer", || observer.room_created(&socket.namespace(), room));
        }
        guard("observer", || observer.joined(&socket, room));
    }

    fn recoverable<R>(&self, look: impl FnOnce(&Recoverable) -> R) -> Option<R> {
        self.kept(|kept| kept.recovery.as_deref().map(look))
    }
}
