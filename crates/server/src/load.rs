//! Counting what is kept for clients, against limits.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::mailbox::Load;

/// How much is kept at present. One total order with the flags that depend on it: whoever sees neither the flag nor the
/// change would wait for ever.
#[derive(Debug, Default)]
pub(crate) struct LoadCounter {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl LoadCounter {
    pub(crate) fn add(&self, load: Load) {
        self.events.fetch_add(load.events, Ordering::SeqCst);
        self.bytes.fetch_add(load.bytes, Ordering::SeqCst);
    }

    /// Takes away what was added before.
    pub(crate) fn remove(&self, load: Load) {
        self.events.fetch_sub(load.events, Ordering::SeqCst);
        self.bytes.fetch_sub(load.bytes, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> Load {
        Load { events: self.events.load(Ordering::SeqCst), bytes: self.bytes.load(Ordering::SeqCst) }
    }
}

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadLimit {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl LoadLimit {
    pub(crate) fn is_reached(&self, load: Load) -> bool {
        load.events >= self.events || load.bytes >= self.bytes
    }

    pub(crate) fn is_half_empty(&self, load: Load) -> bool {
        load.events <= self.events / 2 && load.bytes <= self.bytes / 2
    }
}
