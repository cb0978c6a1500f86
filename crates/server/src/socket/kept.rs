//! What the application keeps for a socket and runs for it. Most sockets have none of it.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use bytestring::ByteString;
use http::Extensions;
use tokio::sync::Mutex as AsyncMutex;
use wirebird_proto::socket_io::RawArgs;

use super::recovery::Recoverable;
use super::{Socket, SocketInner};
use crate::error::Error;
use crate::handler::Outcome;
use crate::mailbox::Stage;
use crate::router;
use crate::snapshot::{HandshakeInfo, SocketSnapshot};
use crate::tasks::{TaskHandle, Tasks};

#[derive(Default)]
pub(crate) struct Kept {
    /// The values of the session, by type.
    pub(super) values: Extensions,
    /// What holds a value of the session for one at a time, across waits.
    pub(super) turns: Vec<(TypeId, Arc<AsyncMutex<()>>)>,
    /// One value that other servers may see.
    pub(super) data: Option<RawArgs>,
    tasks: Option<Arc<Tasks>>,
    /// What it takes to bring the socket back when it is cut off.
    pub(super) recovery: Option<Box<Recoverable>>,
}

impl SocketInner {
    /// Looks at what is kept.
    pub(super) fn kept<R>(&self, look: impl FnOnce(&Kept) -> Option<R>) -> Option<R> {
        self.kept.lock().as_deref().and_then(look)
    }

    /// Changes what is kept; `None` when the socket is gone, and keeps nothing.
    pub(super) fn keep<R>(&self, change: impl FnOnce(&mut Kept) -> R) -> Option<R> {
        let mut kept = self.kept.lock();
        // Whoever takes the socket out of everything says so first, and empties this then.
        (self.stage() != Stage::Gone).then(|| change(kept.get_or_insert_default()))
    }

    /// Looks at what layers of this crate keep beside the session's values. The lock is held meanwhile.
    pub(crate) fn with_data<R>(&self, look: impl FnOnce(&mut Extensions) -> R) -> R {
        look(&mut self.kept.lock().get_or_insert_default().values)
    }

    /// Keeps nothing any more.
    pub(super) fn keep_nothing(&self) {
        self.cancel_tasks();
        let kept = self.kept.lock().take();
        drop(kept);
    }

    /// What the application has set for all to see, as one argument.
    pub(crate) fn data(&self) -> RawArgs {
        let null = || RawArgs::from_json_elements(ByteString::from_static("null"), Vec::new());
        self.kept(|kept| kept.data.clone()).or_else(|| null().ok()).unwrap_or_else(RawArgs::empty)
    }

    /// The socket as others may see it.
    pub(crate) fn snapshot(self: &Arc<Self>) -> SocketSnapshot {
        let handshake = HandshakeInfo::of(self.session.handshake(), self.auth.clone());
        SocketSnapshot::new(self.id, Socket(self.clone()).rooms(), handshake, self.data())
    }

    // ---- background tasks ----

    pub(super) fn spawn<F>(self: &Arc<Self>, future: F) -> TaskHandle
    where
        F: Future + Send + 'static,
        F::Output: Outcome<Error>,
    {
        let kept = || self.keep(|kept| kept.tasks.get_or_insert_default().clone());
        let tasks = if self.is_leaving() { None } else { kept() };
        let tasks = tasks.unwrap_or_else(Tasks::closed);
        let weak = Arc::downgrade(self);
        let report = move |error| {
            if let Some(socket) = weak.upgrade() {
                router::task_failed(Socket(socket), error);
            }
        };
        let runtime = self.core.background_runtime();
        let span = tracing::debug_span!(
            target: "wirebird::socketio",
            "task", nsp = %self.namespace.name, sid = %self.id
        );
        let handle = tasks.spawn(runtime.as_ref(), span, future, report);
        // It may have cancelled its tasks just before this one was there.
        if self.is_leaving() {
            handle.abort();
        }
        handle
    }

    fn is_leaving(&self) -> bool {
        let mailbox = self.mailbox.lock();
        mailbox.reason().is_some() || mailbox.stage() == Stage::Gone
    }

    /// The socket leaves: nothing goes on for it.
    pub(super) fn cancel_tasks(&self) {
        let tasks = self.kept.lock().as_deref_mut().and_then(|kept| kept.tasks.take());
        if let Some(tasks) = tasks {
            tasks.close();
        }
    }
}
