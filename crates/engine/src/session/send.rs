//! Sending: straight to the transport when nothing waits, else by the queue.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Waker;

use super::{Core, Link, Phase, Session, Slowness};
use crate::message::Outgoing;
use crate::queue::{Full, Item, Kind, Queue, SMALL, Share, Terms};
use crate::reason::CloseReason;
use crate::thread::thread_token;
use crate::transport::Transport;

/// Bytes up to which several messages are copied into one piece to be written.
const GATHERED: usize = 8 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is to be done once the lock is released.
#[must_use]
pub(crate) enum After {
    Nothing,
    Wake(Waker),
    Notify(Arc<dyn Transport>),
    Broken(io::ErrorKind),
    /// The queue is full: the client is to be closed. Whoever was to be told of what waited learns of that.
    Overflow(Box<Self>),
    /// The client takes nothing any more: it is to be closed.
    Stalled,
    /// A message was dropped or refused, and that is to be told.
    Behind(Box<Self>),
}

/// What is left to do after [`Session::begin_send`].
#[must_use = "hand it to `finish_send`"]
pub struct Owed(After);

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owed")
    }
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

impl Core {
    /// Whether this thread is handling a burst of packets, so that what it sends is held until that is done.
    fn is_corked_here(&self) -> bool {
        self.cork != 0 && self.cork == thread_token()
    }

    /// Whether a message is to be joined to others of the same burst.
    fn joins(&self, message: &Outgoing) -> bool {
        let takes_bytes = || matches!(&self.link, Link::Stream(transport) if transport.takes_bytes());
        self.is_corked_here() && !self.blocked && message.wire_len() <= SMALL && takes_bytes()
    }
}

impl Session {
    /// Sends a message, in order with all others of this thread.
    ///
    /// # Errors
    /// When the session has ended, or when its queue is full and the policy is [`Overflow::Refuse`](crate::Overflow).
    pub fn send(&self, message: Outgoing) -> Result<(), SendError> {
        let (queued, owed) = self.begin_push(message, None, Kind::Kept);
        self.finish_send(owed);
        queued
    }

    /// Sends a message only if it can go out at once; returns whether it could.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn send_volatile(&self, message: Outgoing) -> Result<bool, SendError> {
        let (sent, owed) = self.begin_send_volatile(message, None);
        self.finish_send(owed);
        sent
    }

    /// Queues a message and leaves it to [`Session::flush`] to send it. Returns whether a flush is owed now and was not
    /// before, so that whoever sends to many sessions knows which to flush.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn send_later(&self, message: Outgoing) -> Result<bool, SendError> {
        let (queued, owed) = self.begin_send_later(message, None);
        self.finish_send(owed);
        queued
    }

    /// As [`Session::send`], for callers that hold a lock of their own: what may call code of the application is left
    /// to [`Session::finish_send`], to be called without that lock. The message takes its room from `share`, if it is one
    /// of those that have one.
    pub fn begin_send(&self, message: Outgoing, share: Option<&Arc<Share>>) -> (Result<(), SendError>, Owed) {
        self.begin_push(message, share, Kind::Kept)
    }

    /// As [`Session::send_later`], and as [`Session::begin_send`].
    pub fn begin_send_later(
        &self,
        message: Outgoing,
        share: Option<&Arc<Share>>,
    ) -> (Result<bool, SendError>, Owed) {
        let (message, window) = self.form_of(message);
        let mut core = self.core.lock();
        let (after, queued) = self.enqueue(&mut core, message, share, Kind::Kept, window);
        (queued.map(|()| !std::mem::replace(&mut core.flush_owed, true)), Owed(after))
    }

    /// As [`Session::send_volatile`], and as [`Session::begin_send`].
    pub fn begin_send_volatile(
        &self,
        message: Outgoing,
        share: Option<&Arc<Share>>,
    ) -> (Result<bool, SendError>, Owed) {
        if !self.is_writable() {
            self.shared.counters.dropped(1);
            return (Ok(false), Owed(After::Nothing));
        }
        let (sent, owed) = self.begin_push(message, share, Kind::Volatile);
        (sent.map(|()| true), owed)
    }

    /// Does what [`Session::begin_send`] left to do.
    pub fn finish_send(&self, owed: Owed) {
        self.perform(owed.0);
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
        self.has_room_for(None, waker)
    }

    /// As [`Session::has_room`], for messages that take their room from a share: both have to have room.
    pub fn has_room_for(&self, share: Option<&Arc<Share>>, waker: &Waker) -> bool {
        let mut core = self.core.lock();
        let room = core.queue.has_room(&self.shared.config.send_queue);
        if core.phase != Phase::Open || (room && share.is_none_or(|share| core.queue.has_room_of(share))) {
            return true;
        }
        if !core.drained.iter().any(|other| other.will_wake(waker)) {
            core.drained.push(waker.clone());
        }
        false
    }

    #[inline]
    fn begin_push(
        &self,
        message: Outgoing,
        share: Option<&Arc<Share>>,
        kind: Kind,
    ) -> (Result<(), SendError>, Owed) {
        let (message, window) = self.form_of(message);
        let mut core = self.core.lock();
        let (mut after, queued) = self.enqueue(&mut core, message, share, kind, window);
        if queued.is_ok() && matches!(after, After::Nothing) {
            after = self.after_push(&mut core);
        }
        (queued, Owed(after))
    }

    /// Adds a message to the queue. What was held back to go out in one write is no sign of a slow reader: when the
    /// queue is full, that goes out first.
    pub(super) fn enqueue(
        &self,
        core: &mut Core,
        message: Outgoing,
        share: Option<&Arc<Share>>,
        mut kind: Kind,
        window: u8,
    ) -> (After, Result<(), SendError>) {
        if core.phase != Phase::Open {
            return (After::Nothing, Err(SendError::Closed));
        }
        let limits = &self.shared.config.send_queue;
        let full = core.queue.has_no_room(&message, share, limits);
        if !full
            && window == 0
            && kind == Kind::Kept
            && share.is_none()
            && message.key().is_none()
            && core.joins(&message)
        {
            self.shared.counters.sent(message.wire_len());
            core.queue.join(message);
            return (After::Nothing, Ok(()));
        }
        let after = if full { self.flush_core(core) } else { After::Nothing };
        let mut older = None;
        if let Some(key) = message.key() {
            kind = Kind::Replaceable;
            older = core.queue.take_older(key);
        }
        match core.queue.make_room(&message, share, limits) {
            Ok(dropped) => {
                if older.is_some() {
                    self.shared.counters.conflated();
                }
                self.shared.counters.sent(message.wire_len());
                let terms = Terms { kind, share: share.cloned() };
                let item = if window == 0 {
                    Item::Message { message, terms }
                } else {
                    self.compressed(core, message, terms, window)
                };
                core.queue.push(item);
                if dropped > 0 {
                    return (self.after_drop(core, dropped, after), Ok(()));
                }
                (after, Ok(()))
            }
            Err(Full::Refuse) => {
                if let Some((at, older)) = older {
                    core.queue.put_back(at, older);
                }
                (self.after_drop(core, 1, after), Err(SendError::Full))
            }
            Err(Full::Close) => (After::Overflow(Box::new(after)), Err(SendError::Closed)),
        }
    }

    #[cold]
    fn after_drop(&self, core: &mut Core, dropped: usize, after: After) -> After {
        self.shared.counters.dropped(dropped);
        if self.falls_behind(core) { After::Behind(Box::new(after)) } else { after }
    }

    pub(super) fn after_push(&self, core: &mut Core) -> After {
        if core.is_corked_here() {
            return After::Nothing;
        }
        self.flush_core(core)
    }

    /// Hands what waits to the transport.
    pub(super) fn flush_core(&self, core: &mut Core) -> After {
        if core.queue.is_empty() {
            return After::Nothing;
        }
        let probed = core.probed();
        match &mut core.link {
            Link::Polling { .. } if probed => After::Nothing,
            Link::Polling { waker, polled } => match waker.take() {
                Some(waker) => After::Wake(waker),
                None => {
                    if !*polled {
                        self.watch_stall(core);
                    }
                    After::Nothing
                }
            },
            Link::Closed(_) => After::Nothing,
            Link::Stream(_) if core.blocked => After::Nothing,
            Link::Stream(transport) => {
                while !core.queue.is_empty() {
                    match write(&**transport, &core.queue) {
                        Ok(written) => core.queue.advance(written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            let transport = transport.clone();
                            self.set_blocked(core, true);
                            self.watch_stall(core);
                            return After::Notify(transport);
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
            After::Overflow(after) => {
                self.slow(Slowness::QueueFull);
                self.perform(*after);
            }
            After::Stalled => self.slow(Slowness::Stalled),
            After::Behind(after) => {
                self.slow(Slowness::Behind);
                self.perform(*after);
            }
        }
    }
}

/// Writes what waits, as far as the transport takes it. Several small messages are put side by side first: the kernel
/// takes one piece faster than many.
fn write(transport: &dyn Transport, queue: &Queue) -> io::Result<usize> {
    let (_, bytes) = queue.len();
    if queue.is_single() || bytes > GATHERED {
        return transport.try_write(&queue.slices());
    }
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    queue.gather(&mut buffer);
    let written = transport.try_write(&[IoSlice::new(&buffer)]);
    let _ = BUFFER.try_with(|kept| kept.set(buffer));
    written
}
