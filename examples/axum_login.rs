//! Log in over HTTP, and the event handlers know who you are: axum, `tower-sessions` and `axum-login`.
//!
//! * `/` refuses clients that are not logged in; its handlers find the user in the socket's session.
//! * `/lobby` is open to all. A layer guards its event `moderate` and disconnects whoever is not logged in.
//! * The web session is read when a client connects. What handlers keep in the socket's session is theirs: no web page
//!   sees it. What a web page shall see they write into the web session, and save it themselves.
//! * Logging out disconnects the user's sockets, because no request of theirs will be checked again.
//!
//! Open the page in a browser; the password of `ann` and of `bob` is `secret`.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::extract::{Form, State as AppState};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_sessions::{MemoryStore, Session as WebSession, SessionManagerLayer};
use wirebird::extract::{Data, EventContext, Extension, Session};
use wirebird::{ConnectError, EmitError, Error, EventHandlerExt, Next, Reply, Server, Socket};
use wirebird_examples::listen;

/// Somebody who is logged in.
#[derive(Clone, Debug, Serialize)]
struct User {
    name: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

#[derive(Clone, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// Who there is. An application of your own asks its database, and compares hashes.
#[derive(Clone)]
struct Users(HashMap<&'static str, &'static str>);

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, Infallible> {
        let known = self.0.get(&*given.name).is_some_and(|password| *password == given.password);
        Ok(known.then_some(User { name: given.name }))
    }

    async fn get_user(&self, name: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.0.contains_key(&**name).then(|| User { name: name.clone() }))
    }
}

type AuthSession = axum_login::AuthSession<Users>;

// ---- the web application ----

async fn log_in(mut auth: AuthSession, Form(credentials): Form<Credentials>) -> impl IntoResponse {
    match auth.authenticate(credentials).await {
        Ok(Some(user)) if auth.login(&user).await.is_ok() => Redirect::to("/").into_response(),
        _ => (StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response(),
    }
}

async fn log_out(mut auth: AuthSession, AppState(io): AppState<Server>) -> impl IntoResponse {
    if let Some(user) = auth.user.clone() {
        io.to(sockets_of(&user)).disconnect_transports();
    }
    match auth.logout().await {
        Ok(_) => Redirect::to("/").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What the web session holds.
async fn who_am_i(auth: AuthSession, web: WebSession) -> Json<Value> {
    let colour: Option<String> = web.get("colour").await.unwrap_or_default();
    Json(json!({ "user": auth.user, "colour": colour }))
}

// ---- events ----

/// What a socket keeps of the web session, its own from then on.
#[derive(Clone)]
struct Colour(String);

/// The room of a user's sockets.
fn sockets_of(user: &User) -> String {
    format!("user:{}", user.name)
}

/// The layers of the web application have put the login and the web session into the request.
async fn connect(
    socket: Socket,
    Extension(auth): Extension<AuthSession>,
    Extension(web): Extension<WebSession>,
) -> Result<(), ConnectError> {
    let user = auth.user.ok_or_else(|| ConnectError::new("log in first"))?;
    let colour = web.get("colour").await?;
    socket.session().insert(Colour(colour.unwrap_or_else(|| "grey".into())));
    socket.join(sockets_of(&user))?;
    socket.session().insert(user);
    Ok(())
}

async fn say(
    socket: Socket,
    Session(user): Session<User>,
    Session(Colour(colour)): Session<Colour>,
    Data(text): Data<String>,
) -> Result<(), EmitError> {
    socket.namespace().emit("said", (user.name, colour, text))
}

/// Changes the socket's own value: web pages still see the old one.
async fn paint(socket: Socket, Data(colour): Data<String>) {
    socket.session().insert(Colour(colour));
}

/// Changes the web session: the next page that is loaded sees it. It is read anew first, because pages may have
/// changed it since the client connected.
async fn keep_colour(
    Session(Colour(colour)): Session<Colour>,
    Extension(web): Extension<WebSession>,
) -> Result<(), Error> {
    web.load().await?;
    web.insert("colour", colour).await?;
    web.save().await?;
    Ok(())
}

/// Lets only events of users through who are logged in, and disconnects all others.
async fn login_required(event: EventContext, next: Next) -> Result<Reply, Error> {
    let login = event.socket().handshake().extension::<AuthSession>();
    if login.is_none_or(|auth| auth.user.is_none()) {
        event.socket().disconnect();
        return Err(Error::msg("not logged in"));
    }
    next.run(event).await
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on_connect(connect);
    io.on("say", say);
    io.on("paint", paint);
    io.on("keep colour", keep_colour);

    let moderate = async |socket: Socket| socket.namespace().socket_count();
    io.of("/lobby").on("moderate", moderate.layer(login_required));
    io.of("/lobby").on("hello", async || "hello, whoever you are");

    let users = Users(HashMap::from([("ann", "secret"), ("bob", "secret")]));
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false); // for plain http on localhost
    let app = Router::new()
        .route("/", get(async || Html(include_str!("axum_login.html"))))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/me", get(who_am_i))
        .with_state(io.clone())
        .layer(io.layer())
        // The last layer is the outermost: requests to the Socket.IO server pass it too.
        .layer(AuthManagerLayerBuilder::new(users, sessions).build());
    tokio::spawn(io.shutdown_on_signal());
    io.serve_app(listen().await?, app).await
}
