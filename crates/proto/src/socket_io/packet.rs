//! What a packet says.

use bytestring::ByteString;

use super::RawArgs;

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
        name: ByteString,
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
