//! What goes out over a WebSocket with compression.

use std::sync::atomic::Ordering;

use wirebird_proto::websocket::DeflateParams;

use super::{Core, Session};
use crate::message::Outgoing;
use crate::queue::{Compressed, Item, Kind, Terms};

/// Stands for a window that is not shared: messages build on each other.
const OWN: u8 = u8::MAX;

impl Session {
    /// The WebSocket that carries the session has agreed on compression: what is sent from now on may be compressed.
    pub(crate) fn agree(&self, agreed: &DeflateParams) {
        let Some(deflate) = &self.shared.config.per_message_deflate else { return };
        let window = if agreed.server_no_context_takeover {
            agreed.server_max_window_bits
        } else {
            self.core.lock().deflater = Some(Box::new(deflate.with_takeover(agreed)));
            OWN
        };
        self.window.store(window, Ordering::Release);
    }

    /// Compresses a message that is about to be sent, if that is agreed on with the client and has not been done for
    /// another. Sending does so itself: this is for callers that are going to hold a lock of their own while they send.
    #[inline]
    pub fn prepare(&self, message: &Outgoing) {
        if self.window.load(Ordering::Acquire) != 0 {
            self.form_of(message.clone());
        }
    }

    /// Whether each message is compressed for this client alone, when it is queued: with context takeover.
    #[inline]
    pub fn compresses_alone(&self) -> bool {
        self.window.load(Ordering::Acquire) == OWN
    }

    /// A message as this client is to have it: in its version of the protocol, and with the window of the compressed
    /// frames that go out; 0 for the plain ones.
    #[inline]
    pub(super) fn form_of(&self, message: Outgoing) -> (Outgoing, u8) {
        let message = if self.is_v3() { message.into_v3() } else { message };
        match self.window.load(Ordering::Acquire) {
            0 => (message, 0),
            window => self.deflated(message, window),
        }
    }

    #[cold]
    fn deflated(&self, message: Outgoing, window: u8) -> (Outgoing, u8) {
        let deflate = self.shared.config.per_message_deflate.as_ref();
        let smaller = deflate.is_some_and(|deflate| window == OWN || message.deflate(deflate, window));
        (message, if smaller { window } else { 0 })
    }

    /// A message for the queue of a client that is to have it compressed. One that may yet be dropped is none that others
    /// can build on.
    #[cold]
    pub(super) fn compressed(&self, core: &mut Core, message: Outgoing, terms: Terms, window: u8) -> Item {
        if window != OWN {
            return Item::Compressed(Box::new(Compressed::shared(message, window, terms)));
        }
        let deflate = self.shared.config.per_message_deflate.as_ref();
        let frames = match (deflate, &mut core.deflater) {
            (Some(deflate), Some(deflater)) if terms.kind == Kind::Kept => {
                message.deflate_with(deflate, deflater)
            }
            _ => None,
        };
        match frames {
            Some(frames) => Item::Compressed(Box::new(Compressed::own(frames, message.packets(), terms))),
            None => Item::Message { message, terms },
        }
    }
}
