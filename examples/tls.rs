//! TLS without a proxy in front: rustls makes the streams, the server takes them. Browsers speak HTTP/2 then, WebSockets
//! included.
//!
//! `TLS_CERT` and `TLS_KEY` name PEM files. To try it with a certificate of your own making:
//!
//! ```sh
//! openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -keyout key.pem -out cert.pem
//! TLS_CERT=cert.pem TLS_KEY=key.pem cargo run -p wirebird-examples --bin tls
//! ```

use std::env;
use std::error::Error;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wirebird::{Server, Socket};
use wirebird_examples::listen;

fn tls() -> Result<ServerConfig, Box<dyn Error>> {
    let path = |name: &str| env::var(name).map_err(|_| format!("{name} must name a PEM file"));
    let chain = CertificateDer::pem_file_iter(path("TLS_CERT")?)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(path("TLS_KEY")?)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Without the cargo feature `http2`, only the second.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What the server knows of the connection.
async fn connection(socket: Socket) -> (String, bool) {
    (format!("{:?}", socket.handshake().version()), socket.handshake().is_secure())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let acceptor = TlsAcceptor::from(Arc::new(tls()?));
    let io = Server::new();
    io.on("connection?", connection);

    tokio::spawn(io.shutdown_on_signal()); // Ctrl-C and SIGTERM close the server, which ends `serve_tls`
    io.serve_tls(listen().await?, move |stream| acceptor.accept(stream)).await?;
    println!("everybody is gone");
    Ok(())
}
