//! warp: Wirebird listens, and warp answers what is not for it.

use warp::Filter;
use wirebird::Server;
use wirebird_examples::listen;
use wirebird_frameworks::server;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = server(Server::builder());

    let routes = warp::path::end().map(|| "warp");

    io.serve_with_service(listen().await?, warp::service(routes)).await
}
