//! Sockets that were cut off.

use bytestring::ByteString;
use http::Extensions;
use wirebird_engine::{Millis, Outgoing};
use wirebird_proto::socket_io::RawArgs;

use super::record::{Record, parse_offset};
use crate::adapter::Target;
use crate::id::SocketId;
use crate::room::Room;

/// A socket that may come back.
pub(crate) struct Kept {
    pub(crate) cut: Cut,
    pub(crate) until: Millis,
}

impl Kept {
    /// What the socket has missed since the event with that offset; `None` if it cannot come back.
    pub(super) fn missed(
        &self,
        record: &Record,
        now: Millis,
        namespace: &str,
        offset: Option<&str>,
    ) -> Option<Vec<Outgoing>> {
        let from = match offset {
            Some(offset) => parse_offset(offset)?,
            // It got none at all.
            None => self.cut.since,
        };
        let may_come = self.until > now && self.cut.namespace == namespace;
        may_come.then(|| record.missed(from, &self.cut)).flatten()
    }
}

/// What a socket was when it was cut off.
pub(crate) struct Cut {
    pub(crate) id: SocketId,
    pub(crate) namespace: ByteString,
    /// The position of the last event when it connected.
    pub(crate) since: u64,
    /// Its rooms, without its own, each with the position of the last event when it joined.
    pub(crate) rooms: Vec<(Room, u64)>,
    /// The values of its session.
    pub(crate) values: Extensions,
    pub(crate) data: Option<RawArgs>,
}

/// A socket that is back, and what it has missed.
pub(crate) struct Restored {
    pub(crate) cut: Cut,
    pub(crate) missed: Vec<Outgoing>,
}

impl Cut {
    /// Whether the event at a position was meant for this socket.
    pub(super) fn was_meant(&self, position: u64, target: &Target) -> bool {
        let own = Room::from(self.id);
        let member = |room: &Room| {
            *room == own || self.rooms.iter().any(|(other, since)| other == room && *since < position)
        };
        target.namespace == self.namespace
            && target.to.as_ref().is_none_or(|rooms| rooms.iter().any(member))
            && !target.except.iter().any(member)
    }

    #[cfg(test)]
    pub(super) fn for_tests(namespace: &'static str) -> Self {
        Self {
            id: SocketId::parse("AAAAAAAAAAAAAAAAAAAA").unwrap(),
            namespace: namespace.into(),
            since: 0,
            rooms: Vec::new(),
            values: Extensions::new(),
            data: None,
        }
    }
}
