//! The HTTP side: requests come in as head and body, answers go out as whole responses.
//!
//! [`begin`] needs no runtime and no particular server: it looks at a request's head and says what comes next.
//! [`serve`] drives it for hyper, and for everything built on hyper.

mod accept;
mod body;
mod client;
mod compress;
mod date;
mod direct;
mod head;
mod hooks;
mod http2;
mod log;
mod pace;
mod query;
mod reply;
mod respond;
mod rewind;
mod serve;
mod timed;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use wirebird_proto::websocket::{self, DeflateParams};

use crate::cors::CorsHeaders;
use crate::engine::{Engine, guard};
use crate::handshake::{Handshake, PeerAddr, Secure};
use crate::id::Id;
use crate::polling::{Form, Misuse, Poll, Post};
use crate::protocol::Protocol;
use crate::refusal::{Cause, Refusal};
use crate::session::Session;
use crate::stream::WebSocket;
use crate::transport::TransportKind;
use hooks::Extra;
use query::Query;

pub use client::ClientFiles;
/// The body of a request that a [`Listener`] hands to its [`Fallback`].
pub use hyper::body::Incoming;

pub use accept::{serve, serve_tls};
pub(crate) use log::{is_news, too_large as log_too_large};
pub use reply::Reply;
pub use serve::{Fallback, FallbackBody, Listener, full, handle, handle_with_upgrade, not_found};

/// What a request's head asks for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// This is the answer.
    Respond(Response<Bytes>),
    /// Await the poll, then answer with [`Reply::poll`].
    Poll(Poll, Reply),
    /// Read the body, at most `max_payload` bytes of it, deliver it, then answer with [`Reply::posted`].
    Post(Post, Reply),
    /// Answer with [`Reply::switching`], then run the WebSocket on the connection.
    WebSocket(WebSocket, Reply),
}

/// Whether a request's path is the engine's own: the configured one, with or without a slash at its end, or that of a
/// file of the client that is served.
pub fn is_endpoint(engine: &Engine, path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == engine.config().path || client_file(engine, path).is_some()
}

/// The files of the client, and which of them has this path.
fn client_file<'a>(engine: &'a Engine, path: &'a str) -> Option<(&'a ClientFiles, &'a str)> {
    let files = engine.config().client.as_ref()?;
    let name = path.strip_prefix(&engine.config().path)?.strip_prefix('/')?;
    files.has(name).then_some((files, name))
}

/// Checks a request that opens a connection which is not HTTP from then on, such as a WebTransport: the path, the origin,
/// the limits, and what the application says of it.
///
/// # Errors
/// The answer, when it is refused.
pub async fn admit(engine: &Engine, parts: &mut Parts) -> Result<Arc<Handshake>, Response<Bytes>> {
    if !is_endpoint(engine, parts.uri.path()) || client_file(engine, parts.uri.path()).is_some() {
        return Err(not_found());
    }
    let peer = find_peer(engine, parts);
    let cors = match check_size(engine, parts) {
        Ok(()) => check_origin(engine, parts).await,
        Err(cause) => Err(cause),
    };
    let (cause, cors) = match cors {
        Ok(cors) => match admitted(engine, parts).await {
            Ok(handshake) => return Ok(handshake),
            Err(cause) => (cause, cors),
        },
        Err(cause) => (cause, CorsHeaders::refused()),
    };
    give_back(parts, peer);
    Err(refuse(engine, parts, &cause, &cors))
}

/// Looks at the head of a request to the engine's path. Extensions are moved out of `parts` when a session is opened.
pub async fn begin(engine: &Engine, parts: &mut Parts) -> Step {
    let peer = find_peer(engine, parts);
    let extra = Extra::ask(engine, engine.config().headers.as_ref(), parts);
    let mut step = check(engine, parts, peer).await;
    match &mut step {
        Step::Respond(response) => extra.apply(response.headers_mut()),
        Step::Poll(_, reply) | Step::Post(_, reply) | Step::WebSocket(_, reply) => reply.extra.add(extra),
    }
    step
}

async fn check(engine: &Engine, parts: &mut Parts, peer: Option<PeerAddr>) -> Step {
    let file = client_file(engine, parts.uri.path());
    let cors = match check_size(engine, parts) {
        Ok(()) => check_origin(engine, parts).await,
        Err(cause) => Err(cause),
    };
    let cors = match cors {
        Ok(cors) => cors,
        // Scripts are there for all; a page that may not read them is not told that it may.
        Err(_) if file.is_some() => CorsHeaders::refused(),
        Err(cause) => return Step::Respond(refuse(engine, parts, &cause, &CorsHeaders::refused())),
    };
    if parts.method == Method::OPTIONS {
        return Step::Respond(respond::preflight(engine, &parts.headers, &cors));
    }
    let accept_encodings = parts.headers.get_all(header::ACCEPT_ENCODING).iter();
    let accept_encodings = accept_encodings.filter_map(|value| value.to_str().ok());
    let encoding = compress::Encoding::negotiate(engine.config(), accept_encodings);
    if let Some((files, name)) = file {
        let mut response = files.respond(name, &parts.method, &parts.headers, encoding);
        cors.apply(response.headers_mut());
        return Step::Respond(response);
    }
    let reply = Reply {
        cors: cors.clone(),
        encoding,
        accept: None,
        cookie: None,
        extra: Extra::default(),
        callback: None,
        extensions: None,
    };
    match route(engine, parts, reply).await {
        Ok(step) => step,
        Err(cause) => {
            give_back(parts, peer);
            Step::Respond(refuse(engine, parts, &cause, &cors))
        }
    }
}

/// Whether the head of a request is within its limits.
fn check_size(engine: &Engine, parts: &Parts) -> Result<(), Cause> {
    let config = engine.config();
    if url_length(parts) > config.max_url {
        return Err(Cause::UrlTooLong);
    }
    if parts.headers.len() > config.max_headers {
        return Err(Cause::TooManyHeaders);
    }
    if head_length(parts) > config.max_head {
        return Err(Cause::HeadTooLarge);
    }
    Ok(())
}

/// What the origin of a request means for its answer.
async fn check_origin(engine: &Engine, parts: &Parts) -> Result<CorsHeaders, Cause> {
    for (name, text) in [(header::HOST, "Host"), (header::ORIGIN, "Origin")] {
        if parts.headers.get_all(name).iter().nth(1).is_some() {
            return Err(Cause::Repeated(text));
        }
    }
    let peer = parts.extensions.get::<PeerAddr>().map(|p| p.0);
    let proxies = &engine.config().trusted_proxies;
    if peer.is_none() && proxies.needs_peer() {
        log::peer_unknown(engine, &parts.headers);
    }
    let forwarded = proxies.forwarded(peer, &parts.headers);
    let secure = parts.extensions.get::<Secure>().is_some() || parts.uri.scheme_str() == Some("https");
    let secure = forwarded.as_ref().and_then(|f| f.secure).unwrap_or(secure);
    let authority = parts.uri.authority().map(|a| a.as_str().to_owned());
    engine.config().cors.check(&parts.headers, authority.as_deref(), secure, forwarded.as_ref()).await
}

/// Asks the application where the request comes from, if the listener has not said so.
fn find_peer(engine: &Engine, parts: &mut Parts) -> Option<PeerAddr> {
    let known = parts.extensions.get::<PeerAddr>().copied();
    if known.is_some() {
        return known;
    }
    let peer = PeerAddr(engine.config().peer_addr.as_ref()?(&parts.extensions)?);
    parts.extensions.insert(peer);
    Some(peer)
}

/// Puts the peer back that a handshake has taken along: whoever is told of a refusal is told whose it is.
fn give_back(parts: &mut Parts, peer: Option<PeerAddr>) {
    if let Some(peer) = peer {
        parts.extensions.insert(peer);
    }
}

async fn route(engine: &Engine, parts: &mut Parts, mut reply: Reply) -> Result<Step, Cause> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let by_connect = http2::is_websocket(parts);
    if parts.method != Method::GET && parts.method != Method::POST && !by_connect {
        return Err(if query.sid.is_some() { Cause::Method } else { Cause::HandshakeMethod });
    }
    let Some(transport) = query.transport(engine) else { return Err(Cause::Transport(query.transport)) };
    if transport == TransportKind::Polling {
        reply.callback = query.callback(engine)?;
    }
    match &query.sid {
        Some(sid) => {
            let session = engine.session(sid).ok_or_else(|| Cause::Session(sid.clone()))?;
            with_session(engine, parts, transport, session, reply)
        }
        None => open(engine, parts, transport, &query, reply).await,
    }
}

async fn open(
    engine: &Engine,
    parts: &mut Parts,
    transport: TransportKind,
    query: &Query,
    reply: Reply,
) -> Result<Step, Cause> {
    if parts.method == Method::POST {
        return Err(Cause::HandshakeMethod);
    }
    let accept = match transport {
        TransportKind::Polling if http2::is_websocket(parts) => return Err(Cause::UpgradeOnPolling),
        TransportKind::WebSocket => Some(accept(engine, parts)?),
        TransportKind::Polling | TransportKind::WebTransport => None,
    };
    if Protocol::asked_for(engine.config(), query.version.as_deref()).is_none() {
        return Err(Cause::Version(query.version.clone()));
    }
    let initial = engine.config().initial_headers.as_ref();
    // The hook sees the request whole, and is asked only when the session is to be opened.
    let kept = initial.map(|_| parts.extensions.clone());
    let handshake = admitted(engine, parts).await?;
    if let Some(kept) = kept {
        parts.extensions = kept;
    }
    let extra = Extra::ask(engine, initial, parts);
    let secure = handshake.is_secure();
    let peer = handshake.peer_addr();
    let unopened = || engine.takes_no_more(peer).unwrap_or(Cause::NoId);
    if let Some((accept, agreed)) = accept {
        let id = engine.next_id().ok_or_else(unopened)?;
        let websocket = WebSocket::new(engine.clone(), handshake, id);
        let reply = Reply { cookie: cookie(engine, id, secure), extra, ..reply };
        return Ok(reply.accepting(websocket, accept, agreed));
    }
    let (session, body) = engine.open_polling(handshake).ok_or_else(unopened)?;
    let reply = Reply { cookie: cookie(engine, session.id(), secure), extra, ..reply };
    Ok(Step::Respond(reply.poll(body.into())))
}

/// The request as it is kept, if a session may be opened for it.
async fn admitted(engine: &Engine, parts: &mut Parts) -> Result<Arc<Handshake>, Cause> {
    if let Some(cause) = engine.takes_no_more(None) {
        return Err(cause);
    }
    let handshake = Arc::new(Handshake::new(parts, &engine.config().trusted_proxies));
    engine.shared().admission.ask(engine.config(), &handshake, engine.now())?;
    if let Some(gate) = &engine.config().gate {
        let (decision, pending) = crate::gate::Decision::new();
        guard(|| gate.check(handshake.clone(), decision));
        pending.decided().await.map_err(Cause::Forbidden)?;
    }
    Ok(handshake)
}

/// Checks a WebSocket request; gives the value of the header that accepts it, if it needs one, and what is agreed on with
/// it.
fn accept(engine: &Engine, parts: &Parts) -> Result<(Option<HeaderValue>, Option<DeflateParams>), Cause> {
    let accept = if http2::is_websocket(parts) {
        http2::accept(parts).map(|()| None)
    } else {
        websocket::accept(parts).map(Some)
    };
    let accept = accept.map_err(Cause::WebSocket)?;
    let agreed = match &engine.config().per_message_deflate {
        Some(deflate) => deflate.options().negotiate(&parts.headers).map_err(Cause::WebSocket)?,
        None => None,
    };
    Ok((accept, agreed))
}

fn cookie(engine: &Engine, id: Id, secure: bool) -> Option<HeaderValue> {
    let cookie = engine.config().cookie.as_ref()?;
    HeaderValue::from_str(&cookie.header(id.as_str(), secure)).ok()
}

fn with_session(
    engine: &Engine,
    parts: &Parts,
    transport: TransportKind,
    session: Arc<Session>,
    reply: Reply,
) -> Result<Step, Cause> {
    if transport == TransportKind::WebSocket {
        let (accept, agreed) = accept(engine, parts)?;
        if !engine.config().upgrades() {
            return Err(Cause::NoUpgrades);
        }
        return Ok(reply.accepting(WebSocket::upgrading(engine.clone(), session), accept, agreed));
    }
    // A request that wants to become a WebSocket is never a poll.
    if websocket::is_upgrade(&parts.headers) || http2::is_websocket(parts) {
        return Err(Cause::UpgradeOnPolling);
    }
    let misused = |misuse| refused_by(misuse, &session);
    if !session.check_heartbeat() {
        return Err(misused(Misuse::Gone));
    }
    if parts.method == Method::GET {
        let poll = Poll::begin(&session).map_err(misused)?;
        return Ok(Step::Poll(if reply.callback.is_some() { poll.in_text() } else { poll }, reply));
    }
    let post = Post::begin(&session).map_err(misused)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_binary = content_type.is_some_and(|t| t.starts_with(b"application/octet-stream"));
    let post = match (is_binary, reply.callback) {
        (false, None) => post,
        (false, Some(_)) => post.of(Form::Jsonp),
        (true, None) if session.protocol() == Protocol::V3 => post.of(Form::Binary),
        // Dropping the POST ends the session.
        (true, _) => return Err(Cause::BinaryPost),
    };
    if declared_length(&parts.headers).is_some_and(|length| length > engine.config().max_payload as u64) {
        post.give_up();
        return Err(Cause::BodyTooLarge);
    }
    Ok(Step::Post(post, reply))
}

/// About as many bytes as the head of the request had.
fn head_length(parts: &Parts) -> usize {
    url_length(parts)
        + parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

fn url_length(parts: &Parts) -> usize {
    parts.uri.path().len() + parts.uri.query().map_or(0, |query| query.len() + 1)
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refuse(engine: &Engine, parts: &Parts, cause: &Cause, cors: &CorsHeaders) -> Response<Bytes> {
    tell_refused(engine, parts, cause);
    let mut response = respond::refusal(cause);
    cors.apply(response.headers_mut());
    response
}

/// Says, in the log and to the layer above, that a request is refused.
fn tell_refused(engine: &Engine, parts: &Parts, cause: &Cause) {
    log::refused(engine, parts, cause);
    engine.shared().counters.refused(cause);
    let refusal =
        Refusal { status: cause.status(), code: cause.code(), message: cause.message(), cause, parts };
    engine.shared().tell(|handler| handler.refused(&refusal));
    if let Some(limit) = cause.limit() {
        engine.count_limit(limit, None);
    }
}

/// Why a session does not take a poll or a POST.
fn refused_by(misuse: Misuse, session: &Session) -> Cause {
    match misuse {
        Misuse::Overlap => Cause::Overlap,
        Misuse::OtherTransport => Cause::OtherTransport,
        Misuse::Gone => Cause::Session(session.id().to_string()),
    }
}

pub(crate) fn not_a_websocket() -> Response<Bytes> {
    respond::bad_request()
}
