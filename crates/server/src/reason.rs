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
            ended => ended.of_session().as_node_str(),
        }
    }

    /// The name Python's server gives it, or would give it.
    pub const fn as_python_str(self) -> &'static str {
        match self {
            Self::ServerDisconnect => "server disconnect",
            Self::ClientDisconnect => "client disconnect",
            ended => ended.of_session().as_python_str(),
        }
    }

    /// Why the session ended, where that was the reason. The client's and the server's goodbyes to one namespace count
    /// as those to all.
    const fn of_session(self) -> CloseReason {
        match self {
            Self::ServerDisconnect | Self::ForcedClose => CloseReason::ForcedClose,
            Self::ClientDisconnect => CloseReason::ClientClose,
            Self::PingTimeout => CloseReason::PingTimeout,
            Self::TransportClose => CloseReason::TransportClose,
            Self::TransportError => CloseReason::TransportError,
            Self::ParseError => CloseReason::ParseError,
            Self::ForcedServerClose => CloseReason::ForcedServerClose,
            Self::ServerShutdown => CloseReason::ServerShutdown,
            Self::SlowConsumer => CloseReason::SlowConsumer,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// F-DIS-02: the names of both worlds.
    #[test]
    fn every_reason_has_the_names_of_node_and_python() {
        use DisconnectReason::*;
        for (reason, node, python) in [
            (ServerDisconnect, "server namespace disconnect", "server disconnect"),
            (ClientDisconnect, "client namespace disconnect", "client disconnect"),
            (PingTimeout, "ping timeout", "ping timeout"),
            (TransportClose, "transport close", "transport close"),
            (TransportError, "transport error", "transport error"),
            (ParseError, "parse error", "transport error"),
            (ForcedClose, "forced close", "server disconnect"),
            (ForcedServerClose, "forced server close", "server disconnect"),
            (ServerShutdown, "server shutting down", "server disconnect"),
            (SlowConsumer, "transport error", "transport error"),
        ] {
            assert_eq!((reason.as_node_str(), reason.as_python_str()), (node, python));
            assert_eq!(reason.to_string(), node);
            assert!(reason == ServerDisconnect || DisconnectReason::from(reason.of_session()) == reason);
        }
    }
}
