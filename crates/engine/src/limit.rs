//! Every limit that a client can run into, by name.

use std::fmt;

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// A limit that a client has run into: see `SECURITY.md` for what each is by default, which option sets it and what
        /// the client gets.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[$doc])* $variant,)*
        }

        impl Limit {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// A short name that stays the same, for logs and metrics: `header_time`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

limits! {
    /// Connections at once.
    Connections "connections",
    /// Connections at once from one address.
    ConnectionsPerAddress "connections_per_address",
    /// Sessions that are opened in a second.
    HandshakeRate "handshake_rate",
    /// Sessions at once.
    Sessions "sessions",
    /// Time to begin with TLS.
    TlsTime "tls_time",
    /// Time for the head of a request.
    HeaderTime "header_time",
    /// Time that a connection may be idle between requests.
    IdleTime "idle_time",
    /// Bytes of the head of a request.
    HeaderBytes "header_bytes",
    /// Headers of a request.
    HeaderCount "header_count",
    /// Bytes of the target of a request.
    UrlBytes "url_bytes",
    /// Time for the body of a request.
    BodyTime "body_time",
    /// Time to take an answer.
    AnswerTime "answer_time",
    /// Polls, or POSTs, of one session at once.
    Overlap "overlap",
    /// Bytes of a message, or of the body of a POST.
    Payload "payload_bytes",
    /// Frames of one WebSocket message.
    Fragments "fragments",
    /// Time for an upgrade from polling.
    UpgradeTime "upgrade_time",
    /// Time for a pong.
    PongTime "pong_time",
    /// Time that a write may be blocked.
    WriteTime "write_time",
    /// What is queued for a client.
    SendQueue "send_queue",
    /// Time in which a client takes what is left when its session ends.
    CloseTime "close_time",
    /// Time to join a namespace.
    ConnectTime "connect_time",
    /// Namespaces of one client.
    Namespaces "namespaces",
    /// Namespaces that clients make.
    DynamicNamespaces "dynamic_namespaces",
    /// Bytes of the name of a namespace.
    NamespaceName "namespace_name",
    /// Bytes of what a client sends along when it connects to a namespace.
    Auth "auth_bytes",
    /// Bytes of the name of an event.
    EventName "event_name",
    /// Levels of arrays and objects in a packet.
    Depth "depth",
    /// Arguments of an event or an acknowledgement.
    Arguments "arguments",
    /// Attachments of a packet.
    Attachments "attachments",
    /// Bytes of the attachments of a packet.
    AttachmentBytes "attachment_bytes",
    /// Time for the attachments of a packet.
    AttachmentTime "attachment_time",
    /// Rooms of one socket.
    Rooms "rooms",
    /// Bytes of the name of a room.
    RoomName "room_name",
    /// Acknowledgements that one socket owes.
    PendingAcks "pending_acks",
    /// Time for an acknowledgement.
    AckTime "ack_time",
    /// Events of one client that wait for handlers.
    PendingEvents "pending_events",
    /// Bytes of the events of one client that wait for handlers.
    PendingBytes "pending_bytes",
    /// Events of all clients that wait for handlers, or their bytes.
    PendingTotal "pending_total",
    /// Broadcasts that wait to be delivered.
    Broadcasts "broadcasts",
    /// Time for the handlers of a socket that is disconnected.
    HandlerTime "handler_time",
    /// Time for other servers to answer.
    ClusterTime "cluster_time",
    /// Questions to other servers that are open.
    Questions "questions",
    /// Events recorded for clients that were cut off: older ones made room.
    RecoveryEvents "recovery_events",
    /// Sockets kept for clients that were cut off: the oldest made room.
    RecoverySockets "recovery_sockets",
}

impl Limit {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_metrics() {
        let names: BTreeSet<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        assert_eq!(names.len(), Limit::COUNT);
        for (at, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, at);
            assert!(limit.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{limit}");
        }
    }
}
