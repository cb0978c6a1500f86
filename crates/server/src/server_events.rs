//! Events between the servers of a cluster.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::decode_args;

use crate::adapter::{Operation, ReplyTo};
use crate::core::Core;
use crate::error::{EmitError, Error};
use crate::handler::{Fallible, Returns};
use crate::namespace::Namespace;
use crate::packet::Encoded;
use crate::questions::Answer;
use crate::task::{self, BoxFuture};

/// An event that another server of the cluster has emitted.
#[derive(Clone)]
pub struct ServerEvent {
    namespace: Namespace,
    name: ByteString,
    args: RawArgs,
}

impl ServerEvent {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it was emitted in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its arguments as received.
    pub fn args(&self) -> &RawArgs {
        &self.args
    }

    /// Its arguments, decoded as those of a client's event are by [`Data`](crate::extract::Data).
    ///
    /// # Errors
    /// When they are not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(decode_args(&self.args)?)
    }
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A handler of other servers' events: an async function of a [`ServerEvent`] that returns anything that serialises, or
/// a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "this function cannot handle events of other servers",
    note = "a handler is an async function or closure of a `wirebird::ServerEvent`",
    note = "it returns something that implements `serde::Serialize`, or a `Result` of it with an error that turns into `wirebird::Error`"
)]
pub trait ServerEventHandler<M>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, event: ServerEvent) -> BoxFuture<Result<RawArgs, Error>>;
}

impl<F, Fut> ServerEventHandler<Returns> for F
where
    F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Serialize,
{
    fn call(&self, event: ServerEvent) -> BoxFuture<Result<RawArgs, Error>> {
        let future = self(event);
        Box::pin(async move { Ok(Encoded::args(&future.await)?.to_args()?) })
    }
}

impl<F, Fut, R, E> ServerEventHandler<(Fallible, R, E)> for F
where
    F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize,
    E: Into<Error>,
{
    fn call(&self, event: ServerEvent) -> BoxFuture<Result<RawArgs, Error>> {
        let future = self(event);
        Box::pin(async move { Ok(Encoded::args(&future.await.map_err(Into::into)?)?.to_args()?) })
    }
}

type ServerEventFn = Box<dyn Fn(ServerEvent) -> BoxFuture<Result<RawArgs, Error>> + Send + Sync>;

/// The handlers of one namespace.
#[derive(Default)]
pub(crate) struct ServerEvents(Mutex<HashMap<String, Arc<ServerEventFn>>>);

impl ServerEvents {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// Names that servers do not use among themselves, beside those that no event may have.
fn is_reserved(event: &str) -> bool {
    matches!(event, "connection" | "new_namespace")
}

fn encode(event: &str, data: &impl Serialize) -> Result<RawArgs, EmitError> {
    if is_reserved(event) {
        return Err(EmitError::ReservedName(event.into()));
    }
    Encoded::event(event, data)?.to_raw_args(event)
}

impl Namespace {
    /// Handles an event that other servers of the cluster emit with [`Namespace::server_side_emit`]. What the handler
    /// returns is this server's answer, if one is wanted. A second handler of the same event replaces the first.
    ///
    /// Errors and panics are logged; whoever asked gets no value from this server then.
    pub fn on_server_event<M>(&self, event: impl Into<String>, handler: impl ServerEventHandler<M>) -> &Self {
        let handler: ServerEventFn = Box::new(move |event| handler.call(event));
        let before = self.inner.server_events.0.lock().insert(event.into(), Arc::new(handler));
        drop(before);
        self
    }

    /// Emits an event to the other servers of the cluster themselves, not to their clients.
    ///
    /// # Errors
    /// When the name is reserved (`connection` and `new_namespace` too), or the data cannot be put into a packet.
    pub fn server_side_emit(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<(), EmitError> {
        let args = encode(event.as_ref(), &data)?;
        self.core.publish(self.server_event(event.as_ref(), args, None));
        Ok(())
    }

    /// Emits an event to the other servers of the cluster themselves, and collects what their handlers return: one
    /// value of each server that has a handler for it. Waits for
    /// [`Builder::cluster_timeout`](crate::Builder::cluster_timeout) at most.
    ///
    /// ```
    /// # async fn f(io: wirebird::Server) -> Result<(), wirebird::Error> {
    /// io.on_server_event("how many?", {
    ///     let io = io.clone();
    ///     move |_| std::future::ready(io.socket_count())
    /// });
    /// let others: Vec<usize> = io.server_side_emit_with_ack("how many?", ()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Namespace::server_side_emit`]; when a value is not a `T`; and when not all servers answered in time
    /// ([`Incomplete<T>`](crate::Incomplete), which has the values of the others).
    pub async fn server_side_emit_with_ack<T>(
        &self,
        event: impl AsRef<str>,
        data: impl Serialize,
    ) -> Result<Vec<T>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let event = event.as_ref();
        let args = encode(event, &data)?;
        let question = |reply_to| self.server_event(event, args, Some(reply_to));
        let answers = self.core.ask_servers(self.core.options.cluster_timeout, question).await;
        let decode = |answers: Vec<Answer>| -> Result<Vec<T>, Error> {
            let values = answers.into_iter().filter_map(|answer| match answer {
                Answer::Value(args) => args,
                Answer::Sockets(_) => None,
            });
            values.map(|args| Ok(decode_args(&args)?)).collect()
        };
        match answers {
            Ok(answers) => decode(answers),
            Err(mut incomplete) => {
                let values = decode(std::mem::take(&mut incomplete.answers))?;
                Err(incomplete.map(|_| values).into())
            }
        }
    }

    fn server_event(&self, event: &str, args: RawArgs, reply_to: Option<ReplyTo>) -> Operation {
        Operation::ServerEvent { namespace: self.inner.name.clone(), event: event.into(), args, reply_to }
    }
}

/// Another server has emitted an event.
pub(crate) fn handle(
    core: &Arc<Core>,
    namespace: &ByteString,
    event: ByteString,
    args: RawArgs,
    reply_to: Option<ReplyTo>,
) {
    let inner = core.namespaces.get(namespace).map(|entry| entry.value().clone());
    let handler = inner.as_ref().and_then(|inner| inner.server_events.0.lock().get(&*event).cloned());
    let answer = {
        let core = core.clone();
        move |args| {
            if let Some(reply_to) = reply_to {
                let server = core.server_id().clone();
                core.publish(Operation::ServerAnswer { reply_to, server, args });
            }
        }
    };
    let (Some(inner), Some(handler)) = (inner, handler) else { return answer(None) };
    let span = tracing::debug_span!(target: "wirebird::socketio", "server event", nsp = %namespace, %event);
    let name = event.clone();
    let event = ServerEvent { namespace: Namespace { core: core.clone(), inner }, name: event, args };
    task::start(
        core.background_runtime().as_ref(),
        span,
        || handler(event),
        move |result: Result<_, Error>| match result.flatten() {
            Ok(args) => answer(Some(args)),
            Err(error) => {
                tracing::error!(
                    target: "wirebird::socketio",
                    event = %name, %error, "a handler of another server's event failed"
                );
                answer(None);
            }
        },
    );
}
