//! Messages for clients of protocol 3. Text is the same for them; in binary frames there is a byte before the data.
//!
//! A message with binary is made into one for them when the first of them gets it, and kept beside the other.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use wirebird_proto::engine_io::v3;
use wirebird_proto::websocket::{FrameHeader, Opcode};

use super::{Frames, Outgoing, Tail};

impl Outgoing {
    /// This message for a client of protocol 3.
    pub(crate) fn into_v3(self) -> Self {
        let frames = &*self.0;
        if frames.lead_is_text && frames.attachments.is_empty() {
            return self;
        }
        frames.v3.get_or_init(|| self.to_v3()).clone()
    }

    /// Whether there is binary in it.
    pub(crate) fn is_binary(&self) -> bool {
        !self.0.lead_is_text || !self.0.attachments.is_empty()
    }

    fn to_v3(&self) -> Self {
        let frames = &*self.0;
        if let Some(tail) = &frames.tail {
            // What differs by recipient is text.
            let tail = tail.v3.get_or_init(|| Arc::new(tail.to_v3())).clone();
            let frames = Frames {
                head: frames.head.clone(),
                lead: frames.lead.clone(),
                lead_is_text: true,
                attachments: tail.attachments_at(frames.head.len()),
                tail: Some(tail),
                uncompressed: frames.uncompressed,
                key: frames.key.clone(),
                ..Frames::default()
            };
            return frames.into();
        }
        let mut head = Vec::with_capacity(self.wire_len() + 3 * self.packets());
        let lead = if frames.lead_is_text {
            head.extend_from_slice(&frames.head[frames.head_start..frames.lead.end]);
            frames.lead.start - frames.head_start..head.len()
        } else {
            append(&mut head, &frames.head[frames.lead.clone()])
        };
        let attachments = self.attachments().map(|data| append(&mut head, data)).collect();
        Frames {
            head,
            lead,
            lead_is_text: frames.lead_is_text,
            attachments,
            uncompressed: frames.uncompressed,
            key: frames.key.clone(),
            ..Frames::default()
        }
        .into()
    }
}

impl Tail {
    fn to_v3(&self) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 3 * self.attachments.len());
        bytes.extend_from_slice(&self.bytes[..self.text_len]);
        let data = self.attachments.iter().map(|range| &self.bytes[range.clone()]);
        let attachments = data.map(|data| append(&mut bytes, data)).collect();
        Self { bytes, text_len: self.text_len, attachments, v3: OnceLock::new() }
    }
}

/// Appends a binary frame; returns where its data is.
fn append(buffer: &mut Vec<u8>, data: &[u8]) -> Range<usize> {
    buffer.extend_from_slice(FrameHeader::new(Opcode::Binary, data.len() + 1).as_slice());
    buffer.push(v3::MESSAGE);
    let start = buffer.len();
    buffer.extend_from_slice(data);
    start..buffer.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{SharedTail, TextBuilder};
    use super::*;

    fn text(text: &[u8], attachments: &[Bytes]) -> Outgoing {
        let mut builder = TextBuilder::with_room(30, text.len());
        builder.buffer().extend_from_slice(text);
        builder.finish(attachments)
    }

    #[test]
    fn text_stays_as_it_is() {
        let message = text(b"2[1]", &[]);
        let v3 = message.clone().into_v3();
        assert!(Arc::ptr_eq(&message.0, &v3.0));
        assert!(!v3.is_binary());
    }

    #[test]
    fn binary_gets_a_byte_before_it_once_for_all() {
        let attachments = [Bytes::from_static(&[9, 8]), Bytes::new(), Bytes::from(vec![7; 125])];
        for message in [text(b"53-[1]", &attachments), Outgoing::binary(b"data")] {
            let v3 = message.clone().into_v3();
            assert!(v3.is_binary());
            assert_eq!(v3.lead(), message.lead());
            assert!(v3.attachments().eq(message.attachments()));
            assert_eq!(v3.packets(), message.packets());
            assert!(Arc::ptr_eq(&v3.0, &message.into_v3().0));
        }
        let wire = text(b"53-[1]", &attachments).into_v3().wire().concat();
        let expected =
            [&b"\x81\x07453-[1]\x82\x03\x04\x09\x08\x82\x01\x04\x82\x7e\x00\x7e\x04"[..], &[7; 125]];
        assert_eq!(wire, expected.concat());
        assert_eq!(Outgoing::binary(b"data").into_v3().wire().concat(), b"\x82\x05\x04data");
    }

    #[test]
    fn what_recipients_share_they_share_here_too() {
        let tail = SharedTail::new(b"[{}]", &[Bytes::from_static(&[1, 2])]);
        let [one, two] = [b"51-1", b"51-2"].map(|id| Outgoing::spliced(id, &tail).into_v3());
        assert_eq!(one.wire().concat(), b"\x81\x09451-1[{}]\x82\x03\x04\x01\x02");
        assert_eq!(two.lead().0.concat(), b"451-2[{}]");
        assert_eq!(two.attachments().collect::<Vec<_>>(), [&[1u8, 2][..]]);
        assert!(std::ptr::eq(one.tail(), two.tail()));
    }
}
