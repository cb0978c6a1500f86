//! Emits from a plain thread that knows nothing of async: a sensor, a blocking driver, a cron job.

use std::thread;
use std::time::Duration;

use serde::Serialize;
use wirebird::extract::Data;
use wirebird::{Server, Socket};
use wirebird_examples::listen;

#[derive(Serialize)]
struct Reading {
    number: u64,
    celsius: f64,
}

/// Measures for ever. Emitting never waits, however many listen and however slow they are.
fn measure(io: Server) {
    for number in 0.. {
        let celsius = 20.0 + (number % 10) as f64 / 2.0;
        if let Err(error) = io.to("thermometer").emit("reading", Reading { number, celsius }) {
            eprintln!("a reading was not sent: {error}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("subscribe", async |socket: Socket, Data(sensor): Data<String>| socket.join(sensor));
    io.on("unsubscribe", async |socket: Socket, Data(sensor): Data<String>| socket.leave(sensor));

    let listener = listen().await?;
    thread::spawn({
        let io = io.clone();
        move || measure(io)
    });
    io.serve_listener(listener).await
}
