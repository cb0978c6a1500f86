//! What clients over TCP begin with.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A client on WebSocket that has asked for everything up to CONNECT, and has read nothing.
pub async fn websocket(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    stream.write_all(b"\x81\x82\0\0\0\x0040").await.unwrap();
    stream
}

/// Where the further requests of a session go, which an answer with its OPEN packet tells.
pub fn target(opened: &str) -> String {
    let sid = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}
