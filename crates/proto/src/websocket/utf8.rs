//! UTF-8 text that arrives in pieces, cut anywhere (RFC 6455, section 8.1).

use super::DecodeError;

/// The text, if it is UTF-8.
///
/// `simdutf8` is several times as fast as the standard library as soon as a text is not ASCII, and not slower for short texts.
#[inline]
pub(super) fn check(bytes: &[u8]) -> Result<&str, DecodeError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)
}

/// As [`check`], for bytes that are there to be had.
pub(super) fn own(bytes: Vec<u8>) -> Result<String, DecodeError> {
    check(&bytes)?;
    String::from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)
}

/// Text under way. Each byte is checked when it arrives, so that bad text fails early and is never checked twice.
#[derive(Default)]
pub(super) struct PartialText {
    text: String,
    /// The start of a character whose end has not arrived.
    tail: [u8; 4],
    tail_len: usize,
}

impl PartialText {
    /// How many bytes have arrived.
    pub(super) const fn len(&self) -> usize {
        self.text.len() + self.tail_len
    }

    /// Takes in the next piece. `expected` is a bound of the length of the whole text, see [`room`].
    pub(super) fn push(&mut self, mut piece: &[u8], expected: usize) -> Result<(), DecodeError> {
        self.text
            .reserve_exact(room(self.len(), self.text.capacity(), piece.len(), expected) + self.tail_len);
        while self.tail_len > 0 {
            let Some((&next, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.tail[self.tail_len] = next;
            self.tail_len += 1;
            let tail = &self.tail[..self.tail_len];
            match str::from_utf8(tail) {
                Ok(character) => {
                    self.text.push_str(character);
                    self.tail_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(DecodeError::InvalidUtf8),
            }
        }
        let (whole, tail) = piece.split_at(piece.len() - unfinished(piece));
        self.text.push_str(check(whole)?);
        if str::from_utf8(tail).is_err_and(|error| error.error_len().is_some()) {
            return Err(DecodeError::InvalidUtf8);
        }
        self.tail[..tail.len()].copy_from_slice(tail);
        self.tail_len = tail.len();
        Ok(())
    }

    /// The text, unless it ends inside a character.
    pub(super) fn finish(self) -> Result<String, DecodeError> {
        if self.tail_len == 0 { Ok(self.text) } else { Err(DecodeError::InvalidUtf8) }
    }
}

/// How much to reserve so that `additional` bytes fit behind `len`.
///
/// Doubles like a `Vec`, so that many small pieces stay cheap, but not beyond what the whole can need, and never far
/// beyond what has arrived: a length that a peer only claims costs nothing.
pub(super) const fn room(len: usize, capacity: usize, additional: usize, expected: usize) -> usize {
    const FIRST: usize = 256;

    let needed = len + additional;
    if needed <= capacity {
        return 0;
    }
    let mut target = if capacity < FIRST { FIRST } else { capacity.saturating_mul(2) };
    if target > expected {
        target = expected;
    }
    if target < needed { additional } else { target - len }
}

/// How many bytes at the end of `bytes` may begin a character that goes on in the next piece.
fn unfinished(bytes: &[u8]) -> usize {
    for (i, byte) in bytes.iter().rev().take(3).enumerate() {
        let width = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if width > i + 1 { i + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, DecodeError> {
        let mut text = PartialText::default();
        for piece in pieces {
            text.push(piece, 1_000)?;
        }
        text.finish()
    }

    #[test]
    fn any_cut_of_good_text() {
        let text = "aé€𝄞z κόσμε \u{10ffff}\u{0}";
        for i in 0..=text.len() {
            for j in i..=text.len() {
                let bytes = text.as_bytes();
                assert_eq!(in_pieces([&bytes[..i], &bytes[i..j], &bytes[j..]]).as_deref(), Ok(text));
            }
        }
        assert_eq!(in_pieces(text.as_bytes().chunks(1)).as_deref(), Ok(text));
    }

    #[test]
    fn bad_text_fails_in_every_cut() {
        let bad: [&[u8]; 12] = [
            b"\x80",
            b"\xc0\x80",
            b"a\xc3",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xf0\x9d\x84",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xfe",
            b"\xe0\x80\x80",
            b"\xc3\xc3\xa9",
            b"ok\xf0\x80\x80\x80ok",
        ];
        for bytes in bad {
            assert!(in_pieces(bytes.chunks(1)).is_err(), "{bytes:x?}");
            for i in 0..=bytes.len() {
                assert!(in_pieces([&bytes[..i], &bytes[i..]]).is_err(), "{bytes:x?} cut at {i}");
            }
        }
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be() {
        let mut text = PartialText::default();
        assert_eq!(text.push(b"\xf4", 10), Ok(()));
        assert_eq!(text.push(b"\x90", 10), Err(DecodeError::InvalidUtf8));
    }

    #[test]
    fn growth() {
        assert_eq!(room(0, 0, 10, 10), 10);
        assert_eq!(room(0, 0, 10, 1_000_000), 256);
        assert_eq!(room(256, 256, 1, 1_000_000), 256);
        assert_eq!(room(900, 900, 50, 1_000), 100);
        assert_eq!(room(10, 20, 10, 1_000), 0);
        assert_eq!(room(0, 0, 5_000, 1_000_000), 5_000);
    }
}
