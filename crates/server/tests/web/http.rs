//! A small HTTP/1.1 client, and the ways in which a server can be reached.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wirebird::Server;

/// A response, read as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header that may come once at most.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} came more than once: {:?}", self.headers);
        values.first().copied()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| &**value).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    /// The id of the session that it opens.
    #[track_caller]
    pub(crate) fn sid(&self) -> String {
        let text = self.text();
        let open: serde_json::Value = serde_json::from_str(text.strip_prefix('0').expect("OPEN")).unwrap();
        open["sid"].as_str().unwrap().to_owned()
    }
}

/// A server that listens; it ends with the test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
}

impl Site {
    /// A server with a listener of its own.
    pub(crate) async fn alone(io: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let io = io.clone();
        tokio::spawn(async move { io.serve_listener(listener).await });
        Self { addr }
    }

    /// An axum application.
    pub(crate) async fn axum(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr }
    }

    /// An application that the server's own listener serves.
    pub(crate) async fn served(io: &Server, app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let io = io.clone();
        tokio::spawn(async move { io.serve_app(listener, app).await });
        Self { addr }
    }

    /// The server reached in every way that there is: its own listener, as a service, as a layer of an application
    /// that says `app` at `/app`, served by axum or by itself.
    pub(crate) async fn each(io: &Server) -> [(&'static str, Self); 4] {
        let app = Router::new().route("/app", get(async || "app")).layer(io.layer());
        let service = Router::new().fallback_service(io.service());
        [
            ("listener", Self::alone(io).await),
            ("service", Self::axum(service).await),
            ("application", Self::served(io, app.clone()).await),
            ("layer", Self::axum(app).await),
        ]
    }

    pub(crate) async fn get(self, target: &str) -> Response {
        self.request("GET", target, &[], "").await
    }

    pub(crate) async fn request(
        self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.addr));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" || !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let exchange = exchange(self.addr, format!("{head}\r\n{body}"), method == "HEAD");
        tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("a response")
    }

    /// The answer to a request for a WebSocket.
    pub(crate) async fn upgrade(self, target: &str, headers: &[(&str, &str)]) -> Response {
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.extend_from_slice(headers);
        self.request("GET", target, &all, "").await
    }
}

/// A WebSocket, as far as tests need one: short text frames.
pub(crate) struct WebSocket {
    stream: TcpStream,
    read: Vec<u8>,
}

impl WebSocket {
    pub(crate) async fn open(site: Site, target: &str) -> Self {
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut this = Self { stream, read: Vec::new() };
        let end = this.read_until(|read| read.windows(4).position(|w| w == b"\r\n\r\n")).await + 4;
        let head = String::from_utf8(this.read.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        this
    }

    pub(crate) async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn text(&mut self) -> String {
        let whole = |read: &[u8]| match *read {
            [0x81, short @ ..126, ..] => Some(2 + usize::from(short)),
            [0x81, 126, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        };
        let end = self.read_until(|read| whole(read).filter(|end| read.len() >= *end)).await;
        let frame: Vec<u8> = self.read.drain(..end).collect();
        let start = if frame[1] == 126 { 4 } else { 2 };
        String::from_utf8(frame[start..].to_vec()).unwrap()
    }

    /// Moves the session of a poller here.
    pub(crate) async fn take_over(&mut self) {
        self.send("2probe").await;
        assert_eq!(self.text().await, "3probe");
        self.send("5").await;
    }

    async fn read_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> usize {
        let read = async {
            loop {
                if let Some(at) = found(&self.read) {
                    return at;
                }
                assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "the WebSocket ended");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("a frame")
    }
}

/// Waits until a condition holds that the network has to do with.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect(what);
}

async fn exchange(addr: SocketAddr, request: String, no_body: bool) -> Response {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the connection ended before a response");
    };
    let body = read.split_off(end);
    let head = String::from_utf8(read).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(':').unwrap());
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut response = Response { status, headers, body };
    assert_eq!(response.all("transfer-encoding"), [""; 0], "bodies have a length");
    let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
    if !no_body && !matches!(status, 101 | 204 | 304) {
        while response.body.len() < length {
            assert!(stream.read_buf(&mut response.body).await.unwrap() > 0, "the connection ended in a body");
        }
        response.body.truncate(length);
    }
    response
}
