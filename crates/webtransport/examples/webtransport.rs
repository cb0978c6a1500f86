//! A page that talks to its server over WebTransport: open it in Chrome or Edge.
//!
//! The certificate is made on the spot, and the page says which one to trust; with one of a known authority it need not.
//! A page at an `http` address cannot upgrade to WebTransport at its own, so this one connects to the other listener directly.
//! (Pages at `https` addresses name all three transports, and both listeners have the same port.)

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use wirebird::extract::Data;
use wirebird::{Server, Socket, Transports};
use wirebird_webtransport::{Identity, ServerConfig, WebTransport};
use wtransport::tls::Sha256DigestFmt;

const PAGE: &str = include_str!("webtransport.html");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = tokio::net::TcpListener::bind(addr).await?;
    let origin = format!("http://{}", listener.local_addr()?);

    let io = Server::builder()
        .transports(Transports::ALL.with_webtransport())
        .cors_allowed_origins([&*origin]) // the page's, which is not that of the other listener
        .build();
    io.on("echo", async |Data(text): Data<String>| text);
    io.on("transport", async |socket: Socket| socket.transport().to_string());

    // Browsers accept a certificate by its hash when it is valid for two weeks at most, as this one is.
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let hash = identity.certificate_chain().as_slice()[0].hash().fmt(Sha256DigestFmt::BytesArray);
    let config = ServerConfig::builder().with_bind_address(listener.local_addr()?).with_identity(identity);
    let webtransport = WebTransport::bind(&io, config.build())?;
    let url = format!("https://{}", webtransport.local_addr()?);
    let page = PAGE.replace("SERVER_URL", &url).replace("CERTIFICATE_HASH", &hash);

    println!("listening on {origin}");
    let app = Router::new().route("/", get(async || Html(page))).layer(io.layer());
    tokio::spawn(io.shutdown_on_signal());
    let (served, ()) = tokio::join!(io.serve_app(listener, app), webtransport.serve());
    Ok(served?)
}
