//! Frames of a client, right and wrong, cut anywhere: the events and the way it ends are those of a plain reading of
//! RFC 6455, frame by frame.
#![no_main]

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use wirebird_proto::websocket::{CloseCode, Decoder, Event};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    limit: u16,
    frames: Vec<Frame<'a>>,
    /// Lengths of the pieces, over and over.
    cuts: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Frame<'a> {
    /// FIN, the reserved bits and the opcode, most often sensible ones.
    first: First,
    masked: NearlyAlways,
    key: [u8; 4],
    /// The length is written longer than it need be.
    wide: bool,
    payload: &'a [u8],
    text: Option<&'a str>,
}

#[derive(Arbitrary, Debug)]
enum First {
    Text,
    Binary,
    Begin(bool),
    Continue,
    End,
    Ping,
    Pong,
    Close(u16),
    Any(u8),
}

#[derive(Arbitrary, Debug)]
struct NearlyAlways(u8);

impl NearlyAlways {
    fn holds(&self) -> bool {
        self.0 != 1
    }
}

impl Frame<'_> {
    fn first(&self) -> u8 {
        match self.first {
            First::Text => 0x81,
            First::Binary => 0x82,
            First::Begin(text) => 2 - u8::from(text),
            First::Continue => 0,
            First::End => 0x80,
            First::Ping => 0x89,
            First::Pong => 0x8a,
            First::Close(_) => 0x88,
            First::Any(byte) => byte,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = match self.first {
            First::Close(code) => code.to_be_bytes().to_vec(),
            _ => Vec::new(),
        };
        payload.extend_from_slice(self.text.map_or(self.payload, str::as_bytes));
        payload
    }

    fn write(&self, out: &mut Vec<u8>) {
        let payload = self.payload();
        out.push(self.first());
        let masked = u8::from(self.masked.holds()) << 7;
        match (payload.len(), self.wide) {
            (len @ 0..=125, false) => out.push(masked | len as u8),
            (len @ 0..=0xffff, false) | (len @ 0..=125, true) => {
                out.push(masked | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            (len, _) => {
                out.push(masked | 127);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        if masked != 0 {
            out.extend_from_slice(&self.key);
        }
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ self.key[at % 4] * (masked >> 7)));
    }
}

/// What a client's frames mean.
#[derive(Default)]
struct Reading {
    events: Vec<Event<'static>>,
    /// The message under way, and whether it is text.
    message: Option<(Vec<u8>, bool)>,
    closed: bool,
}

impl Reading {
    /// Takes a frame in; an error is the code to close with.
    fn frame(&mut self, frame: &Frame<'_>, limit: usize) -> Result<(), u16> {
        let (first, payload) = (frame.first(), frame.payload());
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let control = opcode >= 8;
        let misplaced = match opcode {
            0 => self.message.is_none(),
            1 | 2 => self.message.is_some(),
            8..=10 => !fin,
            _ => true,
        };
        if first & 0x70 != 0 || misplaced || !frame.masked.holds() || frame.wide {
            return Err(1002);
        }
        if control {
            return self.control(opcode, payload);
        }
        let (mut message, text) = self.message.take().unwrap_or((Vec::new(), opcode == 1));
        if message.len() + payload.len() > limit {
            return Err(1009);
        }
        message.extend_from_slice(&payload);
        if text
            && let Err(error) = std::str::from_utf8(&message)
            && (fin || error.error_len().is_some())
        {
            return Err(1007);
        }
        match (fin, text) {
            (false, _) => self.message = Some((message, text)),
            (true, true) => {
                let text = String::from_utf8(message).expect("it has been checked");
                self.events.push(Event::Text(text.into()));
            }
            (true, false) => self.events.push(Event::Binary(message.into())),
        }
        Ok(())
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<(), u16> {
        if payload.len() > 125 {
            return Err(1002);
        }
        self.events.push(match opcode {
            9 => Event::Ping(payload.into()),
            10 => Event::Pong(payload.into()),
            _ => {
                self.closed = true;
                let Some((code, reason)) = payload.split_first_chunk() else {
                    let empty = payload.is_empty();
                    return if empty { Ok(self.events.push(Event::Close(None))) } else { Err(1002) };
                };
                let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(1002_u16)?;
                let reason = String::from_utf8(reason.to_vec()).map_err(|_| 1007_u16)?;
                Event::Close(Some((code, reason.into())))
            }
        });
        Ok(())
    }
}

fuzz_target!(|input: Input<'_>| {
    let limit = usize::from(input.limit % 600);
    let mut stream = Vec::new();
    input.frames.iter().for_each(|frame| frame.write(&mut stream));
    let mut reading = Reading::default();
    let mut failed = None;
    for frame in &input.frames {
        failed = reading.frame(frame, limit).err();
        if failed.is_some() || reading.closed {
            break;
        }
    }
    let expected = (reading.events, failed);
    assert_eq!(decode(limit, &stream, &[]), expected);
    assert_eq!(decode(limit, &stream, &input.cuts), expected);
});

/// The events of a stream, and the code that it is closed with if it is wrong.
fn decode(limit: usize, stream: &[u8], cuts: &[u8]) -> (Vec<Event<'static>>, Option<u16>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let cut = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut).max(1));
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            let decoded = match decoder.decode(input) {
                Ok(decoded) => decoded,
                Err(error) => return (events, Some(error.close_code().as_u16())),
            };
            let consumed = decoded.consumed;
            let Some(event) = decoded.event else { break };
            events.push(event.into_owned());
            input = &mut input[consumed..];
        }
    }
    (events, None)
}
