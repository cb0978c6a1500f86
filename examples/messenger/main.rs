//! A messenger: private messages and files between people, who is online and who is typing, what was delivered and what
//! was read, and an `/admin` namespace. Several tabs of one person are one person.
//!
//! `cargo run -p wirebird-examples --bin messenger`, then open the page in two browsers. What a browser tab does is in
//! `messenger.html`.
//!
//! * `people.rs`: what is remembered
//! * `chat.rs`, `files.rs`, `admin.rs`: the handlers of events
//!
//! `ADMIN_TOKEN` is the token of `/admin` (the page's `#admin`), `FORGET_AFTER` says after how many seconds those who left
//! are forgotten.

mod admin;
mod chat;
mod files;
mod people;

use std::env;
use std::fmt;
use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use serde::Deserialize;
use serde_json::json;
use wirebird::extract::{Auth, EventContext, Session, State};
use wirebird::layers::{Beyond, RateLimit, RateLimited};
use wirebird::{ConnectError, EmitError, Error, EventHandlerExt, Namespace, Server, Socket, Value};
use wirebird_examples::listen;

use crate::admin::Admin;
use crate::people::People;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let admin_token = env::var("ADMIN_TOKEN").unwrap_or_else(|_| "tea".into());
    let forget_after = env::var("FORGET_AFTER").ok().and_then(|text| text.parse().ok()).unwrap_or(600);

    let io = messenger(admin_token, Duration::from_secs(forget_after));
    let page = Html(include_str!("messenger.html"));
    let app = Router::new().route("/", get(async move || page)).layer(io.layer());
    tokio::spawn(io.shutdown_on_signal());
    io.serve_app(listen().await?, app).await
}

fn messenger(admin_token: String, forget_after: Duration) -> Server {
    let people = People::default();
    let io = Server::builder()
        .state(people.clone())
        .state(files::Space::default())
        .max_payload(2 * files::MAX_CHUNK) // a chunk is the largest thing that anybody sends
        .build();

    io.on_connect(connect);
    io.on_disconnect(disconnect);
    io.on("people", list);
    io.on("message", chat::message.layer(RateLimit::new(5, SECOND).burst(20)));
    io.on("typing", chat::typing.layer(RateLimit::new(2, SECOND).beyond(Beyond::Drop)));
    io.on("read", chat::read);
    io.on("history", chat::history);
    io.on("file begin", files::begin.layer(RateLimit::new(1, SECOND).burst(10)));
    io.on("file chunk", files::chunk);
    io.on("file end", files::end);
    io.on("file get", files::get);
    io.event_layer(RateLimit::new(500, SECOND).beyond(Beyond::Disconnect));
    io.on_error(on_error);

    io.register("/admin", Admin { token: admin_token, people: people.clone(), all: io.of("/") });
    io.spawn(forget(people, forget_after, io.of("/")));
    io
}

#[derive(Deserialize)]
struct Login {
    name: String,
    /// Something that the browser made up and keeps, so that nobody else can have the name.
    key: String,
}

/// Who a socket is: its session has one from the beginning.
#[derive(Clone)]
struct Me(String);

/// The room of all tabs of a person.
fn tabs_of(name: &str) -> String {
    format!("tabs of {name}")
}

async fn connect(
    socket: Socket,
    Auth(Login { name, key }): Auth<Login>,
    State(people): State<People>,
) -> Result<(), ConnectError> {
    if !(2..=20).contains(&name.chars().count()) || !name.chars().all(char::is_alphanumeric) {
        return Err(ConnectError::new("a name has 2 to 20 letters and digits"));
    }
    if !(8..=64).contains(&key.len()) {
        return Err(ConnectError::new("a key has 8 to 64 characters"));
    }
    socket.join(tabs_of(&name))?;
    people.enter(&name, &key, &socket.broadcast()).map_err(|Refused(why)| ConnectError::new(why))?;
    socket.session().insert(Me(name));
    Ok(())
}

async fn disconnect(
    socket: Socket,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
) -> Result<(), EmitError> {
    people.leave(&me, &socket.namespace())
}

/// A tab asks for the list once it is connected; from then on it hears of changes.
async fn list(
    socket: Socket,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
) -> Result<(), EmitError> {
    people.list(&me, &socket)
}

async fn forget(people: People, after: Duration, all: Namespace) -> Result<(), EmitError> {
    let mut second = tokio::time::interval(SECOND);
    loop {
        second.tick().await;
        people.forget(after, &all)?;
    }
}

/// Why something is not done, in words for the person who asked for it.
#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// Every error of every handler ends here; what is returned is the acknowledgement. Only what is meant for clients is told.
async fn on_error(error: Error, event: EventContext) -> Value {
    let why = if let Some(Refused(why)) = error.downcast_ref() {
        why
    } else if error.is_bad_arguments() {
        "these are not the arguments of this event"
    } else if error.downcast_ref::<RateLimited>().is_some() {
        "not so fast"
    } else {
        eprintln!("{} failed: {error}", event.event());
        "sorry, something went wrong"
    };
    json!({ "error": why }).into()
}
