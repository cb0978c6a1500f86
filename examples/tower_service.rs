//! Any tower stack: the server is a layer among others, and hyper-util serves the whole.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::ServiceBuilder;
use wirebird::engine::PeerAddr;
use wirebird::{Server, Socket};
use wirebird_examples::listen;

/// Answers what is not for the Socket.IO server.
async fn page(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("nothing but birds here\n")))
}

/// The client's address is known because the stack below put it into the request.
async fn whoami(socket: Socket) -> String {
    match socket.handshake().peer_addr() {
        Some(addr) => format!("somebody at {}", addr.ip()),
        None => "somebody".into(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::new();
    io.on("whoami", whoami);

    let listener = listen().await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let stack = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(io.layer())
            .service_fn(page);
        tokio::spawn(async move {
            let mut http = auto::Builder::new(TokioExecutor::new());
            // Without a timer nobody has to finish a request that has begun.
            http.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
            // Without `_with_upgrades` there are no WebSockets.
            let served =
                http.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(stack));
            if let Err(error) = served.await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}
