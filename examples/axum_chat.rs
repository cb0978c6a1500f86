//! A chat on axum: clients log in when they connect, talk in rooms, and an HTTP route talks to rooms too.
//!
//! Open the printed address in two browser windows, or announce something from outside:
//! `curl -d 'tea is ready' http://127.0.0.1:5000/rooms/kitchen/announcements`

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use wirebird::extract::{Auth, Data, Session};
use wirebird::{ConnectError, DisconnectReason, Error, Server, Socket};
use wirebird_examples::listen;

/// What a page sends along: `io({ auth: { name: "ann", password: "birds" } })`.
#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

/// What we remember of a client that logged in.
#[derive(Clone)]
struct Nickname(String);

/// An error refuses the connection. Message and data arrive in the page's `connect_error` handler.
async fn connect(socket: Socket, Auth(login): Auth<Login>) -> Result<(), ConnectError> {
    if login.password != "birds" {
        return Err(ConnectError::new("wrong password").with_data(json!({ "hint": "they sit on wires" })));
    }
    socket.session().insert(Nickname(login.name));
    socket.emit("welcome", "join a room and say something")?;
    Ok(())
}

/// What a handler returns is the acknowledgement: here, how many are in the room.
async fn join(
    socket: Socket,
    Session(Nickname(name)): Session<Nickname>,
    Data(room): Data<String>,
) -> Result<usize, Error> {
    socket.join(&room)?;
    socket.to(&room).emit("joined", (&room, name))?;
    Ok(socket.namespace().to(&room).sockets().len())
}

/// `socket.emit("chat", room, text)` has two arguments, and so does what we emit.
async fn chat(
    socket: Socket,
    Session(Nickname(name)): Session<Nickname>,
    Data((room, text)): Data<(String, String)>,
) -> Result<&'static str, Error> {
    if !socket.in_room(&room) {
        return Ok("join the room first");
    }
    // Everybody in the room but the sender; `socket.namespace().to(room)` would include it.
    socket.to(&room).emit("chat", (&room, name, text))?;
    Ok("delivered")
}

/// The rooms of a socket can still be read when it is gone.
async fn disconnect(
    socket: Socket,
    Session(Nickname(name)): Session<Nickname>,
    reason: DisconnectReason,
) -> Result<(), Error> {
    println!("{name} left: {reason}");
    socket.to(socket.rooms()).emit("left", name)?;
    Ok(())
}

/// An ordinary axum handler: the server is its state, and can emit from anywhere.
async fn announce(State(io): State<Server>, Path(room): Path<String>, text: String) -> StatusCode {
    match io.to(room).emit("announcement", text) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(error) => {
            eprintln!("nothing was announced: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on_connect(connect);
    io.on("join", join);
    io.on("chat", chat);
    io.on_disconnect(disconnect);

    let app = Router::new()
        .route("/", get(async || Html(include_str!("axum_chat.html"))))
        .route("/rooms/{room}/announcements", post(announce))
        .with_state(io.clone())
        .layer(io.layer());
    io.serve_app(listen().await?, app).await
}
