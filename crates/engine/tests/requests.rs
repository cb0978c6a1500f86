//! Requests that open sessions, and those that are refused: statuses, bodies and headers.

mod support;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use support::{Event, Http, Polling, Response, TestServer, Ws, config, quiet, request};
use wirebird_engine::{Config, Cookie, Decision, Handshake, Outgoing, Transports, http::is_endpoint};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

async fn get(server: &TestServer, target: &str) -> Response {
    request(server.addr, "GET", target, &[], b"").await
}

async fn upgrade(server: &TestServer, target: &str) -> Response {
    Ws::handshake(&mut Http::connect(server.addr).await, target, &[]).await
}

fn open_packet(response: &Response) -> serde_json::Value {
    assert_eq!(response.status, 200);
    serde_json::from_str(response.text().strip_prefix('0').expect("an OPEN packet")).expect("JSON")
}

// ---- handshake ----

/// wire-protocol §2.3: the OPEN packet of a polling session, with Node's defaults.
#[tokio::test]
async fn the_open_packet_has_the_documented_fields() {
    let server = TestServer::start().await;
    let open = open_packet(&get(&server, POLLING).await);
    let sid = open["sid"].as_str().unwrap();
    assert_eq!(sid.len(), 20);
    assert_eq!(
        open,
        serde_json::json!({
            "sid": sid, "upgrades": ["websocket"],
            "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1_000_000,
        })
    );
}

/// wire-protocol §1, hazard AB-7: milliseconds are advertised as they are, not cut to seconds.
#[tokio::test]
async fn the_open_packet_keeps_milliseconds() {
    for (interval, timeout) in [(1500, 300), (300, 200), (500, 999)] {
        let server = TestServer::with(
            config(|c| {
                c.ping_interval = Duration::from_millis(interval);
                c.ping_timeout = Duration::from_millis(timeout);
            }),
            quiet,
        )
        .await;
        let open = open_packet(&get(&server, POLLING).await);
        assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&interval.into(), &timeout.into()));
    }
}

/// F-PRO-06, hazard AB-7: `upgrades` names WebSocket only where a client can really go there.
#[tokio::test]
async fn upgrades_are_offered_only_when_possible() {
    for (transports, allow_upgrades, offered) in [
        (Transports::ALL, true, true),
        (Transports::ALL, false, false),
        (Transports::POLLING, true, false),
        (Transports::POLLING, false, false),
    ] {
        let server = TestServer::with(
            config(|c| {
                c.transports = transports;
                c.allow_upgrades = allow_upgrades;
            }),
            quiet,
        )
        .await;
        let client = Polling::open(server.addr).await;
        let expected = if offered { serde_json::json!(["websocket"]) } else { serde_json::json!([]) };
        assert_eq!(client.open["upgrades"], expected, "{transports:?} {allow_upgrades}");
        let response = upgrade(&server, &client.target_on("websocket")).await;
        match (offered, transports.websocket) {
            (true, _) => assert_eq!(response.status, 101),
            (false, true) => response.assert_error(400, 3, "Bad request"),
            (false, false) => response.assert_error(400, 0, "Transport unknown"),
        }
        assert!(server.session(&client.sid).is_open());
    }
    for transports in [Transports::ALL, Transports::WEBSOCKET] {
        let server = TestServer::with(config(|c| c.transports = transports), quiet).await;
        let (_ws, open) = Ws::open(server.addr).await;
        assert_eq!(open["upgrades"], serde_json::json!([]));
    }
}

/// F-PRO-19: the path with and without a slash at its end, and nothing else.
#[tokio::test]
async fn the_path_matches_exactly() {
    let server = TestServer::start().await;
    for path in ["/socket.io", "/socket.io/"] {
        assert_eq!(get(&server, &format!("{path}?EIO=4&transport=polling")).await.status, 200, "{path}");
        assert!(is_endpoint(&server.engine, path));
    }
    for path in
        ["/socket.iox", "/socket.iox/", "/socket.io/x", "/socket.io//", "/", "/x/socket.io", "/Socket.io/"]
    {
        let response = get(&server, &format!("{path}?EIO=4&transport=polling")).await;
        assert_eq!((response.status, response.text().as_str()), (404, "Not Found"), "{path}");
        assert!(!is_endpoint(&server.engine, path));
    }
    assert_eq!(server.engine.session_count(), 2);
}

/// F-PRO-19, F-CTX-12: another path, in whatever form it was configured.
#[tokio::test]
async fn the_path_can_be_changed() {
    let server = TestServer::with(config(|c| c.path = "my/path/".into()), quiet).await;
    assert_eq!(get(&server, "/my/path/?EIO=4&transport=polling").await.status, 200);
    assert_eq!(get(&server, POLLING).await.status, 404);
}

/// wire-protocol §2.1: of repeated keys the protocol takes the first, the application gets all.
#[tokio::test]
async fn protocol_keys_count_once_and_the_rest_belongs_to_the_application() {
    let server = TestServer::start().await;
    let target = "/socket.io/?EIO=4&EIO=3&transport=polling&transport=x&token=a%20b&token=c&t=1";
    let open = open_packet(&get(&server, target).await);
    let session = server.session(open["sid"].as_str().unwrap());
    let tokens: Vec<_> = session
        .handshake()
        .query_pairs()
        .filter(|(key, _)| key == "token")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(tokens, ["a b", "c"]);
}

// ---- errors ----

/// wire-protocol §2.2, code 0.
#[tokio::test]
async fn transports_that_are_unknown_or_disabled_are_refused() {
    let server = TestServer::start().await;
    for target in [
        "/socket.io/?EIO=4",
        "/socket.io/?EIO=4&transport=",
        "/socket.io/?EIO=4&transport=flash",
        "/socket.io/?EIO=4&transport=webtransport",
        "/socket.io/?EIO=4&transport=Polling",
        "/socket.io/?EIO=4&transport=__proto__",
    ] {
        get(&server, target).await.assert_error(400, 0, "Transport unknown");
    }
    let polling = TestServer::with(config(|c| c.transports = Transports::POLLING), quiet).await;
    upgrade(&polling, WEBSOCKET).await.assert_error(400, 0, "Transport unknown");
    let websocket = TestServer::with(config(|c| c.transports = Transports::WEBSOCKET), quiet).await;
    get(&websocket, POLLING).await.assert_error(400, 0, "Transport unknown");
    assert_eq!(server.engine.session_count(), 0);
}

/// wire-protocol §2.2, code 1, for each kind of request.
#[tokio::test]
async fn unknown_session_ids_are_refused() {
    let server = TestServer::start().await;
    for sid in ["AAAAAAAAAAAAAAAAAAAA", "", "%00", "a%2Fb", &"x".repeat(5000)] {
        let target = format!("{POLLING}&sid={sid}");
        get(&server, &target).await.assert_error(400, 1, "Session ID unknown");
        request(server.addr, "POST", &target, &[], b"4x").await.assert_error(400, 1, "Session ID unknown");
        upgrade(&server, &format!("{WEBSOCKET}&sid={sid}")).await.assert_error(400, 1, "Session ID unknown");
    }
}

/// wire-protocol §2.2, code 2: a session begins with a GET.
#[tokio::test]
async fn handshakes_by_another_method_are_refused() {
    let server = TestServer::start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        request(server.addr, method, POLLING, &[], b"").await.assert_error(400, 2, "Bad handshake method");
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-19: methods that no session has are 405, and the session does not care.
#[tokio::test]
async fn other_methods_on_a_session_are_not_allowed() {
    let server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    for method in ["PUT", "DELETE", "PATCH", "HEAD"] {
        let response = request(server.addr, method, &client.target(), &[], b"").await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, POST, OPTIONS"));
    }
    assert!(server.session(&client.sid).is_open());
}

/// A HEAD request opens nothing and gets no body.
#[tokio::test]
async fn head_is_no_handshake() {
    let server = TestServer::start().await;
    let mut http = Http::connect(server.addr).await;
    let response = http.request("HEAD", POLLING, &[], b"").await;
    assert_eq!(response.status, 400);
    // The connection is still in step: no body came that nobody expected.
    assert_eq!(http.request("GET", POLLING, &[], b"").await.status, 200);
    assert_eq!(server.engine.session_count(), 1);
}

/// wire-protocol §2.2, code 3: `transport=websocket` on a request that asks for none.
#[tokio::test]
async fn websocket_requests_must_be_valid_handshakes() {
    let server = TestServer::start().await;
    get(&server, WEBSOCKET).await.assert_error(400, 3, "Bad request");
    let client = Polling::open(server.addr).await;
    get(&server, &client.target_on("websocket")).await.assert_error(400, 3, "Bad request");
    let broken: [&[(&str, &str)]; 4] = [
        &[
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", support::KEY),
        ],
        &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", support::KEY)],
        &[
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "8"),
            ("Sec-WebSocket-Key", support::KEY),
        ],
        &[
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "short"),
        ],
    ];
    for headers in broken {
        request(server.addr, "GET", WEBSOCKET, headers, b"").await.assert_error(400, 3, "Bad request");
    }
    assert!(server.session(&client.sid).is_open());
    assert_eq!(server.engine.session_count(), 1);
}

/// Pain 18: a request that wants to become a WebSocket is never a poll.
#[tokio::test]
async fn an_upgrade_request_is_never_a_poll() {
    let server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    server.session(&client.sid).send(Outgoing::text("kept")).unwrap();
    upgrade(&server, &client.target()).await.assert_error(400, 3, "Bad request");
    let mut client = client;
    assert_eq!(client.poll().await, ["4kept"]);
}

/// wire-protocol §2.2, code 4: what the application refuses, in its own words, before anything exists.
#[tokio::test]
async fn the_gate_refuses_in_its_own_words() {
    let gate = |request: Arc<Handshake>, decision: Decision| match request.query("token").as_deref() {
        Some("good") => decision.allow(),
        Some("later") => {
            std::thread::spawn(move || decision.allow());
        }
        Some("panic") => panic!("a gate that panics refuses"),
        Some(_) => decision.refuse("say \"please\""),
        None => drop(decision),
    };
    let mut server = TestServer::with(config(|c| c.gate = Some(Arc::new(gate))), quiet).await;
    for target in [POLLING, WEBSOCKET] {
        for token in ["&token=good", "&token=later"] {
            let target = format!("{target}{token}");
            let response = if target.contains("websocket") {
                upgrade(&server, &target).await
            } else {
                get(&server, &target).await
            };
            assert!([101, 200].contains(&response.status), "{target}");
            while !matches!(server.event().await, Event::Open(_)) {}
        }
        for (token, message) in
            [("", "Forbidden"), ("&token=bad", r#"say \"please\""#), ("&token=panic", "Forbidden")]
        {
            let target = format!("{target}{token}");
            let response = if target.contains("websocket") {
                upgrade(&server, &target).await
            } else {
                get(&server, &target).await
            };
            response.assert_error(403, 4, message);
        }
    }
    assert!(!server.pending_events().iter().any(|event| matches!(event, Event::Open(_))));
}

/// F-PRO-01, pain 14, wire-protocol §2.2, code 5.
#[tokio::test]
async fn other_protocol_versions_are_refused() {
    let server = TestServer::start().await;
    for version in ["", "&EIO=3", "&EIO=5", "&EIO=", "&EIO=04"] {
        for transport in ["polling", "websocket"] {
            let target = format!("/socket.io/?transport={transport}{version}");
            let response = if transport == "polling" {
                get(&server, &target).await
            } else {
                upgrade(&server, &target).await
            };
            response.assert_error(400, 5, "Unsupported protocol version");
        }
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// Every refusal is told to the layer above.
#[tokio::test]
async fn refusals_are_told() {
    let mut server = TestServer::start().await;
    get(&server, "/socket.io/?EIO=3&transport=polling").await;
    match server.event().await {
        Event::Refused(400, Some(5), message) => assert_eq!(message, "Unsupported protocol version"),
        other => panic!("{other:?}"),
    }
}

/// Two sessions never share an id, whatever the generator says: the second is refused, the first untouched.
#[tokio::test]
async fn a_generator_that_repeats_itself_harms_nobody() {
    struct Same;
    impl wirebird_engine::IdGenerator for Same {
        fn generate(&self) -> Result<wirebird_engine::Id, wirebird_engine::IdError> {
            wirebird_engine::Id::new("always-the-same").ok_or(wirebird_engine::IdError)
        }
    }
    let mut server = TestServer::with(config(|c| c.ids = Arc::new(Same)), quiet).await;
    let mut first = Polling::open(server.addr).await;
    assert_ne!(get(&server, POLLING).await.status, 200);
    let response = upgrade(&server, WEBSOCKET).await;
    assert!([101, 400, 500, 503].contains(&response.status));
    first.send("4still mine").await;
    assert_eq!(server.text().await, "still mine");
    server.session(&first.sid).send(Outgoing::text("yours")).unwrap();
    assert_eq!(first.poll().await, ["4yours"]);
}

// ---- cookie ----

/// F-PRO-21: the cookie is set by the reply that opens the session, and by no other.
#[tokio::test]
async fn the_cookie_comes_once() {
    let cookie = Cookie::named("io").attribute("Max-Age", "60").attribute("Partitioned", true);
    let server = TestServer::echo(config(|c| c.cookie = Some(cookie))).await;
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Partitioned";

    let response = get(&server, POLLING).await;
    let sid = open_packet(&response)["sid"].as_str().unwrap().to_owned();
    assert_eq!(response.header("set-cookie"), Some(&*format!("io={sid}{attributes}")));

    let mut client = Polling::open(server.addr).await;
    assert_eq!(client.post(b"4x").await.header("set-cookie"), None);
    assert_eq!(client.poll_response().await.header("set-cookie"), None);
    let upgrading = upgrade(&server, &client.target_on("websocket")).await;
    assert_eq!((upgrading.status, upgrading.header("set-cookie")), (101, None));

    let mut http = Http::connect(server.addr).await;
    let response = Ws::handshake(&mut http, WEBSOCKET, &[]).await;
    let set = response.header("set-cookie").unwrap().to_owned();
    let open = Ws::of(http).text().await;
    assert!(set.ends_with(attributes));
    let id = set.strip_prefix("io=").unwrap().split(';').next().unwrap();
    assert!(open.contains(&format!(r#""sid":"{id}""#)), "the cookie names the session: {set} {open}");
}

/// F-PRO-21: without the option there is none, and refusals never set one.
#[tokio::test]
async fn no_cookie_without_a_session() {
    let plain = TestServer::start().await;
    assert_eq!(get(&plain, POLLING).await.header("set-cookie"), None);
    let server = TestServer::with(config(|c| c.cookie = Some(Cookie::default())), quiet).await;
    assert_eq!(get(&server, "/socket.io/?EIO=3&transport=polling").await.header("set-cookie"), None);
}

// ---- compression ----

async fn big_reply(config: Config, size: usize, accept: &[(&str, &str)]) -> Response {
    let server = TestServer::with(config, quiet).await;
    let mut client = Polling::open(server.addr).await;
    server.session(&client.sid).send(Outgoing::text(&"x".repeat(size - 1))).unwrap();
    let target = client.target();
    client.get.request("GET", &target, accept, b"").await
}

/// F-PRO-13, hazard AB-11: the client's weights decide, and what comes decodes to what was sent.
#[tokio::test]
async fn replies_are_compressed_as_the_client_wishes() {
    for (accept, expected) in [
        ("gzip", Some("gzip")),
        ("gzip, deflate, br", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip;q=0.2, deflate;q=0.9", Some("deflate")),
        ("gzip;q=0.9, deflate;q=0.2", Some("gzip")),
        ("GZIP; Q=1", Some("gzip")),
        ("*", Some("gzip")),
        ("gzip;q=0, *;q=0.5", Some("deflate")),
        ("gzip;q=0", None),
        ("gzip;q=0.0, deflate;q=0", None),
        ("gzip;Q=0", None),
        ("gzip;q=nan", None),
        ("*;q=0", None),
        ("identity", None),
        ("br", None),
        ("", None),
    ] {
        let response = big_reply(Config::default(), 4000, &[("Accept-Encoding", accept)]).await;
        assert_eq!(response.header("content-encoding"), expected, "{accept}");
        assert!(response.lists("vary", "Accept-Encoding"), "{accept}");
        let mut body = Vec::new();
        match expected {
            Some("gzip") => {
                flate2::read::GzDecoder::new(&*response.body).read_to_end(&mut body).unwrap();
            }
            Some(_) => {
                flate2::read::ZlibDecoder::new(&*response.body).read_to_end(&mut body).unwrap();
            }
            None => body = response.body,
        }
        assert_eq!(body, format!("4{}", "x".repeat(3999)).into_bytes(), "{accept}");
    }
}

/// F-PRO-13: bodies below the threshold stay as they are; those of its size are compressed.
#[tokio::test]
async fn small_replies_are_not_compressed() {
    let gzip = [("Accept-Encoding", "gzip")];
    assert_eq!(big_reply(Config::default(), 1023, &gzip).await.header("content-encoding"), None);
    assert_eq!(big_reply(Config::default(), 1024, &gzip).await.header("content-encoding"), Some("gzip"));
    let low = config(|c| c.compression_threshold = 100);
    assert_eq!(big_reply(low, 100, &gzip).await.header("content-encoding"), Some("gzip"));
}

/// F-PRO-13: it can be turned off; then nothing varies.
#[tokio::test]
async fn compression_can_be_turned_off() {
    let response =
        big_reply(config(|c| c.http_compression = false), 4000, &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(response.header("content-encoding"), None);
    assert!(!response.lists("vary", "Accept-Encoding"));
}

// ---- limits ----

/// F-SEC-01: what a handshake brings is kept for the session's life, so it has a limit.
#[tokio::test]
async fn a_large_head_opens_no_session() {
    let server = TestServer::with(config(|c| c.max_head = 2_000), quiet).await;
    let large = "x".repeat(2_000);
    let response = request(server.addr, "GET", POLLING, &[("X-Large", &large)], b"").await;
    assert_eq!((response.status, &*response.text()), (431, ""));
    assert_eq!(server.engine.session_count(), 0);
    open_packet(&request(server.addr, "GET", POLLING, &[("X-Small", "x")], b"").await);
}

/// F-SEC-01: sessions have a limit if the operator wants one.
#[tokio::test]
async fn sessions_are_opened_up_to_a_limit() {
    let server = TestServer::with(config(|c| c.max_sessions = Some(2)), quiet).await;
    for _ in 0..2 {
        open_packet(&get(&server, POLLING).await);
    }
    assert_eq!(get(&server, POLLING).await.status, 503);
    assert_eq!(upgrade(&server, WEBSOCKET).await.status, 503);
    server.engine.sessions()[0].close(wirebird_engine::CloseReason::TransportClose);
    open_packet(&get(&server, POLLING).await);
}

/// A crowd that comes at once waits to be accepted: a full backlog would have the kernel drop and reset connections.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crowd_waits_to_be_accepted() {
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let crowd = limit.trim().parse::<usize>().unwrap().min(400);
    let server = TestServer::start().await;
    assert_eq!(request(server.addr, "GET", "/", &[], b"").await.status, 404);
    // This test holds the only thread of its runtime until the crowd is there.
    let waiting: Vec<_> = (0..crowd)
        .map(|_| {
            std::net::TcpStream::connect_timeout(&server.addr, Duration::from_millis(900))
                .expect("room in the backlog")
        })
        .collect();
    let answer = request(server.addr, "GET", "/socket.io/?EIO=4&transport=polling", &[], b"").await;
    assert_eq!(answer.status, 200);
    drop(waiting);
}
