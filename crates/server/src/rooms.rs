//! Who is in which room of a namespace, by shard. Changes are visible at once, to everybody.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::RoomError;
use crate::members::{Members, Snapshot};
use crate::room::Room;
use crate::socket::SocketInner;

/// Bytes that the name of a room may have.
const MAX_NAME: usize = 1024;

pub(crate) struct Rooms {
    shards: Box<[Mutex<Shard>]>,
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
    rooms: Vec<(Room, u32)>,
    /// The socket has left for good; the names stay readable until it is removed.
    frozen: bool,
}

impl Rooms {
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// The socket becomes a member of the namespace.
    pub(crate) fn enter(&self, socket: &Arc<SocketInner>) {
        let mut membership = socket.membership.lock();
        if membership.all.is_none() && !membership.frozen {
            membership.all = Some(self.shards[socket.shard].lock().all.insert(socket.clone()));
        }
    }

    pub(crate) fn join(
        &self,
        socket: &Arc<SocketInner>,
        room: Room,
        limit: usize,
    ) -> Result<bool, RoomError> {
        if room.as_bytes().len() > MAX_NAME {
            return Err(RoomError::NameTooLong);
        }
        let mut membership = socket.membership.lock();
        if membership.frozen {
            return Err(RoomError::Disconnected);
        }
        if membership.rooms.iter().any(|(other, _)| *other == room) {
            return Ok(false);
        }
        if membership.rooms.len() >= limit {
            return Err(RoomError::TooMany);
        }
        let place =
            self.shards[socket.shard].lock().rooms.entry(room.clone()).or_default().insert(socket.clone());
        if membership.rooms.is_empty() {
            // Most sockets are in one room or in none.
            membership.rooms.reserve_exact(1);
        }
        membership.rooms.push((room, place));
        Ok(true)
    }

    pub(crate) fn leave(&self, socket: &SocketInner, room: &Room) -> bool {
        let mut membership = socket.membership.lock();
        if membership.frozen {
            return false;
        }
        let Some(at) = membership.rooms.iter().position(|(other, _)| other == room) else { return false };
        let (room, place) = membership.rooms.swap_remove(at);
        self.remove(socket.shard, &room, place);
        true
    }

    /// The socket leaves for good: no broadcast finds it any more, but the names of its rooms stay readable.
    pub(crate) fn freeze(&self, socket: &SocketInner) {
        let mut membership = socket.membership.lock();
        if std::mem::replace(&mut membership.frozen, true) {
            return;
        }
        if let Some(place) = membership.all.take() {
            self.shards[socket.shard].lock().all.remove(place);
        }
        for (room, place) in &membership.rooms {
            self.remove(socket.shard, room, *place);
        }
    }

    fn remove(&self, shard: usize, room: &Room, place: u32) {
        let mut shard = self.shards[shard].lock();
        if let Some(members) = shard.rooms.get_mut(room) {
            members.remove(place);
            if members.len() == 0 {
                shard.rooms.remove(room);
                if shard.rooms.is_empty() {
                    shard.rooms.shrink_to_fit();
                }
            }
        }
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
        self.names().any(|other| other == room)
    }

    pub(crate) fn clear(&mut self) {
        self.rooms = Vec::new();
    }
}
