//! Refuses numbers that JSON does not have.
//!
//! `serde_json` writes NaN and infinities as `null`, which its formatters cannot tell from any other `null`. So the
//! serialiser is wrapped: by [`Finite`], which hands everything on, and whatever is inside a value wrapped again.

use std::fmt;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A serialiser that takes no NaN and no infinities, or a part of one, or a value on its way to one.
pub(super) struct Finite<T>(pub(super) T);

#[cold]
fn refused<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("{number} is no number in JSON"))
}

impl<T: Serialize + ?Sized> Serialize for Finite<&T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite(serializer))
    }
}

macro_rules! floats {
    ($($method:ident($float:ty))*) => {$(
        #[inline]
        fn $method(self, number: $float) -> Result<S::Ok, S::Error> {
            if number.is_finite() { self.0.$method(number) } else { Err(refused(number)) }
        }
    )*};
}

macro_rules! handed_on {
    ($($method:ident($($name:ident: $ty:ty),*))*) => {$(
        #[inline]
        fn $method(self, $($name: $ty),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($name),*)
        }
    )*};
}

macro_rules! with_value {
    ($($method:ident($($name:ident: $ty:ty),*))*) => {$(
        #[inline]
        fn $method<T: Serialize + ?Sized>(self, $($name: $ty,)* value: &T) -> Result<S::Ok, S::Error> {
            self.0.$method($($name,)* &Finite(value))
        }
    )*};
}

macro_rules! with_parts {
    ($($method:ident($($name:ident: $ty:ty),*) -> $parts:ident)*) => {$(
        #[inline]
        fn $method(self, $($name: $ty),*) -> Result<Self::$parts, S::Error> {
            self.0.$method($($name),*).map(Finite)
        }
    )*};
}

impl<S: Serializer> Serializer for Finite<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Finite<S::SerializeSeq>;
    type SerializeTuple = Finite<S::SerializeTuple>;
    type SerializeTupleStruct = Finite<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Finite<S::SerializeTupleVariant>;
    type SerializeMap = Finite<S::SerializeMap>;
    type SerializeStruct = Finite<S::SerializeStruct>;
    type SerializeStructVariant = Finite<S::SerializeStructVariant>;

    floats! { serialize_f32(f32) serialize_f64(f64) }

    handed_on! {
        serialize_bool(value: bool) serialize_char(value: char) serialize_str(value: &str) serialize_bytes(value: &[u8])
        serialize_i8(value: i8) serialize_i16(value: i16) serialize_i32(value: i32) serialize_i64(value: i64)
        serialize_u8(value: u8) serialize_u16(value: u16) serialize_u32(value: u32) serialize_u64(value: u64)
        serialize_i128(value: i128) serialize_u128(value: u128) serialize_none() serialize_unit()
        serialize_unit_struct(name: &'static str)
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    with_value! {
        serialize_some()
        serialize_newtype_struct(name: &'static str)
        serialize_newtype_variant(name: &'static str, index: u32, variant: &'static str)
    }

    with_parts! {
        serialize_seq(len: Option<usize>) -> SerializeSeq
        serialize_tuple(len: usize) -> SerializeTuple
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant
        serialize_map(len: Option<usize>) -> SerializeMap
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeStructVariant
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! parts {
    ($($part:ident::$method:ident($($name:ident: $ty:ty),*))*) => {$(
        impl<P: $part> $part for Finite<P> {
            type Ok = P::Ok;
            type Error = P::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $ty,)* value: &T) -> Result<(), P::Error> {
                self.0.$method($($name,)* &Finite(value))
            }

            #[inline]
            fn end(self) -> Result<P::Ok, P::Error> {
                self.0.end()
            }
        }
    )*};
}

parts! {
    SerializeSeq::serialize_element()
    SerializeTuple::serialize_element()
    SerializeTupleStruct::serialize_field()
    SerializeTupleVariant::serialize_field()
    SerializeStruct::serialize_field(key: &'static str)
    SerializeStructVariant::serialize_field(key: &'static str)
}

/// Keys go on as they are: those that are no finite numbers are refused by `serde_json` itself.
impl<P: SerializeMap> SerializeMap for Finite<P> {
    type Ok = P::Ok;
    type Error = P::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), P::Error> {
        self.0.serialize_key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
        self.0.serialize_value(&Finite(value))
    }

    #[inline]
    fn end(self) -> Result<P::Ok, P::Error> {
        self.0.end()
    }
}
