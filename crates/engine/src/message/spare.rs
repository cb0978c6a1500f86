//! The memory of a message that is not needed any more, for the next one of the same thread: answers to a burst are made one
//! after another, and each is copied out before the next.

use std::cell::Cell;
use std::sync::Arc;

use super::{Frames, Outgoing};

/// Bytes that are kept at most.
const KEPT: usize = 4 << 10;

thread_local! {
    static SPARE: Cell<Option<Arc<Frames>>> = const { Cell::new(None) };
}

/// An empty buffer for the frames of a message, with room for so many bytes.
#[inline]
pub(super) fn buffer(capacity: usize) -> Vec<u8> {
    let Some(mut spare) = take() else { return Vec::with_capacity(capacity) };
    let mut buffer =
        Arc::get_mut(&mut spare).map(|frames| std::mem::take(&mut frames.head)).unwrap_or_default();
    put(spare);
    buffer.reserve(capacity);
    buffer
}

pub(super) fn message(frames: Frames) -> Outgoing {
    if let Some(mut spare) = take()
        && let Some(place) = Arc::get_mut(&mut spare)
    {
        *place = frames;
        return Outgoing(spare);
    }
    Outgoing(Arc::new(frames))
}

impl Outgoing {
    /// Nobody here needs the message any more.
    pub(crate) fn spare(mut self) {
        if let Some(frames) = Arc::get_mut(&mut self.0)
            && frames.head.capacity() <= KEPT
        {
            frames.head.clear();
            put(self.0);
        }
    }
}

fn take() -> Option<Arc<Frames>> {
    SPARE.try_with(Cell::take).ok().flatten()
}

fn put(spare: Arc<Frames>) {
    let _ = SPARE.try_with(|place| place.set(Some(spare)));
}
