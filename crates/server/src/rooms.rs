//! Who is in which room of a namespace, by shard. Changes are visible at once, to everybody.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::RoomError;
use crate::members::{Members, Snapshot};
use crate::places::Places;
use crate::room::Room;
use crate::socket::SocketInner;

pub(crate) struct Rooms {
    shards: Box<[Mutex<Shard>]>,
    /// In how many shards each room is: only where somebody wants to know when rooms come and go.
    counts: Option<Mutex<HashMap<Room, usize>>>,
}

/// What has become of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// One member more, or less.
    Member,
    /// The first member has come, or the last one has gone: told only where rooms are counted.
    Room,
}

#[derive(Default)]
struct Shard {
    all: Members,
    rooms: HashMap<Room, Members>,
}

/// What a socket knows of its own memberships.
#[derive(Default)]
pub(crate) struct Membership {
    all: Option<u32>,
    rooms: Places,
    /// The socket has left for good; the names stay readable until it is removed.
    frozen: bool,
}

impl Rooms {
    /// `counted` says whether first and last members are told apart from others.
    pub(crate) fn new(shards: usize, counted: bool) -> Self {
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), counts: counted.then(Mutex::default) }
    }

    /// The socket becomes a member of the namespace.
    pub(crate) fn enter(&self, socket: &Arc<SocketInner>) {
        let mut membership = socket.membership.lock();
        if membership.all.is_none() && !membership.frozen {
            membership.all = Some(self.shards[socket.shard].lock().all.insert(socket.clone()));
        }
    }

    pub(crate) fn join(&self, socket: &Arc<SocketInner>, room: Room) -> Result<Change, RoomError> {
        let options = &socket.core.options;
        if room.as_bytes().len() > options.max_room_name {
            return Err(RoomError::NameTooLong);
        }
        let mut membership = socket.membership.lock();
        if membership.frozen {
            return Err(RoomError::Disconnected);
        }
        if membership.rooms.contains(&room) {
            return Ok(Change::None);
        }
        if membership.rooms.len() >= options.max_rooms {
            return Err(RoomError::TooMany);
        }
        let (place, change) = {
            let mut shard = self.shards[socket.shard].lock();
            let members = shard.rooms.entry(room.clone()).or_default();
            let first = members.len() == 0 && self.count(&room);
            (members.insert(socket.clone()), if first { Change::Room } else { Change::Member })
        };
        membership.rooms.push(room, place);
        Ok(change)
    }

    pub(crate) fn leave(&self, socket: &SocketInner, room: &Room) -> Change {
        let mut membership = socket.membership.lock();
        if membership.frozen {
            return Change::None;
        }
        let Some((room, place)) = membership.rooms.remove(room) else { return Change::None };
        self.remove(socket.shard, &room, place)
    }

    /// The socket leaves for good: no broadcast finds it any more, but the names of its rooms stay readable. Returns
    /// what it has left, where rooms are counted.
    pub(crate) fn freeze(&self, socket: &SocketInner) -> Vec<(Room, Change)> {
        let mut membership = socket.membership.lock();
        if std::mem::replace(&mut membership.frozen, true) {
            return Vec::new();
        }
        let mut left = Vec::new();
        if let Some(place) = membership.all.take() {
            self.shards[socket.shard].lock().all.remove(place);
        }
        for (room, place) in membership.rooms.iter() {
            let change = self.remove(socket.shard, room, *place);
            if self.counts.is_some() {
                left.push((room.clone(), change));
            }
        }
        left
    }

    fn remove(&self, shard: usize, room: &Room, place: u32) -> Change {
        let mut shard = self.shards[shard].lock();
        let Some(members) = shard.rooms.get_mut(room) else { return Change::None };
        members.remove(place);
        if members.len() > 0 {
            return Change::Member;
        }
        shard.rooms.remove(room);
        if shard.rooms.is_empty() {
            shard.rooms.shrink_to_fit();
        }
        if self.uncount(room) { Change::Room } else { Change::Member }
    }

    /// A room is in one shard more; returns whether it is new.
    fn count(&self, room: &Room) -> bool {
        let Some(mut counts) = self.counts.as_ref().map(Mutex::lock) else { return false };
        let count = counts.entry(room.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// A room is in one shard less; returns whether it is gone.
    fn uncount(&self, room: &Room) -> bool {
        let Some(mut counts) = self.counts.as_ref().map(Mutex::lock) else { return false };
        let Some(count) = counts.get_mut(room) else { return false };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            counts.remove(room);
        }
        gone
    }

    pub(crate) fn everybody(&self, shard: usize) -> Snapshot {
        self.shards[shard].lock().all.snapshot()
    }

    pub(crate) fn members(&self, shard: usize, room: &Room) -> Snapshot {
        self.shards[shard].lock().rooms.get(room).map(Members::snapshot).unwrap_or_default()
    }

    /// The names of all rooms that somebody is in, personal ones not included.
    pub(crate) fn names(&self) -> Vec<Room> {
        let mut names: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| shard.lock().rooms.keys().cloned().collect::<Vec<_>>())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Membership {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter().map(|(room, _)| room)
    }

    pub(crate) fn contains(&self, room: &Room) -> bool {
        self.rooms.contains(room)
    }

    pub(crate) fn clear(&mut self) {
        self.rooms = Places::default();
    }
}
