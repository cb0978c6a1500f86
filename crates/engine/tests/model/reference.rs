//! What a session is, written down as simply as can be: no locks, no wakers, no buckets of timers.

use std::collections::VecDeque;

use wirebird_engine::CloseReason;

use crate::command::{Command, Fed, Packet};

pub const PING_INTERVAL: u64 = 640;
pub const PING_TIMEOUT: u64 = 416;
pub const UPGRADE_TIMEOUT: u64 = 328;
pub const CLOSE_TIMEOUT: u64 = 848;
/// For how long something may wait that nobody takes: longer than it takes to miss a pong, and shorter.
pub const WRITE_TIMEOUTS: [u64; 2] = [1504, 480];
/// How often it is looked in that time.
pub const LOOKS: u64 = 4;
/// Packets that may wait.
pub const MAX_QUEUED: usize = 24;
/// Packets of one polling reply.
const MAX_REPLY: usize = 16;

/// What the client and the application see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    // The client.
    /// A poll is answered with these packets.
    Polled(Vec<String>),
    /// A request is refused.
    Refused,
    /// A POST is answered: `ok` or not.
    Posted(bool),
    /// A transport may try to take the session over, or not.
    Candidate(bool),
    /// Frames of a transport.
    Frames(Vec<String>),
    // The application.
    Message(String),
    Upgraded,
    Closed(CloseReason),
    /// Whether a message was taken to be sent; for a volatile one, whether it went out.
    Sent(bool),
    /// The same of a value with this key.
    SentValue(u8, bool),
}

/// How a session begins.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// On a stream rather than on polling.
    pub on_stream: bool,
    pub write_timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Open,
    Draining,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Polling,
    /// On the transport of this number.
    Stream(usize),
}

/// A POST whose body has not been dealt with; its packets are there once it has come.
#[derive(Debug)]
struct Post {
    body: Option<VecDeque<Packet>>,
}

/// A packet that waits for the client.
#[derive(Debug)]
struct Waiting {
    text: String,
    /// A newer one with this key takes its place.
    key: Option<u8>,
}

impl<T: Into<String>> From<T> for Waiting {
    fn from(text: T) -> Self {
        Self { text: text.into(), key: None }
    }
}

/// How long nobody has taken what waits.
#[derive(Debug, Default)]
struct Stall {
    /// The next look, if there will be one.
    at: Option<u64>,
    /// Looks since something was taken.
    looks: u64,
}

#[derive(Debug)]
pub struct Model {
    now: u64,
    write_timeout: u64,
    pub phase: Phase,
    pub link: Link,
    /// A poll is held.
    poll: bool,
    post: Option<Post>,
    /// The transport that wants to take over, whether it has probed, and until when it may take.
    upgrade: Option<(usize, bool, u64)>,
    pub paused: bool,
    queue: VecDeque<Waiting>,
    /// The stream has been told that something waits, and has not taken it.
    blocked: bool,
    stall: Stall,
    due: u64,
    awaiting_pong: bool,
    excused: bool,
    drain_until: u64,
    reason: Option<CloseReason>,
    /// How many transports there have been.
    streams: usize,
    /// Replies to probes, which do not go through the queue.
    replies: Vec<(usize, String)>,
    sent: u32,
    /// How many were replaced.
    pub replaced: u64,
    /// Two things were to happen at one moment: which comes first is nobody's business.
    tied: bool,
    /// Nobody knows this session any more.
    pub forgotten: bool,
    seen: Vec<Seen>,
}

impl Model {
    pub fn new(Beginning { on_stream, write_timeout }: Beginning) -> Self {
        let mut new = Self {
            now: 0,
            write_timeout,
            phase: Phase::Open,
            link: if on_stream { Link::Stream(0) } else { Link::Polling },
            poll: false,
            post: None,
            upgrade: None,
            paused: false,
            queue: VecDeque::new(),
            blocked: false,
            stall: Stall::default(),
            due: PING_INTERVAL,
            awaiting_pong: false,
            excused: false,
            drain_until: 0,
            reason: None,
            streams: usize::from(on_stream),
            replies: Vec::new(),
            sent: 0,
            replaced: 0,
            tied: false,
            forgotten: false,
            seen: Vec::new(),
        };
        if on_stream {
            new.push("open".into());
        }
        new
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    pub fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// Two deadlines at one moment: nothing can be said of what follows.
    pub fn is_tied(&self) -> bool {
        self.tied
    }

    /// Lets something happen; returns what is seen of it.
    pub fn step(&mut self, command: &Command) -> Vec<Seen> {
        match command {
            Command::Poll => self.begin_poll(),
            Command::AbortPoll if self.poll => {
                self.poll = false;
                if self.link == Link::Polling {
                    self.close(CloseReason::TransportError);
                }
            }
            Command::BeginPost => self.begin_post(),
            Command::EndPost(packets) => {
                if let Some(post @ Post { body: None }) = &mut self.post {
                    if self.phase == Phase::Open {
                        post.body = Some(packets.iter().copied().collect());
                    } else {
                        self.post = None;
                        self.seen.push(Seen::Posted(false));
                    }
                }
                self.deliver();
            }
            Command::AbortPost if self.post.is_some() => {
                self.post = None;
                self.close(CloseReason::TransportError);
            }
            Command::OpenCandidate => {
                let free = self.link == Link::Polling && self.upgrade.is_none() && self.phase == Phase::Open;
                if free {
                    self.upgrade = Some((self.streams, false, self.now + UPGRADE_TIMEOUT));
                    self.streams += 1;
                }
                self.seen.push(Seen::Candidate(free));
            }
            Command::Feed(fed) => self.feed(fed),
            Command::Read => self.read(),
            Command::CloseStream => self.close_stream(),
            Command::Send(count) => (0..*count).for_each(|_| self.send()),
            Command::SendValue(key) => self.send_value(*key),
            Command::SendVolatile => self.send_volatile(),
            Command::Close => self.close(CloseReason::ForcedClose),
            Command::Shutdown => self.close(CloseReason::ServerShutdown),
            Command::PauseReading => self.paused = true,
            Command::ResumeReading => {
                if std::mem::replace(&mut self.paused, false) {
                    self.excuse();
                    self.deliver();
                }
            }
            Command::Wait(steps) => self.wait(u64::from(*steps) * 32),
            Command::AbortPoll | Command::AbortPost => {}
        }
        self.answer_poll();
        // Whoever was waiting for the session to take more is let go when it ends.
        self.deliver();
        std::mem::take(&mut self.seen)
    }

    fn probed(&self) -> bool {
        self.upgrade.is_some_and(|(_, probed, _)| probed)
    }

    /// Pongs cannot be seen, or pings do not reach the client.
    fn misses_pongs(&self) -> bool {
        self.paused || self.probed() || self.clogged()
    }

    /// The client does not take what waits for it: it is not read from.
    fn clogged(&self) -> bool {
        matches!(self.link, Link::Stream(_)) && self.queue.len() > MAX_QUEUED / 2
    }

    fn excuse(&mut self) {
        if self.excused && !self.misses_pongs() {
            self.excused = false;
            self.due = self.now + PING_TIMEOUT;
        }
    }

    // ---- polling ----

    fn begin_poll(&mut self) {
        if self.forgotten || self.link != Link::Polling {
            return self.seen.push(Seen::Refused);
        }
        if self.poll {
            self.close(CloseReason::TransportError);
            return self.seen.push(Seen::Refused);
        }
        self.poll = true;
    }

    /// Answers a poll that is held, when there is something to say.
    fn answer_poll(&mut self) {
        if !self.poll {
            return;
        }
        let open = self.phase == Phase::Open;
        let is_moving = self.link != Link::Polling || open && self.probed();
        if open && self.queue.is_empty() && !is_moving {
            return;
        }
        self.poll = false;
        if is_moving {
            return self.seen.push(Seen::Polled(vec!["6".into()]));
        }
        let taken = self.queue.len().min(MAX_REPLY);
        let mut packets: Vec<_> = self.queue.drain(..taken).map(|waiting| waiting.text).collect();
        if !open && self.queue.is_empty() {
            let untold = [Some(CloseReason::ClientClose), Some(CloseReason::ServerShutdown)];
            packets.push(if untold.contains(&self.reason) { "6" } else { "1" }.into());
            self.finish();
        }
        self.seen.push(Seen::Polled(packets));
        // What is left waits for the next one.
        self.stall.looks = 0;
        self.watch();
    }

    fn begin_post(&mut self) {
        if self.phase != Phase::Open || self.link != Link::Polling {
            self.seen.push(Seen::Refused);
        } else if self.post.is_some() {
            self.close(CloseReason::TransportError);
            self.seen.push(Seen::Refused);
        } else {
            self.post = Some(Post { body: None });
        }
    }

    /// Hands the packets of a POST to the session, as far as that takes them.
    fn deliver(&mut self) {
        loop {
            if self.paused && self.phase == Phase::Open {
                return;
            }
            let Some(Post { body: Some(packets) }) = &mut self.post else { return };
            let next = packets.pop_front();
            if let Some(packet) = next {
                self.receive(packet);
            }
            let valid = next != Some(Packet::Garbage);
            if next.is_none() || !valid || self.phase != Phase::Open {
                self.post = None;
                return self.seen.push(Seen::Posted(valid));
            }
        }
    }

    // ---- streams ----

    fn newest(&self) -> Option<usize> {
        self.streams.checked_sub(1)
    }

    fn feed(&mut self, fed: &Fed) {
        let Some(stream) = self.newest() else { return };
        if self.link == Link::Stream(stream) {
            let packet = match fed {
                Fed::Packet(packet) => *packet,
                // As any packet that makes no sense there.
                Fed::Probe => Packet::Ping,
                Fed::Upgrade => return,
            };
            // Whoever carries the session reads nothing while it is paused, or while the client takes nothing.
            if self.phase == Phase::Open && !self.paused && !self.clogged() {
                self.receive(packet);
            }
            return;
        }
        let Some((candidate, probed, _)) = &mut self.upgrade else { return };
        if *candidate != stream {
            return;
        }
        match fed {
            Fed::Probe => {
                *probed = true;
                self.replies.push((stream, "3probe".into()));
            }
            Fed::Upgrade if *probed && self.post.is_none() => {
                self.link = Link::Stream(stream);
                self.upgrade = None;
                self.blocked = false;
                self.offer();
                self.excuse();
                self.seen.push(Seen::Upgraded);
            }
            Fed::Packet(_) if *probed => {}
            Fed::Packet(_) | Fed::Upgrade => self.abandon_upgrade(),
        }
    }

    fn abandon_upgrade(&mut self) {
        if self.upgrade.take().is_some() {
            self.excuse();
            self.offer();
        }
    }

    fn read(&mut self) {
        let Some(stream) = self.newest() else { return };
        let mut frames: Vec<_> =
            self.replies.extract_if(.., |(of, _)| *of == stream).map(|(_, text)| text).collect();
        if self.link == Link::Stream(stream) && self.phase != Phase::Closed {
            frames.extend(self.queue.drain(..).map(|waiting| waiting.text));
            (self.blocked, self.stall.looks) = (false, 0);
            self.excuse();
            self.finish();
        }
        self.seen.push(Seen::Frames(frames));
    }

    fn close_stream(&mut self) {
        let Some(stream) = self.newest() else { return };
        if self.link == Link::Stream(stream) {
            self.close(CloseReason::TransportClose);
            self.finish();
        } else if self.upgrade.is_some_and(|(candidate, ..)| candidate == stream) {
            self.abandon_upgrade();
        }
    }

    // ---- both ----

    fn receive(&mut self, packet: Packet) {
        match packet {
            _ if self.phase != Phase::Open => {}
            Packet::Message(number) => self.seen.push(Seen::Message(format!("message {number}"))),
            Packet::Ask(count) => {
                self.seen.push(Seen::Message(format!("ask {count}")));
                (0..count).for_each(|_| self.send());
            }
            Packet::Quote(count) => {
                self.seen.push(Seen::Message(format!("quote {count}")));
                (0..count).for_each(|_| self.send_value(0));
            }
            Packet::Quit => {
                self.seen.push(Seen::Message("quit".into()));
                self.close(CloseReason::ForcedClose);
            }
            Packet::Pong => {
                self.awaiting_pong = false;
                self.excused = false;
                self.due = self.now + PING_INTERVAL;
            }
            Packet::Close => self.close(CloseReason::ClientClose),
            Packet::Ping => self.close(CloseReason::TransportError),
            // It is not told what else waits.
            Packet::Garbage => self.end(CloseReason::ParseError, false),
        }
    }

    fn send(&mut self) {
        let sent = self.send_with(None);
        self.seen.push(Seen::Sent(sent));
    }

    fn send_value(&mut self, key: u8) {
        let sent = self.send_with(Some(key));
        self.seen.push(Seen::SentValue(key, sent));
    }

    fn send_with(&mut self, key: Option<u8>) -> bool {
        self.sent += 1;
        if self.phase != Phase::Open {
            return false;
        }
        // One that is replaced makes room.
        let older = self.queue.iter().rposition(|waiting| key.is_some() && waiting.key == key);
        let others = self.queue.len() - usize::from(older.is_some());
        if others > 0 && others + 1 > MAX_QUEUED {
            self.close(CloseReason::SlowConsumer);
            return false;
        }
        if let Some(older) = older {
            self.queue.remove(older);
            self.replaced += 1;
        }
        self.push(Waiting { text: format!("4{}", self.sent), key });
        true
    }

    fn push(&mut self, packet: Waiting) {
        self.queue.push_back(packet);
        self.offer();
    }

    /// Whoever carries the session is told that something waits. From then on it is looked at.
    fn offer(&mut self) {
        if self.queue.is_empty() || (self.link == Link::Polling && (self.poll || self.probed())) {
            return;
        }
        self.blocked = true;
        self.watch();
    }

    fn send_volatile(&mut self) {
        let takes = match self.link {
            Link::Polling => self.poll && !self.probed(),
            // Streams in memory only take what is fetched: one message makes them wait for that.
            Link::Stream(_) => self.queue.is_empty(),
        };
        self.sent += 1;
        let sent = self.phase == Phase::Open && takes;
        if sent {
            self.push(format!("4{}", self.sent).into());
        }
        self.seen.push(Seen::Sent(sent));
    }

    fn close(&mut self, reason: CloseReason) {
        use CloseReason::{ForcedClose, ServerShutdown};
        self.end(reason, matches!(reason, ForcedClose | ServerShutdown));
    }

    /// The session ends for the application. What waits still goes to the client if it is the server's wish.
    fn end(&mut self, reason: CloseReason, drains: bool) {
        if self.phase != Phase::Open {
            return;
        }
        self.reason = Some(reason);
        self.upgrade = None;
        self.seen.push(Seen::Closed(reason));
        if drains {
            self.phase = Phase::Draining;
            self.drain_until = self.now + CLOSE_TIMEOUT;
        } else {
            self.phase = Phase::Closed;
            self.queue.clear();
            self.forgotten = true;
        }
    }

    /// Nothing is left to be said.
    fn finish(&mut self) {
        if self.phase != Phase::Open {
            self.phase = Phase::Closed;
            self.queue.clear();
            self.forgotten = true;
        }
    }

    // ---- time ----

    fn wait(&mut self, time: u64) {
        let end = self.now + time;
        while let Some(next) = self.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            match self.phase {
                Phase::Draining => self.finish(),
                _ if self.due == next => self.beat(),
                _ if self.stall.at == Some(next) => self.look(),
                _ => self.abandon_upgrade(),
            }
            self.answer_poll();
            self.deliver();
        }
        self.now = end;
    }

    fn next_deadline(&mut self) -> Option<u64> {
        match self.phase {
            Phase::Open => {
                let upgrade = self.upgrade.map(|(_, _, deadline)| deadline);
                let all = [Some(self.due), self.stall.at, upgrade];
                let next = all.iter().flatten().min().copied();
                self.tied |= all.iter().filter(|at| **at == next).count() > 1;
                next
            }
            Phase::Draining => Some(self.drain_until),
            Phase::Closed => None,
        }
    }

    // ---- clients that take nothing ----

    /// Something waits, and nobody takes it.
    fn is_stalled(&self) -> bool {
        let blocked = match self.link {
            Link::Polling => !self.poll,
            Link::Stream(_) => self.blocked,
        };
        blocked && self.phase == Phase::Open && !self.queue.is_empty()
    }

    fn watch(&mut self) {
        if self.is_stalled() && self.stall.at.is_none() {
            self.stall.at = Some(self.now + self.write_timeout / LOOKS);
        }
    }

    fn look(&mut self) {
        self.stall.at = None;
        if !self.is_stalled() {
            self.stall.looks = 0;
            return;
        }
        // While it moves, what waits is kept from it.
        self.stall.looks += u64::from(!self.probed());
        if self.stall.looks > LOOKS {
            return self.close(CloseReason::SlowConsumer);
        }
        self.watch();
    }

    fn beat(&mut self) {
        if self.awaiting_pong {
            if !self.misses_pongs() {
                return self.close(CloseReason::PingTimeout);
            }
            self.excused = true;
        }
        let asked = self.queue.iter().take(2).any(|packet| packet.text == "2");
        if !self.awaiting_pong || !asked && !self.probed() {
            self.awaiting_pong = true;
            // It overtakes what waits, but for the packet that opens the session.
            let at = usize::from(self.queue.front().is_some_and(|first| first.text == "open"));
            self.queue.insert(at, "2".into());
            self.offer();
        }
        self.due += PING_TIMEOUT;
    }
}
