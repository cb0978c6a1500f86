//! Namespaces: handlers, sockets and rooms under one name.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytestring::ByteString;
use dashmap::DashMap;
use serde::Serialize;
use wirebird_engine::{SendQueue, Share};
use wirebird_proto::socket_io::RawArgs;

use crate::ack::BroadcastWithAck;
use crate::class::{HandlerSet, NamespaceHandlers};
use crate::core::Core;
use crate::dispatch::Dispatcher;
use crate::dynamic::{Params, Parent};
use crate::error::{EmitError, Incomplete, RoomError};
use crate::event_layer::EventLayer;
use crate::guard;
use crate::handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler};
use crate::handlers::Handlers;
use crate::id::SocketId;
use crate::listeners::{ListenerId, Listeners, Recipients};
use crate::named::NamedHandler;
use crate::operator::Operator;
use crate::options::Concurrency;
use crate::rare::Rare;
use crate::room::{IntoRooms, Room};
use crate::rooms::Rooms;
use crate::server_events::ServerEvents;
use crate::snapshot::SocketSnapshot;
use crate::socket::{Socket, SocketInner};

pub(crate) struct NamespaceInner {
    pub(crate) name: ByteString,
    pub(crate) rooms: Rooms,
    pub(crate) sockets: DashMap<SocketId, Arc<SocketInner>>,
    pub(crate) handlers: Handlers,
    dispatcher: Rare<Arc<dyn Dispatcher>>,
    concurrency: AtomicUsize,
    connected: AtomicUsize,
    /// What it has in common with others, if a client has made it by a pattern.
    parent: OnceLock<Arc<Parent>>,
    /// What other servers' events are handled by.
    pub(crate) server_events: ServerEvents,
    /// What its messages may take of the queue of a client, if the application has said so.
    share: Rare<Share>,
}

impl NamespaceInner {
    pub(crate) fn new(
        name: ByteString,
        sockets: DashMap<SocketId, Arc<SocketInner>>,
        rooms: Rooms,
        concurrency: Concurrency,
    ) -> Self {
        Self {
            name,
            rooms,
            sockets,
            handlers: Handlers::default(),
            dispatcher: Rare::default(),
            concurrency: AtomicUsize::new(concurrency.max()),
            connected: AtomicUsize::new(0),
            parent: OnceLock::new(),
            server_events: ServerEvents::default(),
            share: Rare::default(),
        }
    }

    /// Whether the application has said anything about this namespace.
    pub(crate) fn is_registered(&self) -> bool {
        self.dispatcher.is_set() || !self.handlers.is_empty()
    }

    /// Whether the application has set something that does not open it to clients.
    pub(crate) fn is_set_up(&self, default: Concurrency) -> bool {
        let inherited = self.parent.get().map_or(default.max(), |parent| parent.concurrency());
        self.handlers.is_layered()
            || !self.handlers.listeners.is_empty()
            || self.concurrency() != inherited
            || !self.server_events.is_empty()
            || self.has_own_share()
    }

    /// A client has come by a pattern; the first one counts. Returns whose it is.
    pub(crate) fn adopt(&self, parent: &Arc<Parent>, default: Concurrency) -> &Arc<Parent> {
        self.parent.get_or_init(|| {
            let (unset, inherited) = (default.max(), parent.concurrency());
            let _ = self.concurrency.compare_exchange(unset, inherited, Ordering::Relaxed, Ordering::Relaxed);
            if let Some(share) = parent.share().filter(|_| self.share().is_none()) {
                self.set_share(share);
            }
            parent.clone()
        })
    }

    /// Whose handlers serve it. A namespace with handlers of its own is nobody's.
    pub(crate) fn parent(&self) -> Option<&Arc<Parent>> {
        self.parent.get().filter(|_| !self.is_registered())
    }

    /// The handlers that serve it.
    pub(crate) fn handlers(&self) -> &Handlers {
        self.parent().map_or(&self.handlers, |parent| &parent.handlers)
    }

    /// Whether there may be listeners.
    pub(crate) fn is_heard(&self, heard: impl Fn(&Listeners) -> bool) -> bool {
        heard(&self.handlers.listeners)
            || self.parent.get().is_some_and(|parent| heard(&parent.handlers.listeners))
    }

    /// The listeners to its events: its own, and those of the pattern that it was made by.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Listeners> {
        let inherited = self.parent().map(|parent| &parent.handlers.listeners);
        inherited.into_iter().chain([&self.handlers.listeners])
    }

    /// The parameters in its name.
    pub(crate) fn params(&self) -> Option<Params<'_>> {
        self.parent.get()?.params(&self.name)
    }

    /// Calls the dispatcher of this namespace. A panic ends with the call.
    pub(crate) fn dispatch(&self, core: &Core, what: &'static str, call: impl FnOnce(&dyn Dispatcher)) {
        let own = match self.parent() {
            Some(parent) => parent.dispatcher.get(),
            None => self.dispatcher.get(),
        };
        let dispatcher = own.as_deref().unwrap_or(&core.dispatcher);
        guard(what, || call(&**dispatcher));
    }

    /// What its messages may take of the queue of a client.
    pub(crate) fn share(&self) -> Option<Arc<Share>> {
        self.share.get()
    }

    pub(crate) fn set_share(&self, share: Arc<Share>) {
        self.share.set(share);
    }

    /// Whether it has a share that is not the one of its pattern.
    fn has_own_share(&self) -> bool {
        match (self.share(), self.parent.get().and_then(|parent| parent.share())) {
            (Some(own), Some(inherited)) => !Arc::ptr_eq(&own, &inherited),
            (own, _) => own.is_some(),
        }
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    pub(crate) fn socket(&self, room: &Room) -> Option<Arc<SocketInner>> {
        let id = SocketId::parse(room.as_str()?)?;
        self.sockets.get(&id).map(|entry| entry.value().clone())
    }

    pub(crate) fn count_connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// How many sockets are connected.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    pub(crate) fn count_disconnected(&self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A namespace: handlers are registered on it, and events emitted to its sockets. Cheap to clone.
#[derive(Clone)]
pub struct Namespace {
    pub(crate) core: Arc<Core>,
    pub(crate) inner: Arc<NamespaceInner>,
}

impl Namespace {
    /// Its name, beginning with a slash.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    // ---- handlers ----

    /// Adds a check that runs before the connect handler: what it returns refuses as a connect handler's does, and it can do
    /// all that one can. There may be any number of them; they run one after another in the order they were added, and
    /// after the first one that refuses nothing else runs.
    ///
    /// ```
    /// use wirebird::{ConnectError, Server, Socket, extract::Auth};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Login {
    ///     token: String,
    /// }
    ///
    /// async fn authenticate(socket: Socket, Auth(login): Auth<Login>) -> Result<(), ConnectError> {
    ///     if login.token != "secret" {
    ///         return Err(ConnectError::new("unauthorized").with_data("log in first"));
    ///     }
    ///     socket.session().insert(login.token);
    ///     Ok(())
    /// }
    ///
    /// let io = Server::new();
    /// io.of("/chat").before_connect(authenticate).on_connect(async |socket: Socket| socket.emit("welcome", ()));
    /// ```
    pub fn before_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.inner.handlers.add_before_connect(handler);
        self
    }

    /// Handles connections: the client is connected when the handler returns `()` or `Ok(())`, and refused otherwise.
    ///
    /// The handler may join rooms, fill the session and emit: the client receives what was emitted to it right after
    /// it is connected. Its arguments are [extractors](crate::extract).
    pub fn on_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.inner.handlers.set_connect(handler);
        self
    }

    /// Handles the beginning of disconnections: runs once for each socket that was connected, as soon as it is known to
    /// leave, also beside handlers of its earlier events. Its extractors are those of disconnect handlers.
    ///
    /// The socket is still in its rooms and among [`Namespace::sockets`], so that the handler can tell those it leaves
    /// behind. Nothing reaches its own client any more, and [`Socket::is_connected`] is false. The disconnect handler
    /// follows when this one has finished, or after [`Builder::disconnect_grace`](crate::Builder::disconnect_grace).
    pub fn on_disconnecting<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.inner.handlers.set_disconnecting(handler);
        self
    }

    /// Handles disconnections: runs once for each socket that was connected, after the handlers of its events.
    ///
    /// The names of its rooms and its session are still readable. Events that wait behind a handler which does not finish within
    /// [`Builder::disconnect_grace`](crate::Builder::disconnect_grace) are dropped.
    pub fn on_disconnect<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.inner.handlers.set_disconnect(handler);
        self
    }

    /// Handles an event. What the handler returns is the acknowledgement, if the client asked for one; an error goes to
    /// the error handler instead.
    ///
    /// Its arguments are [extractors](crate::extract). A second handler of the same event replaces the first. The
    /// events of one socket are handled in order, one after another, unless [`Namespace::concurrency`] says otherwise.
    ///
    /// # Panics
    /// When `event` is one of the names that the protocol keeps for itself: no client can send those.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl EventHandler<M>) -> &Self {
        self.inner.handlers.set_event(event.into(), handler);
        self
    }

    /// Handles the event that the handler is named for: see [`event`](macro@crate::event).
    pub fn add<M, H: NamedHandler<M>>(&self, handler: H) -> &Self {
        self.on(H::EVENT, handler)
    }

    /// Removes the handler of an event; returns whether there was one. Calls that are under way go on.
    ///
    /// Without any handler a namespace takes no new clients, unless [`Builder::namespaces`](crate::Builder::namespaces)
    /// says otherwise. Those who are connected stay.
    pub fn off(&self, event: &str) -> bool {
        self.inner.handlers.remove_event(event)
    }

    /// Removes the handler of connections; returns whether there was one.
    pub fn off_connect(&self) -> bool {
        self.inner.handlers.remove_connect()
    }

    /// Removes the handler of the beginning of disconnections; returns whether there was one.
    pub fn off_disconnecting(&self) -> bool {
        self.inner.handlers.remove_disconnecting()
    }

    /// Removes the handler of disconnections; returns whether there was one.
    pub fn off_disconnect(&self) -> bool {
        self.inner.handlers.remove_disconnect()
    }

    /// Removes the handler of all other events; returns whether there was one.
    pub fn off_fallback(&self) -> bool {
        self.inner.handlers.remove_fallback()
    }

    /// Removes the handler of errors; returns whether there was one.
    pub fn off_error(&self) -> bool {
        self.inner.handlers.remove_error()
    }

    /// Removes the value that was [registered](Self::register); returns whether there was one.
    pub fn unregister(&self) -> bool {
        self.inner.handlers.remove_class()
    }

    /// Handles the events that have no handler of their own.
    pub fn fallback<M>(&self, handler: impl EventHandler<M>) -> &Self {
        self.inner.handlers.set_fallback(handler);
        self
    }

    /// Handles the errors and panics of this namespace's handlers. What it returns is the acknowledgement of the event
    /// that failed; `()` means none. An error that it returns goes on to [`Server::on_error`](crate::Server::on_error).
    pub fn on_error<M>(&self, handler: impl ErrorHandler<M>) -> &Self {
        self.inner.handlers.set_error(handler);
        self
    }

    /// Hands what no function handles to a value: see [`NamespaceHandlers`]. A second one replaces the first.
    pub fn register(&self, handlers: impl NamespaceHandlers) -> &Self {
        self.inner.handlers.set_class(HandlerSet::of(handlers));
        self
    }

    /// Puts a layer around all event handlers of the namespace, inside the layers that it has already: see
    /// [`EventLayer`]. It is for the events that come from now on, those without a handler included.
    pub fn event_layer(&self, layer: impl EventLayer) -> &Self {
        self.inner.handlers.add_layer(layer);
        self
    }

    /// Calls `listener` with every event of this namespace right before it is handled, whether it has a handler or not; one
    /// after another in the order they were added. It changes nothing, and a panic in it is caught. It runs on the way of
    /// the event, so it must be short.
    ///
    /// For all namespaces at once, and for what else happens, see [`Observer`](crate::Observer).
    ///
    /// ```
    /// let io = wirebird::Server::new();
    /// let id = io.on_any(|socket, event, args| println!("{} sent {event}: {}", socket.id(), args.json()));
    /// io.off_any(id);
    /// ```
    pub fn on_any(&self, listener: impl Fn(&Socket, &str, &RawArgs) + Send + Sync + 'static) -> ListenerId {
        self.inner.handlers.listeners.on_incoming(listener)
    }

    /// Calls `listener` with every event that is emitted in this namespace, before it goes out: once for each call that
    /// emits, however many sockets it is for and whether there are any, whether acknowledgements are wanted or not. That
    /// includes what other servers of the cluster emit to sockets here. Acknowledgements themselves are no events.
    ///
    /// It is called by whoever emits, from that thread, so it must be short; a panic in it is caught. One that emits in
    /// the same namespace itself is called for that too.
    ///
    /// ```
    /// let io = wirebird::Server::new();
    /// io.on_any_outgoing(|recipients, event, args| println!("{event} {} to {recipients:?}", args.json()));
    /// ```
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(Recipients<'_>, &str, &RawArgs) + Send + Sync + 'static,
    ) -> ListenerId {
        self.inner.handlers.listeners.on_emitted(listener)
    }

    /// Removes a listener of either kind; returns whether it was there.
    pub fn off_any(&self, listener: ListenerId) -> bool {
        self.inner.handlers.listeners.remove(listener)
    }

    /// Says how the events of one socket are handled: in order (the default), or several at a time.
    pub fn concurrency(&self, concurrency: Concurrency) -> &Self {
        self.inner.concurrency.store(concurrency.max(), Ordering::Relaxed);
        self
    }

    /// How much of what waits for one client may be events of this namespace, and what happens when one of them does not
    /// fit: into that, or into the [queue of the client](crate::Builder::send_queue), which is for all namespaces together.
    /// Default: as much as there is room for, and what the server does.
    ///
    /// ```
    /// use wirebird::{Overflow, SendQueue, Server};
    ///
    /// let io = Server::new();
    /// // Positions are dropped when they pile up; messages of other namespaces are not.
    /// io.of("/positions").send_queue(SendQueue::default().packets(100).overflow(Overflow::DropVolatile));
    /// io.of("/positions").volatile().emit("position", (1, 2)).unwrap();
    /// ```
    ///
    /// # Panics
    /// When there is no room for a single packet.
    pub fn send_queue(&self, limits: SendQueue) -> &Self {
        self.inner.set_share(share(limits));
        self
    }

    /// Hands everything of this namespace to a dispatcher instead of handlers.
    pub fn set_dispatcher(&self, dispatcher: Arc<dyn Dispatcher>) {
        self.inner.dispatcher.set(Arc::new(dispatcher));
    }

    // ---- sending ----

    /// All sockets of the namespace, to be narrowed down.
    pub fn all(&self) -> Operator {
        Operator::new(self.clone())
    }

    /// The sockets in a room, or in any of several: each once. A socket's id is a room that only it is in.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.all().to(rooms)
    }

    /// All sockets but those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.all().except(rooms)
    }

    /// All sockets; events may be dropped for those that cannot take them at once.
    pub fn volatile(&self) -> Operator {
        self.all().volatile()
    }

    /// All sockets; what still waits for one of them with this key is replaced: see [`Operator::conflate`].
    pub fn conflate(&self, key: impl AsRef<str>) -> Operator {
        self.all().conflate(key)
    }

    /// All sockets, with or without compression of what is emitted to them: see [`Operator::compress`].
    pub fn compress(&self, compress: bool) -> Operator {
        self.all().compress(compress)
    }

    /// All sockets of this server, not those of others in the cluster.
    pub fn local(&self) -> Operator {
        self.all().local()
    }

    /// All sockets, to be asked for answers that are waited for so long.
    pub fn timeout(&self, timeout: Duration) -> Operator {
        self.all().timeout(timeout)
    }

    /// Emits an event to all sockets of the namespace. Never waits, from any thread.
    ///
    /// `data` is one argument for the client's handler, or several when it is a tuple, or none when it is `()`.
    ///
    /// # Errors
    /// When the name is reserved, or the data cannot be put into a packet.
    pub fn emit(&self, event: impl AsRef<str>, data: impl Serialize) -> Result<(), EmitError> {
        self.all().emit(event, data)
    }

    /// Emits `message`, the event of clients' `send()`.
    ///
    /// # Errors
    /// As [`Namespace::emit`].
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Emits `json`, the event by which clients of Flask applications expect structured data.
    ///
    /// # Errors
    /// As [`Namespace::emit`].
    pub fn send_json(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("json", data)
    }

    /// Emits an event to all sockets and collects their acknowledgements.
    pub fn emit_with_ack<T>(&self, event: impl AsRef<str>, data: impl Serialize) -> BroadcastWithAck<T> {
        self.all().emit_with_ack(event, data)
    }

    // ---- looking ----

    /// A connected socket, by its id.
    pub fn socket(&self, id: impl Into<Room>) -> Option<Socket> {
        self.inner.socket(&id.into()).filter(|socket| socket.is_listed()).map(Socket)
    }

    /// All connected sockets of this server in the namespace.
    pub fn sockets(&self) -> Vec<Socket> {
        self.all().sockets()
    }

    /// All sockets in the namespace, those of other servers in the cluster included: see [`Operator::fetch_sockets`].
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<SocketSnapshot>, Incomplete<SocketSnapshot>> {
        self.all().fetch_sockets().await
    }

    /// The connected socket of a client in this namespace, by the id of the client's Engine.IO session. The way back is
    /// [`Socket::engine_session`].
    pub fn socket_of_session(&self, id: &str) -> Option<Socket> {
        let session = self.core.engine()?.session(id)?;
        let sockets = Core::sockets_in(&session);
        sockets
            .into_iter()
            .find(|socket| Arc::ptr_eq(&socket.0.namespace, &self.inner) && socket.0.is_listed())
    }

    /// How many sockets are connected.
    pub fn socket_count(&self) -> usize {
        self.inner.connected()
    }

    /// The rooms that somebody is in, without the sockets' own.
    pub fn rooms(&self) -> Vec<Room> {
        self.inner.rooms.names()
    }

    /// Makes everybody leave a room, on all servers of the cluster.
    ///
    /// # Errors
    /// When it is the room of a socket's id.
    pub fn close_room(&self, room: impl Into<Room>) -> Result<(), RoomError> {
        let room = room.into();
        if self.inner.socket(&room).is_some() {
            return Err(RoomError::Reserved);
        }
        self.to(&room).leave(&room);
        Ok(())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("sockets", &self.socket_count())
            .finish()
    }
}

/// A share with room for something.
pub(crate) fn share(limits: SendQueue) -> Arc<Share> {
    assert!(limits.max_packets > 0 && limits.max_bytes > 0, "send_queue needs room for at least one packet");
    Share::new(limits)
}
