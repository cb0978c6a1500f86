//! Ends well on Ctrl-C or SIGTERM: clients are told, disconnect handlers run, requests are answered, and then the
//! process ends.

use axum::Router;
use axum::routing::get;
use wirebird::extract::Data;
use wirebird::{DisconnectReason, Server, Socket};
use wirebird_examples::listen;

/// Last things can be done here: the server waits for disconnect handlers.
async fn save(socket: Socket, reason: DisconnectReason) {
    let note: Option<String> = socket.session().get();
    println!("saved {:?} of a client: {reason}", note.unwrap_or_default());
}

async fn note(socket: Socket, Data(text): Data<String>) {
    socket.session().insert(text);
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("note", note);
    io.on_disconnect(save);

    let app = Router::new().route("/", get(async || "press Ctrl-C there\n")).layer(io.layer());
    tokio::spawn(io.shutdown_on_signal());
    io.serve_app(listen().await?, app).await?;
    println!("everybody is gone");
    Ok(())
}
