//! How packets become messages on the wire, and messages packets.
//!
//! The default is JSON with attachments, which every official client speaks. A server can have another [`Parser`] by
//! [`Builder::parser`](crate::Builder::parser), with which all of its clients have to be configured too: the protocol
//! has no way to ask which one the other side uses.
//!
//! A parser sees whole packets; what handlers get and give does not depend on it. Arguments travel between the two as
//! [`RawArgs`]: JSON text, in which placeholders stand for binary.
//!
//! ```
//! use wirebird::parser::{Decoder, Json, Limits, Message, Messages, Packet, Parser};
//! use wirebird::{Error, Server};
//!
//! /// The default, but for a byte of its own before each message.
//! struct Marked;
//!
//! impl Parser for Marked {
//!     fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
//!         let Messages { message, attachments, .. } = Json.encode(packet)?;
//!         let Message::Text(text) = message else { return Err(Error::msg("JSON is text")) };
//!         Ok(Messages::text(format!("!{text}")).with_attachments(attachments))
//!     }
//!
//!     fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
//!         Box::new(MarkedDecoder(Json.decoder(limits)))
//!     }
//! }
//!
//! struct MarkedDecoder(Box<dyn Decoder>);
//!
//! impl Decoder for MarkedDecoder {
//!     fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
//!         let Message::Text(text) = message else { return self.0.decode(message) };
//!         let text = text.strip_prefix('!').ok_or_else(|| Error::msg("a message without its mark"))?;
//!         self.0.decode(Message::Text(text.into()))
//!     }
//! }
//!
//! let io = Server::builder().parser(Marked).build();
//! # drop(io);
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use bytestring::ByteString;
use wirebird_engine::Outgoing;
use wirebird_proto::socket_io::{self, HeaderKind, write_ack, write_event, write_header};

use crate::error::{EmitError, Error};

pub use crate::RawArgs;
pub use wirebird_engine::Message;
pub use wirebird_proto::socket_io::{Limits, Packet, PacketKind};

/// Makes messages of packets, and decoders that make packets of messages. One serves all connections of a server.
///
/// Its calls must be short, and need not be guarded: one that panics has failed.
pub trait Parser: Send + Sync + 'static {
    /// The messages that carry a packet. A broadcast is encoded once; one whose acknowledgements are wanted is encoded
    /// for each recipient, because the ids differ.
    ///
    /// The server sends every kind of packet. CONNECT has `{"sid"}` as its `auth`, but for clients of Engine.IO 3, which get
    /// none.
    ///
    /// # Errors
    /// The packet cannot be expressed: it is not sent, and [`EmitError::Parser`] says why. CONNECT, DISCONNECT and
    /// CONNECT_ERROR should not fail: the client gets them as JSON then, and will hardly understand.
    fn encode(&self, packet: &Packet) -> Result<Messages, Error>;

    /// A decoder for a new connection.
    fn decoder(&self, limits: Limits) -> Box<dyn Decoder>;
}

/// Makes packets of the messages of one connection, which come in order.
pub trait Decoder: Send {
    /// Takes a message; returns a packet when it is complete.
    ///
    /// What comes from the network is not to be trusted: sizes must be checked before memory is used, and what is kept
    /// must have a limit. The server itself checks the namespace, the name of an event and the `auth` of what is
    /// returned.
    ///
    /// # Errors
    /// The message is not what the parser's clients send. The connection is closed with the reason `parse error`; no
    /// message follows.
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error>;
}

/// The messages of one packet: one text or binary message, and binary messages that follow it directly.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Messages {
    /// The first message.
    pub message: Message,
    /// The binary messages after it.
    pub attachments: Vec<Bytes>,
}

impl Messages {
    /// A text message alone.
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self { message: Message::Text(text.into()), attachments: Vec::new() }
    }

    /// A binary message alone.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self { message: Message::Binary(data.into()), attachments: Vec::new() }
    }

    /// Sets the binary messages that follow.
    #[must_use]
    pub fn with_attachments(mut self, attachments: Vec<Bytes>) -> Self {
        self.attachments = attachments;
        self
    }
}

/// The default parser: JSON, with binary in messages of its own. For parsers that stand on it; a server that is given no
/// parser does the same with less work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Parser for Json {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        let mut out = Vec::new();
        let mut attachments = &[][..];
        match &packet.kind {
            PacketKind::Connect { auth } => {
                write_header(&mut out, HeaderKind::Connect, 0, &packet.namespace, None);
                out.extend_from_slice(auth.as_deref().unwrap_or_default().as_bytes());
            }
            PacketKind::Disconnect => {
                write_header(&mut out, HeaderKind::Disconnect, 0, &packet.namespace, None);
            }
            PacketKind::ConnectError { data } => {
                write_header(&mut out, HeaderKind::ConnectError, 0, &packet.namespace, None);
                out.extend_from_slice(data.as_bytes());
            }
            PacketKind::Event { id, name, args } => {
                attachments = args.attachments();
                let elements = args.json().as_bytes();
                write_event(&mut out, attachments.len(), &packet.namespace, *id, name, elements);
            }
            PacketKind::Ack { id, args } => {
                attachments = args.attachments();
                write_ack(&mut out, attachments.len(), &packet.namespace, *id, args.json().as_bytes());
            }
            _ => return Err(Error::msg("an unknown kind of packet")),
        }
        Ok(Messages::text(ByteString::try_from(out)?).with_attachments(attachments.to_vec()))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
        Box::new(socket_io::Decoder::new(limits))
    }
}

impl Decoder for socket_io::Decoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        Ok(match message {
            Message::Text(text) => self.decode_text(text)?,
            Message::Binary(data) => self.decode_binary(data)?,
            _ => None,
        })
    }
}

/// MessagePack, as `socket.io-msgpack-parser` for JavaScript clients and `serializer='msgpack'` for python-socketio's
/// write it: one binary message for each packet, in which binary needs no place of its own. Needs the feature `msgpack`.
///
/// ```
/// use wirebird::{Server, parser::MsgPack};
///
/// let io = Server::builder().parser(MsgPack).build();
/// # drop(io);
/// ```
///
/// ```js
/// const socket = io("https://example.com", { parser: require("socket.io-msgpack-parser") });
/// ```
///
/// ```py
/// client = socketio.Client(serializer="msgpack")
/// ```
///
/// Handlers see no difference to JSON. What JSON has no word for:
///
/// * A JavaScript `Date`, and a timestamp, is text such as `2024-05-06T07:08:09.010Z`; handlers may take it as a
///   [`Date`](crate::Date), and send one that the client gets as a `Date`.
/// * `undefined` is `null` as an argument or in an array, and no member at all in an object.
/// * NaN and infinities that a client sends are `null`. Emitting them is an error, as with JSON.
/// * Integers have 64 bits, and what has more is floating point; JavaScript clients round integers above 2^53.
/// * Other extensions are objects `{"_ext":5,"data":<binary>}`. Such an object with a type from 1 to 127 is sent as that
///   extension.
///
/// Binary counts for [`max_attachments`](crate::Builder::max_attachments) although it is inline, and is not possible in
/// `auth`.
#[cfg(feature = "msgpack")]
#[derive(Debug, Clone, Copy, Default)]
pub struct MsgPack;

#[cfg(feature = "msgpack")]
impl Parser for MsgPack {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        Ok(Messages::binary(socket_io::msgpack::encode(packet)?))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
        Box::new(MsgPackDecoder(limits))
    }
}

#[cfg(feature = "msgpack")]
struct MsgPackDecoder(Limits);

#[cfg(feature = "msgpack")]
impl Decoder for MsgPackDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        match message {
            Message::Binary(data) => Ok(Some(socket_io::msgpack::decode(&data, &self.0)?)),
            _ => Err(socket_io::DecodeError::UnexpectedText.into()),
        }
    }
}

/// What comes in on one connection, one way or the other.
#[derive(Default)]
pub(crate) enum Incoming {
    Json(socket_io::Decoder),
    Parsed(Box<dyn Decoder>),
    /// The decoder is at work, or has failed.
    #[default]
    Away,
}

impl Incoming {
    pub(crate) fn new(parser: Option<&dyn Parser>, limits: Limits) -> Self {
        let Some(parser) = parser else { return Self::Json(socket_io::Decoder::new(limits)) };
        match guarded(|| Ok(parser.decoder(limits))) {
            Ok(decoder) => Self::Parsed(decoder),
            Err(error) => {
                tracing::error!(target: "wirebird::socketio", %error, "the parser made no decoder");
                Self::Away
            }
        }
    }
}

/// Decodes a message by a parser's decoder, and checks what it makes of it.
pub(crate) fn decode(decoder: &mut dyn Decoder, message: Message) -> Result<Option<Packet>, Error> {
    let packet = guarded(|| decoder.decode(message))?;
    if let Some(packet) = &packet {
        packet.check()?;
    }
    Ok(packet)
}

/// Encodes a packet by a parser.
pub(crate) fn encode(parser: &dyn Parser, packet: &Packet) -> Result<Outgoing, EmitError> {
    let Messages { message, attachments } = guarded(|| parser.encode(packet)).map_err(EmitError::Parser)?;
    Ok(Outgoing::with_attachments(&message, &attachments))
}

/// A panic in code of the application ends here.
fn guarded<T>(code: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|payload| Err(Error::panic(&*payload)))
}
