//! Polling bodies: many packets, separated by `0x1e`.

use std::iter::FusedIterator;

use bytes::Bytes;
use bytestring::ByteString;

use super::packet::{self, Packet, PacketError};

/// Separates the packets of a polling body.
pub const SEPARATOR: u8 = 0x1e;

/// Decodes the body of a polling request, any number of packets.
///
/// The body is checked to be UTF-8 once; packets are decoded as the iterator is driven. A packet that is most of the
/// body shares its buffer; others are copied out of it, so that whoever keeps one of them does not keep the body.
///
/// # Errors
///
/// An empty body and bytes that are not UTF-8. What is wrong with a packet is reported by the iterator.
///
/// Source: the Engine.IO protocol, revision 4, section "Payload encoding".
pub fn decode_payload(body: Bytes) -> Result<PayloadPackets, PacketError> {
    if body.is_empty() {
        return Err(PacketError::Empty);
    }
    let body = ByteString::try_from(body).map_err(|_| PacketError::Utf8)?;
    Ok(PayloadPackets { body, next: Some(0) })
}

/// Iterator over the packets of a polling body, made by [`decode_payload`].
///
/// An element that is no packet (empty, unknown type, bad base64) is an error and the last item.
#[derive(Clone, Debug)]
pub struct PayloadPackets {
    body: ByteString,
    /// Where the next packet begins; `None` when there is none.
    next: Option<usize>,
}

impl PayloadPackets {
    /// Whether all packets have been taken.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }
}

impl Iterator for PayloadPackets {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let rest = &self.body[start..];
        let text = match memchr::memchr(SEPARATOR, rest.as_bytes()) {
            Some(len) => {
                self.next = Some(start + len + 1);
                &rest[..len]
            }
            None => {
                self.next = None;
                rest
            }
        };
        let shares = text.len() >= self.body.len() / 2;
        let packet = Packet::decode(if shares { self.body.slice_ref(text) } else { text.into() });
        if packet.is_err() {
            self.next = None;
        }
        Some(packet)
    }
}

impl FusedIterator for PayloadPackets {}

/// Builds the body of a poll reply.
///
/// A text that contains the separator would fall apart at the receiver: the caller keeps it out. JSON always
/// does, because control characters are escaped in it.
#[derive(Debug, Default)]
pub struct PayloadWriter {
    body: Vec<u8>,
    packets: usize,
}

impl PayloadWriter {
    /// An empty body. Nothing is allocated.
    pub const fn new() -> Self {
        Self { body: Vec::new(), packets: 0 }
    }

    /// An empty body with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { body: Vec::with_capacity(bytes), packets: 0 }
    }

    /// Adds a packet of the type digit `kind` (see [`packet_type`](super::packet_type)) whose data is `data`,
    /// joined.
    pub fn push_text(&mut self, kind: u8, data: &[&[u8]]) {
        self.body.reserve(2 + data.iter().map(|part| part.len()).sum::<usize>());
        self.separate();
        self.body.push(kind);
        for part in data {
            self.body.extend_from_slice(part);
        }
    }

    /// Adds a binary message: `b` and base64.
    pub fn push_binary(&mut self, data: &[u8]) {
        self.body.reserve(1 + Self::binary_len(data.len()));
        self.separate();
        packet::write_base64(&mut self.body, data);
    }

    /// Adds a packet that is encoded already, type digit included.
    pub fn push_raw(&mut self, packet: &[u8]) {
        self.body.reserve(1 + packet.len());
        self.separate();
        self.body.extend_from_slice(packet);
    }

    /// Adds any packet.
    pub fn push(&mut self, packet: &Packet) {
        self.separate();
        packet.encode(&mut self.body);
    }

    /// Bytes of the body so far.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether no packet was added.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Packets of the body so far.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The bytes that a binary message of `data` bytes takes in a body, without a separator.
    pub fn binary_len(data: usize) -> usize {
        packet::base64_len(data)
    }

    /// The body.
    pub fn finish(self) -> Bytes {
        self.body.into()
    }

    fn separate(&mut self) {
        if self.packets > 0 {
            self.body.push(SEPARATOR);
        }
        self.packets += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &'static [u8]) -> Result<Vec<Packet>, PacketError> {
        decode_payload(Bytes::from_static(body))?.collect()
    }

    #[test]
    fn one_and_many() {
        assert_eq!(decode(b"4hello"), Ok(vec![Packet::Text("hello".into())]));
        assert_eq!(
            decode("4hello\u{1e}2\u{1e}bAQID\u{1e}4€".as_bytes()),
            Ok(vec![
                Packet::Text("hello".into()),
                Packet::Ping("".into()),
                Packet::Binary(Bytes::from_static(&[1, 2, 3])),
                Packet::Text("€".into()),
            ])
        );
    }

    #[test]
    fn whoever_keeps_a_small_packet_does_not_keep_the_body() {
        let body = Bytes::from(format!("4a\u{1e}4{}\u{1e}4b", "x".repeat(100)));
        let within = body.as_ptr_range();
        let packets = decode_payload(body.clone()).unwrap();
        let shares = packets.map(|packet| match packet {
            Ok(Packet::Text(text)) => within.contains(&text.as_bytes().as_ptr()),
            other => panic!("{other:?}"),
        });
        assert_eq!(shares.collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn the_number_of_packets_is_not_limited() {
        let mut body = PayloadWriter::new();
        for _ in 0..10_000 {
            body.push_text(b'4', &[b"x"]);
        }
        let packets = decode_payload(body.finish()).unwrap();
        assert_eq!(packets.filter(Result::is_ok).count(), 10_000);
    }

    #[test]
    fn malformed() {
        assert_eq!(decode(b""), Err(PacketError::Empty));
        assert_eq!(decode(b"\x1e"), Err(PacketError::Empty));
        assert_eq!(decode(b"4a\x1e"), Err(PacketError::Empty));
        assert_eq!(decode(b"\x1e4a"), Err(PacketError::Empty));
        assert_eq!(decode(b"4a\x1e\x1e4b"), Err(PacketError::Empty));
        assert_eq!(decode(b"abc"), Err(PacketError::UnknownType(b'a')));
        assert_eq!(decode(b"4a\x1ex"), Err(PacketError::UnknownType(b'x')));
        assert_eq!(decode(b"4a\x1eb!"), Err(PacketError::Base64));
        assert_eq!(decode(b"4\xff"), Err(PacketError::Utf8));
        assert_eq!(decode(b"4\xed\xa0\x80"), Err(PacketError::Utf8));
    }

    #[test]
    fn packets_before_an_error_are_seen_and_none_after() {
        let mut packets = decode_payload(Bytes::from_static(b"4a\x1ex\x1e4b")).unwrap();
        assert_eq!(packets.next(), Some(Ok(Packet::Text("a".into()))));
        assert_eq!(packets.next(), Some(Err(PacketError::UnknownType(b'x'))));
        assert_eq!(packets.next(), None);
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn writer() {
        let mut body = PayloadWriter::new();
        assert!(body.is_empty());
        body.push_text(b'4', &[b"2[", b"1", b"]"]);
        body.push_binary(&[1, 2, 3, 4]);
        body.push_raw(b"6");
        body.push(&Packet::Close);
        assert_eq!((body.packets(), body.len()), (4, 19));
        assert_eq!(body.finish(), b"42[1]\x1ebAQIDBA==\x1e6\x1e1"[..]);
    }

    #[test]
    fn lengths_of_base64() {
        for len in 0..20 {
            let mut body = PayloadWriter::new();
            body.push_binary(&vec![7; len]);
            assert_eq!(body.len(), PayloadWriter::binary_len(len));
        }
    }
}
