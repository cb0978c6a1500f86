//! What goes out to a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirebird_engine::{CloseReason, Limit, Outgoing, Overflow, Owed, SendError, Session};

use super::{Gate, SocketInner};
use crate::guard;
use crate::listeners::{Listeners, Recipients};
use crate::packet::Encoded;
use crate::shard::{Begun, Op};
use crate::socket::Socket;

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

    /// As [`SocketInner::send`], but calls nobody: returns the shard that is to begin.
    pub(crate) fn enqueue(self: &Arc<Self>, message: Outgoing) -> Begun {
        let begin = self.core.shards.enqueue(self.shard, Op::Deliver(self.clone(), message));
        begin.then_some(self.shard).into_iter().collect()
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
        send: impl FnOnce(&Session, Outgoing) -> (Result<T, SendError>, Owed),
    ) -> Result<T, SendError> {
        self.observe_sent(&message);
        self.session.prepare(&message);
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Open => {
                let (result, owed) = send(&self.session, message);
                drop(held);
                self.session.finish_send(owed);
                result
            }
            Gate::Held if held.as_ref().is_some_and(|held| held.ends) => Err(SendError::Closed),
            Gate::Held => {
                let waiting = held.get_or_insert_default();
                let engine = self.session.engine();
                let limits = &engine.config().send_queue;
                let bytes = waiting.bytes + message.wire_len();
                if waiting.messages.len() >= limits.max_packets || bytes > limits.max_bytes {
                    drop(held);
                    return Err(self.overflow(limits.overflow));
                }
                waiting.bytes = bytes;
                waiting.messages.push(message);
                Ok(T::default())
            }
            Gate::Shut => Err(SendError::Closed),
        }
    }

    /// More is held than may be: what the policy says of a slow client goes for one whose connect handler is slow.
    fn overflow(&self, policy: Overflow) -> SendError {
        if policy == Overflow::Refuse {
            return SendError::Full;
        }
        let session = self.session.clone();
        session.count_limit(Limit::SendQueue);
        session.engine().offload(move || session.close(CloseReason::SlowConsumer));
        SendError::Closed
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
        let mut messages = self.take_missed();
        messages.push(connect);
        messages.iter().for_each(|message| self.observe_sent(message));
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
                Some(self.session.begin_send(farewell).1)
            }
            Gate::Shut => None,
        }
    }
}
