use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use crate::error::Error;
use crate::event_layer::{EventLayer, Next};
use crate::extract::EventContext;
use crate::guard::clipped;
use crate::reply::Reply;

/// Lets an event pass only if the socket has a `T`: in its [session](crate::Socket::session), where a connect handler or a
/// login put it, or [in its request](Require::of_request), where middleware put it. Otherwise the event fails with
/// [`NotInSession`] or [`NotInRequest`], or the socket is disconnected.
pub struct Require<T> {
    of_request: bool,
    disconnects: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Require<T> {
    /// Looks into the session. Events of sockets that have no `T` there fail with [`NotInSession`].
    pub fn new() -> Self {
        Self { of_request: false, disconnects: false, value: PhantomData }
    }

    /// Looks into the extensions of the request that opened the connection, as [`Extension<T>`](crate::extract::Extension)
    /// does. Events of sockets that have no `T` there fail with [`NotInRequest`].
    ///
    /// ```
    /// use wirebird::extract::Extension;
    /// use wirebird::layers::Require;
    /// use wirebird::{EventHandlerExt, Server};
    ///
    /// #[derive(Clone)]
    /// struct User(String); // middleware in front of the server finds out who it is
    ///
    /// let whoami = async |Extension(User(name)): Extension<User>| name;
    /// Server::new().on("whoami", whoami.layer(Require::<User>::of_request().or_disconnect()));
    /// ```
    pub fn of_request() -> Self {
        Self { of_request: true, ..Self::new() }
    }

    /// Disconnects sockets that have none. Their event is not acknowledged, and is no error.
    #[must_use]
    pub fn or_disconnect(mut self) -> Self {
        self.disconnects = true;
        self
    }
}

impl<T: Clone + Send + Sync + 'static> EventLayer for Require<T> {
    async fn call(&self, event: EventContext, next: Next) -> Result<Reply, Error> {
        let there = match self.of_request {
            true => event.socket().handshake().extension::<T>().is_some(),
            false => event.socket().session().contains::<T>(),
        };
        if there {
            return next.run(event).await;
        }
        if !self.disconnects {
            return Err(match self.of_request {
                true => NotInRequest(type_name::<T>()).into(),
                false => NotInSession(type_name::<T>()).into(),
            });
        }
        tracing::debug!(
            target: "wirebird::socketio",
            nsp = event.socket().namespace().name(), sid = %event.socket().id(), event = clipped(event.event()),
            missing = type_name::<T>(), "a socket without what is required is disconnected"
        );
        event.socket().disconnect();
        Ok(Reply::none())
    }
}

impl<T> Default for Require<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Require<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.of_request { "Require::of_request" } else { "Require" };
        f.debug_tuple(name).field(&format_args!("{}", type_name::<T>())).finish()
    }
}

/// The error of [`Require::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInSession(&'static str);

impl NotInSession {
    /// The type that the socket's session has no value of.
    pub fn type_name(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for NotInSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket's session has no value of type {}", self.0)
    }
}

impl std::error::Error for NotInSession {}

/// The error of [`Require::of_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInRequest(&'static str);

impl NotInRequest {
    /// The type that the request's extensions have no value of.
    pub fn type_name(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for NotInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the extensions of the socket's request have no value of type {}", self.0)
    }
}

impl std::error::Error for NotInRequest {}
