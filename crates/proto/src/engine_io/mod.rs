//! Engine.IO protocol 4: packets, polling payloads and the handshake.
//!
//! A packet is a type digit followed by data. WebSocket carries one packet a frame (a binary message is a
//! binary frame without a digit); a polling body carries any number of them, separated by the byte `0x1e`,
//! with binary messages in base64 after the letter `b`.
//!
//! What older clients speak is in [`v3`], polling by script tags in [`jsonp`].
//!
//! Source: the Engine.IO protocol, revision 4, sections "Packet encoding" and "Payload encoding".

pub mod jsonp;
pub mod v3;

mod open;
mod packet;
mod payload;

pub use open::OpenPacket;
pub use packet::{Packet, PacketError, packet_type};
pub use payload::{PayloadPackets, PayloadWriter, SEPARATOR, decode_payload};
