//! Keeps a runtime reading while one of its workers is blocked.
//!
//! A worker of tokio that blocks in a handler may be the one that waits for I/O and timers for all others, and those
//! would not notice. A thread of our own gives the runtime a moment's work now and then: some idle worker takes it, and
//! with it the watch over I/O.

use std::sync::Weak;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::engine::Shared;

/// How long I/O may stand still because a handler blocks.
const INTERVAL: Duration = Duration::from_millis(25);

/// Starts the thread, if the runtime has workers to wake. It ends with the engine.
pub(crate) fn start(runtime: &Handle, engine: Weak<Shared>) {
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread || runtime.metrics().num_workers() < 2 {
        return;
    }
    let runtime = runtime.clone();
    let thread = std::thread::Builder::new().name("wirebird-keeper".into()).spawn(move || {
        while let Some(engine) = engine.upgrade().filter(|engine| !engine.is_stopped()) {
            if engine.has_sessions() {
                runtime.spawn(std::future::ready(()));
            }
            drop(engine);
            std::thread::sleep(INTERVAL);
        }
    });
    if let Err(error) = thread {
        tracing::warn!(target: "wirebird::engineio", %error, "no thread: a handler that blocks may hold up others");
    }
}
