//! Who is to receive an event.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use serde::Serialize;
use smallvec::SmallVec;
use tokio::sync::mpsc::UnboundedSender;
use wirebird_engine::{Outgoing, SendError};
use wirebird_proto::socket_io::RawArgs;

use crate::ack::BroadcastWithAck;
use crate::acks::AckResult;
use crate::adapter::{AckRequest, Operation, Target};
use crate::core::Core;
use crate::error::{EmitError, RoomError};
use crate::id::SocketId;
use crate::listeners::{Listeners, Recipients};
use crate::members::Snapshot;
use crate::namespace::Namespace;
use crate::options::millis;
use crate::packet::Encoded;
use crate::questions::{Answers, Asked};
use crate::room::{IntoRooms, Room};
use crate::shard::{Broadcast, Op};
use crate::socket::{Queued, Socket, SocketInner};

/// The sockets of a namespace that something is for: narrowed down step by step, then emitted to, joined to rooms or
/// disconnected. Can be kept, cloned and used again.
#[derive(Clone)]
#[must_use = "an operator does nothing until something is emitted"]
pub struct Operator {
    namespace: Namespace,
    /// The rooms; `None` is everybody, an empty list nobody.
    to: Option<Vec<Room>>,
    except: Vec<Room>,
    volatile: bool,
    compress: bool,
    /// Events replace those that wait with the same key.
    conflate: Option<ByteString>,
    local: bool,
    /// How long answers are waited for; `None` as the server's options say.
    timeout: Option<Duration>,
}

impl Operator {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            to: None,
            except: Vec::new(),
            volatile: false,
            compress: true,
            conflate: None,
            local: false,
            timeout: None,
        }
    }

    pub(crate) fn for_target(namespace: Namespace, target: Target) -> Self {
        Self {
            to: target.to,
            except: target.except,
            volatile: target.volatile,
            compress: target.compress,
            conflate: target.conflate,
            local: true,
            ..Self::new(namespace)
        }
    }

    /// Those in these rooms too. An empty list means nobody.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.to.get_or_insert_default().extend(rooms.into_rooms());
        self
    }

    /// Not those in these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.except.extend(rooms.into_rooms());
        self
    }

    /// Events may be dropped for sockets that cannot take them at once.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Whether events may be compressed on their way, where that is agreed on with the client: in polling replies, and
    /// over WebSockets with [`Builder::per_message_deflate`](crate::Builder::per_message_deflate). Default true; `false`
    /// is for what is compressed already, such as images.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Events replace older ones that were emitted with the same key in this namespace and still wait for a client: those
    /// are dropped, and the new one goes out last. For values of which only the newest counts, such as prices: a client
    /// that reads slowly skips some of them and gets the last one, and its queue does not fill up with old ones.
    ///
    /// Whatever has begun to go out does so, and the order of all that go out is kept. What was replaced is counted
    /// ([`Metrics::conflated_messages`](crate::Metrics::conflated_messages)). Events with an acknowledgement cannot be
    /// replaced: [`Operator::emit_with_ack`] fails with [`EmitError::Conflated`]. A client that is
    /// [recovered](crate::Builder::connection_state_recovery) gets the newest with each key of those that it missed.
    ///
    /// ```
    /// let io = wirebird::Server::new();
    /// io.to("stocks").conflate("ACME").emit("price", ("ACME", 17.5)).unwrap();
    /// ```
    pub fn conflate(mut self, key: impl AsRef<str>) -> Self {
        self.conflate = Some(key.as_ref().into());
        self
    }

    /// Only sockets of this server, not those of others in the cluster.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// How long [`Operator::emit_with_ack`] waits for each client, by default
    /// [`Builder::ack_timeout`](crate::Builder::ack_timeout), and [`Operator::fetch_sockets`] for other servers, by
    /// default [`Builder::cluster_timeout`](crate::Builder::cluster_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Emits an event. Never waits, from any thread, and its cost does not depend on how many receive it.
    ///
    /// `data` is one argument for the client's handler, or several when it is a tuple, or none when it is `()`. Each
    /// socket receives the event once, however many of the rooms it is in. Unknown rooms are nobody.
    /// [`Operator::count`] says how many there are.
    ///
    /// # Errors
    /// When the name is reserved, or the data cannot be put into a packet.
    pub fn emit(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<(), EmitError> {
        self.emit_encoded(event.as_ref(), Encoded::event(event.as_ref(), &data)?)
    }

    /// Emits an event with arguments that are encoded already.
    ///
    /// # Errors
    /// When the name is reserved.
    pub fn emit_raw(&self, event: impl AsRef<str>, args: &RawArgs) -> Result<(), EmitError> {
        self.emit_encoded(event.as_ref(), Encoded::raw_event(event.as_ref(), args)?)
    }

    /// Emits `message`, the event of clients' `send()`.
    ///
    /// # Errors
    /// As [`Operator::emit`].
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Emits `json`, the event by which clients of Flask applications expect structured data.
    ///
    /// # Errors
    /// As [`Operator::emit`].
    pub fn send_json(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("json", data)
    }

    fn emit_encoded(&self, event: &str, encoded: Encoded) -> Result<(), EmitError> {
        if self.is_for_nobody() {
            return Ok(());
        }
        self.namespace.core.check_attachments(event, &encoded);
        self.tell_emitted(&encoded);
        if self.is_shared() {
            let args = encoded.to_raw_args(event)?;
            let target = self.target();
            self.namespace.core.publish(Operation::Emit { target, event: event.into(), args, ack: None });
        }
        let encoded = encoded.compress(self.compress).conflate(self.conflate_key());
        if let Some(recoveries) = self.namespace.core.recoveries.as_ref().filter(|_| !self.volatile) {
            return recoveries
                .emit(&self.namespace.core, self.target(), encoded, |message| self.enqueue(message));
        }
        self.broadcast(self.namespace.core.unrecorded(&self.namespace.inner.name, encoded)?)
    }

    /// What the messages are told apart by, in the queues of clients of all namespaces.
    fn conflate_key(&self) -> Option<Arc<str>> {
        let key = self.conflate.as_ref()?;
        Some([self.name(), "\0", key].concat().into())
    }

    /// An event is about to be emitted.
    pub(crate) fn tell_emitted(&self, encoded: &Encoded) {
        if self.namespace.inner.is_heard(Listeners::hear_emitted) {
            let target = self.target();
            for listeners in self.namespace.inner.listeners() {
                listeners.tell_emitted(Recipients::Target(&target), encoded);
            }
        }
    }

    /// The name of the namespace.
    pub(crate) fn name(&self) -> &str {
        &self.namespace.inner.name
    }

    pub(crate) fn core(&self) -> &Core {
        &self.namespace.core
    }

    /// Whether it is for sockets of other servers, too.
    pub(crate) fn is_shared(&self) -> bool {
        !self.local && self.namespace.core.adapter.get().is_some()
    }

    pub(crate) fn is_for_nobody(&self) -> bool {
        self.to.as_ref().is_some_and(Vec::is_empty)
    }

    /// How long answers are waited for, where `default` is what the server's options say.
    pub(crate) fn patience(&self, default: Duration) -> Duration {
        self.timeout.unwrap_or(default)
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            namespace: self.namespace.inner.name.clone(),
            to: self.to.clone(),
            except: self.except.clone(),
            volatile: self.volatile,
            compress: self.compress,
            conflate: self.conflate.clone(),
        }
    }

    /// Hands the message to the shards; who receives it is settled here.
    fn broadcast(&self, message: Outgoing) -> Result<(), EmitError> {
        let core = &self.namespace.core;
        if let Some(socket) = self.single() {
            if self.volatile {
                socket.in_order(move |socket| {
                    socket.deliver_volatile(&message);
                });
            } else {
                if socket.send(message) == Err(SendError::Full) {
                    return Err(EmitError::Full);
                }
            }
            return Ok(());
        }
        for (shard, broadcast) in self.parts(&message) {
            core.shards.submit(shard, Op::Broadcast(broadcast));
        }
        Ok(())
    }

    /// The part of each shard in a broadcast.
    fn parts(&self, message: &Outgoing) -> impl Iterator<Item = (usize, Broadcast)> {
        let core = &self.namespace.core;
        let id = core.next_broadcast();
        (0..core.shards.len()).filter_map(move |shard| {
            let to = match &self.to {
                None => SmallVec::from_elem(self.namespace.inner.rooms.everybody(shard), 1),
                Some(rooms) => self.snapshots(shard, rooms),
            };
            if to.iter().all(Snapshot::is_empty) {
                return None;
            }
            let except = self.snapshots(shard, &self.except);
            let message = message.clone();
            Some((shard, Broadcast { id, message, volatile: self.volatile, to, except }))
        })
    }

    /// As [`Operator::broadcast`], but calls nobody.
    fn enqueue(&self, message: &Outgoing) -> (Result<(), SendError>, Queued) {
        let core = &self.namespace.core;
        if let Some(socket) = self.single() {
            return socket.enqueue(message);
        }
        let parts = self.parts(message);
        let begun = parts
            .filter_map(|(shard, part)| core.shards.enqueue(shard, Op::Broadcast(part)).then_some(shard));
        (Ok(()), Queued::Shards(begun.collect()))
    }

    /// The only socket that it is for, when it is one by its id.
    fn single(&self) -> Option<Arc<SocketInner>> {
        match self.to.as_deref() {
            Some([room]) if self.except.is_empty() => self.namespace.inner.socket(room),
            _ => None,
        }
    }

    fn snapshots(&self, shard: usize, rooms: &[Room]) -> SmallVec<[Snapshot; 1]> {
        let inner = &self.namespace.inner;
        let mut snapshots: SmallVec<[Snapshot; 1]> = SmallVec::new();
        for room in rooms {
            match inner.socket(room) {
                Some(socket) if socket.shard == shard => snapshots.push(Snapshot::of(socket)),
                Some(_) => {}
                None => snapshots.push(inner.rooms.members(shard, room)),
            }
        }
        snapshots
    }

    /// Emits an event and collects the acknowledgements of the sockets, those of other servers in the cluster included:
    /// await it for all of them, or take them one by one as a [stream](BroadcastWithAck::stream).
    pub fn emit_with_ack<T>(&self, event: impl AsRef<str>, data: impl Serialize) -> BroadcastWithAck<T> {
        let timeout = self.patience(self.namespace.core.options.ack_timeout);
        let encoded = match self.conflate {
            Some(_) => Err(EmitError::Conflated),
            None => Encoded::event(event.as_ref(), &data).map(|encoded| encoded.compress(self.compress)),
        };
        BroadcastWithAck::new(self.clone(), encoded, timeout)
    }

    /// Asks the sockets of other servers, if there may be any that it is for. What they acknowledge goes to `sender`,
    /// as long as what is returned is kept.
    pub(crate) fn ask_others(
        &self,
        encoded: &Encoded,
        timeout: Option<Duration>,
        sender: &UnboundedSender<(SocketId, AckResult)>,
    ) -> Result<Option<Asked>, EmitError> {
        let core = &self.namespace.core;
        if !self.is_shared() || self.is_for_nobody() || self.single().is_some() {
            return Ok(None);
        }
        let (event, args) = encoded.to_event()?;
        let mut asked = None;
        let servers = core.others();
        if servers != Some(0) {
            let answers = Answers::Acks { only: self.single_id(), sender: sender.clone() };
            asked = core.ask(servers, answers, timeout.map(millis));
            if asked.is_none() {
                return Ok(None);
            }
        }
        let ack = asked.as_ref().map(|asked| AckRequest { reply_to: asked.reply_to.clone(), timeout });
        let event = event.as_str().into();
        core.publish(Operation::Emit { target: self.target(), event, args, ack });
        Ok(asked)
    }

    /// The id of the one socket that it is for, if that is what it is for.
    fn single_id(&self) -> Option<SocketId> {
        match self.to.as_deref() {
            Some([room]) if self.except.is_empty() => SocketId::parse(room.as_str()?),
            _ => None,
        }
    }

    // ---- looking ----

    /// The connected sockets of this server that it is for, each once, as they are now.
    pub fn sockets(&self) -> Vec<Socket> {
        self.participants().into_iter().filter(|socket| socket.is_listed()).map(Socket).collect()
    }

    /// Those that can be asked something.
    pub(crate) fn connected(&self) -> Vec<Arc<SocketInner>> {
        let mut sockets = self.participants();
        sockets.retain(|socket| socket.is_connected());
        sockets
    }

    /// How many connected sockets of this server it is for: those that an event emitted now would reach. Looks at each.
    ///
    /// Emitting itself does not count them: it hands the event to those who deliver it, at a cost that does not depend
    /// on the number of sockets.
    pub fn count(&self) -> usize {
        self.participants().iter().filter(|socket| socket.is_connected()).count()
    }

    /// The sockets that actions are for: those too whose connect handlers have not answered yet.
    fn affected(&self) -> impl Iterator<Item = Socket> {
        self.participants().into_iter().map(Socket)
    }

    fn participants(&self) -> Vec<Arc<SocketInner>> {
        let inner = &self.namespace.inner;
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for shard in 0..self.namespace.core.shards.len() {
            for socket in self.snapshots(shard, &self.except).iter().flat_map(Snapshot::iter) {
                seen.insert(socket.id);
            }
            let to = match &self.to {
                None => SmallVec::from_elem(inner.rooms.everybody(shard), 1),
                Some(rooms) => self.snapshots(shard, rooms),
            };
            for socket in to.iter().flat_map(Snapshot::iter) {
                if seen.insert(socket.id) {
                    found.push(socket.clone());
                }
            }
        }
        found
    }

    // ---- acting ----

    /// Makes the sockets join rooms, on all servers of the cluster. Personal rooms of sockets are passed over.
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        if self.is_shared() {
            let target = self.target();
            self.namespace.core.publish(Operation::Join { target, rooms: rooms.clone() });
        }
        for socket in self.affected() {
            for room in &rooms {
                if let Err(error @ RoomError::TooMany) = socket.join(room) {
                    tracing::warn!(target: "wirebird::socketio", %error, "a socket cannot join a room");
                }
            }
        }
    }

    /// Makes the sockets leave rooms, on all servers of the cluster.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        if self.is_shared() {
            let target = self.target();
            self.namespace.core.publish(Operation::Leave { target, rooms: rooms.clone() });
        }
        for socket in self.affected() {
            for room in &rooms {
                socket.leave(room);
            }
        }
    }

    /// Disconnects the sockets, on all servers of the cluster.
    pub fn disconnect(&self) {
        self.disconnect_all(false);
    }

    /// Closes the connections of the sockets, with all their namespaces, on all servers of the cluster.
    pub fn disconnect_transports(&self) {
        self.disconnect_all(true);
    }

    fn disconnect_all(&self, close: bool) {
        if self.is_shared() {
            self.namespace.core.publish(Operation::Disconnect { target: self.target(), close });
        }
        for socket in self.affected() {
            if close {
                socket.disconnect_transport();
            } else {
                socket.disconnect();
            }
        }
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("namespace", &self.namespace.name())
            .field("to", &self.to)
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}
