//! The server that is attacked: a process of its own, with short times so that what waits for them is soon over. It
//! answers questions about itself on its standard input and output, beside the network.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use peak_alloc::PeakAlloc;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use wirebird::extract::{Args, Data, State};
use wirebird::parser::MsgPack;
use wirebird::{AckSender, Builder, ConnectError, Deflate, EmitError, Error, Limit, RawArgs, Server, Socket};

use crate::case::{Setup, Way};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What heartbeats, upgrades, joining and closing may take here.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1000);

/// What the application has seen.
#[derive(Default)]
struct Seen {
    connects: AtomicU64,
    disconnects: AtomicU64,
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Serves until the standard input ends.
pub(crate) fn run(way: Way, setup: Setup) -> std::io::Result<()> {
    // The handler that panics on purpose says so; any other panic is a defect.
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>().is_none_or(|text| *text != "on purpose") {
            PANICS.fetch_add(1, Ordering::Relaxed);
            eprintln!("{info}");
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let seen = Arc::new(Seen::default());
        let io = server(setup, seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut asked = vec![io.clone()];
        let other = match setup {
            Setup::Packed => {
                let packed = builder(seen.clone()).parser(MsgPack).build();
                handlers(&packed);
                asked.push(packed.clone());
                let other = TcpListener::bind("127.0.0.1:0").await?;
                let addr = other.local_addr()?;
                tokio::spawn(async move { packed.serve_listener(other).await });
                Some(addr)
            }
            Setup::Tls => {
                let other = TcpListener::bind("127.0.0.1:0").await?;
                let addr = other.local_addr()?;
                let (io, acceptor) = (io.clone(), acceptor().map_err(std::io::Error::other)?);
                tokio::spawn(async move { io.serve_tls(other, move |stream| acceptor.accept(stream)).await });
                Some(addr)
            }
            _ => None,
        };
        println!("{} {}", listener.local_addr()?, other.map(|addr| addr.to_string()).unwrap_or_default());
        std::thread::spawn(move || answer_questions(&asked, &seen));
        match way {
            Way::Own => io.serve_listener(listener).await,
            Way::Axum => {
                let app = Router::new().layer(io.layer());
                axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
            }
        }
    })
}

/// One line for each line that comes in.
fn answer_questions(servers: &[Server], seen: &Seen) {
    let sum = |count: &dyn Fn(&Server) -> u64| servers.iter().map(count).sum::<u64>();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if line == "reset" {
            HEAP.reset_peak_usage();
        }
        let limit = Limit::ALL.iter().find(|limit| limit.name() == line);
        let answer = json!({
            "sessions": sum(&|io| io.engine().session_count() as u64),
            "sockets": sum(&|io| io.socket_count() as u64),
            "rooms": sum(&|io| io.rooms().len() as u64),
            "namespaces": sum(&|io| io.namespaces().len() as u64),
            "connects": seen.connects.load(Ordering::Relaxed),
            "disconnects": seen.disconnects.load(Ordering::Relaxed),
            "heap": HEAP.current_usage(),
            "peak": HEAP.peak_usage(),
            "panics": PANICS.load(Ordering::Relaxed),
            "reached": limit.map(|limit| sum(&|io| io.metrics().limit(*limit))),
        });
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    std::process::exit(0);
}

fn acceptor() -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// With short times.
fn builder(seen: Arc<Seen>) -> Builder {
    Server::builder()
        .ping_interval(PATIENCE)
        .ping_timeout(PATIENCE)
        .upgrade_timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .close_timeout(PATIENCE)
        .disconnect_grace(PATIENCE)
        .ack_timeout(PATIENCE)
        .attachments_timeout(PATIENCE)
        .header_timeout(PATIENCE)
        .body_timeout(PATIENCE)
        .keep_alive_timeout(PATIENCE * 3)
        .write_timeout(PATIENCE * 3)
        .max_dynamic_namespaces(50)
        .peer_addr(|extensions| extensions.get().map(|ConnectInfo(peer)| *peer))
        .tls_timeout(PATIENCE)
        .state(seen)
}

fn server(setup: Setup, seen: Arc<Seen>) -> Server {
    let builder = builder(seen.clone());
    let io = match setup {
        Setup::Default => Server::builder().state(seen),
        Setup::Plain | Setup::Packed | Setup::Tls => builder,
        Setup::Deflate => {
            let deflate = Deflate::default().threshold(64);
            builder.per_message_deflate(
                deflate.client_no_context_takeover(false).server_no_context_takeover(false),
            )
        }
        Setup::Old => builder.allow_eio3(true).jsonp(true),
        Setup::Tight => builder.max_connections_per_address(30).handshake_rate(100),
        Setup::Listed => builder.cors_allowed_origins(["https://app.example"]),
    }
    .build();
    handlers(&io);
    io
}

fn handlers(io: &Server) {
    io.on_connect(async |State(seen): State<Arc<Seen>>| {
        seen.connects.fetch_add(1, Ordering::Relaxed);
    });
    io.on_disconnect(async |State(seen): State<Arc<Seen>>| {
        seen.disconnects.fetch_add(1, Ordering::Relaxed);
    });
    io.on("echo", async |args: RawArgs, ack: AckSender, socket: Socket| {
        if ack.is_wanted() {
            return ack.send_raw(&args);
        }
        socket.emit_raw("echo", &args)
    });
    // Joins so many rooms, as far as it may; says how many those were.
    io.on("join", async |socket: Socket, Data((prefix, rooms)): Data<(String, usize)>| {
        (0..rooms).take_while(|room| socket.join(format!("{prefix}{room}")).is_ok()).count()
    });
    // Asks the client so many times at once; says how many questions were refused, or not answered in time.
    io.on("ask", async |socket: Socket, Data(times): Data<usize>| {
        let asked: Vec<_> =
            (0..times).map(|n| socket.emit_with_ack::<u32>("question", n).into_future()).collect();
        let mut failed = 0;
        for question in asked {
            failed += usize::from(question.await.is_err());
        }
        failed
    });
    io.on("slow", async |Data(ms): Data<u64>| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    });
    // Sends so many messages of so many bytes.
    io.on("flood", async |socket: Socket, Data((times, bytes)): Data<(usize, usize)>| {
        let text = "x".repeat(bytes);
        for _ in 0..times {
            socket.emit("flood", &text)?;
        }
        Ok::<_, EmitError>(times)
    });
    io.on("panic", async || -> () { std::panic::panic_any("on purpose") });
    io.on("fail", async || Err::<(), _>(Error::msg("on purpose")));
    io.fallback(async |Args(args): Args| args.len());
    io.on_error(async |_: Error| ());
    io.of("/slow").on_connect(async || tokio::time::sleep(PATIENCE / 3).await);
    io.of("/no").on_connect(async || Err::<(), _>(ConnectError::new("no")));
    io.of("/other").on("echo", async |args: RawArgs, ack: AckSender| ack.send_raw(&args));
    io.of_pattern("/room-{id}").on_connect(async || ());
}
