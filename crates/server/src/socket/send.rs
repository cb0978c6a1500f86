//! What goes out to a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirebird_engine::{Outgoing, Overflow, Owed, SendError, Session, Share};

use super::{Gate, SocketInner};
use crate::core::Core;
use crate::guard;
use crate::listeners::{Listeners, Recipients};
use crate::packet::Encoded;
use crate::shard::{Begun, Op};
use crate::socket::Socket;

/// What is left to do when a packet is queued and no lock is held any more.
#[must_use]
pub(crate) enum Queued {
    /// These shards are to begin.
    Shards(Begun),
    /// The packet has passed the gate of a socket.
    Passed {
        socket: Arc<SocketInner>,
        message: Outgoing,
        left: Left,
        /// The session is to be flushed.
        flush: bool,
    },
}

impl Queued {
    pub(crate) fn finish(self, core: &Core) {
        match self {
            Self::Shards(begun) => begun.into_iter().for_each(|shard| core.shards.begin(shard)),
            Self::Passed { socket, message, left, flush } => {
                socket.observe_sent(&message);
                socket.finish_pass(left);
                if flush {
                    socket.session.flush();
                }
            }
        }
    }
}

/// What is left to do for one packet.
#[must_use]
pub(crate) enum Left {
    Nothing,
    Owed(Owed),
    /// More is held than may be.
    Overflow,
}

impl SocketInner {
    /// Sends a packet, after every broadcast that was emitted before.
    pub(crate) fn send(self: &Arc<Self>, message: Outgoing) -> Result<(), SendError> {
        let shards = &self.core.shards;
        if shards.is_idle(self.shard) {
            return self.deliver(message);
        }
        shards.submit(self.shard, Op::Deliver(self.clone(), message));
        Ok(())
    }

    /// As [`SocketInner::send`], but calls nobody and does not write. A socket whose client is back gives the packet to
    /// the one that has taken its place.
    pub(crate) fn enqueue(self: &Arc<Self>, message: &Outgoing) -> (Result<(), SendError>, Queued) {
        let socket = self.successor().unwrap_or_else(|| self.clone());
        let (shards, shard) = (&self.core.shards, socket.shard);
        // What is compressed for one client alone is compressed when it is queued: that may take a while.
        if !shards.is_idle(shard) || socket.session.compresses_alone() {
            let begin = shards.enqueue(shard, Op::Deliver(socket, message.clone()));
            return (Ok(()), Queued::Shards(begin.then_some(shard).into_iter().collect()));
        }
        let (result, left) = socket.begin_pass(message.clone(), Session::begin_send_later);
        let flush = result == Ok(true);
        (result.map(drop), Queued::Passed { socket, message: message.clone(), left, flush })
    }

    /// The socket that has taken its place.
    fn successor(&self) -> Option<Arc<Self>> {
        let shut = self.gate() == Gate::Shut;
        shut.then(|| self.namespace.sockets.get(&self.id).map(|entry| entry.value().clone())).flatten()
    }

    /// Runs `call` after everything that was emitted to this socket before.
    pub(crate) fn in_order(self: &Arc<Self>, call: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let shards = &self.core.shards;
        if shards.is_idle(self.shard) {
            return call(self);
        }
        let socket = self.clone();
        shards.submit(self.shard, Op::Call(Box::new(move || call(&socket))));
    }

    /// Hands a packet to the session, or holds it until the client has its CONNECT packet.
    pub(crate) fn deliver(&self, message: Outgoing) -> Result<(), SendError> {
        self.pass(message, Session::begin_send)
    }

    /// As [`SocketInner::deliver`], but leaves the writing to a flush of the session; returns whether one is owed.
    pub(crate) fn deliver_later(&self, message: Outgoing) -> bool {
        self.pass(message, Session::begin_send_later).unwrap_or_default()
    }

    pub(crate) fn deliver_volatile(&self, message: &Outgoing) -> bool {
        self.gate() == Gate::Open
            && self.pass(message.clone(), Session::begin_send_volatile).unwrap_or_default()
    }

    /// Sends a packet through the gate, or holds it before the gate. Whoever shuts the gate knows that nothing comes
    /// through afterwards.
    fn pass<T: Default>(
        &self,
        message: Outgoing,
        send: impl FnOnce(&Session, Outgoing, Option<&Arc<Share>>) -> (Result<T, SendError>, Owed),
    ) -> Result<T, SendError> {
        self.observe_sent(&message);
        self.session.prepare(&message);
        let (result, left) = self.begin_pass(message, send);
        self.finish_pass(left);
        result
    }

    /// As [`SocketInner::pass`], but calls nobody.
    #[inline]
    fn begin_pass<T: Default>(
        &self,
        message: Outgoing,
        send: impl FnOnce(&Session, Outgoing, Option<&Arc<Share>>) -> (Result<T, SendError>, Owed),
    ) -> (Result<T, SendError>, Left) {
        let share = self.namespace.share();
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Open => {
                let (result, owed) = send(&self.session, message, share.as_ref());
                (result, Left::Owed(owed))
            }
            Gate::Held if held.as_ref().is_some_and(|held| held.ends) => {
                (Err(SendError::Closed), Left::Nothing)
            }
            Gate::Held => {
                let waiting = held.get_or_insert_default();
                let engine = self.session.engine();
                let limits = share.as_ref().map_or(&engine.config().send_queue, |share| share.limits());
                let older = message.key().and_then(|key| waiting.older(key));
                let freed = older.map_or(0, |at| waiting.messages[at].wire_len());
                let bytes = waiting.bytes - freed + message.wire_len();
                let messages = waiting.messages.len() - usize::from(older.is_some());
                if messages >= limits.max_packets || bytes > limits.max_bytes {
                    // What the policy says of a slow client goes for one whose connect handler is slow.
                    return match limits.overflow {
                        Overflow::Refuse => (Err(SendError::Full), Left::Nothing),
                        _ => (Err(SendError::Closed), Left::Overflow),
                    };
                }
                if let Some(at) = older {
                    waiting.messages.remove(at);
                    engine.count_conflated();
                }
                waiting.bytes = bytes;
                waiting.messages.push(message);
                (Ok(T::default()), Left::Nothing)
            }
            Gate::Shut => (Err(SendError::Closed), Left::Nothing),
        }
    }

    #[inline]
    fn finish_pass(&self, left: Left) {
        match left {
            Left::Nothing => {}
            Left::Owed(owed) => self.session.finish_send(owed),
            Left::Overflow => self.session.close_slow_consumer(),
        }
    }

    /// An event is about to be emitted to this socket.
    pub(crate) fn tell_emitted(self: &Arc<Self>, encoded: &Encoded) {
        if self.namespace.is_heard(Listeners::hear_emitted) {
            let socket = Socket(self.clone());
            for listeners in self.namespace.listeners() {
                listeners.tell_emitted(Recipients::Socket(&socket), encoded);
            }
        }
    }

    pub(super) fn observe_sent(&self, message: &Outgoing) {
        if let Some(observer) = &self.core.observer
            && self.gate() != Gate::Shut
            && let Some(socket) = self.handle()
        {
            guard("observer", || observer.packet_sent(&socket, message));
        }
    }

    /// Sends the CONNECT packet and everything that was held for it.
    pub(crate) fn open_gate(&self, connect: Outgoing) {
        if self.gate() != Gate::Held {
            return;
        }
        for missed in self.take_missed() {
            self.observe_sent(&missed);
            if self.session.send_later(missed) == Err(SendError::Full) {
                // It would not know that it has missed something.
                return self.session.close_slow_consumer();
            }
        }
        self.observe_sent(&connect);
        let mut messages = vec![connect];
        loop {
            // Without the lock: sending may call code of the application. What comes meanwhile is held, too.
            for message in messages {
                let _ = self.session.send_later(message);
            }
            let mut held = self.held.lock();
            if self.gate() != Gate::Held {
                break;
            }
            messages = held.as_mut().map(|held| held.take_messages()).unwrap_or_default();
            if messages.is_empty() {
                let ends = held.take().is_some_and(|held| held.ends);
                let gate = if ends { Gate::Shut } else { Gate::Open };
                self.gate.store(gate as u8, Ordering::Release);
                break;
            }
        }
        self.session.flush();
    }

    /// Nothing goes out any more.
    pub(crate) fn shut_gate(&self) -> Gate {
        let mut held = self.held.lock();
        let before = self.gate();
        self.gate.store(Gate::Shut as u8, Ordering::Release);
        let dropped = held.take();
        drop(held);
        drop(dropped);
        before
    }

    /// Nothing goes out any more but a goodbye. If the CONNECT packet is about to be sent, that comes first.
    pub(crate) fn shut_gate_after(&self, farewell: Outgoing) -> Option<Owed> {
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Held => {
                let waiting = held.get_or_insert_default();
                waiting.messages.push(farewell);
                waiting.ends = true;
                None
            }
            Gate::Open => {
                self.gate.store(Gate::Shut as u8, Ordering::Release);
                Some(self.session.begin_send(farewell, None).1)
            }
            Gate::Shut => None,
        }
    }
}
