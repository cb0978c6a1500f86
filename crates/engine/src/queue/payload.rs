//! Bodies of polling replies, in the forms of both versions of the protocol.

use wirebird_proto::engine_io::{PayloadWriter, v3};

/// What packets are written to.
pub(crate) trait Payload {
    /// Adds a packet of a type digit and text in parts.
    fn push_text(&mut self, kind: u8, data: &[&[u8]]);
    /// Adds a binary message.
    fn push_binary(&mut self, data: &[u8]);
    /// Bytes so far.
    fn len(&self) -> usize;
    /// Packets so far.
    fn packets(&self) -> usize;
}

impl Payload for PayloadWriter {
    fn push_text(&mut self, kind: u8, data: &[&[u8]]) {
        self.push_text(kind, data);
    }

    fn push_binary(&mut self, data: &[u8]) {
        self.push_binary(data);
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn packets(&self) -> usize {
        self.packets()
    }
}

impl Payload for v3::PayloadWriter {
    fn push_text(&mut self, kind: u8, data: &[&[u8]]) {
        self.push_text(kind, data);
    }

    fn push_binary(&mut self, data: &[u8]) {
        self.push_binary(data);
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn packets(&self) -> usize {
        self.packets()
    }
}
