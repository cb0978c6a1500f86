//! Headers that the application adds to responses, and refusals that it is told of.

mod support;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use support::{Http, Polling, Response, TestServer, Ws, config, quiet, request};
use tokio::sync::mpsc;
use wirebird_engine::{Cause, Config, Cookie, Engine, Handler, Message, PeerAddr, Refusal, Session};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// Leaves a request to hyper.
const BY_HYPER: (&str, &str) = ("Connection", "close");

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(config(change), quiet).await
}

/// Every kind of request there is, each answered by the listener itself and by hyper.
async fn all_kinds(server: &TestServer) -> Vec<(String, Response)> {
    let mut responses = Vec::new();
    for (by, extra) in [("listener", None), ("hyper", Some(BY_HYPER))] {
        let headers: Vec<_> = extra.into_iter().collect();
        let mut client = Polling::open(server.addr).await;
        let target = client.target();
        let session = server.session(&client.sid);
        let mut add = |what: &str, response| responses.push((format!("{what} by {by}"), response));
        let open = request(server.addr, "GET", POLLING, &headers, b"").await;
        assert_eq!(open.status, 200);
        add("open", open);
        add("post", request(server.addr, "POST", &target, &headers, b"4x").await);
        session.send(wirebird_engine::Outgoing::text("hi")).unwrap();
        add("poll", request(server.addr, "GET", &target, &headers, b"").await);
        add("preflight", request(server.addr, "OPTIONS", POLLING, &headers, b"").await);
        add("unknown transport", request(server.addr, "GET", "/socket.io/?EIO=4", &headers, b"").await);
        add("unknown session", request(server.addr, "GET", &format!("{POLLING}&sid=x"), &headers, b"").await);
        add("other method", request(server.addr, "PUT", &target, &headers, b"").await);
        let big = vec![b'4'; 1_000_001];
        add("large", request(server.addr, "POST", &target, &headers, &big).await);
        let upgrading =
            Ws::handshake(&mut Http::connect(server.addr).await, &client.target_on("websocket"), &[]).await;
        add("upgrade", upgrading);
        add("websocket", Ws::handshake(&mut Http::connect(server.addr).await, WEBSOCKET, &[]).await);
        add("bad post", client.post(b"?").await);
    }
    responses
}

/// F-NOD-19: `headers` adds to every response, refusals and the 101 included, on every path through the server.
#[tokio::test]
async fn headers_are_added_to_every_response() {
    let hook = |headers: &mut HeaderMap, request: &Parts| {
        let peer = request.extensions.get::<PeerAddr>().unwrap().0.ip();
        let text = format!("{} {} from {peer}", request.method, request.uri.path());
        headers.insert("x-seen", value(&text));
    };
    let server = server(|c| c.headers = Some(Arc::new(hook))).await;
    for (what, response) in all_kinds(&server).await {
        let seen = response.header("x-seen").unwrap_or_else(|| panic!("none on {what}: {response:?}"));
        assert!(seen.ends_with(" /socket.io/ from 127.0.0.1"), "{what}: {seen}");
    }
}

/// F-NOD-19: `initial_headers` adds to the responses that open sessions and to no others.
#[tokio::test]
async fn initial_headers_are_added_to_handshakes() {
    let initial = |headers: &mut HeaderMap, request: &Parts| {
        assert!(request.extensions.get::<PeerAddr>().is_some(), "the request is whole");
        headers.append("set-cookie", value("server=a; Path=/"));
        headers.append("set-cookie", value("color=b"));
    };
    let server = server(|c| {
        c.initial_headers = Some(Arc::new(initial));
        c.cookie = Some(Cookie::named("io"));
    })
    .await;
    for (what, response) in all_kinds(&server).await {
        let cookies: Vec<_> = response.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
        let opens = what.starts_with("open") || what.starts_with("websocket");
        assert_eq!(cookies.len(), if opens { 3 } else { 0 }, "{what}: {cookies:?}");
    }
}

/// F-NOD-19: both hooks at once; lists grow, other headers are replaced.
#[tokio::test]
async fn headers_of_hooks_replace_and_lists_grow() {
    let initial = |headers: &mut HeaderMap, _: &Parts| {
        headers.insert("x-which", value("initial"));
        headers.insert("x-initial", value("1"));
        headers.insert("vary", value("X-One"));
    };
    let every = |headers: &mut HeaderMap, _: &Parts| {
        headers.insert("x-which", value("every"));
        headers.insert("cache-control", value("no-store, no-transform"));
        headers.insert("vary", value("X-Two"));
    };
    let server = server(|c| {
        c.initial_headers = Some(Arc::new(initial));
        c.headers = Some(Arc::new(every));
    })
    .await;
    let response = request(server.addr, "GET", POLLING, &[], b"").await;
    assert_eq!(response.header("x-which"), Some("every"));
    assert_eq!(response.header("x-initial"), Some("1"));
    assert_eq!(response.header("cache-control"), Some("no-store, no-transform"));
    for name in ["Origin", "Accept-Encoding", "X-One", "X-Two"] {
        assert!(response.lists("vary", name), "{name}: {response:?}");
    }
}

/// F-NOD-19: a hook cannot break the framing of messages or the handshake, and one that panics adds nothing.
#[tokio::test]
async fn hooks_cannot_break_responses() {
    let hook = |headers: &mut HeaderMap, request: &Parts| {
        assert!(!request.headers.contains_key("x-panic"), "a hook that panics");
        for name in ["content-length", "transfer-encoding", "connection", "upgrade", "trailer", "keep-alive"]
        {
            headers.insert(name, value("chunked"));
        }
        for name in ["content-encoding", "content-type", "sec-websocket-accept", "date"] {
            headers.append(name, value("gzip"));
        }
        headers.insert("x-good", value("yes"));
    };
    let server = server(|c| {
        c.headers = Some(Arc::new(hook));
        c.initial_headers = Some(Arc::new(hook));
    })
    .await;
    for (what, response) in all_kinds(&server).await {
        assert_eq!(response.header("x-good"), Some("yes"), "{what}");
        for name in ["content-type", "content-encoding", "sec-websocket-accept", "date"] {
            assert_ne!(response.header(name), Some("gzip"), "{what}: {name}");
        }
        assert_eq!(response.header("trailer"), None, "{what}");
    }
    let panicked = request(server.addr, "GET", POLLING, &[("X-Panic", "1")], b"").await;
    assert_eq!((panicked.status, panicked.header("x-good")), (200, None));
    let mut ws = Ws::to(server.addr, WEBSOCKET, &[]).await;
    assert!(ws.text().await.starts_with("0{"));
}

/// Keeps the causes of refusals.
struct Refusals(mpsc::UnboundedSender<(Cause, String)>);

/// The causes of refusals, to be looked at one after another.
struct Told(mpsc::UnboundedReceiver<(Cause, String)>);

impl Told {
    fn new() -> (Arc<Refusals>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Arc::new(Refusals(sender)), Self(receiver))
    }

    async fn next(&mut self) -> (Cause, String) {
        support::within("a refusal", self.0.recv()).await.unwrap()
    }

    async fn cause(&mut self) -> Cause {
        self.next().await.0
    }
}

impl Handler for Refusals {
    fn message(&self, _: &Arc<Session>, _: Message) {}
    fn close(&self, _: &Arc<Session>, _: wirebird_engine::CloseReason) {}

    fn refused(&self, refusal: &Refusal<'_>) {
        assert_eq!(refusal.status, refusal.cause.status());
        assert_eq!((refusal.code, refusal.message), (refusal.cause.code(), refusal.cause.message()));
        let peer = refusal.parts.extensions.get::<PeerAddr>().is_some();
        assert!(peer, "the request is whole: {refusal:?}");
        let _ = self.0.send((refusal.cause.clone(), refusal.parts.method.to_string()));
    }
}

/// A request, and why it is refused: method, target, headers, body.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], Cause);

/// F-NOD-19, F-ERR-09: each refusal is told once, with what a log or a metric needs; by the listener and by hyper.
#[tokio::test]
async fn refusals_say_why() {
    let (handler, mut refusals) = Told::new();
    let config = config(|c| {
        c.max_payload = 100;
        c.max_head = 2000;
        c.gate = Some(Arc::new(
            |request: Arc<wirebird_engine::Handshake>, decision: wirebird_engine::Decision| {
                if request.query("no").is_some() { decision.refuse("no") } else { decision.allow() }
            },
        ));
    });
    let (_, events) = support::App::new(quiet);
    let server = TestServer::with_handler(config, handler, events).await;
    let large = [("X-Large", &*"x".repeat(2000))];
    for (by, extra) in [("listener", None), ("hyper", Some(BY_HYPER))] {
        let client = Polling::open(server.addr).await;
        let (own, ws) = (client.target(), client.target_on("websocket"));
        let cases: [Case<'_>; 11] = [
            ("GET", "/socket.io/?EIO=4", &[], b"", Cause::Transport(None)),
            ("GET", "/socket.io/?transport=x", &[], b"", Cause::Transport(Some("x".into()))),
            ("GET", "/socket.io/?transport=polling&sid=y", &[], b"", Cause::Session("y".into())),
            ("POST", POLLING, &[], b"", Cause::HandshakeMethod),
            ("PUT", &own, &[], b"", Cause::Method),
            ("GET", "/socket.io/?transport=polling", &[], b"", Cause::Version(None)),
            ("GET", "/socket.io/?transport=polling&EIO=9", &[], b"", Cause::Version(Some("9".into()))),
            ("GET", "/socket.io/?transport=polling&EIO=4&no", &[], b"", Cause::Forbidden("no".into())),
            ("GET", POLLING, &large, b"", Cause::HeadTooLarge),
            ("POST", &own, &[], &[b'4'; 101], Cause::BodyTooLarge),
            ("GET", &ws, &[], b"", Cause::WebSocket(wirebird_engine::WebSocketHandshakeError::Upgrade)),
        ];
        for (method, target, headers, body, cause) in cases {
            let headers: Vec<_> = headers.iter().copied().chain(extra).collect();
            let status = request(server.addr, method, target, &headers, body).await.status;
            assert_eq!(status, cause.status().as_u16(), "{cause:?} by {by}");
            assert_eq!(refusals.next().await, (cause, method.to_owned()), "by {by}");
        }
        let evil = [("Origin", "http://evil"), ("Host", "good")];
        request(server.addr, "GET", POLLING, &evil, b"").await;
        let (cause, _) = refusals.next().await;
        let (origin, expected) = ("http://evil".into(), "http://good".into());
        assert_eq!(cause, Cause::Origin { origin, expected });
    }
    let chunked = [("Transfer-Encoding", "chunked")];
    let client = Polling::open(server.addr).await;
    let mut http = Http::connect(server.addr).await;
    let head =
        format!("POST {} HTTP/1.1\r\nHost: a\r\n{}: {}\r\n\r\n", client.target(), chunked[0].0, chunked[0].1);
    http.raw(format!("{head}80\r\n{}\r\n0\r\n\r\n", "4".repeat(128)).as_bytes()).await;
    assert_eq!(http.response().await.status, 413);
    assert_eq!(refusals.cause().await, Cause::BodyTooLarge);
    assert!(refusals.0.try_recv().is_err(), "each is told once");
}

/// F-ERR-09: overlap and a session on another transport, with sessions to show it on.
#[tokio::test]
async fn refusals_of_a_session_say_why() {
    let (handler, mut refusals) = Told::new();
    let (_, events) = support::App::new(quiet);
    let server = TestServer::with_handler(Config::default(), handler, events).await;

    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    support::until("the poll to be held", || server.session(&client.sid).is_writable()).await;
    assert_eq!(request(server.addr, "GET", &client.target(), &[], b"").await.status, 400);
    assert_eq!(refusals.cause().await, Cause::Overlap);
    client.end_poll().await;

    let client = Polling::open(server.addr).await;
    let mut ws = Ws::to(server.addr, &client.target_on("websocket"), &[]).await;
    ws.probe().await;
    ws.send("5").await;
    let session = server.session(&client.sid);
    support::until("the upgrade", || session.transport() == wirebird_engine::TransportKind::WebSocket).await;
    assert_eq!(request(server.addr, "GET", &client.target(), &[], b"").await.status, 400);
    assert_eq!(refusals.cause().await, Cause::OtherTransport);

    let client = Polling::open(server.addr).await;
    let binary = [("Content-Type", "application/octet-stream")];
    assert_eq!(request(server.addr, "POST", &client.target(), &binary, b"4x").await.status, 400);
    assert_eq!(refusals.cause().await, Cause::BinaryPost);
}

/// F-ERR-09: a full server and a closing one are told apart.
#[tokio::test]
async fn a_full_server_and_a_closing_one_differ() {
    let (handler, mut refusals) = Told::new();
    let engine = Engine::new(config(|c| c.max_sessions = Some(1)), handler).unwrap();
    let ask = async || {
        let mut request = http::Request::get(POLLING).body(String::new()).unwrap();
        request.extensions_mut().insert(PeerAddr("127.0.0.1:1".parse().unwrap()));
        wirebird_engine::http::handle(&engine, request).await.status().as_u16()
    };
    assert_eq!((ask().await, ask().await), (200, 503));
    assert_eq!(refusals.cause().await, Cause::Full);
    engine.begin_close();
    assert_eq!(ask().await, 503);
    assert_eq!(refusals.cause().await, Cause::Closing);
}
