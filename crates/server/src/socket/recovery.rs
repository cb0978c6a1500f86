//! What a socket does to come back when it is cut off.

use std::sync::Arc;

use wirebird_engine::Outgoing;

use super::SocketInner;
use crate::error::RoomError;
use crate::reason::DisconnectReason;
use crate::recovery::{Cut, Restored};
use crate::room::Room;
use crate::rooms::Change;

/// What is known of a socket that may be cut off.
pub(crate) struct Recoverable {
    /// What the client names it by when it comes back. Nobody else knows it.
    pid: Box<str>,
    /// The position of the last event when it connected.
    since: u64,
    /// Its rooms, each with the position of the last event when it joined.
    joined: Vec<(Room, u64)>,
    recovered: bool,
    /// What it missed, to be sent before everything else.
    missed: Vec<Outgoing>,
}

impl SocketInner {
    /// Becomes a member of its namespace.
    pub(crate) fn enter(self: &Arc<Self>) {
        self.namespace.sockets.insert(self.id, self.clone());
        self.namespace.rooms.enter(self);
    }

    /// Becomes a member of its namespace that can be recovered.
    pub(crate) fn enter_recoverable(self: &Arc<Self>, pid: Box<str>, since: u64) {
        self.enter();
        let recovery = Recoverable { pid, since, joined: Vec::new(), recovered: false, missed: Vec::new() };
        self.keep(|kept| kept.recovery = Some(Box::new(recovery)));
    }

    /// Is back: a member of all that it was a member of.
    pub(crate) fn enter_again(self: &Arc<Self>, pid: Box<str>, restored: Restored) {
        self.enter();
        let Restored { cut, missed } = restored;
        for (room, _) in &cut.rooms {
            let _ = self.namespace.rooms.join(self, room.clone());
        }
        let recovery = Recoverable { pid, since: cut.since, joined: cut.rooms, recovered: true, missed };
        self.keep(|kept| {
            kept.values = cut.values;
            kept.data = cut.data;
            kept.recovery = Some(Box::new(recovery));
        });
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recoverable(|recovery| recovery.recovered).unwrap_or_default()
    }

    pub(super) fn private_id(&self) -> Option<String> {
        self.core.recoveries.as_ref()?;
        self.recoverable(|recovery| recovery.pid.to_string())
    }

    /// The client has been told how to come back.
    pub(super) fn watch(self: &Arc<Self>) {
        if let Some(recoveries) = &self.core.recoveries
            && let Some(pid) = self.private_id()
        {
            recoveries.watch(&pid, self);
        }
    }

    /// The socket ends. If it may come back, what it is now is kept.
    pub(super) fn keep_for_recovery(&self, reason: DisconnectReason) {
        if let Some(recoveries) = &self.core.recoveries
            && let Some(pid) = self.private_id()
        {
            // A client that closes its connection has not said goodbye to this namespace.
            let parted =
                reason == DisconnectReason::ClientDisconnect && self.session.close_reason().is_none();
            recoveries.end(&pid, reason, parted, || self.cut());
        }
    }

    pub(super) fn take_missed(&self) -> Vec<Outgoing> {
        if self.core.recoveries.is_none() {
            return Vec::new();
        }
        let take = |recovery: &mut Recoverable| std::mem::take(&mut recovery.missed);
        self.keep(|kept| kept.recovery.as_deref_mut().map(take)).flatten().unwrap_or_default()
    }

    pub(super) fn join(self: &Arc<Self>, room: &Room) -> Result<Change, RoomError> {
        let join = || self.namespace.rooms.join(self, room.clone());
        let Some(recoveries) = &self.core.recoveries else { return join() };
        let (change, position) =
            recoveries.at_one_moment(|position| Ok::<_, RoomError>((join()?, position)))?;
        if change != Change::None {
            self.keep(|kept| {
                if let Some(recovery) = &mut kept.recovery {
                    recovery.joined.push((room.clone(), position));
                }
            });
        }
        Ok(change)
    }

    pub(super) fn note_left(&self, room: &Room) {
        if self.core.recoveries.is_some() {
            self.keep(|kept| {
                if let Some(recovery) = &mut kept.recovery {
                    recovery.joined.retain(|(other, _)| other != room);
                }
            });
        }
    }

    fn cut(&self) -> Cut {
        let (since, rooms) =
            self.recoverable(|recovery| (recovery.since, recovery.joined.clone())).unwrap_or_default();
        let (values, data) =
            self.kept(|kept| Some((kept.values.clone(), kept.data.clone()))).unwrap_or_default();
        Cut { id: self.id, namespace: self.namespace.name.clone(), since, rooms, values, data }
    }

    fn recoverable<R>(&self, look: impl FnOnce(&Recoverable) -> R) -> Option<R> {
        self.kept(|kept| kept.recovery.as_deref().map(look))
    }
}
