//! Binary in events and acknowledgements, at the top or deep inside: `Bytes` travels as an attachment and is never
//! turned into text.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use wirebird::extract::{Args, Data};
use wirebird::{EmitError, Server, Socket, Value};
use wirebird_examples::listen;

/// A file, in as many parts as its sender likes. `Vec<u8>` would be an array of numbers.
#[derive(Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
}

/// `socket.emit("reverse", bytes, (reversed) => …)`
async fn reverse(Data(bytes): Data<Bytes>) -> Bytes {
    bytes.iter().rev().copied().collect()
}

/// The acknowledgement has the same shape: one part, and what it is called now.
async fn join(Data(file): Data<File>) -> File {
    let whole: BytesMut = file.parts.iter().flatten().copied().collect();
    File { name: format!("{} (whole)", file.name), parts: vec![whole.freeze()] }
}

/// Everybody else receives the same attachments; they are not copied for each.
async fn share(socket: Socket, Data(file): Data<File>) -> Result<(), EmitError> {
    socket.broadcast().emit("file", file)
}

/// Where nothing is known about the arguments, they are values.
async fn weigh(Args(args): Args) -> usize {
    args.iter().map(weight).sum()
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Binary(bytes) => bytes.len(),
        Value::Array(elements) => elements.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(_, value)| weight(value)).sum(),
        _ => 0,
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().max_payload(10_000_000).max_attachments(100).build();
    io.on("reverse", reverse);
    io.on("join", join);
    io.on("share", share);
    io.on("weigh", weigh);
    io.serve_listener(listen().await?).await
}
