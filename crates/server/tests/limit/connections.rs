//! How many may come in.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use wirebird::{Limit, PeerAddr, Server, TransportKind, TrustedProxies};

use crate::support::until;
use crate::wire::{Wire, get, listen};
use crate::{SHORT, reached, server};

/// F-SEC-01: connections beyond the limit are closed at once, and there is room again when one has ended.
#[tokio::test]
async fn connections() {
    let io = server(Server::builder().max_connections(2));
    let addr = listen(&io).await;
    let (mut first, mut second) = (Wire::open(addr).await, Wire::websocket(addr, "").await);
    first.session().await;
    Wire::open(addr).await.closed().await;
    reached(&io, Limit::Connections, 1).await;
    // A WebSocket is a connection as long as it lasts.
    second.frame(0x88, b"").await;
    second.closed().await;
    let ended = || io.metrics().sessions_on(TransportKind::WebSocket) == 0;
    until("the WebSocket to end", ended).await;
    let mut third = None;
    while third.is_none() {
        let mut wire = Wire::open(addr).await;
        wire.send(get("EIO=4&transport=polling")).await;
        third = Some(wire.until("}").await).filter(|answer| answer.contains(" 200 "));
    }
}

async fn open_from(io: &Server, peer: &str, forwarded: Option<&str>) -> (u16, http::HeaderMap) {
    let mut request = Request::get("/socket.io/?EIO=4&transport=polling");
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let peer = SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 4000);
    let request = request.extension(PeerAddr(peer)).body(Full::<Bytes>::default()).unwrap();
    let response = io.handle(request).await;
    (response.status().as_u16(), response.headers().clone())
}

/// F-SEC-01, F-INT-06: clients of one address, which is what a trusted proxy says and nobody else; connections, too.
#[tokio::test]
async fn connections_per_address() {
    let proxies = TrustedProxies::networks(["10.0.0.0/8"]).unwrap();
    let io = server(Server::builder().max_connections_per_address(2).trusted_proxies(proxies));
    for (peer, forwarded, status) in [
        ("192.0.2.1", None, 200),
        ("192.0.2.1", None, 200),
        ("192.0.2.1", None, 429),
        // Whoever may not be believed stays who it is.
        ("192.0.2.1", Some("198.51.100.7"), 429),
        ("192.0.2.2", None, 200),
        ("10.0.0.1", Some("192.0.2.2"), 200),
        ("10.0.0.1", Some("192.0.2.2"), 429),
        ("10.0.0.1", Some("192.0.2.3"), 200),
        ("2001:db8::1", None, 200),
        ("2001:db8::2", None, 200),
        ("2001:db8::3", None, 429),
        ("2001:db8:0:1::3", None, 200),
    ] {
        assert_eq!(open_from(&io, peer, forwarded).await.0, status, "{peer} {forwarded:?}");
    }
    reached(&io, Limit::ConnectionsPerAddress, 4).await;
    for session in io.engine().sessions() {
        session.close(wirebird::engine::CloseReason::TransportClose);
    }
    until("all to be gone", || io.metrics().sessions() == 0).await;
    assert_eq!(open_from(&io, "192.0.2.1", None).await.0, 200);

    let io = server(Server::builder().max_connections_per_address(2));
    let addr = listen(&io).await;
    let (mut first, mut second) = (Wire::open(addr).await, Wire::open(addr).await);
    first.session().await;
    second.session().await;
    Wire::open(addr).await.closed().await;
    reached(&io, Limit::ConnectionsPerAddress, 1).await;
}

/// F-SEC-01: so many a second, and the others may come back.
#[tokio::test]
async fn handshake_rate() {
    let io = server(Server::builder().handshake_rate(5));
    let mut refused = 0;
    for _ in 0..10 {
        let (status, headers) = open_from(&io, "192.0.2.1", None).await;
        if status == 429 {
            assert_eq!(headers["retry-after"], "1");
            refused += 1;
        }
    }
    assert!((4..=5).contains(&refused), "{refused} of 10 were refused");
    reached(&io, Limit::HandshakeRate, refused).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(open_from(&io, "192.0.2.1", None).await.0, 200);
}

/// F-SEC-01
#[tokio::test]
async fn sessions() {
    let io = server(Server::builder().max_sessions(2));
    for status in [200, 200, 503] {
        assert_eq!(open_from(&io, "192.0.2.1", None).await.0, status);
    }
    io.engine().sessions()[0].close(wirebird::engine::CloseReason::TransportClose);
    reached(&io, Limit::Sessions, 1).await;
}

/// F-DEP-11: who connects and does not begin with TLS is let go.
#[tokio::test]
async fn tls_time() {
    let io = server(Server::builder().tls_timeout(SHORT));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = io.clone();
    tokio::spawn(async move {
        // Something of which the client has to say the first byte.
        let begin = async |stream: tokio::net::TcpStream| {
            stream.peek(&mut [0]).await?;
            Ok(stream)
        };
        serving.serve_tls(listener, move |stream| Box::pin(begin(stream))).await
    });
    let mut silent = Wire::open(addr).await;
    silent.closed().await;
    reached(&io, Limit::TlsTime, 1).await;
    Wire::open(addr).await.session().await;
}
