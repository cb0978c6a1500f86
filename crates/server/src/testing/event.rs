//! Events of the server, and acknowledgements both ways.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::{Value, decode_all, decode_args};

use super::connection::{Connection, Joined};
use super::error::TestError;
use crate::error::EmitError;
use crate::packet::Encoded;

/// An event that the server sent.
#[derive(Clone)]
pub struct Event {
    pub(super) namespace: Arc<str>,
    pub(super) name: String,
    pub(super) args: RawArgs,
    pub(super) ack: Option<Arc<Owed>>,
}

/// An acknowledgement that the server waits for.
pub(super) struct Owed {
    pub(super) connection: Weak<Connection>,
    pub(super) id: u64,
    pub(super) sent: AtomicBool,
}

impl Event {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it came in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its arguments, as values. Numbers that floating point cannot hold make the list empty: see [`Event::raw_args`].
    pub fn args(&self) -> Vec<Value> {
        decode_all(&self.args).unwrap_or_default()
    }

    /// Its arguments as they were received.
    pub fn raw_args(&self) -> &RawArgs {
        &self.args
    }

    /// Its arguments, decoded: one value, or a tuple of several.
    ///
    /// # Errors
    /// When they are not a `T`; the error names the argument.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, TestError> {
        Ok(decode_args(&self.args)?)
    }

    /// Whether the server waits for an acknowledgement that has not been sent.
    pub fn wants_ack(&self) -> bool {
        self.ack.as_ref().is_some_and(|owed| !owed.sent.load(Ordering::Acquire))
    }

    /// Acknowledges the event. A tuple is several arguments, `()` none.
    ///
    /// # Errors
    /// When the server waits for none, or has it already; when the data cannot be put into a packet.
    pub fn ack(&self, data: impl Serialize) -> Result<(), TestError> {
        let Some(owed) = self.ack.as_ref().filter(|owed| !owed.sent.load(Ordering::Acquire)) else {
            return Err(TestError::NoAckWanted { event: self.name.clone() });
        };
        owed.send(&self.namespace, arguments(&data)?)
    }
}

impl Owed {
    pub(super) fn send(&self, namespace: &str, args: RawArgs) -> Result<(), TestError> {
        match self.connection.upgrade().filter(|_| !self.sent.swap(true, Ordering::AcqRel)) {
            Some(connection) => connection.acknowledge(namespace, self.id, args),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("args", &self.args)
            .finish()
    }
}

/// A handler of the client, without its types. An error is what the test is to panic with.
pub(super) type ClientHandler = Arc<dyn Fn(&RawArgs) -> Result<RawArgs, String> + Send + Sync>;

pub(super) fn answering<T, R>(handler: impl Fn(T) -> R + Send + Sync + 'static) -> ClientHandler
where
    T: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    Arc::new(move |args| {
        let data = decode_args(args).map_err(|error| format!("what the server sent: {error}"))?;
        arguments(&handler(data)).map_err(|error| format!("the answer: {error}"))
    })
}

/// The arguments that `data` is.
fn arguments(data: &impl Serialize) -> Result<RawArgs, EmitError> {
    Encoded::args(data)?.to_args()
}

/// An event whose acknowledgement is awaited. It has been emitted already.
#[must_use = "the acknowledgement comes when this is awaited"]
pub struct Ask<T> {
    emitted: Result<oneshot::Receiver<RawArgs>, TestError>,
    connection: Arc<Connection>,
    joined: Arc<Joined>,
    event: String,
    timeout: Duration,
    data: PhantomData<fn() -> T>,
}

impl<T> Ask<T> {
    pub(super) fn new(
        connection: &Arc<Connection>,
        joined: &Arc<Joined>,
        event: &str,
        data: &impl Serialize,
    ) -> Self {
        let (sender, receiver) = oneshot::channel();
        Self {
            emitted: connection.emit(joined, event, data, Some(sender)).map(|()| receiver),
            timeout: connection.timeout,
            connection: connection.clone(),
            joined: joined.clone(),
            event: event.to_owned(),
            data: PhantomData,
        }
    }

    /// How long to wait, by tokio's clock. The default is that of the client, 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Ask<T> {
    type Output = Result<T, TestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { emitted, connection, joined, event, timeout, .. } = self;
        Box::pin(async move {
            let what = format!("the acknowledgement of {event:?}");
            match connection.patiently(&joined, what, timeout, emitted?).await? {
                Ok(args) => Ok(decode_args(&args)?),
                // Nobody keeps the other end any more.
                Err(_) => Err(connection.not_connected(&joined)),
            }
        })
    }
}

impl<T> fmt::Debug for Ask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("event", &self.event).finish_non_exhaustive()
    }
}
