//! Counting what is kept for clients, against limits.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

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

/// Those that wait until less of something that all share is kept.
///
/// Whoever waits calls [`Waiters::wait`] and looks again; whoever makes it less does that and calls [`Waiters::take`]. One of
/// them sees the other.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    any: AtomicBool,
    waiting: Mutex<Vec<Weak<T>>>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), waiting: Mutex::default() }
    }
}

impl<T> Waiters<T> {
    pub(crate) fn wait(&self, waiter: Weak<T>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == waiting.capacity() {
            waiting.retain(|other| other.strong_count() > 0);
        }
        waiting.push(waiter);
        self.any.store(true, Ordering::SeqCst);
    }

    /// All that wait, who do not any more.
    pub(crate) fn take(&self) -> Vec<Weak<T>> {
        if !self.any.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut waiting)
    }
}
