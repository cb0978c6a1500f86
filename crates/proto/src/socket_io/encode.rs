//! Writing packets around arguments that are JSON already.

/// The types of packets on the wire; the discriminants are the type digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HeaderKind {
    /// Join a namespace, or the confirmation of it.
    Connect = b'0',
    /// Leave a namespace.
    Disconnect = b'1',
    /// An event.
    Event = b'2',
    /// The answer to an event.
    Ack = b'3',
    /// A connection is refused.
    ConnectError = b'4',
    /// An event with attachments.
    BinaryEvent = b'5',
    /// The answer to an event, with attachments.
    BinaryAck = b'6',
}

/// Appends `<type>[<attachments>-][<namespace>,][<id>]`, without an Engine.IO type digit.
///
/// `attachments` is written for the binary types only, where it must be 1 or more. The namespace `/` is
/// omitted, and so is an empty one. A namespace cannot contain a comma, which ends it.
pub fn write_header(
    out: &mut Vec<u8>,
    kind: HeaderKind,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
) {
    out.reserve(1 + 21 + namespace.len() + 1 + 20);
    out.push(kind as u8);
    if matches!(kind, HeaderKind::BinaryEvent | HeaderKind::BinaryAck) {
        write_number(out, attachments as u64);
        out.push(b'-');
    }
    if !matches!(namespace, "/" | "") {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        write_number(out, id);
    }
}

/// Appends an event packet (without an Engine.IO type digit) of the given name and `elements`, arguments in
/// JSON joined by commas.
///
/// It is a binary event when `attachments` is not 0; the attachments themselves are sent after it. The name
/// is not compared with the reserved ones, see [`is_reserved`](super::is_reserved).
pub fn write_event(
    out: &mut Vec<u8>,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
    name: &str,
    elements: &[u8],
) {
    let kind = if attachments == 0 { HeaderKind::Event } else { HeaderKind::BinaryEvent };
    write_header(out, kind, attachments, namespace, id);
    out.reserve(name.len() + elements.len() + 5);
    out.push(b'[');
    write_string(out, name);
    if !elements.is_empty() {
        out.push(b',');
        out.extend_from_slice(elements);
    }
    out.push(b']');
}

/// Appends an acknowledgement (without an Engine.IO type digit) of `elements`, arguments in JSON joined by
/// commas.
///
/// It is a binary one when `attachments` is not 0; the attachments themselves are sent after it.
pub fn write_ack(out: &mut Vec<u8>, attachments: usize, namespace: &str, id: u64, elements: &[u8]) {
    let kind = if attachments == 0 { HeaderKind::Ack } else { HeaderKind::BinaryAck };
    write_header(out, kind, attachments, namespace, Some(id));
    out.reserve(elements.len() + 2);
    out.push(b'[');
    out.extend_from_slice(elements);
    out.push(b']');
}

/// Appends a JSON string.
fn write_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let start = out.len();
        // Neither a string nor a vector can fail; should it ever, the name is an empty one and the JSON stays
        // valid.
        if serde_json::to_writer(&mut *out, text).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"\"\"");
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    // A number into a vector: neither can fail.
    let _ = serde_json::to_writer(out, &number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: HeaderKind, attachments: usize, namespace: &str, id: Option<u64>) -> String {
        let mut out = Vec::new();
        write_header(&mut out, kind, attachments, namespace, id);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn headers() {
        assert_eq!(header(HeaderKind::Connect, 0, "/", None), "0");
        assert_eq!(header(HeaderKind::Connect, 0, "/ns", None), "0/ns,");
        assert_eq!(header(HeaderKind::Disconnect, 0, "/admin", None), "1/admin,");
        assert_eq!(header(HeaderKind::Event, 3, "/", Some(12)), "212");
        assert_eq!(header(HeaderKind::Ack, 0, "/ns", Some(0)), "3/ns,0");
        assert_eq!(header(HeaderKind::ConnectError, 0, "/x", None), "4/x,");
        assert_eq!(header(HeaderKind::BinaryEvent, 1, "/ns", Some(12)), "51-/ns,12");
        assert_eq!(header(HeaderKind::BinaryAck, 10, "", Some(7)), "610-7");
        assert_eq!(header(HeaderKind::Event, 0, "/", Some(u64::MAX)), "218446744073709551615");
    }

    #[test]
    fn packets() {
        let mut out = Vec::new();
        write_event(&mut out, 0, "/", None, "a", b"");
        assert_eq!(out, br#"2["a"]"#);
        out.clear();
        write_event(&mut out, 1, "/n", Some(12), "a\"\n€", br#"1,{"_placeholder":true,"num":0}"#);
        assert_eq!(out, r#"51-/n,12["a\"\n€",1,{"_placeholder":true,"num":0}]"#.as_bytes());
        out.clear();
        write_ack(&mut out, 0, "/", 8, b"");
        write_ack(&mut out, 2, "/ns", 8, b"1,2");
        assert_eq!(out, b"38[]62-/ns,8[1,2]");
    }
}
