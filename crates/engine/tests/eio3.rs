//! Sessions of Engine.IO 3 (wire-protocol §3): clients of an older time, beside those of today.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{
    App, Event, Frame, Http, Polling, Response, TestServer, Ws, WsClosed, config, inline, quiet, request,
    until,
};
use wirebird_engine::memory::Connection;
use wirebird_engine::{
    CloseReason, Config, Frame as Packet, Handler, Handshake, Message, Outgoing, Protocol, Session,
    TextBuilder, TransportKind, TrustedProxies,
};

const POLLING: &str = "/socket.io/?EIO=3&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=3&transport=websocket";

fn allowed(change: impl FnOnce(&mut Config)) -> Config {
    config(|c| {
        c.allow_eio3 = true;
        change(c);
    })
}

async fn echo() -> TestServer {
    TestServer::echo(allowed(|_| {})).await
}

/// A client of protocol 3 on polling.
struct Old {
    http: Http,
    target: String,
    open: String,
}

impl Old {
    async fn open(server: &TestServer) -> Self {
        Self::open_with(server, "").await
    }

    /// `extra` is added to the query of the first request.
    async fn open_with(server: &TestServer, extra: &str) -> Self {
        let mut http = Http::connect(server.addr).await;
        let response = http.request("GET", &format!("{POLLING}{extra}"), &[], b"").await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
        let open = response.text();
        let json = open.split_once(":0").expect("an OPEN packet with its length").1;
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let target = format!("{POLLING}&sid={}", json["sid"].as_str().expect("a sid"));
        Self { http, target, open }
    }

    fn sid(&self) -> &str {
        self.target.rsplit('=').next().unwrap_or_default()
    }

    async fn poll_response(&mut self) -> Response {
        let target = self.target.clone();
        self.http.request("GET", &target, &[], b"").await
    }

    async fn poll(&mut self) -> String {
        let response = self.poll_response().await;
        assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
        response.text()
    }

    async fn poll_binary(&mut self) -> Vec<u8> {
        let response = self.poll_response().await;
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
        response.body
    }

    async fn post_as(&mut self, content_type: &str, body: &[u8]) -> Response {
        let target = self.target.clone();
        self.http.request("POST", &target, &[("Content-Type", content_type)], body).await
    }

    async fn send(&mut self, body: &str) {
        let response = self.post_as("text/plain;charset=UTF-8", body.as_bytes()).await;
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
}

/// A message with an attachment, as Socket.IO makes them.
fn with_binary(text: &str, data: &'static [u8]) -> Outgoing {
    let mut builder = TextBuilder::with_capacity(text.len());
    builder.buffer().extend_from_slice(text.as_bytes());
    builder.finish(&[bytes::Bytes::from_static(data)])
}

/// F-PRO-02: version 3 is refused unless it is allowed, and a request that names no version always is.
#[tokio::test]
async fn version_3_is_an_option() {
    let server = TestServer::start().await;
    for target in [POLLING, "/socket.io/?transport=polling", "/socket.io/?EIO=2&transport=polling"] {
        let response = request(server.addr, "GET", target, &[], b"").await;
        response.assert_error(400, 5, "Unsupported protocol version");
    }
    let server = echo().await;
    let old = Old::open(&server).await;
    assert_eq!(server.session(old.sid()).protocol(), Protocol::V3);
    let new = Polling::open(server.addr).await;
    assert_eq!(server.session(&new.sid).protocol(), Protocol::V4);
    for target in [
        "/socket.io/?transport=polling",
        "/socket.io/?EIO=&transport=polling",
        "/socket.io/?EIO=2&transport=polling",
    ] {
        let response = request(server.addr, "GET", target, &[], b"").await;
        response.assert_error(400, 5, "Unsupported protocol version");
    }
    let mut http = Http::connect(server.addr).await;
    let response = Ws::handshake(&mut http, "/socket.io/?transport=websocket", &[]).await;
    response.assert_error(400, 5, "Unsupported protocol version");
}

/// F-PRO-02: the first reply is a payload of one packet with its length; a WebSocket begins with the bare packet.
#[tokio::test]
async fn open_packets_say_the_same_as_those_of_version_4() {
    let server = echo().await;
    let old = Old::open(&server).await;
    let (length, packet) = old.open.split_once(':').expect("a length");
    assert_eq!(length, packet.len().to_string());
    let open: serde_json::Value = serde_json::from_str(&packet[1..]).expect("JSON");
    assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
    assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&25_000.into(), &20_000.into()));

    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    let open = ws.text().await;
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').expect("OPEN")).expect("JSON");
    assert_eq!(open["upgrades"], serde_json::json!([]));
    assert_eq!(server.session(open["sid"].as_str().expect("a sid")).protocol(), Protocol::V3);
}

/// F-PRO-02: lengths over polling are UTF-16 code units, in and out.
#[tokio::test]
async fn text_over_polling_has_lengths_in_utf16_code_units() {
    let mut server = echo().await;
    let mut old = Old::open(&server).await;
    old.send("6:4hello2:4€3:4😀0:").await;
    for expected in ["hello", "€", "😀"] {
        assert_eq!(server.text().await, expected);
    }
    assert_eq!(old.poll().await, "6:4hello2:4€3:4😀");
}

/// F-PRO-02: a client that takes binary gets the binary form as soon as there is binary, and may send it.
#[tokio::test]
async fn binary_over_polling_has_a_form_of_its_own() {
    let mut server = echo().await;
    let mut old = Old::open(&server).await;
    let body = [&[0, 4, 255][..], b"4\xe2\x82\xac", &[1, 5, 255, 4, 1, 2, 3, 4]].concat();
    let response = old.post_as("application/octet-stream", &body).await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(server.text().await, "€");
    assert_eq!(server.binary().await, [1, 2, 3, 4]);
    assert_eq!(old.poll_binary().await, body);
    // It may send base64 all the same.
    old.send("10:b4AQIDBA==").await;
    assert_eq!(server.binary().await, [1, 2, 3, 4]);
    assert_eq!(old.poll_binary().await, [1, 5, 255, 4, 1, 2, 3, 4]);
    old.send("2:4x").await;
    assert_eq!(old.poll().await, "2:4x");
}

/// F-PRO-02: a client that asks for base64 in its first request gets that for its whole session.
#[tokio::test]
async fn binary_over_polling_is_base64_for_those_who_ask() {
    let mut server = echo().await;
    let mut old = Old::open_with(&server, "&b64=1").await;
    old.send("6:4hello10:b4AQIDBA==").await;
    assert_eq!(server.text().await, "hello");
    assert_eq!(server.binary().await, [1, 2, 3, 4]);
    assert_eq!(old.poll().await, "6:4hello10:b4AQIDBA==");
    // An empty value asks for nothing.
    let mut old = Old::open_with(&server, "&b64=").await;
    old.send("10:b4AQIDBA==").await;
    server.binary().await;
    assert_eq!(old.poll_binary().await, [1, 5, 255, 4, 1, 2, 3, 4]);
}

/// F-PRO-02: a message and its attachments stay together, and a reply has at most sixteen packets.
#[tokio::test]
async fn attachments_follow_their_message_over_polling() {
    let server = echo().await;
    let mut old = Old::open(&server).await;
    let session = server.session(old.sid());
    session.send(with_binary("51-[{}]", &[9])).unwrap();
    let expected = [&[0, 8, 255][..], b"451-[{}]", &[1, 2, 255, 4, 9]].concat();
    assert_eq!(old.poll_binary().await, expected);
    for i in 0..20 {
        session.send(Outgoing::text(&i.to_string())).unwrap();
    }
    assert_eq!(old.poll().await.matches(":4").count(), 16);
    assert_eq!(old.poll().await, "3:4163:4173:4183:419");
}

/// F-PRO-02: binary frames begin with the type of the packet; base64 in text is understood, too.
#[tokio::test]
async fn binary_frames_begin_with_a_type() {
    let mut server = echo().await;
    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    ws.text().await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    ws.send_binary(&[4, 1, 2, 3]).await;
    assert_eq!(server.binary().await, [1, 2, 3]);
    assert_eq!(ws.binary().await, [4, 1, 2, 3]);
    ws.send_binary(&[4]).await;
    assert_eq!(ws.binary().await, [4]);
    ws.send("b4AQID").await;
    assert_eq!(ws.binary().await, [4, 1, 2, 3]);
    server.engine.sessions()[0].send(with_binary("51-[{}]", &[9, 8])).unwrap();
    assert_eq!(ws.text().await, "451-[{}]");
    assert_eq!(ws.binary().await, [4, 9, 8]);
}

/// F-PRO-02: what is no packet of version 3 ends the session with the reason "parse error".
#[tokio::test]
async fn malformed_frames_end_the_session() {
    let mut server = echo().await;
    for (opcode, payload) in [
        (2, &[][..]),
        (2, b"\x01\x02"),
        (2, b"4x"),
        (2, b"\x07x"),
        (1, b""),
        (1, b"abc"),
        (1, b"bAQID"),
        (1, b"b4?"),
        (1, b"b2"),
    ] {
        let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
        ws.text().await;
        ws.send_frame(true, opcode, payload).await;
        assert_eq!(server.closed().await, CloseReason::ParseError, "{payload:?}");
        assert!(matches!(ws.closed().await, WsClosed::Code(_)), "{payload:?}");
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-02: what is no payload of version 3 is answered with 400, and ends the session with the reason "parse error".
#[tokio::test]
async fn malformed_bodies_end_the_session() {
    let mut server = echo().await;
    let text = ["", "abc", "4hello", "7:4hello", "6:4hello6", "1:x", "2:4😀", "99999999999999999999:4"];
    let text = text.map(|body| ("text/plain", body.as_bytes()));
    let binary: [&[u8]; 7] = [
        b"",
        b"6:4hello",
        &[0, 255],
        &[0, 6, 255, b'4'],
        &[2, 1, 255, b'2'],
        &[1, 1, 255, b'4'],
        &[0, 9, 9, 9],
    ];
    let binary = binary.map(|body| ("application/octet-stream", body));
    for (content_type, body) in text.into_iter().chain(binary) {
        let mut old = Old::open(&server).await;
        let response = old.post_as(content_type, body).await;
        response.assert_error(400, 3, "Bad request");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{body:?}");
        old.poll_response().await.assert_error(400, 1, "Session ID unknown");
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-02: the packets before the one that cannot be decoded are handled, as with version 4.
#[tokio::test]
async fn packets_before_a_malformed_one_count() {
    let mut server = echo().await;
    let mut old = Old::open(&server).await;
    assert_eq!(old.post_as("text/plain", b"2:4a2:4b1:x2:4c").await.status, 400);
    assert!(matches!(server.event().await, Event::Open(_)));
    assert!(matches!(server.event().await, Event::Text(_, text) if text == "a"));
    assert!(matches!(server.event().await, Event::Text(_, text) if text == "b"));
    assert!(matches!(server.event().await, Event::Close(_, CloseReason::ParseError)));
}

/// F-PRO-02: limits and the discipline of polling are those of version 4.
#[tokio::test]
async fn limits_are_those_of_version_4() {
    let mut server = TestServer::echo(allowed(|c| c.max_payload = 100)).await;
    let mut old = Old::open(&server).await;
    let body = format!("99:4{}", "x".repeat(98));
    let response = old.post_as("text/plain", body.as_bytes()).await;
    assert_eq!(response.status, 413);
    old.send("6:4hello").await;
    assert_eq!(old.poll().await, "6:4hello");

    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    ws.text().await;
    ws.send_binary(&[4; 101]).await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1009)));
    assert_eq!(server.closed().await, CloseReason::TransportError);

    // Two polls at once end the session.
    let mut other = Http::connect(server.addr).await;
    other.send("GET", &old.target, &[], b"").await;
    let session = server.session(old.sid());
    until("a held poll", || session.is_writable()).await;
    old.poll_response().await.assert_empty(400);
    assert_eq!(other.response().await.text(), "1:1");
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// F-PRO-02: the binary form of a body is of version 3 alone.
#[tokio::test]
async fn version_4_has_no_binary_bodies() {
    let mut server = echo().await;
    let mut new = Polling::open(server.addr).await;
    let target = new.target();
    let headers = [("Content-Type", "application/octet-stream")];
    new.post.request("POST", &target, &headers, &[0, 1, 255, b'2']).await.assert_empty(400);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// F-PRO-02: the client pings and the server answers, over both transports; the server itself never pings.
#[tokio::test]
async fn the_client_pings() {
    let server = TestServer::with(
        allowed(|c| {
            c.ping_interval = Duration::from_millis(50);
            c.ping_timeout = Duration::from_secs(20);
        }),
        quiet,
    )
    .await;
    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    ws.text().await;
    let mut old = Old::open(&server).await;
    let (mut new, _) = Ws::open(server.addr).await;
    for _ in 0..3 {
        // A client of today is pinged meanwhile.
        assert_eq!(new.text().await, "2");
        new.send("3").await;
        ws.send("2").await;
        assert_eq!(ws.text().await, "3");
        old.send("1:2").await;
        assert_eq!(old.poll().await, "1:3");
    }
    // Data of a ping means nothing.
    old.send("6:2probe1:2").await;
    assert_eq!(old.poll().await, "1:31:3");
}

/// F-PRO-02: a client that sends no ping for an interval and a timeout is closed, whatever else it sends.
#[test]
fn silence_is_a_ping_timeout() {
    let (engine, mut events) = inline(
        allowed(|c| {
            c.ping_interval = Duration::from_secs(25);
            c.ping_timeout = Duration::from_secs(20);
        }),
        quiet,
    );
    let begin = Instant::now();
    let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
    let client = Connection::open(&engine, handshake(WEBSOCKET), || {}).expect("an open engine");
    assert_eq!(client.session().protocol(), Protocol::V3);
    client.take_batch();
    engine.tick(at(44.0));
    assert_eq!(client.take_batch(), [], "the server does not ping");
    client.feed(Packet::Text("2".into()));
    assert_eq!(client.take_batch(), [Packet::Text("3".into())]);
    engine.tick(at(88.0));
    client.feed(Packet::Text("4x".into()));
    assert!(client.is_open(), "the ping counts from when it came");
    engine.tick(at(89.1));
    assert!(!client.is_open(), "a message is no ping");
    let reasons: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| if let Event::Close(_, reason) = event { Some(reason) } else { None })
        .collect();
    assert_eq!(reasons, [CloseReason::PingTimeout]);
}

fn handshake(target: &'static str) -> Handshake {
    let mut parts = http::Request::get(target).body(()).expect("a request").into_parts().0;
    Handshake::new(&mut parts, &TrustedProxies::None)
}

/// F-PRO-02: a late request finds its session closed, as with version 4.
#[tokio::test]
async fn a_ping_that_comes_too_late_is_refused() {
    let mut server = TestServer::with(
        allowed(|c| {
            c.ping_interval = Duration::from_millis(50);
            c.ping_timeout = Duration::from_millis(50);
        }),
        quiet,
    )
    .await;
    let mut old = Old::open(&server).await;
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    old.post_as("text/plain", b"1:2").await.assert_error(400, 1, "Session ID unknown");
}

/// F-PRO-02, wire-protocol §2.4: a heartbeat in the wrong direction is misuse, in each version.
#[tokio::test]
async fn heartbeats_have_a_direction() {
    let mut server = echo().await;
    for (target, packet) in [(WEBSOCKET, "3"), ("/socket.io/?EIO=4&transport=websocket", "2")] {
        let mut ws = Ws::to(server.addr, target, &[]).await;
        ws.text().await;
        ws.send(packet).await;
        assert_eq!(server.closed().await, CloseReason::TransportError, "{target}");
    }
}

/// F-SEC-01: a client that pings and never reads does not make the server keep an answer for each.
#[tokio::test]
async fn pings_of_a_client_that_does_not_read_cost_little() {
    let server = TestServer::with(allowed(|c| c.send_queue.max_packets = 100), quiet).await;
    let mut old = Old::open(&server).await;
    let session = server.session(old.sid());
    for _ in 0..10 {
        old.send(&"1:2".repeat(1000)).await;
    }
    assert!(session.queued().0 <= 51, "{:?}", session.queued());
    session.send(Outgoing::text("still there")).unwrap();
    assert!(old.poll().await.starts_with("1:31:3"));
}

/// F-PRO-02: the upgrade is the same dance; what waits changes its form with the transport.
#[tokio::test]
async fn a_session_moves_to_websocket() {
    let mut server = echo().await;
    let mut old = Old::open(&server).await;
    let session = server.session(old.sid());
    let target = old.target.replace("transport=polling", "transport=websocket");
    let mut ws = Ws::to(server.addr, &target, &[]).await;
    ws.probe().await;
    assert_eq!(old.poll().await, "1:6");
    session.send(with_binary("51-[{}]", &[9, 8])).unwrap();
    assert_eq!(old.poll().await, "1:6", "what is sent since the probe waits for the WebSocket");
    ws.send("5").await;
    assert_eq!(ws.text().await, "451-[{}]");
    assert_eq!(ws.binary().await, [4, 9, 8]);
    server.upgraded().await;
    assert_eq!((session.transport(), session.protocol()), (TransportKind::WebSocket, Protocol::V3));
    ws.send("2").await;
    assert_eq!(ws.text().await, "3");
    old.poll_response().await.assert_error(400, 3, "Bad request");
    ws.send_binary(&[4, 7]).await;
    assert_eq!(ws.binary().await, [4, 7]);
}

/// F-PRO-02: an upgrade that is given up leaves the session on polling, with everything that waited.
#[tokio::test]
async fn an_upgrade_that_is_given_up_loses_nothing() {
    let server = echo().await;
    let mut old = Old::open(&server).await;
    let target = old.target.replace("transport=polling", "transport=websocket");
    let mut ws = Ws::to(server.addr, &target, &[]).await;
    ws.probe().await;
    server.session(old.sid()).send(with_binary("51-[{}]", &[9])).unwrap();
    ws.send_close(1000).await;
    ws.closed().await;
    let expected = [&[0, 8, 255][..], b"451-[{}]", &[1, 2, 255, 4, 9]].concat();
    let mut body = old.poll_response().await.body;
    while body == b"1:6" {
        body = old.poll_response().await.body;
    }
    assert_eq!(body, expected);
}

/// F-PRO-02: who closes is told nothing more; who is closed gets what waited, and then a close packet.
#[tokio::test]
async fn closing_from_both_sides() {
    let mut server = echo().await;
    let mut old = Old::open(&server).await;
    let session = server.session(old.sid());
    let mut poll = Http::connect(server.addr).await;
    poll.send("GET", &old.target, &[], b"").await;
    until("a held poll", || session.is_writable()).await;
    old.send("1:1").await;
    assert_eq!(poll.response().await.text(), "1:6");
    assert_eq!(server.closed().await, CloseReason::ClientClose);
    old.poll_response().await.assert_error(400, 1, "Session ID unknown");

    let mut old = Old::open(&server).await;
    let session = server.session(old.sid());
    session.send(Outgoing::text("bye")).unwrap();
    session.close(CloseReason::ForcedClose);
    assert_eq!(old.poll().await, "4:4bye1:1");
    old.poll_response().await.assert_error(400, 1, "Session ID unknown");

    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    ws.text().await;
    ws.send("1").await;
    assert!(matches!(ws.closed().await, WsClosed::Code(_)));
}

/// F-PRO-02: what the application sends as soon as it knows of the session is in the first reply.
#[tokio::test]
async fn the_first_reply_has_what_was_sent_at_once() {
    let (app, events) = App::new(quiet);
    struct Greeting(Arc<App>);
    impl Handler for Greeting {
        fn open(&self, session: &Arc<Session>) {
            self.0.open(session);
            session.send(with_binary("0", &[1, 2, 3, 4])).unwrap();
        }
        fn message(&self, session: &Arc<Session>, message: Message) {
            self.0.message(session, message);
        }
        fn close(&self, session: &Arc<Session>, reason: CloseReason) {
            self.0.close(session, reason);
        }
    }
    let server = TestServer::with_handler(allowed(|_| {}), Arc::new(Greeting(app)), events).await;
    let response = request(server.addr, "GET", POLLING, &[], b"").await;
    // Text in any case: nobody knows yet what the client makes of binary.
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert!(response.text().ends_with("}2:4010:b4AQIDBA=="), "{}", response.text());
    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    ws.text().await;
    assert_eq!(ws.text().await, "40");
    assert_eq!(ws.frame().await, Some(Frame { opcode: 2, payload: vec![4, 1, 2, 3, 4] }));
    // In version 4 it comes with the first poll.
    let mut new = Polling::open(server.addr).await;
    assert_eq!(new.poll().await, ["40", "bAQIDBA=="]);
}

/// F-PRO-02, F-PRO-13: replies are compressed in either form.
#[tokio::test]
async fn binary_replies_are_compressed_too() {
    let server = echo().await;
    let mut old = Old::open(&server).await;
    server.session(old.sid()).send(Outgoing::binary(&[0; 5000])).unwrap();
    let target = old.target.clone();
    let response = old.http.request("GET", &target, &[("Accept-Encoding", "gzip")], b"").await;
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
}
