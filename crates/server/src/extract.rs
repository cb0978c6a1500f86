//! What handlers take as arguments.
//!
//! A handler is an async function or closure; each of its arguments says what it wants to know, in any order and any
//! number up to eight:
//!
//! | argument | what it is | connect | event | disconnect |
//! |---|---|---|---|---|
//! | [`Socket`] | the socket | yes | yes | yes |
//! | [`Auth<T>`] | what the client sent when it connected | yes | yes | yes |
//! | [`Arc<Handshake>`](crate::Handshake) | the request that opened the connection | yes | yes | yes |
//! | [`Query<T>`], [`HeaderMap`](http::HeaderMap), [`Cookies`] | its query, headers and cookies | yes | yes | yes |
//! | [`Session<T>`] | what was kept in the socket's session | yes | yes | yes |
//! | [`Extension<T>`] | what middleware put into that request | yes | yes | yes |
//! | [`State<S>`] | what was given to [`Builder::state`](crate::Builder::state) | yes | yes | yes |
//! | [`Namespace`] | the namespace | yes | yes | yes |
//! | [`Server`] | the server | yes | yes | yes |
//! | [`Path<T>`] | the parameters of its name, if it was opened by a [pattern](crate::Server::of_pattern) | yes | yes | yes |
//! | [`Data<T>`] | the event's arguments, decoded | | yes | |
//! | [`Args`] | the event's arguments, as values | | yes | |
//! | [`RawArgs`] | the event's arguments, as received | | yes | |
//! | [`EventName`] | the event's name | | yes | |
//! | [`AckSender`] | acknowledges later, or from elsewhere | | yes | |
//! | [`EventContext`] | all of these at once | | yes | |
//! | [`DisconnectReason`] | why | | | yes |
//!
//! Some may be missing: `Option<Session<T>>` and the others that implement [`OptionalFromContext`]. Arguments of your own
//! implement [`FromContext`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use smol_str::SmolStr;
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::{ArgsError, Value, decode_all, decode_args_counted, deserialize_all};

use crate::dispatch::{AckSender, IncomingEvent};
use crate::error::{ArgumentError, Error};
use crate::guard::clipped;
use crate::namespace::Namespace;
use crate::reason::DisconnectReason;
use crate::server::Server;
use crate::socket::Socket;

mod optional;
mod request;

pub use crate::dynamic::Path;
pub use optional::OptionalFromContext;
pub use request::{Cookies, Query};

/// Something that a handler can take as an argument. Implement it for arguments of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of this kind of handler",
    note = "see the table of arguments in `wirebird::extract`"
)]
pub trait FromContext<C>: Sized {
    /// Takes it out of the context.
    ///
    /// # Errors
    /// The handler is not called then: a connection is refused, an event's error goes to the error handler.
    fn from_context(context: &C) -> Result<Self, Error>;
}

/// What every handler runs in.
pub trait Context {
    /// The socket.
    fn socket(&self) -> &Socket;
}

/// What a connect handler runs in.
#[derive(Debug, Clone)]
pub struct ConnectContext {
    pub(crate) socket: Socket,
}

/// What a disconnect handler runs in.
#[derive(Debug, Clone)]
pub struct DisconnectContext {
    pub(crate) socket: Socket,
    pub(crate) reason: DisconnectReason,
}

/// What an event handler runs in: the socket, the event and its arguments. Cheap to clone; error handlers get it too,
/// with the event named `connect`, `disconnecting` or `disconnect` when such a handler failed.
#[derive(Debug, Clone)]
pub struct EventContext(Arc<EventData>);

#[derive(Debug)]
struct EventData {
    socket: Socket,
    event: SmolStr,
    args: RawArgs,
    /// The id of the acknowledgement, or one of those below.
    ack: AtomicU64,
    /// Whether arguments that nobody takes are an error, and if so, how many are taken.
    strict: AtomicBool,
    taken: AtomicUsize,
}

/// The client asked for no acknowledgement. No id is as great.
const UNWANTED: u64 = u64::MAX - 1;
/// Somebody has taken the acknowledgement over, or there has been nothing to acknowledge.
const TAKEN: u64 = u64::MAX;

impl EventContext {
    pub(crate) fn new(event: IncomingEvent) -> (Self, crate::Completion) {
        let data = EventData {
            strict: AtomicBool::new(event.socket.0.core.options.strict_arguments),
            taken: AtomicUsize::new(0),
            socket: event.socket,
            event: event.name,
            args: event.args,
            ack: AtomicU64::new(event.ack.id().unwrap_or(UNWANTED)),
        };
        (Self(Arc::new(data)), event.completion)
    }

    pub(crate) fn of_lifecycle(socket: Socket, name: &'static str) -> Self {
        let event = SmolStr::new_static(name);
        Self(Arc::new(EventData {
            socket,
            event,
            args: RawArgs::empty(),
            ack: AtomicU64::new(TAKEN),
            strict: AtomicBool::new(false),
            taken: AtomicUsize::new(0),
        }))
    }

    /// The socket.
    pub fn socket(&self) -> &Socket {
        &self.0.socket
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.0.event
    }

    /// The event's arguments as received.
    pub fn args(&self) -> &RawArgs {
        self.take_args(usize::MAX);
        &self.0.args
    }

    /// Whether the client waits for an acknowledgement and nobody has taken that over.
    pub fn wants_ack(&self) -> bool {
        self.0.ack.load(Ordering::Relaxed) < UNWANTED
    }

    /// From now on arguments that nobody takes are an error.
    pub(crate) fn set_strict(&self) {
        self.0.strict.store(true, Ordering::Relaxed);
    }

    fn is_strict(&self) -> bool {
        self.0.strict.load(Ordering::Relaxed)
    }

    /// The first so many arguments are taken.
    fn take_args(&self, count: usize) {
        if self.is_strict() {
            self.0.taken.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// The extractors of the handler come now: what others looked at does not count.
    pub(crate) fn begin_taking(&self) {
        if self.is_strict() {
            self.0.taken.store(0, Ordering::Relaxed);
        }
    }

    /// The extractors have taken what they want.
    pub(crate) fn finish_taking(&self) -> Result<(), Error> {
        if !self.is_strict() {
            return Ok(());
        }
        let taken = self.0.taken.load(Ordering::Relaxed);
        if taken >= self.0.args.len() {
            return Ok(());
        }
        Err(self.bad_argument(ArgsError::unexpected(taken)))
    }

    fn bad_argument(&self, error: ArgsError) -> Error {
        ArgumentError::new(self.0.event.clone(), error).into()
    }

    /// Nobody handles the event.
    pub(crate) fn log_unhandled(&self) {
        tracing::debug!(
            target: "wirebird::socketio",
            nsp = %self.0.socket.0.namespace.name, event = clipped(self.event()), "an event without a handler"
        );
    }

    /// The acknowledgement, unless it has been taken: its id, if it is wanted.
    pub(crate) fn take_ack(&self) -> Option<Option<u64>> {
        match self.0.ack.swap(TAKEN, Ordering::Relaxed) {
            TAKEN => None,
            UNWANTED => Some(None),
            id => Some(Some(id)),
        }
    }
}

impl Context for ConnectContext {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Context for DisconnectContext {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Context for EventContext {
    fn socket(&self) -> &Socket {
        &self.0.socket
    }
}

impl<C: Context> FromContext<C> for Socket {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().clone())
    }
}

impl<C: Context> FromContext<C> for Namespace {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().namespace())
    }
}

impl<C: Context> FromContext<C> for Server {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().server())
    }
}

/// What the client sent along when it connected, its `auth` option. With `Auth<Option<T>>` it may be absent.
///
/// What is not a `T` is an [`AuthError`](crate::AuthError). From a connect handler it refuses the client, which is told
/// `Connection rejected by server` and nothing more; the error goes to the error handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<C: Context, T: DeserializeOwned> FromContext<C> for Auth<T> {
    fn from_context(context: &C) -> Result<Self, Error> {
        context.socket().auth().map(Self)
    }
}

/// What was given to [`Builder::state`](crate::Builder::state): a clone of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<S>(pub S);

impl<C: Context, S: Clone + Send + Sync + 'static> FromContext<C> for State<S> {
    fn from_context(context: &C) -> Result<Self, Error> {
        let state = context.socket().0.core.state.get::<S>().cloned();
        state.map(Self).ok_or_else(|| {
            Error::msg(format_args!(
                "a handler wants State<{0}>, but no {0} was given to Server::builder().state(..)",
                std::any::type_name::<S>()
            ))
        })
    }
}

/// A value that was kept in the socket's session: a clone of it. It is an error if there is none.
///
/// See [`Socket::session`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Session<T>(pub T);

impl<C: Context, T: Clone + Send + Sync + 'static> FromContext<C> for Session<T> {
    fn from_context(context: &C) -> Result<Self, Error> {
        context.socket().session().get::<T>().map(Self).ok_or_else(|| {
            Error::msg(format_args!(
                "the socket's session has no value of type {}",
                std::any::type_name::<T>()
            ))
        })
    }
}

/// What a middleware put into the extensions of the request that opened the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<C: Context, T: Clone + Send + Sync + 'static> FromContext<C> for Extension<T> {
    fn from_context(context: &C) -> Result<Self, Error> {
        let found = context.socket().handshake().extension::<T>().cloned();
        found.map(Self).ok_or_else(|| {
            Error::msg(format_args!("the request has no extension of type {}", std::any::type_name::<T>()))
        })
    }
}

/// The arguments of an event, decoded. A tuple takes several arguments, anything else the first; extra arguments
/// are ignored, or an error where the [server](crate::Builder::strict_arguments) or the
/// [handler](crate::EventHandlerExt::strict) is strict. Missing ones and those of another type are an
/// [`ArgumentError`], which names the event and the argument.
///
/// Binary arguments decode into `bytes::Bytes`, `serde_bytes` types and [`Value`], never into text. The other way round,
/// `bytes::Bytes` also takes text and lists of numbers: take a [`Value`] and [`Value::as_binary`] where that matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromContext<EventContext> for Data<T> {
    fn from_context(context: &EventContext) -> Result<Self, Error> {
        let (data, taken) =
            decode_args_counted(&context.0.args).map_err(|error| context.bad_argument(error))?;
        context.take_args(taken);
        Ok(Self(data))
    }
}

/// All arguments of an event, as values; or of an acknowledgement, however many a client sends:
///
/// ```
/// # async fn f(socket: wirebird::Socket) -> Result<(), wirebird::AckError> {
/// use wirebird::extract::Args;
///
/// let Args(answer) = socket.emit_with_ack("anything to say?", ()).await?;
/// println!("{} arguments", answer.len());
/// # Ok(()) }
/// ```
///
/// As a part of something else, of a tuple or a struct, it is one list of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args(pub Vec<Value>);

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_all(deserializer).map(Self)
    }
}

impl FromContext<EventContext> for Args {
    fn from_context(context: &EventContext) -> Result<Self, Error> {
        decode_all(context.args()).map(Self).map_err(|error| context.bad_argument(error))
    }
}

impl FromContext<EventContext> for RawArgs {
    fn from_context(context: &EventContext) -> Result<Self, Error> {
        Ok(context.args().clone())
    }
}

/// The name of an event; of use in fallback handlers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName(SmolStr);

impl Deref for EventName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for EventName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromContext<EventContext> for EventName {
    fn from_context(context: &EventContext) -> Result<Self, Error> {
        Ok(Self(context.0.event.clone()))
    }
}

impl FromContext<EventContext> for AckSender {
    fn from_context(context: &EventContext) -> Result<Self, Error> {
        let id = context.take_ack();
        let id = id.ok_or_else(|| Error::msg("a handler can take the acknowledgement only once"))?;
        Ok(Self::new(context.0.socket.0.clone(), id))
    }
}

impl FromContext<Self> for EventContext {
    fn from_context(context: &Self) -> Result<Self, Error> {
        context.take_args(usize::MAX);
        Ok(context.clone())
    }
}

impl FromContext<DisconnectContext> for DisconnectReason {
    fn from_context(context: &DisconnectContext) -> Result<Self, Error> {
        Ok(context.reason)
    }
}
