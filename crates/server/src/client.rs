//! One client's connection, with its sockets in all namespaces.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use parking_lot::Mutex;
use smallvec::SmallVec;
use wirebird_engine::{CloseReason, Expire, Limit, Message, Millis, Owed, Session};
use wirebird_proto::socket_io::{DecodeError, Limits, Packet, PacketKind};

use crate::core::{Core, Unaccepted};
use crate::dispatch::{ConnectRequest, ConnectResponder};
use crate::error::ConnectError;
use crate::guard;
use crate::guard::clipped;
use crate::id::SocketId;
use crate::load::LoadCounter;
use crate::mailbox::{Load, QueuedEvent};
use crate::old;
use crate::options::millis;
use crate::parser::{self, Incoming};
use crate::reason::DisconnectReason;
use crate::recovery::Claim;
use crate::socket::{Socket, SocketInner};

/// A connection that carries the sockets of one client. The session keeps it in its slot.
pub(crate) struct Client {
    core: Weak<Core>,
    session: Weak<Session>,
    pub(crate) shard: usize,
    incoming: Mutex<Incoming>,
    sockets: Mutex<SmallVec<[Arc<SocketInner>; 1]>>,
    /// Namespaces that the server has closed to this client. It may not know yet: what it still sends there is passed
    /// over, not held against it.
    closed: Mutex<Vec<ByteString>>,
    connecting: Mutex<Connecting>,
    /// What waits for handlers, or for them to end.
    load: LoadCounter,
    /// Whether it is not read from.
    paused: AtomicBool,
    reading: Mutex<Reading>,
    joined: AtomicBool,
    attachments: Attachments,
    me: Weak<Self>,
}

/// The packet whose attachments are under way.
#[derive(Default)]
struct Attachments {
    /// Since when, by the engine's clock; 0 for none.
    since: AtomicU64,
    /// A timer runs: one serves all packets.
    timed: AtomicBool,
}

/// Timer tokens.
const JOINED: u64 = 0;
const ATTACHMENTS: u64 = 1;

/// Who takes care of pausing.
#[derive(Default)]
struct Reading {
    /// Somebody is at it.
    adjusting: bool,
    listed: Listed,
}

/// Who will say when there is less of what all clients share.
#[derive(Default, Clone, Copy)]
pub(crate) struct Listed {
    /// Broadcasts do not pile up any more.
    pub(crate) shards: bool,
    /// Less waits for the handlers of all clients.
    pub(crate) crowd: bool,
}

impl Listed {
    /// Where a client is to be listed that is not yet.
    fn enter(&mut self, paused: bool, weight: &Weight) -> Self {
        let new = Self {
            shards: paused && weight.overloaded && !self.shards,
            crowd: paused && weight.crowded && !self.crowd,
        };
        self.shards |= new.shards;
        self.crowd |= new.crowd;
        new
    }

    fn any(self) -> bool {
        self.shards || self.crowd
    }
}

/// Tells clients that there is less of what they waited for.
pub(crate) fn relieve(clients: Vec<Weak<Client>>, listed: impl Fn(&mut Listed) -> &mut bool) {
    for client in clients.iter().filter_map(Weak::upgrade) {
        *listed(&mut client.reading.lock().listed) = false;
        if let Some(core) = client.core.upgrade() {
            guard("resume", || client.adjust(&core));
        }
    }
}

/// What decides whether a client is read from, as it is at one moment.
struct Weight {
    own: Load,
    /// Something of its own waits, and too much of all clients.
    crowded: bool,
    /// Broadcasts pile up.
    overloaded: bool,
}

impl Weight {
    fn is_heavy(&self, core: &Core) -> bool {
        self.overloaded || self.crowded || core.options.max_client.is_reached(self.own)
    }

    fn is_light(&self, core: &Core) -> bool {
        !self.overloaded && !self.crowded && core.options.max_client.is_half_empty(self.own)
    }

    /// Which limit it is that stops reading.
    fn heaviest(&self, core: &Core) -> Limit {
        let limit = core.options.max_client;
        if self.own.events >= limit.events {
            Limit::PendingEvents
        } else if self.own.bytes >= limit.bytes {
            Limit::PendingBytes
        } else if self.overloaded {
            Limit::Broadcasts
        } else {
            Limit::PendingTotal
        }
    }
}

/// Connect handlers of one client run one after another.
#[derive(Default)]
struct Connecting {
    waiting: VecDeque<Arc<SocketInner>>,
    /// One has not answered yet.
    busy: bool,
    /// Somebody starts them in a loop.
    starting: bool,
}

impl Client {
    pub(crate) fn new(core: &Arc<Core>, session: &Arc<Session>) -> Arc<Self> {
        let options = &core.options;
        let limits = Limits {
            max_depth: options.max_depth,
            max_arguments: options.max_arguments,
            max_attachments: options.max_attachments,
            max_attachment_bytes_total: options.max_attachment_bytes,
        };
        let client = Arc::new_cyclic(|me| Self {
            core: Arc::downgrade(core),
            session: Arc::downgrade(session),
            shard: core.shards.assign(),
            incoming: Mutex::new(Incoming::new(core.parser.as_deref(), limits)),
            sockets: Mutex::default(),
            closed: Mutex::default(),
            connecting: Mutex::default(),
            load: LoadCounter::default(),
            paused: AtomicBool::new(false),
            reading: Mutex::default(),
            joined: AtomicBool::new(false),
            attachments: Attachments::default(),
            me: me.clone(),
        });
        let engine = session.engine();
        let deadline = engine.now() + millis(options.connect_timeout);
        engine.schedule(deadline, client.me.clone(), JOINED);
        client
    }

    /// A message came in on the session.
    pub(crate) fn receive(&self, core: &Core, session: &Arc<Session>, message: Message) {
        let is_text = matches!(message, Message::Text(_));
        let decoded = {
            let mut incoming = self.incoming.lock();
            let Incoming::Json(decoder) = &mut *incoming else {
                drop(incoming);
                return self.receive_parsed(core, session, message);
            };
            match message {
                Message::Text(text) => decoder.decode_text(text),
                Message::Binary(data) => decoder.decode_binary(data),
                _ => return,
            }
        };
        match decoded {
            Ok(None) if is_text => self.await_attachments(core, session),
            Ok(None) => {}
            Ok(Some(packet)) => self.handle(core, session, packet),
            Err(error) => undecodable(session, &error, Some(&error)),
        }
    }

    /// As [`Client::receive`], by a decoder that is code of the application: no lock is held meanwhile.
    #[cold]
    fn receive_parsed(&self, core: &Core, session: &Arc<Session>, message: Message) {
        let Incoming::Parsed(mut decoder) = std::mem::take(&mut *self.incoming.lock()) else { return };
        match parser::decode(&mut *decoder, message) {
            Ok(packet) => {
                *self.incoming.lock() = Incoming::Parsed(decoder);
                if let Some(packet) = packet {
                    self.handle(core, session, packet);
                }
            }
            Err(error) => undecodable(session, &error, error.downcast_ref()),
        }
    }

    /// A packet is to be completed by attachments: those have a deadline, and are not kept for who may not send them.
    #[cold]
    fn await_attachments(&self, core: &Core, session: &Arc<Session>) {
        let Some(namespace) = self.awaiting_attachments() else { return };
        if self.socket(&namespace).is_none() && !self.closed.lock().contains(&namespace) {
            return broken(session, &namespace);
        }
        let now = session.engine().now();
        self.attachments.since.store(now, Ordering::SeqCst);
        self.time_attachments(core, session, now);
    }

    /// The namespace of the packet whose attachments are awaited.
    fn awaiting_attachments(&self) -> Option<ByteString> {
        match &*self.incoming.lock() {
            Incoming::Json(decoder) => decoder.pending().map(|packet| packet.namespace.clone()),
            _ => None,
        }
    }

    fn time_attachments(&self, core: &Core, session: &Session, since: Millis) {
        if !self.attachments.timed.swap(true, Ordering::SeqCst) {
            let deadline = since + millis(core.options.attachments_timeout);
            session.engine().schedule(deadline, self.me.clone(), ATTACHMENTS);
        }
    }

    fn expire_attachments(&self, session: Arc<Session>, now: Millis) {
        self.attachments.timed.store(false, Ordering::SeqCst);
        let (Some(core), true) = (self.core.upgrade(), self.awaiting_attachments().is_some()) else { return };
        let since = self.attachments.since.load(Ordering::SeqCst);
        if now < since + millis(core.options.attachments_timeout) {
            return self.time_attachments(&core, &session, since);
        }
        if session.is_paused() {
            // It is the server that does not read.
            return self.time_attachments(&core, &session, now);
        }
        session.engine().offload(move || {
            tracing::debug!(target: "wirebird::socketio", "the attachments of a packet did not come in time, closing");
            session.close(CloseReason::ParseError);
            session.count_limit(Limit::AttachmentTime);
        });
    }

    fn handle(&self, core: &Core, session: &Arc<Session>, packet: Packet) {
        let socket = self.socket(&packet.namespace);
        match (packet.kind, socket) {
            (PacketKind::Event { name, .. }, Some(_)) if name.len() > core.options.max_event_name => {
                tracing::debug!(target: "wirebird::socketio", bytes = name.len(), "an event with a long name, closing");
                session.close(CloseReason::ParseError);
                session.count_limit(Limit::EventName);
            }
            (PacketKind::Event { id, name, args }, Some(socket)) => {
                socket.receive(QueuedEvent { name, args, ack: id });
            }
            (PacketKind::Ack { id, args }, Some(socket)) => socket.acknowledged(id, args),
            (PacketKind::Disconnect, Some(socket)) => {
                if !socket.leave(DisconnectReason::ClientDisconnect) {
                    // The server is about to disconnect it; the client, which may be back at once, is not told.
                    self.forget(&socket);
                    socket.shut_gate();
                }
            }
            (PacketKind::Connect { auth }, None) if !old::is_old(session) => {
                self.connect(core, session, &packet.namespace, auth);
            }
            (PacketKind::Connect { auth }, None) if packet.namespace != "/" => {
                // A query over the limit is refused as it is: decoding would make many times as much of it.
                let decoded = |query: ByteString| {
                    if query.len() > core.options.max_auth { query } else { old::auth_of_query(&query) }
                };
                self.connect(core, session, &packet.namespace, packet.query.map(decoded).or(auth));
            }
            (PacketKind::Event { .. } | PacketKind::Ack { .. } | PacketKind::Disconnect, None)
                if self.closed.lock().contains(&packet.namespace) => {}
            _ => broken(session, &packet.namespace),
        }
    }

    fn socket(&self, namespace: &str) -> Option<Arc<SocketInner>> {
        self.sockets.lock().iter().find(|socket| socket.namespace.name == namespace).cloned()
    }

    /// The client's sockets in all namespaces.
    pub(crate) fn sockets(&self) -> Vec<Arc<SocketInner>> {
        self.sockets.lock().to_vec()
    }

    // ---- connecting ----

    /// Connects an old client to `/`, which it does not ask for.
    pub(crate) fn connect_unasked(&self, core: &Core, session: &Arc<Session>) {
        let auth = old::auth_of_request(session.handshake());
        self.connect(core, session, &ByteString::from_static("/"), auth);
    }

    fn connect(&self, core: &Core, session: &Arc<Session>, name: &ByteString, auth: Option<ByteString>) {
        self.closed.lock().retain(|other| other != name);
        let refuse = |error: ConnectError| {
            let _ = session.send(old::refusal(core, session, name, &error));
        };
        if self.sockets.lock().len() >= core.options.max_namespaces {
            session.count_limit(Limit::Namespaces);
            return refuse(ConnectError::new("Too many namespaces"));
        }
        if auth.as_ref().is_some_and(|auth| auth.len() > core.options.max_auth) {
            session.count_limit(Limit::Auth);
            return refuse(ConnectError::new("The auth payload is too large"));
        }
        let namespace = match core.accepted_namespace(name, session.handshake()) {
            Ok(namespace) => namespace,
            Err(Unaccepted { message, limit }) => {
                tracing::debug!(target: "wirebird::socketio", nsp = ?name, reason = message, "refused a namespace");
                if let Some(limit) = limit {
                    session.count_limit(limit);
                }
                return refuse(ConnectError::new(message));
            }
        };
        let (Some(core), Some(me)) = (self.core.upgrade(), self.me.upgrade()) else { return };
        // What it takes to come back is no business of handlers.
        let (auth, claim) = match auth {
            Some(auth) if core.recoveries.is_some() && !old::is_old(session) => Claim::take(auth),
            auth => (auth, None),
        };
        let new =
            |id| SocketInner::new(id, core.clone(), namespace.clone(), session.clone(), me, auth.clone());
        let socket = match core.recoveries.as_ref().filter(|_| !old::is_old(session)) {
            Some(recoveries) => recoveries.enter(session, &namespace.name, claim, new),
            None => session.engine().config().ids.generate().ok().map(|id| {
                let socket = new(SocketId(id));
                socket.enter();
                socket
            }),
        };
        // A namespace that a refused socket leaves empty is forgotten only if nobody else holds on to it.
        drop(namespace);
        match socket {
            Some(socket) => self.begin(session, &core, socket),
            None => refuse(ConnectError::rejected()),
        }
    }

    fn begin(&self, session: &Arc<Session>, core: &Core, socket: Arc<SocketInner>) {
        self.sockets.lock().push(socket.clone());
        if core.options.always_connect && !socket.is_arriving() {
            socket.open_gate(socket.connect_packet(None));
        }
        self.connecting.lock().waiting.push_back(socket);
        self.next_connect();
        // A session that ended meanwhile has not seen this socket.
        if let Some(reason) = session.close_reason() {
            self.close(reason.into());
        }
    }

    /// Starts connect handlers until one does not answer at once. Whoever finds somebody else at it leaves it to them.
    pub(crate) fn next_connect(&self) {
        loop {
            let socket = {
                let mut connecting = self.connecting.lock();
                if connecting.busy || connecting.starting {
                    return;
                }
                if connecting.waiting.front().is_some_and(|next| !next.may_arrive()) {
                    return;
                }
                let Some(socket) = connecting.waiting.pop_front() else { return };
                if connecting.waiting.is_empty() {
                    connecting.waiting = VecDeque::new();
                }
                connecting.busy = true;
                connecting.starting = true;
                socket
            };
            if socket.is_ending() || !socket.arrive() {
                socket.refuse(ConnectError::rejected());
            } else {
                let responder = ConnectResponder::new(socket.clone());
                let request = ConnectRequest::new(Socket(socket.clone()));
                let (namespace, core) = (&socket.namespace, &socket.core);
                namespace.dispatch(core, "connect", |dispatcher| dispatcher.connect(request, responder));
            }
            self.connecting.lock().starting = false;
        }
    }

    /// The socket's connect handler need not run any more; returns whether it was still to run.
    pub(crate) fn withdraw(&self, socket: &Arc<SocketInner>) -> bool {
        let waiting = &mut self.connecting.lock().waiting;
        let at = waiting.iter().position(|other| Arc::ptr_eq(other, socket));
        at.and_then(|at| waiting.remove(at)).is_some()
    }

    /// A connect handler has answered: the next one may run.
    pub(crate) fn connect_done(&self, accepted: bool) {
        self.joined.fetch_or(accepted, Ordering::AcqRel);
        self.connecting.lock().busy = false;
        self.next_connect();
    }

    // ---- events under way ----

    /// Something of this client is kept until its handler has dealt with it. [`Client::restrain`] is to follow, when the
    /// caller holds no lock.
    pub(crate) fn count(&self, core: &Core, load: Load) {
        self.load.add(load);
        core.load.add(load);
    }

    /// Beyond the limits, and while broadcasts pile up, the client is not read from.
    pub(crate) fn restrain(&self, core: &Core) {
        if self.weigh(core).is_heavy(core) {
            self.adjust(core);
        }
    }

    /// It has been dealt with, or dropped.
    pub(crate) fn uncount(&self, core: &Core, load: Load) {
        if load == Load::default() {
            return;
        }
        self.load.remove(load);
        core.load.remove(load);
        if self.paused.load(Ordering::SeqCst) {
            self.adjust(core);
        }
        if !core.options.max_total.is_reached(core.load.get()) {
            relieve(core.crowd.take(), |listed| &mut listed.crowd);
        }
    }

    fn weigh(&self, core: &Core) -> Weight {
        let own = self.load.get();
        Weight {
            own,
            crowded: own != Load::default() && core.options.max_total.is_reached(core.load.get()),
            overloaded: core.shards.is_overloaded(),
        }
    }

    /// Stops reading, or goes on, as the load asks for. One thread at a time does so, without the lock, because going on
    /// may call code of the application; it looks again after every change, for those that found it at work.
    fn adjust(&self, core: &Core) {
        if std::mem::replace(&mut self.reading.lock().adjusting, true) {
            return;
        }
        loop {
            let (weight, change, list) = {
                let mut reading = self.reading.lock();
                // Looked at once: what keeps it from being read is also what it waits for.
                let weight = self.weigh(core);
                let before = self.paused.load(Ordering::SeqCst);
                let paused = if before { !weight.is_light(core) } else { weight.is_heavy(core) };
                self.paused.store(paused, Ordering::SeqCst);
                let list = reading.listed.enter(paused, &weight);
                reading.adjusting = paused != before || list.any();
                if !reading.adjusting {
                    return;
                }
                (weight, (paused != before).then_some(paused), list)
            };
            if let (Some(paused), Some(session)) = (change, self.session.upgrade()) {
                if paused {
                    let overloaded = weight.overloaded;
                    tracing::debug!(target: "wirebird::socketio", overloaded, "reading from a client is paused");
                    session.pause_reading();
                    session.count_limit(weight.heaviest(core));
                } else {
                    // The client has all its time for attachments from now on.
                    self.attachments.since.store(session.engine().now(), Ordering::SeqCst);
                    guard("resume", || session.resume_reading());
                }
            }
            // It may have become less meanwhile, and nobody else may make it less.
            if list.shards {
                core.shards.wait(self.me.clone());
            }
            if list.crowd {
                core.crowd.wait(self.me.clone());
                if !core.options.max_total.is_reached(core.load.get()) {
                    relieve(core.crowd.take(), |listed| &mut listed.crowd);
                }
            }
        }
    }

    // ---- the end ----

    /// The client has left a namespace: it may connect to it anew.
    pub(crate) fn forget(&self, socket: &Arc<SocketInner>) {
        self.sockets.lock().retain(|other| !Arc::ptr_eq(other, socket));
    }

    /// The server closes a namespace to the client. The farewell is sent and the socket forgotten in one step: the
    /// client may be back as soon as it has the one, and must not be met by the other.
    pub(crate) fn part(&self, socket: &Arc<SocketInner>, send: impl FnOnce() -> Option<Owed>) {
        let owed = {
            let mut sockets = self.sockets.lock();
            let owed = send();
            if let Some(at) = sockets.iter().position(|other| Arc::ptr_eq(other, socket)) {
                sockets.remove(at);
                let mut closed = self.closed.lock();
                if closed.len() >= socket.core.options.max_namespaces {
                    closed.remove(0);
                }
                closed.push(socket.namespace.name.clone());
            }
            owed
        };
        if let Some(owed) = owed {
            socket.session.finish_send(owed);
        }
    }

    /// The session has ended.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let incoming = std::mem::take(&mut *self.incoming.lock());
        drop(incoming);
        for socket in self.sockets() {
            socket.leave(reason);
        }
    }
}

fn broken(session: &Session, namespace: &str) {
    tracing::debug!(
        target: "wirebird::socketio",
        nsp = ?clipped(namespace), "a packet that breaks the protocol, closing"
    );
    session.close(CloseReason::ForcedServerClose);
}

fn undecodable(session: &Session, error: &dyn std::fmt::Display, known: Option<&DecodeError>) {
    tracing::debug!(target: "wirebird::socketio", %error, "undecodable packet, closing");
    session.close(CloseReason::ParseError);
    let limit = match known {
        Some(DecodeError::TooManyAttachments) => Limit::Attachments,
        Some(DecodeError::AttachmentsTooLarge) => Limit::AttachmentBytes,
        Some(DecodeError::TooDeep) => Limit::Depth,
        Some(DecodeError::TooManyArguments) => Limit::Arguments,
        _ => return,
    };
    session.count_limit(limit);
}

impl Expire for Client {
    fn expire(self: Arc<Self>, token: u64, now: Millis) {
        let Some(session) = self.session.upgrade() else { return };
        if token == ATTACHMENTS {
            return self.expire_attachments(session, now);
        }
        if self.joined.load(Ordering::Acquire) {
            return;
        }
        let engine = session.engine();
        if self.sockets.lock().is_empty() {
            engine.offload(move || {
                tracing::debug!(target: "wirebird::socketio", "no namespace was joined in time, closing");
                session.close(CloseReason::ForcedServerClose);
                session.count_limit(Limit::ConnectTime);
            });
        } else if let Some(core) = self.core.upgrade() {
            // A connect handler is still at it.
            let next = engine.now() + millis(core.options.connect_timeout);
            engine.schedule(next, self.me.clone(), JOINED);
        }
    }
}
