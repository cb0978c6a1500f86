//! A server behind a WebSocket, on a stream in memory.

use http::Extensions;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use wirebird::Server;
use wirebird::extract::Data;

/// Events that one read brings.
const BURST: usize = 16;

const REQUEST: &[u8] =
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A burst of events with acknowledgements, which come back in one piece.
pub(crate) fn burst(turns: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let io = Server::builder().shards(2).build();
        io.on("echo", async |Data(text): Data<String>| text);
        let (mut client, stream) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(io.serve_connection(stream, Extensions::new()));
        client.write_all(REQUEST).await.expect("the server reads");
        read_until(&mut client, b"}").await;
        client.write_all(&frame("40")).await.expect("the server reads");
        read_until(&mut client, b"}").await;
        let event = frame(r#"42123456["echo","abcdefghijklmnopqrstuvwxyz012345"]"#);
        let answer = b"\x81\x2c43123456[\"abcdefghijklmnopqrstuvwxyz012345\"]";
        let (events, answers) = (event.repeat(BURST), answer.repeat(BURST));
        let mut got = vec![0; answers.len()];
        for _ in 0..turns {
            client.write_all(&events).await.expect("the server reads");
            client.read_exact(&mut got).await.expect("the server answers");
            assert_eq!(got, answers);
        }
        drop(client);
        server.await.expect("the connection ends");
    });
}

/// A client's text frame, masked.
fn frame(text: &str) -> Vec<u8> {
    let key = [0x5a, 0x37, 0xc1, 0x9e];
    let mut bytes = vec![0x81, 0x80 | u8::try_from(text.len()).expect("a short text")];
    bytes.extend_from_slice(&key);
    bytes.extend(text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

async fn read_until(client: &mut DuplexStream, end: &[u8]) {
    let mut got = Vec::new();
    while !got.ends_with(end) {
        client.read_buf(&mut got).await.expect("the server answers");
    }
}
