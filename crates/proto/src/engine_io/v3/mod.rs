//! Engine.IO protocol 3, which JavaScript clients before version 3 speak.
//!
//! Packets have the type digits of protocol 4, and text messages look the same. What differs is binary, and how
//! packets are put together:
//!
//! | | protocol 3 | protocol 4 |
//! |---|---|---|
//! | binary in text | `b4` and base64 | `b` and base64 |
//! | binary frame of a WebSocket | the byte `0x04`, data | data |
//! | polling body | `<length>:<packet>` for each, or a binary form | packets separated by `0x1e` |
//! | heartbeat | the client pings | the server pings |
//!
//! The length of a packet in a text body counts UTF-16 code units, as JavaScript does. In a binary body each packet is
//! `0x00` (text) or `0x01` (binary), the decimal digits of its length in bytes as bytes from 0 to 9, `0xff`, and the
//! packet; a binary one begins with the byte `0x04`.
//!
//! Source: the Engine.IO protocol, revision 3, sections "Encoding" and "Payload".

mod decode;
mod encode;

pub use decode::{Packets, decode_binary, decode_binary_payload, decode_payload, decode_text};
pub use encode::{PayloadWriter, is_binary_payload};

/// The byte before the data of a binary message.
pub const MESSAGE: u8 = 4;

/// In a binary body, what is before a text packet, before a binary one, and behind the length of either.
const TEXT: u8 = 0;
const BINARY: u8 = 1;
const LENGTH_END: u8 = 0xff;
