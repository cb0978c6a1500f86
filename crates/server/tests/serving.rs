//! The server's own listener, with an application behind it.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use support::{PATIENCE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wirebird::{Limit, PeerAddr, Server, Socket, TrustedProxies};

/// Sends a request on a connection of its own; returns the head and the body.
async fn request(addr: SocketAddr, line: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let text =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// F-DEP-09, F-INT-05, R13: a tower service, such as an axum application, answers what is not for the server, and knows who asks.
#[tokio::test]
async fn a_tower_service_answers_the_rest() {
    let io = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app: axum::Router = axum::Router::new()
        .route("/peer", get(async |Extension(PeerAddr(peer)): Extension<PeerAddr>| peer.ip().to_string()))
        .route("/echo", post(async |body: String| body));
    let served = tokio::spawn({
        let io = io.clone();
        async move { io.serve_with_service(listener, app).await }
    });
    let (head, body) = request(addr, "GET /peer", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "127.0.0.1", "{head} {body}");
    let long = "x".repeat(100_000);
    assert_eq!(request(addr, "POST /echo", &long).await.1, long);
    assert!(request(addr, "GET /nothing", "").await.0.starts_with("HTTP/1.1 404 "));
    let (head, body) = request(addr, "GET /socket.io/?EIO=4&transport=polling", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.starts_with("0{\"sid\""), "{head} {body}");
    io.close_within(Duration::ZERO).await;
    served.await.unwrap().unwrap();
}

/// An application that is served until the server closes.
async fn serve(io: &Server, app: Router) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, io) = (listener.local_addr().unwrap(), io.clone());
    (addr, tokio::spawn(async move { io.serve_app(listener, app).await }))
}

/// A server by itself, or `through` an application.
async fn serve_either_way(io: &Server, through: bool) -> SocketAddr {
    if through {
        return serve(io, Router::new().layer(io.layer())).await.0;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, io) = (listener.local_addr().unwrap(), io.clone());
    tokio::spawn(async move { io.serve_listener(listener).await });
    addr
}

/// Waits until the server has closed a connection; what it says before.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset has ended, too.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    let _ = ended.expect("the connection to be closed");
    String::from_utf8_lossy(&said).into_owned()
}

async fn guard(request: Request, next: Next) -> Result<Response, StatusCode> {
    let known = request.uri().query().is_some_and(|query| query.contains("key=birds"));
    if known { Ok(next.run(request).await) } else { Err(StatusCode::UNAUTHORIZED) }
}

/// F-INT-05, F-INT-06: the requests of clients pass the middleware of an application that the server's listener serves; whoever
/// passes it is served as ever, and known by address.
#[tokio::test]
async fn an_application_sees_the_requests_of_clients() {
    let io = Server::new();
    io.on("who", async |socket: Socket| socket.handshake().peer_addr().map(|addr| addr.ip().to_string()));
    let app = Router::new().route("/", get(async || "home")).layer(io.layer()).layer(from_fn(guard));
    let (addr, _) = serve(&io, app).await;

    for target in ["/", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket"] {
        let (head, _) = request(addr, &format!("GET {target}"), "").await;
        assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    }
    assert_eq!(io.engine().session_count(), 0);
    assert_eq!(request(addr, "GET /?key=birds", "").await.1, "home");

    let target = "/socket.io/?EIO=4&transport=polling&key=birds";
    let opened = request(addr, &format!("GET {target}"), "").await.1;
    let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let target = format!("{target}&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(request(addr, &format!("POST {target}"), "40\u{1e}427[\"who\"]").await.1, "ok");
    let answers = request(addr, &format!("GET {target}"), "").await.1;
    assert!(answers.starts_with("40{") && answers.ends_with("437[\"127.0.0.1\"]"), "{answers}");
}

/// F-SEC-01: an application that the server's listener serves does not wait for ever for requests that are begun and not
/// finished, on a new connection or after a request, nor for those that never begin.
#[tokio::test]
async fn an_application_is_not_held_by_half_requests() {
    let short = Duration::from_millis(200);
    let io = Server::builder().header_timeout(short).keep_alive_timeout(short).build();
    let app = Router::new().route("/", get(async || "home")).layer(io.layer());
    let (addr, _) = serve(&io, app).await;

    let whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [("", false), ("GET / HTTP/1.1\r\nHost: x\r\n", false), (whole, true)];
    for (sent, answered) in cases {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert_eq!(said.ends_with("home"), answered, "{said}");
    }
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{whole}GET /socket.io/?EIO=4").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("home"));
    until("limits", || {
        let metrics = io.metrics();
        // What came together with the request before it may count as a pause after that.
        let (heads, pauses) = (metrics.limit(Limit::HeaderTime), metrics.limit(Limit::IdleTime));
        heads >= 2 && pauses >= 1 && heads + pauses == 4
    })
    .await;
}

/// F-SEC-01: who is still taking a long answer is not idle, however long it takes.
#[tokio::test]
async fn slow_downloads_come_to_their_end() {
    let short = Duration::from_millis(200);
    let io = Server::builder().keep_alive_timeout(short).build();
    let whole = bytes::Bytes::from(vec![b'x'; 30_000_000]);
    let (length, path) = (whole.len(), get(async move || whole.clone()));
    let (addr, _) = serve(&io, Router::new().route("/", path).layer(io.layer())).await;

    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut taken, mut piece) = (0, vec![0; 10_000]);
    for _ in 0..20 {
        tokio::time::sleep(short / 4).await;
        taken += stream.read(&mut piece).await.unwrap();
    }
    assert_eq!(io.metrics().limit(Limit::IdleTime), 0);
    let left = rest(&mut stream).await;
    assert!(taken + left.len() > length, "{taken} and {} bytes", left.len());
    assert_eq!(io.metrics().limit(Limit::IdleTime), 1, "then it is idle");
}

/// F-PRO-22: a server that closes lets the application behind it answer what it was asked before, but does not wait for who
/// has not asked yet.
#[tokio::test]
async fn closing_waits_for_answers_of_the_application() {
    let io = Server::new();
    let (asked, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let slow = async move || {
        asked.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        "at last"
    };
    let app = Router::new().route("/slow", get(slow)).route("/", get(async || "home")).layer(io.layer());
    let (addr, served) = serve(&io, app).await;

    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /slow").await.unwrap();
    let waiting = tokio::spawn(async move { request(addr, "GET /slow", "").await });
    begun.recv().await.unwrap();

    let began = Instant::now();
    io.close().await;
    served.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "nobody else is waited for");
    assert_eq!(waiting.await.unwrap().1, "at last");
    for stream in [&mut idle, &mut half] {
        assert!(rest(stream).await.ends_with("home"));
    }
}

/// A request on a connection that is kept; the body of the answer.
async fn ask(stream: &mut TcpStream, method: &str, query: &str, body: &str) -> String {
    let target = format!("/socket.io/?EIO=4&{query}");
    let text =
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let whole = async {
        loop {
            assert!(stream.read_buf(&mut got).await.unwrap() > 0, "the end");
            let text = String::from_utf8(got.clone()).unwrap().to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize =
                head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                return String::from_utf8(got[got.len() - length..].to_vec()).unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("an answer")
}

/// F-DEP-09, F-PRO-07: connections do not end with sessions: whoever comes again just when its session has timed out is not met by
/// a connection that is being closed. By either way to serve.
#[tokio::test]
async fn connections_outlive_sessions() {
    let short = Duration::from_millis(100);
    for through in [false, true] {
        let io = Server::builder().ping_interval(short).ping_timeout(short).build();
        let addr = serve_either_way(&io, through).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        ask(&mut stream, "GET", "transport=polling", "").await;
        until("sessions", || io.engine().session_count() == 0).await;
        let still = tokio::time::timeout(short * 4, stream.read(&mut [0; 1])).await;
        assert!(still.is_err(), "it was closed");
        assert!(ask(&mut stream, "GET", "transport=polling", "").await.starts_with("0{"));
        io.close_within(Duration::ZERO).await;
    }
}

/// F-PRO-07, F-INT-06, F-SEC-01: whoever is there polls again at once. A connection on which nobody does ends, so that clients that
/// vanished leave none behind; that of a proxy stays, for its other clients.
#[tokio::test]
async fn a_connection_ends_when_no_poll_follows_the_last() {
    let (short, timeout) = (Duration::from_millis(100), Duration::from_secs(1));
    for (through, proxy) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut options = Server::builder().ping_interval(short).ping_timeout(timeout);
        if proxy {
            options = options.trusted_proxies(TrustedProxies::networks(["127.0.0.1"]).unwrap());
        }
        let io = options.build();
        let addr = serve_either_way(&io, through).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let opened = ask(&mut stream, "GET", "transport=polling", "").await;
        let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
        let query = format!("transport=polling&sid={}", open["sid"].as_str().unwrap());
        assert_eq!(ask(&mut stream, "GET", &query, "").await, "2");
        if proxy {
            let still = tokio::time::timeout(timeout + short, stream.read(&mut [0; 1])).await;
            assert!(still.is_err(), "it was closed");
        } else {
            assert_eq!(rest(&mut stream).await, "");
        }
        assert_eq!(io.metrics().limit(Limit::IdleTime), 0, "no limit that clients run into");
        io.close_within(Duration::ZERO).await;
    }
}

/// F-SEC-01: a client that takes an answer slowly and steadily is not one that takes nothing.
#[cfg(any(target_os = "android", target_os = "linux"))]
#[tokio::test]
async fn slow_readers_get_all_of_an_answer() {
    let io = Server::builder().write_timeout(Duration::from_secs(1)).build();
    let whole = bytes::Bytes::from(vec![b'x'; 20_000_000]);
    let length = whole.len();
    let app = Router::new().route("/", get(async move || whole)).layer(io.layer());
    let (addr, _) = serve(&io, app).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut taken = 0;
    let began = Instant::now();
    let mut buffer = vec![0; 20_000];
    // Steadily for as long as it takes to see, then all the rest.
    while began.elapsed() < Duration::from_secs(6) {
        taken += stream.read(&mut buffer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rest = rest(&mut stream).await.len();
    assert!(taken + rest > length, "{taken} and {rest} bytes");
    assert_eq!(io.metrics().limit(Limit::AnswerTime), 0);
}
