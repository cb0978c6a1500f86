use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use crate::error::Error;
use crate::event_layer::{EventLayer, Next};
use crate::extract::EventContext;
use crate::guard::clipped;
use crate::reply::Reply;

/// Lets an event pass only if the socket's [session](crate::Socket::session) has a `T`, which a connect handler or a login
/// put there. Otherwise the event fails with [`NotInSession`], or the socket is disconnected.
pub struct Require<T> {
    disconnects: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Require<T> {
    /// Events of other sockets fail.
    pub fn new() -> Self {
        Self { disconnects: false, value: PhantomData }
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
        if event.socket().session().contains::<T>() {
            return next.run(event).await;
        }
        if !self.disconnects {
            return Err(NotInSession(type_name::<T>()).into());
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
        f.debug_tuple("Require").field(&format_args!("{}", type_name::<T>())).finish()
    }
}

/// The error of [`Require`].
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
