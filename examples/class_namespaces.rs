//! A namespace that one value handles, with the state that its handlers share. It works in HTTP routes too.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::{Json, Router, routing::get};
use parking_lot::Mutex;
use serde::Serialize;
use wirebird::extract::{Data, EventContext, EventName, Session};
use wirebird::{DisconnectReason, Error, Namespace, Server, Socket};
use wirebird_examples::listen;

/// One for all clients. What belongs to one client is in its session.
#[derive(Default)]
struct Auction {
    bids: Mutex<BTreeMap<String, u64>>,
}

#[derive(Serialize)]
struct Bid {
    name: String,
    amount: u64,
}

#[derive(Clone)]
struct Bidder(String);

#[wirebird::namespace]
impl Auction {
    async fn on_connect(&self, socket: Socket) -> Result<(), Error> {
        Ok(socket.emit("highest", self.highest())?)
    }

    /// Handles the event `sign_in`, with the arguments that functions take.
    async fn on_sign_in(&self, socket: Socket, Data(name): Data<String>) {
        socket.session().insert(Bidder(name));
    }

    async fn on_bid(
        &self,
        namespace: Namespace,
        Session(Bidder(name)): Session<Bidder>,
        Data(amount): Data<u64>,
    ) -> Result<bool, Error> {
        let accepted = self.place(name, amount);
        if accepted {
            namespace.emit("highest", self.highest())?;
        }
        Ok(accepted)
    }

    #[event("how is it going?")]
    async fn status(&self) -> usize {
        self.bids.lock().len()
    }

    #[fallback]
    async fn unknown(&self, event: EventName) -> String {
        format!("this is an auction, not a place to {event}")
    }

    async fn on_disconnect(&self, socket: Socket, reason: DisconnectReason) {
        if let Some(Bidder(name)) = socket.session().get() {
            println!("{name} has left: {reason}");
        }
    }

    /// For `?` in the methods above, and panics there.
    async fn on_error(&self, error: Error, event: EventContext) -> String {
        format!("{} failed: {error}", event.event())
    }

    /// Methods like any other.
    fn place(&self, name: String, amount: u64) -> bool {
        let mut bids = self.bids.lock();
        let accepted = bids.values().all(|other| *other < amount);
        if accepted {
            bids.insert(name, amount);
        }
        accepted
    }

    fn highest(&self) -> Option<Bid> {
        let bids = self.bids.lock();
        let (name, &amount) = bids.iter().max_by_key(|(_, amount)| **amount)?;
        Some(Bid { name: name.clone(), amount })
    }
}

/// A function that is called as its event is.
#[wirebird::event]
async fn time() -> &'static str {
    "it is always now"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    let auction = Arc::new(Auction::default());
    let namespace = io.register("/auction", auction.clone());

    // Functions come before methods; both may serve one namespace.
    namespace.add(time);

    let highest = get(async move || Json(auction.highest()));
    let app = Router::new().route("/highest", highest).layer(io.layer());
    io.serve_app(listen().await?, app).await
}
