//! The packets of a POST, in each form that its body can have.

use bytes::Bytes;
use wirebird_proto::engine_io::{Packet, PacketError, PayloadPackets, decode_payload, jsonp, v3};

/// What the body of a POST is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A payload of text.
    Text,
    /// A payload in the binary form of protocol 3.
    Binary,
    /// A form of HTML that has a payload of text in it.
    Jsonp,
}

/// The packets, to be decoded one after another.
pub(super) enum Packets {
    V3(v3::Packets),
    V4(PayloadPackets),
}

impl Packets {
    pub(super) fn decode(body: Bytes, form: Form, is_v3: bool) -> Result<Self, PacketError> {
        let body = match form {
            Form::Text => body,
            Form::Binary => return v3::decode_binary_payload(body).map(Self::V3),
            Form::Jsonp => jsonp::decode_form(&body).ok_or(PacketError::Empty)?.into_bytes(),
        };
        if is_v3 { v3::decode_payload(body).map(Self::V3) } else { decode_payload(body).map(Self::V4) }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::V3(packets) => packets.is_done(),
            Self::V4(packets) => packets.is_done(),
        }
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::V3(packets) => packets.next(),
            Self::V4(packets) => packets.next(),
        }
    }
}
