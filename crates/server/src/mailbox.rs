//! What a socket still has to do: the events that wait for their handlers, and its end.
//!
//! A mailbox decides what runs next. It calls nobody: its owner takes the next job, runs it without any lock, and
//! reports when it is done.

use std::collections::VecDeque;
use std::sync::Arc;

use smol_str::SmolStr;
use wirebird_proto::socket_io::RawArgs;

use crate::lanes::{Lane, Lanes};
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

/// An event on its way to its handler.
#[derive(Debug)]
pub(crate) struct QueuedEvent {
    pub(crate) name: SmolStr,
    pub(crate) args: RawArgs,
    pub(crate) ack: Option<u64>,
}

/// An event that waits for its handler.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The lower, the longer it has waited.
    pub(crate) turn: u64,
    pub(crate) event: QueuedEvent,
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
        Load::one(self.name.len() + self.args.held_bytes())
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
    Now(Visit),
    /// It waits for its turn: the caller hands it to [`Mailbox::queue`].
    Later,
    /// The socket takes none any more.
    Never,
}

/// One event that is handed on without having waited. Until its handler waits nothing is kept for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit(u32);

impl Visit {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(crate) enum Job {
    Event(QueuedEvent),
    /// An event with a lane of its own. Boxed, because others are moved about more often.
    InLane(Box<QueuedEvent>, Arc<Lane>),
    Disconnect(DisconnectReason),
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    stage: Stage,
    events: VecDeque<Waiting>,
    running: usize,
    /// Events that do not wait for those above, nor these for them. `None` as long as there has been none.
    lanes: Option<Box<Lanes>>,
    turns: u64,
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
            lanes: None,
            turns: 0,
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

    /// An event comes in: to run beside at most `max - 1` others, or as its lane says.
    pub(crate) fn admit(&mut self, lane: Option<&Arc<Lane>>, max: usize) -> Admitted {
        if !matches!(self.stage, Stage::Connecting | Stage::Open) || self.reason.is_some() {
            return Admitted::Never;
        }
        let free = match lane {
            None => self.running < max && self.events.is_empty(),
            Some(lane) => self.lanes.as_ref().is_none_or(|lanes| lanes.is_free(lane)),
        };
        if self.stage == Stage::Connecting || self.pumping || !free {
            return Admitted::Later;
        }
        self.pumping = true;
        match lane {
            None => self.running += 1,
            Some(lane) => self.lanes.get_or_insert_default().begin(lane),
        }
        self.visit = Visit(self.visit.0.wrapping_add(1));
        self.visiting = true;
        Admitted::Now(self.visit)
    }

    /// Keeps an event until its turn comes.
    pub(crate) fn queue(&mut self, event: QueuedEvent, lane: Option<&Arc<Lane>>) {
        self.turns += 1;
        let waiting = Waiting { turn: self.turns, event };
        match lane {
            None => self.events.push_back(waiting),
            Some(lane) => self.lanes.get_or_insert_default().wait(lane, waiting),
        }
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
        let ordered = std::mem::take(&mut self.events).iter().map(|waiting| waiting.event.load()).collect();
        let lanes = self.lanes.as_mut().map(|lanes| lanes.drop_waiting()).unwrap_or_default();
        [ordered, lanes].into_iter().collect()
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
        !self.is_running() && !self.is_waiting()
    }

    fn is_running(&self) -> bool {
        self.running > 0 || self.lanes.as_ref().is_some_and(|lanes| lanes.is_running())
    }

    fn is_waiting(&self) -> bool {
        !self.events.is_empty() || self.lanes.as_ref().is_some_and(|lanes| lanes.is_waiting())
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
        if let Some(event) = self.next_of_lanes(max) {
            return Some(event);
        }
        if self.running < max
            && let Some(waiting) = self.events.pop_front()
        {
            if self.events.is_empty() && self.events.capacity() > 8 {
                self.events = VecDeque::new();
            }
            self.running += 1;
            return Some(Job::Event(waiting.event));
        }
        let waits = self.ending || self.is_waiting() || (self.is_running() && !self.overdue);
        if self.stage == Stage::Leaving && !waits {
            self.disconnect_taken = true;
            return self.reason.map(Job::Disconnect);
        }
        None
    }

    /// The event of a lane that may run now, unless one of the others may, and came before it.
    fn next_of_lanes(&mut self, max: usize) -> Option<Job> {
        let lanes = self.lanes.as_mut()?;
        let turn = lanes.next_turn()?;
        let ordered = self.events.front().filter(|_| self.running < max);
        if ordered.is_some_and(|waiting| waiting.turn < turn) {
            return None;
        }
        let (event, lane) = lanes.take_next()?;
        Some(Job::InLane(Box::new(event), lane))
    }

    /// An event's handler is done; returns whether the event was kept for it.
    pub(crate) fn done(&mut self, visit: Option<Visit>, lane: Option<&Arc<Lane>>) -> bool {
        match (lane, &mut self.lanes) {
            (Some(lane), Some(lanes)) => lanes.done(lane),
            _ => self.running -= 1,
        }
        !(visit == Some(self.visit) && std::mem::take(&mut self.visiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str) -> QueuedEvent {
        QueuedEvent { name: name.into(), args: RawArgs::empty(), ack: None }
    }

    /// As the owner does.
    fn admit(mailbox: &mut Mailbox, name: &'static str, lane: Option<&Arc<Lane>>, max: usize) -> Admitted {
        let admitted = mailbox.admit(lane, max);
        if let Admitted::Later = admitted {
            mailbox.queue(event(name), lane);
        }
        admitted
    }

    fn accept(mailbox: &mut Mailbox) {
        assert_eq!(mailbox.accept(), Accepted::Open);
        assert!(!mailbox.begin_pumping() && mailbox.told().is_none());
        mailbox.accepted();
    }

    fn name(job: Option<Job>) -> String {
        match job {
            Some(Job::Event(event)) => event.name.to_string(),
            Some(Job::InLane(event, _)) => event.name.to_string(),
            Some(Job::Disconnect(reason)) => reason.to_string(),
            None => "nothing".into(),
        }
    }

    #[test]
    fn events_wait_for_acceptance_and_run_one_after_another() {
        let mut mailbox = Mailbox::new();
        admit(&mut mailbox, "a", None, 1);
        admit(&mut mailbox, "b", None, 1);
        assert_eq!(name(mailbox.next(1)), "nothing");
        accept(&mut mailbox);
        assert_eq!(name(mailbox.next(1)), "a");
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None, None);
        assert_eq!(name(mailbox.next(1)), "b");
    }

    #[test]
    fn several_run_at_once_up_to_the_limit() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        for name in ["a", "b", "c"] {
            admit(&mut mailbox, name, None, 2);
        }
        assert_eq!(name(mailbox.next(2)), "a");
        assert_eq!(name(mailbox.next(2)), "b");
        assert_eq!(name(mailbox.next(2)), "nothing");
    }

    #[test]
    fn the_disconnect_comes_last_and_once() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        admit(&mut mailbox, "a", None, 1);
        assert!(mailbox.leave(DisconnectReason::PingTimeout));
        assert!(!mailbox.leave(DisconnectReason::TransportClose));
        assert!(matches!(admit(&mut mailbox, "late", None, 1), Admitted::Never));
        mailbox.may_end();
        assert_eq!(name(mailbox.next(1)), "a");
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None, None);
        assert_eq!(name(mailbox.next(1)), "ping timeout");
        assert_eq!(name(mailbox.next(1)), "nothing");
    }

    #[test]
    fn a_handler_that_never_returns_does_not_hold_up_the_end_for_ever() {
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        admit(&mut mailbox, "stuck", None, 1);
        admit(&mut mailbox, "waits", None, 1);
        mailbox.next(1);
        mailbox.leave(DisconnectReason::TransportClose);
        mailbox.may_end();
        assert_eq!(name(mailbox.next(1)), "nothing");
        assert_eq!(mailbox.give_up_waiting().events, 1);
        assert_eq!(name(mailbox.next(1)), "transport close");
    }

    #[test]
    fn a_lane_neither_waits_for_other_events_nor_holds_them_up() {
        let mut mailbox = Mailbox::new();
        let (pair, single) = (Lane::new(2), Lane::new(1));
        mailbox.accept();
        let mut take = |name, lane: Option<&Arc<Lane>>| admit(&mut mailbox, name, lane, 1);
        take("a", None);
        take("p1", Some(&pair));
        take("b", None);
        take("s1", Some(&single));
        for name in ["p2", "p3"] {
            take(name, Some(&pair));
        }
        take("s2", Some(&single));
        // Those that may begin do so in the order they came.
        for expected in ["a", "p1", "s1", "p2", "nothing"] {
            assert_eq!(name(mailbox.next(1)), expected);
        }
        mailbox.done(None, Some(&pair));
        assert_eq!(name(mailbox.next(1)), "p3");
        mailbox.done(None, None);
        assert_eq!(name(mailbox.next(1)), "b");
        mailbox.done(None, Some(&single));
        assert_eq!(name(mailbox.next(1)), "s2");
        assert_eq!(name(mailbox.next(1)), "nothing");
    }

    #[test]
    fn the_disconnect_comes_after_the_lanes_too() {
        let lane = Lane::new(1);
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        for name in ["one", "two"] {
            admit(&mut mailbox, name, Some(&lane), 1);
        }
        assert_eq!(name(mailbox.next(1)), "one");
        mailbox.leave(DisconnectReason::TransportClose);
        assert!(mailbox.may_end() && !mailbox.is_idle());
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None, Some(&lane));
        assert_eq!(name(mailbox.next(1)), "two");
        assert_eq!(name(mailbox.next(1)), "nothing");
        mailbox.done(None, Some(&lane));
        assert!(mailbox.is_idle());
        assert_eq!(name(mailbox.next(1)), "transport close");
    }

    #[test]
    fn what_waits_in_lanes_is_dropped_and_counted_when_the_time_is_over() {
        let lane = Lane::new(1);
        let mut mailbox = Mailbox::new();
        mailbox.accept();
        for name in ["stuck", "waits", "too"] {
            admit(&mut mailbox, name, Some(&lane), 1);
        }
        admit(&mut mailbox, "stuck too", None, 1);
        admit(&mut mailbox, "waits too", None, 1);
        assert_eq!(name(mailbox.next(1)), "stuck");
        assert_eq!(name(mailbox.next(1)), "stuck too");
        mailbox.leave(DisconnectReason::TransportClose);
        mailbox.may_end();
        let dropped = mailbox.give_up_waiting();
        assert_eq!(dropped, Load { events: 3, bytes: "waits".len() + "too".len() + "waits too".len() });
        assert_eq!(name(mailbox.next(1)), "transport close");
        // They may come back later still.
        mailbox.done(None, Some(&lane));
        mailbox.done(None, None);
        assert!(mailbox.is_idle());
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
