//! Prebuilt frames and texts with numbers of fixed width in them, which are all that changes from message to message.

use std::ops::Range;

/// The key that all clients mask their frames with. The limit server does not undo it: it answers the masked bytes.
const KEY: [u8; 4] = [0x5a, 0x37, 0xc1, 0x9e];

/// Bytes with number fields.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the payload begins: behind the header of a frame.
    start: usize,
    fields: Vec<Range<usize>>,
    key: [u8; 4],
}

impl Template {
    /// A payload as a server sends it. A field is written as `#` for each of its digits; fields are numbered from 0.
    pub(crate) fn payload(text: &[u8]) -> Self {
        Self::new(Vec::new(), text, [0; 4])
    }

    /// A masked frame with a payload.
    pub(crate) fn frame(text: bool, payload: &[u8]) -> Self {
        let mut header = vec![if text { 0x81 } else { 0x82 }];
        match payload.len() {
            len @ 0..=125 => header.push(0x80 | len as u8),
            len @ 126..=0xffff => {
                header.push(0x80 | 126);
                header.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                header.push(0x80 | 127);
                header.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        header.extend_from_slice(&KEY);
        Self::new(header, payload, KEY)
    }

    fn new(mut bytes: Vec<u8>, payload: &[u8], key: [u8; 4]) -> Self {
        let start = bytes.len();
        let mut fields: Vec<Range<usize>> = Vec::new();
        for (at, byte) in payload.iter().enumerate() {
            if *byte == b'#' {
                match fields.last_mut().filter(|field| field.end == at) {
                    Some(field) => field.end += 1,
                    None => fields.push(at..at + 1),
                }
            }
            bytes.push(byte ^ key[at & 3]);
        }
        Self { bytes, start, fields, key }
    }

    /// Puts a number into a field.
    pub(crate) fn set(&mut self, field: usize, mut number: u64) {
        for at in self.fields[field].clone().rev() {
            self.bytes[self.start + at] = (b'0' + (number % 10) as u8) ^ self.key[at & 3];
            number /= 10;
        }
    }

    /// Puts an id into the first field, and the number of a client into the second if there is one.
    pub(crate) fn fill(&mut self, id: u64, client: usize) {
        self.set(0, id);
        if self.fields.len() > 1 {
            self.set(1, client as u64);
        }
    }

    /// The number in the same place of a payload that came; `None` if there is none.
    pub(crate) fn read(&self, field: usize, payload: &[u8]) -> Option<u64> {
        let range = self.fields[field].clone();
        let mut number = 0;
        for (at, byte) in range.clone().zip(payload.get(range)?) {
            let digit = (byte ^ self.key[at & 3]).wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u64::from(digit);
        }
        Some(number)
    }

    /// How many fields there are.
    pub(crate) fn fields(&self) -> usize {
        self.fields.len()
    }

    /// Where a field ends in the payload.
    pub(crate) fn field_end(&self, field: usize) -> usize {
        self.fields[field].end
    }

    /// All bytes, header included.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload alone.
    pub(crate) fn as_payload(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Text for the rest of a message of `size` bytes, of which `used` are taken.
pub(crate) fn filler(size: usize, used: usize) -> String {
    "abcdefghijklmnopqrstuvwxyz012345".chars().cycle().take(size.saturating_sub(used)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_and_read() {
        let mut frame = Template::frame(true, b"42###[\"##\"]");
        frame.set(0, 7);
        frame.set(1, 65);
        assert_eq!(frame.bytes()[..2], [0x81, 0x80 | 11]);
        let plain: Vec<u8> = frame.as_payload().iter().zip(KEY.iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(plain, b"42007[\"65\"]");
        assert_eq!(frame.read(0, frame.as_payload()), Some(7));

        let answer = Template::payload(b"43###");
        assert_eq!(answer.read(0, b"43123x"), Some(123));
        assert_eq!(answer.read(0, b"43-23x"), None);
        assert_eq!(answer.read(0, b"43"), None);
    }
}
