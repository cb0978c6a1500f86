use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Http, Response, within};

/// The key of the example of RFC 6455, and what a server must answer to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A WebSocket client of frames.
pub struct Ws<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// How the server ended a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WsClosed {
    /// With a close frame, and its code.
    Code(Option<u16>),
    /// Without one.
    Torn,
}

impl Ws {
    /// A session that begins on WebSocket; its OPEN packet has not been read.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::to(addr, "/socket.io/?EIO=4&transport=websocket", &[]).await
    }

    /// A session that begins on WebSocket, and the JSON of its OPEN packet.
    pub async fn open(addr: SocketAddr) -> (Self, serde_json::Value) {
        let mut ws = Self::connect(addr).await;
        let open = ws.text().await;
        let json = serde_json::from_str(open.strip_prefix('0').expect("an OPEN packet")).expect("JSON");
        (ws, json)
    }

    pub async fn to(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut http = Http::connect(addr).await;
        let response = Self::handshake(&mut http, target, headers).await;
        assert_eq!(response.status, 101, "{}", response.text());
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        Self::of(http)
    }

    /// The client on a connection whose handshake is done.
    pub fn of(http: Http) -> Self {
        let (stream, buffer) = http.into_parts();
        Self { stream, buffer }
    }

    /// The answer to a WebSocket request, whatever it is.
    pub async fn handshake(http: &mut Http, target: &str, headers: &[(&str, &str)]) -> Response {
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        all.extend_from_slice(headers);
        http.request("GET", target, &all, b"").await
    }

    /// Ends the connection without a word, with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("an option of TCP");
    }
}

/// A client's frame. `mask` is `None` for a frame that breaks the rule.
pub fn frame(fin: bool, opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(masked | len as u8),
        len @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

/// A client's text frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    frame(true, 1, Some([1, 2, 3, 4]), text.as_bytes())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// A client on a connection whose handshake is done.
    pub fn on(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        within("a write", self.stream.write_all(bytes)).await.expect("a write");
    }

    pub async fn send(&mut self, text: &str) {
        self.raw(&text_frame(text)).await;
    }

    pub async fn send_binary(&mut self, data: &[u8]) {
        self.raw(&frame(true, 2, Some([9, 8, 7, 6]), data)).await;
    }

    pub async fn send_frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.raw(&frame(fin, opcode, Some([0xa5, 0, 0xff, 1]), payload)).await;
    }

    pub async fn send_close(&mut self, code: u16) {
        self.send_frame(true, 8, &code.to_be_bytes()).await;
    }

    /// The next frame, which must not be compressed; `None` at the end of the connection.
    pub async fn frame(&mut self) -> Option<Frame> {
        let (compressed, frame) = self.any_frame().await?;
        assert!(!compressed, "a compressed frame: {frame:?}");
        Some(frame)
    }

    /// The next frame, and whether it is compressed.
    pub async fn any_frame(&mut self) -> Option<(bool, Frame)> {
        within("a frame", async {
            loop {
                if let Some(frame) = self.buffered() {
                    return Some(frame);
                }
                let mut chunk = vec![0; 64 << 10];
                match self.stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                }
            }
        })
        .await
    }

    /// What was read of a frame that never became complete.
    pub fn fragment(&self) -> &[u8] {
        &self.buffer
    }

    fn buffered(&mut self) -> Option<(bool, Frame)> {
        let [first, second, ..] = *self.buffer else { return None };
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert_eq!(first & 0xb0, 0x80, "a server sends whole messages");
        let (start, len) = match second {
            126 => (4, u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?) as usize),
            127 => (10, u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?) as usize),
            len => (2, len as usize),
        };
        let payload = self.buffer.get(start..start + len)?.to_vec();
        self.buffer.drain(..start + len);
        Some((first & 0x40 != 0, Frame { opcode: first & 0x0f, payload }))
    }

    /// The next frame, which must be text.
    pub async fn text(&mut self) -> String {
        let frame = self.frame().await.expect("a text frame, not the end");
        assert_eq!(frame.opcode, 1, "{frame:?}");
        String::from_utf8(frame.payload).expect("UTF-8")
    }

    /// The next frame, which must be binary.
    pub async fn binary(&mut self) -> Vec<u8> {
        let frame = self.frame().await.expect("a binary frame, not the end");
        assert_eq!(frame.opcode, 2, "{frame:?}");
        frame.payload
    }

    /// The next frame must be a close frame or the end of the connection.
    pub async fn closed(&mut self) -> WsClosed {
        match self.frame().await {
            None => WsClosed::Torn,
            Some(Frame { opcode: 8, payload }) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                assert_eq!(self.frame().await, None, "nothing comes after a close frame");
                WsClosed::Code(code)
            }
            Some(frame) => panic!("neither a close frame nor the end: {frame:?}"),
        }
    }

    /// The probe of an upgrade, up to the server's answer.
    pub async fn probe(&mut self) {
        self.send("2probe").await;
        assert_eq!(self.text().await, "3probe");
    }
}
