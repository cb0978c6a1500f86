//! Events that go their own way: beside those of their socket that are handled in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mailbox::{Load, QueuedEvent, Waiting};

/// What the events of one handler have in common, for all sockets. Known by its address.
#[derive(Debug)]
pub(crate) struct Lane {
    max: usize,
}

impl Lane {
    /// For up to `max` events of one socket at a time.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max })
    }
}

/// The lanes of one socket that have events in them.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Occupied>);

#[derive(Debug)]
struct Occupied {
    lane: Arc<Lane>,
    running: usize,
    waiting: VecDeque<Waiting>,
}

impl Occupied {
    fn may_begin(&self) -> bool {
        self.running < self.lane.max
    }
}

impl Lanes {
    /// Whether an event that comes now may begin.
    pub(crate) fn is_free(&self, lane: &Arc<Lane>) -> bool {
        let known = self.0.iter().find(|other| Arc::ptr_eq(&other.lane, lane));
        known.is_none_or(|lane| lane.may_begin() && lane.waiting.is_empty())
    }

    /// An event begins without having waited.
    pub(crate) fn begin(&mut self, lane: &Arc<Lane>) {
        self.entry(lane).running += 1;
    }

    pub(crate) fn wait(&mut self, lane: &Arc<Lane>, event: Waiting) {
        self.entry(lane).waiting.push_back(event);
    }

    fn entry(&mut self, lane: &Arc<Lane>) -> &mut Occupied {
        let at = self.0.iter().position(|other| Arc::ptr_eq(&other.lane, lane)).unwrap_or_else(|| {
            self.0.push(Occupied { lane: lane.clone(), running: 0, waiting: VecDeque::new() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Of the events that may begin, the turn of the one that has waited longest.
    pub(crate) fn next_turn(&self) -> Option<u64> {
        self.fronts().map(|(turn, _)| turn).min()
    }

    /// Takes the event whose turn that is, which begins.
    pub(crate) fn take_next(&mut self) -> Option<(QueuedEvent, Arc<Lane>)> {
        let (_, at) = self.fronts().min()?;
        let lane = &mut self.0[at];
        lane.running += 1;
        lane.waiting.pop_front().map(|waiting| (waiting.event, lane.lane.clone()))
    }

    fn fronts(&self) -> impl Iterator<Item = (u64, usize)> {
        self.0.iter().enumerate().filter(|(_, lane)| lane.may_begin()).filter_map(|(at, lane)| {
            let front = lane.waiting.front()?;
            Some((front.turn, at))
        })
    }

    /// An event's handler is done.
    pub(crate) fn done(&mut self, lane: &Arc<Lane>) {
        if let Some(at) = self.0.iter().position(|other| Arc::ptr_eq(&other.lane, lane)) {
            self.0[at].running -= 1;
            self.forget_if_empty(at);
        }
    }

    fn forget_if_empty(&mut self, at: usize) {
        if self.0[at].running == 0 && self.0[at].waiting.is_empty() {
            self.0.swap_remove(at);
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.0.iter().any(|lane| lane.running > 0)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.0.iter().any(|lane| !lane.waiting.is_empty())
    }

    /// Drops what waits, and says what that was.
    pub(crate) fn drop_waiting(&mut self) -> Load {
        let dropped = self.0.iter_mut().flat_map(|lane| std::mem::take(&mut lane.waiting));
        let load = dropped.map(|waiting| waiting.event.load()).collect();
        self.0.retain(|lane| lane.running > 0);
        load
    }
}
