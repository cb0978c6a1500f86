//! How sockets end, and who is told why.

use std::time::Duration;

use wirebird::extract::Data;
use wirebird::{DisconnectReason, EmitError, Server, Socket};
use wirebird_examples::listen;

/// Runs once for each socket that was connected, whatever the cause, after the handlers of its events.
async fn goodbye(socket: Socket, reason: DisconnectReason) -> Result<(), EmitError> {
    let why = match reason {
        DisconnectReason::ClientDisconnect => "said goodbye",
        DisconnectReason::ServerDisconnect => "was thrown out",
        DisconnectReason::PingTimeout => "fell asleep",
        DisconnectReason::TransportClose | DisconnectReason::TransportError => "was cut off",
        DisconnectReason::SlowConsumer => "was too slow",
        _ => reason.as_node_str(),
    };
    println!("{} {why} ({reason})", socket.id());
    socket.broadcast().emit("gone", (socket.id(), why))
}

/// Throws out another client; `false` when it is not there.
async fn kick(socket: Socket, Data(id): Data<String>) -> Result<bool, EmitError> {
    let Some(other) = socket.namespace().socket(id) else {
        return Ok(false);
    };
    other.emit("kicked", "you had it coming")?;
    other.disconnect(); // after what was emitted before
    Ok(true)
}

/// Many at once: everybody in a room, or all but some.
async fn clear(socket: Socket) {
    socket.broadcast().disconnect();
}

/// Closes the connection too, with all its namespaces; `disconnect` leaves both open.
async fn hang_up(socket: Socket) {
    socket.disconnect_transport();
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder()
        .ping_interval(Duration::from_secs(2)) // how soon a client that vanished is noticed
        .ping_timeout(Duration::from_secs(1))
        .build();
    io.on_disconnect(goodbye);
    io.on("kick", kick);
    io.on("clear", clear);
    io.on("hang up", hang_up);
    io.serve_listener(listen().await?).await
}
