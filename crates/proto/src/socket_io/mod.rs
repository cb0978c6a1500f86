//! Socket.IO protocol 5 packets in the default (JSON) format.
//!
//! A packet is `<type>[<attachments>-][<namespace>,][<id>][<json>]`, the data of an Engine.IO message. Binary
//! inside the data is replaced by `{"_placeholder":true,"num":N}` and follows in binary messages of its own,
//! in order.
//!
//! Nothing here builds values: a [`Decoder`] checks the structure once and hands out [`RawArgs`], slices of
//! what was received; [`write_header`] and [`write_event`] put text around arguments that are JSON already.
//! Rust values come in with [`value`](crate::value).
//!
//! Source: the Socket.IO protocol, revision 5, section "Packet encoding".

mod args;
mod decoder;
mod encode;
mod error;
pub(crate) mod escape;
#[cfg(feature = "msgpack")]
pub mod msgpack;
mod packet;
pub(crate) mod scanner;

pub use args::RawArgs;
pub use decoder::{Decoder, Limits};
pub use encode::{HeaderKind, write_ack, write_event, write_header};
pub use error::DecodeError;
pub use packet::{Packet, PacketKind, RESERVED_EVENTS, is_reserved};
