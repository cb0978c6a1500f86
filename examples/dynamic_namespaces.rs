//! Namespaces that are made when the first client connects to them, and forgotten when the last has left: one for each
//! document, chat or tenant.

use serde::Deserialize;
use wirebird::extract::{Auth, Data, Path};
use wirebird::{ConnectError, Error, Namespace, Server, Socket, Value};
use wirebird_examples::listen;

/// `/acme/doc-7`. Parameters have types; a name that does not fit is refused.
#[derive(Deserialize)]
struct Document {
    tenant: String,
    id: u32,
}

async fn open(
    socket: Socket,
    Path(document): Path<Document>,
    Auth(auth): Auth<Value>,
) -> Result<(), ConnectError> {
    if auth["tenant"].as_str() != Some(&document.tenant) {
        return Err(ConnectError::new("not your document"));
    }
    socket.emit("opened", document.id)?;
    Ok(())
}

/// Each document has its own sockets and rooms: this reaches those who have opened the same.
async fn edit(document: Namespace, Data(text): Data<String>) -> Result<(), Error> {
    Ok(document.emit("edited", text)?)
}

async fn ring(Path(phone): Path<String>) -> String {
    format!("{phone} rings")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();

    let documents = io.of_pattern("/{tenant}/doc-{id}");
    documents.on_connect(open).on("edit", edit);

    // A single parameter needs no struct.
    io.of_pattern("/phone-{number}").on("ring", ring);

    // A function decides by the name and the client's request.
    let beta =
        io.of_matching(|name, request| name.starts_with("/beta/") && request.header("x-beta").is_some());
    beta.on("where", async |namespace: Namespace| namespace.name().to_owned());

    // One that has handlers of its own comes before all patterns.
    io.of("/acme/doc-0").on_connect(async || Err::<(), _>(ConnectError::new("nobody edits this one")));

    // Namespaces of a pattern are emitted to by name. Where nobody is, nobody hears it.
    io.of("/acme").on("save", async |server: Server, Data(id): Data<u32>| {
        server.of(format!("/acme/doc-{id}")).emit("saved", ())
    });
    // And there is a list of those that exist.
    io.on("documents", move || {
        let documents = documents.clone();
        async move {
            let mut names: Vec<_> = documents.namespaces().iter().map(|ns| ns.name().to_owned()).collect();
            names.sort();
            names
        }
    });

    io.serve_listener(listen().await?).await
}
