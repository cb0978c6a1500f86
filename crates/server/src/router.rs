//! The dispatcher behind typed handlers: finds the handler, runs it, acknowledges, and takes care of its failure.

use std::sync::Arc;

use crate::core::Core;
use crate::dispatch::{Completion, ConnectRequest, ConnectResponder, Dispatcher, IncomingEvent};
use crate::error::Error;
use crate::extract::{ConnectContext, DisconnectContext, EventContext};
use crate::handler::{Acknowledgement, DisconnectFn, ErrorFn};
use crate::handlers::Table;
use crate::reason::DisconnectReason;
use crate::socket::Socket;
use crate::task;

pub(crate) struct Router;

impl Dispatcher for Router {
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
        let socket = request.socket;
        let core = socket.0.core.clone();
        let Some(handler) = of_lifecycle(&socket, |table| table.connect.as_ref()) else {
            return responder.accept();
        };
        let context = ConnectContext { socket: socket.clone() };
        let span = span(&socket, "connect");
        task::start(
            core.runtime(),
            span,
            || handler(context),
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
        let socket = context.socket().clone();
        let (core, name) = (&socket.0.core, context.event());
        // The namespace's own handler of the event or its fallback, else the same of all namespaces, else that of the
        // value that was registered.
        let own = socket.0.namespace.handlers.table();
        let any;
        let handler = match own.event(name) {
            Some(handler) => handler,
            None => {
                any = core.any_namespace.table();
                let of_class = || class(&own, &any)?.event(name);
                let Some(handler) = any.event(name).or_else(of_class) else {
                    tracing::debug!(
                        target: "wirebird::socketio",
                        nsp = %socket.0.namespace.name, event = name, "an event without a handler"
                    );
                    return;
                };
                handler
            }
        };
        let call = context.clone();
        task::start(
            core.runtime(),
            span(&socket, name),
            || handler(call),
            move |result: Result<_, Error>| match result.flatten() {
                Ok(ack) => {
                    acknowledge(&context, ack);
                    drop(completion);
                }
                Err(error) => failed(&context.socket().0.core.clone(), context, error, Some(completion)),
            },
        );
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

/// The handler of connections or disconnections: a function of the namespace or of all, else that of the value that was
/// registered.
fn of_lifecycle<F: ?Sized>(socket: &Socket, pick: impl Fn(&Table) -> Option<&Arc<F>>) -> Option<Arc<F>> {
    let own = socket.0.namespace.handlers.table();
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

/// What a handler runs in, for logs: the namespace, the event and the socket.
fn span(socket: &Socket, event: &str) -> tracing::Span {
    tracing::debug_span!(
        target: "wirebird::socketio",
        "handler", nsp = %socket.0.namespace.name, event, sid = %socket.id()
    )
}

fn acknowledge(context: &EventContext, ack: Acknowledgement) {
    if let Some(encoded) = ack.0
        && let Some(sender) = context.take_ack()
    {
        let _ = sender.send_encoded(encoded);
    }
}

/// A handler failed: the error handlers are asked, one after another as long as they fail themselves; then the log.
fn failed(core: &Arc<Core>, context: EventContext, error: Error, completion: Option<Completion>) {
    let own = context.socket().0.namespace.handlers.table();
    let of_class = class(&own, &core.any_namespace.table()).and_then(|class| class.error.clone());
    let handlers = [own.error.clone(), of_class, core.default_error.table().error.clone()];
    ask(core, handlers.into_iter().flatten(), context, error, completion);
}

type ErrorHandlers = std::iter::Flatten<std::array::IntoIter<Option<Arc<ErrorFn>>, 3>>;

fn ask(
    core: &Arc<Core>,
    mut handlers: ErrorHandlers,
    context: EventContext,
    error: Error,
    completion: Option<Completion>,
) {
    let Some(handler) = handlers.next().filter(|_| !core.is_stopped()) else { return log(&context, &error) };
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

fn log(context: &EventContext, error: &Error) {
    tracing::error!(
        target: "wirebird::socketio",
        nsp = %context.socket().0.namespace.name,
        sid = %context.socket().id(),
        event = context.event(),
        %error,
        "a handler failed"
    );
}
