//! Where things are kept: for the whole server (`State`), for one socket (its session), and what a middleware found
//! out about the HTTP request (`Extension`).
//!
//! The middleware here lets nobody in without `Authorization: Bearer <name>-secret`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use wirebird::extract::{Context, Data, Extension, FromContext, State};
use wirebird::{Error, Server, Socket};
use wirebird_examples::listen;

/// Who sent the request.
#[derive(Clone)]
struct User {
    name: String,
}

/// What the whole server shares: cheap to clone, and `Sync`.
#[derive(Clone, Default)]
struct Shop {
    sold: Arc<AtomicUsize>,
}

/// What is kept for one socket.
#[derive(Clone, Default)]
struct Cart {
    items: Vec<String>,
}

/// With this a cart can be an argument of handlers like any other.
impl<C: Context> FromContext<C> for Cart {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().session().get().unwrap_or_default())
    }
}

/// Runs for each HTTP request, those of the Socket.IO server included, before it sees them.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let Some(Ok(header)) = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str()) else {
        return Err(StatusCode::UNAUTHORIZED);
    };
    let name = header.strip_prefix("Bearer ").and_then(|token| token.strip_suffix("-secret"));
    let user = User { name: name.ok_or(StatusCode::UNAUTHORIZED)?.to_owned() };
    request.extensions_mut().insert(user);
    Ok(next.run(request).await)
}

async fn connect(socket: Socket, Extension(user): Extension<User>) -> Result<(), Error> {
    socket.emit("welcome", user.name)?;
    Ok(())
}

/// Changes the session; updates of the same one never overlap.
async fn add(socket: Socket, Data(item): Data<String>) -> usize {
    socket.session().update(|cart: &mut Cart| {
        cart.items.push(item);
        cart.items.len()
    })
}

/// Arguments of all kinds can stand in any order.
async fn buy(
    socket: Socket,
    cart: Cart,
    State(shop): State<Shop>,
    Extension(user): Extension<User>,
) -> String {
    let sold = shop.sold.fetch_add(cart.items.len(), Ordering::Relaxed) + cart.items.len();
    socket.session().insert(Cart::default());
    format!("{} bought {}; {sold} sold today", user.name, cart.items.join(" and "))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().state(Shop::default()).build();
    io.on_connect(connect);
    io.on("add", add);
    io.on("cart", async |cart: Cart| cart.items);
    io.on("buy", buy);

    let app = Router::new()
        .route("/", get(async || "a shop\n"))
        .layer(io.layer())
        // The last layer is the outermost: it sees requests first.
        .layer(from_fn(authenticate));
    io.serve_app(listen().await?, app).await
}
