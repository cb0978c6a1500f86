//! Draining: no new clients, those that are there sent away in turn, nothing of theirs lost.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use support::{Client, Latch, PATIENCE, logged, settle, tcp, until, watched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tower_service::Service;
use wirebird::{DisconnectReason, Server, Socket};

const SECOND: Duration = Duration::from_secs(1);

fn draining(io: &Server, window: Duration) -> JoinHandle<()> {
    let io = io.clone();
    tokio::spawn(async move { io.drain(window).await })
}

async fn joined(io: &Server, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = Client::open(io);
        client.join("/").await;
        clients.push(client);
    }
    clients
}

/// Clients that take what comes, as real ones do.
async fn reading(io: &Server, count: usize) -> Arc<Vec<Client>> {
    let clients = Arc::new(joined(io, count).await);
    let reading = clients.clone();
    tokio::spawn(async move {
        while Arc::strong_count(&reading) > 1 {
            reading.iter().for_each(|client| drop(client.take()));
            sleep(Duration::from_millis(20)).await;
        }
    });
    clients
}

fn left(clients: &[Client]) -> usize {
    clients.iter().filter(|client| client.is_open()).count()
}

/// F-PRO-22: clients are closed one after another, spread evenly over the window, and disconnect handlers get the documented reason.
#[tokio::test(start_paused = true)]
async fn clients_leave_in_turn() {
    let (builder, log) = logged();
    let io = watched(builder);
    let clients = reading(&io, 100).await;
    let begun = Instant::now();
    let done = draining(&io, 20 * SECOND);
    let mut closed = Vec::new();
    for step in 1..=20 {
        sleep_until(begun + SECOND * step + Duration::from_millis(1)).await;
        closed.push(100 - left(&clients));
    }
    for (step, closed) in (1..).zip(&closed) {
        assert!(closed.abs_diff(step * 5) <= 1, "{closed} were gone after {step} s");
    }
    done.await.unwrap();
    assert!(begun.elapsed() < 21 * SECOND);
    let reasons = log.wait(100).await;
    assert!(reasons.iter().all(|reason| *reason == format!("{:?}", DisconnectReason::ServerShutdown)));
    io.closed().await;
}

/// F-PRO-22: two servers with as many clients do not close theirs at the same moments.
#[tokio::test(start_paused = true)]
async fn the_turns_are_jittered() {
    let mut moments = Vec::new();
    for _ in 0..2 {
        let io = Server::new();
        let clients = reading(&io, 10).await;
        let begun = Instant::now();
        let done = draining(&io, 10 * SECOND);
        let mut seen = Vec::new();
        while !clients.is_empty() && left(&clients) > 0 {
            let before = left(&clients);
            sleep(Duration::from_millis(5)).await;
            if left(&clients) < before {
                seen.push(begun.elapsed().as_millis() / 20);
            }
        }
        done.await.unwrap();
        moments.push(seen);
    }
    assert_ne!(moments[0], moments[1]);
}

/// F-PRO-22: while the server drains, clients whose turn has not come go on as ever, and no new ones are let in.
#[tokio::test(start_paused = true)]
async fn those_that_are_there_go_on() {
    let io = Server::new();
    io.on("ping", async || "pong");
    let clients = joined(&io, 4).await;
    assert!(io.is_ready());
    let mut told = std::pin::pin!(io.draining());
    assert!(futures_util::poll!(told.as_mut()).is_pending());
    let done = draining(&io, 20 * SECOND);
    told.await;
    assert!(!io.is_ready());
    assert!(io.connect_memory(wirebird::Handshake::default(), || {}).is_none());
    sleep(SECOND).await;
    let last = clients.iter().rev().find(|client| client.is_open()).unwrap();
    assert_eq!(last.call(1, r#"["ping"]"#).await, [r#"31["pong"]"#]);
    done.await.unwrap();
}

/// F-PRO-22, F-ACK-01: what is under way is waited for: handlers and their acknowledgements, those that clients owe, and what is
/// queued.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_waited_for() {
    let latch = Latch::default();
    let io = Server::builder().state(latch.clone()).build();
    io.on("work", async |wirebird::extract::State(latch): wirebird::extract::State<Latch>| {
        latch.wait().await;
        "done"
    });
    let clients = joined(&io, 3).await;
    let [works, owes, idle] = &clients[..] else { panic!() };
    let socket = |index: usize| io.sockets().into_iter().nth(index).unwrap();
    works.send(r#"27["work"]"#);
    let asked: Vec<Socket> = (0..3).map(socket).collect();
    // Which socket is whose does not matter: each is asked, and all but one answer at once.
    let answers: Vec<_> = asked
        .iter()
        .map(|socket| {
            tokio::spawn(std::future::IntoFuture::into_future(socket.emit_with_ack::<u32>("question", ())))
        })
        .collect();
    settle().await;
    for client in [works, idle] {
        client.send("30[1]");
    }
    let begun = Instant::now();
    let done = draining(&io, Duration::ZERO);
    sleep(SECOND).await;
    assert!(!idle.is_open() && works.is_open() && owes.is_open());
    latch.open(1);
    sleep(SECOND).await;
    assert!(works.take().contains(&r#"37["done"]"#.to_owned()) && !works.is_open());
    assert!(owes.is_open());
    owes.send("30[2]");
    sleep(Duration::from_millis(100)).await;
    assert!(clients.iter().all(|client| !client.is_open()));
    assert!([owes, idle].iter().all(|client| client.take().iter().any(|packet| packet.contains("question"))));
    done.await.unwrap();
    assert!(begun.elapsed() < 3 * SECOND);
    let mut sum = 0;
    for answer in answers {
        sum += answer.await.unwrap().unwrap();
    }
    assert_eq!(sum, 4, "every answer came");
}

/// F-PRO-22: but not for ever: the deadline is 5 s after the window.
#[tokio::test(start_paused = true)]
async fn the_deadline_holds() {
    for (window, within) in [(SECOND, None), (SECOND, Some(3 * SECOND))] {
        let (builder, log) = logged();
        let io = watched(builder);
        io.on("work", async || std::future::pending::<()>().await);
        let clients = joined(&io, 2).await;
        clients[0].send(r#"27["work"]"#);
        let begun = Instant::now();
        match within {
            None => io.drain(window).await,
            Some(within) => io.drain_within(window, within).await,
        }
        let deadline = within.unwrap_or(window + 5 * SECOND);
        assert!(begun.elapsed() >= deadline && begun.elapsed() < deadline + SECOND, "{:?}", begun.elapsed());
        assert_eq!(left(&clients), 0);
        assert!(!log.all().is_empty());
    }
}

/// F-PRO-22: called again, the shorter window counts; closing ends it; and there is no way back.
#[tokio::test(start_paused = true)]
async fn called_again_and_closed() {
    let io = Server::new();
    let clients = reading(&io, 10).await;
    let begun = Instant::now();
    let first = draining(&io, 20 * SECOND);
    sleep(SECOND).await;
    let second = draining(&io, 2 * SECOND);
    first.await.unwrap();
    second.await.unwrap();
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(left(&clients), 0);
    io.drain(20 * SECOND).await;
    assert!(begun.elapsed() < 5 * SECOND);

    let io = Server::new();
    let clients = reading(&io, 10).await;
    let begun = Instant::now();
    let drained = draining(&io, 20 * SECOND);
    sleep(SECOND).await;
    io.close().await;
    drained.await.unwrap();
    assert!(begun.elapsed() < 7 * SECOND && left(&clients) == 0);
    assert!(!io.is_ready());
}

/// F-PRO-22: whoever drops the future stops sending clients away; the server stays out of service, and can be drained or closed.
#[tokio::test(start_paused = true)]
async fn the_future_may_be_dropped() {
    let io = Server::new();
    let clients = reading(&io, 10).await;
    assert!(tokio::time::timeout(5 * SECOND, io.drain(10 * SECOND)).await.is_err());
    let after = left(&clients);
    assert!((4..=6).contains(&after), "{after}");
    sleep(10 * SECOND).await;
    assert_eq!(left(&clients), after);
    assert!(!io.is_ready());
    io.drain(Duration::ZERO).await;
    assert_eq!(left(&clients), 0);
}

/// F-PRO-22: a server without a runtime has no time to spread anything over: it closes.
#[test]
fn without_a_runtime() {
    let io = Server::new();
    let client = Client::inline(&io);
    client.join_now("/");
    let mut drain = std::pin::pin!(io.drain(SECOND));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(drain.as_mut().poll(&mut cx).is_ready());
    assert!(!client.is_open() && !io.is_ready());
}

/// F-PRO-22: what orchestrators and balancers ask.
#[tokio::test]
async fn health_and_readiness() {
    async fn ask<S>(mut service: S, method: Method) -> (u16, String)
    where
        S: Service<Request<()>, Response = http::Response<http_body_util::Full<bytes::Bytes>>>,
        S::Error: std::fmt::Debug,
    {
        let request = Request::builder().method(method).uri("/any").body(()).unwrap();
        let response = service.call(request).await.unwrap();
        let status = response.status().as_u16();
        if status != 405 {
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(response.headers()["content-type"], "application/json");
        }
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
    let io = Server::new();
    let both = async || (ask(io.health(), Method::GET).await, ask(io.ready(), Method::HEAD).await);
    let said = |status: u16, text: &str| (status, format!("{{\"status\":\"{text}\"}}"));
    assert_eq!(both().await, (said(200, "ok"), said(200, "ready")));
    assert_eq!(ask(io.ready(), Method::POST).await, (405, String::new()));
    let _client = joined(&io, 1).await;
    let done = draining(&io, 20 * SECOND);
    io.draining().await;
    assert_eq!(both().await, (said(200, "ok"), said(503, "draining")));
    io.close().await;
    done.await.unwrap();
    assert_eq!(both().await, (said(503, "closed"), said(503, "closed")));
}

// ---- over TCP ----

struct Site {
    io: Server,
    addr: SocketAddr,
    served: JoinHandle<std::io::Result<()>>,
}

async fn site() -> Site {
    let io = Server::new();
    io.on_connect(async || {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/health", io.health()).route_service("/ready", io.ready());
    let served = tokio::spawn({
        let io = io.clone();
        async move { io.serve_with_service(listener, app).await }
    });
    Site { io, addr, served }
}

async fn write(stream: &mut TcpStream, head: &str, body: &str) {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let text = format!("{head} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// The next answer on a connection: all of it, once its body has come.
async fn answer(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let whole = async {
        loop {
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_lowercase().lines().find_map(|line| {
                    line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap_or(0) {
                    return text;
                }
            }
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the end after {text:?}");
            got.extend_from_slice(&piece[..read]);
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("an answer")
}

/// A client on polling, connected, with a poll under way; and its target.
async fn polling(addr: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    write(&mut stream, "GET /socket.io/?EIO=4&transport=polling", "").await;
    let opened = answer(&mut stream).await;
    let target = tcp::target(&opened);
    write(&mut stream, &format!("POST {target}"), "40").await;
    assert!(answer(&mut stream).await.ends_with("ok"));
    write(&mut stream, &format!("GET {target}"), "").await;
    assert!(answer(&mut stream).await.contains("40{"));
    write(&mut stream, &format!("GET {target}"), "").await;
    (stream, target)
}

/// A client on WebSocket, connected.
async fn websocket(addr: SocketAddr) -> TcpStream {
    let mut stream = tcp::websocket(addr).await;
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("40{") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0);
        got.extend_from_slice(&piece[..read]);
    }
    stream
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the end");
    rest
}

/// F-PRO-22: over the network: 503 with `Retry-After` for whoever comes now, polls and WebSockets of those that are there go on; they
/// are told in such a way that they come back, which a close packet would keep Python's clients from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_see() {
    let Site { io, addr, served } = site().await;
    let (mut poll, target) = polling(addr).await;
    let mut ws = websocket(addr).await;
    let mut late = TcpStream::connect(addr).await.unwrap();
    let done = draining(&io, 2 * SECOND);
    io.draining().await;
    write(&mut late, "GET /socket.io/?EIO=4&transport=polling", "").await;
    let refused = answer(&mut late).await.to_lowercase();
    assert!(refused.starts_with("http/1.1 503 ") && refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    write(&mut late, "GET /ready", "").await;
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 503 "));
    write(&mut late, "GET /health", "").await;
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 200 "));
    assert!(answer(&mut poll).await.ends_with("\r\n\r\n6"), "nothing that keeps clients from coming back");
    write(&mut poll, &format!("GET {target}"), "").await;
    assert!(answer(&mut poll).await.starts_with("HTTP/1.1 400 "));
    assert!(rest(&mut ws).await.ends_with(b"\x88\x16\x03\xe9server shutting down"));
    done.await.unwrap();
    served.await.unwrap().unwrap();
}

/// F-PRO-22, pain 20: a thousand clients on both transports are gone within two seconds when no window is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_clients_are_gone_within_two_seconds() {
    let Site { io, addr, served } = site().await;
    let mut clients = tokio::task::JoinSet::new();
    let (connected, mut all) = tokio::sync::mpsc::unbounded_channel();
    for index in 0..1000 {
        let connected = connected.clone();
        clients.spawn(async move {
            if index % 2 == 0 {
                let mut stream = websocket(addr).await;
                connected.send(()).unwrap();
                assert!(rest(&mut stream).await.ends_with(b"server shutting down"));
            } else {
                let (mut stream, _) = polling(addr).await;
                connected.send(()).unwrap();
                assert!(answer(&mut stream).await.ends_with("\r\n\r\n6"));
            }
        });
    }
    for _ in 0..1000 {
        tokio::time::timeout(6 * PATIENCE, all.recv()).await.expect("a client").unwrap();
    }
    until("all are there", || io.sockets().len() == 1000).await;
    let begun = Instant::now();
    io.drain(Duration::ZERO).await;
    let took = begun.elapsed();
    assert!(took < 2 * SECOND, "{took:?}");
    assert!(io.sockets().is_empty());
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    served.await.unwrap().unwrap();
}
