//! Decisions that the application takes on a request, answered by a token from any thread at any time.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::handshake::Handshake;

/// Decides whether a session may be opened, before anything exists for it.
pub trait Gate: Send + Sync + 'static {
    /// Looks at the request and answers by `decision`, now or later, here or from another thread.
    fn check(&self, request: Arc<Handshake>, decision: Decision);
}

impl<F> Gate for F
where
    F: Fn(Arc<Handshake>, Decision) + Send + Sync + 'static,
{
    fn check(&self, request: Arc<Handshake>, decision: Decision) {
        self(request, decision);
    }
}

/// The answer to a [`Gate`] or an origin check. Dropping it refuses.
#[derive(Debug)]
#[must_use = "dropping a decision refuses the request"]
pub struct Decision(oneshot::Sender<Result<(), String>>);

impl Decision {
    pub(crate) fn new() -> (Self, Pending) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), Pending(receiver))
    }

    /// Lets the request pass.
    pub fn allow(self) {
        let _ = self.0.send(Ok(()));
    }

    /// Refuses it with 403, code 4 and `message`.
    pub fn refuse(self, message: impl Into<String>) {
        let _ = self.0.send(Err(message.into()));
    }
}

pub(crate) struct Pending(oneshot::Receiver<Result<(), String>>);

impl Pending {
    pub(crate) async fn decided(self) -> Result<(), String> {
        self.0.await.unwrap_or_else(|_| Err("Forbidden".into()))
    }
}
