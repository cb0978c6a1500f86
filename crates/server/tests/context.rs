//! What handlers know of where they run: the application's state, the request, the socket, the event.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde::Deserialize;
use wirebird::extract::{Auth, Cookies, EventContext, Extension, FromContext, Query, State};
use wirebird::testing::{TestClient, settle};
use wirebird::{Error, Handshake, Namespace, Server, Socket, TransportKind};

/// What the application shares.
#[derive(Clone, Default)]
struct Told(Arc<parking_lot::Mutex<Vec<String>>>);

/// What a middleware has found out.
#[derive(Clone)]
struct User(&'static str);

fn peer() -> SocketAddr {
    "192.0.2.7:4711".parse().unwrap()
}

async fn client(io: &Server) -> TestClient {
    let connect = TestClient::connect(io).namespace("/x").auth(serde_json::json!({ "token": "t" }));
    let connect = connect.query("room", "a b").header("user-agent", "tests").cookie("colour", "red");
    connect.extension(User("ann")).peer_addr(peer()).await.unwrap()
}

/// One line of all that a request says.
fn request(handshake: &Handshake) -> String {
    format!(
        "{} {} {} {} {}",
        handshake.query("room").unwrap_or_default(),
        handshake.header("User-Agent").unwrap_or_default(),
        handshake.cookie("colour").unwrap_or_default(),
        handshake.peer_addr().map(|addr| addr.to_string()).unwrap_or_default(),
        handshake.path(),
    )
}

/// Everything that all kinds of handlers can take.
type Everything = (Socket, Namespace, Arc<Handshake>, Extension<User>, Auth<wirebird::Value>, State<Told>);

fn tell(when: &str, everything: Everything) {
    let (socket, namespace, handshake, Extension(user), Auth(auth), State(told)) = everything;
    assert_eq!(socket.namespace().name(), namespace.name());
    assert_eq!(auth["token"].as_str(), Some("t"));
    told.0.lock().push(format!("{when} {} {} {}", namespace.name(), user.0, request(&handshake)));
}

/// F-CTX-01, F-CTX-02, F-CTX-03, F-CTX-08, F-CON-17, F-INT-02, F-NOD-18, pain 21: connect, event, error and disconnect
/// handlers know the same of the application, the request and the socket.
#[tokio::test(start_paused = true)]
async fn all_handlers_know_where_they_run() {
    let told = Told::default();
    let io = Server::builder().state(told.clone()).build();
    let namespace = io.of("/x");
    namespace.on_connect(
        async |a: Socket,
               b: Namespace,
               c: Arc<Handshake>,
               d: Extension<User>,
               e: Auth<wirebird::Value>,
               f: State<Told>| tell("connect", (a, b, c, d, e, f)),
    );
    namespace.on(
        "event",
        async |a: Socket,
               b: Namespace,
               c: Arc<Handshake>,
               d: Extension<User>,
               e: Auth<wirebird::Value>,
               f: State<Told>| tell("event", (a, b, c, d, e, f)),
    );
    namespace.on_disconnect(
        async |a: Socket,
               b: Namespace,
               c: Arc<Handshake>,
               d: Extension<User>,
               e: Auth<wirebird::Value>,
               f: State<Told>| tell("disconnect", (a, b, c, d, e, f)),
    );
    namespace.on("fail", async || Err::<(), _>(Error::msg("on purpose")));
    namespace.on_error(async |_error: Error, event: EventContext| {
        let State(told) = State::<Told>::from_context(&event)?;
        told.0.lock().push(format!("{} {}", event.event(), request(event.socket().handshake())));
        Ok::<_, Error>(())
    });

    let client = client(&io).await;
    client.emit_with_ack::<()>("event", ()).await.unwrap();
    client.emit("fail", ()).unwrap();
    settle().await;
    client.disconnect().unwrap();
    settle().await;
    let request = "a b tests red 192.0.2.7:4711 /socket.io/";
    let expected = [
        format!("connect /x ann {request}"),
        format!("event /x ann {request}"),
        format!("fail {request}"),
        format!("disconnect /x ann {request}"),
    ];
    assert_eq!(*told.0.lock(), expected);
}

#[derive(Deserialize)]
struct Place {
    room: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// F-CTX-02: parts of the request are arguments of their own.
#[tokio::test(start_paused = true)]
async fn query_headers_and_cookies_are_arguments() {
    let io = Server::new();
    io.on("request", async |Query(place): Query<Place>, headers: HeaderMap, cookies: Cookies| {
        let agent = headers.get("user-agent").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (place.room, place.tags, agent, cookies.get("colour").map(str::to_owned))
    });
    let connect = TestClient::connect(&io).query("room", "a&b").query("tags", "x").query("tags", "y");
    let client = connect.header("user-agent", "tests").cookie("colour", "red").await.unwrap();
    let answer: (String, Vec<String>, Option<String>, Option<String>) =
        client.emit_with_ack("request", ()).await.unwrap();
    assert_eq!(
        answer,
        ("a&b".into(), vec!["x".into(), "y".into()], Some("tests".into()), Some("red".into()))
    );
}

/// F-CTX-02: a query that does not fit refuses a connection, and is an error of an event that does not tell what was sent.
#[tokio::test(start_paused = true)]
async fn a_query_that_does_not_fit_is_an_error() {
    let io = Server::new();
    io.on("number", async |Query(query): Query<HashMap<String, u8>>| query.len());
    io.on_error(async |error: Error| error.to_string());
    io.of("/strict").on_connect(async |_: Query<Place>| ());
    let client = TestClient::connect(&io).query("token", "secret").await.unwrap();
    let answer: String = client.emit_with_ack("number", ()).await.unwrap();
    assert!(answer.starts_with("the query of the request is not what the handler takes"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
    assert!(client.of("/strict").await.unwrap_err().refusal().is_some());
}

/// F-INT-01: the transport, before and after it changes, is what the socket says.
#[tokio::test(start_paused = true)]
async fn the_transport_is_known() {
    let io = Server::new();
    io.on("transport", async |socket: Socket| socket.transport().to_string());
    let client = TestClient::connect(&io).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    assert_eq!(client.emit_with_ack::<String>("transport", ()).await.unwrap(), "websocket");
    assert_eq!(socket.transport(), TransportKind::WebSocket);
    drop(client);
    settle().await;
    assert!(io.socket(socket.id()).is_none(), "a socket that is gone is not found");
}
