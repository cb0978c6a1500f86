//! From arguments to Rust values.

use std::any;
use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Error;

use super::de::ValueSeed;
use super::{Value, all};
use crate::socket_io::RawArgs;
use crate::socket_io::escape::replace_lone_surrogates;

/// Deserialises arguments.
///
/// * A tuple takes them by position; there may be more of them. `()` takes any number. Everything else takes
///   the first one: a `Vec`, an array, a struct (also a tuple struct). What is made by
///   [`deserialize_all`](super::deserialize_all) takes all there are.
/// * An `Option` that has no argument, or `null`, is `None`; as an element of a tuple, too.
/// * A placeholder becomes the binary it stands for, when there are attachments. Otherwise it is an object
///   like any other. [`Bytes`] and other types that deserialise from bytes copy it; [`Value`] shares it.
/// * Of duplicate members of an object the last one counts. Surrogates that are escaped without their other
///   half become U+FFFD. Integers that do not fit 64 bits are floating point.
///
/// Without attachments the JSON goes straight into `T`, which may borrow from `args`.
///
/// # Errors
///
/// An argument is missing or not what `T` expects; the error names it.
pub fn decode_args<'de, T: Deserialize<'de>>(args: &'de RawArgs) -> Result<T, ArgsError> {
    decode_args_counted(args).map(|(data, _)| data)
}

/// As [`decode_args`]; returns how many of the arguments, counted from the first one, `T` has taken, too. The rest was
/// ignored.
///
/// # Errors
///
/// As [`decode_args`].
pub fn decode_args_counted<'de, T: Deserialize<'de>>(args: &'de RawArgs) -> Result<(T, usize), ArgsError> {
    let decode = |by_value| {
        let state = State::default();
        match T::deserialize(Args { args, by_value, state: &state }) {
            Ok(data) => Ok((data, state.taken.get())),
            Err(cause) => Err(state.error(cause)),
        }
    };
    let by_value = !args.attachments().is_empty();
    let result = decode(by_value);
    match &result {
        Err(ArgsError { cause: ArgsErrorCause::Invalid(cause), .. })
            if !by_value && is_lenient(args.json(), cause) =>
        {
            decode(true)
        }
        _ => result,
    }
}

/// Builds the values of all arguments. Binary shares the buffers it came in.
///
/// # Errors
///
/// A number that floating point cannot hold, such as `1e999`.
pub fn decode_all(args: &RawArgs) -> Result<Vec<Value>, ArgsError> {
    args.iter()
        .enumerate()
        .map(|(index, json)| {
            parse_value(json, args.attachments())
                .map_err(|cause| ArgsError { index, cause: ArgsErrorCause::Invalid(cause) })
        })
        .collect()
}

/// Deserialises one JSON text, in which placeholders stand for `attachments` if there are any. The rules are
/// those of [`decode_args`].
///
/// # Errors
///
/// The text is not JSON or not what `T` expects, or a placeholder has no attachment.
pub fn decode_value<T: DeserializeOwned>(json: &str, attachments: &[Bytes]) -> Result<T, Error> {
    if attachments.is_empty() {
        match serde_json::from_str(json) {
            Err(cause) if is_lenient(json, &cause) => {}
            result => return result,
        }
    }
    T::deserialize(parse_value(json, attachments)?)
}

/// Why arguments cannot be deserialised.
#[derive(Debug)]
#[non_exhaustive]
pub struct ArgsError {
    /// The argument, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub cause: ArgsErrorCause,
}

/// What is wrong with an argument.
#[derive(Debug)]
#[non_exhaustive]
pub enum ArgsErrorCause {
    /// There are not so many arguments.
    Missing,
    /// There are more arguments than anybody takes; this is the first of them.
    Unexpected,
    /// It is not what was expected.
    Invalid(Error),
}

impl ArgsError {
    /// The argument at `index` is one that nobody takes.
    pub fn unexpected(index: usize) -> Self {
        Self { index, cause: ArgsErrorCause::Unexpected }
    }
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            ArgsErrorCause::Missing => write!(f, "argument {} is missing", self.index),
            ArgsErrorCause::Unexpected => write!(f, "argument {} is one too many", self.index),
            ArgsErrorCause::Invalid(cause) => write!(f, "argument {}: {}", self.index, without_data(cause)),
        }
    }
}

/// What a deserialisation error says, without what was received: messages of serde quote it, and it may be a secret.
///
/// The error itself, quotations included, is the [`source`](std::error::Error::source) of an [`ArgsError`].
pub fn without_data(error: &Error) -> String {
    let text = error.to_string();
    // What was received may have such words, too.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    // What is wrong with JSON itself is said in fixed words: that a number is out of range.
    if !error.is_data() {
        return text.into();
    }
    if let Some((_, expected)) = text.rsplit_once(", expected ") {
        return format!("expected {expected}");
    }
    let names_only = ["missing field", "duplicate field"].iter().any(|start| text.starts_with(start));
    if names_only { text.into() } else { "it is not what was expected".into() }
}

impl std::error::Error for ArgsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ArgsErrorCause::Missing | ArgsErrorCause::Unexpected => None,
            ArgsErrorCause::Invalid(cause) => Some(cause),
        }
    }
}

/// Whether what `serde_json` has refused is something that goes by way of [`Value`].
fn is_lenient(json: &str, cause: &Error) -> bool {
    if cause.is_data() {
        cause.to_string().starts_with("duplicate field")
    } else {
        replace_lone_surrogates(json).is_some()
    }
}

fn parse_value(json: &str, attachments: &[Bytes]) -> Result<Value, Error> {
    let replaced = replace_lone_surrogates(json);
    let mut deserializer = serde_json::Deserializer::from_str(replaced.as_deref().unwrap_or(json));
    let value = ValueSeed { attachments }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Where deserialising has got to, for the error.
#[derive(Default)]
struct State {
    index: Cell<usize>,
    missing: Cell<bool>,
    /// How many arguments have been looked at.
    taken: Cell<usize>,
}

impl State {
    fn missing(&self) -> Error {
        self.missing.set(true);
        de::Error::custom("missing argument")
    }

    fn error(&self, cause: Error) -> ArgsError {
        let cause = if self.missing.get() { ArgsErrorCause::Missing } else { ArgsErrorCause::Invalid(cause) };
        ArgsError { index: self.index.get(), cause }
    }
}

/// Deserialises all arguments, or the first one, whichever the type asks for.
struct Args<'de, 'a> {
    args: &'de RawArgs,
    by_value: bool,
    state: &'a State,
}

impl<'de, 'a> Args<'de, 'a> {
    fn first(&self) -> Arg<'de, 'a> {
        self.state.taken.set(1);
        Arg { args: self.args, index: 0, by_value: self.by_value, state: self.state }
    }
}

/// Deserialises one argument.
struct Arg<'de, 'a> {
    args: &'de RawArgs,
    index: usize,
    by_value: bool,
    state: &'a State,
}

impl<'de> Arg<'de, '_> {
    fn json(&self) -> Result<&'de str, Error> {
        self.args.get(self.index).ok_or_else(|| self.state.missing())
    }

    /// `null` counts as absent.
    fn is_present(&self) -> bool {
        self.args.get(self.index).is_some_and(|json| json != "null")
    }
}

macro_rules! forward {
    ($to:ident: $($method:ident($($arg:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, Error> {
            forward!(@$to self, $method, visitor $(, $arg)*)
        }
    )*};
    (@first $self:ident, $method:ident, $visitor:ident $(, $arg:ident)*) => {
        $self.first().$method($($arg,)* $visitor)
    };
    (@json $self:ident, $method:ident, $visitor:ident $(, $arg:ident)*) => {{
        let json = $self.json()?;
        if $self.by_value {
            parse_value(json, $self.args.attachments())?.$method($($arg,)* $visitor)
        } else {
            serde_json::Deserializer::from_str(json).$method($($arg,)* $visitor)
        }
    }};
    (all $to:ident) => {
        forward! { $to:
            deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
            deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
            deserialize_f32() deserialize_f64() deserialize_char()
            deserialize_bytes() deserialize_byte_buf() deserialize_seq() deserialize_map() deserialize_identifier()
            deserialize_unit_struct(name: &'static str)
            deserialize_tuple_struct(name: &'static str, len: usize)
            deserialize_struct(name: &'static str, fields: &'static [&'static str])
            deserialize_enum(name: &'static str, variants: &'static [&'static str])
        }
    };
}

impl<'de> Deserializer<'de> for Args<'de, '_> {
    type Error = Error;

    forward!(all first);
    forward! { first: deserialize_str() deserialize_string() }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        // serde makes no difference between a tuple and an array, but the visitor of an array makes an array.
        if any::type_name::<V::Value>().starts_with('[') {
            return self.first().deserialize_tuple(len, visitor);
        }
        visitor.visit_seq(Positional { args: self, next: 0, len })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.state.taken.set(self.args.len());
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.first().is_present() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == all::ALL {
            let len = self.args.len();
            return visitor.visit_seq(Positional { args: self, next: 0, len });
        }
        // Names with a dollar are private arrangements of a type with its deserialiser, such as raw JSON and
        // our own values.
        if name.starts_with('$') {
            return self.first().deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }
}

impl<'de> Deserializer<'de> for Arg<'de, '_> {
    type Error = Error;

    forward!(all json);
    forward! { json: deserialize_tuple(len: usize) }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let json = self.json()?;
        match plain_text(json) {
            Some(text) => visitor.visit_borrowed_str(text),
            None => forward!(@json self, deserialize_str, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let json = self.json()?;
        // Raw JSON is the text as it is, with its placeholders.
        if self.by_value && !name.starts_with("$serde_json") {
            parse_value(json, self.args.attachments())?.deserialize_newtype_struct(name, visitor)
        } else {
            serde_json::Deserializer::from_str(json).deserialize_newtype_struct(name, visitor)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_present() { self.deserialize_any(visitor) } else { visitor.visit_unit() }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_present() { visitor.visit_some(self) } else { visitor.visit_none() }
    }
}

/// What a JSON string without escapes says. It has been scanned: nothing else in it can be special.
fn plain_text(json: &str) -> Option<&str> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', text.as_bytes()).is_none().then_some(text)
}

/// The elements of a tuple.
struct Positional<'de, 'a> {
    args: Args<'de, 'a>,
    next: usize,
    len: usize,
}

impl<'de> SeqAccess<'de> for Positional<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next == self.len {
            return Ok(None);
        }
        let Args { args, by_value, state } = self.args;
        let arg = Arg { args, index: self.next, by_value, state };
        state.index.set(self.next);
        self.next += 1;
        state.taken.set(self.next);
        seed.deserialize(arg).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

#[cfg(test)]
mod tests;
