//! The server's own listener, with an application behind it.

mod support;

use std::time::Duration;

use axum::extract::Extension;
use axum::routing::{get, post};
use support::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wirebird::{PeerAddr, Server};

/// Sends a request on a connection of its own; returns the head and the body.
async fn request(addr: std::net::SocketAddr, line: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let text =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// F-DEP-09, F-INT-05, R13: a tower service, such as an axum application, answers what is not for the server, and knows who asks.
#[tokio::test]
async fn a_tower_service_answers_the_rest() {
    let io = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app: axum::Router = axum::Router::new()
        .route("/peer", get(async |Extension(PeerAddr(peer)): Extension<PeerAddr>| peer.ip().to_string()))
        .route("/echo", post(async |body: String| body));
    let served = tokio::spawn({
        let io = io.clone();
        async move { io.serve_with_service(listener, app).await }
    });
    let (head, body) = request(addr, "GET /peer", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "127.0.0.1", "{head} {body}");
    let long = "x".repeat(100_000);
    assert_eq!(request(addr, "POST /echo", &long).await.1, long);
    assert!(request(addr, "GET /nothing", "").await.0.starts_with("HTTP/1.1 404 "));
    let (head, body) = request(addr, "GET /socket.io/?EIO=4&transport=polling", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.starts_with("0{\"sid\""), "{head} {body}");
    io.close_within(Duration::ZERO).await;
    served.await.unwrap().unwrap();
}
