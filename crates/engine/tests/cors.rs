//! Which origins may connect, and what browsers are told (features, section P).

mod support;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use support::{Event, Http, Polling, Response, TestServer, Ws, config, quiet, request};
use wirebird_engine::{Config, Decision, Origins, TrustedProxies};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const HOST: (&str, &str) = ("Host", "example.com");

fn origins(origins: Origins) -> Config {
    config(|c| c.cors.origins = origins)
}

fn list(origins: &[&str]) -> Origins {
    Origins::List(origins.iter().map(|o| (*o).to_owned()).collect())
}

async fn get(server: &TestServer, headers: &[(&str, &str)]) -> Response {
    request(server.addr, "GET", POLLING, headers, b"").await
}

/// Opens by polling and by WebSocket; both must agree. The response is that of polling.
async fn both(server: &mut TestServer, headers: &[(&str, &str)]) -> Response {
    let response = get(server, headers).await;
    let websocket = Ws::handshake(&mut Http::connect(server.addr).await, WEBSOCKET, headers).await;
    match response.status {
        200 => assert_eq!(websocket.status, 101, "{headers:?}"),
        _ => assert_eq!(websocket.text(), response.text(), "{headers:?}"),
    }
    response
}

#[track_caller]
fn assert_allowed(response: &Response, origin: Option<&str>) {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("access-control-allow-origin"), origin);
    assert!(response.lists("vary", "Origin"));
}

#[track_caller]
fn assert_refused(response: &Response) {
    response.assert_error(400, 3, "Not an accepted origin");
    assert_eq!(response.header("access-control-allow-origin"), None);
    assert_eq!(response.header("access-control-allow-credentials"), None);
    assert!(response.lists("vary", "Origin"), "a cache must not give this answer to another origin");
}

/// F-COR-01: by default the server's own origin, and requests that have none.
#[tokio::test]
async fn the_own_origin_is_allowed_by_default() {
    let mut server = TestServer::start().await;
    assert_allowed(&both(&mut server, &[HOST]).await, None);
    let own = "http://example.com";
    assert_allowed(&both(&mut server, &[HOST, ("Origin", own)]).await, Some(own));
    for origin in [
        "http://example.org",
        "https://example.com",
        "http://example.com:8080",
        "http://sub.example.com",
        "http://example.com.evil.org",
        "http://example.com/",
        "HTTP://EXAMPLE.COM",
        "null",
        "",
        "example.com",
    ] {
        assert_refused(&both(&mut server, &[HOST, ("Origin", origin)]).await);
    }
    let port = ("Host", "example.com:8080");
    assert_allowed(
        &both(&mut server, &[port, ("Origin", "http://example.com:8080")]).await,
        Some("http://example.com:8080"),
    );
}

/// F-COR-01: a refused origin creates nothing, on either transport.
#[tokio::test]
async fn a_refused_origin_creates_nothing() {
    let mut server = TestServer::start().await;
    assert_refused(&both(&mut server, &[HOST, ("Origin", "http://evil.org")]).await);
    assert_eq!(server.engine.session_count(), 0);
    let events = server.pending_events();
    assert!(events.iter().all(|event| matches!(event, Event::Refused(400, Some(3), _))), "{events:?}");
}

/// Two origins, or two hosts to compare one with: a proxy in front could have looked at the other.
#[tokio::test]
async fn origins_and_hosts_that_are_there_twice_are_refused() {
    let mut server = TestServer::start().await;
    let refused = |response: Response| {
        response.assert_error(400, 3, "Bad request");
        assert_eq!(response.header("access-control-allow-origin"), None);
    };
    let (own, evil) = (("Origin", "http://example.com"), ("Origin", "http://evil.org"));
    refused(both(&mut server, &[HOST, own, evil]).await);
    refused(both(&mut server, &[HOST, evil, own]).await);
    refused(both(&mut server, &[("Host", "evil.org"), HOST, evil]).await);
    let client = Polling::open(server.addr).await;
    refused(request(server.addr, "GET", &client.target(), &[HOST, HOST], b"").await);
    assert!(server.session(&client.sid).is_open());
}

/// The origin is checked on every request of a session, not only on the first.
#[tokio::test]
async fn the_origin_is_checked_on_every_request() {
    let server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    let evil = [("Origin", "http://evil.org")];
    assert_refused(&request(server.addr, "GET", &client.target(), &evil, b"").await);
    assert_refused(&request(server.addr, "POST", &client.target(), &evil, b"4x").await);
    let ws =
        Ws::handshake(&mut Http::connect(server.addr).await, &client.target_on("websocket"), &evil).await;
    assert_refused(&ws);
    assert!(server.session(&client.sid).is_open());
}

/// F-COR-02, hazard AB-11, pain 13: forwarding headers of just anybody do not make an origin the own one.
#[tokio::test]
async fn forwarded_hosts_count_only_from_trusted_proxies() {
    let outer = [
        HOST,
        ("X-Forwarded-Host", "public.org, inner"),
        ("X-Forwarded-Proto", "https"),
        ("Origin", "https://public.org"),
    ];
    let mut nobody = TestServer::start().await;
    assert_refused(&both(&mut nobody, &outer).await);

    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    for proxies in [TrustedProxies::Addrs(vec![loopback]), TrustedProxies::All] {
        let mut server = TestServer::with(config(|c| c.trusted_proxies = proxies.clone()), quiet).await;
        assert_allowed(&both(&mut server, &outer).await, Some("https://public.org"));
        let mut other = outer;
        other[3].1 = "http://public.org";
        assert_refused(&both(&mut server, &other).await);
        other[3].1 = "https://inner";
        assert_refused(&both(&mut server, &other).await);
    }
    let elsewhere = TrustedProxies::Addrs(vec!["10.0.0.1".parse().unwrap()]);
    let mut server = TestServer::with(config(|c| c.trusted_proxies = elsewhere), quiet).await;
    assert_refused(&both(&mut server, &outer).await);
}

/// F-COR-03: origins of a list match as a whole or not at all.
#[tokio::test]
async fn origins_of_a_list_match_exactly() {
    let mut server =
        TestServer::with(origins(list(&["https://a.com", "http://b.com:8080", "null"])), quiet).await;
    for origin in ["https://a.com", "http://b.com:8080", "null"] {
        assert_allowed(&both(&mut server, &[HOST, ("Origin", origin)]).await, Some(origin));
    }
    for origin in [
        "http://a.com",
        "https://a.com:443",
        "https://a.com/",
        "https://A.com",
        "http://b.com",
        "http://example.com",
    ] {
        assert_refused(&both(&mut server, &[HOST, ("Origin", origin)]).await);
    }
    assert_allowed(&both(&mut server, &[HOST]).await, None);
}

/// F-COR-03, pain 13: entries that no browser can send are found when the engine is made.
#[tokio::test]
async fn origins_that_can_never_match_are_an_error() {
    for origin in ["example.com", "https://example.com/", "https://*.example.com"] {
        let error = origins(list(&[origin])).validated().unwrap_err().to_string();
        assert!(error.contains(origin), "{error}");
    }
}

/// F-COR-04: any origin, by its own name so that cookies work; a list with `*` means the same.
#[tokio::test]
async fn any_origin_is_echoed() {
    for any in [Origins::Any, list(&["https://a.com", "*"])] {
        let mut server = TestServer::with(origins(any), quiet).await;
        for origin in ["https://anything.example", "null"] {
            let response = both(&mut server, &[HOST, ("Origin", origin)]).await;
            assert_allowed(&response, Some(origin));
            assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
        }
        assert_eq!(get(&server, &[HOST]).await.header("access-control-allow-origin"), None);
    }
}

/// F-COR-05: the application decides, now or later; a check that goes wrong refuses.
#[tokio::test]
async fn the_application_may_decide() {
    let check = |origin: &str, headers: &http::HeaderMap, decision: Decision| match origin {
        "https://now" => decision.allow(),
        "https://later" => {
            std::thread::spawn(move || decision.allow());
        }
        "https://headers" if headers.contains_key("x-pass") => decision.allow(),
        "https://no" => decision.refuse("for a reason"),
        "https://panic" => panic!("a check that panics refuses"),
        _ => drop(decision),
    };
    let mut server = TestServer::with(origins(Origins::Check(Arc::new(check))), quiet).await;
    for origin in ["https://now", "https://later", "https://headers"] {
        let headers = [HOST, ("Origin", origin), ("X-Pass", "1")];
        assert_allowed(&both(&mut server, &headers).await, Some(origin));
    }
    for origin in ["https://no", "https://dropped", "https://headers", "https://panic"] {
        assert_refused(&both(&mut server, &[HOST, ("Origin", origin)]).await);
    }
    assert_allowed(&both(&mut server, &[HOST]).await, None);
}

/// F-COR-06: nothing is checked and no header added, for an outer layer that does both.
#[tokio::test]
async fn disabled_adds_nothing_and_checks_nothing() {
    let mut server = TestServer::with(origins(Origins::Disabled), quiet).await;
    let headers = [HOST, ("Origin", "https://anything")];
    let response = both(&mut server, &headers).await;
    assert_eq!(response.status, 200);
    let preflight = request(server.addr, "OPTIONS", POLLING, &headers, b"").await;
    assert_eq!(preflight.status, 204);
    for response in [response, preflight] {
        assert!(!response.headers.iter().any(|(name, _)| name.starts_with("access-control-")));
        assert!(!response.lists("vary", "Origin"));
    }
}

/// F-COR-07: credentials are allowed to origins, and only where there is one.
#[tokio::test]
async fn credentials_follow_the_option() {
    for credentials in [true, false] {
        let server = TestServer::with(
            config(|c| {
                c.cors.origins = Origins::Any;
                c.cors.credentials = credentials;
            }),
            quiet,
        )
        .await;
        let with = get(&server, &[("Origin", "https://a.com")]).await;
        assert_eq!(with.header("access-control-allow-credentials"), credentials.then_some("true"));
        let without = get(&server, &[]).await;
        assert_eq!(without.header("access-control-allow-credentials"), None);
    }
}

/// F-COR-07, F-PRO-19: the answer to a preflight request.
#[tokio::test]
async fn preflights_are_answered() {
    let server = TestServer::with(
        config(|c| {
            c.cors.origins = list(&["https://a.com"]);
            c.cors.max_age = Some(Duration::from_secs(600));
        }),
        quiet,
    )
    .await;
    let asked = [
        ("Origin", "https://a.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "x-one, content-type"),
    ];
    let response = request(server.addr, "OPTIONS", POLLING, &asked, b"").await;
    response.assert_empty(204);
    for (name, value) in [
        ("access-control-allow-origin", "https://a.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "OPTIONS, GET, POST"),
        ("access-control-allow-headers", "x-one, content-type"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(response.header(name), Some(value));
    }
    assert!(response.lists("vary", "Origin") && response.lists("vary", "Access-Control-Request-Headers"));

    let mut evil = asked;
    evil[0].1 = "https://evil.org";
    let refused = request(server.addr, "OPTIONS", POLLING, &evil, b"").await;
    assert_refused(&refused);
    assert_eq!(refused.header("access-control-allow-methods"), None);
    assert_eq!(server.engine.session_count(), 0);
}

/// F-COR-07: errors to an allowed origin carry its headers, so that the page can read them.
#[tokio::test]
async fn errors_can_be_read_by_allowed_origins() {
    let server = TestServer::with(
        config(|c| {
            c.cors.origins = list(&["https://a.com"]);
            c.max_payload = 100;
        }),
        quiet,
    )
    .await;
    let client = Polling::open(server.addr).await;
    let target = client.target();
    let origin = [("Origin", "https://a.com")];
    let big = "4".repeat(200);
    for (method, target, body, status) in [
        ("GET", "/socket.io/?EIO=3&transport=polling", "", 400),
        ("GET", "/socket.io/?EIO=4&transport=x", "", 400),
        ("PUT", &target, "", 405),
        ("POST", &target, &big, 413),
        ("POST", &target, "4ok", 200),
        ("POST", &target, "bad", 400),
        ("GET", &target, "", 400),
    ] {
        let response = request(server.addr, method, target, &origin, body.as_bytes()).await;
        assert_eq!(response.status, status, "{method} {target} {body}");
        assert_eq!(response.header("access-control-allow-origin"), Some("https://a.com"));
        assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
        assert!(response.lists("vary", "Origin"));
    }
}
