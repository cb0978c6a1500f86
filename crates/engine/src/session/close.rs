//! The end of a session: once, with the first reason, and nothing left behind.

use wirebird_proto::engine_io::PacketError;
use wirebird_proto::websocket::CloseCode;

use super::{DRAIN, Flags, Known, Link, Phase, Session};
use crate::limit::Limit;
use crate::reason::CloseReason;
use crate::stream::GOODBYE;
use crate::timer::Millis;

/// What is still sent when a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// Everything that waits.
    All,
    /// The message that is half written, so that something can be said after it.
    Begun,
    Nothing,
}

impl Flush {
    fn by(reason: CloseReason) -> Self {
        if reason.flushes() { Self::All } else { Self::Nothing }
    }
}

impl Session {
    /// Ends the session. What is queued is still sent if the server ends it; the layer above is told before this
    /// returns, once, with the first reason. While it is still being told of the session itself, it is told of the end
    /// right after that.
    pub fn close(&self, reason: CloseReason) {
        if self.begin_close(reason, None, Flush::by(reason)) {
            self.tell_end(reason);
        }
    }

    /// As [`Session::close`], with the code of the WebSocket close frame.
    pub(crate) fn close_with_code(&self, reason: CloseReason, code: CloseCode) {
        if self.begin_close(reason, Some(code), Flush::by(reason)) {
            self.tell_end(reason);
        }
    }

    /// The client does not speak Engine.IO: it is not told anything more.
    pub(crate) fn close_undecodable(&self, error: &PacketError) {
        tracing::debug!(
            target: "wirebird::engineio",
            sid = self.id.hint(), transport = %self.transport(), %error, "undecodable packet, closing"
        );
        if self.begin_close(CloseReason::ParseError, None, Flush::Nothing) {
            self.tell_end(CloseReason::ParseError);
        }
    }

    /// As [`Session::close`], for places where user code must not run: the layer above is told by another task.
    pub(crate) fn close_elsewhere(&self, reason: CloseReason) {
        if self.begin_close(reason, None, Flush::by(reason))
            && let Some(me) = self.me.upgrade()
        {
            self.shared.offload(move || me.tell_end(reason));
        }
    }

    pub(super) fn begin_close(&self, reason: CloseReason, code: Option<CloseCode>, flush: Flush) -> bool {
        let mut core = self.core.lock();
        if core.phase != Phase::Open {
            return false;
        }
        core.reason = Some(reason);
        self.shared.counters.closed(reason);
        core.close_code = code;
        if flush == Flush::Begun {
            core.queue.keep_begun();
        }
        let lingers = flush == Flush::All || (flush == Flush::Begun && !core.queue.is_empty());
        core.phase = if lingers { Phase::Draining } else { Phase::Closed };
        self.flags.set(Flags::CLOSED, true);
        let candidate = core.upgrade.take().map(|u| u.transport);
        let reader = core.read_waker.take();
        let drained = std::mem::take(&mut core.drained);
        let mut poll = None;
        let mut stream = None;
        match &mut core.link {
            Link::Polling { waker, .. } => poll = waker.take(),
            Link::Stream(transport) => stream = Some(transport.clone()),
            Link::Closed(_) => {}
        }
        if core.phase == Phase::Closed {
            core.torn |= core.queue.clear();
        }
        // It is there until the client has what waits and knows of the close.
        let kind = core.link.kind();
        if lingers {
            let timeout = self.shared.config.close_timeout;
            let timeout = if flush == Flush::Begun { timeout.min(GOODBYE) } else { timeout };
            let deadline = self.shared.now() + timeout.as_millis() as Millis;
            self.shared.timers.schedule(deadline, self.timer(), DRAIN);
        }
        drop(core);
        if !lingers {
            self.shared.forget(self.id, kind);
        }
        for waker in drained.into_iter().chain(poll).chain(reader) {
            waker.wake();
        }
        for transport in stream.into_iter().chain(candidate) {
            transport.wake();
        }
        true
    }

    pub(super) fn tell_end(&self, reason: CloseReason) {
        if reason == CloseReason::PingTimeout {
            self.shared.limit_reached(Limit::PongTime, Some(self));
        }
        self.announce_close(reason);
    }

    pub(super) fn announce_close(&self, reason: CloseReason) {
        tracing::debug!(target: "wirebird::engineio", sid = self.id.hint(), %reason, "session closed");
        {
            let mut core = self.core.lock();
            match core.known {
                Known::Yes => {}
                Known::Opening => return core.known = Known::Ended,
                Known::No | Known::Ended => return,
            }
        }
        if let Some(me) = self.me.upgrade() {
            self.shared.tell(|handler| handler.close(&me, reason));
        }
        let slot = self.slot.lock().take();
        drop(slot);
    }

    /// What waits for the client has had its time.
    pub(super) fn give_up_draining(&self) {
        let late = {
            let core = self.core.lock();
            core.phase == Phase::Draining && core.reason != Some(CloseReason::SlowConsumer)
        };
        self.finish();
        if late {
            self.shared.limit_reached(Limit::CloseTime, Some(self));
        }
    }

    /// What waited has gone out, or there is no time for it: nothing of the session is left. Called by the driver of
    /// its transport; does nothing while the session is open.
    pub fn finish(&self) {
        let (link, kind) = {
            let mut core = self.core.lock();
            if core.phase == Phase::Open {
                return;
            }
            core.phase = Phase::Closed;
            core.torn |= core.queue.clear();
            let kind = core.link.kind();
            (std::mem::replace(&mut core.link, Link::Closed(kind)), kind)
        };
        self.shared.forget(self.id, kind);
        match link {
            Link::Stream(transport) => transport.wake(),
            Link::Polling { waker: Some(waker), .. } => waker.wake(),
            Link::Polling { .. } | Link::Closed(_) => {}
        }
    }
}
