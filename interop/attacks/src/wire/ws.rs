//! WebSocket frames, right and wrong, and clients that send them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::http::Response;
use super::{ANSWER, Outcome, Raw, ensure, fail};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const MORE: u8 = 0x00;
pub(crate) const TEXT: u8 = 0x01;
pub(crate) const BINARY: u8 = 0x02;
pub(crate) const CLOSE: u8 = 0x08;
pub(crate) const PING: u8 = 0x09;
pub(crate) const PONG: u8 = 0x0a;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A frame with this first byte, masked, its length in the shortest form.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len());
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame without a mask.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// The head of a frame that claims 8 bytes of length, whatever they say, with the mask.
pub(crate) fn claiming(first: u8, length: u64) -> Vec<u8> {
    let mut frame = vec![first, 0xff];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&MASK);
    frame
}

/// A whole frame whose length is written with 2 bytes.
pub(crate) fn with_u16(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0xfe];
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A text message in one frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

/// A close frame of this code and reason.
pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn head(first: u8, masked: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(masked | length as u8),
        126..=0xffff => {
            head.push(masked | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// The request that opens a WebSocket, with further header lines.
pub(crate) fn request(target: &str, extra: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: target\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
    )
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The connection ended.
    End,
}

/// A WebSocket whose client sends what it likes.
pub(crate) struct Ws {
    pub(crate) raw: Raw,
    /// Engine.IO pings are answered.
    pub(crate) ponging: bool,
}

impl Ws {
    /// A WebSocket at this target; also gives the answer to its request.
    pub(crate) fn at(addr: SocketAddr, target: &str, extra: &str) -> Outcome<(Self, Response)> {
        let mut raw = Raw::connect(addr)?;
        raw.send(request(target, extra))?;
        let response = raw.response()?.expect(101)?;
        Ok((Self { raw, ponging: true }, response))
    }

    /// A session on WebSocket.
    pub(crate) fn open(addr: SocketAddr) -> Outcome<Self> {
        Self::open_with(addr, "").map(|(ws, _)| ws)
    }

    pub(crate) fn open_with(addr: SocketAddr, extra: &str) -> Outcome<(Self, Response)> {
        let (mut ws, response) = Self::at(addr, TARGET, extra)?;
        let open = ws.message()?;
        ensure!(open.starts_with("0{"), "no OPEN: {open}");
        Ok((ws, response))
    }

    /// A session that has joined the namespace `/`.
    pub(crate) fn joined(addr: SocketAddr) -> Outcome<Self> {
        let mut ws = Self::open(addr)?;
        ws.join("")?;
        Ok(ws)
    }

    /// Joins a namespace: `` or `/name,`.
    pub(crate) fn join(&mut self, namespace: &str) -> Outcome {
        self.say(&format!("40{namespace}"))?;
        let connected = self.message()?;
        ensure!(connected.starts_with(&format!("40{namespace}{{")), "no CONNECT: {connected}");
        Ok(())
    }

    pub(crate) fn say(&mut self, message: &str) -> Outcome {
        self.raw.send(text(message))
    }

    /// The next text message that is not a ping.
    pub(crate) fn message(&mut self) -> Outcome<String> {
        match self.next()? {
            Frame::Text(text) => Ok(text),
            other => fail!("{other:?} in place of a message"),
        }
    }

    /// The next frame; pings of Engine.IO are answered and passed over.
    pub(crate) fn next(&mut self) -> Outcome<Frame> {
        self.next_within(ANSWER)
    }

    pub(crate) fn next_within(&mut self, time: Duration) -> Outcome<Frame> {
        let until = Instant::now() + time;
        loop {
            match self.take() {
                Some(Frame::Text(ping)) if ping == "2" => {
                    if self.ponging {
                        self.raw.push(text("3"));
                    }
                }
                Some(frame) => return Ok(frame),
                None if self.raw.fill(until)? => {}
                None => return Ok(Frame::End),
            }
        }
    }

    /// Takes a whole frame out of what has come.
    fn take(&mut self) -> Option<Frame> {
        let input = &self.raw.input;
        let (&first, &length) = (input.first()?, input.get(1)?);
        let (length, start) = match length {
            126 => (usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(input.get(2..10)?.try_into().ok()?) as usize, 10),
            length => (usize::from(length), 2),
        };
        let payload = input.get(start..start + length)?.to_vec();
        self.raw.input.drain(..start + length);
        Some(match first & 0x0f {
            TEXT => Frame::Text(String::from_utf8_lossy(&payload).into_owned()),
            CLOSE => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            PONG => Frame::Pong(payload),
            _ => Frame::Binary(payload),
        })
    }

    /// The code of the close frame that comes, whatever comes before it; the connection ends after it.
    pub(crate) fn close_code(&mut self) -> Outcome<Option<u16>> {
        let until = Instant::now() + ANSWER;
        loop {
            match self.next_within(until.saturating_duration_since(Instant::now()))? {
                Frame::Close(code) => {
                    self.raw.push(frame(FIN | CLOSE, &[]));
                    self.raw.end()?;
                    return Ok(code);
                }
                Frame::End => fail!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }

    /// Waits until the connection ends, with a close frame or without.
    pub(crate) fn gone(&mut self) -> Outcome {
        let until = Instant::now() + ANSWER;
        loop {
            match self.next_within(until.saturating_duration_since(Instant::now()))? {
                Frame::Close(_) => {
                    self.raw.push(frame(FIN | CLOSE, &[]));
                }
                Frame::End => return Ok(()),
                _ => {}
            }
        }
    }

    /// That an event is answered, whatever comes before.
    pub(crate) fn echoes(&mut self) -> Outcome {
        self.say(r#"42["echo","still here"]"#)?;
        self.until_message(|text| text == r#"42["echo","still here"]"#).map(|_| ())
    }

    /// The first message for which this holds.
    pub(crate) fn until_message(&mut self, is: impl Fn(&str) -> bool) -> Outcome<String> {
        let until = Instant::now() + ANSWER;
        loop {
            match self.next_within(until.saturating_duration_since(Instant::now()))? {
                Frame::Text(text) if is(&text) => return Ok(text),
                Frame::Close(code) => fail!("closed with {code:?}"),
                Frame::End => fail!("the connection ended"),
                _ => {}
            }
        }
    }

    /// The answer of an event with an acknowledgement.
    pub(crate) fn ask(&mut self, event: &str) -> Outcome<String> {
        self.say(&format!("427{event}"))?;
        self.until_message(|text| text.starts_with("437["))
    }

    pub(crate) fn leave(mut self) {
        self.raw.push(frame(FIN | CLOSE, &[]));
        let _ = self.gone();
    }
}
