//! The server that the tests with official clients talk to: one handler for each thing they try.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use wirebird::extract::{AckSenderExt as _, *};
use wirebird::{AckError, AckSender, ConnectError, DisconnectReason, EmitError, Error, RoomError, Value};
use wirebird::{Server, Socket};

/// The last disconnects: id and reason.
type Disconnects = Arc<Mutex<VecDeque<(String, &'static str)>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let port: u16 = std::env::args().skip_while(|arg| arg != "--port").nth(1).map_or(Ok(0), |p| p.parse()).map_err(
        |_| std::io::Error::new(std::io::ErrorKind::InvalidInput, "--port needs a number"),
    )?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    server().serve_listener(listener).await
}
