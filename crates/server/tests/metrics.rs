//! What a server counts.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use support::{Client, until};
use wirebird::engine::{CloseReason, Session};
use wirebird::extract::Data;
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
    let io = Server::builder().handler_times(true).build();
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
            assert!(!families.contains(&name) && ["gauge", "counter", "histogram"].contains(&kind), "{line}");
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
        value.parse::<f64>().unwrap();
        let sample = sample.split('{').next().unwrap();
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        assert!(suffixes.iter().any(|suffix| sample == format!("{name}{suffix}")), "{line}");
    }
    assert_eq!(text.matches("wirebird_limits_reached_total{").count(), Limit::ALL.len());
}

/// F-LOG-05: events that come in and go out, and the bytes of messages: what goes to many is emitted once, and sent to each.
#[tokio::test]
async fn events_and_bytes_are_counted() {
    let io = Server::new();
    io.on_connect(async || ());
    io.on("echo", async |Data(text): Data<String>| text);
    let clients = [Client::open(&io), Client::open(&io), Client::open(&io)];
    for client in &clients {
        client.join("/").await;
    }
    let before = io.metrics();
    assert_eq!((before.received_events(), before.emitted_events()), (0, 0));
    assert_eq!((before.received_bytes(), before.sent_messages()), (3, 3), "CONNECT, and the answer to it");

    let event = r#"["echo","some text"]"#;
    assert_eq!(clients[0].call(1, event).await, [r#"31["some text"]"#]);
    clients[0].send(r#"2["unknown"]"#);
    io.emit("news", "for all").unwrap();
    io.to("nowhere").emit("news", "for nobody").unwrap();
    for client in &clients {
        assert_eq!(client.next().await, r#"2["news","for all"]"#);
    }
    let after = io.metrics();
    assert_eq!((after.received_events(), after.emitted_events()), (2, 2));
    let received = "21".len() + event.len() + r#"2["unknown"]"#.len();
    assert_eq!(after.received_bytes(), 3 + received as u64);
    assert_eq!(after.sent_messages(), 3 + 1 + 3);
    let sent = r#"31["some text"]"#.len() + 3 * r#"2["news","for all"]"#.len();
    // Each has the head of a frame, and the type of an Engine.IO packet.
    assert_eq!(after.sent_bytes() - before.sent_bytes(), (sent + 4 * 3) as u64);

    for (name, expected) in [
        ("received_events", 2),
        ("emitted_events", 2),
        ("received_bytes", after.received_bytes()),
        ("sent_messages", 7),
        ("sent_bytes", after.sent_bytes()),
    ] {
        assert_eq!(value(&after, &format!("wirebird_{name}_total")), expected, "{name}");
    }
    assert_eq!(value(&after, "wirebird_waiting_broadcast_bytes"), 0);
}

/// F-LOG-05: how long handlers take is measured where that is asked for, whichever way they end.
#[tokio::test(start_paused = true)]
async fn handlers_are_timed_when_asked_for() {
    assert!(Server::new().metrics().handler_times().is_none());
    let io = Server::builder().handler_times(true).build();
    io.on("at once", async || ());
    io.on("slow", async || tokio::time::sleep(Duration::from_millis(30)).await);
    io.of("/other").on("panic", async || -> () {
        tokio::time::sleep(Duration::from_secs(2)).await;
        panic!("as the test wants it")
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/other").await;
    client.send(r#"2["at once"]"#);
    client.send(r#"2["slow"]"#);
    client.send(r#"2/other,["panic"]"#);
    client.send(r#"2["nobody handles this"]"#);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let metrics = io.metrics();
    let times = metrics.handler_times().unwrap();
    assert_eq!(times.count(), 3);
    let up_to =
        |millis| times.buckets().find(|(bound, _)| *bound == Duration::from_millis(millis)).unwrap().1;
    assert_eq!((up_to(20), up_to(50), up_to(1000), up_to(5000)), (1, 2, 2, 3));
    assert!(times.total() >= Duration::from_millis(2030) && times.total() < Duration::from_secs(3));
    assert_eq!(value(&metrics, r#"wirebird_handler_seconds_bucket{le="0.05"}"#), 2);
    assert_eq!(value(&metrics, r#"wirebird_handler_seconds_bucket{le="+Inf"}"#), 3);
    assert_eq!(value(&metrics, "wirebird_handler_seconds_count"), 3);
}
