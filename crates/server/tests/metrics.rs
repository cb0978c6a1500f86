//! What a server counts.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use support::{Client, until};
use wirebird::engine::{CloseReason, Session};
use wirebird::{Limit, Metrics, Observer, Server, Socket, TransportKind};

/// The value of a line of the text.
#[track_caller]
fn value(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.to_openmetrics();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

async fn get(io: &Server, target: &str) -> (u16, String) {
    use http_body_util::BodyExt;
    let response = io.handle(Request::get(target).body(Full::<Bytes>::default()).unwrap()).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// F-LOG-05, F-INT-03: connections by transport, those that came and went, sockets by namespace.
#[tokio::test]
async fn connections_and_sockets_are_counted() {
    let io = Server::new();
    io.on("event", async || ());
    io.of("/news").on_connect(async || ());
    io.of_pattern("/chat-{room}").on_connect(async || ());
    let (one, two) = (Client::open(&io), Client::open(&io));
    one.join("/").await;
    one.join("/news").await;
    two.join("/").await;
    two.join("/chat-1").await;
    assert_eq!(get(&io, "/socket.io/?EIO=4&transport=polling").await.0, 200);

    let metrics = io.metrics();
    let on = |kind| metrics.sessions_on(kind);
    assert_eq!((on(TransportKind::WebSocket), on(TransportKind::Polling), metrics.sessions()), (2, 1, 3));
    assert_eq!(
        (metrics.sockets(), metrics.sockets_in("/"), metrics.sockets_in("/news")),
        (4, Some(2), Some(1))
    );
    assert_eq!(
        (metrics.dynamic_sockets(), metrics.sockets_in("/chat-1"), metrics.namespaces()),
        (1, None, 3)
    );
    assert_eq!(value(&metrics, r#"wirebird_sessions{transport="websocket"}"#), 2);
    assert_eq!(value(&metrics, r#"wirebird_sockets{namespace="/news"}"#), 1);
    assert_eq!(value(&metrics, r#"wirebird_sockets{namespace=""}"#), 1);

    one.break_off();
    two.raw("1");
    until("both to be gone", || io.metrics().sessions() == 1).await;
    let metrics = io.metrics();
    assert_eq!(metrics.opened(TransportKind::WebSocket), 2);
    assert_eq!(metrics.closed(CloseReason::TransportClose), 1);
    assert_eq!(value(&metrics, r#"wirebird_sessions_closed_total{reason="client-close"}"#), 1);
    until("the sockets to be gone", || io.metrics().sockets() == 0).await;
}

/// F-LOG-05: a session that moves to another transport is counted there.
#[tokio::test]
async fn upgrades_are_counted() {
    let io = Server::new();
    let (_, open) = get(&io, "/socket.io/?EIO=4&transport=polling").await;
    let session = io.engine().session(&support::sid(&open)).unwrap();
    let link = wirebird::engine::memory::Connection::upgrade(&session, || ()).unwrap();
    for packet in ["2probe", "5"] {
        link.feed(wirebird::engine::Frame::Text(packet.into()));
    }
    let metrics = io.metrics();
    assert_eq!((metrics.sessions_on(TransportKind::Polling), metrics.upgrades()), (0, 1));
    assert_eq!(metrics.sessions_on(TransportKind::WebSocket), 1);
    drop(link);
    assert_eq!(io.metrics().sessions(), 0);
    assert_eq!(value(&io.metrics(), "wirebird_upgrades_total"), 1);
}

/// F-LOG-05, F-LOG-02: refused requests by cause, with status and code.
#[tokio::test]
async fn refused_requests_are_counted_by_cause() {
    let io = Server::builder().max_sessions(1).build();
    assert!(io.metrics().refused().is_empty());
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for (target, status) in [
        ("/socket.io/?EIO=4&transport=polling&sid=nobody", 400),
        ("/socket.io/?EIO=4&transport=polling&sid=nobody", 400),
        (handshake, 200),
        (handshake, 503),
    ] {
        assert_eq!(get(&io, target).await.0, status, "{target}");
    }
    let metrics = io.metrics();
    let refused: Vec<_> = metrics
        .refused()
        .iter()
        .map(|each| (each.cause, each.status.as_u16(), each.code, each.count))
        .collect();
    assert_eq!(refused, [("full", 503, None, 1), ("unknown-session", 400, Some(1), 2)]);
    let name = r#"wirebird_refused_requests_total{status="400",code="1",cause="unknown-session"}"#;
    assert_eq!(value(&metrics, name), 2);
    assert_eq!(metrics.limit(Limit::Sessions), 1);
}

type Seen = Arc<Mutex<Vec<(Limit, bool)>>>;

#[derive(Clone, Default)]
struct Watch(Seen);

impl Observer for Watch {
    fn limit_reached(&self, limit: Limit, session: Option<&Session>) {
        self.0.lock().push((limit, session.is_some()));
    }
}

/// F-LOG-05: a limit that a client runs into is counted, and the observer is told whose client it was.
#[tokio::test]
async fn limits_are_counted_and_told_of() {
    let watch = Watch::default();
    let io = Server::builder().max_rooms(1).observer(watch.clone()).build();
    io.on("join", async |socket: Socket| (socket.join("a").is_ok(), socket.join("b").is_ok()));
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(1, r#"["join"]"#).await, ["31[true,false]"]);
    assert_eq!(*watch.0.lock(), [(Limit::Rooms, true)]);
    assert_eq!(io.metrics().limit(Limit::Rooms), 1);
    assert_eq!(value(&io.metrics(), r#"wirebird_limits_reached_total{limit="rooms"}"#), 1);
}

/// F-LOG-05: the text is well formed: families in one piece, with type and help, labels escaped, and an end.
#[tokio::test]
async fn the_text_is_openmetrics() {
    let io = Server::new();
    io.of("/a \"b\" \\ \n c").on_connect(async || ());
    get(&io, "/socket.io/?EIO=5").await;
    let text = io.metrics().to_openmetrics();
    assert!(
        text.ends_with("# EOF\n") && text.contains(r#"wirebird_sockets{namespace="/a \"b\" \\ \n c"} 0"#)
    );
    let (mut families, mut family) = (Vec::new(), None);
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(!families.contains(&name) && ["gauge", "counter"].contains(&kind), "{line}");
            families.push(name);
            family = Some((name, kind));
            continue;
        }
        let (name, kind) = family.unwrap();
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.starts_with(name) && help.ends_with('.'), "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        value.parse::<u64>().unwrap();
        let sample = sample.split('{').next().unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        assert_eq!(sample, format!("{name}{suffix}"));
    }
    assert_eq!(text.matches("wirebird_limits_reached_total{").count(), Limit::ALL.len());
}
