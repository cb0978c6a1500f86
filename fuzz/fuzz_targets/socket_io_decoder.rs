//! Socket.IO messages: never a panic, JSON is judged as `serde_json` judges it, and what comes out is consistent.
//!
//! The input is a sequence of messages separated by the byte 0xff. A message that begins with 0xfe is binary.
#![no_main]

use bytes::Bytes;
use bytestring::ByteString;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use wirebird_proto::socket_io::{
    DecodeError, Decoder, Limits, Packet, PacketKind, RawArgs, is_reserved, write_ack, write_event,
};
use wirebird_proto::value::{Value, decode_all, decode_args};

fuzz_target!(|input: &[u8]| {
    let limits = Limits { max_attachment_bytes_total: 100, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    for message in input.split(|&byte| byte == 0xff) {
        let result = match message {
            [0xfe, data @ ..] => decoder.decode_binary(Bytes::copy_from_slice(data)),
            text => {
                let Ok(text) = ByteString::try_from(text) else { continue };
                compare_elements(&text);
                decoder.decode_text(text)
            }
        };
        match result {
            Ok(Some(packet)) => {
                assert!(decoder.is_idle());
                check_packet(&packet);
            }
            Ok(None) => assert!(!decoder.is_idle()),
            Err(_) => assert!(decoder.is_idle()),
        }
    }
});

/// The text as the inside of an array: it is accepted when `serde_json` accepts it, unless it is too deep.
fn compare_elements(text: &ByteString) {
    let array = format!("[{text}]");
    let expected = serde_json::from_str::<Vec<Box<RawValue>>>(&array);
    match RawArgs::from_json_elements(text.clone(), Vec::new()) {
        Ok(args) => {
            let expected = expected.expect("serde_json refuses what was accepted");
            assert!(args.iter().eq(expected.iter().map(|raw| raw.get())));
        }
        Err(DecodeError::TooDeep) => assert!(expected.is_err() || depth(&array) > 127),
        Err(_) => assert!(expected.is_err(), "serde_json accepts what was refused"),
    }
}

fn check_packet(packet: &Packet) {
    assert!(packet.namespace.starts_with('/') && !packet.namespace.contains([',', '?']));
    let mut again = Vec::new();
    match &packet.kind {
        PacketKind::Connect { auth: Some(json) } | PacketKind::ConnectError { data: json } => {
            assert!(serde_json::from_str::<&RawValue>(json).is_ok());
            assert!(depth(json) <= 64);
            return;
        }
        PacketKind::Event { id, name, args } => {
            assert!(!is_reserved(name));
            check_args(args);
            let elements = args.json().as_bytes();
            write_event(&mut again, args.attachments().len(), &packet.namespace, *id, name, elements);
        }
        PacketKind::Ack { id, args } => {
            check_args(args);
            let elements = args.json().as_bytes();
            write_ack(&mut again, args.attachments().len(), &packet.namespace, *id, elements);
        }
        _ => return,
    }
    // What was understood can be written, and is then understood in the same way.
    let mut decoder = Decoder::new(Limits::default());
    let mut second = decoder.decode_text(ByteString::try_from(again).expect("text")).expect("a valid packet");
    let (PacketKind::Event { args, .. } | PacketKind::Ack { args, .. }) = &packet.kind else { return };
    for data in args.attachments() {
        second = decoder.decode_binary(data.clone()).expect("an attachment");
    }
    let second = second.expect("a complete packet");
    assert_eq!(second.namespace, packet.namespace);
    match (&packet.kind, &second.kind) {
        (
            PacketKind::Event { id, name, args },
            PacketKind::Event { id: second_id, name: second_name, args: second_args },
        ) => assert_eq!((id, name, args), (second_id, second_name, second_args)),
        (PacketKind::Ack { id, args }, PacketKind::Ack { id: second_id, args: second_args }) => {
            assert_eq!((id, args), (second_id, second_args));
        }
        _ => panic!("another type of packet"),
    }
}

fn check_args(args: &RawArgs) {
    assert_eq!(args.iter().count(), args.len());
    for json in args.iter() {
        assert!(serde_json::from_str::<&RawValue>(json).is_ok());
        assert!(depth(json) < 64);
    }
    assert_eq!(args.is_empty(), args.json().is_empty());
    // Only numbers out of range can be refused; placeholders have been checked.
    match decode_all(args) {
        Ok(values) => {
            assert_eq!(values.len(), args.len());
            assert!(!args.attachments().is_empty() || !values.iter().any(Value::has_binary));
        }
        Err(error) => assert!(error.to_string().contains("number out of range"), "{error}"),
    }
    let _ = decode_args::<(String, Option<Vec<u8>>)>(args);
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
