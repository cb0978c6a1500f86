//! How long handlers take, as a histogram.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in milliseconds, and one beyond all of them.
const BOUNDS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 500, 1_000, 5_000, 10_000];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Recorder {
    pub(crate) fn record(&self, took: Duration) {
        let at = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < took);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> HandlerTimes {
        let mut below = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        HandlerTimes { cumulative, total: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)) }
    }
}

/// How long the handlers of events took: see [`Builder::handler_times`](crate::Builder::handler_times).
#[derive(Clone, PartialEq, Eq)]
pub struct HandlerTimes {
    cumulative: [u64; BUCKETS],
    total: Duration,
}

impl HandlerTimes {
    /// Events that were handled.
    pub fn count(&self) -> u64 {
        self.cumulative[BUCKETS - 1]
    }

    /// How long that took, all together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// How many took no longer than each of these times, from 1 ms to 10 s.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS.into_iter().map(Duration::from_millis).zip(self.cumulative)
    }
}

impl fmt::Debug for HandlerTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerTimes").field("count", &self.count()).field("total", &self.total).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let recorder = Recorder::default();
        for micros in [0, 1000, 1001, 700_000, 60_000_000] {
            recorder.record(Duration::from_micros(micros));
        }
        let times = recorder.snapshot();
        assert_eq!((times.count(), times.total()), (5, Duration::from_micros(60_702_001)));
        let buckets: Vec<_> = times.buckets().map(|(bound, count)| (bound.as_millis(), count)).collect();
        assert_eq!(buckets[..2], [(1, 2), (2, 3)]);
        assert_eq!(buckets[7..], [(500, 3), (1000, 4), (5000, 4), (10_000, 4)]);
    }
}
