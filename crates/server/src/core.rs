//! What all parts of a server share; the engine's sessions report to it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytestring::ByteString;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::Extensions;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use wirebird_engine::{
    CloseReason, Engine, Expire, Handler, Handshake, IdGenerator, Limit, Message, Millis, Outgoing,
    RandomIds, Refusal, Session, Slowness, Tally, WeakEngine,
};

use crate::adapter::{Adapter, Operation};
use crate::client::Client;
use crate::dispatch::{Dispatcher, Observer};
use crate::dynamic::Parents;
use crate::error::{AckError, EmitError};
use crate::failures::Failures;
use crate::guard;
use crate::handlers::Handlers;
use crate::id::SocketId;
use crate::load::{LoadCounter, Waiters};
use crate::namespace::NamespaceInner;
use crate::old;
use crate::options::Options;
use crate::packet::Encoded;
use crate::parser::Parser;
use crate::questions::Questions;
use crate::recovery::Recoveries;
use crate::rooms::Rooms;
use crate::router::Router;
use crate::shard::Shards;
use crate::slow::SlowConsumer;
use crate::socket::{Socket, SocketInner};
use crate::tasks::Tasks;

/// Event names that are remembered for having been warned of.
const MAX_WARNED: usize = 256;

/// Why a client may not connect to a namespace.
pub(crate) struct Unaccepted {
    /// What it is told.
    pub(crate) message: &'static str,
    pub(crate) limit: Option<Limit>,
}

impl Unaccepted {
    const INVALID: Self = Self { message: "Invalid namespace", limit: None };
    const NAME_TOO_LONG: Self = Self { limit: Some(Limit::NamespaceName), ..Self::INVALID };
    const TOO_MANY: Self = Self { message: "Too many namespaces", limit: Some(Limit::DynamicNamespaces) };
}

/// Binary attachments that current JavaScript clients accept in one packet.
const CLIENT_ATTACHMENTS: usize = 10;

/// The fewest new namespaces after which those that nobody uses are looked for.
const SWEEP: usize = 256;

pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) shards: Shards,
    pub(crate) namespaces: DashMap<ByteString, Arc<NamespaceInner>>,
    /// Handlers for namespaces that have none of their own.
    pub(crate) any_namespace: Handlers,
    /// Patterns of namespaces.
    pub(crate) parents: Parents,
    /// The error handler for namespaces without one, and the layers around all event handlers; nothing else of it is used.
    pub(crate) defaults: Handlers,
    pub(crate) state: Extensions,
    /// What the application runs in the background.
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) adapter: OnceLock<Arc<dyn Adapter>>,
    /// What waits for handlers of all clients, or for them to end.
    pub(crate) load: LoadCounter,
    /// Clients that are not read from because that is too much.
    pub(crate) crowd: Waiters<Client>,
    /// What it takes to bring back clients that were cut off, if that is wanted.
    pub(crate) recoveries: Option<Arc<Recoveries>>,
    /// What other servers have been asked.
    pub(crate) questions: Questions,
    /// What this server is called among others.
    server_id: ByteString,
    /// The engine that reports to this.
    engine: OnceLock<WeakEngine>,
    pub(crate) dispatcher: Arc<dyn Dispatcher>,
    /// `None` is JSON.
    pub(crate) parser: Option<Arc<dyn Parser>>,
    runtime: OnceLock<Handle>,
    stopped: AtomicBool,
    told_stopped: Notify,
    /// After how many new namespaces those that nobody uses are looked for.
    until_sweep: AtomicUsize,
    broadcasts: AtomicU64,
    /// Events that came in, and that were emitted.
    pub(crate) events: Tally<2>,
    /// Events that have been warned of.
    warned: Mutex<HashSet<Box<str>>>,
    pub(crate) failures: Failures,
    me: Weak<Self>,
}

impl Core {
    pub(crate) fn new(
        options: Options,
        state: Extensions,
        observer: Option<Arc<dyn Observer>>,
        dispatcher: Option<Arc<dyn Dispatcher>>,
        parser: Option<Arc<dyn Parser>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            shards: Shards::new(options.shards, options.max_waiting_broadcasts),
            namespaces: DashMap::new(),
            any_namespace: Handlers::default(),
            parents: Parents::default(),
            defaults: Handlers::default(),
            state,
            tasks: Arc::default(),
            observer,
            adapter: OnceLock::new(),
            load: LoadCounter::default(),
            crowd: Waiters::default(),
            recoveries: options.recovery.clone().map(Recoveries::new),
            questions: Questions::new(options.max_questions),
            server_id: server_id(),
            engine: OnceLock::new(),
            dispatcher: dispatcher.unwrap_or_else(|| Arc::new(Router)),
            parser,
            runtime: OnceLock::new(),
            stopped: AtomicBool::new(false),
            told_stopped: Notify::new(),
            until_sweep: AtomicUsize::new(SWEEP),
            broadcasts: AtomicU64::new(0),
            events: Tally::default(),
            warned: Mutex::default(),
            failures: Failures::default(),
            me: me.clone(),
            options,
        })
    }

    pub(crate) fn set_engine(&self, engine: WeakEngine) {
        if let Some(recoveries) = &self.recoveries {
            recoveries.set_engine(engine.clone());
        }
        let _ = self.engine.set(engine);
    }

    /// The engine that reports to this.
    pub(crate) fn engine(&self) -> Option<Engine> {
        self.engine.get()?.upgrade()
    }

    /// Whether a name can only be the id of a socket, here or on another server.
    pub(crate) fn recognizes_id(&self, name: &str) -> bool {
        self.engine().is_some_and(|engine| engine.config().ids.recognizes(name))
    }

    pub(crate) fn weak(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// What this server is called among others.
    pub(crate) fn server_id(&self) -> &ByteString {
        &self.server_id
    }

    /// How many other servers answer questions, if that is known.
    pub(crate) fn others(&self) -> Option<usize> {
        let mut others = Some(0);
        if let Some(adapter) = self.adapter.get() {
            guard("adapter", || others = adapter.others());
        }
        others
    }

    /// Tells the other servers.
    pub(crate) fn publish(&self, operation: Operation) {
        if let Some(adapter) = self.adapter.get() {
            guard("adapter", || adapter.publish(operation));
        }
    }

    /// The runtime that handlers run on when they wait; none in a server that is driven inline.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// The runtime for tasks in the background, also before the first client; none in a server that is driven inline.
    pub(crate) fn background_runtime(&self) -> Option<Handle> {
        let configured = || self.engine()?.config().runtime.clone();
        self.runtime().cloned().or_else(configured).or_else(|| Handle::try_current().ok())
    }

    pub(crate) fn next_broadcast(&self) -> u64 {
        self.broadcasts.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn warn_once(&self, event: &str) -> bool {
        let mut warned = self.warned.lock();
        warned.len() < MAX_WARNED && warned.insert(event.into())
    }

    /// An event as it goes out to clients once and never again.
    pub(crate) fn unrecorded(&self, namespace: &ByteString, encoded: Encoded) -> Result<Outgoing, EmitError> {
        let encoded = if self.recoveries.is_some() { encoded.without_offset() } else { encoded };
        encoded.into_event(self, namespace, None)
    }

    /// Warns, once for each event name, of packets that current JavaScript clients refuse.
    pub(crate) fn check_attachments(&self, event: &str, encoded: &Encoded) {
        let attachments = encoded.attachments.len();
        if self.parser.is_none() && attachments > CLIENT_ATTACHMENTS && self.warn_once(event) {
            tracing::warn!(
                target: "wirebird::socketio",
                event, attachments, "JavaScript clients close the connection when a packet has more than 10 attachments"
            );
        }
    }

    /// The namespace of that name, made if there is none. A missing slash is added.
    pub(crate) fn namespace(&self, name: &str) -> Arc<NamespaceInner> {
        let name =
            if name.starts_with('/') { ByteString::from(name) } else { ByteString::from(format!("/{name}")) };
        self.namespace_with(name, DashMap::new)
    }

    fn namespace_with(
        &self,
        name: ByteString,
        sockets: impl FnOnce() -> DashMap<SocketId, Arc<SocketInner>>,
    ) -> Arc<NamespaceInner> {
        let namespace = match self.namespaces.entry(name.clone()) {
            Entry::Occupied(entry) => return entry.get().clone(),
            Entry::Vacant(entry) => {
                let rooms = Rooms::new(self.shards.len(), self.observer.is_some());
                let concurrency = self.options.concurrency;
                let namespace = NamespaceInner::new(name, sockets(), rooms, concurrency);
                entry.insert(Arc::new(namespace)).clone()
            }
        };
        self.count_new_namespace();
        namespace
    }

    /// The namespace of that name, if a client may connect to it: because it has handlers, because a pattern lets the
    /// client in, or by the option.
    pub(crate) fn accepted_namespace(
        &self,
        name: &ByteString,
        handshake: &Handshake,
    ) -> Result<Arc<NamespaceInner>, Unaccepted> {
        let known = self.namespaces.get(name).map(|entry| entry.value().clone());
        if let Some(registered) = known.as_ref().filter(|namespace| namespace.is_registered()) {
            return Ok(registered.clone());
        }
        // The name is the client's, and is kept and logged.
        if name.len() > self.options.max_namespace_name {
            return Err(Unaccepted::NAME_TOO_LONG);
        }
        if name.chars().any(char::is_control) {
            return Err(Unaccepted::INVALID);
        }
        let parent = match known.as_ref().and_then(|namespace| namespace.parent()) {
            // Who is let into a namespace that is there already is let in by the same pattern.
            Some(parent) if parent.allows(name, handshake) => Some(parent.clone()),
            Some(_) => return Err(Unaccepted::INVALID),
            None => self.parents.find(name, handshake),
        };
        if parent.is_none() && !self.options.namespaces.allows(name, handshake) {
            return Err(Unaccepted::INVALID);
        }
        if known.is_none() && self.namespaces.len() >= self.options.max_dynamic_namespaces {
            // Some that nobody uses may be among them.
            self.count_new_namespace();
            return Err(Unaccepted::TOO_MANY);
        }
        // There may be many of them, with few sockets each: a map for many threads would be most of it.
        // The name is kept, and the message that it is a part of is not.
        let name = ByteString::from(&**name);
        let namespace = self.namespace_with(name.clone(), || DashMap::with_shard_amount(2));
        if let Some(parent) = parent {
            let owner = namespace.adopt(&parent, self.options.concurrency);
            if !Arc::ptr_eq(owner, &parent) && !owner.allows(&name, handshake) {
                return Err(Unaccepted::INVALID);
            }
        }
        Ok(namespace)
    }

    /// Now and then, forgets the namespaces that could not be forgotten at once: those that the application held on to
    /// for longer, or only emitted to. After as many new ones as there were left the last time.
    fn count_new_namespace(&self) {
        let less = |until: usize| until.checked_sub(1);
        if self.until_sweep.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) != Ok(1) {
            return;
        }
        self.namespaces.retain(|_, namespace| self.is_kept(namespace) || Arc::strong_count(namespace) > 1);
        self.until_sweep.store(SWEEP.max(self.namespaces.len()), Ordering::Relaxed);
    }

    /// Forgets a namespace that only existed because a client asked for it, and that nobody is in.
    pub(crate) fn drop_if_unused(&self, namespace: &NamespaceInner) {
        if !self.is_kept(namespace) {
            self.namespaces
                .remove_if(&namespace.name, |_, other| !self.is_kept(other) && Arc::strong_count(other) <= 2);
        }
    }

    /// Whether somebody is in it, or the application has said something about it.
    fn is_kept(&self, namespace: &NamespaceInner) -> bool {
        !namespace.sockets.is_empty()
            || namespace.name == "/"
            || namespace.is_registered()
            || namespace.is_set_up(self.options.concurrency)
    }

    /// Whether any socket is left, in whatever stage.
    pub(crate) fn has_sockets(&self) -> bool {
        self.namespaces.iter().any(|namespace| !namespace.sockets.is_empty())
    }

    /// The server has closed: handlers that still run are not waited for, and no other is called.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let namespaces: Vec<_> = self.namespaces.iter().map(|entry| entry.value().clone()).collect();
        for namespace in namespaces {
            let sockets: Vec<_> = namespace.sockets.iter().map(|entry| entry.value().clone()).collect();
            sockets.iter().for_each(SocketInner::abandon);
        }
        self.questions.close();
        self.tasks.close();
        if let Some(recoveries) = &self.recoveries {
            recoveries.clear();
        }
        self.told_stopped.notify_waiters();
    }

    /// Resolves when the server has closed.
    pub(crate) async fn stopped(&self) {
        let told = self.told_stopped.notified();
        if !self.is_stopped() {
            told.await;
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The sockets of a client in all namespaces.
    pub(crate) fn sockets_in(session: &Session) -> Vec<Socket> {
        let client = Self::client(session);
        client.map(|client| client.sockets().into_iter().map(Socket).collect()).unwrap_or_default()
    }

    /// The shard of a client.
    pub(crate) fn shard_of(session: &Session) -> Option<usize> {
        Some(Self::client(session)?.shard)
    }

    fn client(session: &Session) -> Option<&Client> {
        session.layer()?.downcast_ref()
    }
}

impl Expire for Core {
    fn expire(self: Arc<Self>, _token: u64, now: Millis) {
        let (due, next) = self.questions.expire(now);
        let Some(engine) = self.engine() else { return };
        if let Some(at) = next {
            engine.schedule(at, self.me.clone(), 0);
        }
        if !due.is_empty() {
            due.iter().for_each(|question| engine.count_limit(question.limit(), None));
            engine
                .offload(move || due.into_iter().for_each(|question| question.give_up(|| AckError::Timeout)));
        }
    }
}

/// A name for this server that no other has.
fn server_id() -> ByteString {
    let id = RandomIds::default().generate();
    id.map_or_else(|_| ByteString::new(), |id| ByteString::from(id.as_str()))
}

impl Handler for Core {
    fn open(&self, session: &Arc<Session>) {
        let Some(core) = self.me.upgrade() else { return };
        if let Some(runtime) = session.engine().runtime() {
            let _ = self.runtime.set(runtime.clone());
            self.shards.attach(runtime);
        }
        let client = Client::new(&core, session);
        session.set_layer(client.clone());
        if old::is_old(session) {
            client.connect_unasked(&core, session);
        }
    }

    fn message(&self, session: &Arc<Session>, message: Message) {
        if let Some(client) = Self::client(session) {
            client.receive(self, session, message);
        }
    }

    fn upgraded(&self, session: &Arc<Session>) {
        if let Some(observer) = &self.observer {
            guard("observer", || observer.upgraded(session));
        }
    }

    fn close(&self, session: &Arc<Session>, reason: CloseReason) {
        if let Some(client) = Self::client(session) {
            client.close(reason.into());
        }
    }

    fn refused(&self, refusal: &Refusal<'_>) {
        if let Some(observer) = &self.observer {
            guard("observer", || observer.refused(refusal));
        }
        if let Some(hook) = &self.options.on_connection_error {
            guard("on_connection_error", || hook(refusal));
        }
    }

    fn slow(&self, session: &Arc<Session>, slowness: Slowness, (packets, bytes): (usize, usize)) {
        if let Some(hook) = &self.options.on_slow_consumer {
            guard("on_slow_consumer", || hook(&SlowConsumer { session, slowness, packets, bytes }));
        }
    }

    fn limit_reached(&self, limit: Limit, session: Option<&Session>) {
        if let Some(observer) = &self.observer {
            guard("observer", || observer.limit_reached(limit, session));
        }
    }
}
