//! The server side of the WebSocket protocol ([RFC 6455]), without sockets and without a clock.
//!
//! * [`accept`] checks an upgrade request; [`response_bytes`] writes the answer for sockets that no HTTP library answers.
//! * [`Decoder`] turns the bytes of a client into [`Event`]s. It works in place: a message that arrived whole is
//!   lent out of the caller's read buffer, and a decoder with nothing half-received owns no heap memory.
//! * [`FrameHeader`] and [`frame()`] write frames. A server's frames are not masked, so the same finished bytes can be
//!   sent to any number of clients.
//!
//! * [`DeflateOptions`] agrees with a client on permessage-deflate ([RFC 7692]), [`Deflater`] compresses messages, and a
//!   decoder [with deflate](Decoder::with_deflate) decompresses them. There is no other extension.
//!
//! ```
//! use wirebird_proto::websocket::{Decoder, Event};
//!
//! let mut decoder = Decoder::new(1_000_000);
//! // The example of RFC 6455, section 5.7: a masked text frame with "Hello", and the start of a second frame.
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81\x85";
//! let decoded = decoder.decode(&mut input)?;
//! assert_eq!(decoded.event, Some(Event::Text("Hello".into())));
//! assert_eq!(decoded.consumed, 11);
//!
//! let decoded = decoder.decode(&mut input[11..])?;
//! assert_eq!(decoded.event, None); // taken in: the buffer is free again
//! assert!(!decoder.is_idle());
//! # Ok::<(), wirebird_proto::websocket::DecodeError>(())
//! ```
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

mod close;
mod decoder;
mod deflate;
mod error;
mod extension;
mod frame;
mod handshake;
mod header;
mod mask;
mod utf8;

pub use close::CloseCode;
pub use decoder::{Decoded, Decoder, Event};
pub use deflate::Deflater;
pub use error::DecodeError;
pub use extension::{DeflateOptions, DeflateParams};
pub use frame::{FrameHeader, MAX_HEADER_LEN, Opcode, close_frame, frame, ping_frame, pong_frame};
pub use handshake::{HandshakeError, accept, is_upgrade, response_bytes};

/// Longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;
