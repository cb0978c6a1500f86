//! Properties of Engine.IO packets and payloads.

use bytes::Bytes;
use bytestring::ByteString;
use proptest::prelude::*;
use wirebird_proto::engine_io::{Packet, PayloadWriter, decode_payload};

/// Any packet whose text can stand in a payload.
fn packet() -> impl Strategy<Value = Packet> {
    let text = any::<String>().prop_map(|text| ByteString::from(text.replace('\u{1e}', "")));
    prop_oneof![
        text.clone().prop_map(Packet::Open),
        Just(Packet::Close),
        text.clone().prop_map(Packet::Ping),
        text.clone().prop_map(Packet::Pong),
        text.prop_map(Packet::Text),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|data| Packet::Binary(data.into())),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

proptest! {
    #[test]
    fn packets_round_trip(packet in packet()) {
        let mut text = Vec::new();
        packet.encode(&mut text);
        prop_assert_eq!(Packet::decode(ByteString::try_from(text).unwrap()), Ok(packet));
    }

    #[test]
    fn payloads_round_trip(packets in prop::collection::vec(packet(), 1..40)) {
        let mut body = PayloadWriter::new();
        for packet in &packets {
            match packet {
                Packet::Text(text) => body.push_text(b'4', &[text.as_bytes()]),
                Packet::Binary(data) => body.push_binary(data),
                other => {
                    let mut raw = Vec::new();
                    other.encode(&mut raw);
                    body.push_raw(&raw);
                }
            }
        }
        prop_assert_eq!(body.packets(), packets.len());
        let len = body.len();
        let body = body.finish();
        prop_assert_eq!(body.len(), len);
        let decoded: Result<Vec<_>, _> = decode_payload(body).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn any_body_is_decoded_or_refused(body in prop::collection::vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"0123456b=\x1eAQ".to_vec()),
    ], 0..60)) {
        let body = Bytes::from(body);
        let elements = body.split(|&byte| byte == 0x1e).count();
        match decode_payload(body.clone()) {
            Err(_) => prop_assert!(body.is_empty() || std::str::from_utf8(&body).is_err()),
            Ok(packets) => {
                let packets: Vec<_> = packets.collect();
                let failed = packets.iter().position(Result::is_err);
                prop_assert_eq!(packets.len(), failed.map_or(elements, |index| index + 1));
            }
        }
    }
}
