//! Origins, beside other layers and in the log; what each form of the option means is shown by the engine's tests.

use std::time::Duration;

use ::http::{HeaderMap, Method, Request, header};
use axum::Router;
use axum::routing::get;
use http_body_util::Empty;
use tower_http::cors::CorsLayer;
use tracing::Level;
use wirebird::{Builder, PeerAddr, Server, TrustedProxies};

use crate::http::{Response, Site};
use crate::log::Log;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const ORIGIN: (&str, &str) = ("Origin", "https://a.com");

/// F-COR-05: an async function decides; one that panics refuses; without an origin it is not asked.
#[tokio::test]
async fn an_async_function_decides() {
    let io = Server::builder()
        .allow_origin(async |origin: String, headers: HeaderMap| {
            tokio::task::yield_now().await;
            match origin.as_str() {
                "https://a.com" => true,
                "https://key.com" => headers.contains_key("x-key"),
                "https://panic.com" => panic!("a check that panics refuses"),
                "" => panic!("asked without an origin"),
                _ => false,
            }
        })
        .build();
    for (way, site) in Site::each(&io).await {
        for (origin, key, status) in [
            ("https://a.com", false, 200),
            ("https://key.com", true, 200),
            ("https://key.com", false, 400),
            ("https://panic.com", false, 400),
            ("https://b.com", false, 400),
        ] {
            let mut headers = vec![("Origin", origin)];
            headers.extend(key.then_some(("X-Key", "1")));
            let response = site.request("GET", POLLING, &headers, "").await;
            assert_eq!(response.status, status, "{origin} by {way}");
            let allowed = (status == 200).then_some(origin);
            assert_eq!(response.header("access-control-allow-origin"), allowed);
            let websocket = site.upgrade("/socket.io/?EIO=4&transport=websocket", &headers).await;
            assert_eq!(websocket.status, if status == 200 { 101 } else { 400 }, "{origin} by {way}");
        }
        assert_eq!(site.get(POLLING).await.status, 200);
    }
}

#[track_caller]
fn assert_once(response: &Response, what: &str) {
    for name in [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ] {
        assert!(response.all(name).len() <= 1, "{name} of {what}: {response:?}");
    }
    assert_eq!(response.header("access-control-allow-origin"), Some("https://a.com"), "{what}");
}

/// F-COR-08, F-COR-06: with an outer `CorsLayer` each header comes once, whether the server's own check is off, as it
/// should be, or names the same origins.
#[tokio::test]
async fn headers_come_once_under_a_cors_layer() {
    let layer = || {
        CorsLayer::new()
            .allow_origin(["https://a.com".parse().unwrap()])
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::CONTENT_TYPE])
            .allow_credentials(true)
    };
    let off: [&str; 0] = [];
    for (what, builder) in [
        ("off", Server::builder().cors_allowed_origins(off)),
        ("the same", Server::builder().cors_allowed_origins(["https://a.com"])),
    ] {
        let app = Router::new().route("/app", get(async || "app"));
        let site = Site::axum(app.layer(builder.build().layer()).layer(layer())).await;
        let opened = site.request("GET", POLLING, &[ORIGIN], "").await;
        let session = format!("{POLLING}&sid={}", opened.sid());
        assert_once(&opened, what);
        assert_once(&site.request("POST", &session, &[ORIGIN], "40").await, what);
        assert_once(&site.request("GET", &session, &[ORIGIN], "").await, what);
        assert_once(&site.request("GET", "/socket.io/?EIO=4", &[ORIGIN], "").await, what);
        assert_once(&site.request("GET", "/app", &[ORIGIN], "").await, what);
        let asked = [ORIGIN, ("Access-Control-Request-Method", "POST")];
        assert_once(&site.request("OPTIONS", POLLING, &asked, "").await, what);
        // Browsers enforce what the layer says, but not for WebSockets: with the check off they are open to all.
        let evil = [("Origin", "https://evil.org")];
        let response = site.request("GET", POLLING, &evil, "").await;
        assert_eq!(response.header("access-control-allow-origin"), None, "{what}");
        let websocket = site.upgrade("/socket.io/?EIO=4&transport=websocket", &evil).await;
        assert_eq!(websocket.status, if what == "off" { 101 } else { 400 });
    }
}

/// F-COR-08: the layer inside, around the rest of the application alone.
#[tokio::test]
async fn a_cors_layer_may_be_inside() {
    let io = Server::builder().cors_allowed_origins(["https://a.com"]).build();
    let app = Router::new().route("/app", get(async || "app")).layer(CorsLayer::permissive());
    let site = Site::axum(app.layer(io.layer())).await;
    assert_once(&site.request("GET", POLLING, &[ORIGIN], "").await, "the server");
    let app = site.request("GET", "/app", &[ORIGIN], "").await;
    assert_eq!(app.header("access-control-allow-origin"), Some("*"));
}

/// One request to a server that no listener drives; its status.
async fn ask(io: &Server, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::get(POLLING).header("Host", "good.org");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    io.handle(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.status().as_u16()
}

/// F-COR-09: each refused origin is warned of once a minute, with what it was compared with, and nothing in it can forge
/// a line.
#[tokio::test(start_paused = true)]
async fn refused_origins_are_warned_of_once_a_minute() {
    let (log, _guard) = Log::start();
    let io = Server::new();
    let count = || log.take_own(Level::WARN).len();
    for (origin, warnings) in [("https://evil.org", 1), ("https://evil.org", 0), ("https://worse.org", 1)] {
        assert_eq!((ask(&io, &[("Origin", origin)]).await, count()), (400, warnings), "{origin}");
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!((ask(&io, &[("Origin", "https://evil.org")]).await, count()), (400, 0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    ask(&io, &[("Origin", "https://evil.org")]).await;
    let line = &log.take_own(Level::WARN)[0];
    assert_eq!((line.target.as_str(), line.field("cause")), ("wirebird::engineio", Some("\"origin\"")));
    let detail = line.field("detail").unwrap();
    assert!(detail.contains("https://evil.org") && detail.contains("http://good.org"), "{detail}");
    assert!(line.message().contains("cors_allowed_origins") && line.message().contains("trusted_proxies"));

    // Many origins do not flood the log.
    for number in 0..1000 {
        ask(&io, &[("Origin", &format!("https://{number}.org"))]).await;
    }
    assert!(count() < 100);
    tokio::time::sleep(Duration::from_secs(61)).await;
    ask(&io, &[("Origin", "https://e\u{9b}31m\u{2028}")]).await;
    let line = &log.take_own(Level::WARN)[0];
    assert!(!line.field("detail").unwrap().contains(['\u{9b}', '\u{2028}']), "{line:?}");
}

/// F-COR-03: options that are allowed and yet hardly meant are warned of when the server is built.
#[test]
fn odd_options_are_warned_of_when_the_server_is_built() {
    let (log, _guard) = Log::start();
    let warned = |builder: Builder| {
        builder.build();
        let lines = log.take_own(Level::WARN);
        assert!(lines.len() < 2, "{lines:?}");
        lines.first().map(|line| line.message().to_owned()).unwrap_or_default()
    };
    let origins = |origins: &[&str]| warned(Server::builder().cors_allowed_origins(origins.iter().copied()));
    assert_eq!(origins(&["https://a.com"]), "");
    assert_eq!(origins(&["*"]), "");
    assert!(origins(&["*", "https://a.com"]).contains("no effect"));
    assert!(origins(&["https://a.com", "null"]).contains("sandboxed"));
    assert!(
        warned(Server::builder().trusted_proxies(TrustedProxies::Addrs(vec![]))).contains("names nobody")
    );
    assert_eq!(warned(Server::builder().trusted_proxies(TrustedProxies::All)), "");
}

/// F-INT-06, F-COR-02, pain 13: behind a proxy that is named, by network, the outer origin is the own one; where the
/// listener does not say whose connection it is, the log does.
#[tokio::test]
async fn proxies_are_named_by_network() {
    let proxies = TrustedProxies::networks(["10.0.0.0/8"]).unwrap();
    let io = Server::builder().trusted_proxies(proxies).build();
    let outer = [
        ("Origin", "https://public.org"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.org"),
        ("X-Forwarded-For", "1.2.3.4"),
    ];
    let (log, _guard) = Log::start();
    for (peer, status) in [(Some("10.1.2.3:4"), 200), (Some("11.1.2.3:4"), 400), (None, 400)] {
        log.take();
        let mut request = Request::get(POLLING).header("Host", "inner:5000");
        for (name, value) in outer {
            request = request.header(name, value);
        }
        let mut request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer.parse().unwrap()));
        }
        assert_eq!(io.handle(request).await.status(), status, "{peer:?}");
        let warned = log.take_own(Level::WARN).iter().any(|line| line.message().contains("PeerAddr"));
        assert_eq!(warned, peer.is_none());
    }
    let addr = io.engine().sessions()[0].handshake().peer_addr().unwrap();
    assert_eq!(addr.ip().to_string(), "1.2.3.4");
}
