//! Why a session ended.

use std::fmt;

/// Why an Engine.IO session ended, with the names that Node's and Python's servers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed its transport.
    TransportClose,
    /// I/O failed, or the client misused the protocol (overlapping polls, an aborted poll, a message over the limit).
    TransportError,
    /// The client sent a close packet.
    ClientClose,
    /// No pong came within `ping_timeout`.
    PingTimeout,
    /// The client sent something that cannot be decoded.
    ParseError,
    /// The application closed the session.
    ForcedClose,
    /// The server closed a client that broke the Socket.IO rules or joined no namespace in time.
    ForcedServerClose,
    /// The server is shutting down.
    ServerShutdown,
    /// The client did not read fast enough and its outbound queue was full.
    SlowConsumer,
}

impl CloseReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::TransportClose,
        Self::TransportError,
        Self::ClientClose,
        Self::PingTimeout,
        Self::ParseError,
        Self::ForcedClose,
        Self::ForcedServerClose,
        Self::ServerShutdown,
        Self::SlowConsumer,
    ];

    /// A short name for metrics: `transport-close`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransportClose => "transport-close",
            Self::TransportError => "transport-error",
            Self::ClientClose => "client-close",
            Self::PingTimeout => "ping-timeout",
            Self::ParseError => "parse-error",
            Self::ForcedClose => "forced-close",
            Self::ForcedServerClose => "forced-server-close",
            Self::ServerShutdown => "server-shutdown",
            Self::SlowConsumer => "slow-consumer",
        }
    }

    /// The name Node's server gives it.
    pub const fn as_node_str(self) -> &'static str {
        match self {
            Self::TransportClose | Self::ClientClose => "transport close",
            Self::TransportError | Self::SlowConsumer => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShutdown => "server shutting down",
        }
    }

    /// The name Python's server gives it, or would give it.
    pub const fn as_python_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::ClientClose => "client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportError | Self::ParseError | Self::SlowConsumer => "transport error",
            Self::ForcedClose | Self::ForcedServerClose | Self::ServerShutdown => "server disconnect",
        }
    }

    /// Whether what is queued for the client is still sent before the transport goes.
    pub(crate) const fn flushes(self) -> bool {
        matches!(self, Self::ForcedClose | Self::ForcedServerClose | Self::ServerShutdown | Self::ParseError)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_node_str())
    }
}
