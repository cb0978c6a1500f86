//! The server that the public test suites of the Engine.IO and Socket.IO protocols ask for: Socket.IO on
//! `/socket.io/`, plain Engine.IO on `/engine.io/`, both on port 3000. Version 3 of Engine.IO is allowed: one and the
//! same server passes the suites of both versions.
//!
//! Run it, then `npm test` in the `test-suite` folder of the repositories socketio/engine.io-protocol (its branches
//! `main` and `v3`) and socketio/socket.io-protocol.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use wirebird::engine::http::{Fallback, FallbackBody, Step, begin, full, handle, not_found};
use wirebird::engine::{CloseReason, Config, Cors, Engine, Handler, Message, Outgoing, Session};
use wirebird::extract::Auth;
use wirebird::{AckSender, Origins, RawArgs, Server, Socket, Value};

const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);

/// The suites' own client only sees one packet of what it reads at once, and misses one that it reads together with
/// the answer to its WebSocket request. What a client that works would understand at once comes so much later here.
const A_MOMENT: Duration = Duration::from_millis(10);

// One thread: the suite sends requests on two connections at once, and wants them seen in that order.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "localhost:3000".into());
    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    socket_io().serve_with_fallback(listener, EngineIo::new()?).await?;
    Ok(())
}

fn socket_io() -> Server {
    let io = Server::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(1_000_000)
        .connect_timeout(Duration::from_secs(1))
        .cors_allowed_origins(["*"])
        .allow_eio3(true)
        .build();
    io.on_connect(send_auth);
    io.of("/custom").on_connect(send_auth);
    io.on("message", async |socket: Socket, args: RawArgs| socket.emit_raw("message-back", &args));
    io.on("message-with-ack", async |args: RawArgs, ack: AckSender| ack.send_raw(&args));
    io
}

/// Emitting in the handler itself would do: the event would follow the CONNECT packet in the same write.
async fn send_auth(socket: Socket, Auth(auth): Auth<Option<Value>>) {
    tokio::spawn(async move {
        tokio::time::sleep(A_MOMENT).await;
        socket.emit("auth", auth.unwrap_or_else(|| serde_json::json!({}).into()))
    });
}

/// Plain Engine.IO: sends every message back.
struct Echo;

impl Handler for Echo {
    fn message(&self, session: &Arc<Session>, message: Message) {
        let echo = match message {
            Message::Text(text) => Outgoing::text(&text),
            Message::Binary(data) => Outgoing::binary(&data),
            _ => return,
        };
        // An error means that the session has ended: there is nobody to echo to.
        let _ = session.send(echo);
    }

    fn close(&self, _session: &Arc<Session>, _reason: CloseReason) {}
}

struct EngineIo(Engine);

impl EngineIo {
    fn new() -> Result<Self, wirebird::ConfigError> {
        let mut config = Config::default();
        config.path = "/engine.io".into();
        config.ping_interval = PING_INTERVAL;
        config.ping_timeout = PING_TIMEOUT;
        config.allow_eio3 = true;
        config.cors = Cors::default();
        config.cors.origins = Origins::Any;
        Ok(Self(Engine::new(config, Arc::new(Echo))?))
    }
}

impl Fallback for EngineIo {
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>> {
        let engine = self.0.clone();
        Box::pin(async move {
            let opens_session = !request.uri().query().unwrap_or_default().contains("sid=");
            if opens_session && request.headers().contains_key(header::UPGRADE) {
                return open(&engine, request).await.map(full);
            }
            handle(&engine, request).await.map(|body| body.map_err(|never| match never {}).boxed_unsync())
        })
    }
}

/// What `handle` would do with a request for a WebSocket, but for the moment before OPEN.
async fn open(engine: &Engine, mut request: Request<Incoming>) -> Response<Bytes> {
    let upgrade = hyper::upgrade::on(&mut request);
    match begin(engine, &mut request.into_parts().0).await {
        Step::WebSocket(websocket, reply) => {
            tokio::spawn(async move {
                let Ok(connection) = upgrade.await else { return };
                tokio::time::sleep(A_MOMENT).await;
                websocket.run(TokioIo::new(connection), Bytes::new()).await;
            });
            reply.switching()
        }
        Step::Respond(response) => response,
        _ => not_found(),
    }
}
