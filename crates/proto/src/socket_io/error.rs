//! What can be wrong with a packet.

use std::fmt;

use bytestring::ByteString;

/// Why a Socket.IO packet cannot be decoded.
///
/// All of them mean that the peer does not speak the protocol: the connection should end with reason `parse
/// error`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message has no bytes.
    Empty,
    /// The message has 4 GiB or more.
    TooLong,
    /// The first byte is no type digit.
    UnknownType(u8),
    /// A binary packet does not begin with the number of its attachments, or the number is 0.
    AttachmentCount,
    /// More attachments are announced than [`Limits::max_attachments`](super::Limits::max_attachments).
    TooManyAttachments,
    /// The attachments have more bytes than
    /// [`Limits::max_attachment_bytes_total`](super::Limits::max_attachment_bytes_total).
    AttachmentsTooLarge,
    /// A namespace that does not begin with a slash, or that has a comma in it.
    InvalidNamespace,
    /// A placeholder whose number is missing, no integer, or not that of an attachment ("illegal
    /// attachments").
    IllegalAttachments,
    /// An acknowledgement id with more than 16 digits or above 2^53 - 1.
    InvalidId,
    /// An acknowledgement id in a packet of a type that has none.
    UnexpectedId,
    /// An acknowledgement without an id.
    MissingId,
    /// The text after the header is not JSON.
    InvalidJson {
        /// The byte of the message at which the JSON ceases to be valid.
        offset: usize,
    },
    /// The message is not one MessagePack value, or text in it is not UTF-8.
    InvalidMessagePack {
        /// The byte of the message at which it was noticed.
        offset: usize,
    },
    /// Arrays and objects are nested deeper than [`Limits::max_depth`](super::Limits::max_depth).
    TooDeep,
    /// There are more arguments than [`Limits::max_arguments`](super::Limits::max_arguments).
    TooManyArguments,
    /// A number that JSON can write and floating point cannot hold, in a packet that is not encoded as JSON.
    NumberTooLarge,
    /// The payload is missing, forbidden or of the wrong kind for the type of packet.
    InvalidPayload,
    /// An event with a name that belongs to the protocol.
    ReservedEvent(ByteString),
    /// A text message where an attachment, or another binary message, had to come.
    UnexpectedText,
    /// A binary message where no attachment was awaited.
    UnexpectedBinary,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty packet",
            Self::TooLong => "packet has 4 GiB or more",
            Self::UnknownType(kind) => return write!(f, "unknown packet type {:?}", char::from(*kind)),
            Self::AttachmentCount => "binary packet without a valid number of attachments",
            Self::TooManyAttachments => "too many attachments",
            Self::AttachmentsTooLarge => "attachments have too many bytes",
            Self::InvalidNamespace => "invalid namespace",
            Self::IllegalAttachments => "illegal attachments",
            Self::InvalidId => "invalid acknowledgement id",
            Self::UnexpectedId => "acknowledgement id in a packet that has none",
            Self::MissingId => "acknowledgement without an id",
            Self::InvalidJson { offset } => return write!(f, "invalid JSON at byte {offset}"),
            Self::InvalidMessagePack { offset } => return write!(f, "invalid MessagePack at byte {offset}"),
            Self::TooDeep => "data is nested too deep",
            Self::TooManyArguments => "too many arguments",
            Self::NumberTooLarge => "number is beyond the range of floating point",
            Self::InvalidPayload => "invalid payload",
            Self::ReservedEvent(name) => return write!(f, "event name {:?} is reserved", &**name),
            Self::UnexpectedText => "text instead of binary",
            Self::UnexpectedBinary => "binary message without a packet it belongs to",
        })
    }
}

impl std::error::Error for DecodeError {}
