//! The border to code of the application: a panic there ends there.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `code`; a panic in it is logged and goes no further.
pub(crate) fn guard(what: &'static str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        let error = crate::Error::panic(&*payload);
        tracing::error!(target: "wirebird::socketio", what, %error, "code of the application failed");
    }
}
