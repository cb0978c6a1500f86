//! From packets to MessagePack.

use bytes::Bytes;
use rmp::Marker;
use rmp::encode::{self, ByteBuf};
use smallvec::{SmallVec, smallvec};

use super::{EXT, EXT_DATA, JS_EXTENSION};
use crate::socket_io::scanner::{self, MAX_DEPTH};
use crate::socket_io::{DecodeError, Packet, PacketKind, RawArgs, escape};
use crate::value::Date;

/// Encodes a packet as one message. What a packet does not have is not written: `data` of DISCONNECT, `id` of an event
/// that needs no acknowledgement.
///
/// # Errors
///
/// `auth` or the data of CONNECT_ERROR is not JSON; a number such as `1e999` is beyond floating point; a piece of text or
/// binary, an array or an object has 4 GiB or more.
pub fn encode(packet: &Packet) -> Result<Vec<u8>, DecodeError> {
    let (kind, id) = match &packet.kind {
        PacketKind::Connect { .. } => (0, None),
        PacketKind::Disconnect => (1, None),
        PacketKind::Event { id, .. } => (2, *id),
        PacketKind::Ack { id, .. } => (3, Some(*id)),
        PacketKind::ConnectError { .. } => (4, None),
    };
    let has_data = !matches!(packet.kind, PacketKind::Disconnect | PacketKind::Connect { auth: None });
    let mut out = Writer(ByteBuf::with_capacity(capacity(packet)));
    out.map_len(2 + u32::from(has_data) + u32::from(id.is_some()));
    out.text("type")?;
    out.unsigned(kind);
    out.text("nsp")?;
    out.text(&packet.namespace)?;
    if has_data {
        out.text("data")?;
    }
    match &packet.kind {
        PacketKind::Connect { auth: Some(json) } | PacketKind::ConnectError { data: json } => {
            scanner::value(json, 0, MAX_DEPTH, None)?;
            Json::new(json, &[], &mut out).value()?;
        }
        PacketKind::Event { name, args, .. } => {
            out.array_len(args.len() + 1)?;
            out.text(name)?;
            arguments(args, &mut out)?;
        }
        PacketKind::Ack { args, .. } => {
            out.array_len(args.len())?;
            arguments(args, &mut out)?;
        }
        _ => {}
    }
    if let Some(id) = id {
        out.text("id")?;
        out.unsigned(id);
    }
    Ok(out.0.into_vec())
}

/// About as many bytes as the packet will have.
fn capacity(packet: &Packet) -> usize {
    48 + packet.namespace.len()
        + match &packet.kind {
            PacketKind::Event { args, .. } | PacketKind::Ack { args, .. } => {
                args.json().len() + args.attachments().iter().map(|data| data.len()).sum::<usize>()
            }
            _ => 0,
        }
}

fn arguments(args: &RawArgs, out: &mut Writer) -> Result<(), DecodeError> {
    let mut json = Json::new(args.json(), args.attachments(), out);
    for index in 0..args.len() {
        if index > 0 {
            json.expect(b',')?;
        }
        json.value()?;
    }
    Ok(())
}

/// Writes MessagePack. A vector cannot fail.
struct Writer(ByteBuf);

impl Writer {
    fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    fn unsigned(&mut self, number: u64) {
        let _ = encode::write_uint(&mut self.0, number);
    }

    fn text(&mut self, text: &str) -> Result<(), DecodeError> {
        let _ = encode::write_str_len(&mut self.0, length(text.len())?);
        self.0.as_mut_vec().extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn binary(&mut self, data: &[u8]) -> Result<(), DecodeError> {
        let _ = encode::write_bin_len(&mut self.0, length(data.len())?);
        self.0.as_mut_vec().extend_from_slice(data);
        Ok(())
    }

    fn extension(&mut self, kind: i8, data: &[u8]) -> Result<(), DecodeError> {
        let _ = encode::write_ext_meta(&mut self.0, length(data.len())?, kind);
        self.0.as_mut_vec().extend_from_slice(data);
        Ok(())
    }

    fn map_len(&mut self, len: u32) {
        let _ = encode::write_map_len(&mut self.0, len);
    }

    fn array_len(&mut self, len: usize) -> Result<(), DecodeError> {
        let _ = encode::write_array_len(&mut self.0, length(len)?);
        Ok(())
    }

    /// Puts the length of an array or a map before what was written from `start` on, where one byte is kept for it.
    fn insert_len(&mut self, start: usize, len: usize, is_map: bool) -> Result<(), DecodeError> {
        if let Some(short) = u8::try_from(len).ok().filter(|len| *len < 16) {
            let marker = if is_map { Marker::FixMap(short) } else { Marker::FixArray(short) };
            self.0.as_mut_vec()[start] = marker.to_u8();
            return Ok(());
        }
        let mut header = Self(ByteBuf::new());
        if is_map {
            header.map_len(length(len)?);
        } else {
            header.array_len(len)?;
        }
        self.0.as_mut_vec().splice(start..=start, header.0.into_vec());
        Ok(())
    }
}

fn length(len: usize) -> Result<u32, DecodeError> {
    u32::try_from(len).map_err(|_| DecodeError::TooLong)
}

/// Goes through JSON that is known to be valid, and no deeper than [`MAX_DEPTH`].
struct Json<'a> {
    text: &'a str,
    pos: usize,
    attachments: &'a [Bytes],
    /// Which attachments have been written: each is once, or a small packet could become a large message.
    used: SmallVec<[bool; 16]>,
    out: &'a mut Writer,
}

/// What was written, as far as the object around it has to know.
enum Written {
    True,
    Integer(i64),
    /// The attachment of that number.
    Binary(usize),
    Other,
}

impl<'a> Json<'a> {
    fn new(text: &'a str, attachments: &'a [Bytes], out: &'a mut Writer) -> Self {
        Self { text, pos: 0, attachments, used: smallvec![false; attachments.len()], out }
    }

    fn value(&mut self) -> Result<Written, DecodeError> {
        let start = self.begin();
        let bytes = self.text.as_bytes();
        match bytes.get(start) {
            Some(b'"') => {
                let raw = self.string()?;
                match Date::read_marked(raw) {
                    Some(date) => self.out.extension(JS_EXTENSION, &date.millis().to_be_bytes())?,
                    None => self.out.text(&escape::unescape(raw))?,
                }
            }
            Some(b'[') => return self.array(),
            Some(b'{') => return self.object(),
            Some(b't') => {
                self.pos += 4;
                let _ = encode::write_bool(&mut self.out.0, true);
                return Ok(Written::True);
            }
            Some(b'f') => {
                self.pos += 5;
                let _ = encode::write_bool(&mut self.out.0, false);
            }
            Some(b'n') => {
                self.pos += 4;
                let _ = encode::write_nil(&mut self.out.0);
            }
            Some(b'-' | b'0'..=b'9') => {
                self.pos = scanner::number(bytes, start)?;
                return self.number(&self.text[start..self.pos]);
            }
            _ => return Err(self.error()),
        }
        Ok(Written::Other)
    }

    fn number(&mut self, text: &str) -> Result<Written, DecodeError> {
        if let Ok(number) = text.parse::<u64>() {
            self.out.unsigned(number);
            return Ok(i64::try_from(number).map_or(Written::Other, Written::Integer));
        }
        // A negative zero is floating point.
        if let Some(number) = text.parse().ok().filter(|number| *number != 0) {
            let _ = encode::write_sint(&mut self.out.0, number);
            return Ok(Written::Integer(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => drop(encode::write_f64(&mut self.out.0, number)),
            _ => return Err(DecodeError::NumberTooLarge),
        }
        Ok(Written::Other)
    }

    fn array(&mut self) -> Result<Written, DecodeError> {
        let start = self.open();
        let mut len = 0;
        while !self.closes(b']', len)? {
            self.value()?;
            len += 1;
        }
        self.out.insert_len(start, len, false)?;
        Ok(Written::Other)
    }

    /// An object, or what it stands for.
    fn object(&mut self) -> Result<Written, DecodeError> {
        let start = self.open();
        let (mut len, mut is_placeholder, mut num, mut ext, mut data) = (0, false, None, None, None);
        while !self.closes(b'}', len)? {
            self.begin();
            let raw = self.string()?;
            let key = escape::unescape(raw);
            self.out.text(&key)?;
            self.expect(b':')?;
            let written = self.value()?;
            match (&*key, written) {
                ("_placeholder", written) => is_placeholder = matches!(written, Written::True),
                ("num", Written::Integer(number)) => num = usize::try_from(number).ok(),
                ("num", _) => num = None,
                (EXT, Written::Integer(kind)) => ext = i8::try_from(kind).ok().filter(|kind| *kind > 0),
                (EXT_DATA, Written::Binary(number)) => data = Some(number),
                _ => {}
            }
            len += 1;
        }
        if is_placeholder
            && let Some(number) = num
            && let Some(binary) = self.attachments.get(number)
            && !std::mem::replace(&mut self.used[number], true)
        {
            self.out.0.as_mut_vec().truncate(start);
            self.out.binary(binary)?;
            return Ok(Written::Binary(number));
        }
        if let (2, Some(kind), Some(number)) = (len, ext, data) {
            self.out.0.as_mut_vec().truncate(start);
            self.out.extension(kind, &self.attachments[number])?;
            return Ok(Written::Other);
        }
        self.out.insert_len(start, len, true)?;
        Ok(Written::Other)
    }

    /// Passes over the opening bracket; returns where a byte is kept for the length.
    fn open(&mut self) -> usize {
        self.pos += 1;
        let start = self.out.len();
        self.out.0.as_mut_vec().push(0);
        start
    }

    /// Passes over the closing bracket, or over the comma before the next of several elements.
    fn closes(&mut self, bracket: u8, before: usize) -> Result<bool, DecodeError> {
        let pos = self.begin();
        if self.text.as_bytes().get(pos) == Some(&bracket) {
            self.pos += 1;
            return Ok(true);
        }
        if before > 0 {
            self.expect(b',')?;
        }
        Ok(false)
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        let pos = self.begin();
        if self.text.as_bytes().get(pos) != Some(&byte) {
            return Err(self.error());
        }
        self.pos += 1;
        Ok(())
    }

    /// A string, with its quotes.
    fn string(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.pos;
        if self.text.as_bytes().get(start) != Some(&b'"') {
            return Err(self.error());
        }
        self.pos = scanner::string(self.text.as_bytes(), start + 1)?;
        Ok(&self.text[start..self.pos])
    }

    /// Passes over whitespace.
    fn begin(&mut self) -> usize {
        self.pos = scanner::skip_whitespace(self.text.as_bytes(), self.pos);
        self.pos
    }

    fn error(&self) -> DecodeError {
        DecodeError::InvalidJson { offset: self.pos }
    }
}
