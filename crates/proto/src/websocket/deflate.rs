//! Compressing and decompressing messages (RFC 7692, section 7.2).
//!
//! The states of zlib belong to the thread, not to the connection: a connection keeps the last bytes of what went over
//! it, when its messages build on each other, and nothing otherwise.

use std::cell::Cell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::DecodeError;

/// What a flushed block ends with; it is left out on the wire.
const TRAILER: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// Bytes that are decompressed at once, unless more are known to come.
const CHUNK: usize = 4 << 10;
/// Streams that may end within one message. A client has no reason to end any but the last, and each costs work.
const MAX_ENDS: usize = 16;

/// The states of this thread.
#[derive(Default)]
struct States {
    inflate: Option<Decompress>,
    deflate: Option<(Compression, u8, Compress)>,
}

thread_local! {
    static STATES: Cell<States> = const { Cell::new(States { inflate: None, deflate: None }) };
}

/// Lends the states of this thread. Whoever asks for them meanwhile gets new ones.
fn with_states<T>(work: impl FnOnce(&mut States) -> T) -> T {
    let mut states = STATES.try_with(Cell::take).unwrap_or_default();
    let result = work(&mut states);
    let _ = STATES.try_with(|kept| kept.set(states));
    result
}

/// The last bytes that went over a connection one way, which the next message may refer to.
#[derive(Debug)]
struct History {
    bytes: Vec<u8>,
    /// Bytes that are kept; 0 when every message stands for itself.
    window: usize,
}

impl History {
    const fn new(takeover: bool, bits: u8) -> Self {
        // zlib compresses with a window of 512 bytes where 256 were agreed on.
        let bits = if bits < 9 { 9 } else { bits };
        Self { bytes: Vec::new(), window: if takeover { 1 << bits } else { 0 } }
    }

    fn push(&mut self, message: &[u8]) {
        if message.len() >= self.window {
            self.bytes.clear();
            self.bytes.reserve_exact(self.window);
            self.bytes.extend_from_slice(&message[message.len() - self.window..]);
            return;
        }
        let over = (self.bytes.len() + message.len()).saturating_sub(self.window);
        self.bytes.drain(..over);
        let needed = self.bytes.len() + message.len();
        if needed > self.bytes.capacity() {
            // Doubled as a `Vec` does, but not beyond the window.
            let target = needed.max(2 * self.bytes.capacity()).min(self.window);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(message);
    }
}

/// Compresses the messages of one connection, or single ones.
#[derive(Debug)]
pub struct Deflater {
    level: Compression,
    bits: u8,
    history: History,
}

impl Deflater {
    /// For messages that each stand for themselves, with a window of 2^`bits` bytes (9 to 15). `level` is 1 (fast) to 9
    /// (small).
    #[must_use]
    pub fn new(level: u8, bits: u8) -> Self {
        Self::with_history(level, bits, false)
    }

    /// For the messages of one connection, which may refer to those before. Keeps up to 2^`bits` bytes of them.
    #[must_use]
    pub fn with_takeover(level: u8, bits: u8) -> Self {
        Self::with_history(level, bits, true)
    }

    fn with_history(level: u8, bits: u8, takeover: bool) -> Self {
        let bits = bits.clamp(9, 15);
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        Self { level, bits, history: History::new(takeover, bits) }
    }

    /// Appends the compressed form of a message to `out`, if it is smaller than the message; returns whether it is.
    /// Otherwise nothing is appended, and the message is to be sent as it is.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let flushed = with_states(|states| self.flushed(&mut states.deflate, message, out));
        let smaller = flushed && out.len() - TRAILER.len() < start + message.len();
        if smaller {
            out.truncate(out.len() - TRAILER.len());
            self.history.push(message);
        } else {
            out.truncate(start);
        }
        smaller
    }

    /// Appends the compressed form with its trailer; returns whether there was room for all of it.
    fn flushed(
        &self,
        kept: &mut Option<(Compression, u8, Compress)>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let mut state = match kept.take() {
            Some((level, bits, mut state)) if level == self.level && bits == self.bits => {
                state.reset();
                state
            }
            _ => Compress::new_with_window_bits(self.level, false, self.bits),
        };
        let known = &self.history.bytes;
        if !known.is_empty() && state.set_dictionary(known).is_err() {
            return false;
        }
        // What cannot be compressed may take 9 bits a byte; and one byte more shows that nothing is left to come out.
        let room = out.len() + message.len() + message.len() / 8 + 64;
        out.reserve_exact(room - out.len());
        let status = state.compress_vec(message, out, FlushCompress::Sync);
        let whole = matches!(status, Ok(Status::Ok)) && state.total_in() == message.len() as u64;
        let flushed = whole && out.len() < room && out.ends_with(TRAILER);
        if flushed {
            // A state with something left in it would not be clean after a reset (zlib-rs 0.6).
            *kept = Some((self.level, self.bits, state));
        }
        flushed
    }
}

/// Decompresses the messages of one connection.
#[derive(Debug)]
pub(super) struct Inflater {
    history: History,
}

impl Inflater {
    pub(super) const fn new(takeover: bool, bits: u8) -> Self {
        Self { history: History::new(takeover, bits) }
    }

    /// The message, if it has no more than `limit` bytes. Not more than that is ever allocated for it.
    pub(super) fn inflate(&mut self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        with_states(|states| {
            let state = states.inflate.get_or_insert_with(|| Decompress::new(false));
            let mut run = Run { state, known: &self.history.bytes, out: &mut out, limit, ends: 0 };
            run.restart()?;
            run.feed(compressed)?;
            run.feed(TRAILER)
        })?;
        self.history.push(&out);
        out.shrink_to_fit();
        Ok(out)
    }
}

/// The decompression of one message.
struct Run<'a> {
    state: &'a mut Decompress,
    /// What came before the message.
    known: &'a [u8],
    out: &'a mut Vec<u8>,
    limit: usize,
    ends: usize,
}

impl Run<'_> {
    /// Begins a stream that may refer to everything before it.
    fn restart(&mut self) -> Result<(), DecodeError> {
        const WINDOW: usize = 1 << 15;
        self.state.reset(false);
        let known = if self.out.is_empty() {
            self.state.set_dictionary(self.known)
        } else if self.known.is_empty() || self.out.len() >= WINDOW {
            self.state.set_dictionary(&self.out[self.out.len().saturating_sub(WINDOW)..])
        } else {
            let both = [self.known, self.out].concat();
            self.state.set_dictionary(&both[both.len().saturating_sub(WINDOW)..])
        };
        known.map(drop).map_err(|_| DecodeError::Deflate)
    }

    fn feed(&mut self, mut input: &[u8]) -> Result<(), DecodeError> {
        loop {
            let (before, room) = (self.state.total_in(), self.room(input.len()));
            let (made, status) = self.step(input)?;
            let taken = (self.state.total_in() - before) as usize;
            input = &input[taken..];
            match status {
                // A block may say that it is the last one, and others follow (RFC 7692, section 7.2.3.4).
                Status::StreamEnd => {
                    self.ends += 1;
                    if self.ends > MAX_ENDS {
                        return Err(DecodeError::Deflate);
                    }
                    self.restart()?;
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                // With room left, nothing is left to come out.
                _ if input.is_empty() && made < room => return Ok(()),
                _ if taken == 0 && made == 0 => return Err(DecodeError::Deflate),
                _ => {}
            }
        }
    }

    /// Makes room for more, within the limit; returns how much there is.
    fn room(&mut self, input: usize) -> usize {
        if self.out.len() == self.out.capacity() {
            let target = CHUNK.max(2 * self.out.len()).max(input).min(self.limit);
            self.out.reserve_exact(target.saturating_sub(self.out.len()));
        }
        // One byte beyond the limit shows that the message is over it.
        (self.out.capacity() - self.out.len()).max(1)
    }

    /// Takes in and gives out as much as there is room for. Returns how much came out.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Status), DecodeError> {
        let before = self.out.len();
        let (made, status) = if before < self.out.capacity() {
            let status = self.state.decompress_vec(input, self.out, FlushDecompress::None);
            (self.out.len() - before, status)
        } else {
            let (mut over, before) = ([0], self.state.total_out());
            let status = self.state.decompress(input, &mut over, FlushDecompress::None);
            ((self.state.total_out() - before) as usize, status)
        };
        if before + made > self.limit {
            return Err(DecodeError::TooBig { limit: self.limit });
        }
        Ok((made, status.map_err(|_| DecodeError::Deflate)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100_000;

    fn inflate(compressed: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Inflater::new(false, 15).inflate(compressed, LIMIT)
    }

    fn deflated(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(deflater.deflate(message, &mut out), "{} bytes do not get smaller", message.len());
        out
    }

    /// RFC 7692, section 7.2.3: "Hello" in each of the forms it may have.
    #[test]
    fn the_examples_of_the_rfc() {
        let hello: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for compressed in hello {
            assert_eq!(inflate(compressed).as_deref(), Ok(&b"Hello"[..]), "{compressed:x?}");
        }
        let mut takeover = Inflater::new(true, 15);
        assert_eq!(takeover.inflate(hello[0], LIMIT).as_deref(), Ok(&b"Hello"[..]));
        assert_eq!(takeover.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], LIMIT).as_deref(), Ok(&b"Hello"[..]));
        assert_eq!(inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00]), Err(DecodeError::Deflate));
    }

    /// RFC 7692, section 7.2.3.6: the one byte that an empty message is, and no byte at all.
    #[test]
    fn empty_messages() {
        assert_eq!(inflate(&[0x00]), Ok(Vec::new()));
        assert_eq!(inflate(&[]), Ok(Vec::new()));
        assert_eq!(inflate(&[0x02, 0x00]), Ok(Vec::new()));
        assert!(!Deflater::new(6, 15).deflate(b"", &mut Vec::new()));
    }

    #[test]
    fn what_does_not_get_smaller_is_left_alone() {
        let mut out = b"before".to_vec();
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as u8
        };
        let noise: Vec<u8> = (0..2000).map(|_| random()).collect();
        for message in [&b"a"[..], b"ab", &noise] {
            assert!(!Deflater::new(9, 15).deflate(message, &mut out));
            assert_eq!(out, b"before");
        }
        assert!(Deflater::new(9, 15).deflate(&[b'a'; 100], &mut out));
        assert_eq!(inflate(&out[6..]), Ok(vec![b'a'; 100]));
    }

    /// What was tried in vain must not be felt by the next message.
    #[test]
    fn noise_leaves_the_state_clean() {
        let mut seed = 7u64;
        let noise: Vec<u8> = (0..300_000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 40) as u8
            })
            .collect();
        for level in [1, 2, 6] {
            for len in [100_000, 1000, 300_000, 65_536] {
                for _ in 0..3 {
                    assert!(!Deflater::new(level, 15).deflate(&noise[..len], &mut Vec::new()));
                }
                let text = "some text, ".repeat(2000);
                let compressed = deflated(&mut Deflater::new(level, 15), text.as_bytes());
                assert_eq!(inflate(&compressed), Ok(text.into_bytes()));
            }
        }
    }

    /// A thousand times as much as came in: refused as soon as it is over the limit, which is all that is allocated.
    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = deflated(&mut Deflater::new(9, 15), &vec![0; 5_000_000]);
        assert!(bomb.len() < 6_000);
        assert_eq!(inflate(&bomb), Err(DecodeError::TooBig { limit: LIMIT }));
        let mut out = Vec::new();
        let mut state = Decompress::new(false);
        let mut run = Run { state: &mut state, known: &[], out: &mut out, limit: LIMIT, ends: 0 };
        assert!(run.feed(&bomb).is_err());
        assert_eq!(out.capacity(), LIMIT);
    }

    #[test]
    fn the_limit_is_met_to_the_byte() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 70_000] {
            let message: Vec<u8> = (0..len).map(|i| (i / 100) as u8).collect();
            let mut compressed = Vec::new();
            if !Deflater::new(6, 15).deflate(&message, &mut compressed) {
                compressed = [&[0, len as u8, 0, !(len as u8), 0xff][..], &message, &[0]].concat();
            }
            assert_eq!(Inflater::new(false, 15).inflate(&compressed, len).as_ref(), Ok(&message));
            assert_eq!(Inflater::new(false, 15).inflate(&compressed, len + 1).as_ref(), Ok(&message));
            if let Some(limit) = len.checked_sub(1) {
                let error = Err(DecodeError::TooBig { limit });
                assert_eq!(Inflater::new(false, 15).inflate(&compressed, limit), error, "{len}");
            }
        }
    }

    #[test]
    fn bad_data_is_an_error() {
        for bad in [&[0x06][..], &[0x07, 0x01], &[0x00, 0x05, 0x00, 0xfa, 0x00, 1, 2], &[0xff; 20]] {
            assert_eq!(inflate(bad), Err(DecodeError::Deflate), "{bad:x?}");
        }
        // Empty last blocks, each of which begins a new stream.
        assert_eq!(inflate(&[0x03, 0x00].repeat(MAX_ENDS)), Ok(Vec::new()));
        assert_eq!(inflate(&[0x03, 0x00].repeat(MAX_ENDS + 1)), Err(DecodeError::Deflate));
    }

    /// A message may refer to what came up to a window before it, also where an earlier stream has ended.
    #[test]
    fn messages_build_on_each_other_within_the_window() {
        for bits in 9..=15 {
            let mut deflater = Deflater::with_takeover(6, bits);
            let mut inflater = Inflater::new(true, bits);
            let mut alone = 0;
            let mut together = 0;
            for i in 0..200 {
                let message = format!(
                    "{{\"id\":{i},\"name\":\"somebody {}\",\"tags\":[\"some\",\"same\",\"some\"]}}",
                    i * 7 % 13
                );
                let compressed = deflated(&mut deflater, message.as_bytes());
                assert_eq!(inflater.inflate(&compressed, LIMIT), Ok(message.clone().into_bytes()), "{bits}");
                together += compressed.len();
                alone +=
                    deflated(&mut Deflater::new(6, bits), format!("{message}{message}").as_bytes()).len();
                assert!(inflater.history.bytes.capacity() <= 1 << bits);
                assert_eq!(inflater.history.bytes, deflater.history.bytes);
            }
            assert!(together < alone / 2, "{together} of {alone} with {bits} bits");
        }
        let mut inflater = Inflater::new(true, 15);
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(
            inflater.inflate(&[&hello[..], &[0xf2, 0x00, 0x11, 0x00, 0x00]].concat(), LIMIT),
            Ok(b"HelloHello".into())
        );
        assert_eq!(inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], LIMIT), Ok(b"Hello".into()));
    }

    /// What a message that was sent as it is says is not known to the client's decompressor.
    #[test]
    fn a_message_that_is_not_compressed_leaves_no_trace() {
        let mut deflater = Deflater::with_takeover(6, 15);
        let mut inflater = Inflater::new(true, 15);
        assert!(!deflater.deflate(b"0123456789", &mut Vec::new()));
        let compressed = deflated(&mut deflater, b"0123456789012345678901234567890123456789");
        assert!(inflater.inflate(&compressed, LIMIT).is_ok());
    }

    #[test]
    fn nothing_is_kept_without_takeover() {
        let mut inflater = Inflater::new(false, 15);
        let compressed = deflated(&mut Deflater::new(1, 15), &[b'x'; 1000]);
        assert_eq!(inflater.inflate(&compressed, LIMIT), Ok(vec![b'x'; 1000]));
        assert_eq!(inflater.history.bytes.capacity(), 0);
    }
}
