//! Masking of client payloads (RFC 6455, section 5.3).

/// The masking key, turned so that its first byte belongs to the next byte of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    pub(super) const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks the next piece of the payload, and turns the key for the piece after it.
    #[inline]
    pub(super) fn apply(&mut self, payload: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = payload.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
            *byte ^= key;
        }
        self.0.rotate_left(payload.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_the_book(key: [u8; 4], payload: &[u8]) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    #[test]
    fn every_length_and_every_split() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..80u8 {
            let payload: Vec<u8> = (0..len).collect();
            let expected = by_the_book(key, &payload);
            for split in 0..=payload.len() {
                let mut masked = payload.clone();
                let mut mask = Mask::new(key);
                let (first, second) = masked.split_at_mut(split);
                mask.apply(first);
                mask.apply(second);
                assert_eq!(masked, expected, "{len} bytes split at {split}");
            }
        }
    }

    #[test]
    fn misaligned() {
        let key = [1, 2, 3, 4];
        for start in 0..8 {
            let mut buffer = [0x55; 64];
            Mask::new(key).apply(&mut buffer[start..]);
            assert_eq!(buffer[start..], by_the_book(key, &[0x55; 64][start..]));
            assert!(buffer[..start].iter().all(|byte| *byte == 0x55));
        }
    }
}
