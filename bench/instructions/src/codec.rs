//! Frames and packets, without a server.

use std::hint::black_box;

use bytestring::ByteString;
use wirebird_proto::engine_io;
use wirebird_proto::socket_io::{self, Limits, PacketKind};
use wirebird_proto::value::encode_args;
use wirebird_proto::websocket::{Decoder, Event, Opcode, frame};

const KEY: [u8; 4] = [0x5a, 0x37, 0xc1, 0x9e];

/// A client's text frame, masked.
fn client_frame(size: usize) -> Vec<u8> {
    let mut bytes = vec![0x81];
    if size < 126 {
        bytes.push(0x80 | size as u8);
    } else {
        bytes.push(0x80 | 126);
        bytes.extend_from_slice(&(size as u16).to_be_bytes());
    }
    bytes.extend_from_slice(&KEY);
    bytes.extend((0..size).map(|at| b'a' ^ KEY[at & 3]));
    bytes
}

/// The decoder works in place, so a turn begins with a copy of the frame, as the kernel makes one.
pub(crate) fn websocket_decode(turns: u64, size: usize) {
    let frame = client_frame(size);
    let mut buffer = frame.clone();
    let mut decoder = Decoder::new(1_000_000);
    for _ in 0..turns {
        buffer.copy_from_slice(black_box(&frame));
        let decoded = decoder.decode(&mut buffer).expect("a valid frame");
        assert!(matches!(black_box(decoded.event), Some(Event::Text(text)) if text.len() == size));
    }
}

pub(crate) fn websocket_encode(turns: u64, size: usize) {
    let payload = vec![b'a'; size];
    for _ in 0..turns {
        black_box(frame(Opcode::Text, black_box(&payload)));
    }
}

pub(crate) fn packet_parse(turns: u64, size: usize) {
    let text = ByteString::from(format!("427[\"echo\",\"{}\"]", "a".repeat(size)));
    let mut decoder = socket_io::Decoder::new(Limits::default());
    for _ in 0..turns {
        let packet = engine_io::Packet::decode(black_box(text.clone())).expect("a valid packet");
        let engine_io::Packet::Text(text) = packet else { panic!("a text message") };
        let packet = decoder.decode_text(text).expect("a valid packet").expect("no attachments");
        assert!(matches!(black_box(packet.kind), PacketKind::Event { .. }));
    }
}

pub(crate) fn packet_encode(turns: u64, size: usize) {
    let argument = "a".repeat(size);
    for id in 0..turns {
        let (mut json, mut attachments, mut packet) = (Vec::new(), Vec::new(), Vec::new());
        encode_args(black_box(&argument), &mut json, &mut attachments).expect("text can be encoded");
        socket_io::write_ack(&mut packet, attachments.len(), "/", id, &json);
        black_box(packet);
    }
}
