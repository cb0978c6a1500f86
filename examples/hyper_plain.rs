//! Plain hyper: your own service asks whether a request is for the Socket.IO server, and hands it over.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use wirebird::extract::Data;
use wirebird::{Server, Socket};
use wirebird_examples::listen;

async fn answer(io: Server, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if io.is_endpoint(request.uri().path()) {
        return Ok(io.handle(request).await);
    }
    let text = format!("{} sockets are connected\n", io.socket_count());
    Ok(Response::new(Full::from(text)))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("shout", async |socket: Socket, Data(text): Data<String>| {
        socket.broadcast().emit("shout", text.to_uppercase())
    });

    let listener = listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let io = io.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(io.clone(), request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(); // for WebSockets
            if let Err(error) = served.await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}
