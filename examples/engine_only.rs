//! Plain Engine.IO, without Socket.IO: messages go to and fro as they are, over polling and WebSocket. Its clients are
//! those of `engine.io-client`.

use std::error::Error;
use std::sync::Arc;

use wirebird::engine::{CloseReason, Config, Engine, Handler, Message, Outgoing, Session, http};
use wirebird_examples::listen;

/// Sends every message back.
struct Echo;

impl Handler for Echo {
    fn open(&self, session: &Arc<Session>) {
        println!("a session on {}", session.transport());
    }

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

    fn upgraded(&self, session: &Arc<Session>) {
        println!("a session is on {} now", session.transport());
    }

    fn close(&self, _: &Arc<Session>, reason: CloseReason) {
        println!("a session ended: {reason}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.path = "/engine.io".into();
    let engine = Engine::new(config, Arc::new(Echo))?;

    let listener = listen().await?;
    let closing = engine.closing();
    http::serve(listener, http::Listener::new(engine), closing).await?;
    Ok(())
}
