//! salvo: a handler of a few lines, for requests and responses that are hyper's underneath.

use http_body_util::BodyExt;
use salvo::conn::tcp::TcpAcceptor;
use salvo::http::{ReqBody, ResBody};
use salvo::prelude::*;
use wirebird::PeerAddr;
use wirebird_examples::listen;
use wirebird_frameworks::server;

/// The Socket.IO server as a handler.
struct SocketIo(wirebird::Server);

#[handler]
impl SocketIo {
    async fn handle(&self, request: &mut Request, response: &mut Response) -> Result<(), salvo::Error> {
        let peer = request.remote_addr().clone().into_std();
        let mut request = request.strip_to_hyper::<ReqBody>()?;
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        let (head, body) = self.0.handle(request).await.into_parts();
        let Ok(body) = body.collect().await;
        response.merge_hyper(salvo::hyper::Response::from_parts(head, ResBody::Once(body.to_bytes())));
        Ok(())
    }
}

#[handler]
async fn page() -> &'static str {
    "salvo"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = server(wirebird::Server::builder());

    let router = Router::new()
        .push(Router::with_path("socket.io/{**rest}").goal(SocketIo(io)))
        .push(Router::new().get(page));

    Server::new(TcpAcceptor::try_from(listen().await?)?).serve(router).await;
    Ok(())
}
