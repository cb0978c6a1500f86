//! Requests.

use wirebird::engine::CloseReason;
use wirebird::{Limit, Server};

use crate::support::until;
use crate::wire::{Wire, get, listen, post};
use crate::{SHORT, reached, server};

/// Requests that only hyper reads: another path.
const ELSEWHERE: &str = "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n";

/// F-SEC-01: a head that comes slowly, or not at all, ends its connection: the first of a connection, and one that hyper
/// reads.
#[tokio::test]
async fn header_time() {
    let io = server(Server::builder().header_timeout(SHORT));
    let addr = listen(&io).await;
    let mut silent = Wire::open(addr).await;
    let mut slow = Wire::open(addr).await;
    slow.send("GET /socket.io/?EIO=4").await;
    let mut second = Wire::open(addr).await;
    assert_eq!(second.ask(ELSEWHERE).await.status, 404);
    second.send("GET /elsew").await;
    for wire in [&mut silent, &mut slow, &mut second] {
        wire.closed().await;
    }
    reached(&io, Limit::HeaderTime, 3).await;
}

/// F-SEC-01: a connection that pauses between requests has longer, and not for ever.
#[tokio::test]
async fn idle_time() {
    let io = server(Server::builder().header_timeout(SHORT / 3).keep_alive_timeout(SHORT));
    let addr = listen(&io).await;
    let (mut usual, mut by_hyper) = (Wire::open(addr).await, Wire::open(addr).await);
    usual.session().await;
    assert_eq!(by_hyper.ask(ELSEWHERE).await.status, 404);
    tokio::time::sleep(SHORT / 2).await;
    usual.session().await;
    assert_eq!(by_hyper.ask(ELSEWHERE).await.status, 404);
    usual.closed().await;
    by_hyper.closed().await;
    reached(&io, Limit::IdleTime, 2).await;
}

/// F-SEC-01: heads over the limit are refused, also by the listener alone and in pieces.
#[tokio::test]
async fn header_bytes() {
    let io = server(Server::builder().max_head(10_000));
    let addr = listen(&io).await;
    let large = |bytes: usize| format!("X-Large: {}\r\n", "x".repeat(bytes));
    let request = |path: &str, bytes| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", large(bytes));
    let open = "/socket.io/?EIO=4&transport=polling";
    for (request, status) in [
        (request(open, 9_000), 200),
        (request(open, 10_000), 431),
        (request("/elsewhere", 9_000), 404),
        (request("/elsewhere", 20_000), 431),
        (request(open, 20_000), 431),
    ] {
        let mut wire = Wire::open(addr).await;
        wire.send(&request[..100]).await;
        assert_eq!(wire.ask(&request[100..]).await.status, status);
    }
    reached(&io, Limit::HeaderBytes, 3).await;
}

/// F-SEC-01
#[tokio::test]
async fn header_count() {
    let io = server(Server::builder().max_headers(50));
    let addr = listen(&io).await;
    let request = |path: &str, count| format!("GET {path} HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(count));
    let open = "/socket.io/?EIO=4&transport=polling";
    for (request, status) in [
        (request(open, 50), 200),
        (request(open, 51), 431),
        (request(open, 101), 431),
        (request("/elsewhere", 51), 431),
    ] {
        assert_eq!(Wire::open(addr).await.ask(request).await.status, status);
    }
    reached(&io, Limit::HeaderCount, 3).await;
}

/// F-SEC-01
#[tokio::test]
async fn url_bytes() {
    let io = server(Server::builder().max_url(1000));
    let addr = listen(&io).await;
    let mut wire = Wire::open(addr).await;
    let session = wire.session().await;
    let long = format!("EIO=4&transport=polling&x={}", "y".repeat(1000));
    assert_eq!(wire.ask(get(&long)).await.status, 414);
    // Of a session, too.
    assert_eq!(wire.ask(get(&format!("{long}&sid={session}"))).await.status, 414);
    reached(&io, Limit::UrlBytes, 2).await;
}

/// F-SEC-01: bodies that come slowly end their session, whichever way their length is said.
#[tokio::test]
async fn body_time() {
    let io = server(Server::builder().body_timeout(SHORT));
    let addr = listen(&io).await;
    for (head, beginning) in [("Content-Length: 10\r\n", "40"), ("Transfer-Encoding: chunked\r\n", "a\r\n40")]
    {
        let mut wire = Wire::open(addr).await;
        let id = wire.session().await;
        let session = io.engine().session(&id).unwrap();
        wire.send(post(&id, head)).await;
        assert_eq!(wire.ask(beginning).await.status, 408);
        assert_eq!(session.close_reason(), Some(CloseReason::TransportError));
    }
    reached(&io, Limit::BodyTime, 2).await;
    let refused = io.metrics().refused().iter().map(|each| (each.cause, each.count)).collect::<Vec<_>>();
    assert_eq!(refused, [("body-timeout", 2)]);
}

/// F-SEC-01: who does not take an answer is let go, and its session with it.
#[tokio::test]
async fn answer_time() {
    let io = server(Server::builder().write_timeout(SHORT));
    let addr = listen(&io).await;
    let mut wire = Wire::open(addr).await;
    let id = wire.session().await;
    let session = io.engine().session(&id).unwrap();
    assert_eq!(wire.ask(post(&id, "Content-Length: 2\r\n") + "40").await.body, "ok");
    let poll = get(&format!("EIO=4&transport=polling&sid={id}"));
    assert!(wire.ask(&poll).await.body.starts_with("40{"));
    // More than the buffers of the kernel take.
    io.emit("news", "x".repeat(15_000_000)).unwrap();
    wire.send(poll).await;
    until("the session to end", || !session.is_open()).await;
    reached(&io, Limit::AnswerTime, 1).await;
}

/// F-SEC-01: two polls of one session at a time.
#[tokio::test]
async fn overlap() {
    let io = server(Server::builder());
    let addr = listen(&io).await;
    let (mut first, mut second) = (Wire::open(addr).await, Wire::open(addr).await);
    let id = first.session().await;
    let poll = get(&format!("EIO=4&transport=polling&sid={id}"));
    first.send(&poll).await;
    let session = io.engine().session(&id).unwrap();
    until("the poll to be held", || session.is_writable()).await;
    assert_eq!(second.ask(&poll).await.status, 400);
    assert!(!session.is_open());
    reached(&io, Limit::Overlap, 1).await;
}

/// F-SEC-01: bodies and messages over the limit, whichever way their length is said, fragmented and compressed ones too.
#[tokio::test]
async fn payload_bytes() {
    let builder = Server::builder().max_payload(1000).per_message_deflate(wirebird::Deflate::default());
    let io = server(builder);
    let addr = listen(&io).await;
    let large = "x".repeat(2000);
    let mut wire = Wire::open(addr).await;
    let id = wire.session().await;
    // Refused by the head alone.
    assert_eq!(wire.ask(post(&id, "Content-Length: 2000\r\n")).await.status, 413);
    wire.send(&large).await;
    let chunked = format!("{}7d0\r\n{large}\r\n0\r\n\r\n", post(&id, "Transfer-Encoding: chunked\r\n"));
    assert_eq!(wire.ask(chunked).await.status, 413);
    assert!(io.engine().session(&id).is_some(), "the session goes on");

    let mut whole = Wire::websocket(addr, "").await;
    whole.frame(0x81, large.as_bytes()).await;
    assert_eq!(whole.close_code().await, 1009);
    let mut fragmented = Wire::websocket(addr, "").await;
    for first in [0x01, 0x00, 0x80] {
        fragmented.frame(first, &large.as_bytes()[..400]).await;
    }
    assert_eq!(fragmented.close_code().await, 1009);
    // 2000 times `x`, as raw deflate without its tail.
    let mut compressed = Wire::websocket(addr, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let deflated = {
        use std::io::Write;
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(large.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut deflated = encoder.get_ref().clone();
        deflated.truncate(deflated.len() - 4);
        deflated
    };
    assert!(deflated.len() < 100);
    compressed.frame(0xc1, &deflated).await;
    assert_eq!(compressed.close_code().await, 1009);
    reached(&io, Limit::Payload, 5).await;
}

/// F-SEC-01: a message of endless fragments, of which none has anything in it.
#[tokio::test]
async fn fragments() {
    let io = server(Server::builder().max_fragments(10));
    let addr = listen(&io).await;
    let mut wire = Wire::websocket(addr, "").await;
    wire.frame(0x01, b"40").await;
    for _ in 0..20 {
        wire.frame(0x00, b"").await;
    }
    assert_eq!(wire.close_code().await, 1008);
    reached(&io, Limit::Fragments, 1).await;
}
