//! Work beside the handlers: for the whole server, for one client, and what blocks. Tasks end with what they belong to.

use std::time::Duration;

use wirebird::extract::{Data, EventContext};
use wirebird::{Error, Server, Socket};
use wirebird_examples::listen;

/// Tells everybody how long the server has been up. It has no end: closing the server cancels it.
async fn tell_uptime(io: Server) {
    for ticks in 1_u64.. {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Err(error) = io.emit("uptime", ticks * 100) {
            eprintln!("nobody was told: {error}");
        }
    }
}

/// Counts down for one client. When it leaves, the task ends where it waits.
async fn count_down(socket: Socket, Data(from): Data<u32>) {
    let client = socket.clone();
    socket.spawn(async move {
        for left in (1..=from).rev() {
            client.emit("left", left)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client.emit("lift-off", ())?;
        if from == 13 {
            return Err(Error::msg("it exploded")); // for the error handler, as if a handler had failed
        }
        Ok(())
    });
}

/// Work that blocks its thread is for other threads; the client's later events wait for the answer.
async fn is_prime(Data(n): Data<u64>) -> Result<bool, Error> {
    let answer = tokio::task::spawn_blocking(move || n > 1 && (2..n).all(|divisor| n % divisor != 0));
    Ok(answer.await?)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("count down", count_down);
    io.on("is prime", is_prime);
    io.on_disconnect(async |socket: Socket| println!("{} is gone, and its tasks with it", socket.id()));
    io.on_error(async |error: Error, context: EventContext| eprintln!("{}: {error}", context.event()));

    io.spawn(tell_uptime(io.clone()));
    let listener = listen().await?;
    tokio::spawn(io.shutdown_on_signal());
    io.serve_listener(listener).await?;
    println!("all tasks have ended: the place for last things");
    Ok(())
}
