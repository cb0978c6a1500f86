//! Awaiting acknowledgements of clients.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use wirebird_proto::value::decode_args;

use crate::acks::AckResult;
use crate::error::{AckError, EmitError};
use crate::id::SocketId;
use crate::operator::Operator;
use crate::options::millis;
use crate::packet::Encoded;
use crate::questions::Asked;
use crate::socket::SocketInner;

/// How long the awaited acknowledgements are waited for.
macro_rules! timeouts {
    ($type:ident) => {
        impl<T> $type<T> {
            /// How long to wait for each client. The default is
            /// [`Builder::ack_timeout`](crate::Builder::ack_timeout).
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.timeout = Some(timeout);
                self
            }

            /// Waits until the client has answered or is disconnected.
            pub fn no_timeout(mut self) -> Self {
                self.timeout = None;
                self
            }
        }
    };
}

timeouts!(EmitWithAck);
timeouts!(BroadcastWithAck);

/// An event for one client whose acknowledgement is wanted: await it. Nothing is emitted before, unless
/// [`start`](EmitWithAck::start) is called.
///
/// `T` is what the client acknowledges:
///
/// | `T` | the client's arguments |
/// |---|---|
/// | `String`, a struct, a [`Value`](crate::Value) … | the first |
/// | a tuple | as many as it has elements |
/// | `Option<T>` | the first; `None` when there is none, or `null` |
/// | `()` | none are looked at |
/// | [`Args`](crate::extract::Args) | all there are, which may be none |
///
/// What the client sends beyond that is ignored. One that is missing or of another type is an [`AckError::Decode`], which
/// says which.
#[must_use = "the event is emitted when this is awaited, or by `start()`"]
pub struct EmitWithAck<T> {
    socket: Arc<SocketInner>,
    encoded: Result<Encoded, EmitError>,
    timeout: Option<Duration>,
    data: PhantomData<fn() -> T>,
}

impl<T> EmitWithAck<T> {
    pub(crate) fn new(
        socket: Arc<SocketInner>,
        encoded: Result<Encoded, EmitError>,
        timeout: Duration,
    ) -> Self {
        Self { socket, encoded, timeout: Some(timeout), data: PhantomData }
    }

    /// Whether the event may be compressed on its way: see [`Operator::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.encoded = self.encoded.map(|encoded| encoded.compress(compress));
        self
    }
}

impl<T: DeserializeOwned> EmitWithAck<T> {
    /// Emits the event now, in the order of the calls; the acknowledgement is awaited later, or in a task:
    ///
    /// ```
    /// # fn f(socket: wirebird::Socket) -> Result<(), wirebird::EmitError> {
    /// let answer = socket.emit_with_ack::<String>("your name?", ()).start();
    /// socket.emit("this comes after the question", ())?;
    /// socket.spawn(async move {
    ///     println!("{}", answer.await?);
    ///     Ok::<(), wirebird::AckError>(())
    /// });
    /// # Ok(()) }
    /// ```
    pub fn start(self) -> AckFuture<T> {
        self.into_future()
    }
}

impl<T: DeserializeOwned> IntoFuture for EmitWithAck<T> {
    type Output = Result<T, AckError>;
    type IntoFuture = AckFuture<T>;

    fn into_future(self) -> AckFuture<T> {
        let (sender, receiver) = oneshot::channel();
        let mut id = None;
        match self.encoded {
            Ok(encoded) => {
                self.socket.tell_emitted(&encoded);
                let sink = Box::new(move |result| drop(sender.send(result)));
                let timeout = self.timeout.map(millis);
                id = self.socket.emit_expecting(sink, timeout, |id| {
                    encoded.into_event(&self.socket.core, &self.socket.namespace.name, Some(id))
                });
            }
            Err(error) => drop(sender.send(Err(error.into()))),
        }
        let entry = Entry { socket: Arc::downgrade(&self.socket), id };
        AckFuture { receiver, _entry: entry, data: PhantomData }
    }
}

impl<T> fmt::Debug for EmitWithAck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitWithAck").field("socket", &self.socket.id).finish_non_exhaustive()
    }
}

/// Waits for an acknowledgement. Dropping it forgets the acknowledgement.
#[derive(Debug)]
#[must_use = "the acknowledgement is forgotten unless this is awaited"]
pub struct AckFuture<T> {
    receiver: oneshot::Receiver<AckResult>,
    _entry: Entry,
    data: PhantomData<fn() -> T>,
}

/// The entry in a socket's table; removed when nobody waits any more.
#[derive(Debug)]
struct Entry {
    socket: Weak<SocketInner>,
    id: Option<u64>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some((id, socket)) = self.id.zip(self.socket.upgrade()) {
            drop(socket.take_ack(id));
        }
    }
}

impl<T: DeserializeOwned> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.receiver).poll(cx));
        Poll::Ready(decode(result.unwrap_or(Err(AckError::Disconnected))))
    }
}

fn decode<T: DeserializeOwned>(result: AckResult) -> Result<T, AckError> {
    decode_args(&result?).map_err(AckError::Decode)
}

/// An event for many clients whose acknowledgements are wanted. Await it for all results at once, or take them one by
/// one with [`BroadcastWithAck::stream`]. Nothing is emitted before.
///
/// `T` is what each client acknowledges, as for [`EmitWithAck`].
#[must_use = "the event is emitted when this is awaited"]
pub struct BroadcastWithAck<T> {
    operator: Operator,
    encoded: Result<Encoded, EmitError>,
    timeout: Option<Duration>,
    data: PhantomData<fn() -> T>,
}

impl<T> BroadcastWithAck<T> {
    pub(crate) fn new(operator: Operator, encoded: Result<Encoded, EmitError>, timeout: Duration) -> Self {
        Self { operator, encoded, timeout: Some(timeout), data: PhantomData }
    }

    /// Emits the event and gives the results as they come, one for each socket it was emitted to: what it
    /// acknowledged, or why it did not. Ends when every socket has answered, was disconnected, or ran out of time.
    ///
    /// # Errors
    /// As [`Operator::emit`].
    pub fn stream(self) -> Result<AckStream<T>, EmitError> {
        let encoded = self.encoded?;
        self.operator.tell_emitted(&encoded);
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut entries = Vec::new();
        let asked = self.operator.ask_others(&encoded, self.timeout, &sender)?;
        let shared = encoded.into_shared(self.operator.core(), self.operator.name())?;
        for socket in self.operator.connected() {
            let id = socket.id;
            let sender = sender.clone();
            let sink = Box::new(move |result| drop(sender.send((id, result))));
            let timeout = self.timeout.map(millis);
            let name = &socket.namespace.name;
            let id = socket.emit_expecting(sink, timeout, |id| shared.with_id(name, id));
            entries.push(Entry { socket: Arc::downgrade(&socket), id });
        }
        Ok(AckStream { receiver, _entries: entries, _asked: asked, data: PhantomData })
    }
}

/// What the sockets of a broadcast acknowledged, or why they did not.
pub type AckResults<T> = Vec<(SocketId, Result<T, AckError>)>;

impl<T: DeserializeOwned + Send + 'static> IntoFuture for BroadcastWithAck<T> {
    type Output = Result<AckResults<T>, EmitError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut stream = self.stream()?;
            let mut results = Vec::new();
            while let Some(result) = stream.next().await {
                results.push(result);
            }
            Ok(results)
        })
    }
}

impl<T> fmt::Debug for BroadcastWithAck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastWithAck").field("operator", &self.operator).finish_non_exhaustive()
    }
}

/// The acknowledgements of many clients, as they come.
#[derive(Debug)]
pub struct AckStream<T> {
    receiver: mpsc::UnboundedReceiver<(SocketId, AckResult)>,
    _entries: Vec<Entry>,
    _asked: Option<Asked>,
    data: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> AckStream<T> {
    /// The next result; `None` when there are no more.
    pub async fn next(&mut self) -> Option<(SocketId, Result<T, AckError>)> {
        self.receiver.recv().await.map(|(id, result)| (id, decode(result)))
    }
}

impl<T: DeserializeOwned> Stream for AckStream<T> {
    type Item = (SocketId, Result<T, AckError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx).map(|next| next.map(|(id, result)| (id, decode(result))))
    }
}
