//! From messages to packets.

use bytes::Bytes;
use bytestring::ByteString;
use smol_str::SmolStr;

use super::packet::MAX_ID;
use super::scanner::{self, Layout};
use super::{DecodeError, Packet, PacketKind, RawArgs, escape, is_reserved};

/// What a [`Decoder`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of arrays and objects in the JSON of a packet, the array around the arguments included. At most
    /// 127 are possible; the default is 64.
    pub max_depth: usize,
    /// Arguments of an event or an acknowledgement. The default is 10,000: JavaScript cannot call a function with many more.
    pub max_arguments: usize,
    /// Attachments of one packet. The default is 10, which is also what current JavaScript clients accept.
    pub max_attachments: usize,
    /// Bytes of all attachments of one packet. The default is 10,000,000: ten messages of the default size.
    pub max_attachment_bytes_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 64,
            max_arguments: 10_000,
            max_attachments: 10,
            max_attachment_bytes_total: 10_000_000,
        }
    }
}

impl Limits {
    /// Checks the number of elements in the array of a packet of the given type digit. An event's name is one of them.
    pub(super) fn check_arguments(&self, kind: u8, elements: usize) -> Result<(), DecodeError> {
        let name = usize::from(matches!(kind, b'2' | b'5'));
        if elements > self.max_arguments.saturating_add(name) {
            return Err(DecodeError::TooManyArguments);
        }
        Ok(())
    }
}

/// Decodes the messages of one connection, and puts binary packets together.
///
/// Feed it every Engine.IO message in order. It holds memory only while attachments are awaited. After an
/// error nothing is pending; the connection should be closed.
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

    /// Forgets a packet whose attachments have not all come.
    pub fn clear(&mut self) {
        self.pending = None;
    }

    /// Whether no attachments are awaited.
    pub fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    /// The packet whose attachments are awaited.
    pub fn pending(&self) -> Option<&Packet> {
        self.pending.as_ref().map(|pending| &pending.packet)
    }

    /// Decodes a text message.
    ///
    /// Returns `None` when the packet is to be completed by binary messages. What is in the packet shares the
    /// buffer of `text`, except for the name of an event and the `auth` of a CONNECT.
    ///
    /// # Errors
    ///
    /// Everything that is not a well-formed packet, see [`DecodeError`]; a text message where an attachment
    /// had to come.
    pub fn decode_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        if self.pending.take().is_some() {
            return Err(DecodeError::UnexpectedText);
        }
        let header = Header::parse(&text, &self.limits)?;
        let kind = self.kind(text, &header)?;
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

    fn kind(&self, text: ByteString, header: &Header) -> Result<PacketKind, DecodeError> {
        let payload = header.payload;
        if payload == text.len() {
            return without_payload(header.kind);
        }
        if header.kind == b'1' {
            return Err(DecodeError::InvalidPayload);
        }
        let layout = scanner::value(&text, payload, self.limits.max_depth, header.attachments)?;
        self.limits.check_arguments(header.kind, layout.len())?;
        with_payload(text, header.kind, header.id, &layout)
    }
}

/// A packet of the given type digit that says nothing else.
pub(super) fn without_payload(kind: u8) -> Result<PacketKind, DecodeError> {
    match kind {
        b'0' => Ok(PacketKind::Connect { auth: None }),
        b'1' => Ok(PacketKind::Disconnect),
        _ => Err(DecodeError::InvalidPayload),
    }
}

/// A packet of the given type digit, whose payload is where `layout` says.
pub(super) fn with_payload(
    text: ByteString,
    kind: u8,
    id: Option<u64>,
    layout: &Layout,
) -> Result<PacketKind, DecodeError> {
    let span = layout.span.clone();
    match (kind, text.as_bytes()[span.start]) {
        (b'2' | b'5', b'[') => event(text, id, layout),
        (b'3' | b'6', b'[') => {
            let id = id.ok_or(DecodeError::MissingId)?;
            let inside = span.start + 1..span.end - 1;
            let args = RawArgs::from_parts(text, inside, layout.len(), &layout.separators);
            Ok(PacketKind::Ack { id, args })
        }
        // It may be kept as long as the connection, and the message is not.
        (b'0', b'{') => Ok(PacketKind::Connect { auth: Some(text[span].into()) }),
        (b'4', b'{' | b'"') => Ok(PacketKind::ConnectError { data: text.slice_ref(&text[span]) }),
        _ => Err(DecodeError::InvalidPayload),
    }
}

/// Takes the name off the array of an event.
fn event(text: ByteString, id: Option<u64>, layout: &Layout) -> Result<PacketKind, DecodeError> {
    let len = layout.len().checked_sub(1).ok_or(DecodeError::InvalidPayload)?;
    let close = layout.span.end - 1;
    let name_end = layout.separators.first().map_or(close, |&comma| comma as usize);
    let raw = &text[scanner::trim(&text, layout.span.start + 1..name_end)];
    let name = match raw.as_bytes().first() {
        Some(b'"') => match escape::unescape(raw) {
            std::borrow::Cow::Borrowed(name) => SmolStr::new(name),
            std::borrow::Cow::Owned(name) => name.into(),
        },
        Some(b'-' | b'0'..=b'9') => SmolStr::new(raw),
        _ => return Err(DecodeError::InvalidPayload),
    };
    if is_reserved(&name) {
        return Err(DecodeError::ReservedEvent(name.as_str().into()));
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

/// The number whose digits begin at `pos`, and where they end. It does not overflow, but stops at the
/// greatest number.
fn digits(bytes: &[u8], mut pos: usize) -> (u64, usize) {
    let mut number = 0_u64;
    while let Some(&digit @ b'0'..=b'9') = bytes.get(pos) {
        number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        pos += 1;
    }
    (number, pos)
}

#[cfg(test)]
mod tests;
