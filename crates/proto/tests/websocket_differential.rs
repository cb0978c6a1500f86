//! The decoder against two other WebSocket servers: what one accepts the others accept, as the same messages, and what
//! one refuses the others refuse, with the same close code.
//!
//! Where strictness differs, the streams avoid the point or the comparison names it:
//!
//! * Lengths not in their shortest form are refused here (RFC 6455, section 5.2: "the minimal number of bytes MUST be
//!   used"); others may take them. They are not generated.
//! * A refusal may come at another byte, so a stream holds one flaw at most, and only complete frames. Bad text in a
//!   message that is not complete is refused here as soon as it is there, and others may wait for the end.
//! * Code 1014 is registered and taken here, as RFC 6455 and its registry of codes allow, and is not known to all. It is
//!   not generated.
//! * One peer takes a close frame with an invalid code for an event, and answers with 1002: this counts as a refusal.

mod websocket_support;

use std::io::{self, Read, Write};

use futures_util::{FutureExt, StreamExt};
use proptest::{collection::vec, prelude::*};
use tokio::io::AsyncWriteExt;
use websocket_support::*;
use wirebird_proto::websocket::Event;

const LIMIT: usize = 3_000;

/// What a server made of a stream, in terms that all servers share.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    /// The code that the server refuses the stream with.
    refused: Option<u16>,
}

#[derive(Debug, PartialEq)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

fn ours(stream: &[u8], pieces: &[usize]) -> Seen {
    let (events, error) = decode_in_pieces(LIMIT, stream, pieces);
    let messages = events.into_iter().map(|event| match event {
        Event::Text(text) => Message::Text(text.into()),
        Event::Binary(bytes) => Message::Binary(bytes.into()),
        Event::Ping(bytes) => Message::Ping(bytes.into()),
        Event::Pong(bytes) => Message::Pong(bytes.into()),
        Event::Close(close) => Message::Close(close.map(|(code, reason)| (code.as_u16(), reason.into()))),
    });
    Seen { messages: messages.collect(), refused: error.map(|error| error.close_code().as_u16()) }
}

/// A peer that has sent all it will, and is still there.
struct Peer<'a>(&'a [u8]);

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(stream: &[u8]) -> Seen {
    use tungstenite::{Error, WebSocket, protocol};

    let config =
        protocol::WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Peer(stream), protocol::Role::Server, Some(config));
    let mut seen = Seen::default();
    loop {
        let message = match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Message::Text(text.as_str().to_owned()),
            Ok(tungstenite::Message::Binary(bytes)) => Message::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Message::Ping(bytes.to_vec()),
            Ok(tungstenite::Message::Pong(bytes)) => Message::Pong(bytes.to_vec()),
            Ok(tungstenite::Message::Close(close)) => {
                let close = close.map(|close| (u16::from(close.code), close.reason.as_str().to_owned()));
                if close.as_ref().is_some_and(|(_, reason)| reason == "Protocol violation") {
                    seen.refused = Some(1002);
                } else {
                    seen.messages.push(Message::Close(close));
                }
                return seen;
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("no raw frame is ever read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return seen,
            Err(error) => {
                seen.refused = Some(match error {
                    Error::Utf8(_) => 1007,
                    Error::Capacity(_) => 1009,
                    Error::Protocol(_) => 1002,
                    error => panic!("{error}"),
                });
                return seen;
            }
        };
        seen.messages.push(message);
    }
}

fn tokio_websockets(stream: &[u8]) -> Seen {
    use tokio_websockets::{Error, Limits, ServerBuilder, proto::ProtocolError};

    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(stream).now_or_never().expect("room in the pipe").expect("an open pipe");
    let limits = Limits::default().max_payload_len(Some(LIMIT));
    let mut socket = ServerBuilder::new().limits(limits).serve(server);
    let mut seen = Seen::default();
    loop {
        let Some(next) = socket.next().now_or_never() else { return seen };
        match next {
            None => return seen,
            Some(Ok(message)) => {
                let bytes = message.as_payload().to_vec();
                seen.messages.push(if message.is_text() {
                    // A text that ends inside a character counts as refused.
                    let Ok(text) = String::from_utf8(bytes) else {
                        seen.refused = Some(1007);
                        return seen;
                    };
                    Message::Text(text)
                } else if let Some((code, reason)) = message.as_close() {
                    Message::Close((!bytes.is_empty()).then(|| (code.into(), reason.to_owned())))
                } else if message.is_binary() {
                    Message::Binary(bytes)
                } else if message.is_ping() {
                    Message::Ping(bytes)
                } else {
                    Message::Pong(bytes)
                });
                if message.is_close() {
                    return seen;
                }
            }
            Some(Err(error)) => {
                seen.refused = Some(match error {
                    Error::PayloadTooLong { .. } => 1009,
                    Error::Protocol(ProtocolError::InvalidUtf8) => 1007,
                    Error::Protocol(_) => 1002,
                    error => panic!("{error}"),
                });
                return seen;
            }
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => "\\PC{0,60}", 1 => "[a-z]{100,200}", 1 => "\\PC{400,800}"].prop_map(String::into_bytes)
}

fn close_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(vec![]),
        3 => (prop_oneof![1000..1004u16, 1007..1014u16, 3000..5000u16], "\\PC{0,20}")
            .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ]
}

fn control() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (prop_oneof![Just(PING), Just(PONG)], vec(any::<u8>(), 0..=125)).prop_map(|(o, p)| Frame::new(o, p)),
        close_payload().prop_map(|payload| Frame::new(CLOSE, payload)),
    ]
}

/// One message, in fragments cut anywhere, with control frames between them.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let payload = prop_oneof![
        3 => text().prop_map(|payload| (TEXT, payload)),
        2 => vec(any::<u8>(), 0..200).prop_map(|payload| (BINARY, payload)),
        1 => Just((BINARY, vec![1; LIMIT])),
    ];
    let breaks = vec((any::<prop::sample::Index>(), prop::option::weighted(0.3, control())), 0..4);
    (payload, breaks).prop_map(|((opcode, payload), breaks)| {
        let mut cuts: Vec<_> =
            breaks.into_iter().map(|(at, control)| (at.index(payload.len() + 1), control)).collect();
        cuts.sort_by_key(|(at, _)| *at);
        let mut frames = Vec::new();
        let mut from = 0;
        let mut opcode = opcode;
        for (at, control) in cuts {
            frames.push(Frame::more(opcode, &payload[from..at]));
            frames.extend(control);
            opcode = CONTINUATION;
            from = at;
        }
        frames.push(Frame::new(opcode, &payload[from..]));
        frames
    })
}

fn valid() -> impl Strategy<Value = Vec<Frame>> {
    let part = prop_oneof![4 => message(), 1 => control().prop_map(|frame| vec![frame])];
    (vec(part, 1..5), any::<[u8; 4]>()).prop_map(|(parts, key)| {
        let mut frames: Vec<Frame> = parts.into_iter().flatten().collect();
        for frame in &mut frames {
            frame.key = Some(key);
        }
        frames
    })
}

#[derive(Clone, Debug)]
enum Flaw {
    ReservedBits(u8),
    Opcode(u8),
    Unmasked,
    NotFinal,
    Final,
    Oversized,
    CloseCode(u16),
    CloseByte,
    BadText(Vec<u8>),
    Removed,
    Twice,
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        (1..8u8).prop_map(Flaw::ReservedBits),
        prop_oneof![3..8u8, 11..16u8].prop_map(Flaw::Opcode),
        Just(Flaw::Unmasked),
        Just(Flaw::NotFinal),
        Just(Flaw::Final),
        Just(Flaw::Oversized),
        prop_oneof![0..1000u16, 1004..1007u16, 1015..3000u16, 5000..=u16::MAX].prop_map(Flaw::CloseCode),
        Just(Flaw::CloseByte),
        prop_oneof![
            Just(b"\xff".to_vec()),
            Just(b"\xc0\x80".to_vec()),
            Just(b"\xed\xa0\x80".to_vec()),
            Just(b"a\xe2\x28\xa1".to_vec()),
        ]
        .prop_map(Flaw::BadText),
        Just(Flaw::Removed),
        Just(Flaw::Twice),
    ]
}

fn spoil(frames: &mut Vec<Frame>, at: usize, flaw: Flaw) {
    let frame = &mut frames[at];
    match flaw {
        Flaw::ReservedBits(bits) => frame.rsv = bits,
        Flaw::Opcode(opcode) => frame.opcode = opcode,
        Flaw::Unmasked => frame.key = None,
        Flaw::NotFinal => frame.fin = false,
        Flaw::Final => frame.fin = true,
        Flaw::Oversized if frame.opcode < 8 => frame.payload = vec![b'x'; LIMIT + 1],
        Flaw::Oversized => frame.payload = vec![b'x'; 126],
        Flaw::CloseCode(code) => *frame = Frame::new(CLOSE, code.to_be_bytes()),
        Flaw::CloseByte => *frame = Frame::new(CLOSE, "x"),
        Flaw::BadText(bytes) if frame.opcode == CLOSE => frame.payload = [&[3, 0xe8], &bytes[..]].concat(),
        Flaw::BadText(bytes) => *frame = Frame { payload: bytes, ..frame.clone() },
        Flaw::Removed => drop(frames.remove(at)),
        Flaw::Twice => frames.insert(at, frames[at].clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn valid_streams(frames in valid(), pieces in vec(1..300usize, 0..50)) {
        let stream = encode(&frames);
        let ours = ours(&stream, &pieces);
        prop_assert_eq!(ours.refused, None);
        prop_assert_eq!(&tungstenite(&stream), &ours);
        prop_assert_eq!(&tokio_websockets(&stream), &ours);
    }

    #[test]
    fn spoiled_streams(mut frames in valid(), at in any::<prop::sample::Index>(), flaw in flaw(), pieces in vec(1..300usize, 0..50)) {
        let at = at.index(frames.len());
        spoil(&mut frames, at, flaw);
        let stream = encode(&frames);
        let ours = ours(&stream, &pieces);
        prop_assert_eq!(&tungstenite(&stream), &ours);
        prop_assert_eq!(&tokio_websockets(&stream), &ours);
    }
}
