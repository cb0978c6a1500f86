//! Ready-made [layers](crate::EventLayer) for event handlers.
//!
//! ```
//! use std::time::Duration;
//! use wirebird::layers::{Beyond, RateLimit, Require, Timing};
//! use wirebird::{EventHandlerExt, Server, extract::EventContext};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! let io = Server::new();
//! io.event_layer(Timing::new(|event: &EventContext, took| println!("{} took {took:?}", event.event())));
//! io.event_layer(RateLimit::new(100, Duration::from_secs(1)).beyond(Beyond::Disconnect));
//! io.of("/admin").event_layer(Require::<User>::new().or_disconnect());
//! io.on("search", (async || "found").layer(RateLimit::new(2, Duration::from_secs(10))));
//! ```

mod rate_limit;
mod require;
mod timing;

pub use rate_limit::{Beyond, RateLimit, RateLimited};
pub use require::{NotInRequest, NotInSession, Require};
pub use timing::Timing;
