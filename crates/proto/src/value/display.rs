//! Values as text for people: JSON, without the bytes of binary.

use std::fmt::{self, Debug, Display, Formatter, Write};

use super::{Map, Value};

/// Bytes of binary that are shown.
const SHOWN: usize = 16;

/// Compact JSON. Binary is a text that tells its size, such as `"<5 bytes>"`. Characters that steer terminals or hide others are
/// escaped.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_value(self, f, false)
    }
}

/// As `Display`, but for binary, whose first bytes are there: `<5 bytes: 01 02 03 04 05>`.
impl Debug for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_value(self, f, true)
    }
}

/// Compact JSON, as [`Value`] writes it.
impl Display for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_members(self, f, false)
    }
}

/// As [`Value`] writes it.
impl Debug for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_members(self, f, true)
    }
}

fn write_value(value: &Value, f: &mut Formatter<'_>, bytes: bool) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Number(value) => write!(f, "{value}"),
        Value::String(value) => write_text(value, f),
        Value::Binary(value) => write_binary(value, f, bytes),
        Value::Array(elements) => {
            f.write_char('[')?;
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    f.write_char(',')?;
                }
                write_value(element, f, bytes)?;
            }
            f.write_char(']')
        }
        Value::Object(members) => write_members(members, f, bytes),
    }
}

fn write_members(members: &Map, f: &mut Formatter<'_>, bytes: bool) -> fmt::Result {
    f.write_char('{')?;
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        write_text(key, f)?;
        f.write_char(':')?;
        write_value(value, f, bytes)?;
    }
    f.write_char('}')
}

fn write_binary(value: &[u8], f: &mut Formatter<'_>, bytes: bool) -> fmt::Result {
    let plural = if value.len() == 1 { "" } else { "s" };
    if !bytes {
        return write!(f, "\"<{} byte{plural}>\"", value.len());
    }
    write!(f, "<{} byte{plural}:", value.len())?;
    for byte in value.iter().take(SHOWN) {
        write!(f, " {byte:02x}")?;
    }
    f.write_str(if value.len() > SHOWN { " …>" } else { ">" })
}

fn write_text(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let json = serde_json::to_string(text).map_err(|_| fmt::Error)?;
    for c in json.chars() {
        // JSON lets through what is not ASCII, of which some steers terminals, hides, or turns text around.
        if c == '\u{7f}' || !c.is_ascii() && c.escape_debug().len() > 1 {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
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
        let value = Value::from(members);
        assert_eq!(format!("{value:?}"), r#"{"five":<5 bytes: 22 5c 00 ff 01>,"one":<1 byte: 78>}"#);
        assert_eq!(
            format!("{:?}", Value::from(Bytes::from(vec![0; 17]))),
            format!("<17 bytes:{} …>", " 00".repeat(16))
        );
        let text = value.to_string();
        assert_eq!(text, r#"{"five":"<5 bytes>","one":"<1 byte>"}"#);
        serde_json::from_str::<Value>(&text).unwrap();
    }

    /// F-LOG-03: what a client sends neither steers a terminal nor hides.
    #[test]
    fn what_steers_terminals_is_escaped() {
        let value = Value::from("\u{1b}[31m\u{9b}x\u{7f}\u{202e}é日\u{e0001}");
        let json = r#""\u001b[31m\u009bx\u007f\u202eé日\udb40\udc01""#;
        assert_eq!((value.to_string(), format!("{value:?}")), (json.to_owned(), json.to_owned()));
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
    }

    /// F-ARG-01: what is received is nested no deeper than can be printed.
    #[test]
    fn the_deepest_that_is_received_is_printed() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(serde_json::from_str::<Value>(&nested(127)).unwrap().to_string(), nested(127));
        assert!(serde_json::from_str::<Value>(&nested(129)).is_err());
    }
}
