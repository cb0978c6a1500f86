//! Handlers that know their event: what `#[wirebird::event]` makes of a function.

use crate::error::Error;
use crate::extract::{EventContext, FromContext};
use crate::handler::EventHandler;
use crate::reply::Reply;
use crate::settings::{Configured, WithOptions};
use crate::task::BoxFuture;

/// A handler that is named for its event; [`event`](macro@crate::event) makes one of a function. With options
/// ([`EventHandlerExt`](crate::EventHandlerExt)) it keeps its name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which event it handles",
    note = "put `#[wirebird::event]` on the function, or name the event: `on(\"event\", handler)`"
)]
pub trait NamedHandler<M = Named>: EventHandler<M> {
    /// The event.
    const EVENT: &'static str;
}

impl<M, H: NamedHandler<M>> NamedHandler<WithOptions<M>> for Configured<H> {
    const EVENT: &'static str = H::EVENT;
}

/// Marks handlers that are named for their event.
#[doc(hidden)]
#[derive(Debug)]
pub struct Named;

/// What an event handler does.
#[doc(hidden)]
pub type EventFuture = BoxFuture<Result<Reply, Error>>;

/// Calls a function as a handler.
#[doc(hidden)]
pub fn call<M>(handler: &impl EventHandler<M>, context: EventContext) -> EventFuture {
    handler.call(context)
}

/// Compiles when a handler can take such an argument.
#[doc(hidden)]
pub fn argument<C, T: FromContext<C>>() {}
