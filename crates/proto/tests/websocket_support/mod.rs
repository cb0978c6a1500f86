//! The client's side of the codec, for tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use wirebird_proto::websocket::{DecodeError, Decoder, Event};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A client's frame, good or bad.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    /// Write the length in 2 or 8 bytes although it needs less.
    pub(crate) wide_length: Option<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { fin: true, rsv: 0, opcode, key: Some([0x12, 0x34, 0xab, 0xcd]), wide_length: None, payload }
    }

    pub(crate) fn more(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: false, ..Self::new(opcode, payload) }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode);
        let masked = u8::from(self.key.is_some()) << 7;
        let len = self.payload.len();
        let width = match len {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        match width.max(self.wide_length.unwrap_or(0)) {
            0 => out.push(masked | len as u8),
            2 => {
                out.push(masked | 126);
                out.extend((len as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        let key = self.key.unwrap_or_default();
        out.extend(self.key.into_iter().flatten());
        out.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}

pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        frame.encode(&mut out);
    }
    out
}

/// What a decoder made of a stream: the events, and the error that ended it.
pub(crate) type Outcome = (Vec<Event<'static>>, Option<DecodeError>);

/// Decodes a stream that arrives in pieces of the given lengths, and then the rest.
pub(crate) fn decode_in_pieces(limit: usize, stream: &[u8], lengths: &[usize]) -> Outcome {
    decode_with(Decoder::new(limit), stream, lengths)
}

/// As [`decode_in_pieces`], with a decoder of one's own.
pub(crate) fn decode_with(mut decoder: Decoder, stream: &[u8], lengths: &[usize]) -> Outcome {
    let mut events = Vec::new();
    let mut rest = stream;
    let mut lengths = lengths.iter();
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| rest.len().min(*len));
        let mut piece = rest[..len].to_vec();
        rest = &rest[len..];
        let mut input = &mut piece[..];
        loop {
            match decoder.decode(input) {
                Err(error) => {
                    assert_eq!(decoder.decode(&mut []), Err(error), "a failed decoder stays failed");
                    assert!(decoder.is_idle());
                    return (events, Some(error));
                }
                Ok(decoded) => {
                    assert!(decoded.consumed <= len);
                    let consumed = decoded.consumed;
                    match decoded.event {
                        Some(event) => events.push(event.into_owned()),
                        None => {
                            assert_eq!(consumed, input.len());
                            break;
                        }
                    }
                    input = &mut input[consumed..];
                }
            }
        }
    }
    (events, None)
}

pub(crate) fn decode(limit: usize, stream: &[u8]) -> Outcome {
    decode_in_pieces(limit, stream, &[])
}
