//! What stands around event handlers: who may send an event, how often, how long it takes. Each is written once and put
//! around one handler, a namespace, or the server.

use std::time::Duration;

use wirebird::extract::{Data, EventContext, Session};
use wirebird::layers::{Beyond, RateLimit, RateLimited, Require, Timing};
use wirebird::{Error, EventHandlerExt, EventLayer, Next, Reply, Server, Socket};
use wirebird_examples::listen;

/// Who has logged in; kept in the session of the socket.
#[derive(Clone)]
struct User {
    name: String,
    admin: bool,
}

/// A layer is an async function: it hands the event on, or it does not.
async fn admins_only(event: EventContext, next: Next) -> Result<Reply, Error> {
    match event.socket().session().get::<User>() {
        Some(user) if user.admin => next.run(event).await,
        _ => Err(Error::msg("admins only")),
    }
}

/// Or a type, when it has something to keep. This one looks at what comes of the event, too.
struct Audit {
    file: &'static str,
}

impl EventLayer for Audit {
    async fn call(&self, event: EventContext, next: Next) -> Result<Reply, Error> {
        let what = format!("{}({})", event.event(), event.args().json());
        let result = next.run(event).await;
        let outcome = if result.is_ok() { "done" } else { "failed" };
        println!("{}: {what} {outcome}", self.file);
        result
    }
}

async fn login(socket: Socket, Data((name, password)): Data<(String, String)>) -> bool {
    let known = password == "secret";
    if known {
        socket.session().insert(User { admin: name == "root", name });
    }
    known
}

async fn whoami(Session(user): Session<User>) -> String {
    user.name
}

async fn delete(Data(what): Data<String>) -> String {
    format!("{what} is deleted")
}

async fn search(Data(words): Data<String>) -> Vec<String> {
    vec![format!("all about {words}")]
}

/// What layers refuse ends here, as other errors do.
async fn failed(error: Error) -> String {
    if error.downcast_ref::<RateLimited>().is_some() {
        return "not so fast".into();
    }
    error.to_string()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    let second = Duration::from_secs(1);

    // Around all handlers. The first one is the outermost.
    io.event_layer(RateLimit::new(100, second).beyond(Beyond::Disconnect));
    io.event_layer(Timing::new(|event: &EventContext, took| println!("{} took {took:?}", event.event())));

    // Around one. Who is not logged in is disconnected, and who is no admin gets an error.
    let members = || Require::<User>::new().or_disconnect();
    io.on("login", login);
    io.on("whoami", whoami.layer(members()));
    io.on("delete", delete.layer(members()).layer(Audit { file: "audit" }).layer(admins_only));
    io.on("search", search.layer(RateLimit::new(2, 10 * second).burst(3)));
    io.on_error(failed);

    io.serve_listener(listen().await?).await
}
