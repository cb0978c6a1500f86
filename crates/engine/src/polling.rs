//! The polling transport as functions: a held poll is a future that any executor can drive, a POST is a permit.

mod packets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll as TaskPoll};

use bytes::Bytes;
use wirebird_proto::engine_io::{PayloadWriter, v3};

use crate::queue::Payload;
use crate::reason::CloseReason;
use crate::session::{Core, Link, Phase, Session, wake_drained};
pub(crate) use packets::Form;
use packets::Packets;

/// Packets of a POST that are handled before other tasks have their turn.
const BATCH: usize = 256;

/// A reply that ends the session, in protocol 4 and in protocol 3.
const CLOSE: [&[u8]; 2] = [b"1", b"1:1"];
/// A reply that says nothing.
const NOOP: [&[u8]; 2] = [b"6", b"1:6"];

/// A poll: resolves to the body of its reply as soon as there is something to say. Dropping it unanswered ends the
/// session, as a client that goes away does.
#[derive(Debug)]
#[must_use = "a poll that is dropped ends the session"]
pub struct Poll {
    session: Arc<Session>,
    answered: bool,
    /// The reply has packets that were taken out of the queue.
    carries: bool,
    /// The reply has to be text.
    base64: bool,
}

/// The body of the reply to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollBody {
    bytes: Bytes,
    compressible: bool,
}

impl PollBody {
    /// The same in another form.
    pub(crate) fn map(self, form: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { bytes: form(self.bytes), ..self }
    }

    /// The packets.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The packets.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether it may be compressed: not when all its messages were sent not to be.
    pub fn is_compressible(&self) -> bool {
        self.compressible
    }
}

impl From<Bytes> for PollBody {
    /// A body that may be compressed.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, compressible: true }
    }
}

/// Why a poll or a POST is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// Another one is under way; the session has been closed.
    Overlap,
    /// The session is no longer on polling; it is untouched.
    OtherTransport,
    /// The session has ended.
    Gone,
}

impl Poll {
    pub(crate) fn begin(session: &Arc<Session>) -> Result<Self, Misuse> {
        let mut core = session.core.lock();
        if core.phase == Phase::Closed {
            return Err(Misuse::Gone);
        }
        let Link::Polling { polled, .. } = &mut core.link else { return Err(Misuse::OtherTransport) };
        if std::mem::replace(polled, true) {
            drop(core);
            session.close_elsewhere(CloseReason::TransportError);
            return Err(Misuse::Overlap);
        }
        drop(core);
        let base64 = session.takes_base64();
        Ok(Self { session: session.clone(), answered: false, carries: false, base64 })
    }

    /// The reply has to be text, also for clients that take binary otherwise.
    pub(crate) fn in_text(mut self) -> Self {
        self.base64 = true;
        self
    }

    fn answer(&mut self, cx: &mut Context<'_>) -> TaskPoll<PollBody> {
        let mut guard = self.session.core.lock();
        let core = &mut *guard;
        let (polled, waker) = match &mut core.link {
            Link::Polling { polled, waker } => (polled, waker),
            Link::Stream(_) => return TaskPoll::Ready(self.fixed(NOOP)),
            Link::Closed(_) => {
                let reply = if says_close(core.reason) { CLOSE } else { NOOP };
                return TaskPoll::Ready(self.fixed(reply));
            }
        };
        let upgrading = core.upgrade.as_ref().is_some_and(|u| u.probed);
        if core.phase == Phase::Open && upgrading {
            *polled = false;
            return TaskPoll::Ready(self.fixed(NOOP));
        }
        if core.phase == Phase::Open && core.queue.is_empty() {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return TaskPoll::Pending;
        }
        *polled = false;
        *waker = None;
        let max_bytes = self.session.shared.config.max_payload;
        let (bytes, taken) = if self.session.is_v3() {
            let binary = !self.base64 && core.queue.has_binary();
            let mut body = if binary { v3::PayloadWriter::binary() } else { v3::PayloadWriter::text() };
            let taken = take_reply(core, &mut body, max_bytes);
            (body.finish(), taken)
        } else {
            let mut body = PayloadWriter::new();
            let taken = take_reply(core, &mut body, max_bytes);
            (body.finish(), taken)
        };
        let Taken { compressible, done } = taken;
        self.session.taken(core);
        self.carries = true;
        wake_drained(guard, &self.session.shared);
        if done {
            self.session.finish();
        }
        TaskPoll::Ready(PollBody { bytes, compressible })
    }

    /// The reply could not be written. What is in it is lost, so the session ends, rather than go on without.
    pub(crate) fn undelivered(&self, error: std::io::ErrorKind) {
        if !self.carries {
            return;
        }
        let slow = error == std::io::ErrorKind::TimedOut;
        let reason = if slow { CloseReason::SlowConsumer } else { CloseReason::TransportError };
        self.session.close_elsewhere(reason);
    }

    /// A reply that is always the same.
    fn fixed(&self, [v4, v3]: [&'static [u8]; 2]) -> PollBody {
        let bytes = Bytes::from_static(if self.session.is_v3() { v3 } else { v4 });
        PollBody { bytes, compressible: false }
    }
}

impl Session {
    /// The reply that opens a session of protocol 3: OPEN, and what the layer above has sent already. The client is told
    /// of its namespace at once so.
    pub(crate) fn first_reply(&self, open: &str) -> Bytes {
        let mut body = v3::PayloadWriter::text();
        body.push_text(b'0', &[open.as_bytes()]);
        let mut core = self.core.lock();
        if core.phase == Phase::Open {
            core.queue.take_payload(&mut body, self.shared.config.max_payload);
        }
        wake_drained(core, &self.shared);
        body.finish()
    }
}

/// What became a reply.
struct Taken {
    compressible: bool,
    /// It was the last of the session.
    done: bool,
}

/// Moves what waits into a reply.
fn take_reply(core: &mut Core, body: &mut impl Payload, max_bytes: usize) -> Taken {
    let compressible = core.queue.take_payload(body, max_bytes);
    let done = core.phase != Phase::Open && core.queue.is_empty();
    if done {
        body.push_text(if says_close(core.reason) { b'1' } else { b'6' }, &[]);
    }
    Taken { compressible, done }
}

/// Whether a client is told the end of its session by a packet. One that has closed it itself needs no word of it. One whose
/// server shuts down is to come back: Python's clients do so when their next poll fails, and not after such a packet.
fn says_close(reason: Option<CloseReason>) -> bool {
    !matches!(reason, Some(CloseReason::ClientClose | CloseReason::ServerShutdown))
}

impl Future for Poll {
    type Output = PollBody;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> TaskPoll<PollBody> {
        let answer = self.answer(cx);
        self.answered = answer.is_ready();
        answer
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        match &mut self.session.core.lock().link {
            Link::Polling { polled, waker } => {
                *polled = false;
                *waker = None;
            }
            // The session does not need it any more.
            Link::Stream(_) | Link::Closed(_) => return,
        }
        tracing::debug!(target: "wirebird::engineio", sid = self.session.id().hint(), "the client aborted its poll");
        self.session.close_elsewhere(CloseReason::TransportError);
    }
}

/// Permission to deliver the body of one POST. Dropping it undelivered ends the session, as an upload that breaks off
/// does.
#[derive(Debug)]
#[must_use = "a POST that is dropped ends the session"]
pub struct Post {
    session: Arc<Session>,
    done: bool,
    form: Form,
}

impl Post {
    pub(crate) fn begin(session: &Arc<Session>) -> Result<Self, Misuse> {
        let mut core = session.core.lock();
        if core.phase != Phase::Open {
            return Err(Misuse::Gone);
        }
        if !matches!(core.link, Link::Polling { .. }) {
            return Err(Misuse::OtherTransport);
        }
        if std::mem::replace(&mut core.posting, true) {
            drop(core);
            session.close_elsewhere(CloseReason::TransportError);
            return Err(Misuse::Overlap);
        }
        drop(core);
        Ok(Self { session: session.clone(), done: false, form: Form::Text })
    }

    pub(crate) fn of(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Hands the packets of `body` to the session, however many they are, and waits where it takes no more input.
    /// Resolves when it is time to answer the POST: to `false` when a packet cannot be decoded, and the session is
    /// closed, or when the session has gone to another transport.
    pub async fn deliver(&mut self, body: Bytes) -> bool {
        let session = &self.session;
        let on_polling = matches!(session.core.lock().link, Link::Polling { .. });
        if !on_polling {
            return false;
        }
        let mut packets = match Packets::decode(body, self.form, session.is_v3()) {
            Ok(packets) => packets,
            Err(error) => {
                session.close_undecodable(&error);
                return false;
            }
        };
        std::future::poll_fn(|cx| {
            if session.waits_to_read(cx.waker()) {
                return TaskPoll::Pending;
            }
            session.cork();
            let outcome = hand_over(session, &mut packets);
            session.uncork();
            match outcome {
                Handed::All if session.waits_to_read(cx.waker()) => TaskPoll::Pending,
                Handed::All => TaskPoll::Ready(true),
                Handed::Some => {
                    cx.waker().wake_by_ref();
                    TaskPoll::Pending
                }
                Handed::Invalid => TaskPoll::Ready(false),
            }
        })
        .await
    }

    /// Resolves when the session ends: no body is worth waiting for then.
    pub(crate) fn abandoned(session: Arc<Session>) -> impl Future<Output = ()> {
        std::future::poll_fn(move |cx| {
            let mut core = session.core.lock();
            if core.phase != Phase::Open {
                return TaskPoll::Ready(());
            }
            core.read_waker = Some(cx.waker().clone());
            TaskPoll::Pending
        })
    }

    /// The POST is answered without its body having been delivered, and the session goes on.
    pub fn give_up(mut self) {
        self.done = true;
        self.session.core.lock().posting = false;
    }

    /// The POST has been dealt with.
    pub fn finish(self) {
        self.give_up();
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// How far handing over the packets of a POST has got.
enum Handed {
    All,
    /// There are more; the session may have paused.
    Some,
    Invalid,
}

/// Hands a few packets to the session.
fn hand_over(session: &Arc<Session>, packets: &mut Packets) -> Handed {
    for packet in packets.by_ref().take(BATCH) {
        match packet {
            Ok(packet) => session.receive(packet),
            Err(error) => {
                session.close_undecodable(&error);
                return Handed::Invalid;
            }
        }
        if !session.is_open() {
            return Handed::All;
        }
        if session.is_paused() {
            return Handed::Some;
        }
    }
    if packets.is_done() { Handed::All } else { Handed::Some }
}

impl Drop for Post {
    fn drop(&mut self) {
        if !self.done {
            self.session.core.lock().posting = false;
            let sid = self.session.id();
            tracing::debug!(target: "wirebird::engineio", sid = sid.hint(), "the client aborted its POST");
            self.session.close_elsewhere(CloseReason::TransportError);
        }
    }
}
