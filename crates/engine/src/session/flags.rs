//! What drivers ask for each message, to be seen without the session's lock.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Core, Session};

/// Copies of what is in [`Core`], written while that is locked. Whoever finds one set and cares about the moment looks again
/// with the lock.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU8);

impl Flags {
    /// The session does not take messages any more.
    pub(super) const CLOSED: u8 = 1;
    const PAUSED: u8 = 2;
    const BLOCKED: u8 = 4;
    /// Reason to look whether reading is to stop.
    pub(super) const HOLDS: u8 = Self::PAUSED | Self::BLOCKED;

    pub(super) fn has(&self, any: u8) -> bool {
        self.0.load(Ordering::Acquire) & any != 0
    }

    /// Called with the session's lock, so that no other change comes in between.
    pub(super) fn set(&self, flag: u8, on: bool) {
        let before = self.0.load(Ordering::Relaxed);
        let after = if on { before | flag } else { before & !flag };
        if after != before {
            self.0.store(after, Ordering::Release);
        }
    }
}

impl Session {
    pub(super) fn set_paused(&self, core: &mut Core, paused: bool) {
        core.paused = paused;
        self.flags.set(Flags::PAUSED, paused);
    }

    pub(super) fn set_blocked(&self, core: &mut Core, blocked: bool) {
        core.blocked = blocked;
        self.flags.set(Flags::BLOCKED, blocked);
    }
}
