//! Writing the frames of a server: never masked, never fragmented (RFC 6455, section 5.2).

use std::{fmt, ops::Deref};

use bytes::{BufMut, Bytes, BytesMut};

use super::{CloseCode, MAX_CONTROL_PAYLOAD};

/// What a frame is for (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// 0: the next fragment of a message.
    Continuation,
    /// 1: UTF-8 text.
    Text,
    /// 2: bytes.
    Binary,
    /// 8: the last frame of its sender.
    Close,
    /// 9: asks for a pong.
    Ping,
    /// 10: answers a ping, or tells that the sender is alive.
    Pong,
}

impl Opcode {
    /// The opcode with this number, or `None` for a reserved one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// The number on the wire, 0 to 15.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether this is a close, ping or pong frame.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Longest frame header that a server writes, in bytes: two, and a 64-bit length.
pub const MAX_HEADER_LEN: usize = 10;

/// The header of a server's frame: FIN set, not masked. 2, 4 or 10 bytes, kept inline.
///
/// Derefs to its bytes; the payload follows them on the wire.
///
/// ```
/// use wirebird_proto::websocket::{FrameHeader, Opcode};
///
/// assert_eq!(*FrameHeader::new(Opcode::Text, 5), [0x81, 5]);
/// assert_eq!(*FrameHeader::new(Opcode::Binary, 256), [0x82, 126, 1, 0]);
/// ```
#[derive(Clone, Copy)]
pub struct FrameHeader {
    bytes: [u8; MAX_HEADER_LEN],
    len: u8,
}

impl FrameHeader {
    /// The header of a frame with `payload_len` bytes of payload. A control frame may have 125 at most, or clients
    /// refuse it.
    #[inline]
    #[must_use]
    pub const fn new(opcode: Opcode, payload_len: usize) -> Self {
        let mut bytes = [0; MAX_HEADER_LEN];
        bytes[0] = 0x80 | opcode.as_u8();
        let len = if payload_len <= 125 {
            bytes[1] = payload_len as u8;
            2
        } else if payload_len <= 0xffff {
            let [a, b] = (payload_len as u16).to_be_bytes();
            bytes[1] = 126;
            bytes[2] = a;
            bytes[3] = b;
            4
        } else {
            let [a, b, c, d, e, f, g, h] = (payload_len as u64).to_be_bytes();
            bytes = [bytes[0], 127, a, b, c, d, e, f, g, h];
            10
        };
        Self { bytes, len }
    }

    /// The same for a message whose payload is compressed (RFC 7692, section 6.1): RSV1 is set.
    #[must_use]
    pub const fn compressed(mut self) -> Self {
        self.bytes[0] |= super::header::RSV1;
        self
    }

    /// The bytes of the header.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// How many bytes the header has: 2, 4 or 10.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }
}

impl Deref for FrameHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for FrameHeader {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for FrameHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameHeader").field(&self.as_slice()).finish()
    }
}

/// A complete frame: header and payload in one buffer.
///
/// For a payload that is already in place, write a [`FrameHeader`] before it instead. The limit of control frames is
/// the caller's concern.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    build(opcode, payload.len(), |out| out.put_slice(payload))
}

/// A complete close frame (RFC 6455, section 5.5.1).
///
/// Without a code the frame has no payload, and the reason is left out. A reason of more than 123 bytes is cut at the
/// last character that fits.
#[must_use]
pub fn close_frame(code: Option<CloseCode>, reason: &str) -> Bytes {
    let Some(code) = code else { return frame(Opcode::Close, &[]) };
    let mut end = reason.len().min(MAX_CONTROL_PAYLOAD - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    build(Opcode::Close, 2 + reason.len(), |out| {
        out.put_u16(code.as_u16());
        out.put_slice(reason.as_bytes());
    })
}

/// A complete ping frame. A payload of more than 125 bytes is cut (RFC 6455, section 5.5.2).
#[must_use]
pub fn ping_frame(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, truncated(payload))
}

/// A complete pong frame; it must repeat the payload of the ping that it answers (RFC 6455, section 5.5.3).
/// A payload of more than 125 bytes, which no valid ping has, is cut.
#[must_use]
pub fn pong_frame(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, truncated(payload))
}

fn build(opcode: Opcode, payload_len: usize, payload: impl FnOnce(&mut BytesMut)) -> Bytes {
    let header = FrameHeader::new(opcode, payload_len);
    let mut out = BytesMut::with_capacity(header.len() + payload_len);
    out.put_slice(header.as_slice());
    payload(&mut out);
    out.freeze()
}

fn truncated(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        assert_eq!(*FrameHeader::new(Opcode::Text, 0), [0x81, 0]);
        assert_eq!(*FrameHeader::new(Opcode::Text, 125), [0x81, 125]);
        assert_eq!(*FrameHeader::new(Opcode::Text, 126), [0x81, 126, 0, 126]);
        assert_eq!(*FrameHeader::new(Opcode::Binary, 0xffff), [0x82, 126, 0xff, 0xff]);
        assert_eq!(*FrameHeader::new(Opcode::Binary, 0x1_0000), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(FrameHeader::new(Opcode::Binary, usize::MAX >> 1).len(), MAX_HEADER_LEN);
        assert_eq!(*FrameHeader::new(Opcode::Text, 5).compressed(), [0xc1, 5]);
    }

    #[test]
    fn opcodes() {
        for number in 0..=255 {
            if let Some(opcode) = Opcode::from_u8(number) {
                assert_eq!(opcode.as_u8(), number);
                assert_eq!(opcode.is_control(), number >= 8);
            }
        }
        assert_eq!((0..=255).filter_map(Opcode::from_u8).count(), 6);
    }

    #[test]
    fn control_frames() {
        assert_eq!(*close_frame(None, "left out"), [0x88, 0]);
        assert_eq!(*close_frame(Some(CloseCode::NORMAL), ""), [0x88, 2, 0x03, 0xe8]);
        assert_eq!(*close_frame(Some(CloseCode::GOING_AWAY), "bye"), *b"\x88\x05\x03\xe9bye");
        assert_eq!(*ping_frame(b"hi"), *b"\x89\x02hi");
        assert_eq!(*pong_frame(b""), *b"\x8a\x00");
        assert_eq!(pong_frame(&[b'x'; 200]).len(), 2 + 125);
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        assert_eq!(close_frame(Some(CloseCode::NORMAL), &"x".repeat(123)).len(), 2 + 125);
        assert_eq!(close_frame(Some(CloseCode::NORMAL), &"x".repeat(124)).len(), 2 + 125);
        let cut = close_frame(Some(CloseCode::NORMAL), &"é".repeat(100));
        assert_eq!(std::str::from_utf8(&cut[4..]), Ok("é".repeat(61).as_str()));
        assert_eq!(cut[1], 2 + 122);
    }
}
