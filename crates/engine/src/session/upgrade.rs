//! The upgrade: another transport takes the session over from polling.

use std::sync::Arc;

use super::drive::same;
use super::{Link, Phase, Session, UPGRADE, Upgrade};
use crate::limit::Limit;
use crate::timer::Millis;
use crate::transport::Transport;

/// What comes of a packet on a transport that wants to take a session over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// Send this text packet back.
    Reply(&'static str),
    /// The transport carries the session from now on.
    Upgraded,
    /// The packet means nothing here.
    Ignored,
    /// Close the transport; the session goes on without it.
    Refused,
}

impl Session {
    /// A transport wants to take the session over. `false` when the session is not on polling, or when another
    /// transport is about to take it over: the newcomer is then to be closed.
    pub fn begin_upgrade(&self, transport: &Arc<dyn Transport>) -> bool {
        let mut core = self.core.lock();
        let free =
            matches!(core.link, Link::Polling { .. }) && core.upgrade.is_none() && core.phase == Phase::Open;
        if free {
            let deadline = self.shared.now() + self.shared.config.upgrade_timeout.as_millis() as Millis;
            core.upgrade = Some(Box::new(Upgrade { transport: transport.clone(), probed: false, deadline }));
            self.shared.timers.schedule(deadline, self.timer(), UPGRADE);
        }
        free
    }

    /// A text packet came in on a transport that wants to take the session over.
    pub fn probe(&self, transport: &Arc<dyn Transport>, text: &str) -> Probe {
        let mut core = self.core.lock();
        if core.phase != Phase::Open {
            return Probe::Refused;
        }
        let posting = core.posting;
        let Some(upgrade) = core.upgrade.as_mut().filter(|u| same(&u.transport, transport)) else {
            return Probe::Refused;
        };
        match text {
            "2probe" => {
                upgrade.probed = true;
                // From now on polls are answered with a noop, the held one first.
                let Link::Polling { waker, .. } = &mut core.link else { return Probe::Refused };
                let waker = waker.take();
                drop(core);
                if let Some(waker) = waker {
                    waker.wake();
                }
                Probe::Reply("3probe")
            }
            // Messages of a POST that is still being handled must not be overtaken.
            "5" if upgrade.probed && posting => {
                drop(core);
                self.abandon_upgrade(transport);
                Probe::Refused
            }
            "5" if upgrade.probed => {
                let old = std::mem::replace(&mut core.link, Link::Stream(transport.clone()));
                core.upgrade = None;
                self.set_blocked(&mut core, false);
                self.shared.counters.upgraded(transport.kind());
                let after = self.flush_core(&mut core);
                self.excuse_pong(&mut core);
                drop(core);
                if let Link::Polling { waker: Some(waker), .. } = old {
                    waker.wake();
                }
                self.perform(after);
                if let Some(me) = self.me.upgrade() {
                    self.shared.tell(|handler| handler.upgraded(&me));
                }
                Probe::Upgraded
            }
            _ if upgrade.probed => Probe::Ignored,
            _ => {
                drop(core);
                self.abandon_upgrade(transport);
                Probe::Refused
            }
        }
    }

    /// A transport that wanted to take the session over is gone; the session stays on polling.
    pub fn abandon_upgrade(&self, transport: &Arc<dyn Transport>) {
        let mut core = self.core.lock();
        if core.upgrade.as_ref().is_some_and(|u| same(&u.transport, transport)) {
            core.upgrade = None;
            self.excuse_pong(&mut core);
            // What was held back for the new transport goes out with a poll.
            let after = self.flush_core(&mut core);
            drop(core);
            self.perform(after);
        }
    }

    pub(super) fn expire_upgrade(&self, now: Millis) {
        let late = {
            let core = self.core.lock();
            core.upgrade.as_ref().filter(|u| u.deadline <= now).map(|u| u.transport.clone())
        };
        if let Some(transport) = late {
            self.abandon_upgrade(&transport);
            transport.wake();
            self.shared.limit_reached(Limit::UpgradeTime, Some(self));
        }
    }
}
