//! Below the typed handlers: one object receives everything raw, and answers by tokens whenever it likes, from any
//! thread. For bindings of other languages, proxies and frameworks; applications are better off with handlers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::json;
use wirebird::{
    Completion, ConnectError, ConnectRequest, ConnectResponder, DisconnectReason, Dispatcher, IncomingEvent,
    RawArgs, Server, Socket,
};
use wirebird_examples::listen;

/// Hands events to a thread.
struct Queue {
    events: Sender<IncomingEvent>,
}

impl Dispatcher for Queue {
    /// Nothing reaches the client before the responder answers. Dropping it would refuse.
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
        match request.auth.as_deref() {
            Some(r#"{"token":"please"}"#) => responder.accept_with(&json!({ "motd": "raw today" })),
            _ => responder.refuse(ConnectError::new("say please")),
        }
    }

    /// Returns at once. The next event of the same socket follows when this one's completion is dropped.
    fn event(&self, event: IncomingEvent) {
        if self.events.send(event).is_err() {
            eprintln!("the worker is gone");
        }
    }

    fn disconnect(&self, socket: Socket, reason: DisconnectReason, completion: Completion) {
        println!("{} is gone: {reason}", socket.id());
        completion.complete();
    }
}

/// Answers events with their own arguments: not decoded, not copied.
fn work(events: Receiver<IncomingEvent>) {
    for event in events {
        let IncomingEvent { socket, name, args, ack, completion, .. } = event;
        let echoed = match ack.is_wanted() {
            true => ack.send_raw(&args).map_err(Into::into),
            false => echo(&socket, &name, &args),
        };
        if let Err(error) = echoed {
            eprintln!("{name} cannot be echoed: {error}");
        }
        completion.complete();
    }
}

fn echo(socket: &Socket, name: &str, args: &RawArgs) -> Result<(), wirebird::Error> {
    socket.emit_raw(name, args)?;
    socket.emit("echoed", (name, args.len(), args.attachments().len()))?;
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (events, queue) = channel();
    thread::spawn(move || work(queue));
    let io = Server::builder().dispatcher(Arc::new(Queue { events })).build();
    io.serve_listener(listen().await?).await
}
