//! The border to code of the application: a panic there ends there. And to logs: not everything is shown there.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// As much of what a client or the application says as is shown in logs.
pub(crate) fn clipped(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}

/// Runs `code`; a panic in it is logged and goes no further.
pub(crate) fn guard(what: &'static str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        let error = crate::Error::panic(&*payload);
        tracing::error!(target: "wirebird::socketio", what, %error, "code of the application failed");
    }
}
