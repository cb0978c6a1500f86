//! From a request to a session.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::timeout;
use wirebird::engine::memory;
use wirebird::engine::{Secure, http as engine_http};
use wirebird::{Handshake, PeerAddr, Server, TransportKind};
use wirebird_proto::webtransport::{Frame, FrameDecoder};
use wtransport::endpoint::{IncomingSession, SessionRequest};
use wtransport::{Connection, RecvStream, SendStream};

use crate::driver::{self, READ};

const TARGET: &str = "wirebird::engineio";

/// Serves one connection from its request to its end.
pub(crate) async fn serve(io: Server, incoming: IncomingSession) {
    let patience = io.engine().config().upgrade_timeout;
    let Ok(Ok(request)) = timeout(patience, incoming).await else {
        return tracing::debug!(target: TARGET, "a WebTransport connection without a request");
    };
    // Who takes no answer is not waited for: HTTP/3 lets clients say how much they take.
    let Some(mut parts) = parts(&request) else {
        let _ = timeout(patience, request.not_found()).await;
        return;
    };
    let handshake = match engine_http::admit(io.engine(), &mut parts).await {
        Ok(handshake) => handshake,
        Err(response) => {
            let answer = async {
                match response.status() {
                    StatusCode::NOT_FOUND => request.not_found().await,
                    StatusCode::SERVICE_UNAVAILABLE => request.too_many_requests().await,
                    _ => request.forbidden().await,
                }
            };
            let _ = timeout(patience, answer).await;
            return;
        }
    };
    let Ok(Ok(connection)) = timeout(patience, request.accept()).await else {
        return tracing::debug!(target: TARGET, "a WebTransport connection that takes no answer");
    };
    if let Some(opened) = open(&io, &connection, handshake, patience).await {
        driver::run(opened).await;
    }
    connection.close(0_u32.into(), b"");
}

/// A connection that has become a session, or the candidate of one.
pub(crate) struct Opened {
    pub(crate) session: memory::Connection,
    pub(crate) woken: Arc<Notify>,
    pub(crate) decoder: FrameDecoder,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// Waits for the stream and the first packet, which says whether a session begins or moves here.
async fn open(
    io: &Server,
    connection: &Connection,
    handshake: Arc<Handshake>,
    patience: Duration,
) -> Option<Opened> {
    let mut decoder = FrameDecoder::new(io.engine().config().max_payload);
    let first = async {
        let (send, mut recv) = connection.accept_bi().await.ok()?;
        let frame = first_frame(&mut recv, &mut decoder).await?;
        Some((send, recv, frame))
    };
    let Some((send, recv, frame)) = timeout(patience, first).await.ok().flatten() else {
        tracing::debug!(target: TARGET, "a WebTransport connection without a first packet");
        return None;
    };
    let woken = Arc::new(Notify::new());
    let wake = {
        let woken = woken.clone();
        move || woken.notify_one()
    };
    let session = match First::of(&frame)? {
        First::Open => memory::Connection::open_as(TransportKind::WebTransport, io.engine(), handshake, wake),
        First::Upgrade(sid) => {
            let session = io.engine().session(&sid).filter(|_| io.engine().config().allow_upgrades);
            session.and_then(|session| {
                memory::Connection::upgrade_as(TransportKind::WebTransport, &session, wake)
            })
        }
    };
    if session.is_none() {
        tracing::debug!(target: TARGET, "a WebTransport connection was refused a session");
    }
    Some(Opened { session: session?, woken, decoder, send, recv })
}

async fn first_frame(recv: &mut RecvStream, decoder: &mut FrameDecoder) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next_frame().ok()? {
            return Some(frame);
        }
        let chunk = recv.quic_stream_mut().read_chunk(READ, true).await.ok()??;
        decoder.extend(&chunk.bytes);
    }
}

/// What the first packet asks for.
#[derive(Debug, PartialEq)]
enum First {
    Open,
    Upgrade(String),
}

impl First {
    fn of(frame: &Frame) -> Option<Self> {
        #[derive(Deserialize)]
        struct Upgrade {
            sid: String,
        }
        let Frame::Text(text) = frame else { return None };
        match text.strip_prefix('0')? {
            "" => Some(Self::Open),
            json => serde_json::from_str(json).ok().map(|Upgrade { sid }| Self::Upgrade(sid)),
        }
    }
}

/// The request as the rest of the server knows requests.
fn parts(request: &SessionRequest) -> Option<Parts> {
    let uri = format!("https://{}{}", request.authority(), request.path());
    let mut made = Request::builder().method(Method::CONNECT).version(Version::HTTP_3).uri(uri);
    for (name, value) in request.headers().iter().filter(|(name, _)| !name.starts_with(':')) {
        made = made.header(name, value);
    }
    let made = made.extension(PeerAddr(request.remote_address())).extension(Secure);
    made.body(()).ok().map(|request| request.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_opens_or_upgrades() {
        let first = |text: &'static str| First::of(&Frame::Text(text.into()));
        assert_eq!(first("0"), Some(First::Open));
        assert_eq!(first(r#"0{"sid":"abc"}"#), Some(First::Upgrade("abc".into())));
        for other in ["", "4hello", "0{}", "0[", r#"0{"sid":1}"#] {
            assert_eq!(first(other), None, "{other}");
        }
        assert_eq!(First::of(&Frame::Binary(vec![0].into())), None);
    }
}
