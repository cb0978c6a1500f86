//! Deadlines of every session in one place: buckets by due time.
//!
//! An entry is not taken back. When it falls due its owner looks at the deadline that holds by then and asks for another
//! entry if that lies ahead, so a session costs two entries a ping cycle and no cancellation. Entries of owners that are
//! gone are swept out when there are many: they hold memory, and clients that come and go would make them pile up.

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

/// With fewer entries nothing is swept.
const FEW: usize = 512;
/// Entries that are looked at for each that is added, while there is a sweep.
const SWEPT: usize = 64;

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
    entries: usize,
    /// What was left by the last sweep.
    swept: usize,
    /// How far a sweep has come.
    sweeping: Option<Millis>,
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
            state.entries += 1;
            state.sweep();
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
                    Some(first) if *first.key() <= now => {
                        let bucket = first.remove();
                        state.entries -= bucket.len();
                        state.swept = state.swept.min(state.entries);
                        bucket
                    }
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

impl State {
    /// Forgets some of the entries whose owners are gone, if there are twice as many entries as there were after the last
    /// sweep. A little for each entry that is added: nobody has to wait for all of it.
    fn sweep(&mut self) {
        if self.sweeping.is_none() && self.entries > FEW.max(2 * self.swept) {
            self.sweeping = Some(0);
        }
        let mut left = SWEPT;
        while let Some(from) = self.sweeping.filter(|_| left > 0) {
            let Some((&due, bucket)) = self.buckets.range_mut(from..).next() else {
                self.sweeping = None;
                self.swept = self.entries;
                return;
            };
            let before = bucket.len();
            bucket.retain(|(owner, _)| owner.strong_count() > 0);
            self.entries -= before - bucket.len();
            if bucket.is_empty() {
                self.buckets.remove(&due);
            }
            self.sweeping = Some(due + 1);
            left = left.saturating_sub(before.max(8));
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

    /// Clients that come and go do not pile up, and those that stay are not forgotten.
    #[test]
    fn owners_that_are_gone_are_swept_out() {
        let timers = Timers::default();
        let log = Arc::new(Log(Mutex::default()));
        for n in 0..100_000 {
            let at = 25_000 + n / 10;
            if n % 100 == 0 {
                timers.schedule(at, Arc::<Log>::downgrade(&log), n);
            } else {
                timers.schedule(at, Arc::<Log>::downgrade(&Arc::new(Log(Mutex::default()))), n);
            }
            let entries = timers.state.lock().entries;
            assert!(entries <= 6 * FEW, "{entries} entries after {n}");
        }
        let counted: usize = timers.state.lock().buckets.values().map(Vec::len).sum();
        assert_eq!(timers.state.lock().entries, counted);
        timers.expire_due(40_000);
        assert_eq!(log.0.lock().len(), 1_000);
        assert_eq!(timers.state.lock().entries, 0);
    }
}
