//! Clients that were cut off and come back.

#[path = "../support/mod.rs"]
mod support;

mod coming_back;
mod conflation;
mod draining;
mod edges;
mod handlers;
mod hostile;
mod idle;
#[cfg(feature = "msgpack")]
mod packed;
mod storm;
mod tab;
