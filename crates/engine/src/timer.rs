//! Deadlines of every session in one place: buckets by due time.
//!
//! An entry is never removed early. When it falls due its owner looks at the deadline that holds by then and asks
//! for another entry if that lies ahead, so a session costs two entries a ping cycle and no cancellation.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::Waker;

use parking_lot::Mutex;

use crate::engine::guard;

/// Milliseconds since the engine was made.
pub type Millis = u64;

/// Width of a bucket: deadlines are met up to this much late.
pub(crate) const BUCKET_MS: u64 = 8;

/// Something with deadlines.
pub trait Expire: Send + Sync {
    /// A deadline asked for with `token` has come. Called without locks; must not block.
    fn expire(self: Arc<Self>, token: u64, now: Millis);
}

type Entry = (Weak<dyn Expire>, u64);

#[derive(Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<Millis, Vec<Entry>>,
    sleeper: Option<Waker>,
    closed: bool,
}

/// No deadline will ever come again.
pub(crate) struct Closed;

impl Timers {
    /// Calls `owner.expire(token, …)` once, at `at` or up to a bucket's width later.
    pub(crate) fn schedule(&self, at: Millis, owner: Weak<dyn Expire>, token: u64) {
        let due = at.next_multiple_of(BUCKET_MS);
        let sleeper = {
            let mut state = self.state.lock();
            if state.closed {
                return;
            }
            let earlier = state.buckets.first_key_value().is_none_or(|(first, _)| due < *first);
            state.buckets.entry(due).or_default().push((owner, token));
            if earlier { state.sleeper.take() } else { None }
        };
        if let Some(waker) = sleeper {
            waker.wake();
        }
    }

    /// When the next entry falls due.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.state.lock().buckets.first_key_value().map(|(due, _)| *due)
    }

    /// As [`Timers::next_due`]; `waker` is woken when an earlier entry is added.
    pub(crate) fn next_due_or_wake(&self, waker: &Waker) -> Result<Option<Millis>, Closed> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Closed);
        }
        state.sleeper = Some(waker.clone());
        Ok(state.buckets.first_key_value().map(|(due, _)| *due))
    }

    /// Runs every entry that is due.
    pub(crate) fn expire_due(&self, now: Millis) {
        loop {
            let bucket = {
                let mut state = self.state.lock();
                match state.buckets.first_entry() {
                    Some(first) if *first.key() <= now => first.remove(),
                    _ => return,
                }
            };
            for (owner, token) in bucket {
                if let Some(owner) = owner.upgrade() {
                    guard(|| owner.expire(token, now));
                }
            }
        }
    }

    /// Forgets every entry and takes no more.
    pub(crate) fn close(&self) {
        let (buckets, sleeper) = {
            let mut state = self.state.lock();
            state.closed = true;
            (std::mem::take(&mut state.buckets), state.sleeper.take())
        };
        drop(buckets);
        if let Some(waker) = sleeper {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Log(Mutex<Vec<(u64, Millis)>>);

    impl Expire for Log {
        fn expire(self: Arc<Self>, token: u64, now: Millis) {
            self.0.lock().push((token, now));
        }
    }

    #[test]
    fn entries_run_once_in_order_and_never_early() {
        let timers = Timers::default();
        let log = Arc::new(Log(Mutex::default()));
        for at in [50, 10, 30] {
            timers.schedule(at, Arc::<Log>::downgrade(&log), at);
        }
        timers.expire_due(9);
        assert!(log.0.lock().is_empty());
        timers.expire_due(32);
        timers.expire_due(1000);
        assert_eq!(*log.0.lock(), [(10, 32), (30, 32), (50, 1000)]);
        assert_eq!(timers.next_due(), None);
    }

    #[test]
    fn an_owner_that_is_gone_is_skipped() {
        let timers = Timers::default();
        let log = Arc::new(Log(Mutex::default()));
        timers.schedule(1, Arc::<Log>::downgrade(&log), 1);
        drop(log);
        timers.expire_due(100);
    }
}
