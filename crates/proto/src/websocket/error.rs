//! Why a client's bytes are refused.

use std::{error, fmt};

use super::CloseCode;

/// Why the peer's bytes are refused.
///
/// The connection is beyond repair: answer with a close frame that carries [`close_code`](Self::close_code), and
/// hang up (RFC 6455, section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An RSV bit is set that no extension gives a meaning here (section 5.2, and RFC 7692, section 6.2).
    ReservedBits,
    /// The opcode has no meaning: 3 to 7 and 11 to 15 (section 5.2).
    ReservedOpcode(u8),
    /// The frame is not masked (section 5.1).
    Unmasked,
    /// A ping, pong or close frame without FIN (section 5.4).
    FragmentedControl,
    /// A ping, pong or close frame with more than 125 bytes (section 5.5).
    ControlTooLong,
    /// The length is written in more bytes than it needs (section 5.2).
    LengthNotMinimal,
    /// The most significant bit of a 64-bit length is set (section 5.2).
    LengthOverflow,
    /// A continuation frame, and no message is under way (section 5.4).
    UnexpectedContinuation,
    /// A new text or binary frame, and the message under way is not finished (section 5.4).
    ExpectedContinuation,
    /// A close frame with a payload of one byte (section 5.5.1).
    CloseLength,
    /// A close frame with a code that no frame may carry (section 7.4).
    CloseCode(u16),
    /// A text message or close reason that is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A compressed message cannot be decompressed (RFC 7692, section 7.2.2).
    Deflate,
    /// The message, all its fragments together and decompressed, is larger than the decoder's limit (section 10.4).
    TooBig {
        /// The decoder's limit, in bytes of payload.
        limit: usize,
    },
    /// The message has more frames than the decoder's limit.
    TooManyFragments {
        /// The decoder's limit, in frames.
        limit: u32,
    },
}

impl DecodeError {
    /// The code to close with: 1007 for bad UTF-8 and bad compression, 1009 for a message that is too big,
    /// 1008 for one of too many frames, 1002 for all else.
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::Deflate => CloseCode::INVALID_DATA,
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("reserved bits set in a WebSocket frame"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved WebSocket opcode {opcode}"),
            Self::Unmasked => f.write_str("WebSocket frame without a mask"),
            Self::FragmentedControl => f.write_str("fragmented WebSocket control frame"),
            Self::ControlTooLong => f.write_str("WebSocket control frame longer than 125 bytes"),
            Self::LengthNotMinimal => f.write_str("WebSocket frame length not in its shortest form"),
            Self::LengthOverflow => f.write_str("WebSocket frame length with its top bit set"),
            Self::UnexpectedContinuation => f.write_str("WebSocket continuation frame without a message"),
            Self::ExpectedContinuation => f.write_str("new WebSocket message inside a fragmented one"),
            Self::CloseLength => f.write_str("WebSocket close payload of one byte"),
            Self::CloseCode(code) => write!(f, "invalid WebSocket close code {code}"),
            Self::InvalidUtf8 => f.write_str("WebSocket text is not UTF-8"),
            Self::Deflate => f.write_str("compressed WebSocket message that cannot be decompressed"),
            Self::TooBig { limit } => write!(f, "WebSocket message larger than {limit} bytes"),
            Self::TooManyFragments { limit } => write!(f, "WebSocket message of more than {limit} frames"),
        }
    }
}

impl error::Error for DecodeError {}
