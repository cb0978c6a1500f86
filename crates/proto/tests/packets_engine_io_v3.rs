//! Properties of Engine.IO protocol 3, and of polling by script tags.

use bytes::Bytes;
use bytestring::ByteString;
use proptest::prelude::*;
use wirebird_proto::engine_io::jsonp::{Callback, decode_form};
use wirebird_proto::engine_io::v3::{
    PayloadWriter, decode_binary_payload, decode_payload, decode_text, is_binary_payload,
};
use wirebird_proto::engine_io::{Packet, packet_type};

/// Packets as a server or client of protocol 3 sends them; text of all planes.
fn packet() -> impl Strategy<Value = Packet> {
    let text = any::<String>().prop_map(ByteString::from);
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

fn write(mut body: PayloadWriter, packets: &[Packet]) -> Bytes {
    for packet in packets {
        match packet {
            Packet::Binary(data) => body.push_binary(data),
            other => {
                let mut text = Vec::new();
                other.encode(&mut text);
                // In two parts, wherever that cuts characters.
                let (one, two) = text[1..].split_at(text.len() / 2);
                body.push_text(text[0], &[one, two]);
            }
        }
    }
    assert_eq!(body.packets(), packets.len());
    body.finish()
}

/// What JavaScript makes of a text body: lengths in UTF-16 code units.
fn as_javascript_reads(body: &str) -> Vec<String> {
    let mut units: &[u16] = &body.encode_utf16().collect::<Vec<_>>();
    let mut packets = Vec::new();
    while !units.is_empty() {
        let colon = units.iter().position(|unit| *unit == u16::from(b':')).expect("a colon");
        let length: usize = String::from_utf16(&units[..colon]).unwrap().parse().expect("a length");
        packets.push(String::from_utf16(&units[colon + 1..][..length]).expect("whole characters"));
        units = &units[colon + 1 + length..];
    }
    packets
}

/// What a browser makes of a script, up to the argument of the call.
fn argument(script: &[u8]) -> String {
    let script = std::str::from_utf8(script).expect("a script of text");
    let literal = script.strip_prefix("___eio[7](").and_then(|rest| rest.strip_suffix(");"));
    serde_json::from_str(literal.expect("a call")).expect("a string literal")
}

/// The escaping of line feeds in the JavaScript client.
fn escape_line_feeds(text: &str) -> String {
    text.replace("\\n", "\\\n").replace('\n', "\\n")
}

proptest! {
    /// F-PRO-02: both forms of a body carry every packet.
    #[test]
    fn payloads_round_trip(packets in prop::collection::vec(packet(), 1..40)) {
        let body = write(PayloadWriter::text(), &packets);
        prop_assert!(!is_binary_payload(&body));
        let read = as_javascript_reads(std::str::from_utf8(&body).unwrap());
        let read: Result<Vec<_>, _> = read.into_iter().map(|packet| decode_text(packet.into())).collect();
        prop_assert_eq!(read, Ok(packets.clone()));
        let decoded: Result<Vec<_>, _> = decode_payload(body).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets.clone()));

        let body = write(PayloadWriter::binary(), &packets);
        prop_assert!(is_binary_payload(&body));
        let decoded: Result<Vec<_>, _> = decode_binary_payload(body).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    /// F-PRO-02: whatever comes is decoded or refused, and nothing comes after a refusal.
    #[test]
    fn any_body_is_decoded_or_refused(body in prop::collection::vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"0123456b=:\x00\x01\x02\x05\xffAQ\xf0\x9f\x98\x80".to_vec()),
    ], 0..60)) {
        let body = Bytes::from(body);
        for packets in [decode_payload(body.clone()), decode_binary_payload(body.clone())].into_iter().flatten() {
            let mut packets = packets;
            let decoded: Vec<_> = packets.by_ref().collect();
            let failed = decoded.iter().position(Result::is_err);
            prop_assert_eq!(decoded.len(), failed.map_or(decoded.len(), |index| index + 1));
            prop_assert!(packets.is_done());
        }
    }

    /// F-PRO-16: a script hands over exactly the body, is one line, and has nothing that HTML knows.
    #[test]
    fn scripts_hand_over_their_body(text in any::<String>()) {
        let script = Callback::parse("7").unwrap().script(text.as_bytes());
        prop_assert_eq!(argument(&script), text);
        let script = std::str::from_utf8(&script).unwrap();
        let harmful = |c: char| c < ' ' || "<>&\u{2028}\u{2029}".contains(c);
        prop_assert!(!script.contains(harmful));
    }

    /// F-PRO-16: a form gives back what the client put there. Clients cannot say a backslash before a line feed, and
    /// the JSON they send has none.
    #[test]
    fn forms_give_back_their_body(text in "[a-z\\\\n\"€\n ]{0,40}") {
        prop_assume!(!text.contains("\\\n"));
        let mut form = b"d=".to_vec();
        let escaped = escape_line_feeds(&text);
        form.extend(escaped.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()));
        prop_assert_eq!(decode_form(&form).unwrap(), text);
    }

    /// F-PRO-16: any form is decoded or passed over.
    #[test]
    fn any_form_is_harmless(form in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(body) = decode_form(&form) {
            prop_assert!(body.len() <= 3 * form.len());
        }
    }
}

/// F-PRO-02: messages of an old client, as they were seen on the wire.
#[test]
fn bodies_as_seen_on_the_wire() {
    let mut body = PayloadWriter::text();
    body.push_text(packet_type::OPEN, &[br#"{"sid":"x"}"#]);
    body.push_text(packet_type::MESSAGE, &[b"0"]);
    assert_eq!(body.finish(), r#"12:0{"sid":"x"}2:40"#);

    let mut body = PayloadWriter::binary();
    body.push_text(packet_type::MESSAGE, &[b"0"]);
    body.push_binary(&[1]);
    assert_eq!(body.finish(), [0, 2, 255, b'4', b'0', 1, 2, 255, 4, 1][..]);
}
