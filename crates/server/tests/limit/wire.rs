//! Clients on TCP that say exactly what a test wants them to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wirebird::Server;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that listens; it ends with the test.
pub(crate) async fn listen(io: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let io = io.clone();
    tokio::spawn(async move { io.serve_listener(listener).await });
    addr
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// What was read and not looked at yet.
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads until so much is there, or the connection ends.
    async fn fill(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        let all = async {
            loop {
                if let Some(end) = enough(&self.read) {
                    return end;
                }
                if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                    return self.read.len();
                }
            }
        };
        let end = tokio::time::timeout(PATIENCE, all).await.expect("an answer");
        self.read.drain(..end).collect()
    }

    /// Everything up to `end`; what there is when the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let end = end.as_bytes();
        let found =
            |read: &[u8]| read.windows(end.len()).position(|here| here == end).map(|at| at + end.len());
        String::from_utf8_lossy(&self.fill(found).await).into_owned()
    }

    /// Sends a request, and reads its answer, which has a body of known length.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap_or("none").parse().unwrap_or(0);
        let length = head
            .to_ascii_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let body = self.fill(|read| (read.len() >= length).then_some(length)).await;
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    /// Waits until the server has closed the connection; what it says before does not matter.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 4096];
        let all = async { while self.stream.read(&mut rest).await.unwrap_or(0) > 0 {} };
        tokio::time::timeout(PATIENCE, all).await.expect("the connection to be closed");
    }

    /// A session on polling, by its id.
    pub(crate) async fn session(&mut self) -> String {
        let answer = self.ask(get("EIO=4&transport=polling")).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        let open: serde_json::Value = serde_json::from_str(&answer.body[1..]).unwrap();
        open["sid"].as_str().unwrap().to_owned()
    }

    /// A WebSocket, up to the OPEN packet.
    pub(crate) async fn websocket(addr: SocketAddr, more: &str) -> Self {
        let mut this = Self::open(addr).await;
        let head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let request =
            format!("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n{head}{more}\r\n");
        this.send(request).await;
        let head = this.until("}").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        this
    }

    /// A frame of a client; the first byte says what it is.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            long @ ..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
            longer => {
                frame.push(0x80 | 127);
                frame.extend((longer as u64).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        // The server may have closed while much of it is on its way.
        let _ = self.stream.write_all(&frame).await;
    }

    /// Waits for a close frame; gives its code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let mut read = Vec::new();
        let all = async { while self.stream.read_buf(&mut read).await.unwrap_or(0) > 0 {} };
        tokio::time::timeout(PATIENCE, all).await.expect("the connection to be closed");
        let at = read.iter().position(|byte| *byte == 0x88).expect("a close frame");
        u16::from_be_bytes([read[at + 2], read[at + 3]])
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A request for the endpoint.
pub(crate) fn get(query: &str) -> String {
    format!("GET /socket.io/?{query} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The head of a POST to a session.
pub(crate) fn post(session: &str, more: &str) -> String {
    format!("POST /socket.io/?EIO=4&transport=polling&sid={session} HTTP/1.1\r\nHost: a\r\n{more}\r\n")
}
