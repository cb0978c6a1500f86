use super::*;

fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
    Decoder::new(Limits::default()).decode_text(text.into())
}

/// Packets in a form that reads well in a table.
fn show(packet: &Packet) -> String {
    let kind = match &packet.kind {
        PacketKind::Connect { auth } => format!("connect {}", auth.as_deref().unwrap_or("-")),
        PacketKind::Disconnect => "disconnect".to_owned(),
        PacketKind::Event { id, name, args } => {
            format!("event {id:?} <{name}> {:?}", args.iter().collect::<Vec<_>>())
        }
        PacketKind::Ack { id, args } => format!("ack {id} {:?}", args.iter().collect::<Vec<_>>()),
        PacketKind::ConnectError { data } => format!("error {data}"),
    };
    format!("{} {kind}", packet.namespace)
}

/// wire-protocol §4, §4.3: each type of packet, with and without each of its parts.
#[test]
fn every_type() {
    for (text, expected) in [
        ("0", "/ connect -"),
        ("0/", "/ connect -"),
        ("0/,", "/ connect -"),
        ("0/admin,", "/admin connect -"),
        ("0/admin", "/admin connect -"),
        (r#"0{"token":"t"}"#, r#"/ connect {"token":"t"}"#),
        (r#"0/admin, {"token" : [1] } "#, r#"/admin connect {"token" : [1] }"#),
        ("0{}", "/ connect {}"),
        ("1", "/ disconnect"),
        ("1/admin,", "/admin disconnect"),
        ("1/admin", "/admin disconnect"),
        (r#"2["a"]"#, r#"/ event None <a> []"#),
        (r#"212["a"]"#, r#"/ event Some(12) <a> []"#),
        (r#"2/n,["a"]"#, r#"/n event None <a> []"#),
        (r#"2/n,12["a"]"#, r#"/n event Some(12) <a> []"#),
        (r#"20["a"]"#, r#"/ event Some(0) <a> []"#),
        (r#"2007["a"]"#, r#"/ event Some(7) <a> []"#),
        (r#"29007199254740991["a"]"#, r#"/ event Some(9007199254740991) <a> []"#),
        (r#"2["a",1,"b",[2],{"c":3}]"#, r#"/ event None <a> ["1", "\"b\"", "[2]", "{\"c\":3}"]"#),
        (r#"2 [ "a" , 1 , 2 ] "#, r#"/ event None <a> ["1", "2"]"#),
        (r#"2["é\u00e9\n\ud800\""]"#, "/ event None <éé\n\u{fffd}\"> []"),
        (r#"2[""]"#, "/ event None <> []"),
        (r#"2[1,2]"#, r#"/ event None <1> ["2"]"#),
        (r#"2[-1.50e1]"#, "/ event None <-1.50e1> []"),
        (
            r#"2["a",1e999,12345678901234567890123]"#,
            r#"/ event None <a> ["1e999", "12345678901234567890123"]"#,
        ),
        (
            r#"2["a",{"_placeholder":true,"num":9}]"#,
            r#"/ event None <a> ["{\"_placeholder\":true,\"num\":9}"]"#,
        ),
        (r#"2/a/b é,["a"]"#, r#"/a/b é event None <a> []"#),
        ("33[]", "/ ack 3 []"),
        (r#"3/ns,8["k"]"#, r#"/ns ack 8 ["\"k\""]"#),
        ("30[ 1 ,2 ]", r#"/ ack 0 ["1", "2"]"#),
        (r#"4{"message":"nope"}"#, r#"/ error {"message":"nope"}"#),
        (r#"4/ns,"nope""#, r#"/ns error "nope""#),
    ] {
        let packet = decode(text).unwrap_or_else(|error| panic!("{text}: {error}")).unwrap();
        assert_eq!(show(&packet), expected, "{text}");
        assert_eq!(packet.query, None);
    }
}

/// wire-protocol §4: old clients put a query behind the namespace.
#[test]
fn queries_are_no_part_of_the_namespace() {
    for (text, namespace, query) in [
        (r#"2/foo?x=1,["a"]"#, "/foo", Some("x=1")),
        ("0/?token=1", "/", Some("token=1")),
        ("0/foo?", "/foo", Some("")),
        ("0/foo?a?b,{}", "/foo", Some("a?b")),
    ] {
        let packet = decode(text).unwrap().unwrap();
        assert_eq!((&*packet.namespace, packet.query.as_deref()), (namespace, query), "{text}");
    }
}

/// wire-protocol §4.3: the grammar allows nothing else, and the first thing wrong is what the error says.
#[test]
fn malformed() {
    use DecodeError::*;
    let json = |offset| InvalidJson { offset };
    for (text, error) in [
        ("", Empty),
        ("7", UnknownType(b'7')),
        ("x", UnknownType(b'x')),
        (" 2[\"a\"]", UnknownType(b' ')),
        ("é", UnknownType(0xc3)),
        // Payloads of the wrong kind.
        ("0[]", InvalidPayload),
        ("0null", InvalidPayload),
        ("0\"x\"", InvalidPayload),
        ("0true", InvalidPayload),
        ("1{}", InvalidPayload),
        ("1 ", InvalidPayload),
        ("1/n,[]", InvalidPayload),
        ("2", InvalidPayload),
        ("212", InvalidPayload),
        ("2/n,", InvalidPayload),
        ("2/n,12", InvalidPayload),
        ("2[]", InvalidPayload),
        ("2{}", InvalidPayload),
        ("2\"a\"", InvalidPayload),
        ("2null", InvalidPayload),
        ("2[null]", InvalidPayload),
        ("2[true]", InvalidPayload),
        ("2[[\"a\"]]", InvalidPayload),
        ("2[{}]", InvalidPayload),
        ("3", InvalidPayload),
        ("31", InvalidPayload),
        ("31{}", InvalidPayload),
        ("4", InvalidPayload),
        ("4[]", InvalidPayload),
        ("41", UnexpectedId),
        ("4null", InvalidPayload),
        ("51-", InvalidPayload),
        ("51-{}", InvalidPayload),
        ("51-[]", InvalidPayload),
        // The comma after the namespace is missing.
        ("2/foo[\"a\"]", InvalidPayload),
        ("2/foo[\"a\",1]", json(11)),
        // Ids.
        ("3[]", MissingId),
        ("61-[]", MissingId),
        ("01", UnexpectedId),
        ("0/n,1{}", UnexpectedId),
        ("11", UnexpectedId),
        ("1/n,1", UnexpectedId),
        ("412{}", UnexpectedId),
        ("29007199254740992[\"a\"]", InvalidId),
        ("200000000000000001[\"a\"]", InvalidId),
        ("3999999999999999999999999999[]", InvalidId),
        ("2-1[\"a\"]", json(3)),
        ("2+1[\"a\"]", json(1)),
        ("21.5[\"a\"]", json(2)),
        // JSON.
        ("2[\"a\"", json(5)),
        ("2[\"a\",]", json(6)),
        ("2[\"a\"]x", json(6)),
        ("2[\"a\",NaN]", json(6)),
        ("2[\"a\",Infinity]", json(6)),
        ("2[\"a\"][\"b\"]", json(6)),
        ("0{", json(2)),
        ("2 ", json(2)),
        ("2x[\"a\"]", json(1)),
        // Attachments.
        ("5[\"a\"]", AttachmentCount),
        ("5-[\"a\"]", AttachmentCount),
        ("51[\"a\"]", AttachmentCount),
        ("50-[\"a\"]", AttachmentCount),
        ("500-[\"a\"]", AttachmentCount),
        ("5", AttachmentCount),
        ("5/n,1-[\"a\"]", AttachmentCount),
        ("6", AttachmentCount),
        ("60-1[]", AttachmentCount),
        ("511-[\"a\"]", TooManyAttachments),
        ("599999999999999999999999-[\"a\"]", TooManyAttachments),
        (r#"51-["a",{"_placeholder":true,"num":1}]"#, IllegalAttachments),
        (r#"61-1[{"_placeholder":true}]"#, IllegalAttachments),
        ("21-[\"a\"]", json(3)),
        ("01-{}", UnexpectedId),
    ] {
        assert_eq!(decode(text).unwrap_err(), error, "{text}");
    }
}

/// wire-protocol §4: names of the protocol's own are refused, however they are written.
#[test]
fn reserved_names() {
    for name in super::super::RESERVED_EVENTS {
        for text in [format!("2[\"{name}\"]"), format!("2/n,1[ \"{name}\" ,1]"), format!("51-[\"{name}\"]")] {
            assert_eq!(decode(&text).unwrap_err(), DecodeError::ReservedEvent(name.into()), "{text}");
        }
    }
    assert_eq!(decode(r#"2["\u0063onnect"]"#).unwrap_err(), DecodeError::ReservedEvent("connect".into()));
    assert!(decode(r#"2["message","connect"]"#).is_ok());
    assert!(decode(r#"31["connect"]"#).is_ok());
}

/// F-ARG-05, wire-protocol §4: attachments follow in order, and share the buffers they came in.
#[test]
fn binary_packets_are_put_together() {
    let mut decoder = Decoder::new(Limits::default());
    let text = r#"52-/n,12["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]"#;
    assert!(decoder.decode_text(text.into()).unwrap().is_none());
    assert!(!decoder.is_idle());
    let first = Bytes::from(vec![1, 2, 3]);
    assert!(decoder.decode_binary(first.clone()).unwrap().is_none());
    let packet = decoder.decode_binary(Bytes::new()).unwrap().unwrap();
    assert!(decoder.is_idle());
    let PacketKind::Event { id, name, args } = packet.kind else { panic!("an event") };
    assert_eq!((&*packet.namespace, id, &*name, args.len()), ("/n", Some(12), "a", 2));
    assert_eq!(args.attachments(), [first.clone(), Bytes::new()]);
    assert_eq!(args.attachments()[0].as_ptr(), first.as_ptr());

    assert!(decoder.decode_text(r#"61-7[{"_placeholder":true,"num":0}]"#.into()).unwrap().is_none());
    let packet = decoder.decode_binary(first.clone()).unwrap().unwrap();
    let PacketKind::Ack { id: 7, args } = packet.kind else { panic!("an acknowledgement") };
    assert_eq!(args.attachments(), [first]);
    // Attachments need not be referred to.
    assert!(decoder.decode_text(r#"501-["a"]"#.into()).unwrap().is_none());
    assert!(decoder.decode_binary(Bytes::new()).unwrap().is_some());
}

/// wire-protocol §4: text while attachments are awaited, binary while none are; nothing is left of either.
#[test]
fn messages_out_of_place() {
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode_binary(Bytes::new()).unwrap_err(), DecodeError::UnexpectedBinary);
    assert!(decoder.decode_text(r#"51-["a"]"#.into()).unwrap().is_none());
    assert_eq!(decoder.decode_text(r#"2["a"]"#.into()).unwrap_err(), DecodeError::UnexpectedText);
    // Nothing of the broken packet is left.
    assert!(decoder.is_idle());
    assert_eq!(decoder.decode_binary(Bytes::new()).unwrap_err(), DecodeError::UnexpectedBinary);
    assert!(decoder.decode_text(r#"2["a"]"#.into()).unwrap().is_some());
}

/// wire-protocol §6.1: levels, attachments and their bytes.
#[test]
fn limits() {
    let limits =
        Limits { max_depth: 2, max_attachments: 2, max_attachment_bytes_total: 5, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    assert!(decoder.decode_text(r#"2["a",[1]]"#.into()).is_ok());
    assert_eq!(decoder.decode_text(r#"2["a",[[1]]]"#.into()).unwrap_err(), DecodeError::TooDeep);
    assert_eq!(decoder.decode_text(r#"53-["a"]"#.into()).unwrap_err(), DecodeError::TooManyAttachments);
    for (second, fits) in [(2, true), (3, false)] {
        assert!(decoder.decode_text(r#"52-["a"]"#.into()).unwrap().is_none());
        assert!(decoder.decode_binary(vec![0; 3].into()).unwrap().is_none());
        match decoder.decode_binary(vec![0; second].into()) {
            Ok(packet) => assert!(fits && packet.is_some()),
            Err(error) => assert!(!fits && error == DecodeError::AttachmentsTooLarge),
        }
        assert!(decoder.is_idle());
    }
    let two = Limits { max_arguments: 2, ..Limits::default() };
    for (packet, fits) in [
        (r#"2["a",1,[2,2,2]]"#, true),
        (r#"2["a",1,2,3]"#, false),
        ("31[1,2]", true),
        ("31[1,2,3]", false),
        (r#"0{"a":1,"b":2,"c":3}"#, true),
    ] {
        let error = Decoder::new(two).decode_text(packet.into()).err();
        assert_eq!(error, (!fits).then_some(DecodeError::TooManyArguments), "{packet}");
    }
    let none = Limits { max_attachments: 0, ..Limits::default() };
    let error = Decoder::new(none).decode_text(r#"51-["a"]"#.into()).unwrap_err();
    assert_eq!(error, DecodeError::TooManyAttachments);
}

#[test]
fn packets_share_the_buffer_of_the_message() {
    let text = ByteString::from(r#"2/n,["name",1,"x"]"#.to_owned());
    let within = |part: &str| text.as_bytes().as_ptr_range().contains(&part.as_ptr());
    let packet = Decoder::new(Limits::default()).decode_text(text.clone()).unwrap().unwrap();
    let PacketKind::Event { name, args, .. } = packet.kind else { panic!("an event") };
    assert!(within(&packet.namespace) && within(args.json()));
    // A name is short, and often kept for longer than the rest.
    assert!(!within(&name));
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 40);
}
