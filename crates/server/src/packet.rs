//! Outgoing packets: encoded once, framed in place.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use smol_str::SmolStr;
use wirebird_engine::{Outgoing, SharedTail, TextBuilder};
use wirebird_proto::socket_io::{HeaderKind, Packet, PacketKind, RawArgs, is_reserved, write_header};
use wirebird_proto::value::{EncodeError, Value, encode_args, encode_outcome};

use crate::core::Core;
use crate::error::EmitError;
use crate::guard::clipped;
use crate::parser::{self, Parser};

/// Room for what comes before the arguments: brackets, type, namespace and id. More is possible, and costs a move.
const ROOM: usize = 48;
/// Room for the arguments before the buffer has to grow.
const CAPACITY: usize = 80;

/// Arguments of an event, ready to be framed: the elements of a JSON array without its brackets, and attachments.
#[derive(Debug)]
pub(crate) struct Encoded {
    text: TextBuilder,
    pub(crate) attachments: Vec<Bytes>,
    /// Whether it goes out as it is, whatever was agreed on with its clients.
    uncompressed: bool,
    /// Newer messages with the same key replace it while it waits.
    key: Option<Arc<str>>,
}

impl Encoded {
    fn with_capacity(capacity: usize) -> Self {
        // What is put before the arguments is written behind them first.
        let text = TextBuilder::with_room(ROOM, capacity + ROOM);
        Self { text, attachments: Vec::new(), uncompressed: false, key: None }
    }

    /// Whether it may be compressed. It may by default.
    pub(crate) fn compress(mut self, compress: bool) -> Self {
        self.uncompressed = !compress;
        self
    }

    /// Under which key newer messages replace it, if they do.
    pub(crate) fn conflate(mut self, key: Option<Arc<str>>) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn event<T: Serialize + ?Sized>(name: &str, data: &T) -> Result<Self, EmitError> {
        let mut encoded = Self::named(name, CAPACITY)?;
        let before = encoded.text.buffer().len();
        encoded.text.buffer().push(b',');
        if encode_args(data, encoded.text.buffer(), &mut encoded.attachments)? == 0 {
            encoded.text.buffer().truncate(before);
        }
        Ok(encoded)
    }

    pub(crate) fn raw_event(name: &str, args: &RawArgs) -> Result<Self, EmitError> {
        let mut encoded = Self::named(name, args.json().len())?;
        if !args.is_empty() {
            encoded.text.buffer().push(b',');
            encoded.text.buffer().extend_from_slice(args.json().as_bytes());
        }
        encoded.attachments = args.attachments().to_vec();
        Ok(encoded)
    }

    pub(crate) fn args<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        let mut encoded = Self::with_capacity(CAPACITY);
        encode_args(data, encoded.text.buffer(), &mut encoded.attachments)?;
        Ok(encoded)
    }

    /// The arguments of an acknowledgement, or the text of the error that `data` is.
    pub(crate) fn outcome<T: Serialize>(data: &T) -> Result<Result<Self, String>, EncodeError> {
        let mut encoded = Self::with_capacity(CAPACITY);
        if encode_outcome(data, encoded.text.buffer(), &mut encoded.attachments)? {
            return Ok(Ok(encoded));
        }
        let text = serde_json::from_slice(encoded.json());
        Ok(Err(text.unwrap_or_else(|_| String::from_utf8_lossy(encoded.json()).into_owned())))
    }

    pub(crate) fn values(values: &[Value]) -> Result<Self, EncodeError> {
        let mut encoded = Self::with_capacity(CAPACITY);
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                encoded.text.buffer().push(b',');
            }
            encode_args(value, encoded.text.buffer(), &mut encoded.attachments)?;
        }
        Ok(encoded)
    }

    pub(crate) fn raw_args(args: &RawArgs) -> Self {
        let mut encoded = Self::with_capacity(args.json().len() + 1);
        encoded.text.buffer().extend_from_slice(args.json().as_bytes());
        encoded.attachments = args.attachments().to_vec();
        encoded
    }

    /// The elements, joined by commas.
    pub(crate) fn json(&self) -> &[u8] {
        self.text.text()
    }

    /// The arguments without the event's name, for other servers.
    pub(crate) fn to_raw_args(&self, name: &str) -> Result<RawArgs, EmitError> {
        let start = serde_json::to_string(name).map_or(0, |name| name.len()) + 1;
        self.elements(start)
    }

    /// All elements.
    pub(crate) fn to_args(&self) -> Result<RawArgs, EmitError> {
        self.elements(0)
    }

    /// The elements from byte `start` on.
    fn elements(&self, start: usize) -> Result<RawArgs, EmitError> {
        let elements = self.json().get(start..).unwrap_or_default();
        // JSON always is UTF-8.
        let text = std::str::from_utf8(elements).unwrap_or_default();
        Ok(RawArgs::from_json_elements(text.into(), self.attachments.clone())?)
    }

    /// The event's name and its arguments, for other servers.
    pub(crate) fn to_event(&self) -> Result<(SmolStr, RawArgs), EmitError> {
        let mut names = serde_json::Deserializer::from_slice(self.json()).into_iter::<String>();
        let name = names.next().and_then(Result::ok).unwrap_or_default();
        let args = self.to_raw_args(&name)?;
        Ok((name.into(), args))
    }

    fn named(name: &str, capacity: usize) -> Result<Self, EmitError> {
        if is_reserved(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let mut encoded = Self::with_capacity(name.len() + 4 + capacity);
        // Text into a vector: neither can fail.
        let _ = serde_json::to_writer(encoded.text.buffer(), name);
        Ok(encoded)
    }

    /// As an event for everybody.
    pub(crate) fn into_event(
        self,
        core: &Core,
        namespace: &ByteString,
        id: Option<u64>,
    ) -> Result<Outgoing, EmitError> {
        self.trace(namespace);
        self.pack(core, namespace, id)
    }

    /// As an event that has a last argument more, without a word in the log.
    pub(crate) fn into_event_with(
        mut self,
        core: &Core,
        namespace: &ByteString,
        offset: &str,
    ) -> Result<Outgoing, EmitError> {
        self.text.buffer().extend_from_slice(b",\"");
        self.text.buffer().extend_from_slice(offset.as_bytes());
        self.text.buffer().push(b'"');
        self.pack(core, namespace, None)
    }

    /// With a last argument more if the last one is text: clients would take that for an offset.
    pub(crate) fn without_offset(mut self) -> Self {
        if self.json().last() == Some(&b'"') {
            self.text.buffer().extend_from_slice(b",null");
        }
        self
    }

    fn pack(self, core: &Core, namespace: &ByteString, id: Option<u64>) -> Result<Outgoing, EmitError> {
        core.events.add(1, [1]);
        if let Some(parser) = &core.parser {
            let (name, args) = self.to_event()?;
            let kind = PacketKind::Event { id, name, args };
            let message = parser::encode(&**parser, &Packet::new(namespace.clone(), kind))?;
            return Ok(marked(message, self.uncompressed, self.key));
        }
        let kind = if self.attachments.is_empty() { HeaderKind::Event } else { HeaderKind::BinaryEvent };
        Ok(self.frame(kind, namespace, id))
    }

    /// Says in the log that it goes out.
    pub(crate) fn trace(&self, namespace: &str) {
        tracing::trace!(
            target: "wirebird::socketio",
            nsp = %namespace,
            event = ?clipped(&String::from_utf8_lossy(self.json())),
            attachments = self.attachments.len(),
            "event emitted"
        );
    }

    /// As the acknowledgement of an event.
    pub(crate) fn into_ack(
        self,
        core: &Core,
        namespace: &ByteString,
        id: u64,
    ) -> Result<Outgoing, EmitError> {
        if let Some(parser) = &core.parser {
            let kind = PacketKind::Ack { id, args: self.to_args()? };
            return parser::encode(&**parser, &Packet::new(namespace.clone(), kind));
        }
        let kind = if self.attachments.is_empty() { HeaderKind::Ack } else { HeaderKind::BinaryAck };
        Ok(self.frame(kind, namespace, Some(id)))
    }

    fn frame(mut self, kind: HeaderKind, namespace: &str, id: Option<u64>) -> Outgoing {
        self.text.buffer().push(b']');
        self.text.begin_with(|out| {
            write_header(out, kind, self.attachments.len(), namespace, id);
            out.push(b'[');
        });
        marked(self.text.finish(&self.attachments), self.uncompressed, self.key)
    }

    /// As an event that several recipients share, each with an ack id of its own.
    pub(crate) fn into_shared(mut self, core: &Core, namespace: &str) -> Result<SharedEvent, EmitError> {
        core.events.add(1, [1]);
        self.trace(namespace);
        if let Some(parser) = &core.parser {
            let (name, args) = self.to_event()?;
            let form = Form::Parsed { parser: parser.clone(), name, args };
            return Ok(SharedEvent { form, uncompressed: self.uncompressed });
        }
        self.text.buffer().push(b']');
        self.text.begin_with(|out| out.push(b'['));
        let tail = SharedTail::new(self.json(), &self.attachments);
        let form = Form::Json { tail, attachments: self.attachments.len() };
        Ok(SharedEvent { form, uncompressed: self.uncompressed })
    }
}

fn marked(message: Outgoing, uncompressed: bool, key: Option<Arc<str>>) -> Outgoing {
    let message = if uncompressed { message.uncompressed() } else { message };
    match key {
        Some(key) => message.conflated(key),
        None => message,
    }
}

/// An event of several recipients whose ack ids differ.
pub(crate) struct SharedEvent {
    form: Form,
    uncompressed: bool,
}

enum Form {
    Json { tail: SharedTail, attachments: usize },
    Parsed { parser: Arc<dyn Parser>, name: SmolStr, args: RawArgs },
}

impl SharedEvent {
    pub(crate) fn with_id(&self, namespace: &ByteString, id: u64) -> Result<Outgoing, EmitError> {
        let message = match &self.form {
            Form::Json { tail, attachments } => {
                let kind = if *attachments == 0 { HeaderKind::Event } else { HeaderKind::BinaryEvent };
                let mut prefix = Vec::with_capacity(namespace.len() + 24);
                write_header(&mut prefix, kind, *attachments, namespace, Some(id));
                Outgoing::spliced(&prefix, tail)
            }
            Form::Parsed { parser, name, args } => {
                let kind = PacketKind::Event { id: Some(id), name: name.clone(), args: args.clone() };
                parser::encode(&**parser, &Packet::new(namespace.clone(), kind))?
            }
        };
        Ok(marked(message, self.uncompressed, None))
    }
}

/// A packet without arguments: CONNECT, DISCONNECT, CONNECT_ERROR.
pub(crate) fn control(core: &Core, kind: HeaderKind, namespace: &ByteString, json: &str) -> Outgoing {
    if let Some(parser) = &core.parser {
        match parser::encode(&**parser, &Packet::new(namespace.clone(), control_kind(kind, json))) {
            Ok(message) => return message,
            Err(error) => {
                tracing::error!(target: "wirebird::socketio", %error, "the parser cannot express a packet of the server's");
            }
        }
    }
    let mut builder = TextBuilder::with_capacity(json.len() + namespace.len() + 4);
    write_header(builder.buffer(), kind, 0, namespace, None);
    builder.buffer().extend_from_slice(json.as_bytes());
    builder.finish(&[])
}

fn control_kind(kind: HeaderKind, json: &str) -> PacketKind {
    match kind {
        HeaderKind::Connect => PacketKind::Connect { auth: (!json.is_empty()).then(|| json.into()) },
        HeaderKind::ConnectError => PacketKind::ConnectError { data: json.into() },
        _ => PacketKind::Disconnect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &Outgoing) -> String {
        format!("{message:?}")
    }

    #[test]
    fn no_data_is_no_argument() {
        assert_eq!(Encoded::event("a", &()).unwrap().json(), b"\"a\"");
        assert_eq!(Encoded::event("a", &(1, "b")).unwrap().json(), b"\"a\",1,\"b\"");
        assert_eq!(Encoded::event("a", &vec![1, 2]).unwrap().json(), b"\"a\",[1,2]");
        assert_eq!(Encoded::event("a", &None::<u8>).unwrap().json(), b"\"a\",null");
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
        assert!(text(&encoded.frame(HeaderKind::BinaryEvent, "/", None)).contains("Frames"));
    }
}
