//! Errors: what handlers return, what calls answer, what clients are told.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use wirebird_proto::socket_io::DecodeError;
use wirebird_proto::value::{ArgsError, ArgsErrorCause, EncodeError, Value, encode_args, without_data};

use crate::guard::clipped;
use crate::layers::{NotInRequest, NotInSession, RateLimited};

/// What went wrong in a handler. Any error turns into it by `?`, and it reaches the handler that
/// [`Server::on_error`](crate::Server::on_error) registered.
///
/// Like `anyhow::Error` it does not implement [`std::error::Error`] itself.
pub struct Error {
    inner: Inner,
    /// Where it was made, if backtraces are switched on.
    backtrace: Option<Box<Backtrace>>,
}

enum Inner {
    Other(Box<dyn std::error::Error + Send + Sync>),
    Message(String),
    Panic(String),
}

impl Error {
    /// An error that is only a message.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self::new(Inner::Message(message.to_string()))
    }

    /// An error of which only this is known, such as one of `anyhow`.
    pub fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::new(Inner::Other(error))
    }

    fn new(inner: Inner) -> Self {
        let mut this = Self { inner, backtrace: None };
        // Backtraces are dear: a client must not be able to have them made.
        if !this.is_clients_fault() {
            let backtrace = Backtrace::capture();
            this.backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| Box::new(backtrace));
        }
        this
    }

    pub(crate) fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value that is not text".into());
        Self { inner: Inner::Panic(text), backtrace: None }
    }

    /// Whether a handler panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.inner, Inner::Panic(_))
    }

    /// Whether the client's arguments were not what the handler takes. [`ArgumentError`] says more.
    pub fn is_bad_arguments(&self) -> bool {
        self.downcast_ref::<ArgumentError>().is_some() || self.downcast_ref::<ArgsError>().is_some()
    }

    /// Whether what the client sent along when it connected was not what the handler takes. [`AuthError`] says more.
    pub fn is_bad_auth(&self) -> bool {
        self.downcast_ref::<AuthError>().is_some()
    }

    /// Whether a client can cause it as often as it likes.
    pub(crate) fn is_clients_fault(&self) -> bool {
        self.is_bad_arguments()
            || self.is_bad_auth()
            || self.downcast_ref::<RateLimited>().is_some()
            || self.downcast_ref::<NotInSession>().is_some()
            || self.downcast_ref::<NotInRequest>().is_some()
    }

    /// Where the error was made: where `?` turned another error into this one, or [`Error::msg`] was called. There is one
    /// if `RUST_BACKTRACE=1` or `RUST_LIB_BACKTRACE=1` is set (see [`std::backtrace`]), except of panics, which the panic
    /// hook reports, and of errors that clients can cause as they like: [bad arguments](Error::is_bad_arguments),
    /// [bad credentials](Error::is_bad_auth), and what [`layers`](crate::layers) refuse.
    ///
    /// An error that no error handler takes is logged with it.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.backtrace.as_deref()
    }

    /// The error it was made of, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match &self.inner {
            Inner::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The error it was made of, if there is one.
    pub fn source(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        match &self.inner {
            Inner::Other(error) => Some(&**error),
            _ => None,
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(Inner::Other(Box::new(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Other(error) => error.fmt(f),
            Inner::Message(message) => f.write_str(message),
            Inner::Panic(message) => write!(f, "the handler panicked: {message}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Other(error) => error.fmt(f),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

/// The arguments of an event are not what its handler takes: one is missing, of another type, or, where the server is
/// [strict](crate::Builder::strict_arguments), one too many. The handler has not run.
///
/// ```
/// use wirebird::{ArgumentError, Error, Server};
///
/// Server::new().on_error(async |error: Error| {
///     let error = error.downcast_ref::<ArgumentError>()?;
///     Some(format!("{:?} cannot have that as argument {}", error.event(), error.index()))
/// });
/// ```
#[derive(Debug)]
pub struct ArgumentError {
    event: SmolStr,
    error: ArgsError,
}

impl ArgumentError {
    pub(crate) fn new(event: SmolStr, error: ArgsError) -> Self {
        Self { event, error }
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The argument, counted from 0.
    pub fn index(&self) -> usize {
        self.error.index
    }

    /// What is wrong with it.
    pub fn cause(&self) -> &ArgsErrorCause {
        &self.error.cause
    }
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name may be the client's choice, in a fallback handler.
        write!(f, "event {:?}: {}", clipped(&self.event), self.error)
    }
}

impl std::error::Error for ArgumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What a client sent along when it connected, its `auth` option, is not what a handler takes:
/// [`Auth<T>`](crate::extract::Auth), [`Socket::auth`](crate::Socket::auth). It does not quote what was sent.
///
/// From a connect handler it refuses the client, which is told `Connection rejected by server`. To tell it more, take
/// `Auth<Value>` or use [`Socket::auth`](crate::Socket::auth), and return a [`ConnectError`]:
///
/// ```
/// use wirebird::{AuthError, ConnectError, Error, Server, Socket};
///
/// #[derive(serde::Deserialize)]
/// struct Login {
///     token: String,
/// }
///
/// let io = Server::new();
/// io.on_connect(async |socket: Socket| match socket.auth::<Login>() {
///     Ok(login) if login.token == "secret" => Ok(()),
///     Ok(_) => Err(ConnectError::new("wrong token")),
///     Err(error) if error.is_bad_auth() => Err(ConnectError::new(error.to_string())),
///     Err(error) => Err(error.into()),
/// });
/// io.on_error(async |error: Error| {
///     if let Some(error) = error.downcast_ref::<AuthError>() {
///         println!("{}", if error.is_missing() { "no credentials" } else { "strange credentials" });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct AuthError {
    missing: bool,
    problem: String,
}

impl AuthError {
    pub(crate) fn new(missing: bool, error: &serde_json::Error) -> Self {
        Self { missing, problem: without_data(error) }
    }

    /// Whether the client sent nothing along.
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing {
            return f.write_str("the client sent no credentials along, and the handler takes some");
        }
        write!(f, "what the client sent along is not what the handler takes: {}", self.problem)
    }
}

impl std::error::Error for AuthError {}

/// A refusal of a connection: the client gets `{"message", "data"}` in its `connect_error`.
///
/// Every other error turns into a refusal with a general message by `?`; what it was goes to the error handler, not to
/// the client.
#[derive(Debug)]
pub struct ConnectError {
    message: String,
    data: Option<Value>,
    cause: Option<Error>,
}

/// What a client is told when the handler failed for a reason that is not its business.
const REJECTED: &str = "Connection rejected by server";

impl ConnectError {
    /// A refusal with a message for the client.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None, cause: None }
    }

    /// The refusal that says nothing: `Connection rejected by server`.
    pub fn rejected() -> Self {
        Self::new(REJECTED)
    }

    /// Adds details for the client. Details that cannot be put into JSON (binary, NaN, unsupported types) are left out,
    /// and a warning is logged.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.data = plain_json(&data)
            .inspect_err(|reason| {
                tracing::warn!(
                    target: "wirebird::socketio", %reason, "the data of a refusal cannot be sent as JSON; left out"
                );
            })
            .ok();
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    pub(crate) fn from_cause(error: Error) -> Self {
        Self { cause: Some(error), ..Self::rejected() }
    }

    pub(crate) fn take_cause(&mut self) -> Option<Error> {
        self.cause.take()
    }

    /// The payload of the CONNECT_ERROR packet.
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Payload<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Value>,
        }
        let payload = Payload { message: &self.message, data: self.data.as_ref() };
        serde_json::to_string(&payload).unwrap_or_else(|_| format!("{{\"message\":\"{REJECTED}\"}}"))
    }

    /// The payload of the packet of older clients: the details alone if there are any, else the message.
    pub(crate) fn to_plain_json(&self) -> String {
        match &self.data {
            Some(data) if !data.is_null() => serde_json::to_string(data),
            _ => serde_json::to_string(&self.message),
        }
        .unwrap_or_else(|_| format!("\"{REJECTED}\""))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for ConnectError {
    fn from(error: E) -> Self {
        Self::from_cause(error.into())
    }
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        Self::from_cause(error)
    }
}

/// What becomes of `data` in a packet that holds JSON and no binary; or why that cannot be.
pub(crate) fn plain_json<T: DeserializeOwned>(data: &impl Serialize) -> Result<T, String> {
    let (mut json, mut attachments) = (Vec::new(), Vec::new());
    encode_args(&(data,), &mut json, &mut attachments).map_err(|error| error.to_string())?;
    if !attachments.is_empty() {
        return Err("there is binary in it".into());
    }
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

/// Why nothing was emitted.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmitError {
    /// The event's name is one of those that the protocol keeps for itself: `connect`, `connect_error`, `disconnect`,
    /// `disconnecting`, `newListener`, `removeListener`.
    ReservedName(String),
    /// The data cannot be put into a packet: it has a number that JSON does not have (NaN, an infinity), a map whose keys
    /// are neither text nor numbers, or it failed to serialise. Nobody gets anything of it.
    Encode(EncodeError),
    /// The data makes a packet that clients would not accept.
    Packet(DecodeError),
    /// The server's [parser](crate::parser) cannot express the packet.
    Parser(Error),
    /// The client's queue is full and the policy is to refuse.
    Full,
    /// Events that [may be replaced](crate::Operator::conflate) have no acknowledgements.
    Conflated,
}

impl From<DecodeError> for EmitError {
    fn from(error: DecodeError) -> Self {
        Self::Packet(error)
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedName(name) => write!(f, "{name:?} is a reserved event name and cannot be emitted"),
            Self::Encode(error) => error.fmt(f),
            Self::Packet(error) => write!(f, "the data cannot be sent: {error}"),
            Self::Parser(error) => write!(f, "the data cannot be sent: {error}"),
            Self::Full => f.write_str("the client's send queue is full"),
            Self::Conflated => {
                f.write_str("events with acknowledgements cannot be conflated: each has an answer of its own")
            }
        }
    }
}

impl std::error::Error for EmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EncodeError> for EmitError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// Why there is no acknowledgement.
#[derive(Debug)]
#[non_exhaustive]
pub enum AckError {
    /// None came in time.
    Timeout,
    /// The socket was disconnected before it answered, or is not connected at all.
    Disconnected,
    /// The event could not be emitted.
    Emit(EmitError),
    /// The client's answer is not what was asked for.
    Decode(ArgsError),
    /// The socket has too many unanswered ones already.
    TooMany,
}

impl AckError {
    /// Whether none came in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether the socket is gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the client did not acknowledge in time"),
            Self::Disconnected => f.write_str("the socket was disconnected before it acknowledged"),
            Self::Emit(error) => error.fmt(f),
            Self::Decode(error) => write!(f, "the acknowledgement is not what was expected: {error}"),
            Self::TooMany => f.write_str("too many acknowledgements of this socket are outstanding"),
        }
    }
}

impl std::error::Error for AckError {}

impl From<EmitError> for AckError {
    fn from(error: EmitError) -> Self {
        Self::Emit(error)
    }
}

/// Not all servers of the cluster answered in time.
#[derive(Clone)]
#[non_exhaustive]
pub struct Incomplete<T> {
    /// What those that did answer have said.
    pub answers: Vec<T>,
    /// How many other servers answered.
    pub answered: usize,
    /// How many were asked.
    pub servers: usize,
}

impl<T> Incomplete<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(Vec<T>) -> Vec<U>) -> Incomplete<U> {
        Incomplete { answers: change(self.answers), answered: self.answered, servers: self.servers }
    }
}

impl<T> fmt::Debug for Incomplete<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incomplete")
            .field("answered", &self.answered)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Incomplete<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} other servers answered in time", self.answered, self.servers)
    }
}

impl<T> std::error::Error for Incomplete<T> {}

/// Why a room cannot be joined, left or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomError {
    /// It is the personal room of a socket, which only that socket is in, always.
    Reserved,
    /// The socket is in as many rooms as are allowed.
    TooMany,
    /// The name is longer than is allowed.
    NameTooLong,
    /// The socket is not connected.
    Disconnected,
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "the room of a socket's id belongs to that socket alone",
            Self::NameTooLong => "the name of the room is longer than is allowed",
            Self::TooMany => "the socket is in as many rooms as are allowed",
            Self::Disconnected => "the socket is not connected",
        })
    }
}

impl std::error::Error for RoomError {}
