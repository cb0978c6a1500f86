//! The benchmark's contract on socketioxide and axum, as an application would write it.

use axum::Router;
use axum::serve::ListenerExt;
use bytes::Bytes;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;

async fn connected(socket: SocketRef) {
    socket.on("echo", async |Data::<String>(text), ack: AckSender| drop(ack.send(&text)));
    socket.on("bin", async |Data::<Bytes>(bytes), ack: AckSender| drop(ack.send(&bytes)));
    socket.on("join", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.join(room);
        drop(ack.send(&()));
    });
    socket.on("cast", async |io: SocketIo, Data::<String>(payload), ack: AckSender| {
        drop(io.emit("msg", &payload).await);
        drop(ack.send(&()));
    });
    socket.on("room", async |io: SocketIo, Data::<(String, String)>((room, payload)), ack: AckSender| {
        drop(io.to(room).emit("msg", &payload).await);
        drop(ack.send(&()));
    });
}

/// Serves on the port that is the first argument.
#[tokio::main]
pub async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connected);
    // As the other servers do by themselves.
    let listener =
        TcpListener::bind(("127.0.0.1", port)).await?.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().layer(layer)).await
}
