//! From Rust values to arguments.

use std::any;
use std::cell::Cell;
use std::{fmt, io};

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::Formatter;

use super::finite::Finite;
use super::{Value, date, handoff};

/// Serialises `value` as arguments: appends them to `json`, joined by commas and without brackets, and their
/// binary to `attachments`. Returns how many arguments there are.
///
/// * A tuple is several arguments, `()` is none, everything else is one: a `Vec`, a slice, an array, a struct
///   (also a tuple struct), `None` (which is `null`). Only the outermost tuple counts, inner ones are arrays.
///   References, smart pointers and newtypes are seen through.
/// * serde makes no difference between a tuple and an array of fixed size; it is told by the name of the
///   type. A type of your own that passes serialisation on to an array it contains, other than by a derived
///   newtype, is taken for a tuple. Use a slice there.
/// * What serialises as bytes (such as [`Bytes`]; a `Vec<u8>` does not by itself) becomes the placeholder
///   `{"_placeholder":true,"num":N}` and an attachment, in the order of the text. `N` is its index in
///   `attachments`, hence several calls can share the vectors; the caller puts the comma between.
/// * What looks like a placeholder in the data stays what it is.
/// * NaN and infinities are an error, wherever they are: JSON has no such numbers. A [`Value`] or a `serde_json::Value`
///   has none either; what is made of one has `null` in their place already.
///
/// # Errors
///
/// JSON cannot express the value (NaN, infinities, a map whose keys are neither strings nor numbers), or its own
/// `Serialize` failed. Then `json` and `attachments` are as they were.
pub fn encode_args<T: Serialize + ?Sized>(
    value: &T,
    json: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
) -> Result<usize, EncodeError> {
    let top = Top::default();
    encode(value, &top, json, attachments)?;
    Ok(top.count.get())
}

/// As [`encode_args`], but an outermost `Result` counts as what it holds: `Ok(value)` as `value`, and `Err(error)` as a
/// failure, with the error written in place of the arguments. Returns whether it is arguments.
///
/// # Errors
///
/// As [`encode_args`].
pub fn encode_outcome<T: Serialize + ?Sized>(
    value: &T,
    json: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
) -> Result<bool, EncodeError> {
    let top = Top { sees_results: true, ..Top::default() };
    encode(value, &top, json, attachments)?;
    Ok(!top.failed.get())
}

fn encode<T: Serialize + ?Sized>(
    value: &T,
    top: &Top,
    json: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    let before = (json.len(), attachments.len());
    let formatter = ArgsFormatter { attachments: &mut *attachments, top, depth: 0 };
    let mut serializer = serde_json::Serializer::with_formatter(&mut *json, formatter);
    let result =
        value.serialize(ArgsSerializer { json: Finite(&mut serializer), top, is_array: is_array::<T> });
    match result {
        Ok(()) => Ok(()),
        Err(cause) => {
            json.truncate(before.0);
            attachments.truncate(before.1);
            Err(EncodeError { cause })
        }
    }
}

/// Why a value cannot be serialised as arguments.
#[derive(Debug)]
pub struct EncodeError {
    cause: serde_json::Error,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the data cannot be sent: {}", self.cause)
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Binary(value) => handoff::with_bytes(value, || serializer.serialize_bytes(value)),
            Self::Array(elements) => elements.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// What the outermost level has turned out to be.
struct Top {
    count: Cell<usize>,
    /// It is a tuple, whose brackets are not written.
    bare: Cell<bool>,
    /// A `Result` is what it holds.
    sees_results: bool,
    /// It is an `Err`.
    failed: Cell<bool>,
    /// The bytes that come next are text that needs no escapes.
    plain: Cell<bool>,
}

impl Default for Top {
    fn default() -> Self {
        Self {
            count: Cell::new(1),
            bare: Cell::new(false),
            sees_results: false,
            failed: Cell::new(false),
            plain: Cell::new(false),
        }
    }
}

/// Compact JSON without the brackets of an outermost tuple, and with binary put aside.
struct ArgsFormatter<'a> {
    attachments: &'a mut Vec<Bytes>,
    top: &'a Top,
    depth: usize,
}

impl Formatter for ArgsFormatter<'_> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth == 1 && self.top.bare.get() { Ok(()) } else { writer.write_all(b"[") }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth == 0 && self.top.bare.get() { Ok(()) } else { writer.write_all(b"]") }
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if self.depth == 1 && self.top.bare.get() {
            self.top.count.set(self.top.count.get() + 1);
        }
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"}")
    }

    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, data: &[u8]) -> io::Result<()> {
        if self.top.plain.take() {
            writer.write_all(b"\"")?;
            writer.write_all(data)?;
            return writer.write_all(b"\"");
        }
        if handoff::take_date() {
            return writer.write_all(date::marked(data).as_bytes());
        }
        write!(writer, r#"{{"_placeholder":true,"num":{}}}"#, self.attachments.len())?;
        self.attachments.push(handoff::take_bytes(data));
        Ok(())
    }
}

type Json<'s, 'a> = Finite<&'s mut serde_json::Serializer<&'a mut Vec<u8>, ArgsFormatter<'a>>>;

/// Whether a type of that name is a serialiser that writes arguments.
pub(super) fn writes_args(serializer: &str) -> bool {
    serializer == any::type_name::<Json<'_, '_>>() || serializer == any::type_name::<ArgsSerializer<'_, '_>>()
}

/// The outermost level of a value: tells how many arguments it is, and leaves the rest to `serde_json`.
struct ArgsSerializer<'s, 'a> {
    json: Json<'s, 'a>,
    top: &'a Top,
    /// Whether the type being serialised is an array. Asked only where it matters.
    is_array: fn() -> bool,
}

/// Whether `T` is an array of fixed size, perhaps behind references and smart pointers.
fn is_array<T: ?Sized>() -> bool {
    const TRANSPARENT: [&str; 7] = [
        "&",
        "mut ",
        "alloc::boxed::Box<",
        "alloc::sync::Arc<",
        "alloc::rc::Rc<",
        "alloc::borrow::Cow<",
        "std::borrow::Cow<",
    ];
    let mut name = any::type_name::<T>();
    'outer: loop {
        for prefix in TRANSPARENT {
            if let Some(rest) = name.strip_prefix(prefix) {
                // Some compilers print lifetimes: `&'a T`, `Cow<'a, T>`.
                name = match rest.strip_prefix('\'').and_then(|rest| rest.split_once(' ')) {
                    Some((_, rest)) => rest,
                    None => rest,
                };
                continue 'outer;
            }
        }
        return name.starts_with('[');
    }
}

/// Whether JSON holds the text as it is. Looks at all bytes, so that many are looked at at once.
pub(crate) fn is_plain(text: &str) -> bool {
    let escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    !text.bytes().fold(false, |found, byte| found | escaped(byte))
}

macro_rules! scalar {
    ($($method:ident($ty:ty))*) => {$(
        fn $method(self, value: $ty) -> Result<(), Self::Error> {
            self.json.$method(value)
        }
    )*};
}

impl<'s, 'a> Serializer for ArgsSerializer<'s, 'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = <Json<'s, 'a> as Serializer>::SerializeSeq;
    type SerializeTuple = <Json<'s, 'a> as Serializer>::SerializeTuple;
    type SerializeTupleStruct = <Json<'s, 'a> as Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <Json<'s, 'a> as Serializer>::SerializeTupleVariant;
    type SerializeMap = <Json<'s, 'a> as Serializer>::SerializeMap;
    type SerializeStruct = <Json<'s, 'a> as Serializer>::SerializeStruct;
    type SerializeStructVariant = <Json<'s, 'a> as Serializer>::SerializeStructVariant;

    scalar! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_bytes(&[u8])
        serialize_unit_struct(&'static str)
    }

    fn serialize_str(self, text: &str) -> Result<(), Self::Error> {
        // `serde_json` looks at one byte after the other, which takes long for long text.
        if is_plain(text) {
            self.top.plain.set(true);
            return self.json.serialize_bytes(text.as_bytes());
        }
        self.json.serialize_str(text)
    }

    fn serialize_none(self) -> Result<(), Self::Error> {
        self.json.serialize_none()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(Self { is_array: is_array::<T>, ..self })
    }

    fn serialize_unit(self) -> Result<(), Self::Error> {
        self.top.count.set(0);
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Self::Error> {
        self.json.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(Self { is_array: is_array::<T>, ..self })
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        match (self.top.sees_results && name == "Result", variant) {
            (true, "Ok") => return value.serialize(Self { is_array: is_array::<T>, ..self }),
            (true, "Err") => {
                self.top.failed.set(true);
                return value.serialize(self.json);
            }
            _ => {}
        }
        self.json.serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, Self::Error> {
        self.json.serialize_seq(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, Self::Error> {
        if !(self.is_array)() {
            self.top.bare.set(true);
            self.top.count.set(0);
        }
        self.json.serialize_tuple(len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, Self::Error> {
        self.json.serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, Self::Error> {
        self.json.serialize_tuple_variant(name, index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
        self.json.serialize_map(len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, Self::Error> {
        self.json.serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, Self::Error> {
        self.json.serialize_struct_variant(name, index, variant, len)
    }

    fn collect_str<T: ?Sized + fmt::Display>(self, value: &T) -> Result<(), Self::Error> {
        self.json.collect_str(value)
    }
}

#[cfg(test)]
mod tests;
