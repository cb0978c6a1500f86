//! Small messages of one burst, side by side from the beginning: they go out in one write, and none of them is kept for
//! itself meanwhile.

use std::cell::Cell;

use crate::message::Outgoing;

/// Bytes up to which a message is joined to others.
pub(crate) const SMALL: usize = 1 << 10;

/// Bytes up to which messages are joined.
const MAX: usize = 8 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<Joined>>> = const { Cell::new(None) };
}

/// Finished WebSocket frames of whole messages.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    wire: Vec<u8>,
    packets: usize,
}

impl Joined {
    pub(super) fn of(message: &Outgoing) -> Box<Self> {
        let mut joined = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        joined.add(message);
        joined
    }

    pub(super) fn has_room(&self, message: &Outgoing) -> bool {
        self.wire.len() + message.wire_len() <= MAX
    }

    pub(super) fn add(&mut self, message: &Outgoing) {
        let [head, tail] = message.wire();
        self.wire.extend_from_slice(head);
        self.wire.extend_from_slice(tail);
        self.packets += message.packets();
    }

    /// It has gone out: the next burst of this thread takes its buffer.
    pub(super) fn spare(mut self: Box<Self>) {
        self.wire.clear();
        self.packets = 0;
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }

    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub(super) fn packets(&self) -> usize {
        self.packets
    }
}
