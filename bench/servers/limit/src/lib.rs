//! What both limit servers say on the wire: canned answers, and frames that are copied without being looked into.

pub mod wire;
