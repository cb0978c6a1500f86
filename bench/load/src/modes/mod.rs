//! What clients do, one way for each row of the table.

mod connect;
mod echo;
mod exchange;
mod fan;
mod latency;
mod polling;
mod soak;

pub(crate) use connect::Connect;
pub(crate) use echo::Echo;
pub(crate) use exchange::Exchange;
pub(crate) use fan::{Fan, Layout, Streams};
pub(crate) use latency::Latency;
pub(crate) use polling::Polling;
pub(crate) use soak::{Soak, Soaked};
