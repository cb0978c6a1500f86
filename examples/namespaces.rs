//! Several namespaces on one connection, handlers for events nobody thought of, and handlers for all namespaces.
//! (`dynamic_namespaces` has one for each document; `class_namespaces` has one that a value handles.)

use wirebird::extract::{Args, Auth, Data, EventName};
use wirebird::{Accept, ConnectError, Handshake, Namespace, Server, Socket, Value};
use wirebird_examples::listen;

/// Which namespaces exist, beside those with handlers of their own.
fn is_game(name: &str, _: &Handshake) -> bool {
    matches!(name, "/chess" | "/go" | "/poker")
}

async fn admins_only(Auth(role): Auth<Value>) -> Result<(), ConnectError> {
    match role["role"].as_str() {
        Some("admin") => Ok(()),
        _ => Err(ConnectError::new("admins only")),
    }
}

/// Events of one namespace cannot be sent from another; an admin's handler can still emit anywhere.
async fn publish(news: Namespace, text: String) -> Result<(), wirebird::Error> {
    news.emit("headline", text)?;
    Ok(())
}

/// A fallback handles the events that have no handler: name and arguments are arguments of its own.
async fn unknown(event: EventName, Args(args): Args) -> String {
    format!("no idea what to do with {} and {} arguments", &*event, args.len())
}

/// Serves all games; `Namespace` says which one it is.
async fn whisper(namespace: Namespace, Data(text): Data<String>) -> Result<String, wirebird::Error> {
    namespace.emit("whisper", text)?;
    Ok(namespace.name().to_owned())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().namespaces(Accept::check(is_game)).build();

    // The default namespace, `/`.
    io.fallback(unknown);

    // A namespace exists as soon as it has a handler.
    let news = io.of("/news");
    news.on_connect(async |socket: Socket| socket.emit("headline", "nothing happened yet"));

    let admin = io.of("/admin");
    admin.on_connect(admins_only);
    admin.on("publish", move |Data(text): Data<String>| publish(news.clone(), text));

    // For every namespace that has no handler of its own for the same event.
    io.any_namespace().on("whisper", whisper);

    io.serve_listener(listen().await?).await
}
