//! Something that is said once, and that many may wait for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Told {
    said: AtomicBool,
    heard: Notify,
}

impl Told {
    pub(crate) fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.heard.notify_waiters();
    }

    pub(crate) fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    /// Resolves when it is said, or has been.
    pub(crate) async fn wait(&self) {
        let notified = self.heard.notified();
        if !self.is_said() {
            notified.await;
        }
    }
}
