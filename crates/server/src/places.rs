//! The rooms of one socket: a list, as most sockets are in few, and an index of it beyond that. A client that can make the
//! server join rooms for it must not make each dearer than the one before.

use std::collections::HashMap;

use crate::room::Room;

/// Rooms that are looked through one after another.
const FEW: usize = 32;

/// Rooms, each with the socket's place among its members.
#[derive(Default)]
pub(crate) struct Places {
    list: Vec<(Room, u32)>,
    /// Where in the list each room is, once there were more than a few.
    #[expect(
        clippy::box_collection,
        reason = "a pointer is all that the many sockets without it have room for"
    )]
    index: Option<Box<HashMap<Room, usize>>>,
}

impl Places {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Room, u32)> {
        self.list.iter()
    }

    pub(crate) fn contains(&self, room: &Room) -> bool {
        self.position(room).is_some()
    }

    /// Adds a room that is not there.
    pub(crate) fn push(&mut self, room: Room, place: u32) {
        let at = self.list.len();
        match &mut self.index {
            Some(index) => drop(index.insert(room.clone(), at)),
            // Most sockets are in one room or in none.
            None if at == 0 => self.list.reserve_exact(1),
            None if at == FEW => {
                let all = self.list.iter().map(|(other, _)| other).chain([&room]);
                self.index = Some(Box::new(all.cloned().zip(0..).collect()));
            }
            None => {}
        }
        self.list.push((room, place));
    }

    pub(crate) fn remove(&mut self, room: &Room) -> Option<(Room, u32)> {
        let at = self.position(room)?;
        let removed = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(room);
            if let Some((moved, _)) = self.list.get(at) {
                index.insert(moved.clone(), at);
            }
            if self.list.is_empty() {
                self.index = None;
            }
        }
        Some(removed)
    }

    fn position(&self, room: &Room) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(room).copied(),
            None => self.list.iter().position(|(other, _)| other == room),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// F-SEC-01: many rooms are found as few are.
    #[test]
    fn rooms_come_and_go_with_an_index_and_without() {
        let (mut places, mut expected) = (Places::default(), BTreeMap::new());
        let mut state = 1_u32;
        for step in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Up to 200 rooms, and now and then all of them go.
            let room = Room::from(format!("room {}", (state >> 8) % 200));
            let leaves = (step / 1_000) % 2 == 1 || state >> 30 == 0;
            if leaves {
                let removed = places.remove(&room).map(|(_, place)| place);
                assert_eq!(removed, expected.remove(room.as_bytes()));
            } else if !places.contains(&room) {
                assert!(expected.insert(room.as_bytes().to_vec(), step).is_none());
                places.push(room, step);
            }
            assert_eq!(places.len(), expected.len());
        }
        let mut all: Vec<_> = places.iter().map(|(room, place)| (room.as_bytes().to_vec(), *place)).collect();
        all.sort_unstable();
        assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
    }
}
