//! Many prices a second for clients that may be slow: each gets the newest of every kind, whatever it has missed, and chat
//! beside them is never lost. Who cannot keep up even so is closed, and that is logged.

use std::time::Duration;

use serde::Serialize;
use wirebird::extract::Data;
use wirebird::{Namespace, Overflow, SendQueue, Server, Slowness};
use wirebird_examples::listen;

#[derive(Serialize)]
struct Price {
    of: &'static str,
    euros: f64,
    /// What makes it long.
    chart: Vec<f64>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder()
        // 4 MiB is patience enough.
        .send_queue(SendQueue::default().bytes(4 << 20))
        .on_slow_consumer(|slow| match slow.slowness {
            Slowness::Behind => println!("a client misses events: {} bytes wait for it", slow.bytes),
            _ => println!("a client is closed: {} packets waited for it", slow.packets),
        })
        .build();
    io.on("chat", async |all: Namespace, Data(text): Data<String>| all.emit("chat", text));
    // Positions may pile up to 64 KiB; then those that may be dropped are.
    io.of("/positions").send_queue(SendQueue::default().bytes(64 << 10).overflow(Overflow::DropVolatile));
    io.of("/positions").on_connect(async || {});

    tokio::spawn({
        let io = io.clone();
        async move {
            for round in 0.. {
                for of in ["tea", "milk", "sugar"] {
                    let price = Price { of, euros: f64::from(round), chart: vec![f64::from(round); 1000] };
                    io.conflate(of).emit("price", price)?;
                }
                io.of("/positions").volatile().emit("position", (round, round))?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, wirebird::EmitError>(())
        }
    });
    tokio::spawn(io.shutdown_on_signal());
    io.serve_listener(listen().await?).await?;
    println!("{} prices were skipped", io.metrics().conflated_messages());
    Ok(())
}
