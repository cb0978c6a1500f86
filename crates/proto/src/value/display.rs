//! Values as text for people: JSON, without the bytes of binary.

use std::fmt::{self, Debug, Display, Formatter, Write};

use super::{Map, Value};

/// Compact JSON. Binary is a text that tells its size, such as `"<5 bytes>"`.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::String(value) => write_text(value, f),
            Self::Binary(value) => {
                let plural = if value.len() == 1 { "" } else { "s" };
                write!(f, "\"<{} byte{plural}>\"", value.len())
            }
            Self::Array(elements) => {
                f.write_char('[')?;
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    write!(f, "{element}")?;
                }
                f.write_char(']')
            }
            Self::Object(members) => write!(f, "{members}"),
        }
    }
}

/// As `Display`.
impl Debug for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Compact JSON, as [`Value`] writes it.
impl Display for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (index, (key, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            write_text(key, f)?;
            write!(f, ":{value}")?;
        }
        f.write_char('}')
    }
}

/// As `Display`.
impl Debug for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

fn write_text(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// F-ARG-01: a value is printed as the JSON it is.
    #[test]
    fn it_is_json() {
        let json = r#"{"b":[1,-2.5,18446744073709551615,true,null,{}],"a \"\n\u0001é":"x\\y","c":[]}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!((value.to_string(), format!("{value:?}")), (json.to_owned(), json.to_owned()));
        assert_eq!(format!("{:?}", value.as_object().unwrap()), json);
        assert_eq!(Value::from("x").to_string(), r#""x""#);
    }

    /// F-ARG-05: of binary only the size is printed, and what is printed is still JSON.
    #[test]
    fn binary_is_its_size() {
        let mut members = Map::new();
        members.insert("five", Bytes::from_static(b"\"\\\0\xff\x01"));
        members.insert("one", Bytes::from_static(b"x"));
        let text = Value::from(members).to_string();
        assert_eq!(text, r#"{"five":"<5 bytes>","one":"<1 byte>"}"#);
        serde_json::from_str::<Value>(&text).unwrap();
    }

    /// F-ARG-01: what is received is nested no deeper than can be printed.
    #[test]
    fn the_deepest_that_is_received_is_printed() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(serde_json::from_str::<Value>(&nested(127)).unwrap().to_string(), nested(127));
        assert!(serde_json::from_str::<Value>(&nested(129)).is_err());
    }
}
