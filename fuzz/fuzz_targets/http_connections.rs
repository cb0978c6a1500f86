//! Bytes on connections of the server's listener: whatever comes, in whatever pieces and on however many connections, each
//! answer is one, nothing is left of it, and a client that behaves is served.
//!
//! The input is a sequence of pieces that are separated by the byte 0xff. The first byte of each says on which connection
//! it goes; `$` stands for the id of the session that was opened last.
#![no_main]

use std::time::Duration;

use http::Extensions;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wirebird::engine::{CloseReason, Deflate};
use wirebird::extract::Data;
use wirebird::{Server, Socket, Value};

fuzz_target!(|input: &[u8]| {
    let [options, input @ ..] = input else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run(*options, input));
});

async fn run(options: u8, input: &[u8]) {
    let mut builder = Server::builder().allow_eio3(options & 1 != 0).jsonp(options & 2 != 0);
    if options & 4 != 0 {
        builder = builder.per_message_deflate(Deflate::default());
    }
    let io = builder.max_payload(2_000).build();
    io.on("echo", async |Data(value): Data<Value>| value);
    io.on("leave", async |socket: Socket| socket.disconnect());
    let mut connections: Vec<Option<Connection>> = (0..4).map(|_| None).collect();
    for piece in input.split(|byte| *byte == 0xff) {
        let [number, piece @ ..] = piece else { continue };
        let slot = &mut connections[usize::from(number % 4)];
        if *number == b'-' {
            if let Some(connection) = slot.take() {
                connection.check();
            }
            continue;
        }
        let connection = slot.get_or_insert_with(|| Connection::open(&io));
        connection.send(&io, piece).await;
        for connection in connections.iter_mut().flatten() {
            connection.receive().await;
        }
    }
    healthy(&io).await;
    for connection in connections.into_iter().flatten() {
        connection.check();
    }
    // Those on polling are there until they do not answer a ping.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((io.engine().session_count(), io.socket_count()), (0, 0));
    assert!(io.rooms().is_empty());
    io.close().await;
}

struct Connection {
    stream: DuplexStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    fn open(io: &Server) -> Self {
        let (stream, other) = duplex(1 << 20);
        tokio::spawn(io.serve_connection(other, Extensions::new()));
        Self { stream, sent: Vec::new(), received: Vec::new() }
    }

    async fn send(&mut self, io: &Server, piece: &[u8]) {
        let session = io.engine().sessions().into_iter().max_by_key(|session| session.handshake().issued());
        let id = session.as_ref().map_or("none".to_owned(), |session| session.id().to_string());
        let mut bytes = Vec::new();
        for byte in piece {
            match byte {
                b'$' => bytes.extend_from_slice(id.as_bytes()),
                byte => bytes.push(*byte),
            }
        }
        self.sent.extend_from_slice(&bytes);
        // The server may have hung up.
        let _ = self.stream.write_all(&bytes).await;
        settle().await;
    }

    /// Takes what has come so far.
    async fn receive(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                biased;
                read = self.stream.read(&mut buffer) => match read {
                    Ok(read) if read > 0 => self.received.extend_from_slice(&buffer[..read]),
                    _ => return,
                },
                () = std::future::ready(()) => return,
            }
        }
    }

    /// Each answer is a response of HTTP, or a frame of a WebSocket once that is what the connection is.
    fn check(&self) {
        let mut rest = &self.received[..];
        while !rest.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            let head = match response.parse(rest) {
                Ok(httparse::Status::Complete(head)) => head,
                other => panic!("{other:?}: {}", rest.escape_ascii()),
            };
            let status = response.code.expect("a status");
            let length =
                response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length =
                length.map_or(0, |header| std::str::from_utf8(header.value).unwrap().parse().unwrap());
            rest = &rest[head..];
            assert!((100..=505).contains(&status) && status != 500);
            if status == 101 {
                return frames(rest);
            }
            // The answer to HEAD has no body.
            let bodiless = rest.is_empty() || rest.starts_with(b"HTTP/1.");
            let to_head = bodiless && self.sent.windows(4).any(|word| word == b"HEAD");
            if !to_head {
                assert!(rest.len() >= length, "{length} bytes were promised: {}", rest.escape_ascii());
                rest = &rest[length..];
            }
        }
    }
}

/// Frames of a server: whole, not masked, without reserved bits other than that of compression.
fn frames(mut rest: &[u8]) {
    while let [first, second, after @ ..] = rest {
        assert!(matches!(first, 0x81 | 0x82 | 0xc1 | 0xc2 | 0x88 | 0x89 | 0x8a), "{first:x}");
        let (length, after) = match *second {
            short @ 0..=125 => (usize::from(short), after),
            126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
            other => panic!("{other}"),
        };
        rest = &after[length..];
    }
    assert!(rest.is_empty());
}

/// Time in which everything that can happen happens: the clock moves only when nobody has anything to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn healthy(io: &Server) {
    let mut client = Connection::open(io);
    client.send(io, b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.receive().await;
    assert!(client.received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", client.received.escape_ascii());
    client.check();
    for session in io.engine().sessions() {
        if session.is_open() {
            session.close(CloseReason::ForcedClose);
        }
    }
}
