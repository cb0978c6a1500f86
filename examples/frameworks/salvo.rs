//! salvo: a tower service is a handler.

use salvo::conn::tcp::TcpAcceptor;
use salvo::http::ReqBody;
use salvo::prelude::*;
use wirebird::PeerAddr;
use wirebird_examples::listen;
use wirebird_frameworks::server;

/// Tells the Socket.IO server whose request it is.
#[handler]
async fn peer(request: &mut Request) {
    if let Some(addr) = request.remote_addr().clone().into_std() {
        request.extensions_mut().insert(PeerAddr(addr));
    }
}

#[handler]
async fn page() -> &'static str {
    "salvo"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = server(wirebird::Server::builder());

    let socket_io = TowerServiceCompat::<ReqBody, _, _, _>::compat(io.service());
    let router = Router::new()
        .push(Router::with_path("socket.io/{**rest}").hoop(peer).goal(socket_io))
        .push(Router::new().get(page));

    Server::new(TcpAcceptor::try_from(listen().await?)?).serve(router).await;
    Ok(())
}
