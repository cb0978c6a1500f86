//! Clients that read too slowly: what happens to them, and who is told.

use super::close::Flush;
use super::{Core, Session};
use crate::limit::Limit;
use crate::reason::CloseReason;

/// What becomes of a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slowness {
    /// Messages for it are dropped or refused: there is no room for them. Told once, until there is room again.
    Behind,
    /// It is closed because its queue is full.
    QueueFull,
    /// It is closed because it has taken nothing for as long as
    /// [`Config::write_timeout`](crate::Config::write_timeout) allows.
    Stalled,
}

impl Slowness {
    fn limit(self) -> Limit {
        match self {
            Self::Behind | Self::QueueFull => Limit::SendQueue,
            Self::Stalled => Limit::WriteTime,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Behind => "the client reads too slowly: messages for it are dropped",
            Self::QueueFull => "the client reads too slowly: its send queue is full, closing it",
            Self::Stalled => "the client reads nothing although something waits for it, closing it",
        }
    }
}

impl Session {
    /// Closes a client for which more waits than may, as happens when its queue is full. For the layer above, where it
    /// keeps something for a client itself.
    pub fn close_slow_consumer(&self) {
        self.slow(Slowness::QueueFull);
    }

    /// Notes that a message was dropped or refused; returns whether that is to be told.
    pub(super) fn falls_behind(&self, core: &mut Core) -> bool {
        !std::mem::replace(&mut core.behind, true)
    }

    /// Tells everybody concerned, and closes the client if that is what it comes to.
    #[cold]
    pub(super) fn slow(&self, slowness: Slowness) {
        let queued = self.queued();
        if !self.is_open() {
            return;
        }
        tracing::warn!(
            target: "wirebird::engineio",
            peer = self.handshake().peer_addr().map(tracing::field::display),
            packets = queued.0, bytes = queued.1, "{}", slowness.says()
        );
        self.shared.limit_reached(slowness.limit(), Some(self));
        // A client whose queue is full can see why it is closed if it reads on: what is half written is finished.
        let ended = match slowness {
            Slowness::Behind => false,
            Slowness::QueueFull => self.begin_close(CloseReason::SlowConsumer, None, Flush::Begun),
            Slowness::Stalled => self.begin_close(CloseReason::SlowConsumer, None, Flush::Nothing),
        };
        if let Some(me) = self.me.upgrade() {
            self.shared.offload(move || {
                me.shared.tell(|handler| handler.slow(&me, slowness, queued));
                if ended {
                    me.tell_end(CloseReason::SlowConsumer);
                }
            });
        }
    }
}
