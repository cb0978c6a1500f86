//! The queue of a shard: items that threads put into it are delivered one at a time and in order, each once, by them or by
//! the task that comes with a runtime, whenever that is.

#[path = "../../crates/server/src/shard/line.rs"]
mod line;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use crate::try_orders;
use line::{Line, Turn};
use shuttle::thread;

const EACH: usize = 3;

#[derive(Default)]
struct Shard {
    line: Line<(usize, usize)>,
    attached: AtomicBool,
    closed: AtomicBool,
    delivering: AtomicBool,
    delivered: Mutex<Vec<(usize, usize)>>,
}

impl Shard {
    /// As a thread that broadcasts.
    fn submit(&self, item: (usize, usize)) {
        if !self.line.push(item) {
            return;
        }
        if self.attached.load(Ordering::SeqCst) {
            return self.line.wake();
        }
        // What was true may not be any more.
        thread::yield_now();
        let mut turn = Turn::First;
        while let Some(batch) = self.line.next_batch(turn, 2) {
            self.deliver(batch.into_iter());
            turn = Turn::Next;
        }
    }

    fn deliver(&self, batch: impl ExactSizeIterator<Item = (usize, usize)>) {
        assert!(!self.delivering.swap(true, Ordering::SeqCst), "two deliver at a time");
        let count = batch.len();
        for item in batch {
            thread::yield_now();
            self.delivered.lock().unwrap().push(item);
        }
        assert!(self.delivering.swap(false, Ordering::SeqCst));
        self.line.delivered(count);
    }

    /// The task.
    async fn run(&self) {
        let mut turn = Turn::First;
        loop {
            let goes_on = poll_fn(|cx| {
                let waits = self.line.poll_waits(std::mem::replace(&mut turn, Turn::First), cx);
                if self.closed.load(Ordering::SeqCst) { Poll::Ready(false) } else { waits.map(|()| true) }
            });
            if !goes_on.await {
                return;
            }
            turn = Turn::First;
            if let Some(batch) = self.line.next_batch(turn, 2) {
                self.deliver(batch.into_iter());
                turn = Turn::Next;
            }
        }
    }
}

/// The test: threads queue, and a runtime comes at some time.
pub fn one_at_a_time_in_order() {
    try_orders(|| {
        let shard = Arc::<Shard>::default();
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let shard = shard.clone();
                thread::spawn(move || (0..EACH).for_each(|number| shard.submit((thread, number))))
            })
            .collect();
        let runtime = {
            let shard = shard.clone();
            thread::spawn(move || {
                shard.attached.store(true, Ordering::SeqCst);
                shuttle::future::block_on(shard.run());
            })
        };
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        while !shard.line.is_idle() {
            thread::yield_now();
        }
        shard.closed.store(true, Ordering::SeqCst);
        shard.line.wake();
        runtime.join().unwrap();
        let delivered = shard.delivered.lock().unwrap().clone();
        for thread in 0..2 {
            let own = delivered.iter().filter(|(of, _)| *of == thread).map(|(_, number)| *number);
            assert!(own.eq(0..EACH), "{delivered:?}");
        }
    });
}
