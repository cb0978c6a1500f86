//! Layers around event handlers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::error::Error;
use crate::extract::EventContext;
use crate::handlers::EventEntry;
use crate::reply::Reply;
use crate::task::BoxFuture;

/// Something around event handlers: it gets the event first, may hand it on with [`Next::run`], and gets what came of it.
///
/// It is an async function or closure of the [`EventContext`] and [`Next`], or a type of your own. It may answer or fail
/// without calling the handler, look at or replace the reply, change the socket's session, disconnect the socket, measure
/// how long the handler takes.
///
/// ```
/// use wirebird::{Error, EventHandlerExt, Next, Reply, Server, extract::EventContext};
///
/// async fn only_members(event: EventContext, next: Next) -> Result<Reply, Error> {
///     if !event.socket().in_room("members") {
///         return Err(Error::msg("members only")); // goes to the error handler
///     }
///     next.run(event).await
/// }
///
/// let io = Server::new();
/// io.on("vote", (async || "counted").layer(only_members)); // around one handler
/// io.of("/club").event_layer(only_members); // around all of a namespace
/// io.event_layer(async |event: EventContext, next: Next| {
///     println!("{} begins", event.event()); // around all of the server
///     next.run(event).await
/// });
/// ```
///
/// The server's layers are the outermost ones, then those of the namespace, then those of the handler; among each, the
/// first one added is the outermost. Layers of a server or a namespace are around events without a handler too: the reply
/// is [none](Reply::none) then. An error goes outwards through the layers and then to the error handler; a panic goes there
/// straight.
///
/// A type of your own:
///
/// ```
/// use wirebird::{Error, EventLayer, Next, Reply, extract::EventContext};
///
/// struct Maintenance(&'static str);
///
/// impl EventLayer for Maintenance {
///     async fn call(&self, _: EventContext, _: Next) -> Result<Reply, Error> {
///         Ok(Reply::new(self.0)?)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "this is not a layer for events",
    note = "a layer is an async function or closure of `wirebird::extract::EventContext` and `wirebird::Next` that returns `Result<wirebird::Reply, wirebird::Error>`",
    note = "a closure that captures cannot lend to its future: clone what the future needs, or implement `EventLayer` for a type"
)]
pub trait EventLayer: Send + Sync + 'static {
    /// An event is to be handled.
    ///
    /// # Errors
    /// Those of what is inside, and the layer's own. They go to the error handler, after the layers further out.
    fn call(&self, event: EventContext, next: Next) -> impl Future<Output = Result<Reply, Error>> + Send;
}

impl<F, Fut> EventLayer for F
where
    F: Fn(EventContext, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Error>> + Send,
{
    fn call(&self, event: EventContext, next: Next) -> impl Future<Output = Result<Reply, Error>> + Send {
        self(event, next)
    }
}

/// An [`EventLayer`] without its type.
pub(crate) trait AnyLayer: Send + Sync {
    fn call(self: Arc<Self>, event: EventContext, next: Next) -> BoxFuture<Result<Reply, Error>>;
}

impl<L: EventLayer> AnyLayer for L {
    fn call(self: Arc<Self>, event: EventContext, next: Next) -> BoxFuture<Result<Reply, Error>> {
        Box::pin(async move { EventLayer::call(&*self, event, next).await })
    }
}

/// Layers, the outermost first. Nothing but a word as long as there are none.
#[derive(Clone, Default)]
pub(crate) struct Layers(Option<Arc<[Arc<dyn AnyLayer>]>>);

impl Layers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds one inside these.
    pub(crate) fn push(&mut self, layer: Arc<dyn AnyLayer>) {
        let outer = self.0.iter().flat_map(|layers| layers.iter().cloned());
        self.0 = Some(outer.chain([layer]).collect());
    }

    fn get(&self, at: usize) -> Option<&Arc<dyn AnyLayer>> {
        self.0.as_deref()?.get(at)
    }
}

/// What is inside a layer: further layers, and the handler.
#[must_use = "the event is handled when this is run"]
pub struct Next {
    /// Of the server, of the pattern that made the namespace, of the namespace, of the handler.
    layers: [Layers; 4],
    list: usize,
    at: usize,
    handler: Option<Arc<EventEntry>>,
}

impl Next {
    pub(crate) fn new(layers: [Layers; 4], handler: Option<Arc<EventEntry>>) -> Self {
        Self { layers, list: 0, at: 0, handler }
    }

    /// Hands the event on: to the next layer, or to the handler. The result is the handler's, as it comes out of the layers
    /// on the way.
    pub fn run(self, event: EventContext) -> impl Future<Output = Result<Reply, Error>> + Send + 'static {
        self.start(event)
    }

    /// Whether the event has a handler, be it a fallback. What [`Next::run`] comes to is no acknowledgement otherwise.
    pub fn has_handler(&self) -> bool {
        self.handler.is_some()
    }

    pub(crate) fn start(mut self, event: EventContext) -> BoxFuture<Result<Reply, Error>> {
        while let Some(layers) = self.layers.get(self.list) {
            if let Some(layer) = layers.get(self.at).cloned() {
                self.at += 1;
                return layer.call(event, self);
            }
            (self.list, self.at) = (self.list + 1, 0);
        }
        match &self.handler {
            Some(handler) => handler.call(event),
            None => {
                event.log_unhandled();
                Box::pin(std::future::ready(Ok(Reply::none())))
            }
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("has_handler", &self.has_handler()).finish_non_exhaustive()
    }
}
