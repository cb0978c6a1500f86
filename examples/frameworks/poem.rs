//! poem: an endpoint of a few lines, which takes the upgrade that poem keeps.

use http_body_util::BodyExt;
use poem::listener::TcpAcceptor;
use poem::{Endpoint, Request, Response, Route, get, handler};
use wirebird::{PeerAddr, Server};
use wirebird_examples::listen;
use wirebird_frameworks::server;

/// The Socket.IO server as an endpoint.
struct SocketIo(Server);

impl Endpoint for SocketIo {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let upgrade = request.take_upgrade();
        let peer = request.remote_addr().as_socket_addr().copied();
        let mut request: http::Request<_> = request.into();
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        let response = self.0.handle_with_upgrade(request, async { upgrade?.await }).await;
        Ok(response.map(|body| body.map_err(std::io::Error::other).boxed()).into())
    }
}

#[handler]
fn page() -> &'static str {
    "poem"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = server(Server::builder());

    let app = Route::new().at("/", get(page)).nest_no_strip("/socket.io", SocketIo(io));

    poem::Server::new_with_acceptor(TcpAcceptor::from_tokio(listen().await?)?).run(app).await
}
