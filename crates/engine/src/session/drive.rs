//! What drivers of transports call: bursts, taking what waits, where they stand.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::MutexGuard;
use wirebird_proto::websocket::CloseCode;

use super::send::After;
use super::{Core, Known, Link, Phase, Session};
use crate::engine::Shared;
use crate::queue::{Frame, Item};
use crate::reason::CloseReason;
use crate::thread::thread_token;
use crate::transport::{Attachment, Transport};

/// The WebSocket close code of a client that reads too slowly: one of those that applications define for themselves.
const SLOW_CONSUMER: CloseCode = match CloseCode::new(4008) {
    Some(code) => code,
    None => CloseCode::POLICY,
};

impl Session {
    /// Holds back what this thread sends on this session until [`Session::uncork`], so that one burst is one write.
    pub fn cork(&self) {
        self.core.lock().cork = thread_token();
    }

    /// Sends what [`Session::cork`] held back.
    pub fn uncork(&self) {
        let mut core = self.core.lock();
        core.cork = 0;
        self.excuse_pong(&mut core);
        let after = self.flush_core(&mut core);
        wake_drained(core, &self.shared);
        self.perform(after);
    }

    /// The transport can be written to again: writes what waits. Returns whether everything has gone out.
    pub fn resume_writing(&self) -> bool {
        let mut core = self.core.lock();
        let after = if core.phase == Phase::Closed { After::Nothing } else { self.try_again(&mut core) };
        self.excuse_pong(&mut core);
        let done = core.queue.is_empty();
        wake_drained(core, &self.shared);
        // The caller is the driver: it needs no waking.
        if !matches!(after, After::Notify(_)) {
            self.perform(after);
        }
        done
    }

    /// Moves up to about `limit` bytes of WebSocket frames into `out`. When nothing is left, the next send wakes the
    /// transport again.
    pub fn take_wire(&self, out: &mut Vec<u8>, limit: usize) {
        let mut core = self.core.lock();
        if core.phase != Phase::Closed {
            core.queue.take_wire(out, limit);
            core.progressed(&self.shared.config.send_queue);
        }
        let blocked = !core.queue.is_empty();
        self.set_blocked(&mut core, blocked);
        self.excuse_pong(&mut core);
        wake_drained(core, &self.shared);
    }

    /// Takes everything that waits, as packets. The next send wakes the transport again.
    pub fn take_frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut core = self.core.lock();
        if matches!(core.link, Link::Stream(_)) && core.phase != Phase::Closed {
            core.queue.take_frames(&mut frames);
            core.progressed(&self.shared.config.send_queue);
            self.set_blocked(&mut core, false);
            self.excuse_pong(&mut core);
        }
        wake_drained(core, &self.shared);
        frames
    }

    /// Tells the layer above of the session; `false` when it has ended already, and there is nothing to tell.
    pub(crate) fn announce(self: &Arc<Self>) -> bool {
        {
            let mut core = self.core.lock();
            if core.phase != Phase::Open {
                return false;
            }
            core.known = Known::Opening;
        }
        self.shared.tell(|handler| handler.open(self));
        let reason = {
            let mut core = self.core.lock();
            let ended = std::mem::replace(&mut core.known, Known::Yes) == Known::Ended;
            core.reason.filter(|_| ended)
        };
        if let Some(reason) = reason {
            self.announce_close(reason);
        }
        true
    }

    /// Whether the last frame was cut short, so that no other may follow it.
    pub(crate) fn is_torn(&self) -> bool {
        self.core.lock().torn
    }

    /// What `transport` is to this session now.
    pub fn attachment(&self, transport: &Arc<dyn Transport>) -> Attachment {
        let core = self.core.lock();
        let current = match &core.link {
            Link::Stream(active) => same(active, transport),
            Link::Polling { .. } | Link::Closed(_) => false,
        };
        if current {
            return match core.phase {
                Phase::Open => Attachment::Active,
                Phase::Draining => Attachment::Draining,
                Phase::Closed => Attachment::Detached,
            };
        }
        let candidate = core.upgrade.as_ref().is_some_and(|u| same(&u.transport, transport));
        if candidate && core.phase == Phase::Open { Attachment::Candidate } else { Attachment::Detached }
    }

    /// The WebSocket close code that suits why the session ended.
    pub fn close_code(&self) -> CloseCode {
        let core = self.core.lock();
        core.close_code.unwrap_or(match core.reason {
            Some(CloseReason::ServerShutdown) => CloseCode::GOING_AWAY,
            Some(CloseReason::SlowConsumer) => SLOW_CONSUMER,
            _ => CloseCode::NORMAL,
        })
    }

    /// Whether the client was given up because it does not read or does not answer: what is still on its way to it is not
    /// worth keeping.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self.close_reason(), Some(CloseReason::SlowConsumer | CloseReason::PingTimeout))
    }

    /// What the close frame says beside the code: why the server ended the session, where that is not the application's
    /// doing.
    pub fn close_text(&self) -> &'static str {
        match self.close_reason() {
            Some(CloseReason::ServerShutdown) => "server shutting down",
            Some(CloseReason::SlowConsumer) => "slow consumer",
            Some(CloseReason::PingTimeout) => "ping timeout",
            _ => "",
        }
    }

    /// Queues a finished WebSocket control frame.
    pub(crate) fn send_control(&self, frame: &[u8]) {
        let mut core = self.core.lock();
        // A client that sends pings and never reads cannot make the queue grow.
        if core.phase != Phase::Open || !core.queue.has_room(&self.shared.config.send_queue) {
            return;
        }
        if core.blocked {
            core.queue.push_control(frame.into());
        } else {
            core.queue.push(Item::Control(frame.into()));
        }
        let after = self.after_push(&mut core);
        drop(core);
        self.perform(after);
    }
}

pub(crate) fn wake_drained(mut core: MutexGuard<'_, Core>, shared: &Shared) {
    if core.drained.is_empty() || !core.queue.has_room(&shared.config.send_queue) {
        return;
    }
    let drained = std::mem::take(&mut core.drained);
    drop(core);
    drained.into_iter().for_each(Waker::wake);
}

pub(super) fn same(a: &Arc<dyn Transport>, b: &Arc<dyn Transport>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}
