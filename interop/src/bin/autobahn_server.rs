//! Echoes Engine.IO messages, for the Autobahn test suite: the listener, the handshake, the WebSocket driver and the
//! sessions that ship. What its cases are about has limits that let them through.
//!
//! `--takeover` lets compressed messages build on each other.

use std::sync::Arc;
use std::time::Duration;

use wirebird::Deflate;
use wirebird::engine::{CloseReason, Config, Engine, Handler, Message, Outgoing, Session, http};

struct Echo;

impl Handler for Echo {
    fn message(&self, session: &Arc<Session>, message: Message) {
        let answer = match message {
            Message::Text(text) => Outgoing::text(&text),
            Message::Binary(data) => Outgoing::binary(&data),
            _ => return,
        };
        if let Err(error) = session.send(answer) {
            eprintln!("no echo: {error}");
        }
    }

    fn close(&self, _: &Arc<Session>, _: CloseReason) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let each_alone = !std::env::args().any(|arg| arg == "--takeover");
    let mut config = Config::default();
    config.path = "/engine.io".into();
    // Nothing but what the cases send.
    config.ping_interval = Duration::from_secs(3600);
    // The largest message has 16 MiB, and the `4` of Engine.IO.
    config.max_payload = (16 << 20) + 1;
    // 4 MiB in fragments of 64 bytes, and an empty one.
    config.max_fragments = (1 << 16) + 1;
    config.per_message_deflate = Some(
        Deflate::default()
            .threshold(0)
            .server_no_context_takeover(each_alone)
            .client_no_context_takeover(each_alone),
    );
    let engine = Engine::new(config, Arc::new(Echo))?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let closing = engine.closing();
    http::serve(listener, http::Listener::new(engine), closing).await?;
    Ok(())
}
