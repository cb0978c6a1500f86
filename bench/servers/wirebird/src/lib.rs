//! The benchmark's contract on Wirebird, as an application would write it.

use bytes::Bytes;
use tokio::net::TcpListener;
use wirebird::extract::Data;
use wirebird::{Namespace, Server, Socket};

/// Serves on the port that is the first argument.
#[tokio::main]
pub async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let io = Server::new();
    io.on("echo", async |Data(text): Data<String>| text);
    io.on("bin", async |Data(bytes): Data<Bytes>| bytes);
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io.on("cast", async |io: Namespace, Data(payload): Data<String>| io.emit("msg", payload));
    io.on("room", async |io: Namespace, Data((room, payload)): Data<(String, String)>| {
        io.to(room).emit("msg", payload)
    });
    io.serve_listener(TcpListener::bind(("127.0.0.1", port)).await?).await
}
