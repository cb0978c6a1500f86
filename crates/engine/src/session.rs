//! A session: the state machine that every transport drives.
//!
//! All of a session's state is behind one lock, which is never held while user code runs. A send takes the shortest
//! way: it is written at once when nothing waits before it, and queued otherwise.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::task::Waker;

use bytestring::ByteString;
use parking_lot::{Mutex, MutexGuard};
use wirebird_proto::engine_io::Packet;
use wirebird_proto::websocket::CloseCode;

use crate::engine::{Engine, Shared};
use crate::handshake::Handshake;
use crate::id::Id;
use crate::message::{Message, Outgoing};
use crate::queue::{Frame, Full, Item, Queue};
use crate::reason::CloseReason;
use crate::timer::{BUCKET_MS, Expire, Millis};
use crate::transport::{Attachment, Transport, TransportKind};

/// Timer tokens of a session.
const HEARTBEAT: u64 = 0;
const UPGRADE: u64 = 1;
const DRAIN: u64 = 2;

/// One client's Engine.IO session, over whatever transport it is on.
///
/// Every method may be called from any thread, with or without a runtime, and none waits.
pub struct Session {
    id: Id,
    handshake: Arc<Handshake>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) core: Mutex<Core>,
    slot: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
    me: Weak<Self>,
}

pub(crate) struct Core {
    pub(crate) phase: Phase,
    pub(crate) link: Link,
    pub(crate) queue: Queue,
    /// The transport did not take everything; its driver has been told.
    blocked: bool,
    /// Somebody has queued messages and will flush.
    flush_owed: bool,
    /// The thread that is handling a burst of incoming packets: what it sends is held until the burst is done.
    cork: usize,
    pub(crate) paused: bool,
    /// Woken when reading may go on, or when the session ends.
    pub(crate) read_waker: Option<Waker>,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) posting: bool,
    heartbeat: Heartbeat,
    drained: Vec<Waker>,
    pub(crate) reason: Option<CloseReason>,
    close_code: Option<CloseCode>,
    known: Known,
    /// A frame was cut short when the queue was dropped: no other may follow it.
    torn: bool,
}

/// Whether the layer above knows of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    /// It is being told.
    Opening,
    /// It is being told, and will be told of the end after that.
    Ended,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Closed for the application; what was queued is still on its way.
    Draining,
    Closed,
}

pub(crate) enum Link {
    Polling {
        /// A poll is held or being answered.
        polled: bool,
        waker: Option<Waker>,
    },
    Stream(Arc<dyn Transport>),
    /// The session is over and has let its transport go.
    Closed(TransportKind),
}

impl Link {
    fn kind(&self) -> TransportKind {
        match self {
            Self::Polling { .. } => TransportKind::Polling,
            Self::Stream(_) => TransportKind::WebSocket,
            Self::Closed(kind) => *kind,
        }
    }
}

pub(crate) struct Upgrade {
    transport: Arc<dyn Transport>,
    pub(crate) probed: bool,
    deadline: Millis,
}

#[derive(Debug, Default)]
struct Heartbeat {
    /// When the next ping is sent, or when the pong is late.
    due: Millis,
    /// When the timer entry that counts fires; others are left over.
    timer: Millis,
    awaiting_pong: bool,
    /// The pong was due while it could not be seen.
    excused: bool,
}

impl Core {
    /// A transport is about to take over: polls are answered with a noop.
    fn probed(&self) -> bool {
        self.upgrade.as_ref().is_some_and(|u| u.probed)
    }

    /// Nobody reads from the client, or the ping cannot reach it: that its pong does not come is not its fault.
    fn misses_pongs(&self) -> bool {
        self.paused || self.cork != 0 || self.probed()
    }
}

/// What is to be done once the lock is released.
#[must_use]
pub(crate) enum After {
    Nothing,
    Wake(Waker),
    Notify(Arc<dyn Transport>),
    Broken(io::ErrorKind),
    Overflow,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The session has ended.
    Closed,
    /// The client's queue is full and the policy is to refuse.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session has ended",
            Self::Full => "the client's send queue is full",
        })
    }
}

impl std::error::Error for SendError {}

/// What comes of a packet on a transport that wants to take a session over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// Send this text packet back.
    Reply(&'static str),
    /// The transport carries the session from now on.
    Upgraded,
    /// The packet means nothing here.
    Ignored,
    /// Close the transport; the session goes on without it.
    Refused,
}

impl Session {
    pub(crate) fn new(id: Id, handshake: Arc<Handshake>, shared: Arc<Shared>, link: Link) -> Arc<Self> {
        let session = Arc::new_cyclic(|me| Self {
            id,
            handshake,
            core: Mutex::new(Core {
                phase: Phase::Open,
                link,
                queue: Queue::default(),
                blocked: false,
                flush_owed: false,
                cork: 0,
                paused: false,
                read_waker: None,
                upgrade: None,
                posting: false,
                heartbeat: Heartbeat::default(),
                drained: Vec::new(),
                reason: None,
                close_code: None,
                known: Known::No,
                torn: false,
            }),
            slot: Mutex::new(None),
            shared,
            me: me.clone(),
        });
        session.arm_heartbeat(
            &mut session.core.lock(),
            session.shared.config.ping_interval.as_millis() as Millis,
        );
        session
    }

    /// The session's id: a credential, never shown to other clients.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The engine the session belongs to.
    pub fn engine(&self) -> Engine {
        Engine::from_shared(self.shared.clone())
    }

    /// The request that opened the session.
    pub fn handshake(&self) -> &Arc<Handshake> {
        &self.handshake
    }

    /// The transport it is on.
    pub fn transport(&self) -> TransportKind {
        self.core.lock().link.kind()
    }

    /// Whether the session goes on.
    pub fn is_open(&self) -> bool {
        self.core.lock().phase == Phase::Open
    }

    /// Why the session ended; `None` while it goes on.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.core.lock().reason
    }

    /// What the layer above keeps for this session.
    pub fn slot(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.slot.lock().clone()
    }

    /// Keeps something for this session; returns what was kept before. It is dropped soon after the session ends.
    pub fn set_slot(&self, value: Option<Arc<dyn Any + Send + Sync>>) -> Option<Arc<dyn Any + Send + Sync>> {
        std::mem::replace(&mut *self.slot.lock(), value)
    }

    // ---- sending ----

    /// Sends a message, in order with all others of this thread.
    ///
    /// # Errors
    /// When the session has ended, or when its queue is full and the policy is [`Overflow::Refuse`](crate::Overflow).
    pub fn send(&self, message: Outgoing) -> Result<(), SendError> {
        self.push(message, false)
    }

    /// Sends a message only if it can go out at once; returns whether it could.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn send_volatile(&self, message: Outgoing) -> Result<bool, SendError> {
        if !self.is_writable() {
            self.shared.count_dropped(1);
            return Ok(false);
        }
        self.push(message, true).map(|()| true)
    }

    /// Queues a message and leaves it to [`Session::flush`] to send it. Returns whether a flush is owed now and was not
    /// before, so that whoever sends to many sessions knows which to flush.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn send_later(&self, message: Outgoing) -> Result<bool, SendError> {
        let mut core = self.core.lock();
        let (after, queued) = self.enqueue(&mut core, message, false);
        let owed = queued.map(|()| !std::mem::replace(&mut core.flush_owed, true));
        drop(core);
        self.perform(after);
        owed
    }

    /// Sends what waits.
    pub fn flush(&self) {
        let mut core = self.core.lock();
        core.flush_owed = false;
        let after = self.after_push(&mut core);
        drop(core);
        self.perform(after);
    }

    /// Whether a message would go out at once, or with others of the same burst: the transport takes data.
    pub fn is_writable(&self) -> bool {
        let core = self.core.lock();
        core.phase == Phase::Open
            && match &core.link {
                Link::Polling { waker, .. } => waker.is_some() && !core.probed(),
                Link::Stream(_) => !core.blocked,
                Link::Closed(_) => false,
            }
    }

    /// How much waits to be sent: packets and bytes.
    pub fn queued(&self) -> (usize, usize) {
        self.core.lock().queue.len()
    }

    /// Whether the queue has room again (at most half full). If not, `waker` is woken when it has, or when the session
    /// ends.
    pub fn has_room(&self, waker: &Waker) -> bool {
        let mut core = self.core.lock();
        if core.phase != Phase::Open || core.queue.has_room(&self.shared.config.send_queue) {
            return true;
        }
        core.drained.push(waker.clone());
        false
    }

    fn push(&self, message: Outgoing, volatile: bool) -> Result<(), SendError> {
        let mut core = self.core.lock();
        let (mut after, queued) = self.enqueue(&mut core, message, volatile);
        if queued.is_ok() && matches!(after, After::Nothing) {
            after = self.after_push(&mut core);
        }
        drop(core);
        self.perform(after);
        queued
    }

    /// Adds a message to the queue. What was held back to go out in one write is no sign of a slow reader: when the
    /// queue is full, that goes out first.
    fn enqueue(&self, core: &mut Core, message: Outgoing, volatile: bool) -> (After, Result<(), SendError>) {
        if core.phase != Phase::Open {
            return (After::Nothing, Err(SendError::Closed));
        }
        let limits = &self.shared.config.send_queue;
        let after = if core.queue.is_full(&message, limits) { self.flush_core(core) } else { After::Nothing };
        match core.queue.push_message(message, volatile, limits) {
            Ok(dropped) => {
                self.shared.count_dropped(dropped);
                (after, Ok(()))
            }
            Err(Full::Refuse) => (after, Err(SendError::Full)),
            Err(Full::Close) => (After::Overflow, Err(SendError::Closed)),
        }
    }

    fn after_push(&self, core: &mut Core) -> After {
        if core.cork != 0 && core.cork == thread_token() {
            return After::Nothing;
        }
        self.flush_core(core)
    }

    /// Hands what waits to the transport.
    fn flush_core(&self, core: &mut Core) -> After {
        if core.queue.is_empty() {
            return After::Nothing;
        }
        let probed = core.probed();
        match &mut core.link {
            Link::Polling { .. } if probed => After::Nothing,
            Link::Polling { waker, .. } => waker.take().map_or(After::Nothing, After::Wake),
            Link::Closed(_) => After::Nothing,
            Link::Stream(_) if core.blocked => After::Nothing,
            Link::Stream(transport) => {
                while !core.queue.is_empty() {
                    let result = transport.try_write(&core.queue.slices());
                    match result {
                        Ok(written) => core.queue.advance(written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            core.blocked = true;
                            return After::Notify(transport.clone());
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return After::Broken(error.kind()),
                    }
                }
                After::Nothing
            }
        }
    }

    pub(crate) fn perform(&self, after: After) {
        match after {
            After::Nothing => {}
            After::Wake(waker) => waker.wake(),
            After::Notify(transport) => transport.wake(),
            After::Broken(kind) => {
                let gone = matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                let reason = if gone { CloseReason::TransportClose } else { CloseReason::TransportError };
                self.close_elsewhere(reason);
                // If it was closing already, nobody is left to take what waits.
                self.finish();
            }
            After::Overflow => {
                let (packets, bytes) = self.queued();
                tracing::warn!(
                    target: "wirebird::engineio",
                    packets, bytes, "the client reads too slowly: its send queue is full, closing it"
                );
                self.close_elsewhere(CloseReason::SlowConsumer);
            }
        }
    }

    // ---- for drivers of transports ----

    /// Holds back what this thread sends on this session until [`Session::uncork`], so that one burst is one write.
    pub fn cork(&self) {
        self.core.lock().cork = thread_token();
    }

    /// Sends what [`Session::cork`] held back.
    pub fn uncork(&self) {
        let mut core = self.core.lock();
        core.cork = 0;
        self.excuse_pong(&mut core);
        let after = self.flush_core(&mut core);
        wake_drained(core, &self.shared);
        self.perform(after);
    }

    /// The transport can be written to again: writes what waits. Returns whether everything has gone out.
    pub fn resume_writing(&self) -> bool {
        let mut core = self.core.lock();
        core.blocked = false;
        let after = if core.phase == Phase::Closed { After::Nothing } else { self.flush_core(&mut core) };
        let done = core.queue.is_empty();
        wake_drained(core, &self.shared);
        // The caller is the driver: it needs no waking.
        if !matches!(after, After::Notify(_)) {
            self.perform(after);
        }
        done
    }

    /// Moves up to about `limit` bytes of WebSocket frames into `out`. When nothing is left, the next send wakes the
    /// transport again.
    pub fn take_wire(&self, out: &mut Vec<u8>, limit: usize) {
        let mut core = self.core.lock();
        if core.phase != Phase::Closed {
            core.queue.take_wire(out, limit);
        }
        core.blocked = !core.queue.is_empty();
        wake_drained(core, &self.shared);
    }

    /// Takes everything that waits, as packets. The next send wakes the transport again.
    pub fn take_frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut core = self.core.lock();
        if matches!(core.link, Link::Stream(_)) && core.phase != Phase::Closed {
            core.queue.take_frames(&mut frames);
            core.blocked = false;
        }
        wake_drained(core, &self.shared);
        frames
    }

    /// Tells the layer above of the session; `false` when it has ended already, and there is nothing to tell.
    pub(crate) fn announce(self: &Arc<Self>) -> bool {
        {
            let mut core = self.core.lock();
            if core.phase != Phase::Open {
                return false;
            }
            core.known = Known::Opening;
        }
        self.shared.tell(|handler| handler.open(self));
        let reason = {
            let mut core = self.core.lock();
            let ended = std::mem::replace(&mut core.known, Known::Yes) == Known::Ended;
            core.reason.filter(|_| ended)
        };
        if let Some(reason) = reason {
            self.announce_close(reason);
        }
        true
    }

    /// Whether the last frame was cut short, so that no other may follow it.
    pub(crate) fn is_torn(&self) -> bool {
        self.core.lock().torn
    }

    /// What `transport` is to this session now.
    pub fn attachment(&self, transport: &Arc<dyn Transport>) -> Attachment {
        let core = self.core.lock();
        let current = match &core.link {
            Link::Stream(active) => same(active, transport),
            Link::Polling { .. } | Link::Closed(_) => false,
        };
        if current {
            return match core.phase {
                Phase::Open => Attachment::Active,
                Phase::Draining => Attachment::Draining,
                Phase::Closed => Attachment::Detached,
            };
        }
        let candidate = core.upgrade.as_ref().is_some_and(|u| same(&u.transport, transport));
        if candidate && core.phase == Phase::Open { Attachment::Candidate } else { Attachment::Detached }
    }

    /// The WebSocket close code that suits why the session ended.
    pub fn close_code(&self) -> CloseCode {
        let core = self.core.lock();
        core.close_code.unwrap_or(match core.reason {
            Some(CloseReason::ServerShutdown) => CloseCode::GOING_AWAY,
            Some(CloseReason::SlowConsumer) => CloseCode::POLICY,
            _ => CloseCode::NORMAL,
        })
    }

    /// Queues a finished WebSocket control frame.
    pub(crate) fn send_control(&self, frame: &[u8]) {
        let mut core = self.core.lock();
        // A client that sends pings and never reads cannot make the queue grow.
        if core.phase != Phase::Open || !core.queue.has_room(&self.shared.config.send_queue) {
            return;
        }
        core.queue.push(Item::Control(frame.into()));
        let after = self.after_push(&mut core);
        drop(core);
        self.perform(after);
    }

    pub(crate) fn send_open(&self, open: Outgoing) {
        let mut core = self.core.lock();
        core.queue.push(Item::Open(open));
        let after = self.after_push(&mut core);
        drop(core);
        self.perform(after);
    }

    // ---- receiving ----

    /// A text packet came in: a whole text frame, with its type digit. Calls must follow one another.
    pub fn receive_text(&self, text: ByteString) {
        match Packet::decode(text) {
            Ok(packet) => self.receive(packet),
            Err(error) => {
                tracing::debug!(target: "wirebird::engineio", %error, "undecodable packet, closing");
                self.close_undecodable();
            }
        }
    }

    /// A packet came in. Calls must follow one another.
    pub fn receive(&self, packet: Packet) {
        match packet {
            Packet::Text(text) => self.deliver(Message::Text(text)),
            Packet::Binary(data) => self.deliver(Message::Binary(data)),
            Packet::Pong(_) => self.pong(),
            Packet::Close => self.close(CloseReason::ClientClose),
            Packet::Ping(_) => {
                tracing::debug!(target: "wirebird::engineio", "the client sent a ping, closing");
                self.close(CloseReason::TransportError);
            }
            _ => {}
        }
    }

    fn deliver(&self, message: Message) {
        let Some(me) = self.me.upgrade() else { return };
        if self.is_open() {
            self.shared.tell(|handler| handler.message(&me, message));
        }
    }

    /// Stops reading from the client until [`Session::resume_reading`]. A late pong does not count meanwhile.
    pub fn pause_reading(&self) {
        self.core.lock().paused = true;
    }

    /// Goes on reading.
    pub fn resume_reading(&self) {
        let mut core = self.core.lock();
        if !std::mem::replace(&mut core.paused, false) {
            return;
        }
        self.excuse_pong(&mut core);
        let waker = core.read_waker.take();
        let transport = match &core.link {
            Link::Stream(transport) => Some(transport.clone()),
            Link::Polling { .. } | Link::Closed(_) => None,
        };
        drop(core);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(transport) = transport {
            transport.wake();
        }
    }

    /// Whether reading is to stop.
    pub fn is_paused(&self) -> bool {
        self.core.lock().paused
    }

    // ---- heartbeat ----

    fn arm_heartbeat(&self, core: &mut Core, delay: Millis) {
        core.heartbeat.due = self.shared.now() + delay;
        self.schedule_heartbeat(core);
    }

    fn schedule_heartbeat(&self, core: &mut Core) {
        core.heartbeat.timer = core.heartbeat.due;
        self.shared.timers.schedule(core.heartbeat.due, self.timer(), HEARTBEAT);
    }

    fn timer(&self) -> Weak<dyn Expire> {
        self.me.clone()
    }

    fn pong(&self) {
        let mut core = self.core.lock();
        core.heartbeat.awaiting_pong = false;
        core.heartbeat.excused = false;
        core.heartbeat.due = self.shared.now() + self.shared.config.ping_interval.as_millis() as Millis;
        if core.heartbeat.due < core.heartbeat.timer {
            self.schedule_heartbeat(&mut core);
        }
    }

    fn beat(&self, now: Millis) {
        let mut core = self.core.lock();
        if core.phase != Phase::Open || now < core.heartbeat.timer {
            return;
        }
        if now < core.heartbeat.due {
            self.schedule_heartbeat(&mut core);
            return;
        }
        let timeout = self.shared.config.ping_timeout.as_millis() as Millis;
        if core.heartbeat.awaiting_pong {
            if !core.misses_pongs() {
                drop(core);
                self.close_elsewhere(CloseReason::PingTimeout);
                return;
            }
            core.heartbeat.excused = true;
        }
        let mut after = After::Nothing;
        if !core.heartbeat.awaiting_pong {
            core.heartbeat.awaiting_pong = true;
            core.queue.push_ping();
            after = self.after_push(&mut core);
        }
        // Deadlines follow one another exactly; a timer that was late by more than its own grain gives the client time.
        let late = now - core.heartbeat.due;
        core.heartbeat.due = if late <= 2 * BUCKET_MS { core.heartbeat.due } else { now } + timeout;
        self.schedule_heartbeat(&mut core);
        drop(core);
        self.perform(after);
    }

    /// Pongs can be seen again: one that was due meanwhile gets its whole time from now on.
    fn excuse_pong(&self, core: &mut Core) {
        if core.heartbeat.excused && !core.misses_pongs() {
            core.heartbeat.excused = false;
            core.heartbeat.due = self.shared.now() + self.shared.config.ping_timeout.as_millis() as Millis;
        }
    }

    /// Closes the session if its pong is late and the timer has not said so yet; returns whether it is open.
    pub(crate) fn check_heartbeat(&self) -> bool {
        let late = {
            let core = self.core.lock();
            let overdue = core.heartbeat.awaiting_pong && self.shared.now() >= core.heartbeat.due;
            core.phase == Phase::Open && overdue && !core.misses_pongs()
        };
        if late {
            self.close_elsewhere(CloseReason::PingTimeout);
        }
        !late
    }

    // ---- upgrade ----

    /// A transport wants to take the session over. `false` when the session is not on polling, or when another
    /// transport is about to take it over: the newcomer is then to be closed.
    pub fn begin_upgrade(&self, transport: &Arc<dyn Transport>) -> bool {
        let mut core = self.core.lock();
        let free =
            matches!(core.link, Link::Polling { .. }) && core.upgrade.is_none() && core.phase == Phase::Open;
        if free {
            let deadline = self.shared.now() + self.shared.config.upgrade_timeout.as_millis() as Millis;
            core.upgrade = Some(Upgrade { transport: transport.clone(), probed: false, deadline });
            self.shared.timers.schedule(deadline, self.timer(), UPGRADE);
        }
        free
    }

    /// A text packet came in on a transport that wants to take the session over.
    pub fn probe(&self, transport: &Arc<dyn Transport>, text: &str) -> Probe {
        let mut core = self.core.lock();
        if core.phase != Phase::Open {
            return Probe::Refused;
        }
        let posting = core.posting;
        let Some(upgrade) = core.upgrade.as_mut().filter(|u| same(&u.transport, transport)) else {
            return Probe::Refused;
        };
        match text {
            "2probe" => {
                upgrade.probed = true;
                // From now on polls are answered with a noop, the held one first.
                let Link::Polling { waker, .. } = &mut core.link else { return Probe::Refused };
                let waker = waker.take();
                drop(core);
                if let Some(waker) = waker {
                    waker.wake();
                }
                Probe::Reply("3probe")
            }
            // Messages of a POST that is still being handled must not be overtaken.
            "5" if upgrade.probed && posting => {
                drop(core);
                self.abandon_upgrade(transport);
                Probe::Refused
            }
            "5" if upgrade.probed => {
                let old = std::mem::replace(&mut core.link, Link::Stream(transport.clone()));
                core.upgrade = None;
                core.blocked = false;
                self.excuse_pong(&mut core);
                let after = self.flush_core(&mut core);
                drop(core);
                if let Link::Polling { waker: Some(waker), .. } = old {
                    waker.wake();
                }
                self.perform(after);
                if let Some(me) = self.me.upgrade() {
                    self.shared.tell(|handler| handler.upgraded(&me));
                }
                Probe::Upgraded
            }
            _ if upgrade.probed => Probe::Ignored,
            _ => {
                drop(core);
                self.abandon_upgrade(transport);
                Probe::Refused
            }
        }
    }

    /// A transport that wanted to take the session over is gone; the session stays on polling.
    pub fn abandon_upgrade(&self, transport: &Arc<dyn Transport>) {
        let mut core = self.core.lock();
        if core.upgrade.as_ref().is_some_and(|u| same(&u.transport, transport)) {
            core.upgrade = None;
            self.excuse_pong(&mut core);
            // What was held back for the new transport goes out with a poll.
            let after = self.flush_core(&mut core);
            drop(core);
            self.perform(after);
        }
    }

    fn expire_upgrade(&self, now: Millis) {
        let late = {
            let core = self.core.lock();
            core.upgrade.as_ref().filter(|u| u.deadline <= now).map(|u| u.transport.clone())
        };
        if let Some(transport) = late {
            self.abandon_upgrade(&transport);
            transport.wake();
        }
    }

    // ---- closing ----

    /// Ends the session. What is queued is still sent if the server ends it; the layer above is told before this
    /// returns, once, with the first reason. While it is still being told of the session itself, it is told of the end
    /// right after that.
    pub fn close(&self, reason: CloseReason) {
        if self.begin_close(reason, None, reason.flushes()) {
            self.announce_close(reason);
        }
    }

    /// As [`Session::close`], with the code of the WebSocket close frame.
    pub(crate) fn close_with_code(&self, reason: CloseReason, code: CloseCode) {
        if self.begin_close(reason, Some(code), reason.flushes()) {
            self.announce_close(reason);
        }
    }

    /// The client does not speak Engine.IO: it is not told anything more.
    pub(crate) fn close_undecodable(&self) {
        if self.begin_close(CloseReason::ParseError, None, false) {
            self.announce_close(CloseReason::ParseError);
        }
    }

    /// As [`Session::close`], for places where user code must not run: the layer above is told by another task.
    pub(crate) fn close_elsewhere(&self, reason: CloseReason) {
        if self.begin_close(reason, None, reason.flushes())
            && let Some(me) = self.me.upgrade()
        {
            self.shared.offload(move || me.announce_close(reason));
        }
    }

    fn begin_close(&self, reason: CloseReason, code: Option<CloseCode>, flush: bool) -> bool {
        let mut core = self.core.lock();
        if core.phase != Phase::Open {
            return false;
        }
        core.reason = Some(reason);
        core.close_code = code;
        core.phase = if flush { Phase::Draining } else { Phase::Closed };
        let candidate = core.upgrade.take().map(|u| u.transport);
        let reader = core.read_waker.take();
        let drained = std::mem::take(&mut core.drained);
        let mut poll = None;
        let mut stream = None;
        match &mut core.link {
            Link::Polling { waker, .. } => poll = waker.take(),
            Link::Stream(transport) => stream = Some(transport.clone()),
            Link::Closed(_) => {}
        }
        if core.phase == Phase::Closed {
            core.torn |= core.queue.clear();
        }
        // It is there until the client has what waits and knows of the close.
        let lingers = core.phase == Phase::Draining;
        if lingers {
            let deadline = self.shared.now() + self.shared.config.close_timeout.as_millis() as Millis;
            self.shared.timers.schedule(deadline, self.timer(), DRAIN);
        }
        drop(core);
        if !lingers {
            self.shared.forget(self.id);
        }
        for waker in drained.into_iter().chain(poll).chain(reader) {
            waker.wake();
        }
        for transport in stream.into_iter().chain(candidate) {
            transport.wake();
        }
        true
    }

    fn announce_close(&self, reason: CloseReason) {
        tracing::debug!(target: "wirebird::engineio", %reason, "session closed");
        {
            let mut core = self.core.lock();
            match core.known {
                Known::Yes => {}
                Known::Opening => return core.known = Known::Ended,
                Known::No | Known::Ended => return,
            }
        }
        if let Some(me) = self.me.upgrade() {
            self.shared.tell(|handler| handler.close(&me, reason));
        }
        let slot = self.slot.lock().take();
        drop(slot);
    }

    /// What waited has gone out, or there is no time for it: nothing of the session is left. Called by the driver of
    /// its transport; does nothing while the session is open.
    pub fn finish(&self) {
        let link = {
            let mut core = self.core.lock();
            if core.phase == Phase::Open {
                return;
            }
            core.phase = Phase::Closed;
            core.torn |= core.queue.clear();
            let closed = Link::Closed(core.link.kind());
            std::mem::replace(&mut core.link, closed)
        };
        self.shared.forget(self.id);
        match link {
            Link::Stream(transport) => transport.wake(),
            Link::Polling { waker: Some(waker), .. } => waker.wake(),
            Link::Polling { .. } | Link::Closed(_) => {}
        }
    }
}

impl Expire for Session {
    fn expire(self: Arc<Self>, token: u64, now: Millis) {
        match token {
            HEARTBEAT => self.beat(now),
            UPGRADE => self.expire_upgrade(now),
            _ => self.finish(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(crate) fn wake_drained(mut core: MutexGuard<'_, Core>, shared: &Shared) {
    if core.drained.is_empty() || !core.queue.has_room(&shared.config.send_queue) {
        return;
    }
    let drained = std::mem::take(&mut core.drained);
    drop(core);
    drained.into_iter().for_each(Waker::wake);
}

fn same(a: &Arc<dyn Transport>, b: &Arc<dyn Transport>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}

/// A number that only this thread has, never 0.
fn thread_token() -> usize {
    thread_local!(static TOKEN: u8 = const { 0 });
    TOKEN.with(|token| std::ptr::from_ref(token) as usize)
}
