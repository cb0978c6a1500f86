//! The parameters of a namespace's name, as values.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};

use crate::extract::{Context, FromContext};

/// The parameters of a namespace that was opened by a [pattern](crate::Server::of_pattern): those of `/chat-{room}`.
///
/// One parameter is taken as such, several as a tuple in the order of the pattern; both also as a struct or map by name.
/// They turn into text, numbers, `bool`, `char` and enums without data. Names are taken as the client sent them: nothing
/// is percent-decoded. What does not fit is an error, as with arguments.
///
/// ```
/// use wirebird::extract::Path;
/// use wirebird::{Server, Socket};
///
/// #[derive(serde::Deserialize)]
/// struct Place {
///     tenant: String,
///     room: u32,
/// }
///
/// let io = Server::new();
/// io.of_pattern("/chat-{room}").on("where", async |Path(room): Path<String>| room);
/// let rooms = io.of_pattern("/{tenant}/room-{room}");
/// rooms.on("where", async |Path((tenant, room)): Path<(String, u32)>| format!("{room} of {tenant}"));
/// rooms.on("number", async |Path(place): Path<Place>| place.room);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<C: Context, T: DeserializeOwned> FromContext<C> for Path<T> {
    fn from_context(context: &C) -> Result<Self, crate::Error> {
        let namespace = &context.socket().0.namespace;
        let Some(params) = namespace.params() else {
            return Err(crate::Error::msg(format_args!(
                "a handler wants Path<{}>, but {:?} was not opened by a pattern (`of_pattern`)",
                std::any::type_name::<T>(),
                namespace.name,
            )));
        };
        let value = T::deserialize(Parameters(params.as_slice()));
        value.map(Self).map_err(|error| {
            crate::Error::msg(format_args!("the parameters of the namespace {:?}: {error}", namespace.name))
        })
    }
}

/// All parameters.
#[derive(Clone, Copy)]
struct Parameters<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Parameters<'a> {
    fn values(self) -> impl Iterator<Item = Parameter<'a>> {
        self.0.iter().map(|(name, text)| Parameter { name, text })
    }

    /// The only one.
    fn single(self) -> Result<Parameter<'a>, Error> {
        match self.0 {
            [(name, text)] => Ok(Parameter { name, text }),
            several => Err(Error::custom(format_args!(
                "there are {}: take them as a tuple, a struct or a map",
                several.len()
            ))),
        }
    }

    fn tuple<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        if self.0.len() != len {
            return Err(Error::custom(format_args!("there are {}, not {len}", self.0.len())));
        }
        visitor.visit_seq(SeqDeserializer::new(self.values()))
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.values().map(|parameter| (parameter.name, parameter));
        visitor.visit_map(MapDeserializer::new(pairs))
    }
}

/// Methods that ask for the only parameter.
macro_rules! single {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.single()?.$method($($argument,)* visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Parameters<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.values()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    single! {
        deserialize_bool() deserialize_char() deserialize_str() deserialize_string() deserialize_bytes()
        deserialize_byte_buf() deserialize_identifier()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

/// One of them.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'de> IntoDeserializer<'de> for Parameter<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Methods that make something else than text of it.
macro_rules! parse {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.text.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Error::custom(format_args!("{:?}, {:?}, is not {}", self.name, self.text, $what))),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Parameter<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.text.as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(StrDeserializer::<Error>::new(self.text))
    }

    parse! {
        deserialize_bool visit_bool bool, "`true` or `false`";
        deserialize_char visit_char char, "one character";
        deserialize_i8 visit_i8 i8, "an i8";
        deserialize_i16 visit_i16 i16, "an i16";
        deserialize_i32 visit_i32 i32, "an i32";
        deserialize_i64 visit_i64 i64, "an i64";
        deserialize_i128 visit_i128 i128, "an i128";
        deserialize_u8 visit_u8 u8, "a u8";
        deserialize_u16 visit_u16 u16, "a u16";
        deserialize_u32 visit_u32 u32, "a u32";
        deserialize_u64 visit_u64 u64, "a u64";
        deserialize_u128 visit_u128 u128, "a u128";
        deserialize_f32 visit_f32 f32, "an f32";
        deserialize_f64 visit_f64 f64, "an f64";
    }

    serde::forward_to_deserialize_any! {
        str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::Deserialize;

    use super::*;
    use crate::dynamic::pattern::Pattern;

    fn decode<T: DeserializeOwned>(pattern: &str, name: &str) -> Result<T, String> {
        let pattern = Pattern::parse(pattern).unwrap();
        let params = pattern.find(name).unwrap();
        T::deserialize(Parameters(params.as_slice())).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn fits<T: DeserializeOwned + PartialEq + Debug>(pattern: &str, name: &str, expected: T) {
        assert_eq!(decode::<T>(pattern, name), Ok(expected));
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Room(u16);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Public,
        Private,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Place {
        id: Room,
        kind: Kind,
        extra: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(Kind, i8);

    /// F-NSP-09: one value, a tuple, a struct, a map.
    #[test]
    fn parameters_turn_into_values() {
        fits("/{id}", "/seven", String::from("seven"));
        fits("/{id}", "/7", 7_u8);
        fits("/{id}", "/-7", -7_i64);
        fits("/{id}", "/340282366920938463463374607431768211455", u128::MAX);
        fits("/{id}", "/0.5", 0.5_f64);
        fits("/{id}", "/true", true);
        fits("/{id}", "/ß", 'ß');
        fits("/{id}", "/7", Room(7));
        fits("/{id}", "/7", Some(7_u8));
        fits("/{id}", "/private", Kind::Private);
        fits("/{id}", "/7", (7_u8,));
        fits("/{id}", "/7", ());
        fits("/{kind}/{id}", "/public/7", (Kind::Public, Room(7)));
        fits("/{kind}/{id}", "/public/-1", Pair(Kind::Public, -1));
        fits("/{kind}/{id}", "/public/7", Place { id: Room(7), kind: Kind::Public, extra: None });
        fits("/{kind}/{id}", "/a/7", vec!["a".to_owned(), "7".to_owned()]);
        let map = [("id".to_owned(), "7".to_owned()), ("kind".to_owned(), "a".to_owned())];
        fits("/{kind}/{id}", "/a/7", BTreeMap::from(map));
        // F-NSP-09: as the client sent it.
        fits("/{id}", "/a%20b+c", String::from("a%20b+c"));
    }

    /// F-NSP-09: what does not fit is told.
    #[test]
    fn what_does_not_fit_is_told() {
        for (error, part) in [
            (decode::<u8>("/{id}", "/256").unwrap_err(), r#""id", "256", is not a u8"#),
            (decode::<Room>("/{id}", "/x").unwrap_err(), r#""id", "x", is not a u16"#),
            (decode::<bool>("/{id}", "/1").unwrap_err(), "`true` or `false`"),
            (decode::<Kind>("/{id}", "/other").unwrap_err(), "unknown variant `other`"),
            (decode::<String>("/{a}/{b}", "/1/2").unwrap_err(), "there are 2: take them as a tuple"),
            (decode::<(u8, u8)>("/{a}", "/1").unwrap_err(), "there are 1, not 2"),
            (decode::<Place>("/{kind}", "/public").unwrap_err(), "missing field `id`"),
            (decode::<Vec<Vec<u8>>>("/{a}", "/1").unwrap_err(), "invalid type"),
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
