//! Socket.IO packets in MessagePack, as `socket.io-msgpack-parser` for JavaScript and `serializer='msgpack'` of
//! python-socketio write them.
//!
//! A packet is one binary message: a map of `type` (0 to 4), `nsp`, and where there are such, `data` and `id`. Binary is
//! part of it. What handlers see does not differ from JSON: the data becomes [`RawArgs`](super::RawArgs), JSON text with
//! attachments, and is written from it.
//!
//! | MessagePack | JSON of arguments |
//! |---|---|
//! | integers of 64 bits, signed or not | integers |
//! | floating point | numbers with a fraction or an exponent; NaN and infinities, which JSON does not have, are `null` |
//! | `bin` | an attachment, which shares the memory of the message |
//! | extension 0 of fixed length 1, JavaScript's `undefined` | absent from an object, else `null` |
//! | extension 0 of variable length, Node's `ArrayBuffer` | an attachment |
//! | extension 0 of fixed length 8, JavaScript's `Date`; extension -1, the timestamp of MessagePack | text that remembers to be a [`Date`](crate::value::Date) |
//! | any other extension | `{"_ext":type,"data":attachment}` |
//! | keys of maps that are integers | their digits |
//!
//! The other way, such dates become extension 0, extensions of types 1 to 127 become what they were, and integers beyond
//! 64 bits floating point; a number beyond that, such as `1e999`, cannot be written. Of duplicate keys in data the last
//! one counts, as in JSON.
//!
//! Source: the MessagePack specification; notepack.io 2.2, which the JavaScript parser is made of.

mod decode;
mod encode;
mod read;

pub use decode::decode;
pub use encode::encode;

/// The extension of JavaScript's own types.
const JS_EXTENSION: i8 = 0;
/// The extension of timestamps.
const TIMESTAMP: i8 = -1;
/// The members of an object that stands for an extension.
const EXT: &str = "_ext";
const EXT_DATA: &str = "data";

#[cfg(test)]
mod tests;
