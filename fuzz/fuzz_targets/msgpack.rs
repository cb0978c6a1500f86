//! Socket.IO packets in MessagePack: never a panic, limits hold, and what was understood can be written and is then
//! understood in the same way.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use wirebird_proto::socket_io::msgpack::{decode, encode};
use wirebird_proto::socket_io::{Limits, Packet, PacketKind, RawArgs};
use wirebird_proto::value::{decode_all, decode_args};

/// One level less than JSON can have, in which an attachment in an extension is two objects. That level is for what is
/// written: an extension of a type that belongs to MessagePack itself is written as the object that it was read as.
const DEEP: usize = 124;

const LIMITS: Limits =
    Limits { max_depth: 8, max_arguments: 1000, max_attachments: 4, max_attachment_bytes_total: 100 };

fuzz_target!(|input: &[u8]| {
    let message = Bytes::copy_from_slice(input);
    let strict = decode(&message, &LIMITS);
    let Ok(packet) = decode(&message, &Limits { max_depth: DEEP, max_attachments: 1000, ..LIMITS }) else {
        assert!(strict.is_err(), "stricter limits accept more");
        return;
    };
    check_packet(&packet, input.len());
    if let Ok(strict) = &strict {
        assert_eq!(format!("{strict:?}"), format!("{packet:?}"));
        check_strict(strict);
    }
    let written = encode(&packet).expect("a packet that was understood can be written");
    let deeper = Limits { max_depth: DEEP + 1, max_attachments: 1000, ..LIMITS };
    let again = decode(&written.clone().into(), &deeper);
    let again = again.expect("a packet that was written can be understood");
    assert_eq!(encode(&again).expect("once more"), written);
    assert_eq!((&again.namespace, kind(&again)), (&packet.namespace, kind(&packet)));
});

fn check_packet(packet: &Packet, len: usize) {
    assert_eq!(packet.check(), Ok(()));
    match &packet.kind {
        PacketKind::Connect { auth: Some(json) } | PacketKind::ConnectError { data: json } => {
            assert!(serde_json::from_str::<&RawValue>(json).is_ok());
        }
        PacketKind::Event { args, .. } | PacketKind::Ack { args, .. } => check_args(args, len),
        _ => {}
    }
}

fn check_args(args: &RawArgs, len: usize) {
    // The longest for one byte is the end of an empty attachment.
    assert!(args.json().len() <= 32 * len, "{} bytes of JSON out of {len}", args.json().len());
    assert_eq!(args.iter().count(), args.len());
    for json in args.iter() {
        assert!(serde_json::from_str::<&RawValue>(json).is_ok(), "{json}");
    }
    let again = RawArgs::from_json_elements(args.json_bytes(), args.attachments().to_vec());
    assert_eq!(again.as_ref(), Ok(args));
    assert_eq!(decode_all(args).expect("numbers are in range").len(), args.len());
    let _ = decode_args::<(String, Option<Vec<u8>>)>(args);
}

fn check_strict(packet: &Packet) {
    let (PacketKind::Event { args, .. } | PacketKind::Ack { args, .. }) = &packet.kind else { return };
    assert!(args.attachments().len() <= LIMITS.max_attachments);
    let bytes: usize = args.attachments().iter().map(Bytes::len).sum();
    assert!(bytes <= LIMITS.max_attachment_bytes_total);
    for json in args.iter() {
        // An attachment, or an extension around one, is written as objects but counts as one value.
        assert!(depth(json) < LIMITS.max_depth + 2);
    }
}

fn kind(packet: &Packet) -> (u8, Option<u64>, Option<&str>) {
    match &packet.kind {
        PacketKind::Connect { .. } => (0, None, None),
        PacketKind::Disconnect => (1, None, None),
        PacketKind::Event { id, name, .. } => (2, *id, Some(name)),
        PacketKind::Ack { id, .. } => (3, Some(*id), None),
        _ => (4, None, None),
    }
}

/// Levels of arrays and objects in valid JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}
