//! Which rooms a socket was in, and when.

use std::collections::VecDeque;

use bytestring::ByteString;

use crate::id::SocketId;
use crate::room::Room;

/// Rooms that were left and are remembered one by one.
const MAX_LEFT: usize = 64;

/// The rooms of one socket. Each stay is from one position of the record to another: what was emitted to the room in
/// between was for the socket.
pub(super) struct Stays {
    pub(super) namespace: ByteString,
    /// The room that only it is in.
    pub(super) own: Room,
    /// The position at which it came, to its namespace and its own room.
    pub(super) since: u64,
    rooms: Vec<(Room, u64)>,
    /// What it has left while events for it were recorded, the last in the back.
    left: VecDeque<Left>,
    /// The last event of the rooms that it has left and that are not remembered any more.
    owed: Option<Mark>,
}

/// A room that was left.
pub(super) struct Left {
    pub(super) room: Room,
    pub(super) from: u64,
    pub(super) until: u64,
    /// The last event in between that was for the socket.
    pub(super) last: Option<Mark>,
    /// The last event in between that was for others because the socket was in the room.
    pub(super) excepted: Option<u64>,
}

/// An event: its position, and the number that it is known by; no number where nobody can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: u64,
    pub(super) number: Option<u64>,
}

impl Stays {
    pub(super) fn new(namespace: ByteString, id: SocketId, since: u64) -> Self {
        let (rooms, left) = (Vec::new(), VecDeque::new());
        Self { namespace, own: id.into(), since, rooms, left, owed: None }
    }

    /// The rooms that it joined and has not left, and when.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (&Room, u64)> {
        self.rooms.iter().map(|(room, from)| (room, *from))
    }

    /// All that it is in, and since when; `None` is the namespace.
    pub(super) fn open(&self) -> impl Iterator<Item = (Option<&Room>, u64)> {
        let always = [(None, self.since), (Some(&self.own), self.since)];
        always.into_iter().chain(self.rooms().map(|(room, from)| (Some(room), from)))
    }

    pub(super) fn left(&self) -> impl Iterator<Item = &Left> {
        self.left.iter()
    }

    pub(super) fn owed(&self) -> Option<Mark> {
        self.owed
    }

    pub(super) fn join(&mut self, room: Room, position: u64) {
        self.rooms.push((room, position));
    }

    /// Ends a stay; returns when it began.
    pub(super) fn end(&mut self, room: &Room) -> Option<u64> {
        let at = self.rooms.iter().position(|(other, _)| other == room)?;
        Some(self.rooms.swap_remove(at).1)
    }

    /// Remembers a stay that is over; `first` is the position of the first event that is recorded.
    pub(super) fn remember(&mut self, left: Left, first: u64) {
        self.left.push_back(left);
        self.forget_left(first);
        if self.left.len() > MAX_LEFT
            && let Some(left) = self.left.pop_front()
        {
            self.owe(left.last);
            // Whether that one was for the socket is not known any more.
            self.owe(left.excepted.map(|position| Mark { position, number: None }));
        }
    }

    /// Forgets the stays of which no event is recorded any more.
    pub(super) fn forget_left(&mut self, first: u64) {
        while self.left.front().is_some_and(|left| left.until < first) {
            let last = self.left.pop_front().and_then(|left| left.last);
            self.owe(last);
        }
    }

    fn owe(&mut self, mark: Option<Mark>) {
        self.owed = later(self.owed, mark);
    }

    /// Whether it was in one of these rooms at a position.
    pub(super) fn was_in(&self, rooms: &[Room], position: u64) -> bool {
        let was_in = |room: &Room| {
            *room == self.own
                || self.rooms().any(|(other, from)| other == room && from < position)
                || self
                    .left
                    .iter()
                    .any(|left| left.room == *room && left.from < position && position <= left.until)
        };
        rooms.iter().any(was_in)
    }

    /// Whether it is in one of these rooms, and was there at a position already.
    pub(super) fn is_in_since(&self, rooms: &[Room], position: u64) -> bool {
        let is_in = |room: &Room| {
            *room == self.own || self.rooms().any(|(other, from)| other == room && from <= position)
        };
        rooms.iter().any(is_in)
    }
}

/// The later of two events.
pub(super) fn later(one: Option<Mark>, other: Option<Mark>) -> Option<Mark> {
    [one, other].into_iter().flatten().max_by_key(|mark| mark.position)
}
