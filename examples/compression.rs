//! Compression: of WebSocket messages for clients that offer it, and of polling replies for clients that accept it. What
//! is compressed already goes out as it is.

use bytes::Bytes;
use serde::Serialize;
use wirebird::extract::Data;
use wirebird::{Deflate, EmitError, Server, Socket};
use wirebird_examples::listen;

#[derive(Serialize)]
struct Reading {
    sensor: &'static str,
    minute: u32,
    celsius: f64,
}

/// Text that says nearly the same again and again gets several times smaller.
async fn report(Data(minutes): Data<u32>) -> Vec<Reading> {
    let reading = |minute| Reading { sensor: "roof", minute, celsius: 20.0 + f64::from(minute % 10) / 10.0 };
    (0..minutes.min(10_000)).map(reading).collect()
}

/// Images, sound and archives do not get smaller: it would be work for nothing.
async fn photo(socket: Socket) -> Result<(), EmitError> {
    let jpeg = Bytes::from(vec![0xff; 20_000]);
    socket.compress(false).emit("photo", jpeg)
}

/// A message for many is compressed once for all of them.
async fn publish(socket: Socket, Data(text): Data<String>) -> Result<(), EmitError> {
    socket.namespace().emit("published", text)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder()
        // Off by default. Messages of 512 bytes and more, for clients that offer permessage-deflate: browsers do.
        .per_message_deflate(Deflate::default().threshold(512))
        // On by default, from 1024 bytes on: gzip or deflate for replies to polls.
        .compression_threshold(512)
        .build();
    io.on("report", report);
    io.on("photo", photo);
    io.on("publish", publish);
    io.serve_listener(listen().await?).await
}
