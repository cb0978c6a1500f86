//! Frames of HTTP/2 (RFC 9113), right and wrong.

use std::net::SocketAddr;
use std::time::Instant;

use super::{ANSWER, Outcome, Raw, ensure, fail};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header that is in no table and is put into none.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0];
    for text in [name, value] {
        length(&mut header, text.len());
        header.extend_from_slice(text.as_bytes());
    }
    header
}

fn length(out: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return out.push(length as u8) };
    out.push(127);
    while rest >= 128 {
        out.push(0x80 | rest as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The headers of a request, as a block.
pub(crate) fn request(method: &str, target: &str) -> Vec<u8> {
    [
        header(":method", method),
        header(":scheme", "http"),
        header(":path", target),
        header(":authority", "target"),
    ]
    .concat()
}

/// A connection that has begun.
pub(crate) struct H2 {
    pub(crate) raw: Raw,
}

/// What the server says last, or of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The connection ends, with this code if any.
    Ended(Option<u32>),
    /// The stream is reset with this code.
    Reset(u32),
    /// The stream is answered; this is the first byte of its headers: 0x88 is 200, 0x8c is 400.
    Answered(u8),
}

impl H2 {
    pub(crate) fn open(addr: SocketAddr) -> Outcome<Self> {
        Self::with_settings(addr, &[])
    }

    pub(crate) fn with_settings(addr: SocketAddr, settings: &[u8]) -> Outcome<Self> {
        let mut raw = Raw::connect(addr)?;
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat())?;
        Ok(Self { raw })
    }

    /// The next frame: its kind, its stream and its payload.
    fn frame(&mut self) -> Outcome<Option<(u8, u32, Vec<u8>)>> {
        let until = Instant::now() + ANSWER;
        loop {
            let input = &self.raw.input;
            if let Some(&[a, b, c, kind, _, w, x, y, z]) = input.first_chunk::<9>() {
                let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
                if input.len() >= end {
                    let payload = input[9..end].to_vec();
                    self.raw.input.drain(..end);
                    return Ok(Some((kind, u32::from_be_bytes([w & 0x7f, x, y, z]), payload)));
                }
            }
            if !self.raw.fill(until)? {
                return Ok(None);
            }
        }
    }

    /// What becomes of a stream, or of the connection.
    pub(crate) fn verdict(&mut self, stream: u32) -> Outcome<Verdict> {
        let mut code = None;
        loop {
            match self.frame()? {
                None => return Ok(Verdict::Ended(code)),
                Some((GOAWAY, _, payload)) => {
                    code = payload.get(4..8).and_then(|code| Some(u32::from_be_bytes(code.try_into().ok()?)));
                    return Ok(Verdict::Ended(code));
                }
                Some((RST_STREAM, id, payload)) if id == stream => {
                    let Some(code) = payload.first_chunk() else { fail!("a reset without a code") };
                    return Ok(Verdict::Reset(u32::from_be_bytes(*code)));
                }
                Some((HEADERS, id, payload)) if id == stream => {
                    // Changes of the size of the table come first.
                    let first = payload.into_iter().find(|byte| byte & 0xe0 != 0x20);
                    ensure!(first.is_some(), "no headers");
                    return Ok(Verdict::Answered(first.unwrap_or_default()));
                }
                Some(_) => {}
            }
        }
    }
}
