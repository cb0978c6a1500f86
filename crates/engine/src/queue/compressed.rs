//! Messages that go out compressed, over WebSockets only. They are kept out of the way of all others (`cold`): what is
//! looked at for each of those, of which there are many more, must not grow.

use super::Terms;
use crate::message::Outgoing;

/// A message whose compressed frames go out. Apart from the others, which most are.
#[derive(Debug)]
pub(crate) struct Compressed {
    form: Form,
    packets: usize,
    terms: Terms,
}

#[derive(Debug)]
enum Form {
    /// Those that all with the same window get.
    Shared(Outgoing, u8),
    /// Those for this client alone, which build on those before: they go out, or the session ends.
    Own(Box<[u8]>),
}

impl Compressed {
    /// Of the frames that were made for a window.
    pub(crate) fn shared(message: Outgoing, window: u8, terms: Terms) -> Self {
        Self { packets: message.packets(), form: Form::Shared(message, window), terms }
    }

    pub(crate) fn own(frames: Box<[u8]>, packets: usize, terms: Terms) -> Self {
        Self { form: Form::Own(frames), packets, terms }
    }

    #[cold]
    pub(super) fn wire(&self) -> &[u8] {
        match &self.form {
            Form::Shared(message, window) => message.deflated(*window),
            Form::Own(frames) => frames,
        }
    }

    #[cold]
    pub(super) fn wire_len(&self) -> usize {
        self.wire().len()
    }

    #[cold]
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn key(&self) -> Option<&str> {
        match &self.form {
            Form::Shared(message, _) => message.key(),
            Form::Own(_) => None,
        }
    }
}
