//! Arguments as they were received.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::DecodeError;
use super::scanner::{self, MAX_DEPTH};

/// The arguments of an event or acknowledgement as they were received: JSON text, where each argument is in
/// it, and the attachments that the placeholders stand for.
///
/// The text is known to be valid. Nothing in it is decoded: numbers, the order of keys, duplicates, escapes
/// and whitespace inside of arguments survive. A clone shares everything with its original.
#[derive(Clone, Default)]
pub struct RawArgs {
    /// What they came in, and where they are in it: taken as it is, so that no share of it has to be counted.
    text: ByteString,
    start: u32,
    end: u32,
    len: u32,
    commas: Commas,
    attachments: Option<Arc<[Bytes]>>,
}

/// Where the commas between arguments are, as offsets in the text.
#[derive(Clone)]
enum Commas {
    Inline([u32; Self::INLINE]),
    Shared(Arc<[u32]>),
}

impl RawArgs {
    /// No arguments.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Takes arguments that are JSON already, joined by commas, such as `1,"a"`.
    ///
    /// When there are attachments, placeholders in the text refer to them by number. Otherwise what looks
    /// like a placeholder is an object like any other.
    ///
    /// # Errors
    ///
    /// Text that is not a sequence of JSON texts, that is nested deeper than 127 levels or has 4 GiB, and
    /// placeholders of attachments that are not there.
    pub fn from_json_elements(elements: ByteString, attachments: Vec<Bytes>) -> Result<Self, DecodeError> {
        let count = (!attachments.is_empty()).then_some(attachments.len());
        let layout = scanner::elements(&elements, MAX_DEPTH, count)?;
        let range = 0..elements.len();
        let mut args = Self::from_parts(elements, range, layout.len(), &layout.separators);
        args.set_attachments(attachments);
        Ok(args)
    }

    /// `range` is the part of `text` that holds the arguments, `commas` are those between them, as offsets in `text`. It
    /// has been scanned, so that it is known to be shorter than 4 GiB.
    pub(super) fn from_parts(text: ByteString, range: Range<usize>, len: usize, commas: &[u32]) -> Self {
        let range = scanner::trim(&text, range);
        let commas = Commas::new(commas, range.start);
        let (start, end) = (range.start as u32, range.end as u32);
        Self { text, start, end, len: len as u32, commas, attachments: None }
    }

    pub(super) fn set_attachments(&mut self, attachments: Vec<Bytes>) {
        self.attachments = (!attachments.is_empty()).then(|| attachments.into());
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The JSON of the argument at `index`, without whitespace around it.
    pub fn get(&self, index: usize) -> Option<&str> {
        if index >= self.len() {
            return None;
        }
        let json = self.json();
        if self.len == 1 {
            return Some(json);
        }
        let commas = self.commas.as_slice();
        let start = match index {
            0 => 0,
            _ => *commas.get(index - 1)? as usize + 1,
        };
        let end = if index + 1 == self.len() { json.len() } else { *commas.get(index)? as usize };
        json.get(scanner::trim(json, start..end))
    }

    /// The JSON of each argument.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// All arguments as they were received, joined by commas, without brackets and event name. Empty when
    /// there is none.
    pub fn json(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }

    /// All arguments as they were received, like [`json`](Self::json), as a buffer that can be kept and sent
    /// on.
    pub fn json_bytes(&self) -> ByteString {
        self.text.slice_ref(self.json())
    }

    /// Bytes that are kept for the arguments: the message they came in, all of it, and the attachments.
    pub fn held_bytes(&self) -> usize {
        self.text.len() + self.attachments().iter().map(Bytes::len).sum::<usize>()
    }

    /// The attachments, in the order of their numbers.
    pub fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for RawArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawArgs")
            .field("json", &self.json())
            .field("attachments", &self.attachments().len())
            .finish()
    }
}

/// Equal when text and attachments are equal, byte for byte.
impl PartialEq for RawArgs {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json() && self.attachments() == other.attachments()
    }
}

impl Eq for RawArgs {}

impl Commas {
    const INLINE: usize = 5;

    fn new(commas: &[u32], start: usize) -> Self {
        // The caller has checked that offsets fit.
        let relative = commas.iter().map(|&comma| comma.wrapping_sub(start as u32));
        if commas.len() <= Self::INLINE {
            let mut inline = [0; Self::INLINE];
            for (place, comma) in inline.iter_mut().zip(relative) {
                *place = comma;
            }
            Self::Inline(inline)
        } else {
            Self::Shared(relative.collect())
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::Inline(commas) => commas,
            Self::Shared(commas) => commas,
        }
    }
}

impl Default for Commas {
    fn default() -> Self {
        Self::Inline([0; Self::INLINE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(json: &str) -> RawArgs {
        RawArgs::from_json_elements(json.into(), Vec::new()).unwrap()
    }

    #[test]
    fn each_argument() {
        let args = args(r#" 1 , "a,b" ,[2, 3],{"a": 4}"#);
        assert_eq!(args.len(), 4);
        assert_eq!(args.iter().collect::<Vec<_>>(), ["1", r#""a,b""#, "[2, 3]", r#"{"a": 4}"#]);
        assert_eq!(args.iter().next_back(), args.get(3));
        assert_eq!(args.get(4), None);
        assert_eq!(args.json(), r#"1 , "a,b" ,[2, 3],{"a": 4}"#);
        assert!(args.attachments().is_empty());
    }

    #[test]
    fn none() {
        for args in [RawArgs::empty(), args(""), args(" \n")] {
            assert!(args.is_empty() && args.json().is_empty() && args.iter().next().is_none());
            assert_eq!((args.len(), args.get(0)), (0, None));
        }
    }

    #[test]
    fn many() {
        for count in 1..40 {
            let json = (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(" ,");
            let args = args(&json).clone();
            assert_eq!(args.len(), count);
            assert!((0..count).all(|number| args.get(number) == Some(&*number.to_string())));
            assert_eq!(args.get(count), None);
        }
    }

    #[test]
    fn encoded_arguments_are_checked() {
        for json in ["x", "1,", "[", "]", "1 2", "\"\n\""] {
            let result = RawArgs::from_json_elements(json.into(), Vec::new());
            assert!(matches!(result, Err(DecodeError::InvalidJson { .. })), "{json}");
        }
        let attachments = || vec![Bytes::from_static(b"x")];
        let json = |num| ByteString::from(format!(r#"{{"_placeholder":true,"num":{num}}}"#));
        let args = RawArgs::from_json_elements(json(0), attachments()).unwrap();
        assert_eq!(args.attachments(), attachments());
        assert_eq!(RawArgs::from_json_elements(json(1), attachments()), Err(DecodeError::IllegalAttachments));
        assert!(RawArgs::from_json_elements(json(1), Vec::new()).is_ok());
    }

    #[test]
    fn what_is_around_arguments_is_held_with_them() {
        let args = |json: &str, attachments| RawArgs::from_json_elements(json.into(), attachments).unwrap();
        assert_eq!(args(" 1  ", Vec::new()).held_bytes(), 4);
        assert_eq!(args("1", vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]).held_bytes(), 4);
        assert_eq!(RawArgs::empty().held_bytes(), 0);
    }

    #[test]
    fn buffers_are_shared() {
        let text = ByteString::from("1,2".to_owned());
        let args = RawArgs::from_json_elements(text.clone(), vec![Bytes::from(vec![1])]).unwrap();
        assert_eq!(args.json().as_ptr(), text.as_ptr());
        assert_eq!(args.clone().json_bytes().as_ptr(), text.as_ptr());
        assert_eq!(args.clone().attachments().as_ptr(), args.attachments().as_ptr());
    }
}
