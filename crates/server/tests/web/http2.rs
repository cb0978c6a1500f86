//! HTTP/2: polling as ever, and WebSockets by extended CONNECT (RFC 8441).

use std::time::Duration;

use ::http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wirebird::extract::Data;
use wirebird::{Limit, Server, Socket, TransportKind};

use crate::http::{Site, until};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A connection of HTTP/2, with prior knowledge.
#[derive(Clone)]
struct Client {
    send: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Client {
    async fn connect(site: Site) -> Self {
        let stream = TcpStream::connect(site.addr).await.unwrap();
        let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { send, authority: site.addr.to_string() }
    }

    async fn request(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.head(method, target, headers);
        *request.body_mut() = Full::from(body.to_owned());
        let response = patient(self.send.clone().send_request(request)).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = patient(body.collect()).await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    fn head(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let uri = format!("http://{}{target}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::default()).unwrap()
    }

    async fn get(&self, target: &str) -> Answer {
        self.request(Method::GET, target, &[], "").await
    }

    /// The answer to a request for a WebSocket.
    async fn connect_websocket(&self, target: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = self.head(Method::CONNECT, target, headers);
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        patient(self.send.clone().send_request(request)).await.unwrap()
    }

    async fn websocket(&self, target: &str) -> WebSocket {
        let mut response = self.connect_websocket(target, &[("sec-websocket-version", "13")]).await;
        assert_eq!(response.status(), 200);
        for name in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
            assert!(!response.headers().contains_key(name), "{name}: {response:?}");
        }
        let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
        WebSocket(TokioIo::new(upgraded))
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// Short text frames on a stream of HTTP/2.
struct WebSocket(TokioIo<hyper::upgrade::Upgraded>);

impl WebSocket {
    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn text(&mut self) -> String {
        patient(async {
            assert_eq!(self.0.read_u8().await.unwrap(), 0x81, "a whole text frame");
            let length = match self.0.read_u8().await.unwrap() {
                126 => usize::from(self.0.read_u16().await.unwrap()),
                short => usize::from(short),
            };
            let mut text = vec![0; length];
            self.0.read_exact(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        })
        .await
    }
}

async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an answer in time")
}

fn chat() -> Server {
    let io = Server::builder().cookie(wirebird::Cookie::named("io")).build();
    io.on("shout", async |socket: Socket, Data(text): Data<String>| {
        socket.emit("heard", text.to_uppercase())?;
        Ok::<_, wirebird::EmitError>(socket.transport().to_string())
    });
    io
}

/// The server by its own listener, and as a layer of an axum application.
async fn sites(io: &Server) -> [(&'static str, Site); 2] {
    let app = Router::new().route("/app", get(async || "app")).layer(io.layer());
    [("listener", Site::alone(io).await), ("axum", Site::axum(app).await)]
}

fn sid(open: &Answer) -> String {
    let open: serde_json::Value = serde_json::from_str(&open.text[1..]).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// F-STA-13, F-DEP-11: polling over HTTP/2, several requests of one connection at a time.
#[tokio::test]
async fn polling_over_http2() {
    let io = chat();
    for (way, site) in sites(&io).await {
        let client = Client::connect(site).await;
        let opened = client.get(POLLING).await;
        assert_eq!(opened.status, 200, "{way}");
        assert!(opened.headers["set-cookie"].to_str().unwrap().starts_with("io="));
        let session = format!("{POLLING}&sid={}", sid(&opened));
        assert_eq!(client.request(Method::POST, &session, &[], "40").await.text, "ok");
        assert!(client.get(&session).await.text.starts_with("40{"));
        let poll = tokio::spawn({
            let (client, session) = (client.clone(), session.clone());
            async move { client.get(&session).await.text }
        });
        let body = r#"4212["shout","hey"]"#;
        assert_eq!(client.request(Method::POST, &session, &[], body).await.text, "ok", "{way}");
        let mut text = poll.await.unwrap();
        if !text.contains("4312") {
            text += &client.get(&session).await.text;
        }
        assert!(text.contains(r#"42["heard","HEY"]"#) && text.contains(r#"4312["polling"]"#), "{text}");
        let refused = client.get("/socket.io/?EIO=4").await;
        assert_eq!((refused.status.as_u16(), refused.text.contains("Transport unknown")), (400, true));
    }
}

/// F-STA-13, F-PRO-04: a WebSocket on a stream of HTTP/2, from the first request, beside other requests.
#[tokio::test]
async fn websockets_over_http2() {
    let io = chat();
    for (way, site) in sites(&io).await {
        let client = Client::connect(site).await;
        let mut sockets = Vec::new();
        for number in 0..3 {
            let mut ws = client.websocket(WEBSOCKET).await;
            assert!(ws.text().await.starts_with("0{"), "{way}");
            ws.send("40").await;
            assert!(ws.text().await.starts_with("40{"));
            ws.send(&format!(r#"42{number}["shout","hey {number}"]"#)).await;
            sockets.push(ws);
        }
        for (number, ws) in sockets.iter_mut().enumerate() {
            assert_eq!(ws.text().await, format!(r#"42["heard","HEY {number}"]"#));
            assert_eq!(ws.text().await, format!(r#"43{number}["websocket"]"#));
        }
        assert_eq!(client.get(POLLING).await.status, 200);
        let before = io.engine().session_count();
        drop(sockets);
        until("the WebSockets to end", || io.engine().session_count() == before - 3).await;
    }
}

/// F-STA-13, F-PRO-05: from polling to a WebSocket on the same connection.
#[tokio::test]
async fn upgrades_over_http2() {
    let io = chat();
    for (way, site) in sites(&io).await {
        let client = Client::connect(site).await;
        let sid = sid(&client.get(POLLING).await);
        let session = format!("{POLLING}&sid={sid}");
        client.request(Method::POST, &session, &[], "40").await;
        let mut ws = client.websocket(&format!("{WEBSOCKET}&sid={sid}")).await;
        ws.send("2probe").await;
        assert_eq!(ws.text().await, "3probe", "{way}");
        ws.send("5").await;
        assert!(ws.text().await.starts_with("40{"), "what was queued comes on the WebSocket");
        ws.send(r#"421["shout","hey"]"#).await;
        assert_eq!(ws.text().await, r#"42["heard","HEY"]"#);
        assert_eq!(ws.text().await, r#"431["websocket"]"#);
        assert_eq!(io.engine().session(&sid).unwrap().transport(), TransportKind::WebSocket);
    }
}

/// F-COR-01, F-LOG-02: what is refused over HTTP/1.1 is refused over HTTP/2, with the same bodies.
#[tokio::test]
async fn refusals_over_http2() {
    let io = chat();
    let version = ("sec-websocket-version", "13");
    for (way, site) in sites(&io).await {
        let client = Client::connect(site).await;
        let polling = format!("{POLLING}&sid={}", sid(&client.get(POLLING).await));
        let own = format!("http://{}", site.addr);
        for (target, headers, expected) in [
            (WEBSOCKET, vec![version, ("origin", "http://evil.org")], (400, "Not an accepted origin")),
            (WEBSOCKET, vec![version, ("origin", &*own)], (200, "")),
            (WEBSOCKET, vec![("sec-websocket-version", "8")], (400, "Bad request")),
            (WEBSOCKET, vec![], (400, "Bad request")),
            ("/socket.io/?EIO=4&transport=websocket&sid=x", vec![version], (400, "Session ID unknown")),
            (POLLING, vec![version], (400, "Bad request")),
            (&*polling, vec![version], (400, "Bad request")),
        ] {
            let response = client.connect_websocket(target, &headers).await;
            assert_eq!(response.status(), expected.0, "{target} {headers:?} by {way}");
            if expected.0 == 400 {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert!(body.windows(expected.1.len()).any(|part| part == expected.1.as_bytes()), "{body:?}");
            }
        }
        // A CONNECT to anywhere, as to a proxy, is none of ours.
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = "evil.org:443".parse().unwrap();
        let response = client.send.clone().send_request(request).await.unwrap();
        assert!(response.status().is_client_error(), "{way}: {response:?}");
    }
}

/// F-SEC-01: a client that begins with HTTP/2 and says no more is not waited for.
#[tokio::test(start_paused = true)]
async fn a_connection_has_to_begin() {
    let io = chat();
    let (mut client, stream) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(io.serve_connection(stream, Extensions::new()));
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(!served.is_finished());
    tokio::time::sleep(Duration::from_secs(2)).await;
    served.await.unwrap();
    assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0);

    // One that has begun is asked whether it is there.
    let (mut client, stream) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(io.serve_connection(stream, Extensions::new()));
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(served.is_finished());
}

/// F-DEP-11, F-PRO-22: a server that closes ends what is on a connection of HTTP/2, and the connection.
#[tokio::test]
async fn closing_ends_connections_of_http2() {
    let io = chat();
    let client = Client::connect(Site::alone(&io).await).await;
    let mut ws = client.websocket(WEBSOCKET).await;
    ws.text().await;
    let close = tokio::spawn(async move { io.close().await });
    let mut rest = Vec::new();
    let _ = patient(ws.0.read_to_end(&mut rest)).await;
    assert_eq!(rest.first(), Some(&0x88), "a close frame");
    patient(close).await.unwrap();
    let refused = async {
        loop {
            let request = client.head(Method::GET, POLLING, &[]);
            match client.send.clone().send_request(request).await {
                Ok(response) => assert_eq!(response.status(), 503),
                Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    patient(refused).await;
}

/// F-SEC-01: a connection that nothing is under way on is closed after a while, also of a client that answers pings; one with a
/// poll or a WebSocket is not.
#[tokio::test]
async fn idle_connections_are_closed() {
    let short = Duration::from_millis(200);
    let io = Server::builder().keep_alive_timeout(short).build();
    let site = Site::alone(&io).await;
    let connect = async || {
        let stream = TcpStream::connect(site.addr).await.unwrap();
        let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        (Client { send, authority: site.addr.to_string() }, tokio::spawn(connection))
    };
    let (silent, unused) = connect().await;
    let (asks, used) = connect().await;
    let (polls, polling) = connect().await;
    let (streams, streaming) = connect().await;
    assert_eq!(asks.get("/nothing").await.status, 404);
    let mut websocket = streams.websocket(WEBSOCKET).await;
    assert!(websocket.text().await.starts_with('0'));
    let opened = polls.get(POLLING).await.text;
    let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap().to_owned();
    let target = format!("{POLLING}&sid={sid}");
    let held = tokio::spawn({
        let polls = polls.clone();
        async move { polls.get(&target).await.text }
    });
    for connection in [unused, used] {
        patient(connection).await.unwrap().unwrap();
    }
    assert_eq!(io.metrics().limit(Limit::IdleTime), 2);
    drop((silent, asks));
    tokio::time::sleep(short * 2).await;
    assert!(!polling.is_finished() && !streaming.is_finished());
    websocket.send("40").await;
    assert!(websocket.text().await.starts_with("40{"));
    io.engine().session(&sid).unwrap().close(wirebird::engine::CloseReason::ForcedClose);
    assert_eq!(held.await.unwrap(), "1");
    drop(websocket);
    for connection in [polling, streaming] {
        let _ = patient(connection).await.unwrap();
    }
    assert_eq!(io.metrics().limit(Limit::IdleTime), 4);
}

/// F-SEC-01: an answer that takes longer than a connection may be idle comes to its end.
#[tokio::test]
async fn long_answers_come_to_their_end() {
    let short = Duration::from_millis(100);
    let io = Server::builder().keep_alive_timeout(short).build();
    let slow = async || {
        let parts = futures_util::stream::unfold(0, |at| async move {
            tokio::time::sleep(Duration::from_millis(60)).await;
            (at < 10).then(|| (Ok::<_, std::convert::Infallible>("x"), at + 1))
        });
        axum::body::Body::from_stream(parts)
    };
    let app = axum::Router::new().route("/slow", axum::routing::get(slow)).layer(io.layer());
    let site = Site::served(&io, app).await;
    let stream = TcpStream::connect(site.addr).await.unwrap();
    let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let client = Client { send, authority: site.addr.to_string() };
    assert_eq!(client.get("/slow").await.text, "xxxxxxxxxx");
}
