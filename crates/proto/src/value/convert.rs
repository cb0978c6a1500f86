//! Conversions into [`Value`] and out of it, and indexing.

use std::fmt;
use std::ops::Index;

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::Number;

use super::{Map, NULL, Value};

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Self::Number(value.into())
            }
        }
    )*};
}

from_integer!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// What is not finite becomes null, as in `serde_json`: no [`Value`] holds what could not be sent.
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Number::from_f64(value).map_or(Self::Null, Self::Number)
    }
}

/// What is not finite becomes null, as in `serde_json`: no [`Value`] holds what could not be sent.
impl From<f32> for Value {
    fn from(value: f32) -> Self {
        f64::from(value).into()
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<ByteString> for Value {
    fn from(value: ByteString) -> Self {
        Self::String(value.into())
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Binary(value)
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Object(value)
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(value: Vec<T>) -> Self {
        value.into_iter().collect()
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::Array(elements.into_iter().map(Into::into).collect())
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(value) => Self::Number(value),
            serde_json::Value::String(value) => Self::String(value),
            serde_json::Value::Array(elements) => elements.into_iter().collect(),
            serde_json::Value::Object(members) => {
                Self::Object(members.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

/// Fails if there is binary at any depth.
impl TryFrom<Value> for serde_json::Value {
    type Error = BinaryInJson;

    fn try_from(value: Value) -> Result<Self, BinaryInJson> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(value) => Self::Number(value),
            Value::String(value) => Self::String(value),
            Value::Binary(_) => return Err(BinaryInJson(())),
            Value::Array(elements) => {
                Self::Array(elements.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => Self::Object(
                members
                    .into_iter()
                    .map(|(key, value)| Ok((key, value.try_into()?)))
                    .collect::<Result<_, BinaryInJson>>()?,
            ),
        })
    }
}

/// Why a [`Value`] is no `serde_json::Value`: there is binary in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryInJson(());

impl fmt::Display for BinaryInJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is binary in the value, which JSON does not have")
    }
}

impl std::error::Error for BinaryInJson {}

/// The member of that name; null when it is no object or has no such member.
impl Index<&str> for Value {
    type Output = Self;

    fn index(&self, key: &str) -> &Self {
        self.get(key).unwrap_or(&NULL)
    }
}

/// The element at that index; null when it is no array or is shorter.
impl Index<usize> for Value {
    type Output = Self;

    fn index(&self, index: usize) -> &Self {
        self.at(index).unwrap_or(&NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions() {
        assert_eq!(Value::from(f64::NAN), Value::Null);
        assert_eq!(Value::from(f32::INFINITY), Value::Null);
        assert_eq!(Value::from(1.5_f32).as_f64(), Some(1.5));
        assert_eq!(Value::from(u64::MAX).as_u64(), Some(u64::MAX));
        assert_eq!(Value::from(Some("x")), Value::String("x".to_owned()));
        assert_eq!(Value::from(None::<bool>), Value::from(()));
        assert_eq!(Value::from(vec![1, 2])[1], 2.into());
        let json = serde_json::json!({ "a": [null, true, 1, "x", {}] });
        let value = Value::from(json.clone());
        assert_eq!(serde_json::to_value(&value).unwrap(), json);
        assert_eq!(serde_json::Value::try_from(value), Ok(json));
    }

    /// F-ARG-05: JSON has no binary: a value that holds some does not silently become something else.
    #[test]
    fn binary_does_not_become_json() {
        let mut members = Map::new();
        members.insert("k", vec![Value::Null, Bytes::from_static(b"x").into()]);
        let error = serde_json::Value::try_from(Value::from(members)).unwrap_err();
        assert!(error.to_string().contains("binary"));
    }
}
