//! Escapes in JSON strings, for those parts that are read as text.

use std::borrow::Cow;

/// Decodes a valid JSON string, given with its quotes. A surrogate without its other half becomes U+FFFD.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    // Names and keys are short.
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let replaced = replace_lone_surrogates(raw);
    match serde_json::from_str(replaced.as_deref().unwrap_or(raw)) {
        Ok(text) => Cow::Owned(text),
        // The string has been checked before, hence this is never reached.
        Err(_) => Cow::Borrowed(inner),
    }
}

/// Puts `\ufffd` in the place of each surrogate escape without its other half; `None` when there is none.
///
/// JSON allows such escapes, but there is no Rust string that could hold what they say. `json` is valid JSON.
pub(crate) fn replace_lone_surrogates(json: &str) -> Option<String> {
    const REPLACEMENT: &str = r"\ufffd";
    let bytes = json.as_bytes();
    let mut out = String::new();
    let mut kept = 0;
    let mut pos = 0;
    while let Some(found) = bytes.get(pos..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        pos += found;
        pos += match unit(bytes, pos) {
            Some(0xd800..=0xdbff) if matches!(unit(bytes, pos + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                out.push_str(&json[kept..pos]);
                out.push_str(REPLACEMENT);
                kept = pos + 6;
                6
            }
            Some(_) => 6,
            None => 2,
        };
    }
    if kept == 0 {
        return None;
    }
    out.push_str(&json[kept..]);
    Some(out)
}

/// The UTF-16 code unit of the escape `\uXXXX` at `pos`, if that is what is there.
fn unit(bytes: &[u8], pos: usize) -> Option<u32> {
    let escape = bytes.get(pos..pos + 6)?;
    if !escape.starts_with(br"\u") {
        return None;
    }
    escape[2..].iter().try_fold(0, |unit, &byte| Some(unit << 4 | char::from(byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for (raw, text) in [
            (r#""""#, ""),
            (r#""a€""#, "a€"),
            (r#""a\"\\\/\b\f\n\r\tb""#, "a\"\\/\u{8}\u{c}\n\r\tb"),
            (r#""\u0041\u20ac""#, "A€"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\udc00x""#, "\u{fffd}x"),
            (r#""\ud800\ud83d\ude00\udead""#, "\u{fffd}😀\u{fffd}"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (r#""\\ud800""#, r"\ud800"),
            (r#""\\\ud800""#, "\\\u{fffd}"),
        ] {
            assert_eq!(unescape(raw), text, "{raw}");
        }
    }

    #[test]
    fn only_what_is_lone_is_replaced() {
        assert_eq!(replace_lone_surrogates(r#"["\ud83d\ude00", "\\ud800", 1]"#), None);
        assert_eq!(
            replace_lone_surrogates(r#"["\uD800", "€", "\uDFFF"]"#).as_deref(),
            Some(r#"["\ufffd", "€", "\ufffd"]"#)
        );
    }
}
