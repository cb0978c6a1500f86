//! TLS, over HTTP/1.1 and HTTP/2, with a certificate made for the test.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::PATIENCE;
use crate::process::Example;

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Who trusts the certificate, and speaks this protocol.
struct Trust(CertificateDer<'static>);

impl Trust {
    async fn connect(&self, addr: &str, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }
}

/// Asks what the server knows of the connection, on a WebSocket of short frames.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> String {
    for packet in ["40", r#"420["connection?"]"#] {
        let mut frame = vec![0x81, 0x80 | packet.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(packet.as_bytes());
        stream.write_all(&frame).await.unwrap();
        stream.flush().await.unwrap();
    }
    loop {
        assert_eq!(stream.read_u8().await.unwrap(), 0x81);
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        let mut text = vec![0; length];
        stream.read_exact(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        if text.starts_with("430") {
            return text;
        }
    }
}

async fn over_http1(trust: &Trust, addr: &str) {
    let mut stream = trust.connect(addr, "http/1.1").await;
    let head = format!(
        "GET {WEBSOCKET} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
    assert_eq!(ask(&mut stream).await, r#"430["HTTP/1.1",true]"#);
}

async fn over_http2(trust: &Trust, addr: &str) {
    let stream = TokioIo::new(trust.connect(addr, "h2").await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method, target: &str| {
        let uri = format!("https://localhost{target}");
        let request = Request::builder().method(method).uri(uri).header("origin", "https://localhost");
        request.header("sec-websocket-version", "13").body(Full::<Bytes>::default()).unwrap()
    };
    let polling = WEBSOCKET.replace("websocket", "polling");
    let response = client.send_request(request(Method::GET, &polling)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.unwrap().to_bytes().starts_with(b"0{"));
    let mut connect = request(Method::CONNECT, WEBSOCKET);
    connect.extensions_mut().insert(Protocol::from_static("websocket"));
    let mut response = client.send_request(connect).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    assert_eq!(ask(&mut stream).await, r#"430["HTTP/2.0",true]"#);
}

/// F-DEP-11, F-PRO-04: TLS by rustls, with WebSockets over HTTP/1.1 and HTTP/2; who does not speak it harms nobody; SIGTERM
/// ends it.
#[test]
fn tls() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = std::env::temp_dir().join(format!("wirebird-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let example = Example::start_with(
        env!("CARGO_BIN_EXE_tls"),
        &[("TLS_CERT", cert.to_str().unwrap()), ("TLS_KEY", key.to_str().unwrap())],
    );
    std::fs::remove_dir_all(&dir).unwrap();

    let trust = Trust(certified.cert.der().clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let addr = example.addr();
        let silent = TcpStream::connect(addr).await.unwrap();
        let mut plain = TcpStream::connect(addr).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("the connection is closed");
        assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
        timeout(PATIENCE, over_http1(&trust, addr)).await.expect("an answer in time");
        timeout(PATIENCE, over_http2(&trust, addr)).await.expect("an answer in time");
        drop(silent);
    });

    example.terminate();
    let (status, lines) = example.wait();
    assert!(status.success() && lines.iter().any(|line| line == "everybody is gone"), "{lines:#?}");
}
