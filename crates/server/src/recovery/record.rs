//! The events that were emitted lately.

use std::collections::VecDeque;

use wirebird_engine::{Millis, Outgoing};

use super::kept::Cut;
use crate::adapter::Target;

/// Begins every offset: a last argument that is text of the application is no offset.
const MARK: &str = "~";

/// Events in the order in which they were emitted, each at a position one higher than the one before.
#[derive(Default)]
pub(super) struct Record {
    events: VecDeque<Recorded>,
    bytes: usize,
    /// The position of the last event; 0 before the first.
    position: u64,
    /// The position of the last event that had to make room for others, before its time.
    displaced: u64,
}

struct Recorded {
    at: Millis,
    target: Target,
    message: Outgoing,
}

impl Record {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.position + 1
    }

    /// When the oldest event was emitted.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.events.front().map(|event| event.at)
    }

    pub(super) fn push(
        &mut self,
        at: Millis,
        target: Target,
        message: Outgoing,
        max_events: usize,
        max_bytes: usize,
    ) {
        self.position += 1;
        self.bytes += message.wire_len();
        self.events.push_back(Recorded { at, target, message });
        while self.events.len() > max_events || self.bytes > max_bytes {
            self.displaced = self.first();
            self.drop_first();
        }
    }

    /// Forgets what was emitted before.
    pub(super) fn expire(&mut self, before: Millis) {
        while self.events.front().is_some_and(|event| event.at < before) {
            self.drop_first();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }

    fn first(&self) -> u64 {
        self.position + 1 - self.events.len() as u64
    }

    fn drop_first(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.message.wire_len();
        }
    }

    /// What was emitted to a socket after a position; `None` if not all of that is known any more, or if there is no such
    /// position.
    ///
    /// What is not recorded any more because of its age had reached the client before it was cut off.
    pub(super) fn missed(&self, from: u64, cut: &Cut) -> Option<Vec<Outgoing>> {
        if from > self.position || from < self.displaced || from < cut.since {
            return None;
        }
        let first = self.first();
        let positions = first..;
        let events = positions.zip(&self.events).skip_while(|(position, _)| *position <= from);
        let missed = events.filter(|(position, event)| cut.was_meant(*position, &event.target));
        Some(missed.map(|(_, event)| event.message.clone()).collect())
    }
}

/// A position as clients get it.
pub(super) fn offset_text(position: u64) -> String {
    format!("{MARK}{position:x}")
}

pub(super) fn parse_offset(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(MARK)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Room;

    fn cut(rooms: &[(&str, u64)]) -> Cut {
        let rooms = rooms.iter().map(|(room, since)| (Room::from(*room), *since)).collect();
        Cut { rooms, ..Cut::for_tests("/") }
    }

    fn to(room: &str) -> Target {
        Target::rooms("/", vec![room.into()])
    }

    fn texts(record: &Record, from: u64, cut: &Cut) -> Option<usize> {
        record.missed(from, cut).map(|missed| missed.len())
    }

    fn record(targets: Vec<Target>) -> Record {
        let mut record = Record::default();
        for (at, target) in targets.into_iter().enumerate() {
            record.push(at as Millis, target, Outgoing::text("event"), 100, 1000);
        }
        record
    }

    #[test]
    fn offsets_are_read_as_they_are_written() {
        for position in [1, 15, 16, u64::MAX] {
            assert_eq!(parse_offset(&offset_text(position)), Some(position));
        }
        for other in ["", "1", "~", "~+1", "~-1", "~g", "~10000000000000000", "hello"] {
            assert_eq!(parse_offset(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_meant_for_a_socket_is_found() {
        let record = record(vec![Target::everybody("/"), to("a"), to("b"), Target::everybody("/other")]);
        assert_eq!(texts(&record, 0, &cut(&[])), Some(1));
        assert_eq!(texts(&record, 0, &cut(&[("a", 0)])), Some(2));
        assert_eq!(texts(&record, 0, &cut(&[("a", 0), ("b", 0)])), Some(3));
        assert_eq!(texts(&record, 0, &cut(&[("a", 2)])), Some(1), "joined after that event");
        assert_eq!(texts(&record, 2, &cut(&[("a", 0), ("b", 0)])), Some(1));
        assert_eq!(texts(&record, 4, &cut(&[("a", 0)])), Some(0));
        assert_eq!(texts(&record, 5, &cut(&[])), None, "there is no such event yet");
    }

    #[test]
    fn exceptions_are_not_found() {
        let mut target = Target::everybody("/");
        target.except = vec!["a".into()];
        let record = record(vec![target]);
        assert_eq!(texts(&record, 0, &cut(&[("a", 0)])), Some(0));
        assert_eq!(texts(&record, 0, &cut(&[("b", 0)])), Some(1));
    }

    #[test]
    fn age_is_no_loss_and_displacement_is() {
        let mut old = record(vec![Target::everybody("/"), Target::everybody("/")]);
        old.expire(1);
        assert_eq!(texts(&old, 0, &cut(&[])), Some(1), "the first one had arrived long before");
        old.expire(9);
        assert_eq!((texts(&old, 0, &cut(&[])), old.bytes), (Some(0), 0));
        let mut full = Record::default();
        for _ in 0..3 {
            full.push(0, Target::everybody("/"), Outgoing::text("event"), 2, 1000);
        }
        assert_eq!(texts(&full, 0, &cut(&[])), None);
        assert_eq!(texts(&full, 1, &cut(&[])), Some(2));
    }
}
