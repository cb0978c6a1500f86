//! Receiving: packets of the client, and when not to read them.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use bytestring::ByteString;
use wirebird_proto::engine_io::{Packet, PacketError, v3};

use super::{Flags, Link, Phase, Session};
use crate::message::Message;
use crate::reason::CloseReason;

impl Session {
    /// A text packet came in: a whole text frame, with its type digit. Calls must follow one another.
    pub fn receive_text(self: &Arc<Self>, text: ByteString) {
        self.receive_decoded(if self.is_v3() { v3::decode_text(text) } else { Packet::decode(text) });
    }

    /// A binary frame of a WebSocket came in. Calls must follow one another.
    pub(crate) fn receive_frame(self: &Arc<Self>, data: Bytes) {
        self.receive_decoded(if self.is_v3() { v3::decode_binary(data) } else { Ok(Packet::Binary(data)) });
    }

    fn receive_decoded(self: &Arc<Self>, packet: Result<Packet, PacketError>) {
        match packet {
            Ok(packet) => self.receive(packet),
            Err(error) => self.close_undecodable(&error),
        }
    }

    /// A packet came in. Calls must follow one another.
    pub fn receive(self: &Arc<Self>, packet: Packet) {
        match packet {
            Packet::Text(text) => self.deliver(Message::Text(text)),
            Packet::Binary(data) => self.deliver(Message::Binary(data)),
            Packet::Pong(_) if !self.is_v3() => self.pong(),
            Packet::Close => self.close(CloseReason::ClientClose),
            Packet::Ping(_) if self.is_v3() => self.pinged(),
            Packet::Ping(_) | Packet::Pong(_) => {
                tracing::debug!(
                    target: "wirebird::engineio",
                    sid = self.id().hint(), "a heartbeat in the wrong direction, closing"
                );
                self.close(CloseReason::TransportError);
            }
            _ => {}
        }
    }

    fn deliver(self: &Arc<Self>, message: Message) {
        if !self.flags.has(Flags::CLOSED) {
            self.shared.counters.received(message.len());
            self.shared.tell(|handler| handler.message(self, message));
        }
    }

    /// Stops reading from the client until [`Session::resume_reading`]. A late pong does not count meanwhile.
    pub fn pause_reading(&self) {
        self.set_paused(&mut self.core.lock(), true);
    }

    /// Goes on reading.
    pub fn resume_reading(&self) {
        let mut core = self.core.lock();
        if !core.paused {
            return;
        }
        self.set_paused(&mut core, false);
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

    /// Whether reading is to stop; if so, `waker` is woken when it may go on, or when the session has ended.
    pub(crate) fn waits_to_read(&self, waker: &Waker) -> bool {
        let mut core = self.core.lock();
        let waits = core.paused && core.phase == Phase::Open;
        if waits {
            core.read_waker = Some(waker.clone());
        }
        waits
    }

    /// Whether a driver is to read nothing at present: reading is paused, or the client does not take the answers to what
    /// it has sent already.
    pub fn holds_back(&self) -> bool {
        if !self.flags.has(Flags::HOLDS) {
            return false;
        }
        let core = self.core.lock();
        core.paused || core.is_clogged(&self.shared.config.send_queue)
    }

    /// Whether reading has been paused.
    pub fn is_paused(&self) -> bool {
        self.core.lock().paused
    }
}
