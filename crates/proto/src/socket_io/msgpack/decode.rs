//! From MessagePack to packets.

use std::fmt::Write as _;

use bytes::Bytes;
use bytestring::ByteString;

use super::read::{Extension, Reader, Token};
use super::{EXT, EXT_DATA, JS_EXTENSION, TIMESTAMP};
use crate::socket_io::DecodeError;
use crate::socket_io::decoder::{Limits, with_payload, without_payload};
use crate::socket_io::packet::{MAX_ID, Packet, PacketKind};
use crate::socket_io::scanner::{Layout, MAX_DEPTH, Separators};
use crate::value::{Date, is_plain};

/// Decodes a message, which is a whole packet.
///
/// The limits are those of the default format: levels of nesting from the array of arguments on, pieces of binary and
/// their bytes. Unknown members of the packet are passed over.
///
/// # Errors
///
/// Everything that is not a well-formed packet, bytes after it included; binary in what is not an event or
/// acknowledgement; binary together with an object that looks like a placeholder for it.
pub fn decode(message: &Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(message);
    let Token::Map(members) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
    let (mut kind, mut namespace, mut id, mut data) = (None, None, None, None);
    for _ in 0..members {
        let Token::Text(key) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
        let is_new = match key {
            b"type" => kind.replace(packet_type(reader.token()?)?).is_none(),
            b"nsp" => namespace.replace(packet_namespace(&mut reader)?).is_none(),
            b"id" => id.replace(packet_id(reader.token()?)?).is_none(),
            b"data" => data.replace(Data::read(&mut reader, message, limits)?).is_none(),
            _ => reader.skip().map(|()| true)?,
        };
        if !is_new {
            return Err(DecodeError::InvalidPayload);
        }
    }
    if !reader.is_at_end() {
        return Err(reader.error());
    }
    let kind = kind.ok_or(DecodeError::InvalidPayload)?;
    let (namespace, query) = namespace.ok_or(DecodeError::InvalidNamespace)?;
    let id = id.flatten();
    if id.is_some() && !matches!(kind, b'2' | b'3') {
        return Err(DecodeError::UnexpectedId);
    }
    let kind = match data.flatten() {
        Some(data) => data.into_kind(kind, id)?,
        None => without_payload(kind)?,
    };
    Ok(Packet { namespace, query, kind })
}

/// The digit that stands for the type in the default format.
fn packet_type(token: Token<'_>) -> Result<u8, DecodeError> {
    match token {
        Token::Unsigned(kind @ 0..=4) => Ok(b'0' + kind as u8),
        Token::Unsigned(kind @ 5..=9) => Err(DecodeError::UnknownType(b'0' + kind as u8)),
        _ => Err(DecodeError::InvalidPayload),
    }
}

/// The namespace and its query.
fn packet_namespace(reader: &mut Reader<'_>) -> Result<(ByteString, Option<ByteString>), DecodeError> {
    let Token::Text(namespace) = reader.token()? else { return Err(DecodeError::InvalidNamespace) };
    let namespace = text(namespace).ok_or_else(|| reader.error())?;
    let (path, query) = match namespace.split_once('?') {
        Some((path, query)) => (path, Some(query.into())),
        None => (namespace, None),
    };
    match path {
        "/" => Ok((ByteString::from_static("/"), query)),
        _ if path.starts_with('/') && !path.contains(',') => Ok((path.into(), query)),
        _ => Err(DecodeError::InvalidNamespace),
    }
}

fn packet_id(token: Token<'_>) -> Result<Option<u64>, DecodeError> {
    match token {
        Token::Unsigned(id) if id <= MAX_ID => Ok(Some(id)),
        token if token == Token::Nil || is_undefined(&token) => Ok(None),
        _ => Err(DecodeError::InvalidId),
    }
}

fn is_undefined(token: &Token<'_>) -> bool {
    matches!(token, Token::Extension(Extension { kind: JS_EXTENSION, data: [_], is_fixed: true }))
}

fn text(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// The data of a packet, as JSON text and attachments.
struct Data<'a> {
    message: &'a Bytes,
    limits: &'a Limits,
    json: String,
    /// The commas of the outermost array.
    separators: Separators,
    /// Whether the outermost array has no element.
    empty: bool,
    attachments: Vec<&'a [u8]>,
    attachment_bytes: usize,
    /// An object was met that would be taken for a placeholder if there are attachments.
    has_fakes: bool,
}

/// Room for the JSON of small packets.
const CAPACITY: usize = 1024;

impl<'a> Data<'a> {
    /// `None` when there is nothing: nil, or undefined.
    fn read(
        reader: &mut Reader<'a>,
        message: &'a Bytes,
        limits: &'a Limits,
    ) -> Result<Option<Self>, DecodeError> {
        let token = reader.token()?;
        if token == Token::Nil || is_undefined(&token) {
            return Ok(None);
        }
        let mut data = Self {
            message,
            limits,
            json: String::with_capacity(message.len().min(CAPACITY)),
            separators: Separators::new(),
            empty: matches!(token, Token::Array(0) | Token::Map(0)),
            attachments: Vec::new(),
            attachment_bytes: 0,
            has_fakes: false,
        };
        data.value(reader, token, 0)?;
        Ok(Some(data))
    }

    fn into_kind(self, kind: u8, id: Option<u64>) -> Result<PacketKind, DecodeError> {
        if self.has_fakes && !self.attachments.is_empty() {
            return Err(DecodeError::IllegalAttachments);
        }
        if u32::try_from(self.json.len()).is_err() {
            return Err(DecodeError::TooLong);
        }
        let layout = Layout { span: 0..self.json.len(), separators: self.separators, empty: self.empty };
        let mut kind = with_payload(self.json.into(), kind, id, &layout)?;
        // Whoever keeps a small piece of a large message does not want to keep the message.
        let share = self.attachment_bytes >= self.message.len() / 2;
        let attachment =
            |data| if share { self.message.slice_ref(data) } else { Bytes::copy_from_slice(data) };
        match &mut kind {
            PacketKind::Event { args, .. } | PacketKind::Ack { args, .. } => {
                args.set_attachments(self.attachments.into_iter().map(attachment).collect());
            }
            _ if !self.attachments.is_empty() => return Err(DecodeError::InvalidPayload),
            _ => {}
        }
        Ok(kind)
    }

    /// Writes the value that begins with `token`, inside of so many arrays and maps. Returns false when it is
    /// undefined, and writes null.
    fn value(
        &mut self,
        reader: &mut Reader<'a>,
        token: Token<'a>,
        depth: usize,
    ) -> Result<bool, DecodeError> {
        match token {
            Token::Nil => self.json.push_str("null"),
            Token::Bool(true) => self.json.push_str("true"),
            Token::Bool(false) => self.json.push_str("false"),
            Token::Unsigned(_) | Token::Negative(_) => self.integer(&token),
            Token::Float(number) if number.is_finite() => {
                // Unlike `Display` this has an exponent where there would be many digits, and always a fraction
                // otherwise.
                let _ = write!(self.json, "{number:?}");
            }
            Token::Float(_) => self.json.push_str("null"),
            Token::Text(bytes) => {
                self.text(text(bytes).ok_or_else(|| reader.error())?);
            }
            Token::Binary(data) => self.binary(data)?,
            Token::Array(len) => self.array(reader, len, depth)?,
            Token::Map(len) => self.map(reader, len, depth)?,
            Token::Extension(_) if is_undefined(&token) => {
                self.json.push_str("null");
                return Ok(false);
            }
            Token::Extension(extension) => self.extension(reader, extension)?,
        }
        Ok(true)
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        } else {
            // Text can always be written.
            self.json.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into()));
        }
    }

    fn integer(&mut self, token: &Token<'_>) {
        let _ = match token {
            Token::Unsigned(number) => write!(self.json, "{number}"),
            Token::Negative(number) => write!(self.json, "{number}"),
            _ => Ok(()),
        };
    }

    fn array(&mut self, reader: &mut Reader<'a>, len: u32, depth: usize) -> Result<(), DecodeError> {
        self.enter(depth)?;
        if depth == 0 {
            // Of the kind of packet that may have most.
            self.limits.check_arguments(b'2', len as usize)?;
        }
        self.json.push('[');
        for index in 0..len {
            if index > 0 {
                if depth == 0 {
                    let comma = u32::try_from(self.json.len()).map_err(|_| DecodeError::TooLong)?;
                    self.separators.push(comma);
                }
                self.json.push(',');
            }
            let token = reader.token()?;
            self.value(reader, token, depth + 1)?;
        }
        self.json.push(']');
        Ok(())
    }

    fn map(&mut self, reader: &mut Reader<'a>, len: u32, depth: usize) -> Result<(), DecodeError> {
        self.enter(depth)?;
        self.json.push('{');
        let mut first = true;
        for _ in 0..len {
            let before = self.json.len();
            if !first {
                self.json.push(',');
            }
            let key = reader.token()?;
            match key {
                Token::Text(bytes) => {
                    self.text(text(bytes).ok_or_else(|| reader.error())?);
                }
                Token::Unsigned(_) | Token::Negative(_) => {
                    self.json.push('"');
                    self.integer(&key);
                    self.json.push('"');
                }
                _ => return Err(DecodeError::InvalidPayload),
            }
            self.json.push(':');
            let value = reader.token()?;
            self.has_fakes |= key == Token::Text(b"_placeholder") && value == Token::Bool(true);
            if self.value(reader, value, depth + 1)? {
                first = false;
            } else {
                self.json.truncate(before);
            }
        }
        self.json.push('}');
        Ok(())
    }

    fn enter(&self, depth: usize) -> Result<(), DecodeError> {
        if depth < self.limits.max_depth.min(MAX_DEPTH) { Ok(()) } else { Err(DecodeError::TooDeep) }
    }

    fn binary(&mut self, data: &'a [u8]) -> Result<(), DecodeError> {
        if self.attachments.len() >= self.limits.max_attachments {
            return Err(DecodeError::TooManyAttachments);
        }
        self.attachment_bytes += data.len();
        if self.attachment_bytes > self.limits.max_attachment_bytes_total {
            return Err(DecodeError::AttachmentsTooLarge);
        }
        let _ = write!(self.json, r#"{{"_placeholder":true,"num":{}}}"#, self.attachments.len());
        self.attachments.push(data);
        Ok(())
    }

    fn extension(&mut self, reader: &Reader<'_>, extension: Extension<'a>) -> Result<(), DecodeError> {
        let Extension { kind, data, is_fixed } = extension;
        let moment = match (kind, <[u8; 8]>::try_from(data)) {
            (JS_EXTENSION, Ok(millis)) if is_fixed => (i64::from_be_bytes(millis), 0),
            // An `ArrayBuffer` in Node.
            (JS_EXTENSION, _) if !is_fixed => return self.binary(data),
            (TIMESTAMP, _) => timestamp(data).ok_or_else(|| reader.error())?,
            _ => {
                let _ = write!(self.json, r#"{{"{EXT}":{kind},"{EXT_DATA}":"#);
                self.binary(data)?;
                self.json.push('}');
                return Ok(());
            }
        };
        match Date::from_millis(moment.0) {
            Some(date) => date.write_marked(moment.1, &mut self.json),
            // As an invalid date in JavaScript's own JSON.
            None => self.json.push_str("null"),
        }
        Ok(())
    }
}

/// The milliseconds of a timestamp, and the nanoseconds beyond.
fn timestamp(data: &[u8]) -> Option<(i64, u32)> {
    let (seconds, nanos) = if let Ok(seconds) = data.try_into() {
        (u32::from_be_bytes(seconds).into(), 0)
    } else if let Ok(both) = data.try_into() {
        let both = u64::from_be_bytes(both);
        ((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
    } else {
        let (nanos, seconds) = data.split_first_chunk()?;
        (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanos))
    };
    let millis = seconds.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000));
    (nanos < 1_000_000_000).then_some((millis, nanos % 1_000_000))
}
