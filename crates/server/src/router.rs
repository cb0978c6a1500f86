//! The dispatcher behind typed handlers: finds the handler, runs it, acknowledges, and takes care of its failure.

use std::sync::Arc;

use crate::core::Core;
use crate::dispatch::{Completion, ConnectRequest, ConnectResponder, Dispatcher, IncomingEvent};
use crate::error::{ConnectError, Error};
use crate::event_layer::Next;
use crate::extract::{ConnectContext, DisconnectContext, EventContext};
use crate::failures;
use crate::guard::clipped;
use crate::handler::{ConnectFn, DisconnectFn, ErrorFn};
use crate::handlers::{EventEntry, Table};
use crate::lanes::Lane;
use crate::reason::DisconnectReason;
use crate::reply::Reply;
use crate::socket::{Socket, SocketInner};
use crate::task::{self, Begun};

pub(crate) struct Router;

/// The handler of an event: the namespace's own or its fallback, else the same of all namespaces, else that of the value
/// that was registered. The table of all namespaces is looked at, and put into `any`, only if that is needed.
macro_rules! handler_of {
    ($event:expr, $own:ident, $any:ident, $core:ident) => {
        match $own.event($event) {
            Some(handler) => Some(handler),
            None => {
                $any = $core.any_namespace.table();
                $any.event($event).or_else(|| class(&$own, &$any)?.event($event))
            }
        }
    };
}

impl Dispatcher for Router {
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
        let socket = request.socket;
        let core = socket.0.core.clone();
        let checked =
            socket.recovered() && core.recoveries.as_ref().is_some_and(|r| r.skips_before_connect());
        let before = if checked { Vec::new() } else { before_connect(&socket) };
        let handler = of_lifecycle(&socket, |table| table.connect.as_ref());
        if before.is_empty() && handler.is_none() {
            return responder.accept();
        }
        let context = ConnectContext { socket: socket.clone() };
        let span = span(&socket, "connect");
        task::start(
            core.runtime(),
            span,
            || match handler {
                Some(handler) if before.is_empty() => handler(context),
                handler => Box::pin(connect_in_turn(before, handler, context)),
            },
            move |result| match result.map_err(Into::into).flatten() {
                Ok(()) => responder.accept(),
                Err(mut error) => {
                    if let Some(cause) = error.take_cause() {
                        failed(
                            &socket.0.core.clone(),
                            EventContext::of_lifecycle(socket, "connect"),
                            cause,
                            None,
                        );
                    }
                    responder.refuse(error);
                }
            },
        );
    }

    fn event(&self, event: IncomingEvent) {
        let (context, completion) = EventContext::new(event);
        let span = span(context.socket(), context.event());
        let Some(begun) = begin(&context, &span) else { return context.log_unhandled() };
        let result = match begun {
            Begun::Done(result) => result,
            Begun::Waits(future) => {
                let core = context.socket().0.core.clone();
                let finish = move |result: Result<_, Error>| handled(context, completion, result.flatten());
                return task::go_on(core.runtime(), span, future, finish);
            }
        };
        handled(context, completion, result.flatten());
    }

    fn disconnecting(&self, socket: Socket, reason: DisconnectReason, completion: Completion) {
        if let Some(handler) = of_lifecycle(&socket, |table| table.disconnecting.as_ref()) {
            leave("disconnecting", &handler, socket, reason, completion);
        }
    }

    fn disconnect(&self, socket: Socket, reason: DisconnectReason, completion: Completion) {
        tracing::debug!(
            target: "wirebird::socketio",
            nsp = %socket.0.namespace.name, sid = %socket.id(), %reason, "disconnected"
        );
        if let Some(handler) = of_lifecycle(&socket, |table| table.disconnect.as_ref()) {
            leave("disconnect", &handler, socket, reason, completion);
        }
    }
}

/// The handlers that run before the one of connections: those for all namespaces, then those of this one.
fn before_connect(socket: &Socket) -> Vec<Arc<ConnectFn>> {
    let any = socket.0.core.any_namespace.table();
    let own = socket.0.namespace.handlers().table();
    any.before_connect.iter().chain(&own.before_connect).cloned().collect()
}

/// Runs the handlers of a connection one after another. None runs for a client that has been refused or is gone.
async fn connect_in_turn(
    before: Vec<Arc<ConnectFn>>,
    handler: Option<Arc<ConnectFn>>,
    context: ConnectContext,
) -> Result<(), ConnectError> {
    for handler in before {
        handler(context.clone()).await?;
        if context.socket.0.is_ending() {
            return Err(ConnectError::rejected());
        }
    }
    match handler {
        Some(handler) => handler(context).await,
        None => Ok(()),
    }
}

/// The handler of connections or disconnections: a function of the namespace or of all, else that of the value that was
/// registered.
fn of_lifecycle<F: ?Sized>(socket: &Socket, pick: impl Fn(&Table) -> Option<&Arc<F>>) -> Option<Arc<F>> {
    let own = socket.0.namespace.handlers().table();
    let any = socket.0.core.any_namespace.table();
    let handler = pick(&own).or_else(|| pick(&any)).or_else(|| pick(class(&own, &any)?));
    handler.cloned()
}

/// The handlers of the value that was registered for the namespace, else of that for all. The one hides the other, also
/// where it lacks a handler.
fn class<'a>(own: &'a Table, any: &'a Table) -> Option<&'a Table> {
    own.class.as_deref().or(any.class.as_deref())
}

/// Runs one of the handlers of a socket that leaves.
fn leave(
    name: &'static str,
    handler: &DisconnectFn,
    socket: Socket,
    reason: DisconnectReason,
    completion: Completion,
) {
    let core = socket.0.core.clone();
    let context = DisconnectContext { socket: socket.clone(), reason };
    let span = span(&socket, name);
    task::start(
        core.runtime(),
        span,
        || handler(context),
        move |result: Result<_, Error>| {
            if let Err(error) = result.flatten() {
                let context = EventContext::of_lifecycle(socket.clone(), name);
                failed(&socket.0.core, context, error, Some(completion));
            }
        },
    );
}

/// The lane of an event, if its handler has one.
pub(crate) fn lane(socket: &SocketInner, event: &str) -> Option<Arc<Lane>> {
    let (core, handlers) = (&socket.core, socket.namespace.handlers());
    if !handlers.is_laned() && !core.any_namespace.is_laned() {
        return None;
    }
    let own = handlers.table();
    let any;
    handler_of!(event, own, any, core)?.settings.lane.clone()
}

/// Calls the handler of an event, in the layers around it if there are any; there may be layers without a handler.
/// `None` when there is neither.
fn begin(context: &EventContext, span: &tracing::Span) -> Option<Begun<Result<Reply, Error>>> {
    let SocketInner { core, namespace, .. } = &*context.socket().0;
    let handlers = namespace.handlers();
    let own = handlers.table();
    let any;
    let handler = handler_of!(context.event(), own, any, core);
    let layered = core.defaults.is_layered()
        || handlers.is_layered()
        || namespace.handlers.is_layered()
        || handler.is_some_and(|handler| !handler.settings.layers.is_empty());
    if layered {
        let layered = in_layers(context, handler.cloned());
        return Some(task::begin(core.runtime(), span, || layered.start(context.clone())));
    }
    handler.map(|handler| task::begin(core.runtime(), span, || handler.call(context.clone())))
}

/// The handler of an event in the layers around it. Not inlined, so that events without layers pay nothing for it.
#[inline(never)]
fn in_layers(context: &EventContext, handler: Option<Arc<EventEntry>>) -> Next {
    let SocketInner { core, namespace, .. } = &*context.socket().0;
    let of_pattern = namespace.parent().map(|parent| parent.handlers.table().layers.clone());
    let layers = [
        core.defaults.table().layers.clone(),
        of_pattern.unwrap_or_default(),
        namespace.handlers.table().layers.clone(),
        handler.as_ref().map(|handler| handler.settings.layers.clone()).unwrap_or_default(),
    ];
    Next::new(layers, handler)
}

/// Sees to what has come of an event.
fn handled(context: EventContext, completion: Completion, result: Result<Reply, Error>) {
    match result {
        Ok(reply) => {
            acknowledge(&context, reply);
            drop(completion);
        }
        Err(error) => failed(&context.socket().0.core.clone(), context, error, Some(completion)),
    }
}

/// What a handler runs in, for logs: the namespace, the event and the socket.
fn span(socket: &Socket, event: &str) -> tracing::Span {
    tracing::debug_span!(
        target: "wirebird::socketio",
        "handler", nsp = %socket.0.namespace.name, event = clipped(event), sid = %socket.id()
    )
}

fn acknowledge(context: &EventContext, reply: Reply) {
    if let Some(encoded) = reply.into_encoded()
        && let Some(id) = context.take_ack().flatten()
    {
        let _ = context.socket().0.send_ack(id, encoded);
    }
}

/// A handler failed: the error handlers are asked, one after another as long as they fail themselves; then the log.
fn failed(core: &Arc<Core>, context: EventContext, error: Error, completion: Option<Completion>) {
    let own = context.socket().0.namespace.handlers().table();
    let of_class = class(&own, &core.any_namespace.table()).and_then(|class| class.error.clone());
    let handlers = [own.error.clone(), of_class, core.defaults.table().error.clone()];
    ask(core, handlers.into_iter().flatten(), context, error, completion);
}

/// A background task of a socket failed.
pub(crate) fn task_failed(socket: Socket, error: Error) {
    let core = socket.0.core.clone();
    failed(&core, EventContext::of_lifecycle(socket, "background task"), error, None);
}

type ErrorHandlers = std::iter::Flatten<std::array::IntoIter<Option<Arc<ErrorFn>>, 3>>;

fn ask(
    core: &Arc<Core>,
    mut handlers: ErrorHandlers,
    context: EventContext,
    error: Error,
    completion: Option<Completion>,
) {
    let Some(handler) = handlers.next().filter(|_| !core.is_stopped()) else {
        return failures::log(&context, &error);
    };
    let call = context.clone();
    let span = span(context.socket(), "error");
    task::start(
        core.runtime(),
        span,
        || handler(error, call),
        move |result: Result<_, Error>| match result.flatten() {
            Ok(ack) => {
                acknowledge(&context, ack);
                drop(completion);
            }
            Err(error) => ask(&context.socket().0.core.clone(), handlers, context, error, completion),
        },
    );
}
