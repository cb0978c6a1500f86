//! Checks JSON and finds the arguments in it, in one pass, without recursion and without building anything.

use std::ops::Range;

use smallvec::SmallVec;

use super::{DecodeError, escape};

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
/// With `attachments`, each placeholder has to refer to one of that many. Without, objects that look like
/// placeholders mean nothing.
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
/// `kinds` is the stack of what is open, the innermost in the lowest bit: 1 is an object, 0 an array.
/// `PLACEHOLDERS` says whether placeholders are checked; if not, nothing about keys is remembered.
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

/// The part of `range` without whitespace at its ends.
pub(super) fn trim(text: &str, mut range: Range<usize>) -> Range<usize> {
    let is_whitespace = |pos: usize| matches!(text.as_bytes().get(pos), Some(b' ' | b'\t' | b'\n' | b'\r'));
    while range.start < range.end && is_whitespace(range.start) {
        range.start += 1;
    }
    while range.start < range.end && is_whitespace(range.end - 1) {
        range.end -= 1;
    }
    range
}

#[inline]
pub(super) fn skip_whitespace(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

fn literal(bytes: &[u8], pos: usize, literal: &[u8]) -> Result<usize, DecodeError> {
    let end = pos + literal.len();
    if bytes.get(pos..end) == Some(literal) { Ok(end) } else { Err(DecodeError::InvalidJson { offset: pos }) }
}

/// The end of the number that begins at `pos`.
pub(super) fn number(bytes: &[u8], mut pos: usize) -> Result<usize, DecodeError> {
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
pub(super) fn string(bytes: &[u8], mut pos: usize) -> Result<usize, DecodeError> {
    loop {
        // Blocks first, which the compiler turns into vector instructions; then eight bytes at a time, as
        // long as there is nothing special among them.
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

/// Sets the highest bit of each byte that is a control character, a quote or a backslash. Only the lowest bit
/// set is exact: bytes above it can be marked because of a borrow.
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
    /// The attachments that have been referred to: twice would let a small packet become a large value.
    used: SmallVec<[u64; 2]>,
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

    /// Returns whether the attachment is there and has not been referred to before, if it was a placeholder.
    fn close(&mut self, attachments: usize) -> bool {
        match self.stack.pop() {
            Some(marks) if marks.placeholder => marks.num < attachments && self.refer(marks.num),
            _ => true,
        }
    }

    fn refer(&mut self, num: usize) -> bool {
        let (word, bit) = (num / 64, 1 << (num % 64));
        if self.used.len() <= word {
            self.used.resize(word + 1, 0);
        }
        let first = self.used[word] & bit == 0;
        self.used[word] |= bit;
        first
    }

    /// `raw` is the key with its quotes.
    fn key(&mut self, raw: &str) {
        self.key = match &*escape::unescape(raw) {
            "_placeholder" => Key::Placeholder,
            "num" => Key::Num,
            _ => Key::Other,
        };
    }

    /// A value comes; `token` is its text, or empty for arrays and objects. Of duplicate keys the last one
    /// counts.
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
mod tests;
