//! Something that most never set and that is asked for at every event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

/// A value that may be set at any time, and replaced. As long as it is not, asking for it is one load.
pub(crate) struct Rare<T> {
    is_set: AtomicBool,
    value: ArcSwapOption<T>,
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self { is_set: AtomicBool::new(false), value: ArcSwapOption::empty() }
    }
}

impl<T> Rare<T> {
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        if self.is_set() { self.value.load_full() } else { None }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, value: Arc<T>) {
        self.value.store(Some(value));
        self.is_set.store(true, Ordering::Release);
    }
}
