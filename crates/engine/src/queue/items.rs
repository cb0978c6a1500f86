//! The items of a queue: the first one in place, so that a queue that never holds more than one needs no buffer.

use std::collections::VecDeque;

use super::Item;

/// Items that the buffer may have room for while there are none.
const KEPT: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Items {
    /// `None` only when there are none at all.
    first: Option<Item>,
    rest: VecDeque<Item>,
}

impl Items {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn front(&self) -> Option<&Item> {
        self.first.as_ref()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut Item> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.first.iter().chain(&self.rest)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    /// Where the last item is for which `is` holds.
    pub(super) fn rposition(&self, is: impl Fn(&Item) -> bool) -> Option<usize> {
        let rest = self.rest.iter().rposition(&is).map(|at| at + 1);
        rest.or_else(|| self.first.as_ref().filter(|item| is(item)).map(|_| 0))
    }

    pub(super) fn push_back(&mut self, item: Item) {
        match &self.first {
            Some(_) => self.rest.push_back(item),
            None => self.first = Some(item),
        }
    }

    pub(super) fn push_front(&mut self, item: Item) {
        if let Some(first) = self.first.replace(item) {
            self.rest.push_front(first);
        }
    }

    /// Adds an item behind the first one.
    pub(super) fn push_second(&mut self, item: Item) {
        match &self.first {
            Some(_) => self.rest.push_front(item),
            None => self.first = Some(item),
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let item = self.first.take();
        if self.rest.capacity() > 0 {
            self.move_up();
        }
        item
    }

    fn move_up(&mut self) {
        self.first = self.rest.pop_front();
        // An idle session holds no large buffer.
        if self.first.is_none() && self.rest.capacity() > KEPT {
            self.rest = VecDeque::new();
        }
    }

    /// Adds an item where it is the one at `at`, which must not be behind the last.
    pub(super) fn insert(&mut self, at: usize, item: Item) {
        match at.checked_sub(1) {
            None => self.push_front(item),
            Some(at) => self.rest.insert(at.min(self.rest.len()), item),
        }
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Item> {
        match at.checked_sub(1) {
            None => self.pop_front(),
            Some(at) => self.rest.remove(at),
        }
    }
}
