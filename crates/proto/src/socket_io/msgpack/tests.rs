use bytes::Bytes;

use super::*;
use crate::socket_io::{DecodeError, Limits, Packet, PacketKind, RawArgs};

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(message: &Bytes) -> Result<Packet, DecodeError> {
    decode(message, &Limits { max_arguments: 100_000, ..Limits::default() })
}

/// An event `e` of the namespace `/` with one argument, which is given in MessagePack.
fn event(argument: &str) -> Bytes {
    bytes(&format!("83 a474797065 02 a36e7370 a12f a464617461 92 a165 {argument}"))
}

/// The arguments of such an event.
fn decoded(argument: &str) -> Result<RawArgs, DecodeError> {
    match read(&event(argument))?.kind {
        PacketKind::Event { args, .. } => Ok(args),
        other => panic!("{other:?}"),
    }
}

/// How an argument is written.
fn encoded(json: &str, attachments: &[&'static [u8]]) -> String {
    let attachments = attachments.iter().map(|data| Bytes::from_static(data)).collect();
    let args = RawArgs::from_json_elements(json.into(), attachments).unwrap();
    let packet = Packet::new("/", PacketKind::Event { id: None, name: "e".into(), args });
    let before = event("").len();
    hex(&encode(&packet).unwrap()[before..])
}

fn show(packet: &Packet) -> String {
    let namespace = &packet.namespace;
    match &packet.kind {
        PacketKind::Connect { auth } => format!("{namespace} connect {}", auth.as_deref().unwrap_or("-")),
        PacketKind::Disconnect => format!("{namespace} disconnect"),
        PacketKind::Event { id, name, args } => {
            format!("{namespace} event {id:?} <{name}> {} +{}", args.json(), args.attachments().len())
        }
        PacketKind::Ack { id, args } => {
            format!("{namespace} ack {id} {} +{}", args.json(), args.attachments().len())
        }
        PacketKind::ConnectError { data } => format!("{namespace} error {data}"),
    }
}

/// F-SER-02: packets as the official clients and servers write them.
#[test]
fn packets() {
    for (message, expected, again) in [
        // notepack writes members in the order of the object.
        ("83 a474797065 00 a36e7370 a12f a464617461 81a3736964a178", r#"/ connect {"sid":"x"}"#, true),
        (
            "84 a474797065 02 a36e7370 a12f a464617461 93 a165 01 c4020102 a26964 03",
            r#"/ event Some(3) <e> 1,{"_placeholder":true,"num":0} +1"#,
            true,
        ),
        ("82 a474797065 01 a36e7370 a12f", "/ disconnect", true),
        ("83 a474797065 02 a36e7370 a22f6e a464617461 91 a165", "/n event None <e>  +0", true),
        ("84 a474797065 03 a36e7370 a12f a464617461 90 a26964 00", "/ ack 0  +0", true),
        (
            "83 a474797065 04 a36e7370 a12f a464617461 81 a76d657373616765 a26e6f",
            r#"/ error {"message":"no"}"#,
            true,
        ),
        ("83 a474797065 04 a36e7370 a12f a464617461 a26e6f", r#"/ error "no""#, true),
        // JavaScript: undefined data and id, options.
        (
            "85 a474797065 00 a464617461 d40000 a36e7370 a12f a26964 d40000 a76f7074696f6e73 81a8636f6d7072657373c3",
            "/ connect -",
            false,
        ),
        (
            "85 a474797065 02 a464617461 91a165 a76f7074696f6e73 81a8636f6d7072657373c3 a26964 d40000 a36e7370 a12f",
            "/ event None <e>  +0",
            false,
        ),
        // Python: always data.
        ("83 a474797065 01 a464617461 c0 a36e7370 a12f", "/ disconnect", false),
        ("83 a474797065 00 a464617461 80 a36e7370 a12f", "/ connect {}", false),
        // A number as the name, a namespace with a query, long forms of lengths and numbers.
        ("83 a474797065 02 a36e7370 a12f a464617461 92 05 d0fb", "/ event None <5> -5 +0", false),
        ("83 a474797065 02 a36e7370 a62f6e3f783d31 a464617461 91 a165", "/n event None <e>  +0", false),
        ("df00000003 d90474797065 cf0000000000000003 db000000036e7370 da00012f a26964 d20000ffff", "", false),
        (
            "df00000004 d90474797065 cf0000000000000003 db000000036e7370 da00012f a26964 d20000ffff a464617461 dd00000001 d90161",
            r#"/ ack 65535 "a" +0"#,
            false,
        ),
    ] {
        let message = bytes(message);
        match read(&message) {
            Ok(packet) => {
                assert_eq!(show(&packet), expected);
                let written = encode(&packet).unwrap();
                assert!(!again || written == message, "{expected}: {}", hex(&written));
                assert_eq!(show(&read(&written.into()).unwrap()), expected);
            }
            Err(error) => assert!(expected.is_empty() && error == DecodeError::InvalidPayload, "{error}"),
        }
    }
}

/// F-SER-02: what is absent is not written, because the JavaScript decoder refuses `nil` in its place.
#[test]
fn what_is_absent_is_not_written() {
    let write = |kind| hex(&encode(&Packet::new("/", kind)).unwrap());
    let begin = |members: &str, kind: &str| format!("8{members}a4747970650{kind}a36e7370a12f");
    assert_eq!(write(PacketKind::Connect { auth: None }), begin("2", "0"));
    assert_eq!(write(PacketKind::Disconnect), begin("2", "1"));
    let args = RawArgs::empty;
    assert_eq!(
        write(PacketKind::Event { id: None, name: "a".into(), args: args() }),
        begin("3", "2") + "a46461746191a161"
    );
    assert_eq!(write(PacketKind::Ack { id: 1, args: args() }), begin("4", "3") + "a46461746190a2696401");
}

/// F-SER-02: every value that the format has, and what it is for handlers.
#[test]
fn values() {
    for (argument, json) in [
        ("c0", "null"),
        ("c2", "false"),
        ("c3", "true"),
        ("00", "0"),
        ("7f", "127"),
        ("ff", "-1"),
        ("e0", "-32"),
        ("cc80", "128"),
        ("cd0100", "256"),
        ("ce00010000", "65536"),
        ("cf0000000100000000", "4294967296"),
        // JavaScript can count to 2^53, Python and we can count on.
        ("cf001fffffffffffff", "9007199254740991"),
        ("cf0020000000000001", "9007199254740993"),
        ("cfffffffffffffffff", "18446744073709551615"),
        ("d0df", "-33"),
        ("d1ff7f", "-129"),
        ("d2ffff7fff", "-32769"),
        ("d3ffdfffffffffffff", "-9007199254740993"),
        ("d38000000000000000", "-9223372036854775808"),
        ("cb3ff8000000000000", "1.5"),
        ("cb3ff0000000000000", "1.0"),
        ("cb8000000000000000", "-0.0"),
        ("cb7fefffffffffffff", "1.7976931348623157e308"),
        ("cb0000000000000001", "5e-324"),
        ("a0", r#""""#),
        ("a3e282ac", r#""€""#),
        (r"a7225c2f000a1f7f", "\"\\\"\\\\/\\u0000\\n\\u001f\u{7f}\""),
        (
            "d920 7878787878787878787878787878787878787878787878787878787878787878",
            &format!("\"{}\"", "x".repeat(32)),
        ),
        ("90", "[]"),
        ("93 01 c0 91 02", "[1,null,[2]]"),
        ("80", "{}"),
        ("82 a161 01 a162 80", r#"{"a":1,"b":{}}"#),
        ("c400", r#"{"_placeholder":true,"num":0}"#),
        ("c40101", r#"{"_placeholder":true,"num":0}"#),
        // Dates, and extensions of applications.
        ("d700 0000018f4cbb37b2", r#""\u0032024-05-06T07:08:09.010Z""#),
        ("d700 ffffffffffffffff", r#""\u0031969-12-31T23:59:59.999Z""#),
        ("d700 001eb208c2dc0000", r#""\u002b275760-09-13T00:00:00.000Z""#),
        ("d505 0102", r#"{"_ext":5,"data":{"_placeholder":true,"num":0}}"#),
        ("c7037f 010203", r#"{"_ext":127,"data":{"_placeholder":true,"num":0}}"#),
    ] {
        let args = decoded(argument).unwrap_or_else(|error| panic!("{argument}: {error}"));
        assert_eq!(args.json(), json, "{argument}");
        let attachments: Vec<&'static [u8]> =
            args.attachments().iter().map(|data| &*data.to_vec().leak()).collect();
        assert_eq!(encoded(json, &attachments), argument.replace(' ', ""), "{json}");
    }
}

/// F-SER-02: values that are written in another way than they came.
#[test]
fn values_that_are_converted() {
    for (argument, json, again) in [
        ("ca3dcccccd", "0.10000000149011612", "cb3fb99999a0000000"),
        ("ca3f800000", "1.0", "cb3ff0000000000000"),
        // What JSON has no word for.
        ("cb7ff8000000000000", "null", "c0"),
        ("cb7ff0000000000000", "null", "c0"),
        ("caff800000", "null", "c0"),
        // Undefined: null where something must be, absent where nothing need be.
        ("d40000", "null", "c0"),
        ("d400ff", "null", "c0"),
        ("93 01 d40000 02", "[1,null,2]", "9301c002"),
        ("83 a161 d40000 a162 01 a163 d40000", r#"{"b":1}"#, "81a16201"),
        ("81 a161 d40000", "{}", "80"),
        // Keys are text.
        ("82 01 02 ff 03", r#"{"1":2,"-1":3}"#, "82a13102a22d3103"),
        // Timestamps, of which JavaScript's dates keep the milliseconds.
        ("d6ff 00000001", r#""\u0031970-01-01T00:00:01.000Z""#, "d70000000000000003e8"),
        ("d7ff 07735940 00000001", r#""\u0031970-01-01T00:00:01.03125Z""#, "d7000000000000000407"),
        (
            "c70cff 00000001 ffffffffffffffff",
            r#""\u0031969-12-31T23:59:59.000000001Z""#,
            "d700fffffffffffffc18",
        ),
        // Out of range, as an invalid date in JavaScript's own JSON.
        ("d700 001eb208c2dc0001", "null", "c0"),
        ("d700 8000000000000000", "null", "c0"),
        ("c70cff 00000000 7fffffffffffffff", "null", "c0"),
        // Extensions that belong to the format or to JavaScript stay objects, and binary.
        ("d400", "", ""),
        (
            "d5000102",
            r#"{"_ext":0,"data":{"_placeholder":true,"num":0}}"#,
            "82a45f65787400a464617461c4020102",
        ),
        // Node's ArrayBuffer, which is not undefined with one byte, and no Date with 8.
        ("c7000000", "", ""),
        ("c70000", r#"{"_placeholder":true,"num":0}"#, "c400"),
        ("c7010007", r#"{"_placeholder":true,"num":0}"#, "c40107"),
        ("c708000000018f4cbb37b2", r#"{"_placeholder":true,"num":0}"#, "c4080000018f4cbb37b2"),
        ("c8000100 07", r#"{"_placeholder":true,"num":0}"#, "c40107"),
        ("c90000000100 07", r#"{"_placeholder":true,"num":0}"#, "c40107"),
        // Timestamps may have either form.
        ("c704ff 00000001", r#""\u0031970-01-01T00:00:01.000Z""#, "d70000000000000003e8"),
        ("d4fe01", r#"{"_ext":-2,"data":{"_placeholder":true,"num":0}}"#, "82a45f657874fea464617461c40101"),
    ] {
        match decoded(argument) {
            Ok(args) => {
                assert_eq!(args.json(), json, "{argument}");
                let attachments: Vec<&'static [u8]> =
                    args.attachments().iter().map(|data| &*data.to_vec().leak()).collect();
                assert_eq!(encoded(json, &attachments), again, "{json}");
            }
            Err(error) => assert!(json.is_empty(), "{argument}: {error}"),
        }
    }
    // What only other parsers and the application write.
    for (json, argument) in [
        ("-0", "cb8000000000000000"),
        ("18446744073709551616", "cb43f0000000000000"),
        ("-9223372036854775809", "cbc3e0000000000000"),
        ("1e2", "cb4059000000000000"),
        ("1.7976931348623157e308", "cb7fefffffffffffff"),
        ("1e-999", "cb0000000000000000"),
        (r#""\ud83d\ude00""#, "a4f09f9880"),
        (r#""\ud800""#, "a3efbfbd"),
        (r#""\u0041""#, "a141"),
        // Not what dates look like.
        (r#""2024-05-06T07:08:09.010Z""#, "b8323032342d30352d30365430373a30383a30392e3031305a"),
        (r#""\u0032024-05-06""#, "aa323032342d30352d3036"),
        (r#""\u00e9""#, "a2c3a9"),
        (r#""\u00""#, ""),
        (" [ 1 ,\n{ \"a\" : [ ] } ]\t", "920181a16190"),
        (r#"{"_placeholder":true,"num":0}"#, "82ac5f706c616365686f6c646572c3a36e756d00"),
        (r#"{"_ext":1,"data":{"a":1}}"#, "82a45f65787401a46461746181a16101"),
    ] {
        if RawArgs::from_json_elements(json.into(), Vec::new()).is_ok() {
            assert_eq!(encoded(json, &[]), argument, "{json}");
        } else {
            assert!(argument.is_empty(), "{json}");
        }
    }
}

/// F-ARG-06, F-ARG-09: what is an infinity in floating point is not sent, wherever it is.
#[test]
fn numbers_beyond_floating_point_cannot_be_written() {
    for json in ["1e999", "-1e999", "[1e309]", r#"{"a":[-2e308]}"#, &format!("1{}", "0".repeat(400))] {
        let args = RawArgs::from_json_elements(json.into(), Vec::new()).unwrap();
        let event = PacketKind::Event { id: None, name: "e".into(), args: args.clone() };
        for kind in [event, PacketKind::Ack { id: 1, args }] {
            assert_eq!(encode(&Packet::new("/", kind)), Err(DecodeError::NumberTooLarge), "{json}");
        }
        let refusal = PacketKind::ConnectError { data: json.into() };
        assert_eq!(encode(&Packet::new("/", refusal)), Err(DecodeError::NumberTooLarge), "{json}");
    }
}

/// F-SER-02: binary is where its placeholder was, whatever the placeholder looks like, and each piece once.
#[test]
fn binary_takes_the_place_of_placeholders() {
    for (json, argument) in [
        (r#"[{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#, "92c40101c40102"),
        (r#"{"a":{ "_placeholder" : true , "num" : 1 , "more" : [{}] }}"#, "81a161c40102"),
        (r#"{"\u005fplaceholder":true,"num":0}"#, "c40101"),
        (r#"{"_placeholder":false,"num":0}"#, "82ac5f706c616365686f6c646572c2a36e756d00"),
        (r#"{"_ext":7,"data":{"_placeholder":true,"num":1}}"#, "d40702"),
        (r#"{"data":{"_placeholder":true,"num":1},"_ext":7}"#, "d40702"),
        (r#"{"_ext":7,"data":{"_placeholder":true,"num":1},"x":1}"#, "83a45f65787407a464617461c40102a17801"),
        (r#"{"_ext":200,"data":{"_placeholder":true,"num":1}}"#, "82a45f657874ccc8a464617461c40102"),
    ] {
        assert_eq!(encoded(json, &[&[1], &[2]]), argument, "{json}");
    }
}

/// F-SER-02: counts at each border between the forms of a length.
#[test]
fn lengths() {
    for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536, 70_000] {
        let array = format!("[{}]", vec!["7"; len].join(","));
        let object: Vec<String> = (0..len).map(|key| format!("\"{key}\":{{}}")).collect();
        let object = format!("{{{}}}", object.join(","));
        let text = format!("\"{}\"", "x".repeat(len));
        for json in [array, object, text] {
            let written = bytes(&encoded(&json, &[]));
            let args = decoded(&hex(&written)).unwrap();
            assert_eq!(args.json(), json, "{len}");
        }
        let data: &'static [u8] = vec![7; len].leak();
        for json in [r#"{"_placeholder":true,"num":0}"#, r#"{"_ext":1,"data":{"_placeholder":true,"num":0}}"#]
        {
            let args = decoded(&encoded(json, &[data])).unwrap();
            assert_eq!((args.json(), &args.attachments()[0][..]), (json, data));
        }
        let many: Vec<String> = (0..len).map(|number| number.to_string()).collect();
        let args = RawArgs::from_json_elements(many.join(",").into(), Vec::new()).unwrap();
        let packet = Packet::new("/", PacketKind::Ack { id: 1, args: args.clone() });
        let PacketKind::Ack { args: again, .. } = read(&encode(&packet).unwrap().into()).unwrap().kind else {
            panic!("an acknowledgement")
        };
        assert!(again == args && again.len() == len && (0..len).all(|at| again.get(at) == args.get(at)));
    }
}

/// F-SER-02, F-SEC: what is no packet is refused.
#[test]
fn malformed() {
    use DecodeError::*;
    let at = |offset| InvalidMessagePack { offset };
    for (message, error) in [
        ("", at(0)),
        ("c1", at(1)),
        ("c0", InvalidPayload),
        ("90", InvalidPayload),
        ("a0", InvalidPayload),
        ("80", InvalidPayload),
        ("81 a474797065 02", InvalidNamespace),
        ("81 a36e7370 a12f", InvalidPayload),
        ("81 01 02", InvalidPayload),
        // Types.
        ("82 a474797065 05 a36e7370 a12f", UnknownType(b'5')),
        ("82 a474797065 06 a36e7370 a12f", UnknownType(b'6')),
        ("82 a474797065 0a a36e7370 a12f", InvalidPayload),
        ("82 a474797065 ff a36e7370 a12f", InvalidPayload),
        ("82 a474797065 a130 a36e7370 a12f", InvalidPayload),
        ("82 a474797065 cb0000000000000000 a36e7370 a12f", InvalidPayload),
        ("82 a474797065 c0 a36e7370 a12f", InvalidPayload),
        // Namespaces.
        ("82 a474797065 00 a36e7370 c0", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a0", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a16e", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a23f61", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a42f612c62", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a2c328", at(14)),
        // Ids.
        ("83 a474797065 00 a36e7370 a12f a26964 01", UnexpectedId),
        ("83 a474797065 01 a36e7370 a12f a26964 01", UnexpectedId),
        ("84 a474797065 04 a36e7370 a12f a26964 01 a464617461 80", UnexpectedId),
        ("84 a474797065 02 a36e7370 a12f a26964 ff a464617461 91a165", InvalidId),
        ("84 a474797065 02 a36e7370 a12f a26964 a131 a464617461 91a165", InvalidId),
        ("84 a474797065 02 a36e7370 a12f a26964 cb3ff0000000000000 a464617461 91a165", InvalidId),
        ("84 a474797065 02 a36e7370 a12f a26964 cf0020000000000000 a464617461 91a165", InvalidId),
        ("83 a474797065 03 a36e7370 a12f a464617461 90", MissingId),
        ("84 a474797065 03 a36e7370 a12f a464617461 90 a26964 c0", MissingId),
        // Payloads.
        ("82 a474797065 02 a36e7370 a12f", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 c0", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 90", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 80", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 91c0", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 91c40161", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 9191a165", InvalidPayload),
        ("83 a474797065 02 a36e7370 a12f a464617461 91a7636f6e6e656374", ReservedEvent("connect".into())),
        ("83 a474797065 00 a36e7370 a12f a464617461 90", InvalidPayload),
        ("83 a474797065 00 a36e7370 a12f a464617461 01", InvalidPayload),
        ("83 a474797065 01 a36e7370 a12f a464617461 80", InvalidPayload),
        ("83 a474797065 04 a36e7370 a12f a464617461 90", InvalidPayload),
        ("82 a474797065 04 a36e7370 a12f", InvalidPayload),
        ("83 a474797065 00 a36e7370 a12f a464617461 81a161c400", InvalidPayload),
        // Members twice.
        ("83 a474797065 00 a36e7370 a12f a474797065 00", InvalidPayload),
        ("83 a474797065 00 a36e7370 a12f a36e7370 a12f", InvalidPayload),
        ("84 a474797065 00 a36e7370 a12f a464617461 c0 a464617461 80", InvalidPayload),
        ("84 a474797065 00 a36e7370 a12f a26964 c0 a26964 c0", InvalidPayload),
        // Too much, too little.
        ("82 a474797065 00 a36e7370 a12f 00", at(13)),
        ("82 a474797065 00 a36e7370 a12f c1", at(13)),
        ("82 a474797065 00 a36e7370", at(11)),
        ("82 a474797065 00", at(7)),
        ("de", at(1)),
        ("df", at(1)),
        ("dfffffffff", at(5)),
        ("83 a474797065 00 a36e7370 a12f a178 c1", at(16)),
    ] {
        assert_eq!(read(&bytes(message)).map(|packet| show(&packet)), Err(error), "{message}");
    }
    for (argument, error) in [
        ("c1", at(22)),
        ("a2c328", at(24)),
        ("a3eda080", at(25)),
        ("81 a1ff 01", at(24)),
        ("81 c0 01", InvalidPayload),
        ("81 c40161 01", InvalidPayload),
        ("81 90 01", InvalidPayload),
        ("81 cb3ff0000000000000 01", InvalidPayload),
        ("81 a161", at(24)),
        ("d7ff ee6b2800 00000000", at(31)),
        ("c70cff 3b9aca00 0000000000000000", at(36)),
        ("d4ff 00", at(24)),
        // Lengths that the message does not have.
        ("dd ffffffff", at(26)),
        ("df ffffffff", at(26)),
        ("db ffffffff", at(26)),
        ("c6 ffffffff", at(26)),
        ("c9 ffffffff 05", at(27)),
        ("dcffff", at(24)),
        // What would be taken for a placeholder of the binary beside it.
        ("92 c40101 82 ac5f706c616365686f6c646572c3 a36e756d00", IllegalAttachments),
        ("92 81 ac5f706c616365686f6c646572c3 c40101", IllegalAttachments),
    ] {
        assert_eq!(decoded(argument), Err(error), "{argument}");
    }
    assert!(decoded("81 ac5f706c616365686f6c646572c3").is_ok(), "alone it is an object");
    assert!(decoded("92 c40101 81 ac5f706c616365686f6c646572c2").is_ok());
}

/// F-SER-02, F-SEC: depth, pieces of binary and their bytes are limited.
#[test]
fn limits() {
    let limits =
        Limits { max_depth: 3, max_attachments: 2, max_attachment_bytes_total: 5, ..Limits::default() };
    let check = |argument: &str| decode(&event(argument), &limits).map(|_| ());
    assert_eq!(check("9191 01"), Ok(()));
    assert_eq!(check("9181 a161 01"), Ok(()));
    assert_eq!(check("9191 90"), Err(DecodeError::TooDeep));
    assert_eq!(check("9181 a161 80"), Err(DecodeError::TooDeep));
    assert_eq!(check("92 c400 d504 0000"), Ok(()));
    assert_eq!(check("93 c400 c400 c400"), Err(DecodeError::TooManyAttachments));
    assert_eq!(check("93 c400 c400 d50400"), Err(DecodeError::InvalidMessagePack { offset: 28 }));
    assert_eq!(check("92 c4020102 c403010203"), Ok(()));
    assert_eq!(check("92 c4020102 c40401020304"), Err(DecodeError::AttachmentsTooLarge));
    // However many levels are allowed, the stack is not used up.
    let deepest = Limits { max_depth: usize::MAX, ..Limits::default() };
    assert!(decode(&event(&("91".repeat(126) + "01")), &deepest).is_ok());
    assert_eq!(decode(&event(&("91".repeat(127) + "01")), &deepest).unwrap_err(), DecodeError::TooDeep);
    assert_eq!(decode(&event(&"91".repeat(100_000)), &deepest).unwrap_err(), DecodeError::TooDeep);
    // Unknown members are passed over at any depth.
    let unknown = format!("83 a474797065 00 a36e7370 a12f a178 {} 01", "91".repeat(100_000));
    assert_eq!(show(&read(&bytes(&unknown)).unwrap()), "/ connect -");
}

/// F-ARG-05: large binary shares the message, a small piece does not keep a large message alive.
#[test]
fn binary_shares_the_message_when_it_is_most_of_it() {
    let large = event(&format!("c5 1000 {}", "00".repeat(4096)));
    let shared = |message: &Bytes| {
        let PacketKind::Event { args, .. } = read(message).unwrap().kind else { panic!("an event") };
        message.as_ptr_range().contains(&args.attachments()[0].as_ptr())
    };
    assert!(shared(&large));
    let small = event(&format!("92 c40100 c5 1000 {}", "00".repeat(4096)));
    assert!(shared(&small), "both are most of it");
    let text = event(&format!("92 c40100 da 1000 {}", "61".repeat(4096)));
    assert!(!shared(&text));
}

/// F-SER-04: a packet of the application's that cannot be written is an error.
#[test]
fn what_is_not_json_is_not_written() {
    for json in ["", "{", "{]", "nul", "\"", "[1 2]", "{\"a\"}"] {
        let packet = Packet::new("/", PacketKind::ConnectError { data: json.into() });
        assert!(matches!(encode(&packet), Err(DecodeError::InvalidJson { .. })), "{json}");
    }
    let deep = "[".repeat(128) + &"]".repeat(128);
    let packet = Packet::new("/", PacketKind::Connect { auth: Some(deep.into()) });
    assert_eq!(encode(&packet), Err(DecodeError::TooDeep));
}
