//! How messages wait: whether they may be dropped, replaced, and what part of the queue they may take.

use std::sync::Arc;

use crate::config::SendQueue;

/// What the messages of one kind, such as those of a Socket.IO namespace, may take of the queue of each client, and what
/// happens when one of them does not fit.
///
/// The limits of the server hold as well: what is over them follows the policy of the message that comes last.
#[derive(Debug)]
pub struct Share(SendQueue);

impl Share {
    /// A share of so much.
    pub fn new(limits: SendQueue) -> Arc<Self> {
        Arc::new(Self(limits))
    }

    /// So much.
    pub fn limits(&self) -> &SendQueue {
        &self.0
    }
}

/// What may become of a message while it waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It goes out, or the session ends.
    #[default]
    Kept,
    /// It may be dropped when there is no room.
    Volatile,
    /// A newer one with the same key takes its place.
    Replaceable,
}

/// How a message waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) kind: Kind,
    pub(crate) share: Option<Arc<Share>>,
}

/// What the shares have of one queue. Only those that have something.
#[derive(Debug, Default)]
pub(super) struct Shares(Vec<Taken>);

#[derive(Debug)]
struct Taken {
    share: Arc<Share>,
    packets: usize,
    bytes: usize,
}

impl Shares {
    /// Packets and bytes.
    pub(super) fn of(&self, share: &Arc<Share>) -> (usize, usize) {
        let found = self.0.iter().find(|taken| Arc::ptr_eq(&taken.share, share));
        found.map_or((0, 0), |taken| (taken.packets, taken.bytes))
    }

    pub(super) fn add(&mut self, share: &Arc<Share>, packets: usize, bytes: usize) {
        match self.0.iter_mut().find(|taken| Arc::ptr_eq(&taken.share, share)) {
            Some(taken) => {
                taken.packets += packets;
                taken.bytes += bytes;
            }
            None => self.0.push(Taken { share: share.clone(), packets, bytes }),
        }
    }

    pub(super) fn remove(&mut self, share: &Arc<Share>, packets: usize, bytes: usize) {
        let Some(at) = self.0.iter().position(|taken| Arc::ptr_eq(&taken.share, share)) else { return };
        let taken = &mut self.0[at];
        taken.packets -= packets;
        taken.bytes -= bytes;
        if taken.packets == 0 {
            self.0.swap_remove(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
