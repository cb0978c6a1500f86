//! Tests with real clients and servers of others live in this directory; the server they talk to is the
//! `interop_server` binary of this crate, and for faults the `fault_server`.
