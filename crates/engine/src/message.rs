//! Outgoing messages: framed once, shared by every recipient and by both transports.

mod spare;
mod v3;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes};
use wirebird_proto::websocket::{Deflater, FrameHeader, MAX_HEADER_LEN, Opcode};

use crate::deflate::{Deflate, Deflated, compress};

/// Bytes that a message may hold beyond its own.
const MAX_SLACK: usize = 4 << 10;

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Text, without the Engine.IO type digit.
    Text(bytestring::ByteString),
    /// Binary.
    Binary(Bytes),
}

impl Message {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }
}

/// A message on its way out: one text or binary message, and any binary messages that must follow it directly.
///
/// It is laid out as finished WebSocket frames, so that any number of recipients share the same bytes; polling reads
/// the payloads out of those frames. Cloning costs one reference count.
#[derive(Debug, Clone)]
pub struct Outgoing(Arc<Frames>);

#[derive(Debug, Default)]
struct Frames {
    /// Frames as they go over a WebSocket, in two pieces: the first may differ by recipient, the second is shared.
    head: Vec<u8>,
    head_start: usize,
    tail: Option<Arc<Tail>>,
    /// Bytes of both.
    wire_len: usize,
    /// Payload of the first frame, as a range over both pieces.
    lead: Range<usize>,
    lead_is_text: bool,
    /// Payloads of the binary frames that follow.
    attachments: Vec<Range<usize>>,
    /// The same for clients of protocol 3, once one of them gets it.
    v3: OnceLock<Outgoing>,
    /// Whether it goes out as it is, whatever was agreed on with the client.
    uncompressed: bool,
    /// Those with the same key replace it while it waits.
    key: Option<Arc<str>>,
    deflated: Deflated,
}

impl Outgoing {
    /// A text message.
    pub fn text(text: &str) -> Self {
        let mut builder = TextBuilder::with_capacity(text.len());
        builder.buffer().extend_from_slice(text.as_bytes());
        builder.finish(&[])
    }

    /// An OPEN packet.
    pub(crate) fn open(json: &str) -> Self {
        let mut builder = TextBuilder::new(b'0', 0, json.len());
        builder.buffer().extend_from_slice(json.as_bytes());
        builder.finish(&[])
    }

    /// A binary message.
    pub fn binary(data: &[u8]) -> Self {
        Self::binary_with(data, &[])
    }

    /// A message and the binary messages that must follow it directly.
    pub fn with_attachments(message: &Message, attachments: &[Bytes]) -> Self {
        match message {
            Message::Text(text) => {
                let mut builder = TextBuilder::with_capacity(text.len());
                builder.buffer().extend_from_slice(text.as_bytes());
                builder.finish(attachments)
            }
            Message::Binary(data) => Self::binary_with(data, attachments),
        }
    }

    fn binary_with(data: &[u8], attachments: &[Bytes]) -> Self {
        let header = FrameHeader::new(Opcode::Binary, data.len());
        let mut head = Vec::with_capacity(header.as_slice().len() + data.len());
        head.extend_from_slice(header.as_slice());
        let lead = head.len()..head.len() + data.len();
        head.extend_from_slice(data);
        let attachments = append_attachments(&mut head, attachments);
        Frames { head, lead, attachments, ..Frames::default() }.into()
    }

    /// The same text message for one of several recipients: `prefix` (the part that differs) is put before the text
    /// that `shared` holds; attachments are those of `shared`.
    pub fn spliced(prefix: &[u8], shared: &SharedTail) -> Self {
        let text_len = 1 + prefix.len() + shared.0.text_len;
        let header = FrameHeader::new(Opcode::Text, text_len);
        let mut head = Vec::with_capacity(header.as_slice().len() + 1 + prefix.len());
        head.extend_from_slice(header.as_slice());
        let start = head.len();
        head.push(b'4');
        head.extend_from_slice(prefix);
        let shift = head.len();
        let frames = Frames {
            lead: start..start + text_len,
            lead_is_text: true,
            attachments: shared.0.attachments_at(shift),
            head,
            tail: Some(shared.0.clone()),
            ..Frames::default()
        };
        frames.into()
    }

    /// The same message, never to be compressed. To be called before it is cloned: what has been cloned stays as it is.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        if let Some(frames) = Arc::get_mut(&mut self.0) {
            frames.uncompressed = true;
        }
        self
    }

    /// The same message, replaced while it waits for a client by a newer one with the same key, which then goes out in its
    /// own place. To be called before it is cloned: what has been cloned stays as it is.
    #[must_use]
    pub fn conflated(mut self, key: Arc<str>) -> Self {
        if let Some(frames) = Arc::get_mut(&mut self.0) {
            frames.key = Some(key);
        }
        self
    }

    /// The key under which newer messages replace it.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Whether it may be compressed.
    pub fn is_compressible(&self) -> bool {
        !self.0.uncompressed
    }

    /// How many Engine.IO packets it is: one, and one for each attachment.
    pub fn packets(&self) -> usize {
        1 + self.0.attachments.len()
    }

    /// Its size on a WebSocket, in bytes.
    pub fn wire_len(&self) -> usize {
        self.0.wire_len
    }

    /// The frames as they go over a WebSocket.
    pub(crate) fn wire(&self) -> [&[u8]; 2] {
        [&self.0.head[self.0.head_start..], self.tail()]
    }

    /// Its frames as they go over a WebSocket with compression, which [`Outgoing::deflate`] has made.
    pub(crate) fn deflated(&self, bits: u8) -> &[u8] {
        self.0.deflated.get(bits).unwrap_or_default()
    }

    /// Makes the frames for WebSockets with compression and a window of 2^`bits` bytes, unless they are there; returns
    /// whether they are worth it.
    pub(crate) fn deflate(&self, deflate: &Deflate, bits: u8) -> bool {
        let worth = !self.0.uncompressed && deflate.is_worth(self.wire_len());
        worth && self.0.deflated.make(deflate, bits, || self.whole())
    }

    /// The frames for one client, whose messages build on each other.
    pub(crate) fn deflate_with(&self, deflate: &Deflate, deflater: &mut Deflater) -> Option<Box<[u8]>> {
        let worth = !self.0.uncompressed && deflate.is_worth(self.wire_len());
        worth.then(|| compress(deflate, deflater, &self.whole()))?
    }

    /// All frames in one piece.
    fn whole(&self) -> Cow<'_, [u8]> {
        match self.wire() {
            [one, []] => Cow::Borrowed(one),
            both => Cow::Owned(both.concat()),
        }
    }

    /// The first packet's payload in at most two pieces (text keeps its Engine.IO type digit), and whether it is text.
    pub(crate) fn lead(&self) -> ([&[u8]; 2], bool) {
        (self.pieces(&self.0.lead), self.0.lead_is_text)
    }

    /// The payloads of the attachments.
    pub(crate) fn attachments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.attachments.iter().map(|range| {
            let [a, b] = self.pieces(range);
            if a.is_empty() { b } else { a }
        })
    }

    fn tail(&self) -> &[u8] {
        self.0.tail.as_deref().map_or(&[], |tail| &tail.bytes)
    }

    fn pieces(&self, range: &Range<usize>) -> [&[u8]; 2] {
        let (head, tail) = (&self.0.head, self.tail());
        let split = head.len();
        [
            &head[range.start.min(split)..range.end.min(split)],
            &tail[range.start.max(split) - split..range.end.max(split) - split],
        ]
    }
}

impl From<Frames> for Outgoing {
    fn from(mut frames: Frames) -> Self {
        let tail = frames.tail.as_ref().map_or(0, |tail| tail.bytes.len());
        frames.wire_len = frames.head.len() - frames.head_start + tail;
        Self(Arc::new(frames))
    }
}

impl From<Message> for Outgoing {
    /// The same message on its way back.
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(&text),
            Message::Binary(data) => Self::binary(&data),
        }
    }
}

/// Builds a text message in place: room for the frame header, and for a beginning that is not known yet, is left in
/// front, so the text is written only once.
#[derive(Debug)]
pub struct TextBuilder {
    buffer: Vec<u8>,
    /// Where the text begins. Before it are the type digit and the frame header.
    start: usize,
    digit: u8,
}

impl TextBuilder {
    /// A builder with room for `capacity` bytes of text.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(b'4', 0, capacity)
    }

    /// A builder with room for `capacity` bytes of text, and for `room` bytes that are put before it later.
    pub fn with_room(room: usize, capacity: usize) -> Self {
        Self::new(b'4', room, capacity)
    }

    fn new(digit: u8, room: usize, capacity: usize) -> Self {
        let start = MAX_HEADER_LEN + 1 + room;
        let mut buffer = spare::buffer(start + capacity);
        buffer.put_bytes(0, start);
        Self { buffer, start, digit }
    }

    /// Where the text goes; append only. What is already there must stay, and what is added must be UTF-8.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The text so far.
    pub fn text(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Puts what `write` appends before the text.
    pub fn begin_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let end = self.buffer.len();
        write(&mut self.buffer);
        let added = self.buffer.len() - end;
        if added < self.start - MAX_HEADER_LEN {
            self.buffer.copy_within(end.., self.start - added);
            self.buffer.truncate(end);
            self.start -= added;
        } else {
            self.buffer[self.start..].rotate_right(added);
        }
    }

    /// The finished message.
    pub fn finish(mut self, attachments: &[Bytes]) -> Outgoing {
        let lead = self.start - 1..self.buffer.len();
        self.buffer[lead.start] = self.digit;
        let header = FrameHeader::new(Opcode::Text, lead.len());
        let head_start = lead.start - header.as_slice().len();
        self.buffer[head_start..lead.start].copy_from_slice(header.as_slice());
        let attachments = append_attachments(&mut self.buffer, attachments);
        // What waits is counted by its length.
        if self.buffer.capacity() - self.buffer.len() > MAX_SLACK {
            self.buffer.shrink_to_fit();
        }
        let wire_len = self.buffer.len() - head_start;
        spare::message(Frames {
            head: self.buffer,
            head_start,
            wire_len,
            lead,
            lead_is_text: true,
            attachments,
            ..Frames::default()
        })
    }
}

/// The part of a text message that all recipients share when each needs a prefix of its own (an ack id).
#[derive(Debug, Clone)]
pub struct SharedTail(Arc<Tail>);

#[derive(Debug)]
struct Tail {
    bytes: Vec<u8>,
    text_len: usize,
    attachments: Vec<Range<usize>>,
    /// The same for clients of protocol 3.
    v3: OnceLock<Arc<Self>>,
}

impl SharedTail {
    /// A tail of `text` and `attachments`.
    pub fn new(text: &[u8], attachments: &[Bytes]) -> Self {
        let mut bytes = text.to_vec();
        let attachments = append_attachments(&mut bytes, attachments);
        Self(Arc::new(Tail { text_len: text.len(), bytes, attachments, v3: OnceLock::new() }))
    }
}

impl Tail {
    /// The payloads of the attachments, behind a head of so many bytes.
    fn attachments_at(&self, head: usize) -> Vec<Range<usize>> {
        self.attachments.iter().map(|range| range.start + head..range.end + head).collect()
    }
}

fn append_attachments(buffer: &mut Vec<u8>, attachments: &[Bytes]) -> Vec<Range<usize>> {
    if attachments.is_empty() {
        return Vec::new();
    }
    buffer.reserve(attachments.iter().map(|a| a.len() + MAX_HEADER_LEN).sum());
    let mut ranges = Vec::with_capacity(attachments.len());
    for attachment in attachments {
        buffer.extend_from_slice(FrameHeader::new(Opcode::Binary, attachment.len()).as_slice());
        ranges.push(buffer.len()..buffer.len() + attachment.len());
        buffer.extend_from_slice(attachment);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_framed_with_its_attachments() {
        let mut builder = TextBuilder::with_capacity(8);
        builder.buffer().extend_from_slice(b"2[1]");
        let message = builder.finish(&[Bytes::from_static(&[9, 8])]);
        assert_eq!(message.wire().concat(), b"\x81\x0542[1]\x82\x02\x09\x08");
        assert_eq!(message.lead().0.concat(), b"42[1]");
        assert_eq!(message.attachments().collect::<Vec<_>>(), [&[9u8, 8][..]]);
        assert_eq!(message.packets(), 2);
    }

    #[test]
    fn a_beginning_is_put_before_the_text() {
        for room in [0, 3, 64] {
            let mut builder = TextBuilder::with_room(room, 8);
            builder.buffer().extend_from_slice(b"[1]");
            builder.begin_with(|out| out.extend_from_slice(b"3/room,12"));
            assert_eq!(builder.text(), b"3/room,12[1]");
            let message = builder.finish(&[]);
            assert_eq!(message.wire().concat(), b"\x81\x0d43/room,12[1]", "{room}");
        }
    }

    #[test]
    fn a_spliced_message_equals_one_made_whole() {
        let attachment = Bytes::from(vec![7; 200]);
        let tail = SharedTail::new(b"[\"ev\"]", std::slice::from_ref(&attachment));
        let spliced = Outgoing::spliced(b"51-12", &tail);
        let mut whole = TextBuilder::with_capacity(0);
        whole.buffer().extend_from_slice(b"51-12[\"ev\"]");
        let whole = whole.finish(&[attachment]);
        assert_eq!(spliced.wire().concat(), whole.wire().concat());
        assert_eq!(spliced.lead().0.concat(), whole.lead().0.concat());
        assert_eq!(spliced.attachments().collect::<Vec<_>>(), whole.attachments().collect::<Vec<_>>());
    }

    #[test]
    fn any_message_can_have_attachments() {
        let attachments = [Bytes::from_static(&[9, 8]), Bytes::new()];
        let text = Outgoing::with_attachments(&Message::Text("2[1]".into()), &attachments);
        assert_eq!(text.wire().concat(), b"\x81\x0542[1]\x82\x02\x09\x08\x82\x00");
        let binary = Outgoing::with_attachments(&Message::Binary(Bytes::from_static(&[7])), &attachments);
        assert_eq!(binary.wire().concat(), b"\x82\x01\x07\x82\x02\x09\x08\x82\x00");
        assert_eq!((binary.lead().0.concat(), binary.lead().1), (vec![7], false));
        assert_eq!(binary.attachments().collect::<Vec<_>>(), [&[9u8, 8][..], &[]]);
        assert_eq!(binary.packets(), 3);
    }

    #[test]
    fn compressed_frames_are_made_once_for_each_window() {
        let deflate = Deflate::default().threshold(100);
        let mut builder = TextBuilder::with_capacity(0);
        builder.buffer().extend_from_slice(&[b'x'; 500]);
        let attachments = [Bytes::from(vec![7; 300]), Bytes::from_static(&[1, 2])];
        let message = builder.finish(&attachments);
        let other = message.clone();
        assert!(message.deflated(15).is_empty());
        assert!(message.deflate(&deflate, 15) && other.deflate(&deflate, 15) && other.deflate(&deflate, 9));
        assert!(std::ptr::eq(message.deflated(15), other.deflated(15)));
        let frames = message.deflated(15);
        assert!(frames.len() < 50, "{}", frames.len());
        // The third is below the threshold.
        assert_eq!((frames[0], frames[2 + usize::from(frames[1])]), (0xc1, 0xc2));
        assert!(frames.ends_with(&[0x82, 2, 1, 2]));
        assert!(message.deflated(10).is_empty());
    }

    #[test]
    fn what_is_small_or_must_not_be_compressed_is_not() {
        let deflate = Deflate::default().threshold(100);
        assert!(!Outgoing::text(&"x".repeat(50)).deflate(&deflate, 15));
        let noise: Vec<u8> = (0..200u32).map(|i| (i * i * 7 % 251) as u8).collect();
        assert!(!Outgoing::binary(&noise).deflate(&deflate, 15));
        let message = Outgoing::text(&"x".repeat(500)).uncompressed();
        assert!(!message.deflate(&deflate, 15) && !message.is_compressible());
        assert!(message.deflate_with(&deflate, &mut Deflater::with_takeover(1, 15)).is_none());
    }

    #[test]
    fn a_spliced_message_is_compressed_as_a_whole() {
        let deflate = Deflate::default();
        let tail = SharedTail::new(&[b'y'; 2000], &[]);
        let spliced = Outgoing::spliced(b"12", &tail);
        let mut whole = TextBuilder::with_capacity(0);
        whole.buffer().extend_from_slice(&[&b"12"[..], &[b'y'; 2000]].concat());
        let whole = whole.finish(&[]);
        assert!(spliced.deflate(&deflate, 15) && whole.deflate(&deflate, 15));
        assert_eq!(spliced.deflated(15), whole.deflated(15));
    }

    #[test]
    fn long_text_gets_a_long_header() {
        let message = Outgoing::text(&"x".repeat(70_000));
        assert_eq!(message.wire_len(), 10 + 70_001);
        assert_eq!(message.wire()[0][..2], [0x81, 127]);
    }
}
