//! actix-web: its requests, responses and connections are its own, so that this takes some translation.

use actix_web::body::BodyStream;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error, rt};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::io::ReaderStream;
use wirebird::{PeerAddr, Server};
use wirebird_examples::listen;
use wirebird_frameworks::server;

/// The largest message, as in `Builder::max_payload`.
const MAX_PAYLOAD: usize = 1_000_000;

/// Answers what is for the Socket.IO server.
async fn socket_io(
    io: web::Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> actix_web::Result<HttpResponse> {
    let mut head = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        head = head.header(name.as_str(), value.as_bytes());
    }
    if let Some(peer) = request.peer_addr() {
        head = head.extension(PeerAddr(peer));
    }

    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let (body, upgraded) = if is_upgrade {
        (Bytes::new(), Some(payload))
    } else {
        (payload.to_bytes_limited(MAX_PAYLOAD + 1).await.map_err(error::ErrorPayloadTooLarge)??, None)
    };
    let request = head.body(Full::new(body)).map_err(error::ErrorBadRequest)?;

    // An upgraded connection is the rest of the request's body and the body of the response.
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let answer = io.handle_with_upgrade(request, async { Ok::<_, std::io::Error>(theirs) }).await;

    let status = StatusCode::from_u16(answer.status().as_u16()).map_err(error::ErrorInternalServerError)?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    match upgraded {
        Some(payload) if status == StatusCode::SWITCHING_PROTOCOLS => {
            let (read, write) = tokio::io::split(ours);
            rt::spawn(pass_on(payload, write));
            Ok(response
                .upgrade("websocket")
                .message_body(BodyStream::new(ReaderStream::new(read)))?
                .map_into_boxed_body())
        }
        _ => {
            let Ok(body) = answer.into_body().collect().await;
            Ok(response.body(body.to_bytes()))
        }
    }
}

/// What the client sends on an upgraded connection.
async fn pass_on(mut payload: Payload, mut write: tokio::io::WriteHalf<DuplexStream>) {
    while let Some(Ok(bytes)) = payload.next().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Actix's workers have a runtime for each thread; this one, for handlers and timers, has all.
    let io = server(Server::builder().runtime(tokio::runtime::Handle::current()).max_payload(MAX_PAYLOAD));

    let app = move || {
        App::new()
            .app_data(web::Data::new(io.clone()))
            .route("/socket.io/", web::route().to(socket_io))
            .route("/", web::get().to(async || "actix"))
    };
    HttpServer::new(app).listen(listen().await?.into_std()?)?.run().await
}
