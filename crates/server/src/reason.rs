//! Why a socket was disconnected.

use std::fmt;

use wirebird_engine::CloseReason;

/// Why a socket was disconnected, with the names that Node's and Python's servers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server disconnected the socket.
    ServerDisconnect,
    /// The client disconnected the socket.
    ClientDisconnect,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The connection was closed, or broke.
    TransportClose,
    /// The connection failed, or was misused.
    TransportError,
    /// The client sent something that cannot be decoded.
    ParseError,
    /// The application closed the whole connection.
    ForcedClose,
    /// The server closed a client that broke the rules of the protocol.
    ForcedServerClose,
    /// The server is shutting down.
    ServerShutdown,
    /// The client did not read fast enough.
    SlowConsumer,
}

impl DisconnectReason {
    /// The name Node's server gives it.
    pub const fn as_node_str(self) -> &'static str {
        match self {
            Self::ServerDisconnect => "server namespace disconnect",
            Self::ClientDisconnect => "client namespace disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError | Self::SlowConsumer => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShutdown => "server shutting down",
        }
    }

    /// The name Python's server gives it, or would give it.
    pub const fn as_python_str(self) -> &'static str {
        match self {
            Self::ServerDisconnect | Self::ForcedClose | Self::ForcedServerClose | Self::ServerShutdown => {
                "server disconnect"
            }
            Self::ClientDisconnect => "client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError | Self::ParseError | Self::SlowConsumer => "transport error",
        }
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::ClientClose => Self::ClientDisconnect,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::ForcedServerClose => Self::ForcedServerClose,
            CloseReason::ServerShutdown => Self::ServerShutdown,
            CloseReason::SlowConsumer => Self::SlowConsumer,
            _ => Self::TransportError,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_node_str())
    }
}
