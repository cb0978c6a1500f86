//! MessagePack, from values to messages and back, beside the default format.
#![cfg(feature = "msgpack")]

mod packets_support;

use bytes::Bytes;
use bytestring::ByteString;
use packets_support::value;
use proptest::prelude::*;
use proptest::sample::Index;
use wirebird_proto::socket_io::msgpack::{decode, encode};
use wirebird_proto::socket_io::{Limits, Packet, PacketKind, RawArgs};
use wirebird_proto::value::{Date, Value, decode_all, decode_args, encode_args};

const LIMITS: Limits = Limits {
    max_depth: 127,
    max_attachments: 10_000,
    max_attachment_bytes_total: usize::MAX,
    max_arguments: usize::MAX,
};

fn arguments(values: &[Value]) -> RawArgs {
    let (mut json, mut attachments) = (Vec::new(), Vec::new());
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        encode_args(value, &mut json, &mut attachments).unwrap();
    }
    RawArgs::from_json_elements(ByteString::try_from(json).unwrap(), attachments).unwrap()
}

/// What a packet becomes on its way to the other side.
fn sent(packet: &Packet) -> Packet {
    decode(&encode(packet).unwrap().into(), &LIMITS).unwrap()
}

proptest! {
    /// F-SER-02: what is sent is what arrives, numbers with every digit, binary in its place.
    #[test]
    fn packets_round_trip(
        values in prop::collection::vec(value(), 0..20),
        namespace in "/[^,?]{0,10}",
        id in proptest::option::of(0..1_u64 << 53),
        name in any::<String>(),
    ) {
        let args = arguments(&values);
        prop_assume!(!wirebird_proto::socket_io::is_reserved(&name));
        let event = PacketKind::Event { id, name: name.clone().into(), args: args.clone() };
        let packet = sent(&Packet::new(namespace.clone(), event));
        prop_assert_eq!(&*packet.namespace, &namespace);
        let PacketKind::Event { id: again, name: second, args: received } = packet.kind else { panic!("an event") };
        prop_assert_eq!((again, &*second, received.len()), (id, &*name, values.len()));
        prop_assert_eq!(&decode_all(&received).unwrap(), &values);
        prop_assert_eq!(received.attachments(), args.attachments());

        let Some(id) = id else { return Ok(()) };
        let packet = sent(&Packet::new(namespace, PacketKind::Ack { id, args }));
        let PacketKind::Ack { id: again, args } = packet.kind else { panic!("an acknowledgement") };
        prop_assert_eq!((again, args), (id, received));
    }

    /// F-SER-02: dates stay dates, also when they are passed on as they came.
    #[test]
    fn dates_round_trip(millis in Date::MIN.millis()..=Date::MAX.millis()) {
        let date = Date::from_millis(millis).unwrap();
        prop_assert_eq!(date.to_string().parse(), Ok(date));
        let (mut json, mut attachments) = (Vec::new(), Vec::new());
        encode_args(&(date, [date]), &mut json, &mut attachments).unwrap();
        let args = RawArgs::from_json_elements(ByteString::try_from(json).unwrap(), attachments).unwrap();
        let packet = Packet::new("/", PacketKind::Event { id: None, name: "e".into(), args: args.clone() });
        let message = encode(&packet).unwrap();
        let ext = [&[0xd7, 0][..], &millis.to_be_bytes()].concat();
        prop_assert!(message.ends_with(&[&ext[..], &[0x91], &ext].concat()));
        let PacketKind::Event { args: again, .. } = sent(&packet).kind else { panic!("an event") };
        prop_assert_eq!(&again, &args);
        prop_assert_eq!(decode_args::<(Date, [Date; 1])>(&again).unwrap(), (date, [date]));
    }

    /// F-SER-02, F-SEC: damaged messages are refused or understood, and what is understood can be sent again.
    #[test]
    fn any_message_is_decoded_or_refused(
        values in prop::collection::vec(value(), 0..4),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let event = PacketKind::Event { id: Some(7), name: "e".into(), args: arguments(&values) };
        let mut message = encode(&Packet::new("/", event)).unwrap();
        for (place, byte) in changes {
            let place = place.index(message.len());
            message[place] = byte;
        }
        if let Some(place) = cut {
            message.truncate(place.index(message.len()));
        }
        for limits in [LIMITS, Limits::default()] {
            let Ok(packet) = decode(&Bytes::from(message.clone()), &limits) else { continue };
            prop_assert_eq!(packet.check(), Ok(()));
            prop_assert_eq!(encode(&sent(&packet)).unwrap(), encode(&packet).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(message in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&message.into(), &LIMITS);
    }
}
