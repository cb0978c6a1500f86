//! What can go wrong in a test.

use std::fmt;
use std::time::Duration;

use wirebird_proto::value::ArgsError;

use crate::error::{ConnectError, EmitError};

/// Why a [`TestClient`](super::TestClient) could not do what the test asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum TestError {
    /// The server refused the connection.
    Refused(ConnectError),
    /// The server refused the request that opens the connection: its origin, or
    /// [`Builder::allow_request`](crate::Builder::allow_request), or because there are too many.
    Rejected {
        /// The status of the answer.
        status: http::StatusCode,
        /// What the answer says.
        message: String,
    },
    /// The client is not connected to the namespace.
    NotConnected {
        /// The namespace.
        namespace: String,
        /// How it was disconnected.
        how: Disconnection,
    },
    /// What was waited for did not come.
    Timeout {
        /// What it was.
        what: String,
        /// How long it was waited for.
        after: Duration,
        /// The names of the events that have come and were not taken.
        instead: Vec<String>,
    },
    /// The event cannot be emitted.
    Emit(EmitError),
    /// What the server sent is not what the test asks for.
    Decode(ArgsError),
    /// An acknowledgement was sent that the server does not want, or that it has already.
    NoAckWanted {
        /// The event.
        event: String,
    },
    /// The server is closing, and accepts no connections.
    ServerClosed,
    /// A header or an address that is not one.
    BadRequest(String),
}

impl TestError {
    /// Something did not come.
    pub(super) fn late(what: impl Into<String>, after: Duration) -> Self {
        Self::Timeout { what: what.into(), after, instead: Vec::new() }
    }

    /// The refusal, if the server refused the connection.
    pub fn refusal(&self) -> Option<&ConnectError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether something did not come in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the client is not connected.
    pub fn is_not_connected(&self) -> bool {
        matches!(self, Self::NotConnected { .. })
    }
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => {
                write!(f, "the server refused the connection: {}", error.message())?;
                if let Some(data) = error.data() {
                    write!(f, " ({})", serde_json::to_string(data).unwrap_or_default())?;
                }
                Ok(())
            }
            Self::Rejected { status, message } => {
                write!(f, "the server refused the request with {status}")?;
                if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
            }
            Self::NotConnected { namespace, how } => write!(f, "not connected to {namespace}: {how}"),
            Self::Timeout { what, after, instead } => {
                write!(f, "{what} did not come within {after:?}")?;
                if !instead.is_empty() {
                    write!(f, "; what came: {}", instead.join(", "))?;
                }
                Ok(())
            }
            Self::Emit(error) => error.fmt(f),
            Self::Decode(error) => write!(f, "what the server sent is not what was expected: {error}"),
            Self::NoAckWanted { event } => write!(f, "the server waits for no acknowledgement of {event:?}"),
            Self::ServerClosed => f.write_str("the server is closing"),
            Self::BadRequest(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Emit(error) => Some(error),
            Self::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EmitError> for TestError {
    fn from(error: EmitError) -> Self {
        Self::Emit(error)
    }
}

impl From<ArgsError> for TestError {
    fn from(error: ArgsError) -> Self {
        Self::Decode(error)
    }
}

/// How a client was disconnected, as it sees it itself: the names are those of the JavaScript client. The server's view
/// is in its disconnect handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disconnection {
    /// The server disconnected it from the namespace.
    Server,
    /// It disconnected itself.
    Client,
    /// The connection has ended, in all namespaces.
    Transport,
}

impl Disconnection {
    /// The reason that the JavaScript client gives.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "io server disconnect",
            Self::Client => "io client disconnect",
            Self::Transport => "transport close",
        }
    }
}

impl fmt::Display for Disconnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
