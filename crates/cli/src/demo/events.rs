//! The chat on Socket.IO: what clients send, and what they are told.
//!
//! What changes the chat also emits while the chat is locked, so that everybody hears of changes in the order in which
//! they happened. Emitting never waits.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wirebird::extract::{Auth, Context, Data, EventContext, FromContext, State};
use wirebird::{AckSender, ConnectError, DisconnectReason, Error, Namespace, Server, Socket, Value};

use super::chat::{Chat, Listed, Message};
use super::rules::Refused;

type Shared = Arc<Mutex<Chat>>;

/// Shorter than usual, so that those whose connection broke do not stay on the list for long.
const PING: Duration = Duration::from_secs(10);

/// The chat server, ready to serve.
pub(super) fn server() -> Server {
    let io = Server::builder().state(Shared::default()).ping_interval(PING).ping_timeout(PING).build();
    io.on_connect(sign_in);
    io.on_disconnect(sign_out);
    io.on("join", join);
    io.on("message", message);
    io.on("image", image);
    io.on("rooms", rooms);
    io.on("typing", typing);
    io.on_error(explain);
    io
}

// ---- who ----

/// The name that a socket signed in with: an argument of handlers.
#[derive(Clone)]
struct Name(Arc<str>);

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<C: Context> FromContext<C> for Name {
    fn from_context(context: &C) -> Result<Self, Error> {
        context.socket().session().get().ok_or_else(|| Error::msg("nobody is signed in"))
    }
}

async fn sign_in(
    socket: Socket,
    State(chat): State<Shared>,
    Auth(auth): Auth<Value>,
) -> Result<(), ConnectError> {
    #[derive(Serialize)]
    struct Problem {
        field: &'static str,
    }
    let name = chat.lock().sign_in(auth["name"].as_str().unwrap_or_default());
    let name =
        name.map_err(|refused| ConnectError::new(refused.to_string()).with_data(Problem { field: "name" }))?;
    tracing::info!(?name, transport = %socket.transport(), "signed in");
    socket.session().insert(Name(name.into()));
    Ok(())
}

async fn sign_out(
    socket: Socket,
    name: Name,
    State(chat): State<Shared>,
    reason: DisconnectReason,
) -> Result<(), Error> {
    tracing::info!(name = &*name, %reason, "signed out");
    let mut chat = chat.lock();
    let io = socket.namespace();
    if let Some(room) = chat.sign_out(&name) {
        tell_of_leaving(&io, &chat, &name, &room)?;
    }
    io.emit("rooms", chat.rooms())?;
    Ok(())
}

// ---- rooms ----

#[derive(Serialize)]
struct Joined<'a> {
    ok: bool,
    room: &'a str,
    members: &'a [String],
    history: Vec<&'a Message>,
}

/// Acknowledges before the chat is unlocked: a message of somebody else must not arrive before the history that it is
/// not in.
async fn join(
    socket: Socket,
    name: Name,
    State(chat): State<Shared>,
    Data(room): Data<String>,
    ack: AckSender,
) -> Result<(), Error> {
    let mut chat = chat.lock();
    let moved = match chat.join(&name, &room) {
        Ok(moved) => moved,
        Err(refused) => return Ok(ack.send(Failure::new(refused))?),
    };
    let io = socket.namespace();
    if let Some(from) = &moved.from {
        socket.leave(channel(from));
        tell_of_leaving(&io, &chat, &name, from)?;
    }
    let room = &*moved.to;
    ack.send(Joined { ok: true, room, members: chat.members(room), history: chat.history(room) })?;
    if moved.arrived {
        tracing::info!(name = &*name, room, "joined");
        socket.join(channel(room))?;
        socket.to(channel(room)).emit("notice", Notice::new(room, format!("{} joined", &*name)))?;
        tell_who_is_present(&io, &chat, room)?;
        io.emit("rooms", chat.rooms())?;
    }
    Ok(())
}

async fn rooms(State(chat): State<Shared>) -> Vec<Listed> {
    chat.lock().rooms()
}

fn tell_of_leaving(io: &Namespace, chat: &Chat, name: &str, room: &str) -> Result<(), Error> {
    io.to(channel(room)).emit("notice", Notice::new(room, format!("{name} left")))?;
    tell_who_is_present(io, chat, room)
}

fn tell_who_is_present(io: &Namespace, chat: &Chat, room: &str) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Presence<'a> {
        room: &'a str,
        members: &'a [String],
    }
    Ok(io.to(channel(room)).emit("presence", Presence { room, members: chat.members(room) })?)
}

#[derive(Serialize)]
struct Notice<'a> {
    room: &'a str,
    text: String,
    at: u64,
}

impl<'a> Notice<'a> {
    fn new(room: &'a str, text: String) -> Self {
        Self { room, text, at: now() }
    }
}

/// The Socket.IO room of a chat room. The id of a socket is a room too, and people choose names freely: with the
/// prefix none is ever the other.
fn channel(room: &str) -> String {
    format!("#{room}")
}

// ---- messages ----

#[derive(Deserialize)]
struct Draft {
    text: String,
}

#[derive(Serialize)]
struct Receipt {
    ok: bool,
    id: u64,
    at: u64,
}

async fn message(
    socket: Socket,
    name: Name,
    State(chat): State<Shared>,
    Data(draft): Data<Draft>,
) -> Result<Receipt, Error> {
    let mut chat = chat.lock();
    let message = chat.message(&name, &draft.text, now())?;
    socket.to(channel(&message.room)).emit("message", message)?;
    Ok(Receipt { ok: true, id: message.id, at: message.at })
}

async fn image(
    socket: Socket,
    name: Name,
    State(chat): State<Shared>,
    Data((file, content_type, bytes)): Data<(String, String, Value)>,
) -> Result<Receipt, Error> {
    let bytes = bytes.as_binary().ok_or(Refused::NoImage)?;
    let mut chat = chat.lock();
    let image = chat.image(&name, &file, &content_type, bytes.len(), now())?;
    socket.to(channel(&image.room)).emit("image", (&image, bytes))?;
    Ok(Receipt { ok: true, id: image.id, at: image.at })
}

async fn typing(
    socket: Socket,
    name: Name,
    State(chat): State<Shared>,
    Data(typing): Data<bool>,
) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Typing<'a> {
        room: &'a str,
        from: &'a str,
        typing: bool,
    }
    let chat = chat.lock();
    let room = chat.room_of(&name).ok_or(Refused::NoRoom)?;
    socket.to(channel(room)).emit("typing", Typing { room, from: &name, typing })?;
    Ok(())
}

// ---- errors ----

#[derive(Serialize)]
struct Failure {
    ok: bool,
    error: String,
}

impl Failure {
    fn new(reason: impl ToString) -> Self {
        Self { ok: false, error: reason.to_string() }
    }
}

/// Every `?` of the handlers ends here. People are told what they did wrong, and not what the server did wrong.
async fn explain(error: Error, event: EventContext) -> Failure {
    if error.is_bad_arguments() || error.downcast_ref::<Refused>().is_some() {
        tracing::info!(event = event.event(), %error, "refused");
        return Failure::new(error);
    }
    tracing::error!(event = event.event(), %error, "a handler failed");
    Failure::new("something went wrong on the server")
}

fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
