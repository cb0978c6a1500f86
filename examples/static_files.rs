//! A page with its script and style beside the server, without a framework and without a web server.
//!
//! With `SOCKET_IO_CLIENT` naming the folder `dist` of the npm package `socket.io-client`, the page gets the client from
//! here, too; otherwise from the network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, io};

use wirebird::extract::State;
use wirebird::{ClientFiles, Server, Socket, StaticFiles};
use wirebird_examples::listen;

/// In an application of your own it is relative to where the process runs: `"public"`.
const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/public");

static CLICKS: AtomicU64 = AtomicU64::new(0);

#[tokio::main]
async fn main() -> io::Result<()> {
    let files = StaticFiles::new()
        .file("/", format!("{PUBLIC}/index.html"))
        .file_as("/humans.txt", format!("{PUBLIC}/humans"), "text/plain; charset=utf-8")
        .dir("/static", format!("{PUBLIC}/static"))
        .cache_control("no-cache");
    let mut builder = Server::builder().static_files(files).state(&CLICKS);
    if let Ok(dir) = env::var("SOCKET_IO_CLIENT") {
        builder = builder.serve_client(ClientFiles::from_dir(dir)?);
    }
    let io = builder.build();
    io.on_connect(async |socket: Socket, State(clicks): State<&AtomicU64>| {
        socket.emit("clicks", clicks.load(Ordering::Relaxed))
    });
    io.on("click", async |socket: Socket, State(clicks): State<&AtomicU64>| {
        socket.namespace().emit("clicks", clicks.fetch_add(1, Ordering::Relaxed) + 1)
    });
    tokio::spawn(io.shutdown_on_signal());
    io.serve_listener(listen().await?).await
}
