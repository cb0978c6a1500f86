//! Binary packets, from Rust values to messages and back.

mod packets_support;

use bytes::Bytes;
use bytestring::ByteString;
use packets_support::value;
use proptest::prelude::*;
use wirebird_proto::socket_io::{
    DecodeError, Decoder, Limits, Packet, PacketKind, RawArgs, write_ack, write_event,
};
use wirebird_proto::value::{Value, decode_all, decode_args, decode_value, encode_args};

const LIMITS: Limits = Limits {
    max_depth: 64,
    max_attachments: 10_000,
    max_attachment_bytes_total: usize::MAX,
    max_arguments: usize::MAX,
};

fn encode(values: &[Value]) -> (ByteString, Vec<Bytes>) {
    let (mut json, mut attachments) = (Vec::new(), Vec::new());
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        assert_eq!(encode_args(value, &mut json, &mut attachments).unwrap(), 1);
    }
    (ByteString::try_from(json).unwrap(), attachments)
}

/// Gives a decoder the messages of one packet, which must be complete with the last and not before.
fn assemble(text: Vec<u8>, attachments: &[Bytes]) -> Packet {
    let mut decoder = Decoder::new(LIMITS);
    let mut packet = decoder.decode_text(ByteString::try_from(text).unwrap()).unwrap();
    for data in attachments {
        assert!(packet.is_none() && !decoder.is_idle());
        packet = decoder.decode_binary(data.clone()).unwrap();
    }
    assert!(decoder.is_idle());
    packet.unwrap()
}

proptest! {
    #[test]
    fn values_round_trip(values in prop::collection::vec(value(), 0..5)) {
        let (json, attachments) = encode(&values);
        prop_assert_eq!(attachments.is_empty(), !values.iter().any(Value::has_binary));
        let args = RawArgs::from_json_elements(json, attachments).unwrap();
        prop_assert_eq!(args.len(), values.len());
        prop_assert_eq!(&decode_all(&args).unwrap(), &values);
        match &values[..] {
            [] => prop_assert_eq!(decode_args::<Option<Value>>(&args).unwrap(), None),
            [first] => prop_assert_eq!(&decode_args::<Value>(&args).unwrap(), first),
            [first, second] => {
                let pair: (Value, Value) = decode_args(&args).unwrap();
                prop_assert_eq!((&pair.0, &pair.1), (first, second));
            }
            [first, .., last] => {
                prop_assert_eq!(&decode_args::<(Value,)>(&args).unwrap().0, first);
                let json = args.get(values.len() - 1).unwrap();
                prop_assert_eq!(&decode_value::<Value>(json, args.attachments()).unwrap(), last);
            }
        }
    }

    #[test]
    fn tuples_and_vectors_of_values_agree(first in value(), second in value()) {
        let (mut json, mut attachments) = (Vec::new(), Vec::new());
        prop_assert_eq!(encode_args(&(&first, &second), &mut json, &mut attachments).unwrap(), 2);
        let separately = encode(&[first.clone(), second.clone()]);
        prop_assert_eq!((ByteString::try_from(&json[..]).unwrap(), attachments), separately);

        let (mut array, mut attachments) = (Vec::new(), Vec::new());
        prop_assert_eq!(encode_args(&[first, second], &mut array, &mut attachments).unwrap(), 1);
        prop_assert_eq!(array, [b"[", &*json, b"]"].concat());
    }

    #[test]
    fn packets_round_trip(
        values in prop::collection::vec(value(), 0..4),
        namespace in "/[^,?]{0,10}",
        id in proptest::option::of(0..1_u64 << 53),
        name in any::<String>(),
    ) {
        let (json, attachments) = encode(&values);
        let mut text = Vec::new();
        write_event(&mut text, attachments.len(), &namespace, id, &name, json.as_bytes());
        let packet = assemble(text, &attachments);
        prop_assert_eq!(&*packet.namespace, &namespace);
        let PacketKind::Event { id: received_id, name: received_name, args } = packet.kind else { panic!("an event") };
        prop_assert_eq!((received_id, &*received_name), (id, &*name));
        prop_assert_eq!(args.json(), &*json);
        prop_assert_eq!(args.attachments(), &attachments);
        prop_assert_eq!(decode_all(&args).unwrap(), values);

        let id = id.unwrap_or_default();
        let mut text = Vec::new();
        write_ack(&mut text, attachments.len(), &namespace, id, json.as_bytes());
        let packet = assemble(text, &attachments);
        prop_assert_eq!(&*packet.namespace, &namespace);
        let PacketKind::Ack { id: received_id, args: received } = packet.kind else { panic!("an acknowledgement") };
        prop_assert_eq!((received_id, received), (id, args));
    }

    #[test]
    fn a_missing_attachment_is_an_error(values in prop::collection::vec(value(), 1..4)) {
        let (json, mut attachments) = encode(&values);
        // With none at all, placeholders are plain data.
        if attachments.len() > 1 {
            attachments.pop();
            let result = RawArgs::from_json_elements(json, attachments);
            prop_assert_eq!(result, Err(DecodeError::IllegalAttachments));
        }
    }
}
