//! What the examples share: the events.

use wirebird::extract::Data;
use wirebird::{Builder, DisconnectReason, Server, Socket};

/// A Socket.IO server with some handlers.
pub fn server(builder: Builder) -> Server {
    let io = builder.build();
    io.on("whoami", async |socket: Socket| match socket.handshake().peer_addr() {
        Some(addr) => format!("somebody at {}", addr.ip()),
        None => "somebody".into(),
    });
    io.on("shout", async |socket: Socket, Data(text): Data<String>| {
        socket.broadcast().emit("shout", text.to_uppercase())
    });
    io.on("length", async |Data(text): Data<String>| text.len());
    io.on("throw me out", async |socket: Socket| socket.disconnect_transport());
    io.on_disconnect(async |reason: DisconnectReason| println!("somebody left: {reason}"));
    io
}
