//! Checks JSON and finds the arguments in it, in one pass, without recursion and without building anything.

use std::ops::Range;

use smallvec::SmallVec;

use super::{DecodeError, escape};

/// What JSON regards as whitespace.
pub(crate) const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Levels of arrays and objects that can be scanned at all. It is what `serde_json` decodes.
pub(super) const MAX_DEPTH: usize = 127;

/// The commas between the elements of the outermost array, as offsets in the text.
pub(super) type Separators = SmallVec<[u32; 8]>;

/// Where things are in a JSON text.
#[derive(Debug)]
pub(super) struct Layout {
    /// The value without whitespace around it.
    pub(super) span: Range<usize>,
    /// The commas of the outermost array, if that is what the value is.
    pub(super) separators: Separators,
    /// Whether the outermost array or object is empty.
    pub(super) empty: bool,
}

impl Layout {
    /// How many elements the outermost array has.
    pub(super) fn len(&self) -> usize {
        if self.empty { 0 } else { self.separators.len() + 1 }
    }
}

/// Checks that `text` from byte `start` on is one JSON text.
///
/// With `attachments`, each placeholder has to refer to one of that many. Without, objects that look like placeholders mean
/// nothing.
pub(super) fn value(
    text: &str,
    start: usize,
    max_depth: usize,
    attachments: Option<usize>,
) -> Result<Layout, DecodeError> {
    match attachments {
        None => scan::<false>(text, start, max_depth, false, 0),
        Some(count) => scan::<true>(text, start, max_depth, false, count),
    }
}

/// Checks that `text` is the inside of a JSON array: any number of JSON texts joined by commas.
pub(super) fn elements(
    text: &str,
    max_depth: usize,
    attachments: Option<usize>,
) -> Result<Layout, DecodeError> {
    match attachments {
        None => scan::<false>(text, 0, max_depth, true, 0),
        Some(count) => scan::<true>(text, 0, max_depth, true, count),
    }
}

/// The scanner. `open` says that the text is the inside of an array, whose brackets are not there.
///
/// `kinds` is the stack of what is open, the innermost in the lowest bit: 1 is an object, 0 an array. `PLACEHOLDERS` says
/// whether placeholders are checked; if not, nothing about keys is remembered.
fn scan<const PLACEHOLDERS: bool>(
    text: &str,
    start: usize,
    max_depth: usize,
    open: bool,
    attachments: usize,
) -> Result<Layout, DecodeError> {
    if u32::try_from(text.len()).is_err() {
        return Err(DecodeError::TooLong);
    }
    let bytes = text.as_bytes();
    let max_depth = max_depth.min(MAX_DEPTH);
    let mut pos = skip_whitespace(bytes, start);
    let first = pos;
    let mut depth = usize::from(open);
    let mut kinds = 0_u128;
    let mut separators = Separators::new();
    let mut empty = false;
    let mut objects = Objects::default();

    if open && pos == bytes.len() {
        return Ok(Layout { span: pos..pos, separators, empty: true });
    }
    'value: loop {
        pos = skip_whitespace(bytes, pos);
        let token = pos;
        match bytes.get(pos) {
            Some(b'"') => pos = string(bytes, pos + 1)?,
            Some(&kind @ (b'[' | b'{')) => {
                if depth >= max_depth {
                    return Err(DecodeError::TooDeep);
                }
                depth += 1;
                kinds = kinds << 1 | u128::from(kind == b'{');
                if PLACEHOLDERS {
                    objects.value(b"");
                    objects.open();
                }
                pos = skip_whitespace(bytes, pos + 1);
                // The closing byte of either kind is two after the opening one.
                if bytes.get(pos) != Some(&(kind + 2)) {
                    if kind == b'{' {
                        pos = key::<PLACEHOLDERS>(text, pos, &mut objects)?;
                    }
                    continue 'value;
                }
                empty = depth == 1;
            }
            Some(b'-' | b'0'..=b'9') => pos = number(bytes, pos)?,
            Some(b't') => pos = literal(bytes, pos, b"true")?,
            Some(b'f') => pos = literal(bytes, pos, b"false")?,
            Some(b'n') => pos = literal(bytes, pos, b"null")?,
            _ => return Err(DecodeError::InvalidJson { offset: pos }),
        }
        if PLACEHOLDERS && !matches!(bytes[token], b'[' | b'{') {
            objects.value(&bytes[token..pos]);
        }
        // A value has ended, or its closing bracket is next. Close what ends with it.
        loop {
            if depth == 0 {
                let end = pos;
                pos = skip_whitespace(bytes, pos);
                if pos < bytes.len() {
                    return Err(DecodeError::InvalidJson { offset: pos });
                }
                return Ok(Layout { span: first..end, separators, empty });
            }
            pos = skip_whitespace(bytes, pos);
            let object = kinds & 1 == 1;
            match bytes.get(pos) {
                Some(b',') if object => {
                    pos = key::<PLACEHOLDERS>(text, skip_whitespace(bytes, pos + 1), &mut objects)?;
                    continue 'value;
                }
                Some(b',') => {
                    if depth == 1 {
                        // The length of the text has been checked.
                        separators.push(pos as u32);
                    }
                    pos += 1;
                    continue 'value;
                }
                Some(b'}') if object => {
                    if PLACEHOLDERS && !objects.close(attachments) {
                        return Err(DecodeError::IllegalAttachments);
                    }
                }
                Some(b']') if !object && (depth > 1 || !open) => {
                    if PLACEHOLDERS {
                        objects.close(attachments);
                    }
                }
                None if open && depth == 1 => {
                    return Ok(Layout { span: first..pos, separators, empty });
                }
                _ => return Err(DecodeError::InvalidJson { offset: pos }),
            }
            pos += 1;
            depth -= 1;
            kinds >>= 1;
        }
    }
}

fn skip_whitespace(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

fn literal(bytes: &[u8], pos: usize, literal: &[u8]) -> Result<usize, DecodeError> {
    let end = pos + literal.len();
    if bytes.get(pos..end) == Some(literal) { Ok(end) } else { Err(DecodeError::InvalidJson { offset: pos }) }
}

fn number(bytes: &[u8], mut pos: usize) -> Result<usize, DecodeError> {
    let digits = |mut pos: usize| {
        let start = pos;
        while let Some(b'0'..=b'9') = bytes.get(pos) {
            pos += 1;
        }
        if pos > start { Ok(pos) } else { Err(DecodeError::InvalidJson { offset: pos }) }
    };
    if bytes.get(pos) == Some(&b'-') {
        pos += 1;
    }
    pos = if bytes.get(pos) == Some(&b'0') { pos + 1 } else { digits(pos)? };
    if bytes.get(pos) == Some(&b'.') {
        pos = digits(pos + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(pos) {
        pos += 1;
        if let Some(b'+' | b'-') = bytes.get(pos) {
            pos += 1;
        }
        pos = digits(pos)?;
    }
    Ok(pos)
}

/// The end of the string whose first character is at `pos`, after the closing quote.
fn string(bytes: &[u8], mut pos: usize) -> Result<usize, DecodeError> {
    loop {
        // Blocks first, which the compiler turns into vector instructions; then eight bytes at a time, as long as there is
        // nothing special among them.
        while let Some(block) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<32>()) {
            if block.iter().fold(false, |any, &byte| any | (byte < 0x20) | (byte == b'"') | (byte == b'\\')) {
                break;
            }
            pos += block.len();
        }
        while let Some(word) = bytes.get(pos..).and_then(|rest| rest.first_chunk()) {
            let special = special_bytes(u64::from_le_bytes(*word));
            if special != 0 {
                pos += special.trailing_zeros() as usize / 8;
                break;
            }
            pos += 8;
        }
        match bytes.get(pos) {
            Some(b'"') => return Ok(pos + 1),
            Some(b'\\') => {
                pos = match bytes.get(pos + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => pos + 2,
                    Some(b'u') if bytes.get(pos + 2..pos + 6).is_some_and(all_hex) => pos + 6,
                    _ => return Err(DecodeError::InvalidJson { offset: pos }),
                }
            }
            Some(0x20..) => pos += 1,
            _ => return Err(DecodeError::InvalidJson { offset: pos }),
        }
    }
}

fn all_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit)
}

/// Sets the highest bit of each byte that is a control character, a quote or a backslash. Only the lowest bit set is exact:
/// bytes above it can be marked because of a borrow.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
}

/// Reads the key at `pos` and the colon after it; returns where the value may begin.
fn key<const PLACEHOLDERS: bool>(
    text: &str,
    pos: usize,
    objects: &mut Objects,
) -> Result<usize, DecodeError> {
    let bytes = text.as_bytes();
    if bytes.get(pos) != Some(&b'"') {
        return Err(DecodeError::InvalidJson { offset: pos });
    }
    let end = string(bytes, pos + 1)?;
    if PLACEHOLDERS {
        objects.key(&text[pos..end]);
    }
    let colon = skip_whitespace(bytes, end);
    if bytes.get(colon) != Some(&b':') {
        return Err(DecodeError::InvalidJson { offset: colon });
    }
    Ok(colon + 1)
}

/// Watches the members `_placeholder` and `num` of each object that is open.
#[derive(Default)]
struct Objects {
    stack: SmallVec<[Marks; 8]>,
    /// The key whose value comes next.
    key: Key,
}

/// What is known about an object; of an array nothing is ever marked.
#[derive(Clone, Copy)]
struct Marks {
    placeholder: bool,
    /// `usize::MAX` when there is none, or none that could be right.
    num: usize,
}

#[derive(Clone, Copy, Default)]
enum Key {
    Placeholder,
    Num,
    #[default]
    Other,
}

impl Objects {
    fn open(&mut self) {
        self.stack.push(Marks { placeholder: false, num: usize::MAX });
    }

    /// Returns whether the attachment is there, if it was a placeholder.
    fn close(&mut self, attachments: usize) -> bool {
        self.stack.pop().is_none_or(|marks| !marks.placeholder || marks.num < attachments)
    }

    /// `raw` is the key with its quotes.
    fn key(&mut self, raw: &str) {
        self.key = match &*escape::unescape(raw) {
            "_placeholder" => Key::Placeholder,
            "num" => Key::Num,
            _ => Key::Other,
        };
    }

    /// A value comes; `token` is its text, or empty for arrays and objects. Of duplicate keys the last one counts.
    fn value(&mut self, token: &[u8]) {
        let Some(marks) = self.stack.last_mut() else { return };
        match std::mem::take(&mut self.key) {
            Key::Placeholder => marks.placeholder = token == b"true",
            Key::Num => {
                let digits = std::str::from_utf8(token).ok().filter(|text| !text.starts_with('-'));
                marks.num = digits.and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
            }
            Key::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Layout, DecodeError> {
        value(json, 0, MAX_DEPTH, None)
    }

    fn placeholders(json: &str, attachments: usize) -> Result<Layout, DecodeError> {
        value(json, 0, MAX_DEPTH, Some(attachments))
    }

    #[test]
    fn valid() {
        for json in [
            "null", "true", "false", "0", "-0", "-1", "10", "1.5", "1e5", "1E+5", "1e-5", "0.0", "-0.1e01", "1e999",
            "\"\"", "[]", "{}", " [ ] ", "\t{ }\r\n", "[[[]]]", r#"{"a":{"b":[1,{}]},"a":2}"#, "[1 , 2]", "\"\u{7f}€😀\"",
            r#""\"\\\/\b\f\n\r\t\u00e9\uD83D""#, r#""12345678\"12345678""#, "[\"1234567\",\"12345678\",\"123456789\"]",
        ] {
            assert!(check(json).is_ok(), "{json}");
            assert!(placeholders(json, 1).is_ok(), "{json}");
        }
    }

    #[test]
    fn invalid() {
        for json in [
            "", " ", "nul", "nullx", "tru", "NaN", "Infinity", "-", "-Infinity", "+1", "01", "-01", "1.", ".5", "1e", "1e+",
            "0x1", "1_000", "'a'", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\u{0}\"",
            "\"1234567\u{1f}\"", "\"12345678\u{1f}\"", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[}", "{]",
            "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{,}",
            "1 2", "[] []", "null,", "\u{feff}[]", "[1]\u{a0}", "/**/1", "{\"a\":1]", "[1}", "[\"a\":1]",
        ] {
            assert!(matches!(check(json), Err(DecodeError::InvalidJson { .. })), "{json:?}");
            assert!(matches!(placeholders(json, 1), Err(DecodeError::InvalidJson { .. })), "{json:?}");
        }
    }

    #[test]
    fn the_error_says_where() {
        for (json, offset) in [("[1,x]", 3), ("[1", 2), ("\"ab\n\"", 3), ("[1] x", 4), ("{\"a\"1}", 4)] {
            assert_eq!(check(json).unwrap_err(), DecodeError::InvalidJson { offset }, "{json:?}");
        }
    }

    #[test]
    fn layout() {
        let layout = check(" [1 ,[2,3], {\"a\":[4,5]} ] ").unwrap();
        assert_eq!((layout.span, &*layout.separators, layout.empty), (1..25, &[4, 10][..], false));
        let layout = elements("1,[2,3]", 64, None).unwrap();
        assert_eq!((layout.len(), &*layout.separators), (2, &[1][..]));
        for (json, len) in [("", 0), (" ", 0), ("[]", 1), ("{}", 1), ("[],{}", 2), ("1", 1), (" 1 , 2 , 3 ", 3)] {
            assert_eq!(elements(json, 64, None).unwrap().len(), len, "{json}");
        }
        for (json, len) in [("[]", 0), ("[ ]", 0), ("[[]]", 1), ("[{}]", 1), ("[[],[]]", 2)] {
            assert_eq!(check(json).unwrap().len(), len, "{json}");
        }
        for json in ["]", "1]", "[1", "1,", ",", ",1", "1],[2", "1}"] {
            assert!(elements(json, 64, None).is_err(), "{json}");
        }
    }

    #[test]
    fn depth() {
        for max in [1, 2, 64, MAX_DEPTH, usize::MAX] {
            let deepest = max.min(MAX_DEPTH);
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
                assert!(value(&nested(deepest), 0, max, None).is_ok());
                assert_eq!(value(&nested(deepest + 1), 0, max, None).unwrap_err(), DecodeError::TooDeep);
                // The array around elements counts, although it is not there.
                assert!(elements(&nested(deepest - 1), max, None).is_ok());
                assert_eq!(elements(&nested(deepest), max, None).unwrap_err(), DecodeError::TooDeep);
            }
        }
        assert!(serde_json::from_str::<crate::value::Value>(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))).is_ok());
    }

    #[test]
    fn placeholders_refer_to_attachments() {
        for json in [
            r#"[{"_placeholder":true,"num":0}]"#,
            r#"[{"num":1,"_placeholder":true}]"#,
            r#"[{ "_placeholder" : true , "num" : 1 , "more" : [{}] }]"#,
            r#"{"a":[1,{"b":{"_placeholder":true,"num":1}}],"c":{"_placeholder":true,"num":1}}"#,
            r#"[{"\u005fplaceholder":true,"n\u0075m":1}]"#,
            r#"[{"_placeholder":true,"num":7,"num":1}]"#,
            // Not placeholders.
            r#"[{"_placeholder":false,"num":9}]"#,
            r#"[{"_placeholder":1,"num":9}]"#,
            r#"[{"_placeholder":"true"}]"#,
            r#"[{"_placeholder":{},"num":9}]"#,
            r#"[{"_placeholder":true,"_placeholder":null}]"#,
            r#"["_placeholder",true,"num",9]"#,
            r#"[{"num":9,"a":{"_placeholder":[true]}}]"#,
            r#"[{"_placeholder":{"a":true}}]"#,
        ] {
            assert!(placeholders(json, 2).is_ok(), "{json}");
        }
        for json in [
            r#"[{"_placeholder":true,"num":2}]"#,
            r#"[{"_placeholder":true}]"#,
            r#"[{"_placeholder":true,"num":-1}]"#,
            r#"[{"_placeholder":true,"num":-0}]"#,
            r#"[{"_placeholder":true,"num":0.0}]"#,
            r#"[{"_placeholder":true,"num":0e0}]"#,
            r#"[{"_placeholder":true,"num":"0"}]"#,
            r#"[{"_placeholder":true,"num":null}]"#,
            r#"[{"_placeholder":true,"num":[0]}]"#,
            r#"[{"_placeholder":true,"num":{"num":0}}]"#,
            r#"[{"_placeholder":true,"num":99999999999999999999}]"#,
            r#"[{"num":0,"_placeholder":true,"num":2}]"#,
            r#"[{"\u005fplaceholder":true,"num":2}]"#,
            r#"{"a":{"_placeholder":true,"num":0},"b":[[{"_placeholder":true,"num":2}]]}"#,
        ] {
            assert_eq!(placeholders(json, 2).unwrap_err(), DecodeError::IllegalAttachments, "{json}");
            assert!(check(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn special_bytes_at_every_place() {
        for byte in 0..=255_u8 {
            let special = byte < 0x20 || byte == b'"' || byte == b'\\';
            for place in 0..8 {
                let mut word = [0xff; 8];
                word[place] = byte;
                let found = special_bytes(u64::from_le_bytes(word));
                assert_eq!(found != 0, special, "{byte}");
                assert!(!special || found.trailing_zeros() as usize / 8 == place, "{byte}");
            }
        }
    }
}
