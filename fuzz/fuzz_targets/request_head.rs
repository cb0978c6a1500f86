//! Heads of requests: query strings, origins, forwarding headers, WebSocket handshakes. What a proxy says counts only when
//! the proxy is trusted, a page is let in only when its origin is the server's, and what is kept is what came.
#![no_main]

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use wirebird_engine::http::{Step, begin};
use wirebird_engine::{
    CloseReason, Config, Deflate, Engine, Handler, Message, PeerAddr, Secure, Session, TrustedProxies,
};

const PROXY: &str = "10.0.0.1:4000";
const CLIENT: &str = "192.0.2.7:4000";
const HOST: &str = "example.com";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    method: u8,
    path: Option<&'a str>,
    /// `$` stands for the id of a session that is there.
    query: &'a str,
    usual_query: u8,
    headers: Vec<(u8, &'a [u8])>,
    by_proxy: bool,
    secure: bool,
}

const HEADERS: [&str; 18] = [
    "origin",
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "cookie",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "accept-encoding",
    "content-type",
    "content-length",
    "access-control-request-headers",
    "x-other",
];

const FORWARDING: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

const QUERIES: [&str; 6] = [
    "EIO=4&transport=polling",
    "EIO=4&transport=websocket",
    "EIO=4&transport=polling&sid=$",
    "EIO=4&transport=websocket&sid=$",
    "EIO=3&transport=polling&j=0",
    "",
];

struct Silent;

impl Handler for Silent {
    fn message(&self, _: &Arc<Session>, _: Message) {}
    fn close(&self, _: &Arc<Session>, _: CloseReason) {}
}

/// An engine with most options off, one that trusts a proxy's `X-Forwarded-*`, one that trusts its `Forwarded`.
static ENGINES: LazyLock<[Engine; 3]> = LazyLock::new(|| {
    let proxies = TrustedProxies::networks(["10.0.0.0/8"]).unwrap();
    [TrustedProxies::None, proxies.clone(), proxies.by_forwarded_header()].map(|proxies| {
        let mut config = Config::default();
        config.allow_eio3 = proxies != TrustedProxies::None;
        config.jsonp = config.allow_eio3;
        config.per_message_deflate = config.allow_eio3.then(Deflate::default);
        config.trusted_proxies = proxies;
        Engine::new(config, Arc::new(Silent)).unwrap()
    })
});

fuzz_target!(|input: Input<'_>| {
    for (at, engine) in ENGINES.iter().enumerate() {
        let known = match answer(engine, parts(engine, &input, true)) {
            Some(known) => known,
            None => return,
        };
        if at == 0 || !input.by_proxy {
            // Whoever is not trusted changes nothing by what it says of others.
            let unforwarded = answer(engine, parts(engine, &input, false)).expect("a request with less");
            assert_eq!(known, unforwarded);
        }
    }
});

/// A request; `None` when HTTP itself would not take it, or has more headers than the server takes.
fn parts(engine: &Engine, input: &Input<'_>, forwarding: bool) -> Option<Parts> {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = match input.method % 8 {
        0..4 => Method::GET,
        4 | 5 => Method::POST,
        6 => Method::OPTIONS,
        _ => Method::DELETE,
    };
    let path = input.path.unwrap_or("/socket.io/");
    let usual = QUERIES.get(usize::from(input.usual_query) % (QUERIES.len() + 1));
    let query = match usual {
        Some(usual) => format!("{usual}&{}", input.query),
        None => input.query.to_owned(),
    };
    let session = engine.sessions().pop();
    let id = session.as_ref().map_or("none".to_owned(), |session| session.id().to_string());
    parts.uri = Uri::try_from(format!("{path}?{}", query.replace('$', &id))).ok()?;
    parts.headers.append("host", HeaderValue::from_static(HOST));
    for (number, value) in &input.headers {
        let name = HEADERS[usize::from(*number) % HEADERS.len()];
        if name == "host" || FORWARDING.contains(&name) && !forwarding {
            continue;
        }
        parts.headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
    }
    // Too many are refused before anything is looked at, whatever they say.
    if parts.headers.len() > engine.config().max_headers {
        return None;
    }
    let peer: SocketAddr = if input.by_proxy { PROXY } else { CLIENT }.parse().unwrap();
    parts.extensions.insert(PeerAddr(peer));
    if input.secure {
        parts.extensions.insert(Secure);
    }
    Some(parts)
}

/// What is seen of the answer to a request: its kind, status, headers, the client's address and whether it uses TLS.
type Seen = (&'static str, StatusCode, HeaderMap, Option<(Option<SocketAddr>, bool)>);

fn answer(engine: &Engine, parts: Option<Parts>) -> Option<Seen> {
    let mut parts = parts?;
    // A session to ask for, with nobody polling.
    let asked = begin_now(engine, &mut plain_open());
    assert!(matches!(asked, Step::Respond(ref response) if response.status() == 200));
    let there = engine.sessions().pop().expect("a session");
    let given = parts.clone();
    let mut step = begin_now(engine, &mut parts);
    let opened = engine.sessions().into_iter().find(|session| !Arc::ptr_eq(session, &there));
    let opened = opened.map(|session| {
        check_handshake(&session, &given);
        (session.handshake().peer_addr(), session.handshake().is_secure())
    });
    let (kind, response) = match &mut step {
        Step::Respond(response) => ("respond", std::mem::take(response)),
        Step::WebSocket(_, reply) => ("websocket", reply.switching()),
        Step::Poll(_, reply) => ("poll", reply.poll(bytes::Bytes::from_static(b"6").into())),
        Step::Post(_, reply) => ("post", reply.posted(true)),
        _ => ("other", Default::default()),
    };
    check_origin(engine, &given, kind, &response);
    drop(step);
    for session in engine.sessions() {
        session.close(CloseReason::ForcedClose);
        session.finish();
    }
    assert_eq!(engine.session_count(), 0);
    let (parts, _) = response.into_parts();
    let mut headers = parts.headers;
    headers.remove("date");
    headers.remove("sec-websocket-accept");
    Some((kind, parts.status, headers, opened))
}

fn plain_open() -> Parts {
    let request = Request::get("/socket.io/?EIO=4&transport=polling").body(()).unwrap();
    request.into_parts().0
}

/// Nothing here waits for anything.
fn begin_now(engine: &Engine, parts: &mut Parts) -> Step {
    let step = pin!(begin(engine, parts));
    match step.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(step) => step,
        Poll::Pending => panic!("a head that has to wait"),
    }
}

fn check_handshake(session: &Session, given: &Parts) {
    let handshake = session.handshake();
    assert_eq!(handshake.uri(), given.uri.to_string());
    assert_eq!(handshake.path(), given.uri.path());
    assert_eq!(handshake.query_string(), given.uri.query().unwrap_or_default());
    let query = form_urlencoded::parse(given.uri.query().unwrap_or_default().as_bytes());
    assert!(handshake.query_pairs().eq(query));
    for name in given.headers.keys() {
        let kept = handshake.headers().filter(|(key, _)| key == name).map(|(_, value)| value);
        assert!(kept.eq(given.headers.get_all(name).iter().map(HeaderValue::as_bytes)));
    }
    assert_eq!(handshake.header_map().len(), given.headers.len());
    let _ = handshake.cookie("io");
    // An address that nobody trusted gave is none of the client's making.
    let peer = given.extensions.get::<PeerAddr>().unwrap().0;
    let seen = handshake.peer_addr().expect("an address");
    assert!(seen == peer || peer.ip() == "10.0.0.1".parse::<IpAddr>().unwrap() && seen.port() == 0);
}

/// A page of another origin gets nothing that matters, unless a trusted proxy says that it is this one.
fn check_origin(engine: &Engine, given: &Parts, kind: &str, response: &http::Response<bytes::Bytes>) {
    let allowed = response.headers().get("access-control-allow-origin");
    let Some(origin) = given.headers.get("origin") else { return assert!(allowed.is_none()) };
    let by_proxy = engine.config().trusted_proxies.trusts(given.extensions.get::<PeerAddr>().map(|p| p.0));
    if !by_proxy {
        let scheme = if given.extensions.get::<Secure>().is_some() { "https" } else { "http" };
        let own = *origin == format!("{scheme}://{HOST}");
        assert_eq!(allowed.is_some(), own, "{response:?}");
        assert!(own || kind == "respond" && response.status() == StatusCode::BAD_REQUEST, "{response:?}");
    }
    assert!(allowed.is_none_or(|allowed| allowed == origin));
}
