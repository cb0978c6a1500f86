//! Handlers that end while they are called: the thread that calls one takes note of its end without a lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use wirebird_engine::thread_token;

use crate::mailbox::Visit;

/// The visit of a socket whose handler is being called; there is one at a time. Only the thread that calls writes here, and
/// only what it wrote itself matters to anybody: nothing needs an order.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// The token of that thread, 0 for none.
    thread: AtomicUsize,
    visit: AtomicU32,
    ended: AtomicBool,
}

impl Call {
    /// Calls the handler of a visit; returns whether it has ended with the call, so that nobody else has been told.
    pub(crate) fn make(&self, visit: Visit, handler: impl FnOnce()) -> bool {
        self.visit.store(visit.number(), Ordering::Relaxed);
        self.ended.store(false, Ordering::Relaxed);
        self.thread.store(thread_token(), Ordering::Relaxed);
        handler();
        self.thread.store(0, Ordering::Relaxed);
        self.ended.load(Ordering::Relaxed)
    }

    /// The handler of a visit has ended; returns whether that is within its call, which takes note of it.
    pub(crate) fn ends_within(&self, visit: Visit) -> bool {
        let within = self.thread.load(Ordering::Relaxed) == thread_token()
            && self.visit.load(Ordering::Relaxed) == visit.number();
        if within {
            self.ended.store(true, Ordering::Relaxed);
        }
        within
    }
}
