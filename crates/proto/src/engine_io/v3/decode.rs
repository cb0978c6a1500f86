//! From bodies and frames to packets.

use std::iter::FusedIterator;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use bytestring::ByteString;

use super::super::packet::{Packet, PacketError, packet_type};
use super::{BINARY, LENGTH_END, MESSAGE, TEXT};

/// Digits that the length of a packet may have.
const MAX_DIGITS: usize = 10;

/// Decodes one text frame, or one text packet of a body.
///
/// The data of the result shares the buffer of `text`; only base64 is copied.
///
/// # Errors
///
/// As [`Packet::decode`].
pub fn decode_text(text: ByteString) -> Result<Packet, PacketError> {
    let Some(rest) = text.strip_prefix('b') else { return Packet::decode(text) };
    match rest.as_bytes().split_first() {
        Some((&packet_type::MESSAGE, data)) => {
            let data = STANDARD.decode(data).map_err(|_| PacketError::Base64)?;
            Ok(Packet::Binary(data.into()))
        }
        Some((&other, _)) => Err(PacketError::UnknownType(other)),
        None => Err(PacketError::Empty),
    }
}

/// Decodes a binary frame, or one binary packet of a body: a byte for the type, and data. Only messages are binary.
///
/// # Errors
///
/// No byte, and a type that is not that of a message.
pub fn decode_binary(mut data: Bytes) -> Result<Packet, PacketError> {
    match data.first() {
        Some(&MESSAGE) => {
            data.advance(1);
            Ok(Packet::Binary(data))
        }
        Some(&other) => Err(PacketError::UnknownType(other)),
        None => Err(PacketError::Empty),
    }
}

/// Decodes a polling body of text, any number of packets. An element without a single character is passed over.
///
/// The body is checked to be UTF-8 once; packets are decoded as the iterator is driven. They are copies, so that whoever
/// keeps one of them does not keep the body.
///
/// # Errors
///
/// An empty body and bytes that are not UTF-8. What is wrong with a packet is reported by the iterator.
pub fn decode_payload(body: Bytes) -> Result<Packets, PacketError> {
    if body.is_empty() {
        return Err(PacketError::Empty);
    }
    let body = ByteString::try_from(body).map_err(|_| PacketError::Utf8)?;
    Ok(Packets(Rest::Text(body)))
}

/// Decodes a polling body in the binary form (`application/octet-stream`), any number of packets, which are
/// copies as with [`decode_payload`].
///
/// # Errors
///
/// An empty body. What is wrong with a packet is reported by the iterator.
pub fn decode_binary_payload(body: Bytes) -> Result<Packets, PacketError> {
    if body.is_empty() {
        return Err(PacketError::Empty);
    }
    Ok(Packets(Rest::Binary(body)))
}

/// Iterator over the packets of a polling body.
///
/// An element that is no packet is an error and the last item.
#[derive(Clone, Debug)]
pub struct Packets(Rest);

/// What has not been decoded yet.
#[derive(Clone, Debug)]
enum Rest {
    Text(ByteString),
    Binary(Bytes),
}

impl Packets {
    /// Whether all packets have been taken.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Rest::Text(rest) => rest.is_empty(),
            Rest::Binary(rest) => rest.is_empty(),
        }
    }

    fn decode_next(&mut self) -> Option<Result<Packet, PacketError>> {
        match &mut self.0 {
            Rest::Text(rest) => loop {
                if rest.is_empty() {
                    return None;
                }
                match take_text(rest) {
                    Ok(packet) if packet.is_empty() => {}
                    Ok(packet) => return Some(decode_text(packet)),
                    Err(error) => return Some(Err(error)),
                }
            },
            Rest::Binary(rest) if rest.is_empty() => None,
            Rest::Binary(rest) => Some(take_binary(rest)),
        }
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = self.decode_next();
        if matches!(packet, Some(Err(_))) {
            self.0 = Rest::Binary(Bytes::new());
        }
        packet
    }
}

impl FusedIterator for Packets {}

/// Takes `<length>:<packet>`.
fn take_text(rest: &mut ByteString) -> Result<ByteString, PacketError> {
    let head = &rest.as_bytes()[..rest.len().min(MAX_DIGITS + 1)];
    let colon = memchr::memchr(b':', head).ok_or(PacketError::Length)?;
    let units = length(head[..colon].iter().map(|digit| digit.wrapping_sub(b'0')))?;
    let start = colon + 1;
    let len = prefix_of_units(&rest[start..], units).ok_or(PacketError::Length)?;
    let packet = rest[start..start + len].into();
    *rest = rest.slice_ref(&rest[start + len..]);
    Ok(packet)
}

/// Takes a packet of the binary form, and decodes it.
fn take_binary(rest: &mut Bytes) -> Result<Packet, PacketError> {
    let head = &rest[..rest.len().min(MAX_DIGITS + 2)];
    let kind = head[0];
    let end = memchr::memchr(LENGTH_END, head).ok_or(PacketError::Length)?;
    let len = length(head.get(1..end).unwrap_or_default().iter().copied())?;
    rest.advance(end + 1);
    if len > rest.len() {
        return Err(PacketError::Length);
    }
    let packet = Bytes::copy_from_slice(&rest.split_to(len));
    match kind {
        TEXT => decode_text(ByteString::try_from(packet).map_err(|_| PacketError::Utf8)?),
        BINARY => decode_binary(packet),
        other => Err(PacketError::UnknownType(other)),
    }
}

/// The number that decimal digits stand for.
fn length(mut digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, PacketError> {
    if digits.len() == 0 {
        return Err(PacketError::Length);
    }
    let number =
        digits.try_fold(0u64, |number, digit| (digit < 10).then_some(number * 10 + u64::from(digit)));
    number.and_then(|number| usize::try_from(number).ok()).ok_or(PacketError::Length)
}

/// The bytes that so many UTF-16 code units at the beginning of `text` take; `None` when there are not as many, or
/// when they end inside a character.
fn prefix_of_units(text: &str, units: usize) -> Option<usize> {
    // Most text is ASCII, where both are the same.
    if text.as_bytes().get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> Result<Vec<Packet>, PacketError> {
        decode_payload(Bytes::copy_from_slice(body.as_bytes()))?.collect()
    }

    fn binary(body: &[u8]) -> Result<Vec<Packet>, PacketError> {
        decode_binary_payload(Bytes::copy_from_slice(body))?.collect()
    }

    fn message(text: &str) -> Packet {
        Packet::Text(text.into())
    }

    #[test]
    fn lengths_count_utf16_code_units() {
        assert_eq!(text("6:4hello"), Ok(vec![message("hello")]));
        assert_eq!(text("2:4€2:4a"), Ok(vec![message("€"), message("a")]));
        assert_eq!(text("3:4😀1:2"), Ok(vec![message("😀"), Packet::Ping("".into())]));
        assert_eq!(text("06:4hello0:1:6"), Ok(vec![message("hello"), Packet::Noop]));
        assert_eq!(text("0:"), Ok(vec![]));
    }

    #[test]
    fn base64_says_what_it_is() {
        assert_eq!(
            text("6:4hello10:b4AQIDBA=="),
            Ok(vec![message("hello"), Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))])
        );
        assert_eq!(text("2:b4"), Ok(vec![Packet::Binary(Bytes::new())]));
        assert_eq!(text("1:b"), Err(PacketError::Empty));
        assert_eq!(text("6:bAQIDB"), Err(PacketError::UnknownType(b'A')));
        assert_eq!(text("2:b2"), Err(PacketError::UnknownType(b'2')));
        assert_eq!(text("3:b4!"), Err(PacketError::Base64));
    }

    #[test]
    fn malformed_text() {
        for (body, error) in [
            ("", PacketError::Empty),
            ("abc", PacketError::Length),
            ("4hello", PacketError::Length),
            (":4", PacketError::Length),
            ("-1:4", PacketError::Length),
            ("+1:4", PacketError::Length),
            ("1 :4", PacketError::Length),
            ("2:4", PacketError::Length),
            ("6:4hell", PacketError::Length),
            ("6:4hello3", PacketError::Length),
            ("2:4😀", PacketError::Length),
            ("99999999999:4", PacketError::Length),
            ("9999999999:4", PacketError::Length),
            ("1:x", PacketError::UnknownType(b'x')),
            ("1:€", PacketError::UnknownType(0xe2)),
        ] {
            assert_eq!(text(body), Err(error), "{body:?}");
        }
        assert_eq!(decode_payload(Bytes::from_static(b"2:4\xff")).err(), Some(PacketError::Utf8));
    }

    #[test]
    fn the_binary_form() {
        let body = [&[0, 6, 255][..], b"4hello", &[1, 5, 255, 4, 1, 2, 3, 4], &[0, 1, 0, 255], b"4123456789"];
        assert_eq!(
            binary(&body.concat()),
            Ok(vec![
                message("hello"),
                Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])),
                message("123456789"),
            ])
        );
        // Lengths are in bytes here.
        assert_eq!(binary(b"\x00\x04\xff4\xe2\x82\xac"), Ok(vec![message("€")]));
        assert_eq!(binary(&[1, 1, 255, 4]), Ok(vec![Packet::Binary(Bytes::new())]));
        assert_eq!(binary(b"\x00\x06\xffb4AQ=="), Ok(vec![Packet::Binary(Bytes::from_static(&[1]))]));
    }

    #[test]
    fn malformed_binary() {
        for (body, error) in [
            (&[][..], PacketError::Empty),
            (&[0], PacketError::Length),
            (&[255], PacketError::Length),
            (&[0, 255], PacketError::Length),
            (&[0, 1], PacketError::Length),
            (&[0, 1, 255], PacketError::Length),
            (&[0, 10, 255, b'2'], PacketError::Length),
            (&[0, b'1', 255, b'2'], PacketError::Length),
            (&[0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 255], PacketError::Length),
            (&[0, 0, 255], PacketError::Empty),
            (&[1, 0, 255], PacketError::Empty),
            (&[2, 1, 255, b'2'], PacketError::UnknownType(2)),
            (&[1, 1, 255, b'4'], PacketError::UnknownType(b'4')),
            (&[1, 1, 255, 2], PacketError::UnknownType(2)),
            (&[0, 2, 255, b'4', 0xff], PacketError::Utf8),
            (&[0, 1, 255, b'2', 7], PacketError::Length),
        ] {
            assert_eq!(binary(body), Err(error), "{body:?}");
        }
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let mut packets = decode_payload(Bytes::from_static(b"2:4a1:x2:4b")).unwrap();
        assert_eq!(packets.next(), Some(Ok(message("a"))));
        assert!(!packets.is_done());
        assert_eq!(packets.next(), Some(Err(PacketError::UnknownType(b'x'))));
        assert_eq!(packets.next(), None);
        assert!(packets.is_done());
    }
}
