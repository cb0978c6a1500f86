//! What the examples share: where they listen.

use std::{env, io};

use tokio::net::TcpListener;

/// Listens on the address in the first argument (`127.0.0.1:8080`), on the port in the variable `PORT`, or on port
/// 5000, and prints where. In an application of your own this is a `TcpListener::bind("127.0.0.1:5000").await?`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen() -> io::Result<TcpListener> {
    let port = env::var("PORT").unwrap_or_else(|_| "5000".into());
    let addr = env::args().nth(1).unwrap_or_else(|| format!("127.0.0.1:{port}"));
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
