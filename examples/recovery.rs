//! Clients whose connection broke come back as the same sockets, and get what they missed.
//!
//! The official JavaScript client (4.6 and newer) does its part by itself: connect two of them, take one off the network for
//! a while, let the other one talk, and come back.

use std::time::Duration;

use wirebird::extract::Data;
use wirebird::{EmitError, Recovery, Server, Socket};
use wirebird_examples::listen;

/// Runs for each connection, also for those that are back: what is needed once is done once.
async fn connect(socket: Socket) -> Result<(), wirebird::Error> {
    if !socket.recovered() {
        socket.join("lobby")?;
    }
    Ok(())
}

async fn say(socket: Socket, Data(text): Data<String>) -> Result<(), EmitError> {
    socket.namespace().to("lobby").emit("said", text)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let recovery = Recovery { max_disconnection_duration: Duration::from_secs(60), ..Recovery::default() };
    let io = Server::builder().connection_state_recovery(recovery).cors_allowed_origins("*").build();
    io.on_connect(connect);
    io.on("say", say);
    io.serve_listener(listen().await?).await
}
