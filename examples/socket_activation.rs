//! Restarts that refuse nobody: systemd, or whoever speaks its protocol, listens and hands the socket over. Clients that
//! come while no server runs wait in its queue.
//!
//! ```sh
//! systemd-socket-activate -l 5000 target/debug/socket_activation
//! ```

use std::io;

use listenfd::ListenFd;
use tokio::net::TcpListener;
use wirebird::Server;
use wirebird_examples::listen;

async fn listener() -> io::Result<TcpListener> {
    let Some(listener) = ListenFd::from_env().take_tcp_listener(0)? else { return listen().await };
    listener.set_nonblocking(true)?;
    println!("listening on http://{}", listener.local_addr()?);
    TcpListener::from_std(listener)
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let io = Server::new();
    io.on("which process?", async || std::process::id());
    tokio::spawn(io.shutdown_on_signal());
    io.serve_listener(listener().await?).await
}
