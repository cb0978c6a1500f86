//! The log of what failed and nobody handled.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use wirebird_engine::Millis;

use crate::error::Error;
use crate::extract::EventContext;
use crate::guard::clipped;

/// How long a failure that clients cause is not said again.
const EVERY: Millis = 60_000;
/// How many events are remembered for that.
const MEMORY: usize = 64;

/// The events whose failures clients have caused within the last minute. What comes from clients must not fill the log.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Box<str>, Millis>>);

impl Failures {
    /// Whether this has not been said within the last minute.
    fn is_news(&self, namespace: &str, event: &str, now: Millis) -> bool {
        let mut seen = self.0.lock();
        seen.retain(|_, at| now.saturating_sub(*at) < EVERY);
        let what = format!("{namespace} {event}").into_boxed_str();
        seen.len() < MEMORY && !seen.contains_key(&what) && seen.insert(what, now).is_none()
    }
}

/// A handler failed, and no error handler could do anything about it.
pub(crate) fn log(context: &EventContext, error: &Error) {
    let socket = context.socket();
    let (namespace, event) = (&*socket.0.namespace.name, clipped(context.event()));
    let now = socket.0.session.engine().now();
    if error.is_clients_fault() && !socket.0.core.failures.is_news(namespace, event, now) {
        tracing::debug!(
            target: "wirebird::socketio", nsp = namespace, sid = %socket.id(), event, %error, "a handler failed"
        );
        return;
    }
    tracing::error!(
        target: "wirebird::socketio",
        nsp = namespace, sid = %socket.id(), event, %error, backtrace = backtrace(error), "a handler failed"
    );
}

/// A background task of the server failed.
pub(crate) fn log_task(error: &Error) {
    tracing::error!(
        target: "wirebird::socketio", %error, backtrace = backtrace(error), "a background task failed"
    );
}

/// A field that is there if the error has a backtrace.
fn backtrace(error: &Error) -> Option<tracing::field::DisplayValue<impl fmt::Display>> {
    error.backtrace().map(tracing::field::display)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_once_a_minute() {
        let failures = Failures::default();
        assert!(failures.is_news("/", "a", 0));
        assert!(!failures.is_news("/", "a", EVERY - 1));
        assert!(failures.is_news("/", "b", 1), "another event");
        assert!(failures.is_news("/", "a", EVERY));
    }

    #[test]
    fn clients_cannot_make_it_remember_much() {
        let failures = Failures::default();
        let news = (0..1000).filter(|n| failures.is_news("/", &n.to_string(), 0)).count();
        assert_eq!(news, MEMORY);
        assert_eq!(failures.0.lock().len(), MEMORY);
    }
}
