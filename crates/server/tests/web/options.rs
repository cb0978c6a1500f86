//! The options of a server: for each its default, what a value does, and what a value that cannot work gets.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wirebird::engine::Config;
use wirebird::engine::memory::Connection;
use wirebird::{
    Accept, Builder, Concurrency, Cookie, CookieValue, Cors, DisconnectReason, Handshake, Origins, Overflow,
    SendQueue, Server, Transports,
};

use crate::http::{Response, Site};
use crate::support::{Client, Latch, logged, settle, watched};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const SECOND: Duration = Duration::from_secs(1);

/// The engine's side of a server's options.
fn config(change: impl FnOnce(Builder) -> Builder) -> Config {
    change(Server::builder()).build().engine().config().clone()
}

/// Checks that a value is refused when the server is built, by a text that names the option; `build` panics with it.
#[track_caller]
fn refused(option: &str, change: impl Fn(Builder) -> Builder) {
    let error = change(Server::builder()).try_build().unwrap_err().to_string();
    assert!(error.contains(option), "{error:?} does not name {option}");
    let panic = catch_unwind(AssertUnwindSafe(|| change(Server::builder()).build())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(*text, format!("invalid options for a Socket.IO server: {error}"));
}

fn open(io: &Server) -> serde_json::Value {
    let client = io.connect_memory(Handshake::default(), || ()).unwrap();
    open_packet(&client)
}

fn open_packet(client: &Connection) -> serde_json::Value {
    let frames = client.take_batch();
    let wirebird::engine::Frame::Text(text) = &frames[0] else { panic!("{frames:?}") };
    serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap()
}

/// F-OPT-06: events of a socket are handled in order, or so many at a time; at least one.
#[tokio::test]
async fn opt_06_concurrency() {
    for (concurrency, at_once) in
        [(None, 1), (Some(Concurrency::Ordered), 1), (Some(Concurrency::Concurrent(3)), 3)]
    {
        let (mut builder, _) = logged();
        if let Some(concurrency) = concurrency {
            builder = builder.concurrency(concurrency);
        }
        let io = builder.build();
        let (begun, latch) = (Arc::new(AtomicU32::new(0)), Latch::default());
        let (counter, waits) = (begun.clone(), latch.clone());
        io.on("work", move || {
            let (counter, waits) = (counter.clone(), waits.clone());
            async move {
                counter.fetch_add(1, Ordering::Relaxed);
                waits.wait().await;
            }
        });
        let client = Client::open(&io);
        client.join("/").await;
        (0..5).for_each(|_| client.send(r#"2["work"]"#));
        settle().await;
        assert_eq!(begun.load(Ordering::Relaxed), at_once, "{concurrency:?}");
    }
    refused("concurrency", |b| b.concurrency(Concurrency::Concurrent(0)));
}

/// F-OPT-07: by default the connect handler decides first.
#[tokio::test]
async fn opt_07_always_connect() {
    for (always, expected) in [(None, "4"), (Some(false), "4"), (Some(true), "0")] {
        let builder = always.map_or_else(Server::builder, |always| Server::builder().always_connect(always));
        let io = builder.build();
        io.on_connect(async || Err::<(), _>(wirebird::ConnectError::new("no")));
        let client = Client::open(&io);
        client.send("0");
        assert!(client.next().await.starts_with(expected), "{always:?}");
    }
}

/// F-OPT-08: `/` by default, a list, all, or those that a function allows.
#[tokio::test]
async fn opt_08_namespaces() {
    let checked = Accept::check(|name, _| name == "/checked");
    for (accept, open) in [
        (None, vec!["/"]),
        (Some(Accept::List(vec!["/a".into(), "b".into()])), vec!["/a", "/b"]),
        (Some(Accept::List(vec![])), vec![]),
        (Some(Accept::Any), vec!["/", "/a", "/b", "/checked"]),
        (Some(checked), vec!["/checked"]),
    ] {
        let builder = match &accept {
            Some(accept) => Server::builder().namespaces(accept.clone()),
            None => Server::builder(),
        };
        let io = builder.build();
        for name in ["/", "/a", "/b", "/checked"] {
            let client = Client::open(&io);
            client.send(crate::support::connect(name));
            let accepted = client.next().await.starts_with('0');
            assert_eq!(accepted, open.contains(&name), "{name} with {accept:?}");
        }
    }
    refused("namespaces", |b| b.namespaces(Accept::List(vec!["/a,b".into()])));
    refused("namespaces", |b| b.namespaces(Accept::List(vec![String::new()])));
}

/// F-OPT-10: the interval, and a grace that only clients are told of; to the millisecond, and never zero.
#[tokio::test(start_paused = true)]
async fn opt_10_ping_interval() {
    assert_eq!(config(|b| b).ping_interval, 25 * SECOND);
    assert_eq!(config(|b| b).ping_grace, Duration::ZERO);
    let millis = Duration::from_millis;
    for (interval, grace, advertised) in [
        (millis(25_000), Duration::ZERO, 25_000),
        (millis(500), Duration::ZERO, 500),
        (millis(500), millis(250), 750),
        (Duration::from_micros(10_500), Duration::ZERO, 11),
        // What a browser's timer can still wait for, together with the timeout.
        (Duration::MAX, Duration::MAX, (1 << 30) - 1),
    ] {
        let io = Server::builder().ping_interval(interval).ping_grace(grace).build();
        assert_eq!(open(&io)["pingInterval"], advertised, "{interval:?} + {grace:?}");
    }
    let io = Server::builder().ping_interval(10 * SECOND).ping_grace(5 * SECOND).build();
    io.engine().attach_runtime();
    let client = io.connect_memory(Handshake::default(), || ()).unwrap();
    open_packet(&client);
    tokio::time::sleep(9 * SECOND).await;
    assert_eq!(client.take_batch(), []);
    tokio::time::sleep(SECOND + millis(20)).await;
    assert_eq!(client.take_batch(), [wirebird::engine::Frame::Text("2".into())], "no grace for the server");
    for bad in [Duration::ZERO, Duration::from_micros(999)] {
        refused("ping_interval", move |b| b.ping_interval(bad));
    }
}

/// F-OPT-11: how long a pong may take.
#[tokio::test(start_paused = true)]
async fn opt_11_ping_timeout() {
    assert_eq!(config(|b| b).ping_timeout, 20 * SECOND);
    for seconds in [1, 20, 100] {
        let (builder, log) = logged();
        // The client does not even take the ping.
        let io = watched(builder.ping_timeout(seconds * SECOND).write_timeout(200 * SECOND));
        assert_eq!(open(&io)["pingTimeout"], seconds * 1000);
        let client = Client::mute(&io);
        client.join("/").await;
        tokio::time::sleep(25 * SECOND + seconds * SECOND - Duration::from_millis(100)).await;
        assert!(client.is_open());
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.closed().await;
        assert_eq!(log.wait(1).await, [format!("{:?}", DisconnectReason::PingTimeout)]);
    }
    refused("ping_timeout", |b| b.ping_timeout(Duration::ZERO));
}

/// F-PRO-12: how long nothing may be taken of what waits; the server knows the reason by a name of its own.
#[tokio::test(start_paused = true)]
async fn write_timeout() {
    assert_eq!(config(|b| b).write_timeout, 30 * SECOND);
    for seconds in [2, 30] {
        let (builder, log) = logged();
        let io = watched(builder.write_timeout(seconds * SECOND).ping_interval(600 * SECOND));
        let client = Client::open(&io);
        client.join("/").await;
        io.emit("news", ()).unwrap();
        tokio::time::sleep(seconds * SECOND - Duration::from_millis(100)).await;
        assert!(client.is_open());
        tokio::time::sleep(seconds * SECOND / 2).await;
        assert!(!client.is_open());
        assert_eq!(log.wait(1).await, [format!("{:?}", DisconnectReason::SlowConsumer)]);
    }
    refused("write_timeout", |b| b.write_timeout(Duration::ZERO));
}

/// F-OPT-12: bytes of a message, on both transports; clients are told.
#[tokio::test]
async fn opt_12_max_payload() {
    assert_eq!(config(|b| b).max_payload, 1_000_000);
    let io = Server::builder().max_payload(100).build();
    assert_eq!(open(&io)["maxPayload"], 100);
    let site = Site::alone(&io).await;
    for (length, status) in [(100, 200), (101, 413)] {
        let session = format!("{POLLING}&sid={}", site.get(POLLING).await.sid());
        let body = format!("4{}", "€".repeat(33));
        assert_eq!(body.len(), 100, "bytes count, not characters");
        let body = &format!("{body}x")[..length];
        assert_eq!(site.request("POST", &session, &[], body).await.status, status, "{length}");
    }
    refused("max_payload", |b| b.max_payload(0));
}

/// F-OPT-13: whether a client may move to a WebSocket; it is told so.
#[tokio::test]
async fn opt_13_allow_upgrades() {
    assert!(config(|b| b).allow_upgrades);
    for (allow, offered, status) in [(true, vec!["websocket"], 101), (false, vec![], 400)] {
        let site = Site::alone(&Server::builder().allow_upgrades(allow).build()).await;
        let opened = site.get(POLLING).await;
        let open: serde_json::Value = serde_json::from_str(&opened.text()[1..]).unwrap();
        assert_eq!(open["upgrades"], serde_json::json!(offered));
        let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", opened.sid());
        assert_eq!(site.upgrade(&target, &[]).await.status, status);
    }
}

/// A poll's reply of so many bytes to a client that reads gzip.
async fn reply(builder: Builder, bytes: usize) -> Response {
    let io = builder.build();
    let site = Site::alone(&io).await;
    let sid = site.get(POLLING).await.sid();
    let text = "x".repeat(bytes - 1);
    io.engine().session(&sid).unwrap().send(wirebird::engine::Outgoing::text(&text)).unwrap();
    site.request("GET", &format!("{POLLING}&sid={sid}"), &[("Accept-Encoding", "gzip")], "").await
}

/// F-OPT-14: replies are compressed for those who can read it.
#[tokio::test]
async fn opt_14_http_compression() {
    assert!(config(|b| b).http_compression);
    for (compress, encoding) in [(true, Some("gzip")), (false, None)] {
        let response = reply(Server::builder().http_compression(compress), 5000).await;
        assert_eq!(response.header("content-encoding"), encoding);
    }
}

/// F-OPT-15: a reply of exactly the threshold is compressed.
#[tokio::test]
async fn opt_15_compression_threshold() {
    assert_eq!(config(|b| b).compression_threshold, 1024);
    for threshold in [300, 1024] {
        for (bytes, encoding) in [(threshold - 1, None), (threshold, Some("gzip"))] {
            let response = reply(Server::builder().compression_threshold(threshold), bytes).await;
            assert_eq!(response.header("content-encoding"), encoding, "{bytes} of {threshold}");
        }
    }
}

/// F-OPT-16, F-SCL-05: a name alone, and attributes: text, made for each cookie, bare, left out.
#[tokio::test]
async fn opt_16_cookie() {
    let served = Arc::new(AtomicU32::new(0));
    let counter = served.clone();
    let made = CookieValue::made(move || counter.fetch_add(1, Ordering::Relaxed).to_string());
    let cases = [
        (None, None),
        (Some(Cookie::named("io")), Some("Path=/; HttpOnly; SameSite=Lax")),
        (
            Some(Cookie::named("n").attribute("Max-Age", "60")),
            Some("Path=/; HttpOnly; SameSite=Lax; Max-Age=60"),
        ),
        (Some(Cookie::named("n").attribute("path", "/x")), Some("HttpOnly; SameSite=Lax; path=/x")),
        (
            Some(Cookie::named("n").attribute("Partitioned", true)),
            Some("Path=/; HttpOnly; SameSite=Lax; Partitioned"),
        ),
        (Some(Cookie::named("n").attribute("HttpOnly", false)), Some("Path=/; SameSite=Lax")),
        (
            Some(Cookie::named("n").attribute("SameSite", "None")),
            Some("Path=/; HttpOnly; SameSite=None; Secure"),
        ),
        (Some(Cookie::named("n").attribute("X", made)), Some("Path=/; HttpOnly; SameSite=Lax; X=0")),
    ];
    for (cookie, attributes) in cases {
        let mut builder = Server::builder();
        let name = cookie.as_ref().map(|cookie| cookie.name.clone());
        if let Some(cookie) = cookie {
            builder = builder.cookie(cookie);
        }
        let opened = Site::alone(&builder.build()).await.get(POLLING).await;
        let expected = name.zip(attributes).map(|(name, rest)| format!("{name}={}; {rest}", opened.sid()));
        assert_eq!(opened.header("set-cookie"), expected.as_deref());
    }
    for bad in ["a\r\nX: y", "a;b", "a\nb", "é", "a\0"] {
        refused("cookie", move |b| b.cookie(Cookie::named(bad)));
        refused("cookie", move |b| b.cookie(Cookie::default().attribute("Path", bad)));
        refused("cookie", move |b| b.cookie(Cookie::default().attribute(bad, true)));
    }
    for bad in ["", "a b", "a=b", "a,b"] {
        refused("cookie", move |b| b.cookie(Cookie::named(bad)));
    }
}

/// F-OPT-16: what is made for a cookie and cannot stand in one is left out, the rest of the cookie stays.
#[tokio::test]
async fn opt_16_cookie_values_made_wrong_are_left_out() {
    let cookie = Cookie::named("io")
        .attribute("Split", CookieValue::made(|| "a\r\nX-Evil: 1".into()))
        .attribute("More", CookieValue::made(|| "a; Domain=evil.org".into()))
        .attribute("Panic", CookieValue::made(|| panic!("no value")));
    let opened = Site::alone(&Server::builder().cookie(cookie).build()).await.get(POLLING).await;
    let expected = format!("io={}; Path=/; HttpOnly; SameSite=Lax", opened.sid());
    assert_eq!(opened.header("set-cookie"), Some(&*expected));
    assert_eq!(opened.header("x-evil"), None);
}

/// F-OPT-16: `Secure` over TLS, also where a trusted proxy speaks it.
#[tokio::test]
async fn opt_16_cookie_is_secure_over_tls() {
    let builder = || Server::builder().cookie(Cookie::named("io"));
    let https = [("X-Forwarded-Proto", "https")];
    for (builder, secure) in
        [(builder(), false), (builder().trusted_proxies(wirebird::TrustedProxies::All), true)]
    {
        let site = Site::alone(&builder.build()).await;
        let opened = site.request("GET", POLLING, &https, "").await;
        assert_eq!(opened.header("set-cookie").unwrap().ends_with("; Secure"), secure);
    }
}

/// F-OPT-17: the forms of the option; what they mean is shown by the tests of CORS.
#[test]
fn opt_17_cors_allowed_origins() {
    let origins = |b: Builder| format!("{:?}", b.build().engine().config().cors.origins);
    assert_eq!(origins(Server::builder()), "Same");
    assert_eq!(origins(Server::builder().cors_allowed_origins([""; 0])), "Disabled");
    assert_eq!(origins(Server::builder().cors_allowed_origins(["*"])), "Any");
    assert_eq!(origins(Server::builder().cors_allowed_origins(["http://a"])), r#"List(["http://a"])"#);
    assert_eq!(origins(Server::builder().cors_check(|_: &str, _: &_, _| ())), "Check(..)");
    for bad in ["example.com", "https://a.com/", "https://*.a.com", "HTTPS://a.com", "https://a.com:443", ""]
    {
        refused("cors_allowed_origins", move |b| b.cors_allowed_origins([bad]));
        refused("cors_allowed_origins", move |b| b.cors_allowed_origins(["https://good.com", bad]));
    }
    let mut cors = Cors::default();
    cors.origins = Origins::List(vec!["a".into()]);
    refused("cors_allowed_origins", move |b| b.cors(cors.clone()));
}

/// F-OPT-17: one origin or a list of them, in any of the forms that lists have.
#[test]
fn opt_17_cors_allowed_origins_are_one_or_many() {
    let origins = |b: Builder| format!("{:?}", b.build().engine().config().cors.origins);
    let (a, b) = ("http://a", "http://b");
    let string = a.to_owned();
    let (one, many) = (r#"List(["http://a"])"#, r#"List(["http://a", "http://b"])"#);

    assert_eq!(origins(Server::builder().cors_allowed_origins(a)), one);
    assert_eq!(origins(Server::builder().cors_allowed_origins(a.to_owned())), one);
    assert_eq!(origins(Server::builder().cors_allowed_origins(&string)), one);
    assert_eq!(origins(Server::builder().cors_allowed_origins("*")), "Any");
    for bad in ["", "example.com", "http://a,http://b", "https://*.a.com"] {
        refused("cors_allowed_origins", move |b| b.cors_allowed_origins(bad));
    }

    let strings = vec![a.to_owned(), b.to_owned()];
    assert_eq!(origins(Server::builder().cors_allowed_origins([a, b])), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(&[a, b])), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins([a, b].as_slice())), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(vec![a, b])), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(&vec![a, b])), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(&strings)), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(strings.as_slice())), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins(strings.iter().map(|o| o.as_str()))), many);
    assert_eq!(origins(Server::builder().cors_allowed_origins("http://a,http://b".split(','))), many);
    assert_eq!(
        origins(Server::builder().cors_allowed_origins(strings.iter().collect::<BTreeSet<_>>())),
        many
    );
    assert_eq!(origins(Server::builder().cors_allowed_origins(Some(a))), one);
    assert_eq!(origins(Server::builder().cors_allowed_origins(strings)), many);

    for value in [Origins::Disabled, Origins::Same, Origins::Any] {
        assert_eq!(origins(Server::builder().cors_allowed_origins(value.clone())), format!("{value:?}"));
    }
    assert_eq!(origins(Server::builder().cors_allowed_origins(Vec::<String>::new())), "Disabled");
}

/// F-OPT-17: code that is generic over lists of origins.
#[test]
fn opt_17_cors_allowed_origins_of_generic_code() {
    fn allow<I: IntoIterator<Item = S>, S: Into<String>>(origins: I) -> Builder {
        Server::builder().cors_allowed_origins(origins)
    }
    let origins = allow(["http://a"]).build().engine().config().cors.origins.clone();
    assert_eq!(format!("{origins:?}"), r#"List(["http://a"])"#);
}

/// F-OPT-18: whether other origins' pages may send cookies.
#[tokio::test]
async fn opt_18_cors_credentials() {
    for (credentials, expected) in [(None, Some("true")), (Some(true), Some("true")), (Some(false), None)] {
        let mut builder = Server::builder().cors_allowed_origins(["*"]);
        if let Some(credentials) = credentials {
            builder = builder.cors_credentials(credentials);
        }
        let site = Site::alone(&builder.build()).await;
        let response = site.request("GET", POLLING, &[("Origin", "http://a")], "").await;
        assert_eq!(response.header("access-control-allow-credentials"), expected);
    }
}

/// F-OPT-20: both by default, or some by name; none is an error.
#[tokio::test]
async fn opt_20_transports() {
    for (transports, polling, websocket) in [
        (None, 200, 101),
        (Some(Transports::ALL), 200, 101),
        (Some(Transports::named(["websocket", "polling", "flash"])), 200, 101),
        (Some(Transports::named(["polling"])), 200, 400),
        (Some(Transports::WEBSOCKET), 400, 101),
    ] {
        let builder = transports.map_or_else(Server::builder, |t| Server::builder().transports(t));
        let site = Site::alone(&builder.build()).await;
        assert_eq!(site.get(POLLING).await.status, polling, "{transports:?}");
        let upgraded = site.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await;
        assert_eq!(upgraded.status, websocket, "{transports:?}");
    }
    refused("no valid transports", |b| b.transports(Transports::named(["flash"])));
    refused("transports", |b| b.transports(Transports::named([])));
}

/// F-OPT-23: the path, with or without slashes around it; one that no request can have is an error.
#[tokio::test]
async fn opt_23_path() {
    assert_eq!(config(|b| b).path, "/socket.io");
    for (path, served) in
        [("chat", "/chat"), ("/chat", "/chat"), ("chat/", "/chat"), ("/a/b/", "/a/b"), ("~x%20", "/~x%20")]
    {
        let site = Site::alone(&Server::builder().path(path).build()).await;
        for slash in ["", "/"] {
            let target = format!("{served}{slash}?EIO=4&transport=polling");
            assert_eq!(site.get(&target).await.status, 200, "{target}");
        }
        assert_eq!(site.get(POLLING).await.status, 404);
    }
    for bad in ["", "/", "//", "a b", "a?b", "a#b", "ä", "a//b", "a/../b", "./a", "a\n", "a\\b"] {
        refused("path", move |b| b.path(bad));
    }
}

/// F-OPT-24: who joins no namespace is closed.
#[tokio::test(start_paused = true)]
async fn opt_24_connect_timeout() {
    for (timeout, expected) in [(None, 45), (Some(7 * SECOND), 7)] {
        let builder = timeout.map_or_else(Server::builder, |t| Server::builder().connect_timeout(t));
        let client = Client::open(&builder.build());
        assert!(client.take().is_empty());
        tokio::time::sleep(expected * SECOND - Duration::from_millis(100)).await;
        assert!(client.is_open(), "{timeout:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.closed().await;
    }
    refused("connect_timeout", |b| b.connect_timeout(Duration::ZERO));
}

/// F-OPT-25: how long an upgrade may take; what it does is shown by the tests of the upgrade.
#[test]
fn opt_25_upgrade_timeout() {
    assert_eq!(config(|b| b).upgrade_timeout, 10 * SECOND);
    assert_eq!(config(|b| b.upgrade_timeout(SECOND)).upgrade_timeout, SECOND);
    refused("upgrade_timeout", |b| b.upgrade_timeout(Duration::ZERO));
}

/// F-OPT-26: attachments of one packet; one more is a parse error.
#[tokio::test]
async fn opt_26_max_attachments() {
    for (max, allowed) in [(None, 10), (Some(3), 3), (Some(1024), 1024)] {
        let (mut builder, log) = logged();
        if let Some(max) = max {
            builder = builder.max_attachments(max);
        }
        let io = watched(builder);
        for (attachments, fits) in [(allowed, true), (allowed + 1, false)] {
            let client = Client::open(&io);
            client.join("/").await;
            let holes: Vec<_> =
                (0..attachments).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)).collect();
            client.send(format!(r#"5{attachments}-["x",{}]"#, holes.join(",")));
            settle().await;
            assert_eq!(client.is_open(), fits, "{attachments} of {allowed}");
        }
        // The first client goes when it is dropped.
        assert_eq!(log.wait(2).await[1], format!("{:?}", DisconnectReason::ParseError));
    }
}

/// F-OPT-27: what may wait for one client; what happens beyond it is shown by the tests of backpressure.
#[test]
fn opt_27_send_queue() {
    let queue = config(|b| b).send_queue;
    assert_eq!((queue.max_packets, queue.max_bytes, queue.overflow), (8192, 16 << 20, Overflow::Close));
    for bad in [(0, 1), (1, 0)] {
        refused("send_queue", move |b| {
            let mut queue = SendQueue::default();
            (queue.max_packets, queue.max_bytes) = bad;
            b.send_queue(queue)
        });
    }
}

/// F-OPT-28: clients of Engine.IO 3 and polling by script tags are let in only when that is said.
#[test]
fn opt_28_allow_eio3() {
    for (change, allowed) in [(None, false), (Some(false), false), (Some(true), true)] {
        let config = config(|b| match change {
            Some(allow) => b.allow_eio3(allow).jsonp(allow),
            None => b,
        });
        assert_eq!((config.allow_eio3, config.jsonp), (allowed, allowed), "{change:?}");
    }
}

/// F-OPT-30, F-NOD-20: the application decides on each connection before anything exists for it.
#[tokio::test]
async fn opt_30_allow_request() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let io = Server::builder()
        .allow_request(move |request: Arc<Handshake>| {
            counter.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::task::yield_now().await;
                match request.query("key").as_deref() {
                    Some("right") => Ok(()),
                    Some("panic") => panic!("a check that panics refuses"),
                    _ => Err("the key is wrong".to_owned()),
                }
            }
        })
        .build();
    let site = Site::alone(&io).await;
    let statuses: HashMap<_, _> = [("right", 200), ("wrong", 403), ("panic", 403)].into();
    for (key, status) in &statuses {
        let response = site.get(&format!("{POLLING}&key={key}")).await;
        assert_eq!(response.status, *status, "{key}");
        if *key == "wrong" {
            assert_eq!(response.text(), r#"{"code":4,"message":"the key is wrong"}"#);
        }
    }
    assert_eq!((asked.load(Ordering::Relaxed), io.engine().session_count()), (3, 1));
    assert_eq!(Site::alone(&Server::new()).await.get(POLLING).await.status, 200, "by default all may");
}

/// Limits of our own that would let nobody in.
#[test]
fn limits_of_nothing_are_errors() {
    refused("max_sessions", |b| b.max_sessions(0));
    refused("max_head", |b| b.max_head(0));
    refused("max_namespaces", |b| b.max_namespaces(0));
    refused("ack_timeout", |b| b.ack_timeout(Duration::ZERO));
}
