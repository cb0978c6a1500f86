//! Every example is run as its users run it, and talked to over the network; what its clients and its operator would
//! notice is checked.

mod client;
mod http;
mod process;

mod compression;
mod documents;
mod features;
mod lifecycle;
mod login;
mod messenger;
mod old;
mod parsers;
mod serving;
mod tls;

use std::time::Duration;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
