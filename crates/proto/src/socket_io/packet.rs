//! What a packet says.

use bytestring::ByteString;
use smol_str::SmolStr;

use super::scanner::{self, MAX_DEPTH};
use super::{DecodeError, RawArgs};

/// A complete Socket.IO packet, as handed out by a [`Decoder`](super::Decoder).
///
/// Source: the Socket.IO protocol, revision 5, section "Packet types".
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Packet {
    /// The namespace, `/` when the packet names none. A query is not part of it.
    pub namespace: ByteString,
    /// What followed a `?` in the namespace, as old clients send it.
    pub query: Option<ByteString>,
    /// The type of the packet and what belongs to it.
    pub kind: PacketKind,
}

impl Packet {
    /// A packet of a namespace, which begins with a slash.
    pub fn new(namespace: impl Into<ByteString>, kind: PacketKind) -> Self {
        Self { namespace: namespace.into(), query: None, kind }
    }

    /// Checks what a [`Decoder`](super::Decoder) sees to by itself: that the namespace begins with a slash and has
    /// neither comma nor query, that the name of an event is not reserved, that `auth` is a JSON object and an error
    /// an object or a string, and that no id is above 2^53 - 1.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), DecodeError> {
        if !self.namespace.starts_with('/') || self.namespace.contains([',', '?']) {
            return Err(DecodeError::InvalidNamespace);
        }
        let json = |text: &ByteString, begins: &[char]| {
            let layout = scanner::value(text, 0, MAX_DEPTH, None)?;
            if text[layout.span].starts_with(begins) { Ok(()) } else { Err(DecodeError::InvalidPayload) }
        };
        match &self.kind {
            PacketKind::Connect { auth: Some(auth) } => json(auth, &['{']),
            PacketKind::ConnectError { data } => json(data, &['{', '"']),
            PacketKind::Event { name, .. } if is_reserved(name) => {
                Err(DecodeError::ReservedEvent(name.as_str().into()))
            }
            PacketKind::Event { id: Some(id), .. } | PacketKind::Ack { id, .. } if *id > MAX_ID => {
                Err(DecodeError::InvalidId)
            }
            _ => Ok(()),
        }
    }
}

/// The greatest id, which is the greatest integer that a JavaScript peer counts to.
pub(super) const MAX_ID: u64 = (1 << 53) - 1;

/// The types of Socket.IO packets. A binary event or acknowledgement is one with attachments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PacketKind {
    /// `0`: the client wants to join the namespace.
    Connect {
        /// The JSON object sent along, typically credentials.
        auth: Option<ByteString>,
    },
    /// `1`: the peer leaves the namespace.
    Disconnect,
    /// `2` and `5`: an event.
    Event {
        /// Set when the sender wants an acknowledgement; at most 2^53 - 1.
        id: Option<u64>,
        /// The name, with escapes resolved (a lone surrogate becomes U+FFFD). A number stands for itself as
        /// it was written.
        name: SmolStr,
        /// The arguments after the name.
        args: RawArgs,
    },
    /// `3` and `6`: the answer to an event.
    Ack {
        /// The id of the event.
        id: u64,
        /// The arguments.
        args: RawArgs,
    },
    /// `4`: the server refuses a connection. From a client it is a violation of the protocol.
    ConnectError {
        /// A JSON object, or a string as some servers send it.
        data: ByteString,
    },
}

/// Event names that belong to the protocol and its implementations; neither side may send them as events.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether `name` is one of [`RESERVED_EVENTS`].
pub fn is_reserved(name: &str) -> bool {
    // Most names are told apart by their length.
    matches!(name.len(), 7 | 10 | 11 | 13 | 14) && RESERVED_EVENTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_packet_may_say() {
        use DecodeError::*;
        let args = RawArgs::empty;
        let event = |name: &'static str, id| PacketKind::Event { id, name: name.into(), args: args() };
        for kind in [
            PacketKind::Connect { auth: None },
            PacketKind::Connect { auth: Some(r#" {"a":[1]} "#.into()) },
            PacketKind::ConnectError { data: r#""nope""#.into() },
            PacketKind::ConnectError { data: "{}".into() },
            PacketKind::Disconnect,
            event("", Some(MAX_ID)),
            PacketKind::Ack { id: MAX_ID, args: args() },
        ] {
            assert_eq!(Packet::new("/a b/é", kind).check(), Ok(()));
        }
        for (namespace, kind, error) in [
            ("", PacketKind::Disconnect, InvalidNamespace),
            ("a", PacketKind::Disconnect, InvalidNamespace),
            ("/a,b", PacketKind::Disconnect, InvalidNamespace),
            ("/a?b", PacketKind::Disconnect, InvalidNamespace),
            ("/", PacketKind::Connect { auth: Some("[]".into()) }, InvalidPayload),
            ("/", PacketKind::Connect { auth: Some("{".into()) }, InvalidJson { offset: 1 }),
            ("/", PacketKind::ConnectError { data: "1".into() }, InvalidPayload),
            ("/", event("connect", None), ReservedEvent("connect".into())),
            ("/", event("a", Some(MAX_ID + 1)), InvalidId),
            ("/", PacketKind::Ack { id: u64::MAX, args: args() }, InvalidId),
        ] {
            assert_eq!(Packet::new(namespace, kind).check(), Err(error));
        }
    }

    #[test]
    fn reserved_names() {
        for name in RESERVED_EVENTS {
            assert!(is_reserved(name), "{name}");
        }
        for name in
            ["", "connected", "Connect", "connect ", "message", "connection", "disconnectin", "new_listener"]
        {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
