//! What an idle connection costs. A file of its own, because the memory of the whole process is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use wirebird::Server;

/// Bytes that an idle WebSocket with one socket may cost, as promised; the allocator's rounding included.
const PROMISED: usize = 4 << 10;

/// What the process keeps in memory, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A client that holds nothing but its connection.
fn connect(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    read_until(&mut stream, b"maxPayload\":1000000}");
    // "40", masked with zeros.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).unwrap();
    read_until(&mut stream, b"\"}");
    stream
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
    while !all.ends_with(end) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..read]);
    }
}

/// F-PRF-02: a thousand idle clients, beyond the first two hundred, for which tables and threads have grown already.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_costs_less_than_four_kibibytes() {
    let io = Server::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = io.clone();
    tokio::spawn(async move { server.serve_listener(listener).await });
    let clients = tokio::task::spawn_blocking(move || {
        let first: Vec<_> = (0..200).map(|_| connect(addr)).collect();
        let before = resident();
        let clients: Vec<_> = (0..1000).map(|_| connect(addr)).collect();
        let each = resident().saturating_sub(before) / clients.len();
        assert!(each < PROMISED, "{each} bytes each");
        (first, clients)
    });
    let clients = clients.await.unwrap();
    assert_eq!(io.socket_count(), 1200);
    drop(clients);
}
