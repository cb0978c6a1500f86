//! Running the futures of handlers: in place as far as they go without waiting, then wherever there is somebody to
//! run them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use crate::error::Error;

/// A future without its type.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that was begun.
pub(crate) enum Begun<T> {
    /// It did not wait. A panic is an error.
    Done(Result<T, Error>),
    Waits(BoxFuture<T>),
}

/// Makes a future and runs it inside `span`; hands what comes of it to `finish`, a panic included. Without waiting this
/// takes no task and no allocation beyond the future's own.
pub(crate) fn start<T: Send + 'static>(
    runtime: Option<&Handle>,
    span: Span,
    make: impl FnOnce() -> BoxFuture<T>,
    finish: impl FnOnce(Result<T, Error>) + Send + 'static,
) {
    match begin(runtime, &span, make) {
        Begun::Done(result) => finish(result),
        Begun::Waits(future) => go_on(runtime, span, future, finish),
    }
}

/// The first part of [`start`].
pub(crate) fn begin<T>(
    runtime: Option<&Handle>,
    span: &Span,
    make: impl FnOnce() -> BoxFuture<T>,
) -> Begun<T> {
    // A future of tokio's needs the runtime's context, also when this thread is not one of its workers.
    // A task is always in that context, and asking for its id is cheaper than for the handle.
    let outside = || tokio::task::try_id().is_none() && Handle::try_current().is_err();
    let entered = runtime.filter(|_| outside()).map(Handle::enter);
    let first = catch_unwind(AssertUnwindSafe(|| {
        let _entered = span.enter();
        let mut future = make();
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Ok(value),
            Poll::Pending => Err(future),
        }
    }));
    drop(entered);
    match first {
        Ok(Ok(value)) => Begun::Done(Ok(value)),
        Ok(Err(future)) => Begun::Waits(future),
        Err(panic) => Begun::Done(Err(Error::panic(&*panic))),
    }
}

/// The second part of [`start`], for a future that waits.
pub(crate) fn go_on<T: Send + 'static>(
    runtime: Option<&Handle>,
    span: Span,
    future: BoxFuture<T>,
    finish: impl FnOnce(Result<T, Error>) + Send + 'static,
) {
    let rest = async move {
        let result = AssertUnwindSafe(future.instrument(span)).catch_unwind().await;
        finish(result.map_err(|panic| Error::panic(&*panic)));
    };
    run(runtime, Box::pin(rest));
}

/// Runs a future as a task of the runtime, or without one by whoever wakes it, beginning here.
pub(crate) fn run(runtime: Option<&Handle>, future: BoxFuture<()>) {
    match runtime {
        Some(runtime) => drop(runtime.spawn(future)),
        None => Arc::new(Task::new(future)).run(),
    }
}

/// A future that is polled by whoever wakes it.
struct Task {
    future: Mutex<Option<BoxFuture<()>>>,
    state: AtomicU8,
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const WOKEN: u8 = 2;

impl Task {
    fn new(future: BoxFuture<()>) -> Self {
        Self { future: Mutex::new(Some(future)), state: AtomicU8::new(IDLE) }
    }

    fn run(self: Arc<Self>) {
        // Somebody may poll it already, perhaps this very thread further up: that one polls again.
        let next = |state| if state == IDLE { RUNNING } else { WOKEN };
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| Some(next(state)));
        if before != Ok(IDLE) {
            return;
        }
        let waker = Waker::from(self.clone());
        loop {
            let Some(mut future) = self.future.lock().take() else { return };
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            *self.future.lock() = Some(future);
            if self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
            self.state.store(RUNNING, Ordering::Release);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn without_a_runtime_a_future_goes_on_when_it_is_woken() {
        let (sender, receiver) = oneshot::channel::<u32>();
        let (result, mut got) = oneshot::channel();
        start(
            None,
            Span::none(),
            || Box::pin(receiver),
            move |answer| {
                let _ = result.send(answer.unwrap().unwrap());
            },
        );
        assert!(got.try_recv().is_err());
        sender.send(7).unwrap();
        assert_eq!(got.try_recv().unwrap(), 7);
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_again() {
        let mut polls = 0;
        let future = std::future::poll_fn(move |cx| {
            polls += 1;
            if polls == 5 {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let (result, mut got) = oneshot::channel();
        start(
            None,
            Span::none(),
            || Box::pin(future),
            move |answer| {
                let _ = result.send(answer.unwrap());
            },
        );
        assert_eq!(got.try_recv().unwrap(), 5);
    }

    #[test]
    fn no_wake_up_is_lost_when_several_threads_wake() {
        for _ in 0..300 {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<u32>();
            let (done, wait) = std::sync::mpsc::channel();
            let sum = async move {
                let mut sum = 0;
                for _ in 0..30 {
                    sum += receiver.recv().await.unwrap_or_default();
                }
                sum
            };
            start(
                None,
                Span::none(),
                || Box::pin(sum),
                move |sum| {
                    let _ = done.send(sum.unwrap());
                },
            );
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..10).for_each(|_| assert!(sender.send(1).is_ok())));
                }
            });
            assert_eq!(wait.recv_timeout(std::time::Duration::from_secs(10)), Ok(30));
        }
    }

    #[test]
    fn a_panic_becomes_an_error_before_and_after_the_first_wait() {
        for waits in [false, true] {
            let (sender, receiver) = oneshot::channel::<()>();
            let (result, mut got) = oneshot::channel();
            let future = async move {
                if waits {
                    let _ = receiver.await;
                }
                panic!("on purpose");
            };
            start(
                None,
                Span::none(),
                || Box::pin(future),
                move |answer: Result<(), _>| drop(result.send(answer)),
            );
            let _ = sender.send(());
            assert!(got.try_recv().unwrap().unwrap_err().is_panic());
        }
    }
}
