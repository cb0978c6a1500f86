//! Values that handle a namespace: what `#[wirebird::namespace]` makes of an impl block.

use std::fmt;
use std::sync::Arc;

use crate::handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler};
use crate::handlers::{Handlers, Table};

/// A value that handles everything in a namespace, with the state that its handlers share.
///
/// There is one for all clients: what belongs to one client is kept in [`Socket::session`](crate::Socket::session).
/// [`namespace`](macro@crate::namespace) implements it for an impl block; register the value, or an `Arc` of it, with
/// [`Server::register`](crate::Server::register). Functions that were registered for the same event come first.
///
/// Implemented by hand, it may dispatch as it likes:
///
/// ```
/// use std::sync::Arc;
/// use wirebird::extract::EventContext;
/// use wirebird::{HandlerSet, NamespaceHandlers, Server};
///
/// struct Prefixed;
///
/// impl Prefixed {
///     async fn dispatch(&self, event: EventContext) -> String {
///         match event.event().split_once('.') {
///             Some(("user", what)) => format!("something about a user: {what}"),
///             _ => "something else".into(),
///         }
///     }
/// }
///
/// impl NamespaceHandlers for Prefixed {
///     fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
///         handlers.fallback(move |event: EventContext| {
///             let this = self.clone();
///             async move { this.dispatch(event).await }
///         });
///     }
/// }
///
/// Server::new().register("/things", Prefixed);
/// ```
///
/// What does not handle a namespace cannot be registered:
///
/// ```compile_fail
/// wirebird::Server::new().register("/things", String::from("no namespace"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle a namespace",
    note = "put `#[wirebird::namespace]` on the impl block with its handlers, or implement `NamespaceHandlers` by hand"
)]
pub trait NamespaceHandlers: Send + Sync + 'static {
    /// Names the handlers. Called once, when the value is registered.
    fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet);
}

impl<T: NamespaceHandlers> NamespaceHandlers for Arc<T> {
    fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
        T::register_handlers(Self::clone(&self), handlers);
    }
}

/// The handlers of a value that handles a namespace; see [`NamespaceHandlers`].
#[derive(Default)]
pub struct HandlerSet(Handlers);

impl HandlerSet {
    pub(crate) fn of(value: impl NamespaceHandlers) -> Arc<Table> {
        let mut set = Self::default();
        Arc::new(value).register_handlers(&mut set);
        set.0.into_table()
    }

    /// As [`Namespace::on_connect`](crate::Namespace::on_connect).
    pub fn on_connect<M>(&mut self, handler: impl ConnectHandler<M>) -> &mut Self {
        self.0.set_connect(handler);
        self
    }

    /// As [`Namespace::on_disconnecting`](crate::Namespace::on_disconnecting).
    pub fn on_disconnecting<M>(&mut self, handler: impl DisconnectHandler<M>) -> &mut Self {
        self.0.set_disconnecting(handler);
        self
    }

    /// As [`Namespace::on_disconnect`](crate::Namespace::on_disconnect).
    pub fn on_disconnect<M>(&mut self, handler: impl DisconnectHandler<M>) -> &mut Self {
        self.0.set_disconnect(handler);
        self
    }

    /// As [`Namespace::on`](crate::Namespace::on).
    ///
    /// # Panics
    /// When `event` is a reserved name.
    pub fn on<M>(&mut self, event: impl Into<String>, handler: impl EventHandler<M>) -> &mut Self {
        self.0.set_event(event.into(), handler);
        self
    }

    /// As [`Namespace::fallback`](crate::Namespace::fallback).
    pub fn fallback<M>(&mut self, handler: impl EventHandler<M>) -> &mut Self {
        self.0.set_fallback(handler);
        self
    }

    /// As [`Namespace::on_error`](crate::Namespace::on_error). When the namespace has such a function too, this handler
    /// is called after it, with the error that it returns.
    pub fn on_error<M>(&mut self, handler: impl ErrorHandler<M>) -> &mut Self {
        self.0.set_error(handler);
        self
    }
}

impl fmt::Debug for HandlerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerSet").field("events", &self.0.table().events.keys()).finish_non_exhaustive()
    }
}
