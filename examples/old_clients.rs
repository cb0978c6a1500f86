//! One chat for every generation of clients: JavaScript clients 1.x and 2.x beside those of today.
//!
//! Handlers are the same for all. An old client cannot send `auth`: what it has in its query is found in the same place.
//!
//! ```js
//! io("http://localhost:5000", { auth: { name: "Ann" } });   // 3.x and 4.x
//! io("http://localhost:5000", { query: { name: "Bob" } });  // 1.x and 2.x
//! ```

use serde::Deserialize;
use wirebird::engine::Protocol;
use wirebird::extract::{Auth, Data, Session};
use wirebird::{ConnectError, EmitError, Server, Socket, SocketId};
use wirebird_examples::listen;

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Clone)]
struct Name(String);

async fn connect(socket: Socket, Auth(login): Auth<Option<Login>>) -> Result<(), ConnectError> {
    let Login { name } = login.ok_or_else(|| ConnectError::new("who are you?"))?;
    let old = socket.engine_session().protocol() == Protocol::V3;
    socket.broadcast().emit("joined", (&name, if old { "an old client" } else { "a client" }))?;
    // What an old client calls its `socket.id` is a secret of its connection. Its public id it has to be told.
    socket.emit("you are", socket.id())?;
    socket.session().insert(Name(name));
    Ok(())
}

async fn say(
    socket: Socket,
    Session(Name(name)): Session<Name>,
    Data(text): Data<String>,
) -> Result<(), EmitError> {
    socket.namespace().emit("said", (name, text))
}

async fn whisper(
    socket: Socket,
    Session(Name(name)): Session<Name>,
    Data((id, text)): Data<(SocketId, String)>,
) -> Result<(), EmitError> {
    socket.to(id).emit("whispered", (name, text))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder()
        .allow_eio3(true)
        // For pages in browsers that have nothing but script tags: read what it opens before you say true.
        .jsonp(false)
        .build();
    io.on_connect(connect);
    io.on("say", say);
    io.on("whisper", whisper);
    io.serve_listener(listen().await?).await
}
