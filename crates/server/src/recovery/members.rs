//! Sockets that may be recovered: those that are connected, and those that were cut off and may come back.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use http::Extensions;
use wirebird_engine::{Millis, Outgoing};
use wirebird_proto::socket_io::RawArgs;

use super::claim::{Claim, Heard, Offsets, Pid};
use super::record::{Limits, Record};
use super::stays::Stays;
use crate::id::SocketId;
use crate::room::Room;
use crate::socket::SocketInner;

/// What the application has kept for a socket: the values of its session, and its data.
pub(crate) type Values = (Extensions, Option<RawArgs>);

/// All of them, and what was emitted to them.
#[derive(Default)]
pub(super) struct Members {
    pub(super) record: Record,
    by_pid: HashMap<Pid, Member>,
    /// How many are away.
    away: usize,
    /// Until when they are kept, about in that order. Some are gone already.
    order: VecDeque<(Millis, Pid)>,
}

/// A socket, whoever its connection is at present.
struct Member {
    id: SocketId,
    stays: Stays,
    /// Its connection, until nothing is left of that.
    holder: Weak<SocketInner>,
    /// Who is to take its place.
    claimant: Weak<SocketInner>,
    /// The client has been told how to come back.
    told: bool,
    /// When it is away: until when it may come back.
    until: Option<Millis>,
    /// When it is back, but not accepted yet: until when it may come back if that comes to nothing.
    deadline: Option<Millis>,
    /// An offset that its client had before it came, and has until it gets an event.
    before: Option<Box<str>>,
    /// What was kept for it, when nothing is left of its connection.
    values: Option<Values>,
}

/// A socket that may take the place of one that was cut off.
pub(super) struct Claimed {
    pub(super) id: SocketId,
    pub(super) pid: Pid,
    pub(super) heard: Heard,
    /// What it waits for, and then takes over from.
    pub(super) predecessor: Weak<SocketInner>,
}

/// What a socket takes over.
pub(crate) struct Restored {
    pub(crate) rooms: Vec<Room>,
    pub(crate) missed: Vec<Outgoing>,
    pub(crate) values: Option<Values>,
}

/// What is forgotten, to be dropped where code of the application may run.
#[must_use]
#[derive(Default)]
pub(super) struct Forgotten(Vec<Member>);

impl Forgotten {
    pub(super) fn drop(self) {
        for member in self.0 {
            if let Some(claimant) = member.claimant.upgrade() {
                claimant.expect_nothing();
            }
            crate::guard("recovery", || drop(member.values));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Members {
    /// When there will be something to forget.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.order.front().map(|(end, _)| *end)
    }

    /// A client comes that was not here before, or cannot be recovered.
    pub(super) fn enter(&mut self, pid: Pid, socket: &Arc<SocketInner>, claim: Option<Claim>) {
        let member = Member {
            id: socket.id,
            stays: self.record.enter(&socket.namespace.name, socket.id),
            holder: Arc::downgrade(socket),
            claimant: Weak::new(),
            told: false,
            until: None,
            deadline: None,
            before: claim.and_then(|claim| claim.offset),
            values: None,
        };
        self.by_pid.insert(pid, member);
    }

    /// The client is connected.
    pub(super) fn told(&mut self, pid: &str, socket: &SocketInner) {
        if let Some(member) = self.held(pid, socket) {
            member.told = true;
            member.deadline = None;
        }
    }

    pub(super) fn joined(&mut self, pid: &str, socket: &SocketInner, room: &Room) {
        let Self { record, by_pid, .. } = self;
        if let Some(member) = by_pid.get_mut(pid).filter(|member| member.is_held_by(socket)) {
            record.join(&mut member.stays, room);
        }
    }

    pub(super) fn left(&mut self, pid: &str, socket: &SocketInner, room: &Room) {
        let Self { record, by_pid, .. } = self;
        if let Some(member) = by_pid.get_mut(pid).filter(|member| member.is_held_by(socket)) {
            record.leave(&mut member.stays, room);
        }
    }

    // ---- going ----

    /// A socket is cut off.
    pub(super) fn end(
        &mut self,
        pid: &str,
        socket: &SocketInner,
        now: Millis,
        until: Millis,
        max: usize,
    ) -> (Forgotten, bool) {
        let Some(member) = self.held(pid, socket) else { return Default::default() };
        let until = member.deadline.take().unwrap_or(until);
        if !member.told || until <= now {
            return (self.forget(pid), false);
        }
        member.until = Some(until);
        let crowded = self.away >= max;
        let forgotten = if crowded { self.forget_oldest(Millis::MAX) } else { Forgotten::default() };
        self.away += 1;
        if let Some((pid, _)) = self.by_pid.get_key_value(pid) {
            self.order.push_back((until, pid.clone()));
        }
        if self.order.len() > 2 * max {
            let Self { order, by_pid, .. } = self;
            order.retain(|(end, pid)| by_pid.get(pid).is_some_and(|member| member.until == Some(*end)));
        }
        (forgotten, crowded)
    }

    /// Whether it has ended, and nobody has taken its place.
    pub(super) fn is_away(&mut self, pid: &str, socket: &SocketInner) -> bool {
        self.held(pid, socket).is_some_and(|member| member.until.is_some())
    }

    /// Nothing is left of a socket. Returns who waits for that.
    pub(super) fn gone(
        &mut self,
        pid: &str,
        socket: &SocketInner,
        values: Option<Values>,
    ) -> Option<Arc<SocketInner>> {
        let member = self.by_pid.get_mut(pid)?;
        if std::ptr::eq(member.claimant.as_ptr(), socket) {
            member.claimant = Weak::new();
        }
        if !member.is_held_by(socket) {
            return None;
        }
        member.holder = Weak::new();
        member.values = values;
        member.claimant.upgrade()
    }

    /// A socket will not come back.
    pub(super) fn forget_held(&mut self, pid: &str, socket: &SocketInner) -> Forgotten {
        if self.held(pid, socket).is_some() { self.forget(pid) } else { Forgotten::default() }
    }

    fn forget(&mut self, pid: &str) -> Forgotten {
        let Some(member) = self.by_pid.remove(pid) else { return Forgotten::default() };
        self.away -= usize::from(member.until.is_some());
        self.record.remove(&member.stays);
        Forgotten(vec![member])
    }

    /// Forgets the one that is the first to go, if its time ends by `until`.
    fn forget_oldest(&mut self, until: Millis) -> Forgotten {
        while self.order.front().is_some_and(|(end, _)| *end <= until) {
            let Some((end, pid)) = self.order.pop_front() else { break };
            // It may have come back, and have been cut off anew.
            if self.by_pid.get(&pid).is_some_and(|member| member.until == Some(end)) {
                return self.forget(&pid);
            }
        }
        Forgotten::default()
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Millis) -> Forgotten {
        let mut all = Vec::new();
        while self.next_end().is_some_and(|end| end <= now) {
            all.append(&mut self.forget_oldest(now).0);
        }
        Forgotten(all)
    }

    /// Forgets everything; returns how many were away.
    pub(super) fn clear(&mut self) -> (usize, Forgotten) {
        let all = std::mem::take(self);
        (all.away, Forgotten(all.by_pid.into_values().collect()))
    }

    // ---- coming back ----

    /// Whose places a client claims: their connections are to be ended, whatever comes of the claim.
    pub(super) fn rivals(&self, claim: &Claim, namespace: &ByteString) -> Vec<Arc<SocketInner>> {
        let Some(member) = self.by_pid.get(&*claim.pid) else { return Vec::new() };
        let rivals = [&member.holder, &member.claimant].into_iter().filter_map(Weak::upgrade);
        rivals.filter(|_| member.stays.namespace == *namespace).collect()
    }

    /// Whether the client's socket can be recovered. If not, a private id is not good for another attempt.
    pub(super) fn claim(
        &mut self,
        claim: &Claim,
        offsets: &Offsets,
        namespace: &ByteString,
        now: Millis,
        limits: Limits,
    ) -> Result<Claimed, Forgotten> {
        let Self { record, by_pid, .. } = self;
        let Some(member) = by_pid.get_mut(&*claim.pid) else { return Err(Forgotten::default()) };
        let in_time = member.until.or(member.deadline).is_none_or(|until| until > now);
        let heard = if claim.offset.is_none() || claim.offset == member.before {
            Some(Heard::Nothing)
        } else {
            claim.offset.as_deref().and_then(|offset| offsets.parse(offset))
        };
        let claimed = heard.filter(|_| member.told && in_time && member.stays.namespace == *namespace);
        match claimed.filter(|heard| record.missed(&mut member.stays, *heard, limits).is_some()) {
            Some(heard) => {
                let pid = (*claim.pid).into();
                Ok(Claimed { id: member.id, pid, heard, predecessor: member.holder.clone() })
            }
            None => Err(self.forget(&claim.pid)),
        }
    }

    pub(super) fn claimed(&mut self, pid: &str, socket: &Arc<SocketInner>) {
        if let Some(member) = self.by_pid.get_mut(pid) {
            member.claimant = Arc::downgrade(socket);
        }
    }

    /// The socket takes its place, if it may still: nobody else has claimed it, and nothing is lost.
    pub(super) fn arrive(
        &mut self,
        pid: &str,
        socket: &Arc<SocketInner>,
        predecessor: Option<&SocketInner>,
        heard: Heard,
        limits: Limits,
    ) -> Option<Restored> {
        let Self { record, by_pid, away, .. } = self;
        let member =
            by_pid.get_mut(pid).filter(|member| std::ptr::eq(member.claimant.as_ptr(), &**socket))?;
        let missed: BTreeSet<u64> = record.missed(&mut member.stays, heard, limits)?;
        if let Some(until) = member.until.take() {
            member.deadline = Some(until);
            *away -= 1;
        }
        member.holder = Arc::downgrade(socket);
        let values = member.values.take().or_else(|| predecessor?.values());
        let rooms = member.stays.rooms().map(|(room, _)| room.clone()).collect();
        Some(Restored { rooms, missed: record.messages(&missed), values })
    }

    fn held(&mut self, pid: &str, socket: &SocketInner) -> Option<&mut Member> {
        self.by_pid.get_mut(pid).filter(|member| member.is_held_by(socket))
    }
}

impl Member {
    fn is_held_by(&self, socket: &SocketInner) -> bool {
        std::ptr::eq(self.holder.as_ptr(), socket)
    }
}
