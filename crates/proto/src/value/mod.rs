//! Rust values as arguments: serialising, deserialising, and a JSON-like [`Value`] with binary.
//!
//! What an event or an acknowledgement carries is a list of arguments. A tuple is several of them, `()` is
//! none, and any other value is one:
//!
//! ```
//! use wirebird_proto::value::encode_args;
//!
//! let (mut json, mut attachments) = (Vec::new(), Vec::new());
//! let count = encode_args(&("news", vec![1, 2, 3]), &mut json, &mut attachments)?;
//! assert_eq!((count, &*json), (2, &b"\"news\",[1,2,3]"[..]));
//! # Ok::<(), wirebird_proto::value::EncodeError>(())
//! ```
//!
//! Binary at any depth (whatever serde serialises as bytes) leaves the text and becomes an attachment.
//!
//! Source: the Socket.IO protocol, revision 5, section "Packet encoding"; RFC 8259 for the text.

mod all;
mod args;
mod convert;
mod date;
mod de;
mod display;
mod finite;
mod handoff;
mod map;
mod ser;

pub use all::deserialize_all;
pub use args::{
    ArgsError, ArgsErrorCause, decode_all, decode_args, decode_args_counted, decode_value, without_data,
};
pub use convert::BinaryInJson;
pub use date::{Date, ParseDateError};
pub use map::Map;
#[cfg(feature = "msgpack")]
pub(crate) use ser::is_plain;
pub use ser::{EncodeError, encode_args, encode_outcome};

use bytes::Bytes;
use serde_json::Number;

/// Any argument: a JSON value, or binary.
///
/// Numbers are what they are in `serde_json`: integers that fit 64 bits, signed or not, and floating point
/// for all others.
///
/// `Display` and `Debug` write it as compact JSON, with a text such as `"<5 bytes>"` in the place of binary. A
/// `serde_json::Value` is made of it with `TryFrom`, if there is no binary in it.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// Binary, which travels as an attachment. Received binary shares the buffer it came in.
    Binary(Bytes),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Map),
}

/// What indexing finds where there is nothing.
static NULL: Value = Value::Null;

impl Value {
    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Self::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is an integer in the range of `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The number, if it is an integer in the range of `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The number as floating point, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number()?.as_f64()
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The binary data, if it is some.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Binary(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Array(value) => Some(value),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Self::Object(value) => Some(value),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Object(value) => Some(value),
            _ => None,
        }
    }

    /// The member of that name, if it is an object and has one.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The element at `index`, if it is an array and has one.
    pub fn at(&self, index: usize) -> Option<&Self> {
        self.as_array()?.get(index)
    }

    /// Whether there is binary at any depth.
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Binary(_) => true,
            Self::Array(elements) => elements.iter().any(Self::has_binary),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_binary()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors() {
        let value: Value =
            serde_json::from_str(r#"{"a":[1,-1,1.5,true,null,"s"],"big":18446744073709551615}"#).unwrap();
        assert_eq!(value["a"][0].as_u64(), Some(1));
        assert_eq!(value["a"][1].as_i64(), Some(-1));
        assert_eq!(value["a"][1].as_u64(), None);
        assert_eq!(value["a"][2].as_f64(), Some(1.5));
        assert_eq!(value["a"][3].as_bool(), Some(true));
        assert!(value["a"][4].is_null());
        assert_eq!(value["a"][5].as_str(), Some("s"));
        assert_eq!(value["big"].as_u64(), Some(u64::MAX));
        assert_eq!(value["a"].as_array().map(<[Value]>::len), Some(6));
        assert_eq!(value.as_object().map(Map::len), Some(2));
        assert!(value["a"]["no object"].is_null() && value["a"][6].is_null() && value[0].is_null());
        assert_eq!((value.get("b"), value.at(0)), (None, None));
    }

    #[test]
    fn binary_is_found_at_any_depth() {
        let mut members = Map::new();
        members.insert("k", Bytes::from_static(b"x"));
        let value = Value::from(vec![Value::Null, members.into()]);
        assert!(value.has_binary());
        assert_eq!(value[1]["k"].as_binary().map(|data| &**data), Some(&b"x"[..]));
        assert!(!Value::from("x").has_binary());
    }
}
