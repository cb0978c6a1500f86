//! Compression of WebSocket messages (permessage-deflate, RFC 7692): its options, and the compressed frames of a message.

use std::fmt;
use std::sync::OnceLock;

use wirebird_proto::websocket::{DeflateOptions, DeflateParams, Deflater, FrameHeader, Opcode};

use crate::config::ConfigError;

/// Compression of WebSocket messages for clients that offer it (the extension permessage-deflate).
///
/// ```
/// use wirebird_engine::Deflate;
///
/// let deflate = Deflate::default().threshold(4096).level(6);
/// ```
///
/// Messages are compressed each on its own by default, so that what is sent to many clients is compressed once, and an
/// idle connection costs no memory for it. Clients that do not offer the extension are sent plain messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    threshold: usize,
    level: u8,
    options: DeflateOptions,
}

impl Default for Deflate {
    /// Messages of 1024 bytes and more, each on its own, with windows of 32 KiB.
    fn default() -> Self {
        Self { threshold: 1024, level: 3, options: DeflateOptions::default() }
    }
}

impl Deflate {
    /// The smallest message that is compressed, in bytes. Default 1024. Each attachment counts on its own.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How hard it is tried to make messages small: 1 (fast) to 9. Default 3. Of 4 KiB of JSON, 1 makes 40 % in 9 µs, 3
    /// makes 28 % in 22 µs, 9 makes 27 % in 43 µs.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Whether the server compresses each message on its own. Default true.
    ///
    /// With `false`, messages to a client may refer to earlier ones: small ones that are alike get much smaller, but each
    /// is compressed anew for each client, and each connection keeps what was last sent to it, up to the window
    /// (32 KiB). That costs about 30 µs for each message, and 6 µs with a window of 12 bits. Clients can still ask for
    /// messages on their own.
    #[must_use]
    pub fn server_no_context_takeover(mut self, each_on_its_own: bool) -> Self {
        self.options.server_no_context_takeover = each_on_its_own;
        self
    }

    /// Whether clients are told to compress each message on its own. Default true.
    ///
    /// With `false`, each connection keeps what its client has last sent, up to the window (32 KiB, or what
    /// [`client_max_window_bits`](Self::client_max_window_bits) says).
    #[must_use]
    pub fn client_no_context_takeover(mut self, each_on_its_own: bool) -> Self {
        self.options.client_no_context_takeover = each_on_its_own;
        self
    }

    /// The window of the server's compression, as a power of two: 9 (512 bytes) to 15 (32 KiB, the default). A client may
    /// ask for a smaller one.
    #[must_use]
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.options.server_max_window_bits = bits;
        self
    }

    /// The largest window of clients, as a power of two: 9 (512 bytes) to 15 (32 KiB, the default). Clients that do not
    /// say that they can be told one use 15.
    #[must_use]
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.options.client_max_window_bits = bits;
        self
    }

    /// Whether some part of a message of so many bytes may be large enough.
    pub(crate) fn is_worth(&self, bytes: usize) -> bool {
        bytes >= self.threshold
    }

    pub(crate) fn options(&self) -> &DeflateOptions {
        &self.options
    }

    /// The compression of a connection whose messages build on each other.
    pub(crate) fn with_takeover(&self, agreed: &DeflateParams) -> Deflater {
        Deflater::with_takeover(self.level, agreed.server_max_window_bits)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let windows = [self.options.server_max_window_bits, self.options.client_max_window_bits];
        if !windows.iter().all(|bits| (9..=15).contains(bits)) {
            return Err(ConfigError::new("per_message_deflate: windows have 9 to 15 bits"));
        }
        if !(1..=9).contains(&self.level) {
            return Err(ConfigError::new("per_message_deflate: levels are 1 to 9"));
        }
        Ok(())
    }
}

/// The frames of a message with those compressed that get smaller; `None` when none does.
pub(crate) fn compress(deflate: &Deflate, deflater: &mut Deflater, mut frames: &[u8]) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    let mut compressed = Vec::new();
    let mut smaller = false;
    while let Some((opcode, frame, payload)) = next_frame(&mut frames) {
        compressed.clear();
        if payload.len() >= deflate.threshold && deflater.deflate(payload, &mut compressed) {
            smaller = true;
            out.extend_from_slice(FrameHeader::new(opcode, compressed.len()).compressed().as_slice());
            out.extend_from_slice(&compressed);
        } else {
            out.extend_from_slice(frame);
        }
    }
    smaller.then(|| out.into_boxed_slice())
}

/// Takes off a frame of this server: what it is, all of it, and its payload.
fn next_frame<'a>(frames: &mut &'a [u8]) -> Option<(Opcode, &'a [u8], &'a [u8])> {
    let (head, rest) = frames.split_first_chunk::<2>()?;
    let (len, rest) = match head[1] {
        126 => rest.split_first_chunk().map(|(len, rest)| (u64::from(u16::from_be_bytes(*len)), rest))?,
        127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest))?,
        len => (u64::from(len), rest),
    };
    let (payload, rest) = rest.split_at_checked(len as usize)?;
    let frame = &frames[..frames.len() - rest.len()];
    *frames = rest;
    Some((Opcode::from_u8(head[0] & 0x0f)?, frame, payload))
}

/// The compressed frames of a message, made at most once for each size of window that clients have asked for: for one
/// as a rule.
#[derive(Default)]
pub(crate) struct Deflated(OnceLock<Box<[Made; 7]>>);

/// `None` is made, and not smaller.
type Made = OnceLock<Option<Box<[u8]>>>;

impl Deflated {
    /// The frames for a window of 2^`bits` bytes; `None` when they are not smaller, or have not been made.
    pub(crate) fn get(&self, bits: u8) -> Option<&[u8]> {
        self.0.get()?[place(bits)].get()?.as_deref()
    }

    /// Makes the frames of the plain ones; returns whether there are any.
    pub(crate) fn make<F: AsRef<[u8]>>(
        &self,
        deflate: &Deflate,
        bits: u8,
        plain: impl FnOnce() -> F,
    ) -> bool {
        let made = self.0.get_or_init(Box::default)[place(bits)].get_or_init(|| {
            let mut deflater = Deflater::new(deflate.level, bits);
            compress(deflate, &mut deflater, plain().as_ref())
        });
        made.is_some()
    }
}

fn place(bits: u8) -> usize {
    usize::from(bits.clamp(9, 15) - 9)
}

impl fmt::Debug for Deflated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.0.get().is_some_and(|frames| frames.iter().any(|frames| frames.get().is_some()));
        f.debug_tuple("Deflated").field(&made).finish()
    }
}
