//! What waits for a shard, and who delivers it: one at a time, so that nothing overtakes anything.
//!
//! That is the shard's task, or where there is no runtime whoever has queued something while nobody was at it. When a
//! runtime comes while somebody delivers, the task leaves it to them until all that waits is delivered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

pub(crate) struct Line<T> {
    queue: Mutex<Queue<T>>,
    /// Items that are queued or being delivered.
    pending: AtomicUsize,
    waker: AtomicWaker,
}

struct Queue<T> {
    items: VecDeque<T>,
    /// Somebody delivers, or has been told to.
    active: bool,
    /// A batch is being delivered.
    taken: bool,
}

/// Who takes a batch has delivered the one before, if that was theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    Next,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            queue: Mutex::new(Queue { items: VecDeque::new(), active: false, taken: false }),
            pending: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
        }
    }
}

impl<T> Line<T> {
    /// Queues an item and calls nobody. Returns whether the caller is to see to it that somebody delivers.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut queue = self.queue.lock();
        self.pending.fetch_add(1, Ordering::AcqRel);
        queue.items.push_back(item);
        !std::mem::replace(&mut queue.active, true)
    }

    /// So many items have been delivered.
    pub(crate) fn delivered(&self, count: usize) {
        self.pending.fetch_sub(count, Ordering::AcqRel);
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Tells the task to look.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// The next items, at most `max`. `None` when there are none, and then the next one to come must begin anew, or when
    /// somebody else is at it.
    pub(crate) fn next_batch(&self, turn: Turn, max: usize) -> Option<VecDeque<T>> {
        let mut queue = self.queue.lock();
        if turn == Turn::First && queue.taken {
            return None;
        }
        queue.taken = !queue.items.is_empty();
        if !queue.taken {
            queue.active = false;
            return None;
        }
        let take = queue.items.len().min(max);
        let rest = queue.items.split_off(take);
        Some(std::mem::replace(&mut queue.items, rest))
    }

    /// For the task: ready when there is something to do. With [`Turn::Next`] what it took before has been delivered.
    pub(crate) fn poll_waits(&self, turn: Turn, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        let mut queue = self.queue.lock();
        if turn == Turn::Next {
            queue.taken = false;
        }
        if queue.taken {
            return Poll::Pending;
        }
        // When nothing waits, the next item to come must begin anew.
        queue.active = !queue.items.is_empty();
        if queue.active { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn one_at_a_time_delivers() {
        let line = Line::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(line.push(1) && !line.push(2));
        let batch = line.next_batch(Turn::First, 1).unwrap();
        assert_eq!(batch, [1]);
        // A runtime comes; its task waits for whoever is at it.
        assert!(line.poll_waits(Turn::First, &mut cx).is_pending());
        assert_eq!(line.next_batch(Turn::First, 9), None);
        assert!(!line.push(3));
        assert_eq!(line.next_batch(Turn::Next, 9).unwrap(), [2, 3]);
        assert_eq!(line.next_batch(Turn::Next, 9), None);
        line.delivered(3);
        assert!(line.is_idle());
        // From now on it is the task's.
        assert!(line.push(4) && line.poll_waits(Turn::First, &mut cx).is_ready());
        assert_eq!(line.next_batch(Turn::First, 9).unwrap(), [4]);
        assert_eq!(line.next_batch(Turn::First, 9), None);
        assert!(!line.push(5) && line.poll_waits(Turn::Next, &mut cx).is_ready());
        assert_eq!(line.next_batch(Turn::First, 9).unwrap(), [5]);
        assert!(line.poll_waits(Turn::Next, &mut cx).is_pending() && line.push(6));
    }
}
