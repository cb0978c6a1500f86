//! What can be said about one event handler beside what it does.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::event_layer::{EventLayer, Layers};
use crate::extract::EventContext;
use crate::handler::EventHandler;
use crate::lanes::Lane;
use crate::options::Concurrency;
use crate::reply::Reply;
use crate::task::BoxFuture;

/// Options of one event handler.
///
/// ```
/// use wirebird::{EventHandlerExt, Server, extract::Session, layers::Require};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// async fn delete(Session(user): Session<User>) -> String {
///     format!("deleted by {}", user.0)
/// }
///
/// Server::new().on("delete", delete.layer(Require::<User>::new()));
/// ```
pub trait EventHandlerExt<M>: EventHandler<M> + Sized {
    /// Puts a layer around the handler, inside those that it has already. See [`EventLayer`].
    fn layer(self, layer: impl EventLayer) -> Configured<Self> {
        Configured::new(self).layer(layer)
    }

    /// Lets the events of this handler go beside the others of their socket: they wait neither for those that came before
    /// nor do those that come after wait for them. Of one socket, up to so many of them are handled at a time, and begin in
    /// the order they came; [`Concurrency::Ordered`] is one at a time. More than that wait, and count as events that
    /// [wait](crate::Builder::max_pending_events).
    ///
    /// Without this, events are handled as [`Namespace::concurrency`](crate::Namespace::concurrency) says for all. The
    /// disconnect handler comes after both.
    ///
    /// ```
    /// use wirebird::{Concurrency, EventHandlerExt, Server, extract::Data};
    ///
    /// async fn search(Data(words): Data<String>) -> Vec<String> {
    ///     vec![words] // takes long, but the chat goes on meanwhile
    /// }
    ///
    /// Server::new().on("search", search.concurrency(Concurrency::Concurrent(3)));
    /// ```
    fn concurrency(self, concurrency: Concurrency) -> Configured<Self> {
        Configured::new(self).concurrency(concurrency)
    }

    /// Makes arguments that the handler does not take an error: see
    /// [`Builder::strict_arguments`](crate::Builder::strict_arguments), which does so for all.
    fn strict(self) -> Configured<Self> {
        Configured::new(self).strict()
    }
}

impl<M, H: EventHandler<M>> EventHandlerExt<M> for H {}

/// An event handler with options of its own: see [`EventHandlerExt`].
#[must_use = "a handler does nothing until it is registered"]
pub struct Configured<H> {
    handler: H,
    settings: Settings,
    strict: bool,
}

/// What was said about a handler.
#[doc(hidden)]
#[derive(Default)]
pub struct Settings {
    pub(crate) layers: Layers,
    /// The lane of its events, if they do not go with the others of their socket.
    pub(crate) lane: Option<Arc<Lane>>,
}

impl<H> Configured<H> {
    fn new<M>(mut handler: H) -> Self
    where
        H: EventHandler<M>,
    {
        Self { settings: handler.take_settings(), handler, strict: false }
    }

    /// As [`EventHandlerExt::layer`].
    pub fn layer(mut self, layer: impl EventLayer) -> Self {
        self.settings.layers.push(Arc::new(layer));
        self
    }

    /// As [`EventHandlerExt::concurrency`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.settings.lane = Some(Lane::new(concurrency.max()));
        self
    }

    /// As [`EventHandlerExt::strict`].
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

/// Marks handlers with options.
#[doc(hidden)]
#[derive(Debug)]
pub struct WithOptions<M>(std::marker::PhantomData<M>);

impl<M, H: EventHandler<M>> EventHandler<WithOptions<M>> for Configured<H> {
    fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
        if self.strict {
            context.set_strict();
        }
        self.handler.call(context)
    }

    fn take_settings(&mut self) -> Settings {
        std::mem::take(&mut self.settings)
    }
}

impl<H> fmt::Debug for Configured<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}
