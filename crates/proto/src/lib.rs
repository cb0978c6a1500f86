//! Protocol code of the Wirebird Socket.IO server, without input, output or clocks.

pub mod engine_io;
pub mod origin;
pub mod socket_io;
pub mod value;
pub mod websocket;
