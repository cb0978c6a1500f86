//! Which version of the protocol a session speaks.

use std::fmt;

use crate::config::Config;
use crate::handshake::Handshake;
use crate::transport::TransportKind;

/// The version of the Engine.IO protocol that a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Version 3: JavaScript clients before version 3, and others of their time.
    V3,
    /// Version 4: all later clients.
    V4,
}

impl Protocol {
    /// The version as a number.
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// What a request for a session asks for by its parameter `EIO`. `None` when that version is not spoken here.
    pub(crate) fn asked_for(config: &Config, version: Option<&str>) -> Option<Self> {
        match version {
            Some("4") => Some(Self::V4),
            Some("3") if config.allow_eio3 => Some(Self::V3),
            _ => None,
        }
    }

    /// What the session speaks that `handshake` has opened. WebTransport came with version 4.
    pub(crate) fn of(config: &Config, handshake: &Handshake, transport: TransportKind) -> Self {
        if !config.allow_eio3 || transport == TransportKind::WebTransport {
            return Self::V4;
        }
        Self::asked_for(config, handshake.query("EIO").as_deref()).unwrap_or(Self::V4)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}
