//! Numbers for Prometheus and others that collect OpenMetrics: `curl http://127.0.0.1:5000/metrics`. And a line on the
//! console for each client that runs into a limit.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use wirebird::engine::Session;
use wirebird::extract::Data;
use wirebird::{Limit, Metrics, Observer, Server, Socket};
use wirebird_examples::listen;

/// Metrics say how often; an observer is told whose client it was.
struct Watch;

impl Observer for Watch {
    fn limit_reached(&self, limit: Limit, session: Option<&Session>) {
        let peer = session.and_then(|session| session.handshake().peer_addr());
        println!("a client ran into the limit {limit}: {peer:?}");
    }
}

/// It says how many clients there are and what they are refused: show it to your collector, not to everybody.
async fn metrics(State(io): State<Server>) -> impl IntoResponse {
    ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], io.metrics().to_openmetrics())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().max_rooms(2).observer(Watch).build();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room).is_ok());

    let app = Router::new().route("/metrics", get(metrics)).with_state(io.clone()).layer(io.layer());
    io.serve_app(listen().await?, app).await
}
