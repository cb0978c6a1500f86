//! The heartbeat: pings by timer, pongs in time. In protocol 3 it is the client that pings.

use std::sync::Weak;

use super::send::After;
use super::{Core, HEARTBEAT, Phase, Session};
use crate::reason::CloseReason;
use crate::timer::{BUCKET_MS, Expire, Millis};

/// A deadline that is noticed this much too late says that the server stood still: its process was stopped, its machine
/// was. What clients sent meanwhile has not been read yet.
const STOOD_STILL: Millis = 500;

impl Session {
    pub(super) fn begin_heartbeat(&self) {
        let mut core = self.core.lock();
        core.heartbeat.awaiting_pong = self.is_v3();
        let config = &self.shared.config;
        let delay =
            if self.is_v3() { self.silence_allowed() } else { config.ping_interval.as_millis() as Millis };
        core.heartbeat.due = self.shared.now() + delay;
        self.schedule_heartbeat(&mut core);
    }

    /// How long a client of protocol 3 may send no ping. It goes by what it was told.
    fn silence_allowed(&self) -> Millis {
        let config = &self.shared.config;
        (config.told_ping_interval() + config.told_ping_timeout()).as_millis() as Millis
    }

    pub(super) fn schedule_heartbeat(&self, core: &mut Core) {
        core.heartbeat.timer = core.heartbeat.due;
        self.shared.timers.schedule(core.heartbeat.due, self.timer(), HEARTBEAT);
    }

    pub(super) fn timer(&self) -> Weak<dyn Expire> {
        self.me.clone()
    }

    pub(super) fn pong(&self) {
        let mut core = self.core.lock();
        core.heartbeat.awaiting_pong = false;
        core.heartbeat.excused = false;
        core.heartbeat.spared = false;
        core.heartbeat.due = self.shared.now() + self.shared.config.ping_interval.as_millis() as Millis;
        if core.heartbeat.due < core.heartbeat.timer {
            self.schedule_heartbeat(&mut core);
        }
    }

    /// A client of protocol 3 pings.
    pub(super) fn pinged(&self) {
        let mut core = self.core.lock();
        if core.phase != Phase::Open {
            return;
        }
        core.heartbeat.excused = false;
        core.heartbeat.spared = false;
        core.heartbeat.due = self.shared.now() + self.silence_allowed();
        core.queue.push_pong(&self.shared.config.send_queue);
        let after = self.after_push(&mut core);
        drop(core);
        self.perform(after);
    }

    pub(super) fn beat(&self, now: Millis) {
        let mut core = self.core.lock();
        if core.phase != Phase::Open || now < core.heartbeat.timer {
            return;
        }
        if now < core.heartbeat.due {
            self.schedule_heartbeat(&mut core);
            return;
        }
        let timeout = self.shared.config.ping_timeout.as_millis() as Millis;
        let late = now - core.heartbeat.due;
        if core.heartbeat.awaiting_pong {
            if core.misses_pongs(&self.shared.config.send_queue) {
                core.heartbeat.excused = true;
            } else if late >= STOOD_STILL && !core.heartbeat.spared {
                core.heartbeat.spared = true;
            } else {
                drop(core);
                self.close_elsewhere(CloseReason::PingTimeout);
                return;
            }
        }
        // Whoever is not read from is asked again: clients take a server without pings for dead, and a ping that cannot be
        // delivered shows that nobody is there.
        let again = core.heartbeat.excused && !core.queue.has_ping() && !core.probed() && !self.is_v3();
        let mut after = After::Nothing;
        if again || !core.heartbeat.awaiting_pong {
            core.heartbeat.awaiting_pong = true;
            core.queue.push_ping();
            after = self.after_push(&mut core);
        }
        // Deadlines follow one another exactly; a timer that was late by more than its own grain gives the client time.
        core.heartbeat.due = if late <= 2 * BUCKET_MS { core.heartbeat.due } else { now } + timeout;
        self.schedule_heartbeat(&mut core);
        drop(core);
        self.perform(after);
    }

    /// Pongs can be seen again: one that was due meanwhile gets its whole time from now on.
    pub(super) fn excuse_pong(&self, core: &mut Core) {
        if core.heartbeat.excused && !core.misses_pongs(&self.shared.config.send_queue) {
            core.heartbeat.excused = false;
            core.heartbeat.due = self.shared.now() + self.shared.config.ping_timeout.as_millis() as Millis;
        }
    }

    /// Closes the session if its pong is late and the timer has not said so yet; returns whether it is open. When the
    /// timer itself is that late, the judgement is left to it.
    pub(crate) fn check_heartbeat(&self) -> bool {
        let late = {
            let core = self.core.lock();
            let overdue =
                self.shared.now().checked_sub(core.heartbeat.due).is_some_and(|late| late < STOOD_STILL);
            core.phase == Phase::Open
                && core.heartbeat.awaiting_pong
                && overdue
                && !core.misses_pongs(&self.shared.config.send_queue)
        };
        if late {
            self.close_elsewhere(CloseReason::PingTimeout);
        }
        !late
    }
}
