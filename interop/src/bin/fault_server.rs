//! The server of the tests with faults and of the soak: it keeps a journal of the handlers that have run, and says on request
//! what it holds.
//!
//! A line on its standard input asks for that; the answer is a line of JSON.

use std::fs::File;
use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Handle;
use wirebird::engine::SendQueue;
use wirebird::extract::{Data, State};
use wirebird::{EmitError, Error, RawArgs, RoomError, Server, Socket, Value};

/// The journal, if one is kept. A line is in the kernel's hands before its handler returns.
type Journal = Arc<Option<Mutex<File>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // A log that cannot be written is no reason to panic.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .init();
    let listen = text("--listen").unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let io = server()?;
    answer_questions(&io, address.to_string());
    tokio::spawn(io.shutdown_on_signal());
    io.serve_listener(listener).await
}

/// What follows a name on the command line.
fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    text(name)?.parse().ok()
}

fn millis(name: &str, default: u64) -> Duration {
    Duration::from_millis(number(name).unwrap_or(default))
}

fn server() -> std::io::Result<Server> {
    let journal = match text("--journal") {
        Some(path) => Some(Mutex::new(File::options().create(true).append(true).open(path)?)),
        None => None,
    };
    let mut queue = SendQueue::default();
    queue.max_bytes = number("--queue-bytes").unwrap_or(queue.max_bytes);
    let mut builder = Server::builder()
        .ping_interval(millis("--ping-interval", 25_000))
        .ping_timeout(millis("--ping-timeout", 20_000))
        .upgrade_timeout(millis("--upgrade-timeout", 10_000))
        .connect_timeout(millis("--connect-timeout", 45_000))
        .close_timeout(millis("--close-timeout", 30_000))
        .write_timeout(millis("--write-timeout", 30_000))
        .send_queue(queue)
        .state::<Journal>(Arc::new(journal));
    if let Some(bytes) = number("--max-payload") {
        builder = builder.max_payload(bytes);
    }
    if let Some(sessions) = number("--max-sessions") {
        builder = builder.max_sessions(sessions);
    }
    if let (Some(one), Some(all)) = (number("--pending-bytes"), number("--pending-bytes-of-all")) {
        builder = builder.max_pending_bytes(one, all);
    }
    let io = builder.build();
    handlers(&io);
    Ok(io)
}

fn handlers(io: &Server) {
    // What is noted is in the journal before it is acknowledged. Some handlers wait in between, as real ones do.
    io.on("note", async |State(journal): State<Journal>, Data((client, id)): Data<(u32, u64)>| {
        if id % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(id % 5)).await;
        }
        if let Some(file) = &*journal {
            file.lock().write_all(format!("{client} {id}\n").as_bytes())?;
        }
        Ok::<_, Error>(id)
    });
    io.on("echo", async |Data(value): Data<Value>| value);
    io.on("binary", async |Data(bytes): Data<Bytes>| bytes);
    io.on("events", async |socket: Socket, args: RawArgs| socket.emit_raw("events", &args));
    io.on("join", async |socket: Socket, Data(room): Data<String>| {
        socket.join(room)?;
        Ok::<_, RoomError>(true)
    });
    io.on("leave", async |socket: Socket, Data(room): Data<String>| {
        socket.leave(room);
        true
    });
    io.on("say", async |socket: Socket, Data((room, value)): Data<(String, Value)>| {
        socket.namespace().to(&room).emit("said", (&room, value))?;
        Ok::<_, EmitError>(true)
    });
    io.on("metrics", async |io: Server| io.metrics().to_openmetrics());
    io.on("ask", async |socket: Socket, Data(value): Data<Value>| {
        Ok::<_, Error>(socket.emit_with_ack::<Value>("question", value).await?)
    });
    // More than a client that does not read can be sent.
    io.on("flood", async |socket: Socket, Data((count, size)): Data<(u32, usize)>| {
        let text = "x".repeat(size);
        for _ in 0..count {
            socket.emit("flood", &text)?;
        }
        Ok::<_, EmitError>(true)
    });
    io.on("sleep", async |Data((ms, _)): Data<(u64, Value)>| {
        tokio::time::sleep(Duration::from_millis(ms)).await
    });
}

/// Answers each line of the standard input with what the server holds. A thread of its own, without descriptors to open.
fn answer_questions(io: &Server, address: String) {
    let (io, runtime) = (io.clone(), Handle::current());
    std::thread::spawn(move || {
        let say = |line: String| {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        };
        say(json!({ "address": address }).to_string());
        for line in std::io::stdin().lock().lines() {
            if line.is_err() {
                break;
            }
            say(json!({
                "sessions": io.engine().session_count(),
                "sockets": io.of("/").socket_count(),
                "rooms": io.of("/").rooms().len(),
                "tasks": runtime.metrics().num_alive_tasks(),
            })
            .to_string());
        }
    });
}
