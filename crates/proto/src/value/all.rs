//! All arguments, as one value of a type.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::Value;

/// The name under which a type asks the deserialiser of arguments for all of them.
pub(super) const ALL: &str = "$wirebird::all";

/// For a type of your own that is to be all arguments, however many, where
/// [`decode_args`](super::decode_args) decodes it: its values. Any other deserialiser gives those of a list.
///
/// ```
/// use serde::{Deserialize, Deserializer};
/// use wirebird_proto::socket_io::RawArgs;
/// use wirebird_proto::value::{Value, decode_args, deserialize_all};
///
/// struct All(Vec<Value>);
///
/// impl<'de> Deserialize<'de> for All {
///     fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
///         deserialize_all(deserializer).map(Self)
///     }
/// }
///
/// let All(values) = decode_args(&RawArgs::from_json_elements("1,[2]".into(), vec![])?)?;
/// assert_eq!(values, [Value::from(1), Value::from(vec![2])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of the deserialiser.
pub fn deserialize_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    deserializer.deserialize_newtype_struct(ALL, AllVisitor)
}

struct AllVisitor;

impl<'de> Visitor<'de> for AllVisitor {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Vec<Value>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(access))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        Vec::deserialize(deserializer)
    }
}
