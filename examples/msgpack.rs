//! MessagePack instead of JSON: packets are smaller, binary is part of them, and dates stay dates. The clients need the
//! same parser:
//!
//! ```js
//! const socket = io("http://127.0.0.1:5000", { parser: require("socket.io-msgpack-parser") });
//! socket.emit("store", { name: "cat.jpg", taken: new Date(), pixels: buffer }, (stored) => …);
//! ```
//!
//! In Python: `socketio.Client(serializer="msgpack")`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wirebird::extract::Data;
use wirebird::parser::MsgPack;
use wirebird::{Date, EmitError, Server, Socket};
use wirebird_examples::listen;

/// Handlers are the same whatever the parser is. A JavaScript `Date` is text for those who take a `String`.
#[derive(Serialize, Deserialize)]
struct Photo {
    name: String,
    taken: Date,
    pixels: Bytes,
}

#[derive(Serialize)]
struct Stored {
    bytes: usize,
    /// The client receives a `Date`.
    until: Date,
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

async fn store(socket: Socket, Data(photo): Data<Photo>) -> Result<Stored, EmitError> {
    let taken = photo.taken.to_system_time().unwrap_or_else(SystemTime::now);
    let stored = Stored { bytes: photo.pixels.len(), until: (taken + WEEK).into() };
    socket.broadcast().emit("photo", photo)?;
    Ok(stored)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().parser(MsgPack).build();
    io.on("store", store);
    io.serve_listener(listen().await?).await
}
