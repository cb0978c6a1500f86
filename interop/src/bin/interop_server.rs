//! The server that the tests with official clients talk to: one handler for each thing they try.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::json;
use wirebird::engine::CloseReason;
use wirebird::extract::{Args, Auth, Data, EventContext, EventName, State};
use wirebird::parser::MsgPack;
use wirebird::{AckError, ConnectError, DisconnectReason, EmitError, Error, Handshake, RawArgs, RoomError};
use wirebird::{AckSender, Builder, Cookie, Date, Deflate, Server, Socket, TrustedProxies, Value};

/// The last disconnects: id and reason.
type Disconnects = Arc<Mutex<VecDeque<(String, &'static str)>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let port = option("--port").unwrap_or_else(|| "0".into());
    let host = option("--host").unwrap_or_else(|| "127.0.0.1".into());
    let listener = tokio::net::TcpListener::bind(format!("{host}:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let io = server();
    tokio::spawn(io.shutdown_on_signal_within(Duration::from_millis(500)));
    io.serve_listener(listener).await
}

/// What follows a name on the command line; the last one counts.
fn option(name: &str) -> Option<String> {
    let args: Vec<_> = std::env::args().collect();
    let at = args.iter().rposition(|arg| arg == name)?;
    args.get(at + 1).cloned()
}

fn server() -> Server {
    let builder = match option("--parser").as_deref() {
        None => Server::builder(),
        Some("msgpack") => Server::builder().parser(MsgPack),
        Some(other) => panic!("unknown parser {other:?}"),
    };
    // Older clients, in the suites that are about them.
    let old = std::env::args().any(|arg| arg == "--old");
    let io = placed(compressing(builder))
        .allow_eio3(old)
        .jsonp(old)
        .ping_interval(Duration::from_secs(1))
        .ping_timeout(ping_timeout())
        .state(Disconnects::default())
        .build();

    io.on_connect(welcome);
    io.on_disconnect(async |socket: Socket, reason: DisconnectReason, State(log): State<Disconnects>| {
        let mut log = log.lock().map_err(|_| Error::msg("poisoned"))?;
        log.push_back((socket.id().to_string(), reason.as_node_str()));
        if log.len() > 200 {
            log.pop_front();
        }
        Ok::<_, Error>(())
    });
    io.on("disconnects", async |State(log): State<Disconnects>| match log.lock() {
        Ok(log) => Ok(log.iter().cloned().collect::<Vec<_>>()),
        Err(_) => Err(Error::msg("poisoned")),
    });

    io.on("echo", echo);
    io.on("bin", async |socket: Socket, Data(data): Data<Bytes>| {
        socket.emit("bin", &data)?;
        Ok::<_, EmitError>(data.len())
    });
    io.on("a day later", async |Data(date): Data<Date>| Date::from_millis(date.millis() + 86_400_000));
    io.on("text", async |Data(text): Data<String>| text);
    io.on("plain", async |socket: Socket, args: RawArgs| {
        socket.compress(false).emit_raw("plain", &args)?;
        Ok::<_, EmitError>(())
    });
    rooms(&io);
    asking(&io);
    recording(&io);
    trouble(&io);
    io.on("count", async |socket: Socket, Data(n): Data<u32>| {
        for i in 0..n {
            socket.emit("tick", i)?;
        }
        Ok::<_, EmitError>(n)
    });
    io.on("seq", async |Data(i): Data<u32>| i);
    io.on("transport", async |socket: Socket| socket.transport().as_str());
    io.on("handshake", async |shake: Arc<Handshake>| {
        json!({
            "user_agent": shake.header("user-agent"),
            "cookie": shake.header("cookie"),
            "peer": shake.peer_addr().map(|peer| peer.to_string()),
        })
    });
    io.fallback(async |name: EventName, Args(args): Args, ack: AckSender| {
        if name.starts_with("any-") {
            let mut reply = vec![Value::from("any"), Value::from(&*name)];
            reply.extend(args);
            ack.send_values(&reply)?;
        }
        Ok::<_, EmitError>(())
    });

    io.of("/auth").on_connect(auth);
    io.of("/other").on("echo", echo);
    io.on_error(async |error: Error, context: EventContext| {
        tracing::info!(%error, event = context.event(), "a handler failed");
    });
    io
}

/// For any page, or one of several servers behind a proxy on this host, which says its name.
fn placed(builder: Builder) -> Builder {
    let Some(name) = option("--behind-proxy") else { return builder.cors_allowed_origins(["*"]) };
    let name = HeaderValue::from_str(&name).unwrap_or_else(|error| panic!("{error}: {name:?}"));
    // Not all of loopback: that is where the clients of the tests come from.
    let proxy = TrustedProxies::networks(["127.0.0.1"]).unwrap_or_default();
    builder.trusted_proxies(proxy).cookie(Cookie::named("io")).headers(move |headers, _| {
        headers.insert("x-server", name.clone());
    })
}

/// Compression of WebSocket messages, as a suite asks for it.
fn compressing(builder: Builder) -> Builder {
    let deflate = Deflate::default().threshold(100);
    match std::env::var("INTEROP_DEFLATE").as_deref() {
        Ok("alone") => builder.per_message_deflate(deflate),
        Ok("takeover") => builder
            .per_message_deflate(deflate.server_no_context_takeover(false).client_no_context_takeover(false)),
        _ => builder,
    }
}

/// Short, so that late pongs are noticed within a test; tests that keep the whole machine busy ask for more.
fn ping_timeout() -> Duration {
    let asked = std::env::var("INTEROP_PING_TIMEOUT_MS").ok().and_then(|ms| ms.parse().ok());
    Duration::from_millis(asked.unwrap_or(2000))
}

async fn welcome(
    socket: Socket,
    shake: Arc<Handshake>,
    Auth(auth): Auth<Option<Value>>,
) -> Result<(), EmitError> {
    socket.emit("welcome", json!({ "sid": socket.id(), "query_k": shake.query("k"), "auth": auth }))
}

async fn echo(socket: Socket, args: RawArgs, ack: AckSender) -> Result<(), EmitError> {
    if ack.is_wanted() {
        return ack.send_raw(&args);
    }
    socket.emit_raw("echo", &args)
}

async fn auth(socket: Socket, Auth(auth): Auth<Option<Value>>) -> Result<(), ConnectError> {
    let auth = auth.unwrap_or_default();
    if auth.get("token").and_then(Value::as_str) != Some("secret") {
        return Err(ConnectError::new("unauthorized!").with_data(json!({ "code": 401 })));
    }
    if let Some(name) = auth.get("name") {
        socket.emit("hello", name)?;
    }
    Ok(())
}

fn rooms(io: &Server) {
    io.on("join", async |socket: Socket, Data(room): Data<String>| {
        socket.join(room)?;
        Ok::<_, RoomError>(true)
    });
    io.on("leave", async |socket: Socket, Data(room): Data<String>| {
        socket.leave(room);
        true
    });
    io.on("rooms", async |socket: Socket| socket.rooms().iter().map(ToString::to_string).collect::<Vec<_>>());
    io.on("room", async |socket: Socket, Data((room, text)): Data<(String, Value)>| {
        socket.namespace().to(&room).emit("room_msg", (&room, text))?;
        Ok::<_, EmitError>("sent")
    });
    io.on("to_others", async |socket: Socket, Data((room, text)): Data<(String, Value)>| {
        socket.to(&room).emit("room_msg", (&room, text))?;
        Ok::<_, EmitError>("sent")
    });
    io.on("broadcast", async |socket: Socket, Data(text): Data<String>| {
        socket.broadcast().emit("bcast", text)?;
        Ok::<_, EmitError>("sent")
    });
}

fn asking(io: &Server) {
    io.on("ask", async |socket: Socket, Data(value): Data<Value>| {
        let answer: Value = socket.emit_with_ack("question", value).await?;
        Ok::<_, AckError>(("answer", answer))
    });
    io.on("ask_timeout", async |socket: Socket| {
        let asked = socket.emit_with_ack::<Value>("question_ignored", ());
        match asked.timeout(Duration::from_millis(200)).await {
            Err(error) if error.is_timeout() => "timeout",
            Err(_) => "another error",
            Ok(_) => "an answer",
        }
    });
}

/// Writes events into the file of `--record`, as lines that begin with this process, before it acknowledges them.
fn recording(io: &Server) {
    let Some(path) = option("--record") else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = Arc::new(file.unwrap_or_else(|error| panic!("{path}: {error}")));
    io.on("record", move |Data((client, number)): Data<(String, u32)>| {
        let line = format!("{} {client} {number}\n", std::process::id());
        let written = (&*file).write_all(line.as_bytes());
        async move { written.map(|()| number) }
    });
}

fn trouble(io: &Server) {
    io.on("fail", async || Err::<(), _>(Error::msg("failed on purpose")));
    io.on("panic", async || -> () { panic!("panicked on purpose") });
    io.on("slow", async |Data(ms): Data<u64>| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    });
    io.on("kick_me", async |socket: Socket| socket.disconnect());
    io.on("kick_transport", async |socket: Socket| socket.engine_session().close(CloseReason::ForcedClose));
}
