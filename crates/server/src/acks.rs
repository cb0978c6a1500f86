//! Acknowledgements that clients owe: one table for each socket, with one timer for all its deadlines.

use std::collections::BTreeMap;

use wirebird_engine::Millis;
use wirebird_proto::socket_io::RawArgs;

use crate::error::AckError;

/// What a client acknowledged, or why it did not.
pub type AckResult = Result<RawArgs, AckError>;

/// Receives an acknowledgement, once, from any thread.
pub type AckSink = Box<dyn FnOnce(AckResult) + Send>;

#[derive(Default)]
pub(crate) struct AckTable {
    /// The id of the next one. Ids are never used twice on one socket.
    next: u64,
    /// `None` until the first one.
    owed: Option<Box<Owed>>,
    closed: bool,
}

#[derive(Default)]
struct Owed {
    pending: BTreeMap<u64, Pending>,
    /// When the timer entry that counts fires.
    timer: Option<Millis>,
}

struct Pending {
    sink: AckSink,
    deadline: Option<Millis>,
}

impl AckTable {
    /// Keeps a sink; returns the id for the packet, and the time at which a timer is needed if none is running early
    /// enough.
    pub(crate) fn insert(
        &mut self,
        sink: AckSink,
        deadline: Option<Millis>,
        limit: usize,
    ) -> Result<(u64, Option<Millis>), (AckSink, AckError)> {
        if self.closed {
            return Err((sink, AckError::Disconnected));
        }
        let owed = self.owed.get_or_insert_default();
        if owed.pending.len() >= limit {
            return Err((sink, AckError::TooMany));
        }
        let id = self.next;
        self.next += 1;
        owed.pending.insert(id, Pending { sink, deadline });
        let timer = deadline.filter(|deadline| owed.timer.is_none_or(|timer| *deadline < timer));
        if timer.is_some() {
            owed.timer = timer;
        }
        Ok((id, timer))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.owed.as_ref().is_none_or(|owed| owed.pending.is_empty())
    }

    pub(crate) fn take(&mut self, id: u64) -> Option<AckSink> {
        self.owed.as_mut()?.pending.remove(&id).map(|pending| pending.sink)
    }

    /// The sinks whose time is up, and when to look again.
    pub(crate) fn expire(&mut self, now: Millis) -> (Vec<AckSink>, Option<Millis>) {
        let Some(owed) = self.owed.as_mut().filter(|owed| owed.timer.is_some_and(|timer| timer <= now))
        else {
            return (Vec::new(), None);
        };
        let due: Vec<u64> = owed
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        let sinks = due.iter().filter_map(|id| owed.pending.remove(id)).map(|due| due.sink).collect();
        owed.timer = owed.pending.values().filter_map(|pending| pending.deadline).min();
        (sinks, owed.timer)
    }

    /// Takes every sink; no more are accepted.
    pub(crate) fn close(&mut self) -> Vec<AckSink> {
        self.closed = true;
        let owed = self.owed.take().unwrap_or_default();
        owed.pending.into_values().map(|pending| pending.sink).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink() -> AckSink {
        Box::new(|_| {})
    }

    #[test]
    fn ids_count_up_and_one_timer_serves_all() {
        let mut table = AckTable::default();
        assert_eq!(table.insert(sink(), Some(100), 10).ok(), Some((0, Some(100))));
        assert_eq!(table.insert(sink(), Some(200), 10).ok(), Some((1, None)));
        assert_eq!(table.insert(sink(), Some(50), 10).ok(), Some((2, Some(50))));
        let (due, next) = table.expire(60);
        assert_eq!((due.len(), next), (1, Some(100)));
        let (due, next) = table.expire(60);
        assert_eq!((due.len(), next), (0, None));
        assert!(table.take(0).is_some());
        assert!(table.take(0).is_none());
    }

    #[test]
    fn a_limit_holds_and_a_closed_table_takes_none() {
        let mut table = AckTable::default();
        assert!(table.insert(sink(), None, 1).is_ok());
        assert!(matches!(table.insert(sink(), None, 1), Err((_, AckError::TooMany))));
        assert_eq!(table.close().len(), 1);
        assert!(matches!(table.insert(sink(), None, 1), Err((_, AckError::Disconnected))));
    }
}
