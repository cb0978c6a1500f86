//! The age of a blocked write: a client that takes nothing for a while although something waits for it is closed,
//! however little that is.
//!
//! No clock is read while packets are sent. A timer looks now and then, as long as something waits; whatever the client
//! takes in between sets it back.

use super::send::After;
use super::{Core, Link, Phase, STALL, Session};
use crate::config::SendQueue;
use crate::timer::Millis;

/// How often it is looked in the time that a write may be blocked.
const LOOKS: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Looks since the client took something.
    looks: u8,
    /// There will be another look.
    timed: bool,
}

impl Core {
    /// The client has taken something.
    pub(crate) fn progressed(&mut self, limits: &SendQueue) {
        self.stall.looks = 0;
        self.behind &= !self.queue.has_room(limits);
    }

    /// Something waits, and nobody takes it.
    fn is_stalled(&self) -> bool {
        let blocked = match &self.link {
            Link::Polling { polled, .. } => !polled,
            Link::Stream(_) => self.blocked,
            Link::Closed(_) => false,
        };
        blocked && self.phase == Phase::Open && !self.queue.is_empty()
    }
}

impl Session {
    /// What waits could not be handed over: from now on it is looked at.
    pub(super) fn watch_stall(&self, core: &mut Core) {
        if core.stall.timed {
            return;
        }
        core.stall.timed = true;
        let every = self.shared.config.write_timeout.as_millis() as Millis / Millis::from(LOOKS);
        self.shared.timers.schedule(self.shared.now() + every.max(1), self.timer(), STALL);
    }

    /// A poll has taken something; what is left waits for the next one.
    pub(crate) fn taken(&self, core: &mut Core) {
        core.progressed(&self.shared.config.send_queue);
        if core.is_stalled() {
            self.watch_stall(core);
        }
    }

    /// Looks whether the client has taken anything.
    pub(super) fn look(&self) {
        let mut core = self.core.lock();
        core.stall.timed = false;
        if !core.is_stalled() {
            core.progressed(&self.shared.config.send_queue);
            return;
        }
        // The client's thread is busy, or its polls are sent away: it is not the client that takes nothing.
        if core.cork == 0 && !core.probed() {
            core.stall.looks += 1;
        }
        // The first look may come right after the beginning.
        let overdue = core.stall.looks > LOOKS;
        let mut after = After::Nothing;
        if overdue && matches!(core.link, Link::Stream(_)) {
            // The driver may have had no time to see that there is room again.
            after = self.try_again(&mut core);
        }
        if core.stall.looks > LOOKS {
            drop(core);
            self.perform(After::Stalled);
        } else {
            if core.is_stalled() {
                self.watch_stall(&mut core);
            }
            drop(core);
            self.perform(after);
        }
    }

    /// Writes although the transport has said that it takes nothing.
    pub(super) fn try_again(&self, core: &mut Core) -> After {
        self.set_blocked(core, false);
        let before = core.queue.unsent();
        let after = self.flush_core(core);
        if core.queue.unsent() != before {
            core.progressed(&self.shared.config.send_queue);
        }
        after
    }
}
