//! Work in the background that ends with what it belongs to: the server, or one socket.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, Aborted};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::error::Error;
use crate::handler::Outcome;
use crate::task;

/// The tasks of one owner, as long as they run. Dropping it cancels them.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Running>);

#[derive(Default)]
struct Running {
    tasks: HashMap<u64, AbortHandle>,
    next: u64,
    closed: bool,
}

/// Stands for a running task: when this is dropped, the task is forgotten and its end is told.
struct Entry {
    tasks: Weak<Tasks>,
    id: u64,
    ended: Option<oneshot::Sender<TaskEnd>>,
    end: TaskEnd,
}

impl Tasks {
    /// For an owner that has ended: nothing runs.
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Running { closed: true, ..Running::default() })))
    }

    /// Runs a future in `runtime`, or where there is none in place and then in the threads that wake it. Hands its
    /// error or panic to `report`.
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        runtime: Option<&Handle>,
        span: Span,
        future: F,
        report: impl FnOnce(Error) + Send + 'static,
    ) -> TaskHandle
    where
        F: Future + Send + 'static,
        F::Output: Outcome<Error>,
    {
        let (abort, registration) = AbortHandle::new_pair();
        let (ended, end) = oneshot::channel();
        let mut entry = self.enter(&abort, ended);
        let future = AssertUnwindSafe(future.instrument(span)).catch_unwind();
        let future = Abortable::new(future, registration);
        let run = async move {
            let outcome = match future.await {
                Ok(Ok(output)) => output.outcome(),
                Ok(Err(panic)) => Err(Error::panic(&*panic)),
                Err(Aborted) => return,
            };
            entry.end = if outcome.is_ok() { TaskEnd::Finished } else { TaskEnd::Failed };
            drop(entry);
            if let Err(error) = outcome {
                report(error);
            }
        };
        task::run(runtime, Box::pin(run));
        TaskHandle { abort, end }
    }

    fn enter(self: &Arc<Self>, abort: &AbortHandle, ended: oneshot::Sender<TaskEnd>) -> Entry {
        let mut running = self.0.lock();
        let id = running.next;
        running.next += 1;
        if running.closed {
            abort.abort();
        } else {
            running.tasks.insert(id, abort.clone());
        }
        Entry { tasks: Arc::downgrade(self), id, ended: Some(ended), end: TaskEnd::Cancelled }
    }

    /// Cancels all tasks, and those to come.
    pub(crate) fn close(&self) {
        let tasks = {
            let mut running = self.0.lock();
            running.closed = true;
            std::mem::take(&mut running.tasks)
        };
        // What this wakes may be code of the application.
        tasks.values().for_each(|task| crate::guard("task", || task.abort()));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(tasks) = self.tasks.upgrade() {
            let mut running = tasks.0.lock();
            let forgotten = running.tasks.remove(&self.id);
            if running.tasks.len() < running.tasks.capacity() / 4 {
                running.tasks.shrink_to_fit();
            }
            drop(running);
            drop(forgotten);
        }
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(self.end);
        }
    }
}

/// A task of [`Server::spawn`](crate::Server::spawn) or [`Socket::spawn`](crate::Socket::spawn). Await it to know how
/// the task ended; dropping it leaves the task alone.
pub struct TaskHandle {
    abort: AbortHandle,
    end: oneshot::Receiver<TaskEnd>,
}

impl TaskHandle {
    /// Cancels the task where it waits. One that has ended stays as it is.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.end.is_terminated() || !self.end.is_empty()
    }
}

impl Future for TaskHandle {
    type Output = TaskEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TaskEnd> {
        Pin::new(&mut self.end).poll(cx).map(|end| end.unwrap_or(TaskEnd::Cancelled))
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("is_finished", &self.is_finished()).finish()
    }
}

/// How a background task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEnd {
    /// By itself.
    Finished,
    /// With an error or a panic, which was logged or went to the error handler.
    Failed,
    /// It was aborted, or what it belonged to has ended.
    Cancelled,
}

/// What a future returns that never does: `!`, which has no name of its own yet.
pub(crate) type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// The future of an endless loop.
impl<E> Outcome<E> for Never {
    fn outcome(self) -> Result<(), E> {
        self
    }
}
