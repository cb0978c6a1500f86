//! Compressed WebSocket messages (permessage-deflate), and replies to polls that are not to be compressed.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use support::{Frame, Http, Polling, TestServer, Ws, WsClosed, config, text_frame, until};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use wirebird_engine::{
    CloseReason, Config, Deflate, Message, Outgoing, Overflow, Session, TextBuilder, TransportKind,
};

const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";
const OFFER: (&str, &str) = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");

fn compressing(deflate: Deflate) -> Config {
    config(|c| c.per_message_deflate = Some(deflate))
}

/// A client's two directions.
struct Zlib {
    deflate: Compress,
    inflate: Decompress,
    takeover: bool,
}

impl Zlib {
    fn new(takeover: bool) -> Self {
        let deflate = Compress::new(Compression::best(), false);
        Self { deflate, inflate: Decompress::new(false), takeover }
    }

    fn compress(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + 100);
        self.deflate.compress_vec(data, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        if !self.takeover {
            self.deflate.reset();
        }
        out
    }

    fn expand(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 << 20);
        let input = [data, &[0, 0, 0xff, 0xff]].concat();
        self.inflate.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
        if !self.takeover {
            self.inflate.reset(false);
        }
        out
    }
}

/// A client that has agreed on compression.
struct Client<S> {
    ws: Ws<S>,
    zlib: Zlib,
}

impl Client<tokio::net::TcpStream> {
    async fn open(server: &TestServer, takeover: bool) -> (Self, Arc<Session>) {
        let mut client = Self { ws: Ws::to(server.addr, TARGET, &[OFFER]).await, zlib: Zlib::new(takeover) };
        let open: serde_json::Value = serde_json::from_str(&client.ws.text().await[1..]).unwrap();
        (client, server.session(open["sid"].as_str().unwrap()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, opcode: u8, data: &[u8]) {
        let payload = self.zlib.compress(data);
        self.send_raw(opcode, &payload).await;
    }

    /// A frame that claims to be compressed.
    async fn send_raw(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = support::frame(true, opcode, Some([1, 2, 3, 4]), payload);
        frame[0] |= 0x40;
        self.ws.raw(&frame).await;
    }

    /// The next message, and whether it was compressed.
    async fn receive(&mut self) -> (bool, Frame) {
        let (compressed, mut frame) = self.ws.any_frame().await.expect("a frame, not the end");
        if compressed {
            frame.payload = self.zlib.expand(&frame.payload);
        }
        (compressed, frame)
    }

    async fn text(&mut self) -> (bool, String) {
        let (compressed, frame) = self.receive().await;
        assert_eq!(frame.opcode, 1);
        (compressed, String::from_utf8(frame.payload).unwrap())
    }
}

/// F-PRO-14: it is off by default, and agreed on with those who offer it when it is on.
#[tokio::test]
async fn compression_is_agreed_on() {
    let off = TestServer::echo(Config::default()).await;
    let response = Ws::handshake(&mut Http::connect(off.addr).await, TARGET, &[OFFER]).await;
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, None));

    let default = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let takeover = Deflate::default().server_no_context_takeover(false).client_no_context_takeover(false);
    let narrow = takeover.server_max_window_bits(10).client_max_window_bits(9);
    for (deflate, offer, answer) in [
        (Deflate::default(), "permessage-deflate; client_max_window_bits", Some(default)),
        (Deflate::default(), "permessage-deflate; unknown, permessage-deflate", Some(default)),
        (Deflate::default(), "permessage-deflate; unknown", None),
        (Deflate::default(), "something-else", None),
        (takeover, "permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
        (
            narrow,
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"),
        ),
    ] {
        let server = TestServer::echo(compressing(deflate)).await;
        let headers = [("Sec-WebSocket-Extensions", offer)];
        let response = Ws::handshake(&mut Http::connect(server.addr).await, TARGET, &headers).await;
        assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, answer), "{offer}");
    }

    let server = TestServer::echo(compressing(Deflate::default())).await;
    let headers = [("Sec-WebSocket-Extensions", "permessage-deflate; =")];
    let response = Ws::handshake(&mut Http::connect(server.addr).await, TARGET, &headers).await;
    assert_eq!(response.status, 400, "what is no list of extensions is refused (RFC 6455, section 9.1)");
}

/// F-PRO-14: messages of the threshold and more go out compressed, smaller ones and control frames do not; what clients
/// compress arrives, whatever its size.
#[tokio::test]
async fn messages_are_compressed_both_ways() {
    let mut server = TestServer::echo(compressing(Deflate::default())).await;
    let (mut client, _) = Client::open(&server, false).await;
    for (len, compressed) in [(1, false), (1023, false), (1024, true), (70_000, true)] {
        let text = format!("4{}", "é".repeat(len / 2 + 1));
        let text = &text[..text.floor_char_boundary(len)];
        client.send(1, text.as_bytes()).await;
        assert_eq!(client.text().await, (compressed && text.len() >= 1024, text.to_owned()), "{len}");
        assert_eq!(server.text().await, text[1..]);
    }
    let data = vec![7; 5000];
    client.send(2, &data).await;
    assert_eq!(client.receive().await, (true, Frame { opcode: 2, payload: data }));
    // Plain messages are as good as before, also empty ones and those that claim to be compressed and are empty.
    client.ws.send("4plain").await;
    assert_eq!(client.text().await, (false, "4plain".into()));
    client.send_raw(2, &[]).await;
    assert_eq!(client.receive().await, (false, Frame { opcode: 2, payload: vec![] }));
    client.ws.send_frame(true, 9, &[b'p'; 125]).await;
    assert_eq!(client.receive().await, (false, Frame { opcode: 10, payload: vec![b'p'; 125] }));
}

/// F-PRO-14: fragments are put together before they are decompressed, with control frames between them.
#[tokio::test]
async fn a_compressed_message_comes_in_fragments() {
    let mut server = TestServer::start_with(compressing(Deflate::default())).await;
    let (mut client, _) = Client::open(&server, false).await;
    let payload = client.zlib.compress("4hällo hällo hällo".as_bytes());
    let mut first = support::frame(false, 1, Some([1, 2, 3, 4]), &payload[..3]);
    first[0] |= 0x40;
    client.ws.raw(&first).await;
    client.ws.send_frame(true, 9, b"between").await;
    client.ws.send_frame(false, 0, &payload[3..5]).await;
    client.ws.send_frame(true, 0, &payload[5..]).await;
    assert_eq!(server.text().await, "hällo hällo hällo");
    assert_eq!(client.ws.frame().await, Some(Frame { opcode: 10, payload: b"between".into() }));
}

/// F-PRO-14: a message and its attachments are compressed each on its own, and stay together; those who did not agree
/// get the same message plain, at the same time.
#[tokio::test]
async fn one_message_for_all() {
    let server = TestServer::start_with(compressing(Deflate::default())).await;
    let (mut with, one) = Client::open(&server, false).await;
    let (mut also, two) = Client::open(&server, false).await;
    let mut narrow = Client {
        ws: Ws::to(server.addr, TARGET, &[(OFFER.0, "permessage-deflate; server_max_window_bits=9")]).await,
        zlib: Zlib::new(false),
    };
    let open = narrow.ws.text().await;
    let three = server.session(open.split('"').nth(3).unwrap());
    let (mut without, open) = Ws::open(server.addr).await;
    let four = server.session(open["sid"].as_str().unwrap());
    let mut builder = TextBuilder::with_capacity(0);
    builder.buffer().extend_from_slice(&[b'x'; 3000]);
    let attachments = [Bytes::from(vec![1; 2000]), Bytes::from_static(&[1, 2, 3])];
    let message = builder.finish(&attachments);
    for session in [one, two, three, four] {
        session.send(message.clone()).unwrap();
    }
    let text = format!("4{}", "x".repeat(3000));
    for client in [&mut with, &mut also, &mut narrow] {
        assert_eq!(client.text().await, (true, text.clone()));
        assert_eq!(client.receive().await, (true, Frame { opcode: 2, payload: vec![1; 2000] }));
        assert_eq!(client.receive().await, (false, Frame { opcode: 2, payload: vec![1, 2, 3] }));
    }
    assert_eq!(without.text().await, text);
    assert_eq!(without.binary().await, [1; 2000]);
    assert_eq!(without.binary().await, [1, 2, 3]);
}

/// F-PRO-23, F-NOD-05: a message that is not to be compressed is not.
#[tokio::test]
async fn a_message_can_say_no() {
    let server = TestServer::start_with(compressing(Deflate::default())).await;
    let (mut client, session) = Client::open(&server, false).await;
    let text = "x".repeat(5000);
    session.send(Outgoing::text(&text).uncompressed()).unwrap();
    session.send(Outgoing::text(&text)).unwrap();
    assert_eq!(client.text().await, (false, format!("4{text}")));
    assert_eq!(client.text().await, (true, format!("4{text}")));
}

/// F-PRO-23, F-NOD-05: a polling reply is compressed unless all messages in it were sent not to be.
#[tokio::test]
async fn a_polling_reply_can_say_no() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let text = "x".repeat(2000);
    for (compressible, encoding) in [
        (&[false][..], None),
        (&[false, false], None),
        (&[false, true], Some("gzip")),
        (&[true], Some("gzip")),
    ] {
        for compressible in compressible {
            let message = Outgoing::text(&text);
            session.send(if *compressible { message } else { message.uncompressed() }).unwrap();
        }
        let target = client.target();
        let response = client.get.request("GET", &target, &[("Accept-Encoding", "gzip")], b"").await;
        assert_eq!(response.header("content-encoding"), encoding, "{compressible:?}");
    }
}

/// F-PRO-08, F-PRO-14: the limit counts what comes out, not what comes in.
#[tokio::test]
async fn a_bomb_is_too_big() {
    let small = config(|c| {
        c.per_message_deflate = Some(Deflate::default());
        c.max_payload = 100_000;
    });
    let mut server = TestServer::start_with(small).await;
    let (mut client, _) = Client::open(&server, false).await;
    client.send(1, format!("4{}", "x".repeat(99_999)).as_bytes()).await;
    assert_eq!(server.text().await.len(), 99_999, "the limit itself is allowed");
    client.send(1, format!("4{}", "x".repeat(100_000)).as_bytes()).await;
    assert_eq!(client.ws.closed().await, WsClosed::Code(Some(1009)));
    assert_eq!(server.closed().await, CloseReason::TransportError);
    let (mut client, _) = Client::open(&server, false).await;
    let bomb = client.zlib.compress(&vec![0; 20_000_000]);
    assert!(bomb.len() < 100_000);
    client.send_raw(2, &bomb).await;
    assert_eq!(client.ws.closed().await, WsClosed::Code(Some(1009)));
}

/// F-PRO-10, F-PRO-14: what cannot be decompressed, or is no text, closes the connection; so does a compressed frame
/// where none may be.
#[tokio::test]
async fn bad_compression_closes() {
    let mut server = TestServer::start_with(compressing(Deflate::default())).await;
    let text = Zlib::new(false).compress(b"4caf\xe9");
    for (opcode, payload, code) in
        [(1, &b"\x06"[..], 1007), (2, &[0xff; 30], 1007), (1, &text, 1007), (9, b"", 1002), (0, b"", 1002)]
    {
        let (mut client, _) = Client::open(&server, false).await;
        client.send_raw(opcode, payload).await;
        assert_eq!(client.ws.closed().await, WsClosed::Code(Some(code)), "{opcode} {payload:x?}");
        assert_eq!(server.closed().await, CloseReason::TransportError);
    }
    let mut plain = Client { ws: Ws::open(server.addr).await.0, zlib: Zlib::new(false) };
    plain.send(1, b"4hello").await;
    assert_eq!(plain.ws.closed().await, WsClosed::Code(Some(1002)), "nothing was agreed on");
}

/// F-PRO-05, F-PRO-14: what is agreed on with a WebSocket that takes a session over holds from the upgrade on; the probe
/// is plain.
#[tokio::test]
async fn a_session_that_moves_to_websocket_compresses() {
    let mut server = TestServer::echo(compressing(Deflate::default())).await;
    let polling = Polling::open(server.addr).await;
    let session = server.session(&polling.sid);
    let ws = Ws::to(server.addr, &polling.target_on("websocket"), &[OFFER]).await;
    let mut client = Client { ws, zlib: Zlib::new(false) };
    client.send(1, b"2probe").await;
    assert_eq!(client.text().await, (false, "3probe".into()));
    let text = "y".repeat(4000);
    session.send(Outgoing::text(&text)).unwrap();
    client.send(1, b"5").await;
    server.upgraded().await;
    assert_eq!(client.text().await.1, format!("4{text}"), "it waited for the upgrade");
    until("the upgrade", || session.transport() == TransportKind::WebSocket).await;
    client.send(1, format!("4{text}").as_bytes()).await;
    assert_eq!(client.text().await, (true, format!("4{text}")));
}

/// F-PRO-14: an upgrade that comes to nothing leaves no agreement behind.
#[tokio::test]
async fn a_candidate_that_gives_up_takes_its_agreement_along() {
    let server = TestServer::start_with(compressing(Deflate::default())).await;
    let polling = Polling::open(server.addr).await;
    let session = server.session(&polling.sid);
    let mut first = Ws::to(server.addr, &polling.target_on("websocket"), &[OFFER]).await;
    first.probe().await;
    first.send_close(1000).await;
    assert_eq!(first.closed().await, WsClosed::Code(Some(1000)));
    let mut second = Ws::to(server.addr, &polling.target_on("websocket"), &[]).await;
    second.probe().await;
    second.send("5").await;
    until("the upgrade", || session.transport() == TransportKind::WebSocket).await;
    let text = "z".repeat(4000);
    session.send(Outgoing::text(&text)).unwrap();
    assert_eq!(second.text().await, format!("4{text}"));
}

/// F-PRO-14: with context takeover, messages refer to those before, in both directions, whatever else goes out between.
#[tokio::test]
async fn messages_build_on_each_other() {
    for bits in [15, 9] {
        let deflate = Deflate::default()
            .threshold(20)
            .server_no_context_takeover(false)
            .client_no_context_takeover(false)
            .server_max_window_bits(bits)
            .client_max_window_bits(15);
        let server = TestServer::echo(compressing(deflate)).await;
        let (mut client, _) = Client::open(&server, true).await;
        let mut sizes = Vec::new();
        for i in 0..300 {
            let text = format!("4{{\"user\":\"somebody {}\",\"text\":\"what somebody says {i}\"}}", i % 7);
            client.send(1, text.as_bytes()).await;
            if i % 10 == 0 {
                client.ws.send_frame(true, 9, b"ping").await;
                client.ws.send("4plain").await;
            }
            let (compressed, mut frame) = client.ws.any_frame().await.unwrap();
            sizes.push(frame.payload.len());
            if compressed {
                frame.payload = client.zlib.expand(&frame.payload);
            }
            assert_eq!((i, frame.payload), (i, text.into_bytes()));
            if i % 10 == 0 {
                assert_eq!(client.receive().await.1.opcode, 10);
                assert_eq!(client.text().await, (false, "4plain".into()));
            }
        }
        assert!(sizes[0] > 40 && sizes[200..].iter().all(|size| *size < 25), "{sizes:?}");
    }
}

/// F-PRO-14, F-PRO-12: messages that are dropped or refused are none that others build on.
#[tokio::test]
async fn what_was_dropped_is_not_built_on() {
    for overflow in [Overflow::DropVolatile, Overflow::Refuse] {
        let tight = config(|c| {
            c.per_message_deflate = Some(Deflate::default().threshold(0).server_no_context_takeover(false));
            (c.send_queue.max_packets, c.send_queue.max_bytes) = (30, usize::MAX);
            c.send_queue.overflow = overflow;
        });
        let server = TestServer::start_with(tight).await;
        let (mut client, session) = Client::open(&server, true).await;
        let words = |i: usize| format!("number {i} of many that are much alike, but for {}", i * 7919);
        session.cork();
        // More than the kernel takes: everything behind it waits.
        let big = "x".repeat(30_000_000);
        session.send(Outgoing::text(&big).uncompressed()).unwrap();
        let mut sent = Vec::new();
        for i in 0..50 {
            let message = Outgoing::text(&words(i));
            let done = match overflow {
                Overflow::DropVolatile if i % 2 == 0 => session.send_volatile(message).unwrap(),
                _ => session.send(message).is_ok(),
            };
            if done {
                sent.push((i, overflow == Overflow::DropVolatile && i % 2 == 0));
            }
        }
        session.uncork();
        assert!(session.is_open() && sent.len() < 50, "{overflow:?}: {}", sent.len());
        let mut end = Vec::new();
        // What the client reads makes room for a last one.
        assert_eq!(client.text().await.1.len(), big.len() + 1);
        until("room", || session.send(Outgoing::text("the last one, much alike")).is_ok()).await;
        while end.last().is_none_or(|text: &String| text != "4the last one, much alike") {
            end.push(client.text().await.1);
        }
        let mut come = end.iter();
        let mut missing = 0;
        for (i, volatile) in sent {
            let text = format!("4{}", words(i));
            if !volatile || come.as_slice().first() == Some(&text) {
                assert_eq!(come.next(), Some(&text), "{overflow:?}");
            } else {
                missing += 1;
            }
        }
        assert_eq!(missing > 0, overflow == Overflow::DropVolatile);
        assert!(server.engine.dropped_messages() > 0);
    }
}

/// F-PRO-14: streams that only their own task writes to (TLS, memory) compress as TCP does.
#[tokio::test]
async fn any_stream_compresses() {
    for takeover in [false, true] {
        let deflate = Deflate::default().server_no_context_takeover(!takeover);
        let (engine, _events) =
            support::inline(compressing(deflate), |session: &Arc<Session>, message: &Message| {
                session.send(message.clone().into()).unwrap();
            });
        let (mut ours, theirs) = tokio::io::duplex(1 << 16);
        let request = format!(
            "GET {TARGET} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {}\r\n{}: {}\r\n\r\n",
            support::KEY,
            OFFER.0,
            OFFER.1
        );
        let listener = wirebird_engine::http::Listener::new(engine);
        let task = tokio::spawn(listener.connection(theirs, http::Extensions::new()));
        ours.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut ours).await;
        assert!(head.contains("sec-websocket-extensions: permessage-deflate"), "{head}");
        let mut client = Client { ws: Ws::on(ours), zlib: Zlib::new(takeover) };
        assert!(client.text().await.1.starts_with("0{"));
        for _ in 0..3 {
            let text = format!("4{}", "some text, ".repeat(500));
            client.ws.raw(&text_frame(&text)).await;
            assert_eq!(client.text().await, (true, text));
        }
        drop(client);
        task.await.unwrap();
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}
