//! Outgoing packets: encoded once, framed in place.

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use wirebird_engine::{Outgoing, SharedTail, TextBuilder};
use wirebird_proto::socket_io::{HeaderKind, RawArgs, is_reserved, write_header};
use wirebird_proto::value::{EncodeError, Value, encode_args, encode_outcome};

use crate::error::EmitError;

/// Arguments of an event, ready to be framed: the elements of a JSON array without its brackets, and attachments.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) json: Vec<u8>,
    pub(crate) attachments: Vec<Bytes>,
}

impl Encoded {
    pub(crate) fn event<T: Serialize + ?Sized>(name: &str, data: &T) -> Result<Self, EmitError> {
        let mut encoded = Self::named(name)?;
        let before = encoded.json.len();
        encoded.json.push(b',');
        if encode_args(data, &mut encoded.json, &mut encoded.attachments)? == 0 {
            encoded.json.truncate(before);
        }
        Ok(encoded)
    }

    pub(crate) fn raw_event(name: &str, args: &RawArgs) -> Result<Self, EmitError> {
        let mut encoded = Self::named(name)?;
        if !args.is_empty() {
            encoded.json.push(b',');
            encoded.json.extend_from_slice(args.json().as_bytes());
        }
        encoded.attachments = args.attachments().to_vec();
        Ok(encoded)
    }

    pub(crate) fn args<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        let mut encoded = Self::default();
        encode_args(data, &mut encoded.json, &mut encoded.attachments)?;
        Ok(encoded)
    }

    /// The arguments of an acknowledgement, or the text of the error that `data` is.
    pub(crate) fn outcome<T: Serialize>(data: &T) -> Result<Result<Self, String>, EncodeError> {
        let mut encoded = Self::default();
        if encode_outcome(data, &mut encoded.json, &mut encoded.attachments)? {
            return Ok(Ok(encoded));
        }
        let text = serde_json::from_slice(&encoded.json);
        Ok(Err(text.unwrap_or_else(|_| String::from_utf8_lossy(&encoded.json).into_owned())))
    }

    pub(crate) fn values(values: &[Value]) -> Result<Self, EncodeError> {
        let mut encoded = Self::default();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                encoded.json.push(b',');
            }
            encode_args(value, &mut encoded.json, &mut encoded.attachments)?;
        }
        Ok(encoded)
    }

    pub(crate) fn raw_args(args: &RawArgs) -> Self {
        Self { json: args.json().as_bytes().to_vec(), attachments: args.attachments().to_vec() }
    }

    /// The arguments without the event's name, for other servers.
    pub(crate) fn to_raw_args(&self, name: &str) -> Result<RawArgs, EmitError> {
        let start = serde_json::to_string(name).map_or(0, |name| name.len()) + 1;
        let elements = self.json.get(start..).unwrap_or_default();
        let text = String::from_utf8_lossy(elements).into_owned();
        Ok(RawArgs::from_json_elements(text.into(), self.attachments.clone())?)
    }

    /// The event's name and its arguments, for other servers.
    pub(crate) fn to_event(&self) -> Result<(ByteString, RawArgs), EmitError> {
        let mut names = serde_json::Deserializer::from_slice(&self.json).into_iter::<String>();
        let name = names.next().and_then(Result::ok).unwrap_or_default();
        let args = self.to_raw_args(&name)?;
        Ok((name.into(), args))
    }

    fn named(name: &str) -> Result<Self, EmitError> {
        if is_reserved(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let mut json = Vec::with_capacity(64 + name.len());
        // Text into a vector: neither can fail.
        let _ = serde_json::to_writer(&mut json, name);
        Ok(Self { json, attachments: Vec::new() })
    }

    /// As an event for everybody.
    pub(crate) fn into_event(self, namespace: &str, id: Option<u64>) -> Outgoing {
        let kind = if self.attachments.is_empty() { HeaderKind::Event } else { HeaderKind::BinaryEvent };
        self.frame(kind, namespace, id)
    }

    /// As the acknowledgement of an event.
    pub(crate) fn into_ack(self, namespace: &str, id: u64) -> Outgoing {
        let kind = if self.attachments.is_empty() { HeaderKind::Ack } else { HeaderKind::BinaryAck };
        self.frame(kind, namespace, Some(id))
    }

    fn frame(self, kind: HeaderKind, namespace: &str, id: Option<u64>) -> Outgoing {
        let mut builder = TextBuilder::with_capacity(self.json.len() + namespace.len() + 32);
        let out = builder.buffer();
        write_header(out, kind, self.attachments.len(), namespace, id);
        out.push(b'[');
        out.extend_from_slice(&self.json);
        out.push(b']');
        builder.finish(&self.attachments)
    }

    /// As an event that several recipients share, each with an ack id of its own.
    pub(crate) fn into_shared(self) -> SharedEvent {
        let mut json = Vec::with_capacity(self.json.len() + 2);
        json.push(b'[');
        json.extend_from_slice(&self.json);
        json.push(b']');
        SharedEvent { tail: SharedTail::new(&json, &self.attachments), attachments: self.attachments.len() }
    }
}

/// An event of several recipients whose ack ids differ.
pub(crate) struct SharedEvent {
    tail: SharedTail,
    attachments: usize,
}

impl SharedEvent {
    pub(crate) fn with_id(&self, namespace: &str, id: u64) -> Outgoing {
        let kind = if self.attachments == 0 { HeaderKind::Event } else { HeaderKind::BinaryEvent };
        let mut prefix = Vec::with_capacity(namespace.len() + 24);
        write_header(&mut prefix, kind, self.attachments, namespace, Some(id));
        Outgoing::spliced(&prefix, &self.tail)
    }
}

/// A packet without arguments: CONNECT, DISCONNECT, CONNECT_ERROR.
pub(crate) fn control(kind: HeaderKind, namespace: &str, json: &str) -> Outgoing {
    let mut builder = TextBuilder::with_capacity(json.len() + namespace.len() + 4);
    write_header(builder.buffer(), kind, 0, namespace, None);
    builder.buffer().extend_from_slice(json.as_bytes());
    builder.finish(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &Outgoing) -> String {
        format!("{message:?}")
    }

    #[test]
    fn no_data_is_no_argument() {
        assert_eq!(Encoded::event("a", &()).unwrap().json, b"\"a\"");
        assert_eq!(Encoded::event("a", &(1, "b")).unwrap().json, b"\"a\",1,\"b\"");
        assert_eq!(Encoded::event("a", &vec![1, 2]).unwrap().json, b"\"a\",[1,2]");
        assert_eq!(Encoded::event("a", &None::<u8>).unwrap().json, b"\"a\",null");
    }

    #[test]
    fn reserved_names_are_refused() {
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert!(matches!(Encoded::event(name, &()), Err(EmitError::ReservedName(_))), "{name}");
        }
    }

    #[test]
    fn binary_data_makes_attachments() {
        let encoded = Encoded::event("a", &(Bytes::from_static(&[1]), 2)).unwrap();
        assert_eq!(encoded.attachments.len(), 1);
        assert!(text(&encoded.into_event("/", None)).contains("Frames"));
    }
}
