//! The events that were emitted lately, and of those before them which was the last one for each room.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytestring::ByteString;
use wirebird_engine::{Millis, Outgoing};

use super::claim::Heard;
use super::stays::{Left, Mark, Stays, later};
use crate::adapter::Target;
use crate::id::SocketId;
use crate::room::Room;

/// Events that are looked at to find the last one for a socket that leaves a room; beyond that it is guessed, so that it
/// is the later one.
const LOOK_BACK: usize = 64;

/// How many times as many events as a client may have missed are looked at, where most have been replaced by newer ones.
const MANY: usize = 4;

/// Events in the order in which they were emitted, each at a position one higher than the one before.
#[derive(Default)]
pub(super) struct Record {
    events: VecDeque<Event>,
    bytes: usize,
    /// The position of the last event; 0 before the first.
    position: u64,
    /// Where the recorded events are, by their numbers.
    places: HashMap<u64, u64>,
    namespaces: HashMap<ByteString, Lines>,
}

/// What is recorded of an event.
pub(super) struct Event {
    pub(super) at: Millis,
    /// What it is known by: its offset names it.
    pub(super) number: u64,
    pub(super) target: Target,
    pub(super) message: Outgoing,
}

/// How much there may be of something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// The events of a namespace.
#[derive(Default)]
struct Lines {
    everybody: Line,
    rooms: HashMap<Room, Line>,
}

/// The events of one room. There is one for each room that a socket is in, or was while these events were emitted.
#[derive(Default)]
struct Line {
    /// The positions of those that are recorded.
    events: VecDeque<u64>,
    /// The last one that is not recorded any more.
    gone: Option<Gone>,
    /// The last one before that was for others, by its exceptions.
    gone_before: Option<Gone>,
    /// The position of the last event that was not for this room.
    excepted: u64,
    /// The sockets that are in the room.
    members: usize,
}

struct Gone {
    mark: Mark,
    except: Vec<Room>,
}

impl Record {
    /// When the oldest event was emitted.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.events.front().map(|event| event.at)
    }

    // ---- who is where ----

    /// A socket comes to a namespace.
    pub(super) fn enter(&mut self, namespace: &ByteString, id: SocketId) -> Stays {
        let stays = Stays::new(namespace.clone(), id, self.position);
        let lines = self.namespaces.entry(namespace.clone()).or_default();
        lines.everybody.members += 1;
        lines.rooms.entry(stays.own.clone()).or_default().members += 1;
        stays
    }

    /// A socket will not come back.
    pub(super) fn remove(&mut self, stays: &Stays) {
        for (room, _) in stays.open() {
            self.part(&stays.namespace, room);
        }
    }

    pub(super) fn join(&mut self, stays: &mut Stays, room: &Room) {
        let lines = self.namespaces.entry(stays.namespace.clone()).or_default();
        lines.rooms.entry(room.clone()).or_default().members += 1;
        stays.join(room.clone(), self.position);
    }

    pub(super) fn leave(&mut self, stays: &mut Stays, room: &Room) {
        let Some(from) = stays.end(room) else { return };
        if let Some(line) = self.line(&stays.namespace, Some(room)) {
            let last = self.last_in(line, stays, from);
            let excepted = (line.excepted > from).then_some(line.excepted);
            if last.is_some() || excepted.is_some() {
                let left = Left { room: room.clone(), from, until: self.position, last, excepted };
                stays.remember(left, self.first());
            }
        }
        self.part(&stays.namespace, Some(room));
    }

    fn part(&mut self, namespace: &ByteString, room: Option<&Room>) {
        self.change(namespace, room, |line| line.members -= 1);
    }

    /// Changes what is known of a room, and forgets that if nobody needs it any more.
    fn change(&mut self, namespace: &ByteString, room: Option<&Room>, change: impl FnOnce(&mut Line)) {
        let Some(lines) = self.namespaces.get_mut(namespace) else { return };
        match room {
            None => change(&mut lines.everybody),
            Some(room) => {
                let Some(line) = lines.rooms.get_mut(room) else { return };
                change(line);
                if line.is_unused() {
                    lines.rooms.remove(room);
                }
            }
        }
        if lines.everybody.is_unused() && lines.rooms.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    fn line(&self, namespace: &ByteString, room: Option<&Room>) -> Option<&Line> {
        let lines = self.namespaces.get(namespace)?;
        room.map_or(Some(&lines.everybody), |room| lines.rooms.get(room))
    }

    // ---- what is emitted ----

    /// Records an event, if there is anybody whom it may be for. What has to make room for it goes to `dropped`.
    pub(super) fn push(&mut self, event: Event, limits: Limits, dropped: &mut Vec<Event>) {
        let Some(lines) = self.namespaces.get_mut(&event.target.namespace) else { return };
        let position = self.position + 1;
        let mut wanted = false;
        match &event.target.to {
            None => wanted = lines.everybody.push(position),
            Some(rooms) => {
                for room in rooms {
                    wanted |= lines.rooms.get_mut(room).is_some_and(|line| line.push(position));
                }
            }
        }
        if !wanted {
            return;
        }
        for room in &event.target.except {
            if let Some(line) = lines.rooms.get_mut(room) {
                line.excepted = position;
            }
        }
        self.position = position;
        self.places.insert(event.number, position);
        self.bytes += event.message.wire_len();
        self.events.push_back(event);
        while self.events.len() > limits.events || self.bytes > limits.bytes {
            self.drop_first(dropped);
        }
    }

    /// Forgets what was emitted before.
    pub(super) fn expire(&mut self, before: Millis, dropped: &mut Vec<Event>) {
        if self.events.front().is_none_or(|event| event.at >= before) {
            return;
        }
        while self.events.front().is_some_and(|event| event.at < before) {
            self.drop_first(dropped);
        }
        if self.events.is_empty() {
            (self.events, self.places) = Default::default();
        }
    }

    fn first(&self) -> u64 {
        self.position + 1 - self.events.len() as u64
    }

    fn drop_first(&mut self, dropped: &mut Vec<Event>) {
        let position = self.first();
        let Some(event) = self.events.pop_front() else { return };
        self.bytes -= event.message.wire_len();
        self.places.remove(&event.number);
        let Target { namespace, to, except, .. } = &event.target;
        let mark = Mark { position, number: Some(event.number) };
        match to {
            None => self.change(namespace, None, |line| line.drop_first(mark, except)),
            Some(rooms) => {
                for room in rooms {
                    self.change(namespace, Some(room), |line| line.drop_first(mark, except));
                }
            }
        }
        dropped.push(event);
    }

    // ---- what was missed ----

    /// The positions of what was emitted to a socket after what its client has got; `None` if that is not known, if not
    /// all of it is recorded any more, or if it is more than the limits.
    pub(super) fn missed(&self, stays: &mut Stays, heard: Heard, limits: Limits) -> Option<BTreeSet<u64>> {
        stays.forget_left(self.first());
        let lost = self.lost(stays);
        let from = match heard {
            Heard::Nothing => stays.since,
            Heard::Event(number) => {
                let named = lost.filter(|lost| lost.number == Some(number)).map(|lost| lost.position);
                self.places.get(&number).copied().or(named)?
            }
        };
        if lost.is_some_and(|lost| lost.position > from) {
            return None;
        }
        let (mut missed, mut bytes) = (BTreeSet::new(), 0);
        let (mut newest, mut looked_at) = (HashMap::new(), 0);
        let open = stays.open().map(|(room, begin)| (room, begin, u64::MAX));
        let left = stays.left().map(|left| (Some(&left.room), left.from, left.until));
        for (room, begin, end) in open.chain(left) {
            let Some(line) = self.line(&stays.namespace, room) else { continue };
            let begin = line.events.partition_point(|position| *position <= begin.max(from));
            for position in line.events.range(begin..).take_while(|position| **position <= end) {
                let Some(event) = self.event(*position) else { continue };
                if !stays.was_in(&event.target.except, *position) && missed.insert(*position) {
                    bytes += event.message.wire_len();
                    // Its place may have been taken, or it takes another's.
                    let older = event.message.key().and_then(|key| replace(&mut newest, key, *position));
                    if let Some(older) = older.filter(|older| missed.remove(older)) {
                        bytes -= self.event(older).map_or(0, |event| event.message.wire_len());
                    }
                    looked_at += 1;
                    let too_many = missed.len() > limits.events || looked_at / MANY > limits.events;
                    if too_many || bytes > limits.bytes {
                        return None;
                    }
                }
            }
        }
        Some(missed)
    }

    /// What was emitted at these positions.
    pub(super) fn messages(&self, positions: &BTreeSet<u64>) -> Vec<Outgoing> {
        let events = positions.iter().filter_map(|position| self.event(*position));
        events.map(|event| event.message.clone()).collect()
    }

    fn event(&self, position: u64) -> Option<&Event> {
        self.events.get(usize::try_from(position.checked_sub(self.first())?).ok()?)
    }

    /// The last event for a socket that is not recorded any more, or a later one where that is not known.
    fn lost(&self, stays: &Stays) -> Option<Mark> {
        let first = self.first();
        let gone = |room, from| self.line(&stays.namespace, room)?.last_gone(stays, from);
        let open = stays.open().map(|(room, from)| gone(room, from));
        let left = stays.left().map(|left| match left.last? {
            recorded if recorded.position >= first => gone(Some(&left.room), left.from),
            lost => Some(lost),
        });
        open.chain(left).fold(stays.owed(), later)
    }

    /// The last event that a room had for a socket since a position, or a later one where that is not known.
    fn last_in(&self, line: &Line, stays: &Stays, from: u64) -> Option<Mark> {
        let recorded = line.events.iter().rev().take_while(|position| **position > from);
        for (looked_at, position) in recorded.enumerate() {
            let Some(event) = self.event(*position) else { continue };
            if looked_at == LOOK_BACK {
                return Some(Mark { position: *position, number: None });
            }
            if !stays.was_in(&event.target.except, *position) {
                return Some(Mark { position: *position, number: Some(event.number) });
            }
        }
        line.last_gone(stays, from)
    }
}

/// Notes an event with a key; returns which one it replaces, or is replaced by a newer one itself.
fn replace<'a>(newest: &mut HashMap<&'a str, u64>, key: &'a str, position: u64) -> Option<u64> {
    let newest = newest.entry(key).or_insert(position);
    let older = position.min(*newest);
    *newest = position.max(*newest);
    (older != *newest).then_some(older)
}

impl Line {
    fn is_unused(&self) -> bool {
        self.members == 0 && self.events.is_empty()
    }

    /// Returns whether there is anybody whom it is for.
    fn push(&mut self, position: u64) -> bool {
        if self.members > 0 && self.events.back() != Some(&position) {
            self.events.push_back(position);
        }
        self.members > 0
    }

    fn drop_first(&mut self, mark: Mark, except: &[Room]) {
        if self.events.front() != Some(&mark.position) {
            return;
        }
        self.events.pop_front();
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        if let Some(gone) = &mut self.gone
            && gone.except == except
        {
            gone.mark = mark;
            return;
        }
        let gone = Gone { mark, except: except.to_vec() };
        self.gone_before = self.gone.replace(gone).or(self.gone_before.take());
    }

    /// The last event since a position that was for a socket and is not recorded any more, or a later one where that is
    /// not known.
    fn last_gone(&self, stays: &Stays, from: u64) -> Option<Mark> {
        let gone = self.gone.as_ref().filter(|gone| gone.mark.position > from)?;
        let before = self.gone_before.as_ref().filter(|gone| gone.mark.position > from);
        // Between these two there were only events with the exceptions of the later one.
        let begin = before.map_or(from, |gone| gone.mark.position);
        let last = if stays.is_in_since(&gone.except, begin) { before? } else { gone };
        Some(last.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { events: 20, bytes: usize::MAX };
    const ALL: Limits = Limits { events: usize::MAX, bytes: usize::MAX };
    const ROOMS: [&str; 3] = ["a", "b", "c"];

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    /// A socket, and the numbers of the events that its client is sent.
    struct Client {
        stays: Stays,
        rooms: Vec<Room>,
        sent: Vec<u64>,
        /// The keys of those that newer ones with the same key replace, if these are there before they have gone out.
        keys: HashMap<u64, &'static str>,
        /// How many of these it has read.
        read: usize,
    }

    struct World {
        record: Record,
        clients: Vec<Client>,
        number: u64,
        now: Millis,
    }

    impl World {
        fn new(clients: u8) -> Self {
            let mut world = Self { record: Record::default(), clients: Vec::new(), number: 0, now: 0 };
            (0..clients).for_each(|client| world.come(client));
            world
        }

        fn come(&mut self, client: u8) {
            let id = SocketId::parse(&format!("AAAAAAAAAAAAAAAAAAA{client}")).unwrap();
            let stays = self.record.enter(&"/".into(), id);
            let (sent, keys) = Default::default();
            self.clients.push(Client { rooms: vec![id.into()], stays, sent, keys, read: 0 });
        }

        fn emit(&mut self, to: Option<Vec<Room>>, except: Vec<Room>, limits: Limits) {
            self.emit_with(None, to, except, limits);
        }

        fn emit_with(
            &mut self,
            key: Option<&'static str>,
            to: Option<Vec<Room>>,
            except: Vec<Room>,
            limits: Limits,
        ) {
            self.number += 1;
            let mut target = Target::everybody("/");
            (target.to, target.except) = (to, except);
            for client in &mut self.clients {
                let is_in = |rooms: &Vec<Room>| rooms.iter().any(|room| client.rooms.contains(room));
                if target.to.as_ref().is_none_or(is_in) && !is_in(&target.except) {
                    client.sent.push(self.number);
                    client.keys.extend(key.map(|key| (self.number, key)));
                }
            }
            let message = Outgoing::text("event");
            let message = if let Some(key) = key { message.conflated(key.into()) } else { message };
            let event = Event { at: self.now, number: self.number, target, message };
            self.record.push(event, limits, &mut Vec::new());
        }

        fn change(&mut self, client: usize, room: &Room) {
            let Client { stays, rooms, .. } = &mut self.clients[client];
            match rooms.iter().position(|other| other == room) {
                Some(at) => {
                    rooms.swap_remove(at);
                    self.record.leave(stays, room);
                }
                None => {
                    rooms.push(room.clone());
                    self.record.join(stays, room);
                }
            }
        }

        /// The numbers of what a client has missed.
        fn missed(&mut self, client: usize, heard: Heard, limits: Limits) -> Option<Vec<u64>> {
            let missed = self.record.missed(&mut self.clients[client].stays, heard, limits)?;
            Some(missed.iter().map(|position| self.record.event(*position).unwrap().number).collect())
        }

        /// What is sent again of what a client has not read: the newest with each key, and all without.
        fn unread(&self, client: usize) -> Vec<u64> {
            let Client { sent, read, keys, .. } = &self.clients[client];
            let rest = &sent[*read..];
            let replaced = |number: &u64| {
                keys.contains_key(number)
                    && rest.iter().any(|n| n > number && keys.get(n) == keys.get(number))
            };
            rest.iter().copied().filter(|number| !replaced(number)).collect()
        }

        fn heard(&self, client: usize) -> Heard {
            let client = &self.clients[client];
            let last = client.read.checked_sub(1).map(|last| client.sent[last]);
            last.map_or(Heard::Nothing, Heard::Event)
        }
    }

    /// What is said to be missed is what the client has not read, whatever has happened. It is always said when all of
    /// that is recorded, as long as nobody but senders is left out.
    #[test]
    fn what_was_missed_is_what_was_not_read() {
        for seed in 1..=150 {
            let mut dice = Dice(seed * 7919);
            let mut world = World::new(4);
            let simple = seed % 2 == 0;
            let (mut told, mut refused) = (0, 0);
            for _ in 0..1500 {
                world.now += dice.below(3) as Millis;
                let (client, room) = (dice.below(4), Room::from(ROOMS[dice.below(3)]));
                let own = world.clients[dice.below(4)].stays.own.clone();
                match dice.below(26) {
                    0..2 => world.change(client, &room),
                    2..4 => world.emit(None, vec![own], LIMITS),
                    4 => world.emit(None, Vec::new(), LIMITS),
                    5..8 => world.emit(Some(vec![room]), Vec::new(), LIMITS),
                    8..10 => world.emit(Some(vec![room]), vec![own], LIMITS),
                    10 => world.emit(Some(vec![own]), Vec::new(), LIMITS),
                    11 => world.emit(Some(vec![room.clone(), own, room]), Vec::new(), LIMITS),
                    12 if !simple => world.emit(None, vec![room, own], LIMITS),
                    13 if !simple => world.emit(Some(vec![own]), vec![room], LIMITS),
                    14 => {
                        world.emit_with(Some(["a", "b"][dice.below(2)]), Some(vec![room]), vec![own], LIMITS)
                    }
                    15 => world.emit_with(Some("a"), None, Vec::new(), LIMITS),
                    16 => world.record.expire(world.now.saturating_sub(60), &mut Vec::new()),
                    17..21 => {
                        let client = &mut world.clients[client];
                        client.read += dice.below(client.sent.len() - client.read + 1);
                    }
                    21 => world.clients[client].read = world.clients[client].sent.len(),
                    _ => {
                        let missed = world.missed(client, world.heard(client), ALL);
                        let Client { sent, read, .. } = &world.clients[client];
                        let rest = &sent[*read..];
                        let all = rest.iter().all(|number| world.record.places.contains_key(number));
                        match missed {
                            Some(missed) => {
                                assert_eq!(missed, world.unread(client), "seed {seed}");
                                told += 1;
                            }
                            None => {
                                assert!(!(all && simple), "seed {seed}: {rest:?} are recorded");
                                refused += 1;
                            }
                        }
                    }
                }
            }
            assert!(told > 20 && refused > 20, "seed {seed}: {told}, {refused}");
            // When nobody is left, nothing is.
            world.record.expire(Millis::MAX, &mut Vec::new());
            for client in &world.clients {
                world.record.remove(&client.stays);
            }
            assert!(world.record.namespaces.is_empty() && world.record.places.is_empty());
            assert_eq!(world.record.bytes, 0);
        }
    }

    #[test]
    fn what_is_for_nobody_is_not_recorded() {
        let mut world = World::new(1);
        for _ in 0..3 {
            world.emit(Some(vec!["nobody".into()]), Vec::new(), LIMITS);
        }
        assert_eq!((world.record.position, world.record.bytes), (0, 0));
        world.emit(Some(vec!["nobody".into(), world.clients[0].stays.own.clone()]), Vec::new(), LIMITS);
        assert_eq!(world.missed(0, Heard::Nothing, ALL), Some(vec![4]));
    }

    #[test]
    fn more_than_the_limits_is_too_much() {
        let mut world = World::new(1);
        (0..4).for_each(|_| world.emit(None, Vec::new(), LIMITS));
        let mut missed = |events, bytes| world.missed(0, Heard::Nothing, Limits { events, bytes }).is_some();
        assert!(missed(4, usize::MAX) && !missed(3, usize::MAX));
        let len = Outgoing::text("event").wire_len();
        assert!(missed(4, 4 * len) && !missed(4, 4 * len - 1));
    }

    /// A client may have missed any number of values that newer ones have replaced, within reason.
    #[test]
    fn what_was_replaced_is_not_too_much() {
        let mut world = World::new(1);
        (0..3).for_each(|_| world.emit_with(Some("a"), None, Vec::new(), ALL));
        world.emit_with(Some("b"), None, Vec::new(), ALL);
        world.emit(None, Vec::new(), ALL);
        let mut missed = |events| world.missed(0, Heard::Nothing, Limits { events, bytes: usize::MAX });
        assert_eq!((missed(3), missed(2)), (Some(vec![3, 4, 5]), None));
        (0..10).for_each(|_| world.emit_with(Some("a"), None, Vec::new(), ALL));
        let mut missed = |events| world.missed(0, Heard::Nothing, Limits { events, bytes: usize::MAX });
        assert_eq!((missed(3), missed(4)), (Some(vec![4, 5, 15]), Some(vec![4, 5, 15])));
        (0..10).for_each(|_| world.emit_with(Some("a"), None, Vec::new(), ALL));
        assert!(world.missed(0, Heard::Nothing, Limits { events: 3, bytes: usize::MAX }).is_none());
    }

    #[test]
    fn what_is_not_ours_is_no_offset() {
        let mut world = World::new(1);
        world.emit(None, Vec::new(), LIMITS);
        assert_eq!(world.missed(0, Heard::Event(1), ALL), Some(Vec::new()));
        for heard in [Heard::Event(0), Heard::Event(2), Heard::Event(u64::MAX)] {
            assert_eq!(world.missed(0, heard, ALL), None, "{heard:?}");
        }
    }

    /// Those who talk are as idle as those who are silent.
    #[test]
    fn senders_that_hear_nothing_may_come_back_after_any_time() {
        let mut world = World::new(2);
        world.emit(None, Vec::new(), LIMITS);
        for _ in 0..2 {
            for _ in 0..100 {
                world.emit(None, vec![world.clients[0].stays.own.clone()], LIMITS);
            }
            assert_eq!(world.missed(0, Heard::Event(1), ALL), Some(Vec::new()));
            assert_eq!(world.missed(1, Heard::Event(1), ALL), None);
        }
    }
}
