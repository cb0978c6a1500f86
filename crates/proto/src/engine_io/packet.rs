//! One Engine.IO packet in its text form.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;

/// The type digits of Engine.IO packets, as the ASCII bytes that are on the wire.
pub mod packet_type {
    /// Handshake, server to client.
    pub const OPEN: u8 = b'0';
    /// The sender wants the session closed.
    pub const CLOSE: u8 = b'1';
    /// Heartbeat, server to client; `2probe` from the client opens an upgrade.
    pub const PING: u8 = b'2';
    /// Answer to a ping.
    pub const PONG: u8 = b'3';
    /// A message.
    pub const MESSAGE: u8 = b'4';
    /// The client switches to the transport it has probed.
    pub const UPGRADE: u8 = b'5';
    /// Ends a held poll; means nothing.
    pub const NOOP: u8 = b'6';
    /// Not a digit: marks a binary message in base64.
    pub const BASE64: u8 = b'b';
}

/// An Engine.IO packet.
///
/// Source: the Engine.IO protocol, revision 4, section "Protocol".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// `0`, the handshake; the text is the JSON of an [`OpenPacket`](super::OpenPacket).
    Open(ByteString),
    /// `1`, close the session.
    Close,
    /// `2`, heartbeat; the text is empty or `probe`.
    Ping(ByteString),
    /// `3`, answer to a heartbeat; the text is empty or `probe`.
    Pong(ByteString),
    /// `4`, a text message.
    Text(ByteString),
    /// A binary message: `b` and base64 in text, a bare binary frame on transports that have them.
    Binary(Bytes),
    /// `5`, switch to the probed transport.
    Upgrade,
    /// `6`, nothing.
    Noop,
}

impl Packet {
    /// Decodes one text frame, or one element of a polling payload.
    ///
    /// The data of the result shares the buffer of `text`; only base64 is copied. Data after the digits of a
    /// close, upgrade or noop packet means nothing and is ignored, as other implementations do. Base64 must
    /// be the standard alphabet with canonical padding; `b` alone is an empty message.
    ///
    /// # Errors
    ///
    /// An empty text, an unknown type and bad base64. The session should end with reason `parse error`.
    pub fn decode(text: ByteString) -> Result<Self, PacketError> {
        let Some(&kind) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        // Every known type is one ASCII byte, so that the rest begins on a character; an unknown one is not
        // sliced.
        let rest = |text: &ByteString| text.slice_ref(&text[1..]);
        Ok(match kind {
            packet_type::MESSAGE => Self::Text(rest(&text)),
            packet_type::BASE64 => {
                let data = STANDARD.decode(&text.as_bytes()[1..]).map_err(|_| PacketError::Base64)?;
                Self::Binary(Bytes::from(data))
            }
            packet_type::PING => Self::Ping(rest(&text)),
            packet_type::PONG => Self::Pong(rest(&text)),
            packet_type::CLOSE => Self::Close,
            packet_type::UPGRADE => Self::Upgrade,
            packet_type::NOOP => Self::Noop,
            packet_type::OPEN => Self::Open(rest(&text)),
            other => return Err(PacketError::UnknownType(other)),
        })
    }

    /// Appends the text form of this packet; binary takes its polling form, `b` and base64.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(data) => write_text(out, packet_type::OPEN, data),
            Self::Close => out.push(packet_type::CLOSE),
            Self::Ping(data) => write_text(out, packet_type::PING, data),
            Self::Pong(data) => write_text(out, packet_type::PONG, data),
            Self::Text(data) => write_text(out, packet_type::MESSAGE, data),
            Self::Binary(data) => write_base64(out, data),
            Self::Upgrade => out.push(packet_type::UPGRADE),
            Self::Noop => out.push(packet_type::NOOP),
        }
    }
}

fn write_text(out: &mut Vec<u8>, kind: u8, data: &str) {
    out.reserve(1 + data.len());
    out.push(kind);
    out.extend_from_slice(data.as_bytes());
}

/// The length of a binary message in its polling form.
pub(super) fn base64_len(data: usize) -> usize {
    1 + data.div_ceil(3) * 4
}

pub(super) fn write_base64(out: &mut Vec<u8>, data: &[u8]) {
    let start = out.len() + 1;
    out.push(packet_type::BASE64);
    out.resize(start + base64_len(data.len()) - 1, 0);
    // The space is exact, hence the only error there is cannot happen; a shorter result is still a valid one.
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Why an Engine.IO packet or payload cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// A frame, a body or an element of a body without a single byte.
    Empty,
    /// The first byte is neither a type digit nor `b`.
    UnknownType(u8),
    /// A binary message is not standard, padded base64.
    Base64,
    /// A polling body is not UTF-8.
    Utf8,
    /// The length of a packet in a polling body of protocol 3 is missing, no number, or not that of a packet.
    Length,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty packet"),
            Self::UnknownType(kind) => write!(f, "unknown packet type {:?}", char::from(*kind)),
            Self::Base64 => f.write_str("binary message is not valid base64"),
            Self::Utf8 => f.write_str("payload is not valid UTF-8"),
            Self::Length => f.write_str("packet without a valid length"),
        }
    }
}

impl std::error::Error for PacketError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Packet, PacketError> {
        Packet::decode(text.into())
    }

    #[test]
    fn every_type() {
        let rows: [(&str, Packet); 14] = [
            (r#"0{"sid":"x"}"#, Packet::Open(r#"{"sid":"x"}"#.into())),
            ("1", Packet::Close),
            ("2", Packet::Ping("".into())),
            ("2probe", Packet::Ping("probe".into())),
            ("3", Packet::Pong("".into())),
            ("3probe", Packet::Pong("probe".into())),
            ("4", Packet::Text("".into())),
            ("4hello", Packet::Text("hello".into())),
            ("4€", Packet::Text("€".into())),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("b", Packet::Binary(Bytes::new())),
            ("bAQIDBA==", Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))),
            ("b+/8=", Packet::Binary(Bytes::from_static(&[0xfb, 0xff]))),
        ];
        for (text, packet) in rows {
            assert_eq!(decode(text).as_ref(), Ok(&packet), "{text}");
            let mut out = b"kept".to_vec();
            packet.encode(&mut out);
            assert_eq!(out, [b"kept", text.as_bytes()].concat());
        }
    }

    #[test]
    fn malformed() {
        assert_eq!(decode(""), Err(PacketError::Empty));
        for text in ["7", "9abc", "a", "B", " 4x", "-1", "\u{1e}", "€", "{"] {
            assert_eq!(decode(text), Err(PacketError::UnknownType(text.as_bytes()[0])), "{text}");
        }
        for text in ["bA", "bAQ", "bAQ=", "b====", "b€", "bAQI_", "bAQ==x", "bAQ==\n", "bAR=="] {
            assert_eq!(decode(text), Err(PacketError::Base64), "{text}");
        }
    }

    #[test]
    fn data_after_a_bare_type_is_ignored() {
        assert_eq!(decode("1bye"), Ok(Packet::Close));
        assert_eq!(decode("5€"), Ok(Packet::Upgrade));
        assert_eq!(decode("6x"), Ok(Packet::Noop));
    }

    #[test]
    fn text_shares_the_buffer() {
        let text = ByteString::from("4shared".to_owned());
        let address = text.as_bytes()[1..].as_ptr();
        let Ok(Packet::Text(data)) = Packet::decode(text) else { panic!("a text message") };
        assert_eq!(data.as_bytes().as_ptr(), address);
    }
}
