//! The HTTP side of a server, through the public API: on a socket of its own, as a tower service, and as a layer of an
//! axum application.

#[path = "../support/mod.rs"]
mod support;

mod client_files;
mod compression;
mod cors;
mod hooks;
mod http;
#[cfg(feature = "http2")]
mod http2;
mod log;
mod logs;
mod old;
mod options;
#[cfg(feature = "static-files")]
mod static_files;
