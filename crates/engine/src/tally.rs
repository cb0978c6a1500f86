//! Counting what happens for every message, at the cost of a few instructions: each thread has counters of its own, which
//! nobody else writes, so that no core waits for another. They are added up when somebody asks.

use std::array;
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that have counters of their own: all those of a runtime, as a rule. The others share some.
const OWN: usize = 63;

/// What is not known yet.
const NONE: usize = usize::MAX;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(NONE) };
}

/// Counters of `N` kinds. Up to eight have a cache line for each thread.
pub struct Tally<const N: usize> {
    own: [Counters<N>; OWN],
    shared: Counters<N>,
}

/// On cache lines of their own.
#[repr(align(64))]
struct Counters<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Tally<N> {
    /// Adds to the counters from `first` on.
    #[inline]
    pub fn add<const M: usize>(&self, first: usize, amounts: [u64; M]) {
        if let Some(Counters(own)) = self.own.get(THREAD.get()) {
            for (counter, amount) in own[first..first + M].iter().zip(amounts) {
                counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
            }
        } else {
            self.add_elsewhere(first, amounts);
        }
    }

    /// Of a thread that has none of its own, or does not know which.
    #[cold]
    fn add_elsewhere<const M: usize>(&self, first: usize, amounts: [u64; M]) {
        if THREAD.get() == NONE {
            THREAD.set(THREADS.fetch_add(1, Ordering::Relaxed));
            return self.add(first, amounts);
        }
        for (counter, amount) in self.shared.0[first..].iter().zip(amounts) {
            counter.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The sums.
    pub fn sums(&self) -> [u64; N] {
        let all = self.own.iter().chain([&self.shared]);
        all.fold([0; N], |sums, Counters(some)| {
            array::from_fn(|at| sums[at] + some[at].load(Ordering::Relaxed))
        })
    }
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self { own: array::from_fn(|_| Counters::default()), shared: Counters::default() }
    }
}

impl<const N: usize> fmt::Debug for Tally<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tally").field(&self.sums()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_with_more_threads_than_have_counters() {
        let (one, two) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
        let threads: Vec<_> = (0..2 * OWN)
            .map(|_| {
                let (one, two) = (one.clone(), two.clone());
                thread::spawn(move || {
                    for _ in 0..1000 {
                        one.add(0, [1, 20]);
                        two.add(1, [3]);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(one.sums(), [126_000, 2_520_000]);
        assert_eq!(two.sums(), [0, 378_000]);
    }
}
