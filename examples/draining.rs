//! Goes out of service gently on SIGTERM or Ctrl-C: balancers are told first, then the clients leave one after another over
//! some seconds (`DRAIN`, 10 by default), each when nothing of it is under way.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use wirebird::extract::Data;
use wirebird::{DisconnectReason, Server, Socket};
use wirebird_examples::listen;

/// Takes a while: a client that waits for it is not sent away meanwhile.
async fn work(Data(millis): Data<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    "done"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let window = std::env::var("DRAIN").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(10.0);
    let io = Server::new();
    io.on("work", work);
    io.on_disconnect(async |_: Socket, reason: DisconnectReason| println!("a client left: {reason}"));

    // The clients may know before their turn comes.
    tokio::spawn({
        let io = io.clone();
        async move {
            io.draining().await;
            println!("draining");
            io.emit("restarting", ())
        }
    });

    let app = Router::new()
        .route("/", get(async || "press Ctrl-C there\n"))
        .route_service("/health", io.health())
        .route_service("/ready", io.ready())
        .layer(io.layer());
    tokio::spawn(io.drain_on_signal(Duration::from_secs_f64(window)));
    io.serve_app(listen().await?, app).await?;
    println!("everybody is gone");
    Ok(())
}
