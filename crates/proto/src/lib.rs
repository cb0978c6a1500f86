//! Protocol code of the Wirebird Socket.IO server, without input, output or clocks.
//!
//! | Module | What it is |
//! |---|---|
//! | [`websocket`] | WebSocket frames, the layer below |
//! | [`engine_io`] | Engine.IO 4 and 3: packets, polling bodies, the handshake |
//! | [`socket_io`] | Socket.IO 5: packets with JSON, and the binary that belongs to them; or, with the feature `msgpack`, in MessagePack |
//! | [`value`] | Rust values as arguments, by way of serde |
//! | [`origin`] | Which origins may connect |
//!
//! Everything here takes buffers and gives buffers; what is decoded shares the memory of what was received. Input
//! is never trusted: what is malformed is an error, and limits hold before memory is used.
//!
//! An event, from the message of a client to Rust values and back:
//!
//! ```
//! use wirebird_proto::engine_io;
//! use wirebird_proto::socket_io::{Decoder, Limits, PacketKind, write_ack};
//! use wirebird_proto::value::{decode_args, encode_args};
//!
//! let engine_io::Packet::Text(text) = engine_io::Packet::decode(r#"427["add",1,2]"#.into())? else {
//!     panic!("a text message");
//! };
//! let packet = Decoder::new(Limits::default()).decode_text(text)?.expect("a packet without attachments");
//! let PacketKind::Event { id: Some(id), name, args } = packet.kind else { panic!("an event") };
//! assert_eq!(name, "add");
//! let (a, b): (i64, i64) = decode_args(&args)?;
//!
//! let (mut json, mut attachments, mut reply) = (Vec::new(), Vec::new(), Vec::new());
//! encode_args(&(a + b), &mut json, &mut attachments)?;
//! write_ack(&mut reply, attachments.len(), &packet.namespace, id, &json);
//! assert_eq!(reply, b"37[3]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod engine_io;
pub mod origin;
pub mod socket_io;
pub mod value;
pub mod websocket;
pub mod webtransport;
