//! What the server asks of the application, free of types and futures: the typed handlers of this crate stand on it,
//! and so can those of another language.

use std::any::Any;
use std::sync::Arc;

use bytestring::ByteString;
use serde::Serialize;
use smol_str::SmolStr;
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::Value;

use crate::error::{ConnectError, EmitError, plain_json};
use crate::lanes::Lane;
use crate::mailbox::{Load, Visit};
use crate::packet::Encoded;
use crate::reason::DisconnectReason;
use crate::socket::{Socket, SocketInner};

/// Handles what happens on sockets. Everything is answered by tokens, from any thread at any later time; dropping a
/// token has a meaning of its own.
///
/// No lock is held during a call, so every method of the server may be called from inside. A panic ends with the call
/// and counts as dropping the tokens.
pub trait Dispatcher: Send + Sync + 'static {
    /// A client wants to connect to a namespace. Nothing reaches it before the answer.
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder);

    /// An event came in. The next event of the same socket follows when its completion is dropped, unless the
    /// namespace handles several at once.
    fn event(&self, event: IncomingEvent);

    /// A socket that was accepted is about to be disconnected. Called once for each, at once: events that came before
    /// may still be under way. Nothing reaches its client any more, but it stays in its rooms and among the sockets of
    /// its namespace until the completion is dropped.
    fn disconnecting(&self, socket: Socket, reason: DisconnectReason, completion: Completion) {
        let _ = (socket, reason);
        completion.complete();
    }

    /// A socket that was accepted is disconnected. Called once for each, after its events. Its rooms and session are
    /// readable until the completion is dropped.
    fn disconnect(&self, socket: Socket, reason: DisconnectReason, completion: Completion);

    /// What was kept for a socket with [`Socket::set_slot`] is no longer needed.
    fn released(&self, slot: Arc<dyn Any + Send + Sync>) {
        drop(slot);
    }
}

/// A client that wants to connect.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The socket it will be. It can join rooms and be emitted to; both take effect if it is accepted.
    pub socket: Socket,
    /// What the client sent along: the text of a JSON object.
    pub auth: Option<ByteString>,
}

impl ConnectRequest {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { auth: socket.0.auth.clone(), socket }
    }
}

/// Answers a connection. Dropping it refuses.
#[derive(Debug)]
#[must_use = "dropping it refuses the connection"]
pub struct ConnectResponder(Option<Arc<SocketInner>>);

impl ConnectResponder {
    pub(crate) fn new(socket: Arc<SocketInner>) -> Self {
        Self(Some(socket))
    }

    /// Accepts.
    pub fn accept(mut self) {
        if let Some(socket) = self.0.take() {
            socket.accept(None);
        }
    }

    /// Accepts, and adds members to the object that the client receives beside its `sid`. What does not serialise as
    /// an object, or cannot be put into JSON (binary, NaN), adds nothing, and a warning is logged.
    pub fn accept_with(mut self, extra: &impl Serialize) {
        let Some(socket) = self.0.take() else { return };
        let members = plain_json(extra).inspect_err(|reason| {
            tracing::warn!(target: "wirebird::socketio", %reason, "what is to go with CONNECT cannot be sent; left out");
        });
        socket.accept(members.ok());
    }

    /// Refuses; the client is told why.
    pub fn refuse(mut self, error: ConnectError) {
        if let Some(socket) = self.0.take() {
            socket.refuse(error);
        }
    }
}

impl Drop for ConnectResponder {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.refuse(ConnectError::rejected());
        }
    }
}

/// An event of a client.
#[derive(Debug)]
#[non_exhaustive]
pub struct IncomingEvent {
    /// The socket it came from.
    pub socket: Socket,
    /// Its name.
    pub name: SmolStr,
    /// Its arguments as they were received.
    pub args: RawArgs,
    /// Acknowledges it, if the client asked for that.
    pub ack: AckSender,
    /// Says that it has been handled.
    pub completion: Completion,
}

/// Acknowledges one event, once. May be kept and sent from another thread; dropping it sends nothing.
#[derive(Debug)]
pub struct AckSender {
    socket: Arc<SocketInner>,
    id: Option<u64>,
}

impl AckSender {
    pub(crate) fn new(socket: Arc<SocketInner>, id: Option<u64>) -> Self {
        Self { socket, id }
    }

    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    /// Whether the client waits for an acknowledgement.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Sends the acknowledgement: one argument, several for a tuple, none for `()`. Does nothing when the client did
    /// not ask for one, or is gone.
    ///
    /// # Errors
    /// When `data` cannot be put into a packet, or the client's queue is full and the policy is to refuse.
    pub fn send(self, data: impl Serialize) -> Result<(), EmitError> {
        if self.id.is_some() {
            let encoded = Encoded::args(&data)?;
            return self.send_encoded(encoded);
        }
        Ok(())
    }

    /// Sends the acknowledgement with as many arguments as there are values.
    ///
    /// # Errors
    /// As [`AckSender::send`].
    pub fn send_values(self, values: &[Value]) -> Result<(), EmitError> {
        if self.id.is_some() {
            return self.send_encoded(Encoded::values(values)?);
        }
        Ok(())
    }

    /// Sends the acknowledgement with arguments that are encoded already.
    ///
    /// # Errors
    /// As [`AckSender::send`].
    pub fn send_raw(self, args: &RawArgs) -> Result<(), EmitError> {
        if self.id.is_some() {
            return self.send_encoded(Encoded::raw_args(args));
        }
        Ok(())
    }

    pub(crate) fn send_encoded(self, encoded: Encoded) -> Result<(), EmitError> {
        self.id.map_or(Ok(()), |id| self.socket.send_ack(id, encoded))
    }
}

/// Says that something has been handled, when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the work is done"]
pub struct Completion {
    socket: Arc<SocketInner>,
    work: Work,
}

#[derive(Debug)]
pub(crate) enum Work {
    /// The bytes of the event, whether it was handed on at once, and the lane it is in.
    Event(usize, Option<Visit>, Option<Arc<Lane>>),
    Disconnecting,
    Disconnect,
}

impl Completion {
    pub(crate) fn new(socket: Arc<SocketInner>, work: Work) -> Self {
        Self { socket, work }
    }

    /// The work is done.
    pub fn complete(self) {}
}

impl Drop for Completion {
    fn drop(&mut self) {
        match &self.work {
            Work::Event(bytes, visit, lane) => {
                if lane.is_none() && visit.is_some_and(|visit| self.socket.call.ends_within(visit)) {
                    return;
                }
                self.socket.event_done(Load::one(*bytes), *visit, lane.as_ref());
            }
            Work::Disconnecting => self.socket.disconnecting_done(),
            Work::Disconnect => self.socket.disconnect_done(),
        }
    }
}

/// Watches what happens, for logs, metrics and administration. Every method does nothing by default. Calls must be
/// short: they happen on the way of the data.
pub trait Observer: Send + Sync + 'static {
    /// A socket was accepted.
    fn connected(&self, socket: &Socket) {
        let _ = socket;
    }

    /// A socket was disconnected; its handler may not have run yet.
    fn disconnected(&self, socket: &Socket, reason: DisconnectReason) {
        let _ = (socket, reason);
    }

    /// A room has come into being on this server: the socket that is about to be told of is the first in it. Personal
    /// rooms are not told of. Calls for several sockets that come and go at once may overtake each other.
    fn room_created(&self, namespace: &crate::Namespace, room: &crate::Room) {
        let _ = (namespace, room);
    }

    /// A room is gone from this server: the socket that was told of just before was the last in it.
    fn room_deleted(&self, namespace: &crate::Namespace, room: &crate::Room) {
        let _ = (namespace, room);
    }

    /// A socket joined a room.
    fn joined(&self, socket: &Socket, room: &crate::Room) {
        let _ = (socket, room);
    }

    /// A socket left a room, also by being disconnected.
    fn left(&self, socket: &Socket, room: &crate::Room) {
        let _ = (socket, room);
    }

    /// An event came in and waits for its handler.
    fn event_received(&self, socket: &Socket, name: &str, args: &RawArgs) {
        let _ = (socket, name, args);
    }

    /// A packet was handed to a socket's session.
    fn packet_sent(&self, socket: &Socket, packet: &wirebird_engine::Outgoing) {
        let _ = (socket, packet);
    }

    /// A session moved from polling to WebSocket.
    fn upgraded(&self, session: &wirebird_engine::Session) {
        let _ = session;
    }

    /// A request was refused before a session was opened for it.
    fn refused(&self, refusal: &wirebird_engine::Refusal<'_>) {
        let _ = refusal;
    }

    /// A client has run into a limit, which has been counted ([`Server::metrics`](crate::Server::metrics)); `session` is its
    /// session if it has one yet.
    fn limit_reached(&self, limit: wirebird_engine::Limit, session: Option<&wirebird_engine::Session>) {
        let _ = (limit, session);
    }
}
