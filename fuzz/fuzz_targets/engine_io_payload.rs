//! Polling bodies: never a panic, and what is decoded survives being encoded and decoded again.
#![no_main]

use bytes::Bytes;
use bytestring::ByteString;
use libfuzzer_sys::fuzz_target;
use wirebird_proto::engine_io::{Packet, PayloadWriter, decode_payload};

fuzz_target!(|body: &[u8]| {
    if let Ok(text) = ByteString::try_from(body) {
        if let Ok(packet) = Packet::decode(text) {
            let mut again = Vec::new();
            packet.encode(&mut again);
            let again = ByteString::try_from(again).expect("encoded packets are text");
            assert_eq!(Packet::decode(again), Ok(packet));
        }
    }
    let Ok(packets) = decode_payload(Bytes::copy_from_slice(body)) else {
        assert!(body.is_empty() || std::str::from_utf8(body).is_err());
        return;
    };
    let Ok(packets) = packets.collect::<Result<Vec<_>, _>>() else { return };
    assert_eq!(packets.len(), body.split(|&byte| byte == 0x1e).count());
    let mut writer = PayloadWriter::new();
    packets.iter().for_each(|packet| writer.push(packet));
    assert_eq!(writer.packets(), packets.len());
    let again = decode_payload(writer.finish()).expect("the body is text and not empty");
    assert_eq!(again.collect::<Result<Vec<_>, _>>(), Ok(packets));
});
