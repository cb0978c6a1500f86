//! From messages to packets.

use bytes::Bytes;
use bytestring::ByteString;

use super::scanner::{self, Layout};
use super::{DecodeError, Packet, PacketKind, RawArgs, escape, is_reserved};

/// What a [`Decoder`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of arrays and objects in the JSON of a packet, the array around the arguments included. At most 127 are
    /// possible; the default is 64.
    pub max_depth: usize,
    /// Attachments of one packet. The default is 10, which is also what current JavaScript clients accept.
    pub max_attachments: usize,
    /// Bytes of all attachments of one packet. The default is 10,000,000: ten messages of the default size.
    pub max_attachment_bytes_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: 64, max_attachments: 10, max_attachment_bytes_total: 10_000_000 }
    }
}

/// Decodes the messages of one connection, and puts binary packets together.
///
/// Feed it every Engine.IO message in order. It holds memory only while attachments are awaited. After an error nothing is
/// pending; the connection should be closed.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments are not complete.
#[derive(Debug)]
struct Pending {
    packet: Packet,
    attachments: Vec<Bytes>,
    expected: usize,
    bytes: usize,
}

impl Decoder {
    /// A decoder with nothing pending.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pending: None }
    }

    /// Whether no attachments are awaited.
    pub fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    /// Decodes a text message.
    ///
    /// Returns `None` when the packet is to be completed by binary messages. What is in the packet shares the buffer of
    /// `text`, except for a name with escapes.
    ///
    /// # Errors
    ///
    /// Everything that is not a well-formed packet, see [`DecodeError`]; a text message where an attachment had to come.
    pub fn decode_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        if self.pending.take().is_some() {
            return Err(DecodeError::UnexpectedText);
        }
        let header = Header::parse(&text, &self.limits)?;
        let kind = self.kind(&text, &header)?;
        let packet = Packet { namespace: header.namespace, query: header.query, kind };
        let Some(expected) = header.attachments else {
            return Ok(Some(packet));
        };
        self.pending = Some(Box::new(Pending { packet, attachments: Vec::new(), expected, bytes: 0 }));
        Ok(None)
    }

    /// Takes a binary message, which is the next attachment of the pending packet.
    ///
    /// Returns the packet when it was the last one.
    ///
    /// # Errors
    ///
    /// No packet is pending, or its attachments have more bytes than allowed.
    pub fn decode_binary(&mut self, data: Bytes) -> Result<Option<Packet>, DecodeError> {
        let mut pending = self.pending.take().ok_or(DecodeError::UnexpectedBinary)?;
        pending.bytes = pending.bytes.saturating_add(data.len());
        if pending.bytes > self.limits.max_attachment_bytes_total {
            return Err(DecodeError::AttachmentsTooLarge);
        }
        pending.attachments.push(data);
        if pending.attachments.len() < pending.expected {
            self.pending = Some(pending);
            return Ok(None);
        }
        let Pending { mut packet, attachments, .. } = *pending;
        if let PacketKind::Event { args, .. } | PacketKind::Ack { args, .. } = &mut packet.kind {
            args.set_attachments(attachments);
        }
        Ok(Some(packet))
    }

    fn kind(&self, text: &ByteString, header: &Header) -> Result<PacketKind, DecodeError> {
        let bytes = text.as_bytes();
        let payload = header.payload;
        if payload == bytes.len() {
            return match header.kind {
                b'0' => Ok(PacketKind::Connect { auth: None }),
                b'1' => Ok(PacketKind::Disconnect),
                _ => Err(DecodeError::InvalidPayload),
            };
        }
        if header.kind == b'1' {
            return Err(DecodeError::InvalidPayload);
        }
        let layout = scanner::value(text, payload, self.limits.max_depth, header.attachments)?;
        let span = layout.span.clone();
        match (header.kind, bytes[span.start]) {
            (b'2' | b'5', b'[') => event(text, header.id, &layout),
            (b'3' | b'6', b'[') => {
                let id = header.id.ok_or(DecodeError::MissingId)?;
                let inside = span.start + 1..span.end - 1;
                let args = RawArgs::from_parts(text, inside, layout.len(), &layout.separators);
                Ok(PacketKind::Ack { id, args })
            }
            (b'0', b'{') => Ok(PacketKind::Connect { auth: Some(text.slice_ref(&text[span])) }),
            (b'4', b'{' | b'"') => Ok(PacketKind::ConnectError { data: text.slice_ref(&text[span]) }),
            _ => Err(DecodeError::InvalidPayload),
        }
    }
}

/// Takes the name off the array of an event.
fn event(text: &ByteString, id: Option<u64>, layout: &Layout) -> Result<PacketKind, DecodeError> {
    let len = layout.len().checked_sub(1).ok_or(DecodeError::InvalidPayload)?;
    let close = layout.span.end - 1;
    let name_end = layout.separators.first().map_or(close, |&comma| comma as usize);
    let raw = text[layout.span.start + 1..name_end].trim_matches(scanner::WHITESPACE);
    let name = match raw.as_bytes().first() {
        Some(b'"') => match escape::unescape(raw) {
            std::borrow::Cow::Borrowed(name) => text.slice_ref(name),
            std::borrow::Cow::Owned(name) => name.into(),
        },
        Some(b'-' | b'0'..=b'9') => text.slice_ref(raw),
        _ => return Err(DecodeError::InvalidPayload),
    };
    if is_reserved(&name) {
        return Err(DecodeError::ReservedEvent(name));
    }
    let args = match layout.separators.split_first() {
        Some((&comma, rest)) => RawArgs::from_parts(text, comma as usize + 1..close, len, rest),
        None => RawArgs::empty(),
    };
    Ok(PacketKind::Event { id, name, args })
}

/// What is before the JSON.
struct Header {
    kind: u8,
    attachments: Option<usize>,
    namespace: ByteString,
    query: Option<ByteString>,
    id: Option<u64>,
    /// Where the JSON begins.
    payload: usize,
}

impl Header {
    fn parse(text: &ByteString, limits: &Limits) -> Result<Self, DecodeError> {
        let bytes = text.as_bytes();
        let kind = match bytes.first() {
            Some(&kind @ b'0'..=b'6') => kind,
            Some(&other) => return Err(DecodeError::UnknownType(other)),
            None => return Err(DecodeError::Empty),
        };
        let mut pos = 1;
        let mut attachments = None;
        if matches!(kind, b'5' | b'6') {
            let (count, end) = digits(bytes, pos);
            if end == pos || bytes.get(end) != Some(&b'-') || count == 0 {
                return Err(DecodeError::AttachmentCount);
            }
            attachments = usize::try_from(count).ok().filter(|&count| count <= limits.max_attachments);
            if attachments.is_none() {
                return Err(DecodeError::TooManyAttachments);
            }
            pos = end + 1;
        }
        let (mut namespace, mut query) = (ByteString::from_static("/"), None);
        if bytes.get(pos) == Some(&b'/') {
            let rest = &text[pos..];
            let len = memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
            let (path, query_text) = match rest[..len].split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (&rest[..len], None),
            };
            namespace = text.slice_ref(path);
            query = query_text.map(|query| text.slice_ref(query));
            pos = (pos + len + 1).min(bytes.len());
        }
        let mut id = None;
        let (number, end) = digits(bytes, pos);
        if end > pos {
            if !matches!(kind, b'2' | b'3' | b'5' | b'6') {
                return Err(DecodeError::UnexpectedId);
            }
            if end - pos > 16 || number > MAX_ID {
                return Err(DecodeError::InvalidId);
            }
            id = Some(number);
        }
        Ok(Self { kind, attachments, namespace, query, id, payload: end })
    }
}

/// The greatest id, which is the greatest integer that a JavaScript peer counts to.
const MAX_ID: u64 = (1 << 53) - 1;

/// The number whose digits begin at `pos`, and where they end. It does not overflow, but stops at the greatest number.
fn digits(bytes: &[u8], mut pos: usize) -> (u64, usize) {
    let mut number = 0_u64;
    while let Some(&digit @ b'0'..=b'9') = bytes.get(pos) {
        number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        pos += 1;
    }
    (number, pos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
        Decoder::new(Limits::default()).decode_text(text.into())
    }

    /// Packets in a form that reads well in a table.
    fn show(packet: &Packet) -> String {
        let kind = match &packet.kind {
            PacketKind::Connect { auth } => format!("connect {}", auth.as_deref().unwrap_or("-")),
            PacketKind::Disconnect => "disconnect".to_owned(),
            PacketKind::Event { id, name, args } => format!("event {id:?} <{name}> {:?}", args.iter().collect::<Vec<_>>()),
            PacketKind::Ack { id, args } => format!("ack {id} {:?}", args.iter().collect::<Vec<_>>()),
            PacketKind::ConnectError { data } => format!("error {data}"),
        };
        format!("{} {kind}", packet.namespace)
    }

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
            (r#"2["a",1e999,12345678901234567890123]"#, r#"/ event None <a> ["1e999", "12345678901234567890123"]"#),
            (r#"2["a",{"_placeholder":true,"num":9}]"#, r#"/ event None <a> ["{\"_placeholder\":true,\"num\":9}"]"#),
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
            ("2-1[\"a\"]", json(2)),
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
            ("21-[\"a\"]", json(2)),
            ("01-{}", UnexpectedId),
        ] {
            assert_eq!(decode(text).unwrap_err(), error, "{text}");
        }
    }

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

    #[test]
    fn limits() {
        let limits = Limits { max_depth: 2, max_attachments: 2, max_attachment_bytes_total: 5 };
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
        assert!(within(&packet.namespace) && within(&name) && within(args.json()));
    }

    #[test]
    fn an_idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 32);
    }
}
