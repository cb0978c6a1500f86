//! What goes out to a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirebird_engine::{Outgoing, SendError};

use super::{Gate, SocketInner};
use crate::guard;
use crate::shard::Op;

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
        match self.gate() {
            Gate::Open => self.observe_sent(&message, |socket, message| socket.session.send(message)),
            Gate::Held => self.hold(message),
            Gate::Shut => Err(SendError::Closed),
        }
    }

    /// As [`SocketInner::deliver`], but leaves the writing to a flush of the session; returns whether one is owed.
    pub(crate) fn deliver_later(&self, message: Outgoing) -> bool {
        match self.gate() {
            Gate::Open => self
                .observe_sent(&message, |socket, message| socket.session.send_later(message))
                .unwrap_or(false),
            Gate::Held => {
                let _ = self.hold(message);
                false
            }
            Gate::Shut => false,
        }
    }

    pub(crate) fn deliver_volatile(&self, message: &Outgoing) -> bool {
        self.gate() == Gate::Open
            && self
                .observe_sent(message, |socket, message| socket.session.send_volatile(message))
                .unwrap_or(false)
    }

    fn observe_sent<T>(
        &self,
        message: &Outgoing,
        send: impl FnOnce(&Self, Outgoing) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        if let Some(observer) = &self.core.observer
            && let Some(socket) = self.handle()
        {
            guard("observer", || observer.packet_sent(&socket, message));
        }
        send(self, message.clone())
    }

    fn hold(&self, message: Outgoing) -> Result<(), SendError> {
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Held if held.ends => Err(SendError::Closed),
            Gate::Held => {
                if held.messages.len() >= self.session.engine().config().send_queue.max_packets {
                    return Err(SendError::Full);
                }
                held.messages.push(message);
                Ok(())
            }
            // It opened or shut since we looked.
            Gate::Open => {
                drop(held);
                self.session.send(message)
            }
            Gate::Shut => Err(SendError::Closed),
        }
    }

    /// Sends the CONNECT packet and everything that was held for it.
    pub(crate) fn open_gate(&self, connect: Outgoing) {
        if self.gate() != Gate::Held {
            return;
        }
        let mut messages = vec![connect];
        loop {
            // Without the lock: sending may call code of the application. What comes meanwhile is held, too.
            for message in messages {
                let _ = self.observe_sent(&message, |socket, message| socket.session.send_later(message));
            }
            let mut held = self.held.lock();
            messages = std::mem::take(&mut held.messages);
            if self.gate() != Gate::Held {
                break;
            }
            if messages.is_empty() {
                let gate = if held.ends { Gate::Shut } else { Gate::Open };
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
        let dropped = std::mem::take(&mut held.messages);
        drop(held);
        drop(dropped);
        before
    }

    /// Nothing goes out any more but a goodbye. If the CONNECT packet is about to be sent, that comes first.
    pub(crate) fn shut_gate_after(&self, farewell: Outgoing) {
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Held => {
                held.messages.push(farewell);
                held.ends = true;
            }
            Gate::Open => {
                self.gate.store(Gate::Shut as u8, Ordering::Release);
                drop(held);
                self.say_goodbye(farewell);
            }
            Gate::Shut => {}
        }
    }

    pub(crate) fn say_goodbye(&self, farewell: Outgoing) {
        let _ = self.observe_sent(&farewell, |socket, message| socket.session.send(message));
    }
}
