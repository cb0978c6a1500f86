//! Which sessions have ended lately. Clients go on for a moment, and those that slept for longer: a request of a session
//! that was here says nothing about the balancer.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::id::Id;

/// How many are remembered, in 4 bytes each.
const MEMORY: usize = 4096;

/// The last ones, as hashes by a key of its own: ids are secrets, also of sessions that have ended. One id in a million
/// is taken for another, which costs a line of the log.
pub(crate) struct Ended {
    key: RandomState,
    /// A ring; 0 where nothing has been yet.
    hashes: Box<[AtomicU32]>,
    next: AtomicUsize,
}

impl Ended {
    pub(crate) fn add(&self, id: &Id) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % MEMORY;
        // Whoever misses the session in the engine's map, which has locks, sees what was stored before it was taken out.
        self.hashes[place].store(self.hash(id), Ordering::Relaxed);
    }

    pub(crate) fn has(&self, id: &Id) -> bool {
        let hash = self.hash(id);
        self.hashes.iter().any(|other| other.load(Ordering::Relaxed) == hash)
    }

    fn hash(&self, id: &Id) -> u32 {
        (self.key.hash_one(id) as u32).max(1)
    }
}

impl Default for Ended {
    fn default() -> Self {
        let hashes = std::iter::repeat_with(AtomicU32::default).take(MEMORY).collect();
        Self { key: RandomState::new(), hashes, next: AtomicUsize::new(0) }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IdGenerator, RandomIds};

    #[test]
    fn the_last_ones_are_remembered_and_no_others() {
        let ended = Ended::default();
        let ids: Vec<_> = std::iter::repeat_with(|| RandomIds.generate().unwrap()).take(3 * MEMORY).collect();
        let remembered = |ids: &[Id]| ids.iter().filter(|id| ended.has(id)).count();
        assert_eq!(remembered(&ids[..10]), 0);
        for id in &ids[..2 * MEMORY] {
            ended.add(id);
        }
        assert_eq!(remembered(&ids[2 * MEMORY - 100..2 * MEMORY]), 100);
        assert!(ended.has(&ids[MEMORY]), "the oldest of so many");
        // Neither those that were pushed out, nor those that were never there; one may look like another by chance.
        assert!(remembered(&ids[..100]) <= 1);
        assert!(remembered(&ids[2 * MEMORY..2 * MEMORY + 100]) <= 1);
    }
}
