//! From packets to bodies.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::super::packet::packet_type;
use super::{BINARY, LENGTH_END, MESSAGE, TEXT};

/// Builds the body of a poll reply.
#[derive(Debug)]
pub struct PayloadWriter {
    body: Vec<u8>,
    packets: usize,
    binary: bool,
}

impl PayloadWriter {
    /// An empty body of text: binary messages are base64 in it.
    pub const fn text() -> Self {
        Self { body: Vec::new(), packets: 0, binary: false }
    }

    /// An empty body in the binary form, for clients that have not asked for base64.
    pub const fn binary() -> Self {
        Self { body: Vec::new(), packets: 0, binary: true }
    }

    /// Adds a packet of the type digit `kind` (see [`packet_type`]) whose data is `data`, which is text when joined.
    pub fn push_text(&mut self, kind: u8, data: &[&[u8]]) {
        let bytes = 1 + data.iter().map(|part| part.len()).sum::<usize>();
        if self.binary {
            self.begin(TEXT, bytes);
        } else {
            self.begin(TEXT, 1 + data.iter().map(|part| utf16_len(part)).sum::<usize>());
            self.body.reserve(bytes);
        }
        self.body.push(kind);
        data.iter().for_each(|part| self.body.extend_from_slice(part));
    }

    /// Adds a binary message.
    pub fn push_binary(&mut self, data: &[u8]) {
        if self.binary {
            self.begin(BINARY, 1 + data.len());
            self.body.push(MESSAGE);
            self.body.extend_from_slice(data);
            return;
        }
        let encoded = data.len().div_ceil(3) * 4;
        self.begin(TEXT, 2 + encoded);
        self.body.extend_from_slice(&[packet_type::BASE64, packet_type::MESSAGE]);
        let start = self.body.len();
        self.body.resize(start + encoded, 0);
        // The space is exact, hence the only error there is cannot happen.
        let written = STANDARD.encode_slice(data, &mut self.body[start..]).unwrap_or(0);
        self.body.truncate(start + written);
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

    /// The body.
    pub fn finish(self) -> Bytes {
        self.body.into()
    }

    /// Begins a packet of the given length: bytes in the binary form, UTF-16 code units in the other.
    fn begin(&mut self, kind: u8, len: usize) {
        self.packets += 1;
        self.body.reserve(len + 24);
        if !self.binary {
            // Text into a vector cannot fail.
            let _ = write!(self.body, "{len}:");
            return;
        }
        self.body.push(kind);
        let start = self.body.len();
        let _ = write!(self.body, "{len}");
        self.body[start..].iter_mut().for_each(|digit| *digit -= b'0');
        self.body.push(LENGTH_END);
    }
}

/// Whether a body is in the binary form, and so needs the content type `application/octet-stream`. One of text begins
/// with a digit in protocol 3, and with a digit or `b` in protocol 4.
pub fn is_binary_payload(body: &[u8]) -> bool {
    matches!(body.first(), Some(&(TEXT | BINARY)))
}

/// The UTF-16 code units of a part of a text, which may begin or end inside a character.
fn utf16_len(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    // Each character counts with its first byte; those of four bytes are two units.
    let units = |byte: u8| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0);
    text.iter().map(|&byte| units(byte)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let mut body = PayloadWriter::text();
        assert!(body.is_empty());
        body.push_text(b'4', &[b"hel", b"lo"]);
        body.push_text(b'6', &[]);
        body.push_binary(&[1, 2, 3, 4]);
        assert_eq!((body.packets(), body.len()), (3, 24));
        let body = body.finish();
        assert!(!is_binary_payload(&body));
        assert_eq!(body, "6:4hello1:610:b4AQIDBA==");
    }

    #[test]
    fn characters_beyond_ascii_also_in_parts() {
        let mut body = PayloadWriter::text();
        body.push_text(b'4', &["€😀".as_bytes()]);
        body.push_text(b'4', &[b"\xf0\x9f", b"\x98\x80"]);
        assert_eq!(body.finish(), "4:4€😀3:4😀");
    }

    #[test]
    fn binary() {
        let mut body = PayloadWriter::binary();
        body.push_text(b'4', &["hello €".as_bytes()]);
        body.push_binary(&[1, 2, 3, 4]);
        let body = body.finish();
        assert!(is_binary_payload(&body));
        let expected = [&[0, 1, 0, 255][..], "4hello €".as_bytes(), &[1, 5, 255, 4, 1, 2, 3, 4]].concat();
        assert_eq!(body, expected);
    }
}
