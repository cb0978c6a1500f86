//! Handlers for all namespaces.

use std::fmt;
use std::sync::Arc;

use crate::class::{HandlerSet, NamespaceHandlers};
use crate::core::Core;
use crate::handler::{ConnectHandler, DisconnectHandler, EventHandler};
use crate::named::NamedHandler;

/// Handlers for all namespaces that have none of their own for the same purpose.
///
/// `on`, `fallback`, `on_connect` and the others stand in: where a namespace has a handler of its own, those here do not
/// run. Not so [`before_connect`](Self::before_connect): its checks run for every namespace, also before connect handlers
/// of its own. So credentials are checked there.
#[derive(Clone)]
pub struct AnyNamespace {
    pub(super) core: Arc<Core>,
}

impl AnyNamespace {
    /// As [`Namespace::before_connect`](crate::Namespace::before_connect), for every namespace, those that have such
    /// handlers of their own included: these here run first.
    pub fn before_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.core.any_namespace.add_before_connect(handler);
        self
    }

    /// As [`Namespace::on_connect`](crate::Namespace::on_connect), for namespaces that have no connect handler of their
    /// own: no place for checks that must hold everywhere, which [`before_connect`](Self::before_connect) is.
    pub fn on_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.core.any_namespace.set_connect(handler);
        self
    }

    /// As [`Namespace::on_disconnecting`](crate::Namespace::on_disconnecting).
    pub fn on_disconnecting<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.core.any_namespace.set_disconnecting(handler);
        self
    }

    /// As [`Namespace::on_disconnect`](crate::Namespace::on_disconnect).
    pub fn on_disconnect<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.core.any_namespace.set_disconnect(handler);
        self
    }

    /// As [`Namespace::on`](crate::Namespace::on), for namespaces that have neither a handler of this event nor a fallback.
    ///
    /// # Panics
    /// When `event` is a reserved name.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl EventHandler<M>) -> &Self {
        self.core.any_namespace.set_event(event.into(), handler);
        self
    }

    /// As [`Namespace::add`](crate::Namespace::add).
    pub fn add<M, H: NamedHandler<M>>(&self, handler: H) -> &Self {
        self.on(H::EVENT, handler)
    }

    /// Removes the handler of an event; returns whether there was one.
    pub fn off(&self, event: &str) -> bool {
        self.core.any_namespace.remove_event(event)
    }

    /// Removes the handler of connections; returns whether there was one.
    pub fn off_connect(&self) -> bool {
        self.core.any_namespace.remove_connect()
    }

    /// Removes the handler of the beginning of disconnections; returns whether there was one.
    pub fn off_disconnecting(&self) -> bool {
        self.core.any_namespace.remove_disconnecting()
    }

    /// Removes the handler of disconnections; returns whether there was one.
    pub fn off_disconnect(&self) -> bool {
        self.core.any_namespace.remove_disconnect()
    }

    /// Removes the handler of all other events; returns whether there was one.
    pub fn off_fallback(&self) -> bool {
        self.core.any_namespace.remove_fallback()
    }

    /// As [`Namespace::fallback`](crate::Namespace::fallback), for namespaces that have neither a handler of the event nor a
    /// fallback.
    pub fn fallback<M>(&self, handler: impl EventHandler<M>) -> &Self {
        self.core.any_namespace.set_fallback(handler);
        self
    }

    /// As [`Namespace::register`](crate::Namespace::register), for namespaces that have no such value of their own. A value
    /// of a namespace's own hides it, also where that one lacks a method.
    pub fn register(&self, handlers: impl NamespaceHandlers) -> &Self {
        self.core.any_namespace.set_class(HandlerSet::of(handlers));
        self
    }

    /// As [`Namespace::unregister`](crate::Namespace::unregister).
    pub fn unregister(&self) -> bool {
        self.core.any_namespace.remove_class()
    }
}

impl fmt::Debug for AnyNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyNamespace")
    }
}
