//! The header of a client's frame (RFC 6455, section 5.2).

use super::{DecodeError, MAX_CONTROL_PAYLOAD, Opcode, mask::Mask};

/// Longest header of a client's frame, in bytes: two, a 64-bit length, the masking key.
pub(super) const MAX_LEN: usize = 14;
/// The bit of the first byte that says that a message is compressed (RFC 7692, section 6).
pub(super) const RSV1: u8 = 0x40;
const FIN: u8 = 0x80;

/// The header of a frame, and with it what is still to come of the payload.
pub(super) struct Header {
    /// FIN and RSV1, as they came.
    flags: u8,
    pub(super) opcode: Opcode,
    /// Bytes of payload that have not arrived. Never more than the limit of the decoder.
    pub(super) remaining: usize,
    pub(super) mask: Mask,
}

/// What a header is checked against.
pub(super) struct Context {
    /// The limit of a whole message, in bytes.
    pub(super) limit: usize,
    /// How much of a fragmented message is there, or `None` between messages.
    pub(super) under_way: Option<usize>,
    /// Whether messages may be compressed.
    pub(super) deflate: bool,
}

impl Header {
    /// Reads the header at the front of `bytes`; says how long it is. `None` when there are too few bytes.
    ///
    /// Each byte is judged when it is there, in order: how a header is cut does not change the error.
    // Called in two places, one of which is on the way of every frame.
    #[inline(always)]
    pub(super) fn parse(bytes: &[u8], context: &Context) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let opcode = first_byte(first, context)?;

        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(DecodeError::Unmasked);
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(DecodeError::ControlTooLong);
        }

        let (len, rest) = match short {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes(*bytes));
                if len < 126 {
                    return Err(DecodeError::LengthNotMinimal);
                }
                (len, rest)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from_be_bytes(*bytes);
                if len > u64::MAX >> 1 {
                    return Err(DecodeError::LengthOverflow);
                }
                if len <= 0xffff {
                    return Err(DecodeError::LengthNotMinimal);
                }
                (len, rest)
            }
            short => (u64::from(short), rest),
        };
        let room = context.limit.saturating_sub(context.under_way.unwrap_or(0));
        if !opcode.is_control() && len > room as u64 {
            return Err(DecodeError::TooBig { limit: context.limit });
        }

        let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let header = Self { flags: first, opcode, remaining: len as usize, mask: Mask::new(*key) };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Whether it is the last frame of its message.
    #[inline]
    pub(super) const fn fin(&self) -> bool {
        self.flags & FIN != 0
    }

    /// Whether it begins a compressed message.
    #[inline]
    pub(super) const fn compressed(&self) -> bool {
        self.flags & RSV1 != 0
    }
}

fn first_byte(byte: u8, context: &Context) -> Result<Opcode, DecodeError> {
    if byte & 0x70 != 0 && !(context.deflate && begins_compressed(byte)) {
        return Err(DecodeError::ReservedBits);
    }
    let number = byte & 0x0f;
    let opcode = Opcode::from_u8(number).ok_or(DecodeError::ReservedOpcode(number))?;
    match (opcode, context.under_way) {
        (Opcode::Continuation, None) => Err(DecodeError::UnexpectedContinuation),
        (Opcode::Text | Opcode::Binary, Some(_)) => Err(DecodeError::ExpectedContinuation),
        _ if opcode.is_control() && byte & FIN == 0 => Err(DecodeError::FragmentedControl),
        _ => Ok(opcode),
    }
}

/// Whether it is a first frame, which alone may say that a message is compressed, and says nothing else.
fn begins_compressed(byte: u8) -> bool {
    matches!(byte & 0x7f, 0x41 | 0x42)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETWEEN: Context = Context { limit: 100_000, under_way: None, deflate: false };
    const INSIDE: Context = Context { limit: 100_000, under_way: Some(99_000), deflate: false };

    fn error(bytes: &[u8], context: &Context) -> DecodeError {
        Header::parse(bytes, context).err().expect("an error")
    }

    fn remaining(bytes: &[u8]) -> (usize, usize) {
        for len in 0..bytes.len() {
            assert!(Header::parse(&bytes[..len], &BETWEEN).expect("no error").is_none());
        }
        let (header, len) = Header::parse(bytes, &BETWEEN).expect("no error").expect("complete");
        (header.remaining, len)
    }

    #[test]
    fn lengths() {
        assert_eq!(remaining(b"\x81\x80abcd"), (0, 6));
        assert_eq!(remaining(b"\x81\xfdabcd"), (125, 6));
        assert_eq!(remaining(b"\x81\xfe\x00\x7eabcd"), (126, 8));
        assert_eq!(remaining(b"\x82\xfe\xff\xffabcd"), (0xffff, 8));
        assert_eq!(remaining(b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00abcd"), (0x1_0000, 14));
    }

    #[test]
    fn errors_need_no_more_than_the_bad_byte() {
        for bits in [0x40, 0x20, 0x10, 0x70] {
            assert_eq!(error(&[0x81 | bits], &BETWEEN), DecodeError::ReservedBits);
        }
        for number in [3, 7, 11, 15] {
            assert_eq!(error(&[0x80 | number], &BETWEEN), DecodeError::ReservedOpcode(number));
        }
        assert_eq!(error(b"\x80", &BETWEEN), DecodeError::UnexpectedContinuation);
        assert_eq!(error(b"\x81", &INSIDE), DecodeError::ExpectedContinuation);
        assert_eq!(error(b"\x09", &INSIDE), DecodeError::FragmentedControl);
        assert_eq!(error(b"\x81\x05", &BETWEEN), DecodeError::Unmasked);
        assert_eq!(error(b"\x89\xfe", &BETWEEN), DecodeError::ControlTooLong);
        assert_eq!(error(b"\x81\xfe\x00\x7d", &BETWEEN), DecodeError::LengthNotMinimal);
        assert_eq!(
            error(b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", &BETWEEN),
            DecodeError::LengthNotMinimal
        );
        assert_eq!(error(b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", &BETWEEN), DecodeError::LengthOverflow);
    }

    #[test]
    fn only_the_first_frame_says_that_a_message_is_compressed() {
        let agreed = Context { deflate: true, ..BETWEEN };
        for (first, compressed) in [(0xc1, true), (0x42, true), (0x81, false), (0x89, false)] {
            let header = Header::parse(&[first, 0x80, 1, 2, 3, 4], &agreed).expect("no error");
            assert_eq!(header.expect("complete").0.compressed(), compressed);
        }
        for first in [0xa1, 0x91, 0xd1, 0xe1, 0xf1, 0xc8, 0xc9, 0xca, 0xc0, 0x40, 0xc3] {
            assert_eq!(error(&[first], &agreed), DecodeError::ReservedBits, "{first:x}");
            assert_eq!(error(&[first], &Context { deflate: true, ..INSIDE }), DecodeError::ReservedBits);
        }
        assert_eq!(error(&[0xc1], &Context { deflate: true, ..INSIDE }), DecodeError::ExpectedContinuation);
    }

    #[test]
    fn the_limit_counts_all_fragments() {
        let too_big = DecodeError::TooBig { limit: 100_000 };
        assert_eq!(error(b"\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1", &BETWEEN), too_big);
        assert!(Header::parse(b"\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa0", &BETWEEN).is_ok());
        assert_eq!(error(b"\x80\xfe\x03\xe9", &INSIDE), too_big);
        assert!(Header::parse(b"\x80\xfe\x03\xe8", &INSIDE).is_ok());
        assert!(
            Header::parse(b"\x89\xfd", &Context { limit: 0, under_way: Some(0), deflate: false }).is_ok()
        );
    }
}
