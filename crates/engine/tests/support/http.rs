use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// A connection that speaks HTTP/1.1.
pub struct Http {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header that may come once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{name} came twice: {:?}", self.headers);
        value
    }

    /// Whether one of the comma-separated items of a header is `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// Checks for an error with an Engine.IO code, byte for byte.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: u8, message: &str) {
        assert_eq!(self.text(), format!(r#"{{"code":{code},"message":"{message}"}}"#));
        assert_eq!(self.status, status);
        assert_eq!(self.header("content-type"), Some("application/json"));
    }

    /// Checks for an error without a body.
    #[track_caller]
    pub fn assert_empty(&self, status: u16) {
        assert_eq!((self.status, self.text().as_str()), (status, ""));
    }
}

/// One request on a connection of its own.
pub async fn request(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Http::connect(addr).await.request(method, target, headers, body).await
}

impl Http {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(addr)).await.expect("a connection");
        stream.set_nodelay(true).expect("an option of TCP");
        Self { stream, buffer: Vec::new() }
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        within("a write", self.stream.write_all(bytes)).await.expect("a write");
    }

    /// Writes a request; a body gets a `Content-Length`.
    pub async fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes).await;
    }

    /// Reads a response. One to HEAD has no body: `head` says so.
    pub async fn response_to(&mut self, head_request: bool) -> Response {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill().await > 0, "the connection ended before a response");
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).expect("a head of text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let mut response = Response {
            status: status.parse().expect("a status"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        assert!(response.header("transfer-encoding").is_none(), "bodies have a length: {head}");
        let len = response.header("content-length").map_or(0, |len| len.parse().expect("a length"));
        if !head_request && response.status != 101 {
            while self.buffer.len() < len {
                assert!(self.fill().await > 0, "the connection ended inside a body");
            }
            response.body = self.buffer.drain(..len).collect();
        }
        response
    }

    pub async fn response(&mut self) -> Response {
        self.response_to(false).await
    }

    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(method, target, headers, body).await;
        self.response_to(method == "HEAD").await
    }

    /// Whether the server has closed the connection.
    pub async fn at_end(&mut self) -> bool {
        self.buffer.is_empty() && self.fill().await == 0
    }

    /// The stream, and what has been read beyond the last response.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    async fn fill(&mut self) -> usize {
        let mut chunk = vec![0; 16 << 10];
        // A reset is an end, too.
        let read = within("a response", self.stream.read(&mut chunk)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..read]);
        read
    }
}
