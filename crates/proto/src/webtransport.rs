//! Engine.IO packets on a WebTransport stream: each a header of one, three or nine bytes and a payload.
//!
//! The first byte's highest bit says whether the payload is binary; the others are the length, or 126 or 127 for a
//! length in the two or eight bytes that follow.
//!
//! Source: the encoder and decoder streams of `engine.io-parser` 5.2.

use std::error::Error;
use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

const BINARY: u8 = 0x80;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// A packet as it goes over the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text packet, with its type digit.
    Text(ByteString),
    /// A binary message, without a type.
    Binary(Bytes),
}

/// Appends a frame.
pub fn write_frame(frame: &Frame, out: &mut Vec<u8>) {
    let (payload, binary) = match frame {
        Frame::Text(text) => (&text.as_bytes()[..], 0),
        Frame::Binary(data) => (&data[..], BINARY),
    };
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < TWO_BYTES => out.push(binary | short),
        (_, Ok(medium)) => {
            out.push(binary | TWO_BYTES);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(binary | EIGHT_BYTES);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Finds the frames in what comes in. Holds no more than one frame and what came in with its last piece.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    max_payload: usize,
}

impl FrameDecoder {
    /// A decoder that accepts payloads of up to `max_payload` bytes.
    pub fn new(max_payload: usize) -> Self {
        Self { buffer: BytesMut::new(), max_payload }
    }

    /// Adds what came in.
    pub fn extend(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// When a frame is empty, over the limit, or text that is not UTF-8. Nothing after it can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((header, length)) = self.header() else {
            if self.buffer.is_empty() {
                // An idle connection holds nothing.
                self.buffer = BytesMut::new();
            }
            return Ok(None);
        };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= self.max_payload);
        let length = length.ok_or(FrameError::TooLarge)?;
        if self.buffer.len() < header + length {
            return Ok(None);
        }
        let binary = self.buffer[0] & BINARY != 0;
        self.buffer.advance(header);
        let payload = self.buffer.split_to(length).freeze();
        if binary {
            return Ok(Some(Frame::Binary(payload)));
        }
        ByteString::try_from(payload).map(|text| Some(Frame::Text(text))).map_err(|_| FrameError::NotUtf8)
    }

    /// The length of the header, and the length of the payload that it tells.
    fn header(&self) -> Option<(usize, u64)> {
        let first = *self.buffer.first()?;
        match first & !BINARY {
            TWO_BYTES => {
                let length = self.buffer.get(1..3)?.try_into().ok()?;
                Some((3, u16::from_be_bytes(length).into()))
            }
            EIGHT_BYTES => {
                let length = self.buffer.get(1..9)?.try_into().ok()?;
                Some((9, u64::from_be_bytes(length)))
            }
            length => Some((1, length.into())),
        }
    }
}

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame without a payload.
    Empty,
    /// A payload over the limit.
    TooLarge,
    /// Text that is not UTF-8.
    NotUtf8,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a frame is empty",
            Self::TooLarge => "a frame is over the limit",
            Self::NotUtf8 => "a text frame is not UTF-8",
        })
    }
}

impl Error for FrameError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        let mut decoder = FrameDecoder::new(100_000);
        decoder.extend(bytes);
        decoder.next_frame()
    }

    #[test]
    fn headers_are_those_of_the_clients() {
        for (length, header) in [
            (1, &[1][..]),
            (125, &[125]),
            (126, &[126, 0, 126]),
            (65_535, &[126, 255, 255]),
            (65_536, &[127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write_frame(&Frame::Binary(vec![7; length].into()), &mut out);
            assert_eq!(out[0], header[0] | 0x80);
            assert_eq!(&out[1..header.len()], &header[1..]);
            assert_eq!(out.len(), header.len() + length);
        }
    }

    #[test]
    fn what_cannot_be_a_frame_is_an_error() {
        assert_eq!(decoded(&[0]), Err(FrameError::Empty));
        assert_eq!(decoded(&[0x80]), Err(FrameError::Empty));
        assert_eq!(decoded(&[1, 0xff]), Err(FrameError::NotUtf8));
        // Before any of it has come, and whatever it claims.
        assert_eq!(decoded(&[127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1]), Err(FrameError::TooLarge));
        assert_eq!(decoded(&[127, 255, 255, 255, 255, 255, 255, 255, 255]), Err(FrameError::TooLarge));
        assert_eq!(decoded(&[127, 0, 0, 0, 0, 0, 0, 0]), Ok(None));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in prop::collection::vec((any::<bool>(), "[a-zé€😀]{1,300}"), 0..20),
            pieces in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let frames: Vec<_> = frames
                .into_iter()
                .map(|(binary, text)| if binary { Frame::Binary(text.into()) } else { Frame::Text(text.into()) })
                .collect();
            let mut wire = Vec::new();
            frames.iter().for_each(|frame| write_frame(frame, &mut wire));
            let mut decoder = FrameDecoder::new(4_000);
            let (mut rest, mut found) = (&wire[..], Vec::new());
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*piece));
                decoder.extend(now);
                rest = later;
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(frame);
                }
            }
            prop_assert_eq!(found, frames);
        }
    }
}
