use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::event_layer::{EventLayer, Next};
use crate::extract::EventContext;
use crate::guard;
use crate::reply::Reply;

/// Measures how long events are handled, with the layers inside this one: from the moment that the event is handed to them
/// (not that of its arrival) until they return, fail or panic.
///
/// Events without a handler are not measured: their names are the clients' choice. Those of a fallback handler are, too.
pub struct Timing<F>(F);

impl<F: Fn(&EventContext, Duration) + Send + Sync + 'static> Timing<F> {
    /// Calls `report` with each event and the time it took. A panic in it is caught.
    pub fn new(report: F) -> Self {
        Self(report)
    }
}

impl<F: Fn(&EventContext, Duration) + Send + Sync + 'static> EventLayer for Timing<F> {
    async fn call(&self, event: EventContext, next: Next) -> Result<Reply, Error> {
        let watch = next.has_handler().then(|| Stopwatch {
            report: &self.0,
            event: event.clone(),
            begun: Instant::now(),
        });
        let result = next.run(event).await;
        drop(watch);
        result
    }
}

impl<F> fmt::Debug for Timing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timing")
    }
}

/// Reports when it is dropped, in a panic too.
struct Stopwatch<'a, F: Fn(&EventContext, Duration)> {
    report: &'a F,
    event: EventContext,
    begun: Instant,
}

impl<F: Fn(&EventContext, Duration)> Drop for Stopwatch<'_, F> {
    fn drop(&mut self) {
        guard("timing", || (self.report)(&self.event, self.begun.elapsed()));
    }
}
