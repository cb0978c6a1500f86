//! What goes out to a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirebird_engine::{Outgoing, SendError};

use super::{Gate, SocketInner};
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
            observer.packet_sent(&socket, message);
        }
        send(self, message.clone())
    }

    fn hold(&self, message: Outgoing) -> Result<(), SendError> {
        let mut held = self.held.lock();
        match self.gate() {
            Gate::Held => {
                if held.len() >= self.session.engine().config().send_queue.max_packets {
                    return Err(SendError::Full);
                }
                held.push(message);
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
        let mut held = self.held.lock();
        if self.gate() != Gate::Held {
            return;
        }
        for message in std::iter::once(connect).chain(std::mem::take(&mut *held)) {
            if self.session.send(message).is_err() {
                break;
            }
        }
        self.gate.store(Gate::Open as u8, Ordering::Release);
    }

    /// Nothing goes out any more, but for `farewell`. Returns whether the gate was open.
    pub(crate) fn shut_gate(&self, farewell: Option<Outgoing>) -> bool {
        let mut held = self.held.lock();
        let before = self.gate();
        self.gate.store(Gate::Shut as u8, Ordering::Release);
        *held = Vec::new();
        drop(held);
        if let Some(farewell) = farewell
            && before != Gate::Shut
        {
            let _ = self.session.send(farewell);
        }
        before == Gate::Open
    }
}
