//! Bodies of Engine.IO 3, and forms of polling by script tags: never a panic, and what is decoded survives being
//! encoded in either form and decoded again.
#![no_main]

use bytes::Bytes;
use bytestring::ByteString;
use libfuzzer_sys::fuzz_target;
use wirebird_proto::engine_io::jsonp::{Callback, decode_form};
use wirebird_proto::engine_io::v3::{
    Packets, PayloadWriter, decode_binary, decode_binary_payload, decode_payload, decode_text,
    is_binary_payload,
};
use wirebird_proto::engine_io::{Packet, PacketError};

fuzz_target!(|body: &[u8]| {
    let _ = decode_binary(Bytes::copy_from_slice(body));
    if let Ok(text) = ByteString::try_from(body) {
        let _ = decode_text(text);
    }
    check(decode_payload(Bytes::copy_from_slice(body)), body);
    check(decode_binary_payload(Bytes::copy_from_slice(body)), body);
    if let Some(decoded) = decode_form(body) {
        check(decode_payload(decoded.clone().into_bytes()), decoded.as_bytes());
        check_script(decoded.as_bytes(), &decoded);
    }
    check_script(body, &String::from_utf8_lossy(body));
});

/// A script is one line that gives the body back.
fn check_script(body: &[u8], text: &str) {
    let script = Callback::parse("7").expect("a number").script(body);
    let script = std::str::from_utf8(&script).expect("a script is text");
    assert!(!script.contains(|c| c < ' ' || "<>&\u{2028}\u{2029}".contains(c)));
    let literal = script.strip_prefix("___eio[7](").and_then(|rest| rest.strip_suffix(");"));
    assert_eq!(serde_json::from_str::<String>(literal.expect("a call")).expect("a string"), text);
}

fn check(packets: Result<Packets, PacketError>, body: &[u8]) {
    let Ok(mut packets) = packets else { return };
    let mut decoded = Vec::new();
    for packet in packets.by_ref() {
        match packet {
            Ok(packet) => decoded.push(packet),
            Err(_) => return assert!(packets.is_done()),
        }
    }
    assert!(decoded.len() <= body.len());
    if decoded.is_empty() {
        return;
    }
    let text = write(PayloadWriter::text(), &decoded);
    assert!(!is_binary_payload(&text));
    let again = decode_payload(text).expect("text that is not empty");
    assert_eq!(again.collect::<Result<Vec<_>, _>>().as_ref(), Ok(&decoded));
    let binary = write(PayloadWriter::binary(), &decoded);
    assert!(is_binary_payload(&binary));
    let again = decode_binary_payload(binary).expect("a body that is not empty");
    assert_eq!(again.collect::<Result<Vec<_>, _>>(), Ok(decoded));
}

fn write(mut body: PayloadWriter, packets: &[Packet]) -> Bytes {
    for packet in packets {
        match packet {
            Packet::Binary(data) => body.push_binary(data),
            other => {
                let mut text = Vec::new();
                other.encode(&mut text);
                body.push_text(text[0], &[&text[1..]]);
            }
        }
    }
    body.finish()
}
