//! What a socket still has to do: the events that wait for their handlers, and its end.
//!
//! A mailbox decides what runs next. It calls nobody: its owner takes the next job, runs it without any lock, and
//! reports when it is done.

use std::collections::VecDeque;

use bytestring::ByteString;
use wirebird_proto::socket_io::RawArgs;

use crate::reason::DisconnectReason;

/// Where a socket is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The connect handler has not answered yet. Events wait.
    Connecting,
    /// Events are handled.
    Open,
    /// Disconnected: what came before is still handled, then the disconnect handler runs.
    Leaving,
    /// Everything is over.
    Gone,
}

/// What becomes of a socket whose connect handler accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Events are handled from now on.
    Open,
    /// The client is gone already: the events that came before are handled, then the disconnect handler runs.
    Left(DisconnectReason),
    /// The server has disconnected it meanwhile: that is a refusal.
    Disconnected,
    /// It is not connecting any more.
    Over,
}

/// An event that waits for its handler.
#[derive(Debug)]
pub(crate) struct QueuedEvent {
    pub(crate) name: ByteString,
    pub(crate) args: RawArgs,
    pub(crate) ack: Option<u64>,
}

/// What clients make the server keep until handlers have dealt with it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(crate) fn one(bytes: usize) -> Self {
        Self { events: 1, bytes }
    }
}

impl QueuedEvent {
    pub(crate) fn load(&self) -> Load {
        let attachments: usize = self.args.attachments().iter().map(bytes::Bytes::len).sum();
        Load::one(self.name.len() + self.args.json().len() + attachments)
    }
}

impl FromIterator<Self> for Load {
    fn from_iter<I: IntoIterator<Item = Self>>(loads: I) -> Self {
        loads.into_iter().fold(Self::default(), |sum, load| Self {
            events: sum.events + load.events,
            bytes: sum.bytes + load.bytes,
        })
    }
}

/// What becomes of an event that comes in.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// Nothing is before it: the caller hands it on at once, and calls [`Mailbox::settle`] and [`Mailbox::next`] after
    /// that.
    Now(QueuedEvent, Visit),
    /// It waits for its turn.
    Queued,
    /// The socket takes none any more.
    Never,
}

/// One event that is handed on without having waited. Until its handler waits nothing is kept for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit(u32);

#[derive(Debug)]
pub(crate) enum Job {
    Event(QueuedEvent),
    Disconnect(DisconnectReason),
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    stage: Stage,
    events: VecDeque<QueuedEvent>,
    running: usize,
    /// The last visit, and whether it is under way and nothing is kept for it.
    visit: Visit,
    visiting: bool,
    /// Somebody takes jobs in a loop, or is about to tell of the acceptance, which comes first.
    pumping: bool,
    /// The acceptance has not been told yet: whoever tells of it tells of the end too, if that comes meanwhile.
    accepting: bool,
    /// The socket still has to be taken out of everything, which waits for its disconnecting handler: the disconnect
    /// handler comes after that.
    ending: bool,
    reason: Option<DisconnectReason>,
    disconnect_taken: bool,
    /// The running handlers have had their time: the end does not wait for them.
    overdue: bool,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Connecting,
            events: VecDeque::new(),
            running: 0,
            visit: Visit(0),
            visiting: false,
            pumping: false,
            accepting: false,
            ending: false,
            reason: None,
            disconnect_taken: false,
            overdue: false,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn reason(&self) -> Option<DisconnectReason> {
        self.reason
    }

    /// Takes an event in, to run beside at most `max - 1` others.
    pub(crate) fn admit(&mut self, event: QueuedEvent, max: usize) -> Admitted {
        if !matches!(self.stage, Stage::Connecting | Stage::Open) || self.reason.is_some() {
            return Admitted::Never;
        }
        if self.stage == Stage::Connecting || self.pumping || self.running >= max || !self.events.is_empty() {
            self.events.push_back(event);
            return Admitted::Queued;
        }
        self.pumping = true;
        self.running += 1;
        self.visit = Visit(self.visit.0.wrapping_add(1));
        self.visiting = true;
        Admitted::Now(event, self.visit)
    }

    /// The dispatcher has returned from a visit; returns whether the event's handler goes on, so that it is kept.
    pub(crate) fn settle(&mut self, visit: Visit) -> bool {
        self.visit == visit && std::mem::take(&mut self.visiting)
    }

    /// The socket is to end. Only the first reason counts: `false` for all others. If it was open, the disconnect
    /// handler does not run before [`Mailbox::may_end`] is called.
    pub(crate) fn leave(&mut self, reason: DisconnectReason) -> bool {
        if self.reason.is_some() || self.stage == Stage::Gone {
            return false;
        }
        self.reason = Some(reason);
        if self.stage == Stage::Open {
            self.stage = Stage::Leaving;
            self.ending = true;
        }
        true
    }

    /// The connect handler accepted. If that opens the socket, no job runs until [`Mailbox::accepted`] is called.
    pub(crate) fn accept(&mut self) -> Accepted {
        match (self.stage, self.reason) {
            (Stage::Connecting, None) => {
                self.stage = Stage::Open;
                self.accepting = true;
                self.pumping = true;
                Accepted::Open
            }
            (Stage::Connecting, Some(DisconnectReason::ServerDisconnect)) => Accepted::Disconnected,
            (Stage::Connecting, Some(reason)) => {
                self.stage = Stage::Leaving;
                self.ending = true;
                Accepted::Left(reason)
            }
            _ => Accepted::Over,
        }
    }

    /// The acceptance has been told. Returns why the socket has ended meanwhile, which is to be told next.
    pub(crate) fn told(&mut self) -> Option<DisconnectReason> {
        self.accepting = false;
        self.reason
    }

    /// Whether the acceptance is being told, and the end is to be told by whoever does that.
    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting
    }

    /// Everything about the acceptance is done.
    pub(crate) fn accepted(&mut self) {
        self.pumping = false;
    }

    /// Whether the socket counts among those of its namespace: it is open, or its disconnecting handler runs.
    pub(crate) fn is_listed(&self) -> bool {
        self.stage == Stage::Open || (self.stage == Stage::Leaving && self.ending)
    }

    /// The disconnect handler may run. Returns whether that is new.
    pub(crate) fn may_end(&mut self) -> bool {
        std::mem::take(&mut self.ending) && self.stage == Stage::Leaving
    }

    /// The socket was refused, or its disconnect handler is done. Returns what is dropped.
    pub(crate) fn end(&mut self) -> Load {
        self.stage = Stage::Gone;
        self.drop_events()
    }

    fn drop_events(&mut self) -> Load {
        std::mem::take(&mut self.events).iter().map(QueuedEvent::load).collect()
    }

    /// The time for handlers to finish is over. Returns what is dropped.
    pub(crate) fn give_up_waiting(&mut self) -> Load {
        if self.stage != Stage::Leaving || self.disconnect_taken {
            return Load::default();
        }
        self.overdue = true;
        self.drop_events()
    }

    /// Whether no handler runs and no event waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.running == 0 && self.events.is_empty()
    }

    /// Whether the caller is to take jobs until there are none.
    pub(crate) fn begin_pumping(&mut self) -> bool {
        !std::mem::replace(&mut self.pumping, true)
    }

    /// The next job that may run beside at most `max - 1` others; with `None` the caller's turn is over.
    pub(crate) fn next(&mut self, max: usize) -> Option<Job> {
        let job = self.next_job(max);
        self.pumping = job.is_some();
        job
    }

    fn next_job(&mut self, max: usize) -> Option<Job> {
        if !matches!(self.stage, Stage::Open | Stage::Leaving) || self.disconnect_taken {
            return None;
        }
        if self.running < max
            && let Some(event) = self.events.pop_front()
        {
            if self.events.is_empty() && self.events.capacity() > 8 {
                self.events = VecDeque::new();
            }
            self.running += 1;
            return Some(Job::Event(event));
        }
        let waits = self.ending || !self.events.is_empty() || (self.running > 0 && !self.overdue);
        if self.stage == Stage::Leaving && !waits {
            self.disconnect_taken = true;
            return self.reason.map(Job::Disconnect);
        }
        None
    }

    /// An event's handler is done; returns whether the event was kept for it.
    pub(crate) fn done(&mut self, visit: Option<Visit>) -> bool {
        self.running -= 1;
        !(visit == Some(self.visit) && std::mem::take(&mut self.visiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str) -> QueuedEvent {
        QueuedEvent { name: name.into(), args: RawArgs::empty(), ack: None }
    }

    fn accept(mailbox: &mut Mailbox) {
        assert_eq!(mailbox.accept(), Accepted::Open);
        assert!(!mailbox.begin_pumping() && mailbox.told().is_none());
        mailbox.accepted();
    }

    fn name(job: Option<Job>) -> String {
        match job {
            Some(Job::Event(event)) => event.name.to_string(),
            Some(Job::Disconnect(reason)) => reason.to_string(),
            None => "nothing".into(),
        }
    }

    #[test]
    fn events_wait_for_acceptance_and_run_one_after_another() {
        let mut mailbox = Mailbox::new();
        mailbox.admit(event("a"), 1);
        mailbox.admit(event("b"), 1);
        assert_eq!(name(mailbox.next(1)), "nothing");
        accept(&mut mailbox);
        assert_eq!(name(mailbox.next(1)), "a");
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None);
        assert_eq!(name(mailbox.next(1)), "b");
    }

    #[test]
    fn several_run_at_once_up_to_the_limit() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        for name in ["a", "b", "c"] {
            mailbox.admit(event(name), 2);
        }
        assert_eq!(name(mailbox.next(2)), "a");
        assert_eq!(name(mailbox.next(2)), "b");
        assert_eq!(name(mailbox.next(2)), "nothing");
    }

    #[test]
    fn the_disconnect_comes_last_and_once() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        mailbox.admit(event("a"), 1);
        assert!(mailbox.leave(DisconnectReason::PingTimeout));
        assert!(!mailbox.leave(DisconnectReason::TransportClose));
        assert!(matches!(mailbox.admit(event("late"), 1), Admitted::Never));
        mailbox.may_end();
        assert_eq!(name(mailbox.next(1)), "a");
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None);
        assert_eq!(name(mailbox.next(1)), "ping timeout");
        assert_eq!(name(mailbox.next(1)), "nothing");
    }

    #[test]
    fn a_handler_that_never_returns_does_not_hold_up_the_end_for_ever() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        mailbox.admit(event("stuck"), 1);
        mailbox.admit(event("waits"), 1);
        mailbox.next(1);
        mailbox.leave(DisconnectReason::TransportClose);
        mailbox.may_end();
        assert_eq!(name(mailbox.next(1)), "nothing");
        assert_eq!(mailbox.give_up_waiting().events, 1);
        assert_eq!(name(mailbox.next(1)), "transport close");
    }

    #[test]
    fn a_socket_that_left_while_connecting_is_disconnected_if_it_was_accepted() {
        let mut mailbox = Mailbox::new();
        mailbox.leave(DisconnectReason::TransportClose);
        assert_eq!(name(mailbox.next(1)), "nothing");
        assert_eq!(mailbox.accept(), Accepted::Left(DisconnectReason::TransportClose));
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.may_end();
        assert_eq!(name(mailbox.next(1)), "transport close");
    }
}
