//! The Socket.IO decoder as a state machine: packets, attachments and what does not belong there, in any order, come out
//! as they were written, and what was decoded is encoded to the same bytes.
#![no_main]

use bytes::Bytes;
use bytestring::ByteString;
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use wirebird_proto::socket_io::{Decoder, Limits, Packet, PacketKind, is_reserved, write_ack, write_event};

const MAX_ID: u64 = (1 << 53) - 1;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Event { namespace: Namespace, id: Option<u64>, name: Name<'a>, args: Vec<Json<'a>>, attachments: u8 },
    Ack { namespace: Namespace, id: u64, args: Vec<Json<'a>>, attachments: u8 },
    Connect(Namespace, Option<&'a str>),
    Disconnect(Namespace),
    Attachment(&'a [u8]),
    Text(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Message,
    Reserved,
    Any(&'a str),
}

impl Name<'_> {
    fn as_str(&self) -> &str {
        match self {
            Name::Message => "message",
            Name::Reserved => "disconnecting",
            Name::Any(text) => text,
        }
    }
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Namespace {
    Root,
    Chat,
    Odd,
}

impl Namespace {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Chat => "/chat",
            Self::Odd => "/[\"7é",
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Json<'a> {
    Null,
    Number(i32),
    Text(&'a str),
    Array(Vec<Json<'a>>),
    Object(Vec<(&'a str, Json<'a>)>),
    /// The next attachment, or one by its number.
    Attachment(Option<u8>),
}

impl Json<'_> {
    fn write(&self, out: &mut String, places: &mut Vec<usize>) -> usize {
        match self {
            Json::Null => out.push_str("null"),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::Text(text) => out.push_str(&string(text)),
            Json::Array(items) => {
                out.push('[');
                let depth = join(out, items.iter(), |out, item| item.write(out, places));
                out.push(']');
                return depth + 1;
            }
            Json::Object(pairs) => {
                out.push('{');
                let depth = join(out, pairs.iter(), |out, (name, value)| {
                    // Not to be taken for an attachment.
                    out.push_str(&format!("{}:", string(&format!("{name}."))));
                    value.write(out, places)
                });
                out.push('}');
                return depth + 1;
            }
            Json::Attachment(number) => {
                let number = number.map_or(places.len(), usize::from);
                places.push(number);
                out.push_str(&format!(r#"{{"_placeholder":true,"num":{number}}}"#));
                return 1;
            }
        }
        0
    }
}

fn string(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

/// Writes values with commas between; returns the depth of the deepest.
fn join<T>(
    out: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> usize,
) -> usize {
    let mut deepest = 0;
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        deepest = deepest.max(write(out, item));
    }
    deepest
}

/// A packet that waits for attachments.
struct Pending {
    packet: (Namespace, Option<u64>, Option<String>, String),
    expected: usize,
    attachments: Vec<Bytes>,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let limits = Limits { max_attachment_bytes_total: 100, max_depth: 8, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut pending: Option<Pending> = None;
    for step in &steps {
        let text = |text: &[u8]| ByteString::try_from(text.to_vec()).expect("text");
        match step {
            Step::Event { namespace, id, args, attachments, .. } => {
                let Step::Event { name, .. } = step else { unreachable!() };
                let (elements, valid) = elements(args, *attachments, &limits);
                let valid = valid && !is_reserved(name.as_str()) && id.is_none_or(|id| id <= MAX_ID);
                let mut packet = Vec::new();
                let count = usize::from(*attachments);
                write_event(&mut packet, count, namespace.as_str(), *id, name.as_str(), elements.as_bytes());
                let packet_says = (*namespace, *id, Some(name.as_str().to_owned()), elements);
                begin(&mut decoder, &mut pending, text(&packet), packet_says, count, valid);
            }
            Step::Ack { namespace, id, args, attachments } => {
                let (elements, valid) = elements(args, *attachments, &limits);
                let mut packet = Vec::new();
                let count = usize::from(*attachments);
                write_ack(&mut packet, count, namespace.as_str(), *id, elements.as_bytes());
                let packet_says = (*namespace, Some(*id), None, elements);
                begin(&mut decoder, &mut pending, text(&packet), packet_says, count, valid && *id <= MAX_ID);
            }
            Step::Connect(namespace, auth) => {
                let mut packet = text(b"0").to_string() + namespace.as_str() + ",";
                if let Some(auth) = auth {
                    packet.push_str(&format!(r#"{{"token":{}}}"#, string(auth)));
                }
                let decoded = decoder.decode_text(packet.into());
                match pending.take() {
                    Some(_) => assert!(decoded.is_err()),
                    None => {
                        let packet = decoded.expect("a packet").expect("a whole one");
                        let PacketKind::Connect { auth: got } = packet.kind else { panic!("{packet:?}") };
                        assert_eq!((&*packet.namespace, got.is_some()), (namespace.as_str(), auth.is_some()));
                    }
                }
            }
            Step::Disconnect(namespace) => {
                let decoded = decoder.decode_text(format!("1{},", namespace.as_str()).into());
                match pending.take() {
                    Some(_) => assert!(decoded.is_err()),
                    None => assert!(matches!(decoded.unwrap().unwrap().kind, PacketKind::Disconnect)),
                }
            }
            Step::Attachment(data) => attachment(&mut decoder, &mut pending, data),
            Step::Text(text) => {
                let decoded = decoder.decode_text((*text).into());
                if pending.take().is_some() {
                    assert!(decoded.is_err());
                } else if decoded.is_ok_and(|packet| packet.is_none()) {
                    // It begins a packet that this does not know.
                    decoder.clear();
                }
            }
        }
        assert_eq!(decoder.is_idle(), pending.is_none());
    }
});

/// Arguments in JSON, and whether a packet may have them.
fn elements(args: &[Json<'_>], attachments: u8, limits: &Limits) -> (String, bool) {
    let (mut out, mut places) = (String::new(), Vec::new());
    let depth = join(&mut out, args.iter(), |out, item| item.write(out, &mut places));
    let count = usize::from(attachments);
    let shallow = depth < limits.max_depth;
    // Without attachments a placeholder means nothing.
    let mut once = places.clone();
    once.sort_unstable();
    once.dedup();
    let placed = count == 0 || once.len() == places.len() && places.iter().all(|place| *place < count);
    (out, shallow && placed && count <= limits.max_attachments)
}

fn begin(
    decoder: &mut Decoder,
    pending: &mut Option<Pending>,
    text: ByteString,
    packet: (Namespace, Option<u64>, Option<String>, String),
    expected: usize,
    valid: bool,
) {
    let decoded = decoder.decode_text(text.clone());
    if pending.take().is_some() || !valid {
        assert!(decoded.is_err(), "{text}");
        return;
    }
    let begun = Pending { packet, expected, attachments: Vec::new() };
    match decoded.unwrap_or_else(|error| panic!("{error}: {text}")) {
        Some(packet) => {
            assert_eq!(expected, 0);
            check(&packet, &begun);
        }
        None => {
            assert!(expected > 0);
            *pending = Some(begun);
        }
    }
}

fn attachment(decoder: &mut Decoder, pending: &mut Option<Pending>, data: &[u8]) {
    let decoded = decoder.decode_binary(Bytes::copy_from_slice(data));
    let Some(mut under_way) = pending.take() else { return assert!(decoded.is_err()) };
    under_way.attachments.push(Bytes::copy_from_slice(data));
    if under_way.attachments.iter().map(Bytes::len).sum::<usize>() > 100 {
        return assert!(decoded.is_err());
    }
    match decoded.expect("an attachment") {
        Some(packet) => {
            assert_eq!(under_way.attachments.len(), under_way.expected);
            check(&packet, &under_way);
        }
        None => *pending = Some(under_way),
    }
}

/// What came out is what went in, and it is written as it was.
fn check(packet: &Packet, expected: &Pending) {
    let (namespace, id, name, elements) = &expected.packet;
    assert_eq!(&*packet.namespace, namespace.as_str());
    let (mut again, mut before) = (Vec::new(), Vec::new());
    let count = expected.attachments.len();
    let args = match &packet.kind {
        PacketKind::Event { id: got, name: got_name, args } => {
            assert_eq!((got, Some(got_name.to_string())), (id, name.clone()));
            write_event(&mut again, count, &packet.namespace, *got, got_name, args.json().as_bytes());
            write_event(&mut before, count, namespace.as_str(), *id, got_name, elements.as_bytes());
            args
        }
        PacketKind::Ack { id: got, args } => {
            assert_eq!((Some(*got), None), (*id, name.clone()));
            write_ack(&mut again, count, &packet.namespace, *got, args.json().as_bytes());
            write_ack(&mut before, count, namespace.as_str(), *got, elements.as_bytes());
            args
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((args.json(), args.attachments()), (&**elements, &expected.attachments[..]));
    assert_eq!(again, before);
}
