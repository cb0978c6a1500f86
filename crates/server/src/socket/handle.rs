//! The handle that applications hold of a socket.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wirebird_engine::{CloseReason, Handshake, Limit, SendError, Session, TransportKind};
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::decode_args;

use super::{SocketInner, SocketSession};
use crate::ack::EmitWithAck;
use crate::acks::AckSink;
use crate::adapter::Target;
use crate::error::{AuthError, EmitError, RoomError};
use crate::handler::Outcome;
use crate::id::SocketId;
use crate::mailbox::Stage;
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::options::millis;
use crate::packet::Encoded;
use crate::reason::DisconnectReason;
use crate::room::{IntoRooms, Room};
use crate::rooms::Change;
use crate::server::Server;
use crate::tasks::TaskHandle;

/// A socket: one namespace connection of one client. Cheap to clone; may be kept anywhere and used from any thread.
///
/// Calls on a socket that is gone do nothing.
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

impl Socket {
    /// Its id, and the name of the room that only it is in. New for each connection.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The namespace it is connected to.
    pub fn namespace(&self) -> Namespace {
        Namespace { core: self.0.core.clone(), inner: self.0.namespace.clone() }
    }

    /// The server it is connected to.
    pub fn server(&self) -> Server {
        Server::new_with(self.0.core.clone(), self.0.session.engine())
    }

    /// The request that opened the connection: headers, cookies, query, addresses and extensions.
    pub fn handshake(&self) -> &Arc<Handshake> {
        self.0.session.handshake()
    }

    /// The Engine.IO session that carries it. Its id is a credential: do not show it to other clients.
    pub fn engine_session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// The transport the client is on at present.
    pub fn transport(&self) -> TransportKind {
        self.0.session.transport()
    }

    /// Whether it is connected: accepted, and not disconnected since.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether the client was cut off and is back: it has its id, its rooms and its session's values as before, and gets
    /// what it missed. See [`Builder::connection_state_recovery`](crate::Builder::connection_state_recovery).
    pub fn recovered(&self) -> bool {
        self.0.is_recovered()
    }

    /// What the client sent along when it connected.
    ///
    /// # Errors
    /// When it is not a `T`: an [`AuthError`]. Use `Option<T>` if clients may send nothing.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, crate::Error> {
        let auth = self.0.auth.as_deref();
        let decoded = wirebird_proto::value::decode_value(auth.unwrap_or("null"), &[]);
        decoded.map_err(|error| AuthError::new(auth.is_none(), &error).into())
    }

    // ---- sending ----

    /// Emits an event to the client. Never waits, from any thread.
    ///
    /// `data` is one argument for the client's handler, or several when it is a tuple, or none when it is `()`. Binary
    /// (`bytes::Bytes`, `serde_bytes`) may be anywhere in it.
    ///
    /// # Errors
    /// When the name is reserved, the data cannot be put into a packet, or the queue is full and the policy is to
    /// refuse.
    pub fn emit(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<(), EmitError> {
        let encoded = Encoded::event(event.as_ref(), &data)?;
        self.0.core.check_attachments(event.as_ref(), &encoded);
        self.emit_encoded(encoded)
    }

    /// Emits an event with arguments that are encoded already.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit_raw(&self, event: impl AsRef<str>, args: &RawArgs) -> Result<(), EmitError> {
        self.emit_encoded(Encoded::raw_event(event.as_ref(), args)?)
    }

    /// Emits `message`, the event of clients' `send()`.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Emits `json`, the event by which clients of Flask applications expect structured data.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn send_json(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("json", data)
    }

    fn emit_encoded(&self, encoded: Encoded) -> Result<(), EmitError> {
        self.0.tell_emitted(&encoded);
        if let Some(recoveries) = &self.0.core.recoveries {
            let target = Target::rooms(self.0.namespace.name.clone(), vec![self.id().into()]);
            return recoveries.emit(&self.0.core, target, encoded, |message| self.0.enqueue(message));
        }
        match self.0.send(encoded.into_event(&self.0.core, &self.0.namespace.name, None)?) {
            Err(SendError::Full) => Err(EmitError::Full),
            _ => Ok(()),
        }
    }

    /// Emits an event only if the client can take it at once; returns whether it could.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit_volatile(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<bool, EmitError> {
        let encoded = Encoded::event(event.as_ref(), &data)?;
        self.0.tell_emitted(&encoded);
        let message = self.0.core.unrecorded(&self.0.namespace.name, encoded)?;
        Ok(self.0.core.shards.is_idle(self.0.shard) && self.0.deliver_volatile(&message))
    }

    /// Emits an event and awaits the client's acknowledgement, for 60 s unless
    /// [`timeout`](EmitWithAck::timeout) says otherwise. [`EmitWithAck`] has the types that it can be taken as.
    ///
    /// ```no_run
    /// # async fn f(socket: wirebird::Socket) -> Result<(), wirebird::Error> {
    /// let name: String = socket.emit_with_ack("your name?", ()).await?;
    /// # Ok(()) }
    /// ```
    pub fn emit_with_ack<T>(&self, event: impl AsRef<str>, data: impl Serialize) -> EmitWithAck<T> {
        EmitWithAck::new(
            self.0.clone(),
            Encoded::event(event.as_ref(), &data),
            self.0.core.options.ack_timeout,
        )
    }

    /// Emits an event whose acknowledgement is handed to `sink`, once, from any thread. `None` waits until the socket
    /// is disconnected. The sink is told at once when the socket is gone or owes too many already.
    ///
    /// # Errors
    /// As [`Socket::emit_raw`]; the sink is then not called.
    pub fn emit_with_sink(
        &self,
        event: impl AsRef<str>,
        args: &RawArgs,
        timeout: Option<Duration>,
        sink: AckSink,
    ) -> Result<AckHandle, EmitError> {
        let encoded = Encoded::raw_event(event.as_ref(), args)?;
        self.0.core.check_attachments(event.as_ref(), &encoded);
        self.0.tell_emitted(&encoded);
        let Some(id) = self.0.expect_ack(sink, timeout.map(millis)) else {
            return Ok(AckHandle { socket: Arc::downgrade(&self.0), id: None });
        };
        let message = match encoded.into_event(&self.0.core, &self.0.namespace.name, Some(id)) {
            Ok(message) => message,
            Err(error) => {
                drop(self.0.take_ack(id));
                return Err(error);
            }
        };
        if self.0.send(message) == Err(SendError::Full) && self.0.take_ack(id).is_some() {
            return Err(EmitError::Full);
        }
        Ok(AckHandle { socket: Arc::downgrade(&self.0), id: Some(id) })
    }

    /// Resolves when the client's queue has room (is at most half full), or when the client is gone. For senders that
    /// would rather wait than overrun a slow client.
    pub async fn writable(&self) {
        std::future::poll_fn(|cx| {
            let share = self.0.namespace.share();
            let room = self.0.session.has_room_for(share.as_ref(), cx.waker());
            if room { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// This socket, with or without compression of what is emitted to it: `socket.compress(false).emit("image", jpeg)`.
    /// See [`Operator::compress`].
    pub fn compress(&self, compress: bool) -> Operator {
        self.namespace().to(self.id()).local().compress(compress)
    }

    /// This socket; what still waits for it with this key is replaced: `socket.conflate("price").emit("price", 7)`. See
    /// [`Operator::conflate`].
    pub fn conflate(&self, key: impl AsRef<str>) -> Operator {
        self.namespace().to(self.id()).local().conflate(key)
    }

    /// Everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Operator {
        self.namespace().all().except(self.id())
    }

    /// The sockets in a room, or in any of several, but not this one.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().to(rooms)
    }

    /// Everybody but this socket and those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().except(rooms)
    }

    // ---- rooms ----

    /// Joins a room, at once. Joining twice is the same as once.
    ///
    /// # Errors
    /// When the room is the personal one of another socket, also of one that is gone or on another server; when the socket is
    /// in as many rooms as are allowed; when the name is too long; when it is not connected.
    pub fn join(&self, room: impl Into<Room>) -> Result<(), RoomError> {
        let room = room.into();
        if let Some(owner) = self.0.namespace.socket(&room) {
            return if owner.id == self.id() { Ok(()) } else { Err(RoomError::Reserved) };
        }
        // That of a socket of another server, or of one that is gone or on its way back.
        if room.as_str().is_some_and(|name| self.0.core.recognizes_id(name)) {
            return Err(RoomError::Reserved);
        }
        let change = self.0.join(&room).inspect_err(|error| {
            let limit = match error {
                RoomError::TooMany => Limit::Rooms,
                RoomError::NameTooLong => Limit::RoomName,
                RoomError::Reserved | RoomError::Disconnected => return,
            };
            self.0.session.count_limit(limit);
        })?;
        self.0.observe_joined(&room, change);
        Ok(())
    }

    /// Leaves a room, at once; returns whether the socket was in it. It cannot leave its personal room.
    pub fn leave(&self, room: impl Into<Room>) -> bool {
        let room = room.into();
        let change = self.0.part_from(&room);
        self.0.observe_left(&room, change);
        change != Change::None
    }

    /// The rooms it is in, the personal one first. None when it is gone.
    pub fn rooms(&self) -> Vec<Room> {
        let own = (self.0.stage() != Stage::Gone).then(|| Room::from(self.id()));
        let membership = self.0.membership.lock();
        own.into_iter().chain(membership.names().cloned()).collect()
    }

    /// Whether it is in a room.
    pub fn in_room(&self, room: impl Into<Room>) -> bool {
        let room = room.into();
        room.as_str() == Some(self.id().as_str()) || self.0.membership.lock().contains(&room)
    }

    // ---- state ----

    /// Values that the application keeps for this socket, by type. Gone when the socket is.
    pub fn session(&self) -> SocketSession {
        SocketSession(self.0.clone())
    }

    /// What [`Socket::set_data`] keeps for this socket.
    ///
    /// # Errors
    /// When it is not a `T`. Use `Option<T>` if there may be nothing.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, crate::Error> {
        let (data,) = decode_args(&self.0.data())?;
        Ok(data)
    }

    /// Keeps something for this socket that other servers of the cluster see too, when they
    /// [look](crate::Operator::fetch_sockets). It replaces what was kept before, and is gone when the socket is. What
    /// only this server needs is better kept in the [session](Socket::session).
    ///
    /// ```
    /// # fn f(socket: wirebird::Socket) -> Result<(), wirebird::Error> {
    /// socket.set_data(("ann", 7))?;
    /// let (name, level): (String, u8) = socket.data()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it cannot be put into JSON and attachments.
    pub fn set_data(&self, data: impl Serialize) -> Result<(), crate::Error> {
        let data = Encoded::args(&(data,))?.to_args()?;
        self.0.keep(|kept| kept.data = Some(data));
        Ok(())
    }

    /// Runs a future in the background for as long as the socket is connected: when the socket leaves, before its
    /// disconnect handler runs, the future is cancelled where it waits. It may begin before the socket is accepted.
    ///
    /// Its errors and panics go to the error handler, with the event `background task`. Nobody needs to keep the
    /// handle.
    ///
    /// ```no_run
    /// # fn f(socket: wirebird::Socket) {
    /// let client = socket.clone();
    /// socket.spawn(async move {
    ///     for second in 1.. {
    ///         tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    ///         client.emit("seconds", second)?;
    ///     }
    ///     Ok::<(), wirebird::EmitError>(())
    /// });
    /// # }
    /// ```
    pub fn spawn<F>(&self, future: F) -> TaskHandle
    where
        F: Future + Send + 'static,
        F::Output: Outcome<crate::Error>,
    {
        self.0.spawn(future)
    }

    /// One object kept for this socket, found without a search; for bindings of other languages. It is handed to
    /// [`Dispatcher::released`](crate::Dispatcher::released) when the socket is gone.
    pub fn slot(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.0.slot.lock().clone()
    }

    /// Keeps an object for this socket; returns the one kept before.
    pub fn set_slot(&self, value: Option<Arc<dyn Any + Send + Sync>>) -> Option<Arc<dyn Any + Send + Sync>> {
        let before = std::mem::replace(&mut *self.0.slot.lock(), value);
        if self.0.stage() == Stage::Gone {
            // The end has passed: nobody else would release it.
            self.0.release_slot();
        }
        before
    }

    // ---- the end ----

    /// Disconnects the client from this namespace; its connection and its other namespaces stay. Inside its own
    /// connect handler it refuses the connection.
    pub fn disconnect(&self) {
        self.0.leave(DisconnectReason::ServerDisconnect);
    }

    /// Disconnects the client from all namespaces and closes its connection, after what was emitted before.
    pub fn disconnect_transport(&self) {
        for socket in self.0.client.sockets() {
            socket.leave(DisconnectReason::ServerDisconnect);
        }
        self.0.in_order(|socket| {
            let session = socket.session.clone();
            session.engine().offload(move || session.close(CloseReason::ForcedClose));
        });
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.id()).field("namespace", &self.0.namespace.name).finish()
    }
}

impl fmt::Debug for SocketInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketInner").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

/// Forgets an acknowledgement that is no longer wanted.
#[derive(Debug)]
pub struct AckHandle {
    socket: std::sync::Weak<SocketInner>,
    id: Option<u64>,
}

impl AckHandle {
    /// The sink will not be called; returns whether it had not been called yet.
    pub fn cancel(self) -> bool {
        let socket = self.id.zip(self.socket.upgrade());
        socket.is_some_and(|(id, socket)| socket.take_ack(id).is_some())
    }
}
