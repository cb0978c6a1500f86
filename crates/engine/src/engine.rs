//! The engine: all sessions, their clock and what they have in common.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use wirebird_proto::engine_io::OpenPacket;

use crate::admission::Admission;
use crate::config::{Config, ConfigError};
use crate::ended::Ended;
use crate::handshake::Handshake;
use crate::id::Id;
use crate::limit::Limit;
use crate::message::{Message, Outgoing};
use crate::metrics::{Counters, Metrics};
use crate::queue::Item;
use crate::reason::CloseReason;
use crate::refusal::{Cause, Refusal};
use crate::session::{Link, Session, Slowness};
use crate::timer::{Closed, Expire, Millis, Timers};
use crate::told::Told;
use crate::transport::{Transport, TransportKind};

/// The layer above: the Socket.IO server, or an application that speaks plain Engine.IO.
///
/// Calls for one session follow one another, but for `close`, which may come while a message is being handled; those
/// for different sessions come from any number of threads. No lock is
/// held during a call, so every method of the engine may be called from inside. A panic ends with the call.
pub trait Handler: Send + Sync + 'static {
    /// A session was opened.
    fn open(&self, session: &Arc<Session>) {
        let _ = session;
    }

    /// A message came in.
    fn message(&self, session: &Arc<Session>, message: Message);

    /// The session moved to another transport.
    fn upgraded(&self, session: &Arc<Session>) {
        let _ = session;
    }

    /// The session ended. Called once for each that was opened.
    fn close(&self, session: &Arc<Session>, reason: CloseReason);

    /// A request was refused.
    fn refused(&self, refusal: &Refusal<'_>) {
        let _ = refusal;
    }

    /// A client reads too slowly. `queued` is what waits, or has waited, for it: packets and bytes. Called where code of
    /// the application may run; the end of the session is told after that.
    fn slow(&self, session: &Arc<Session>, slowness: Slowness, queued: (usize, usize)) {
        let _ = (session, slowness, queued);
    }

    /// A client has run into a limit; `session` is its session if it has one yet. What becomes of it, the session, or the
    /// request is settled already. Called on the way of the data: must be short.
    fn limit_reached(&self, limit: Limit, session: Option<&Session>) {
        let _ = (limit, session);
    }
}

/// An Engine.IO server. Cheap to clone; making one starts nothing.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) timers: Arc<Timers>,
    sessions: DashMap<Id, Arc<Session>>,
    ended: Ended,
    base: Instant,
    /// What [`Engine::tick`] was told last; only counts where no runtime drives the engine.
    ticked: AtomicU64,
    runtime: OnceLock<Handle>,
    /// No session is opened any more.
    draining: Told,
    closing: Told,
    stopped: AtomicBool,
    emptied: Notify,
    /// Connections that hyper serves.
    served: AtomicUsize,
    pub(crate) counters: Counters,
    pub(crate) admission: Admission,
    /// What was logged, and when, so that a flood of it is not a flood of logs.
    pub(crate) logged: Mutex<Vec<(String, Millis)>>,
}

impl Engine {
    /// An engine that hands what comes in to `handler`.
    ///
    /// # Errors
    /// When an option has a value that cannot work.
    pub fn new(config: Config, handler: Arc<dyn Handler>) -> Result<Self, ConfigError> {
        let config = config.validated()?;
        config.warn();
        let shared = Arc::new(Shared {
            config,
            handler,
            timers: Arc::default(),
            sessions: DashMap::new(),
            ended: Ended::default(),
            base: clock(),
            ticked: AtomicU64::new(0),
            runtime: OnceLock::new(),
            draining: Told::default(),
            closing: Told::default(),
            stopped: AtomicBool::new(false),
            emptied: Notify::new(),
            served: AtomicUsize::new(0),
            counters: Counters::default(),
            admission: Admission::default(),
            logged: Mutex::default(),
        });
        Ok(Self { shared })
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The engine, without keeping it alive.
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.shared))
    }

    /// The options.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Lets the configured runtime, or else that of the caller, drive timers. Called by the drivers of this crate at the
    /// first request; without it, time passes only by [`Engine::tick`], and everything happens in the caller's thread.
    ///
    /// Does nothing outside a tokio runtime, and nothing the second time.
    pub fn attach_runtime(&self) {
        if self.shared.runtime.get().is_some() {
            return;
        }
        let configured = self.shared.config.runtime.clone();
        if let Some(handle) = configured.or_else(|| Handle::try_current().ok())
            && self.shared.runtime.set(handle.clone()).is_ok()
        {
            handle.spawn(run_timers(self.shared.timers.clone(), self.shared.base));
            crate::keeper::start(&handle, Arc::downgrade(&self.shared));
        }
    }

    /// The runtime that drives the engine, if one does.
    pub fn runtime(&self) -> Option<&Handle> {
        self.shared.runtime.get()
    }

    /// Time passes: runs every deadline up to `now`. For engines without a runtime.
    pub fn tick(&self, now: Instant) {
        let now = now.saturating_duration_since(self.shared.base).as_millis() as Millis;
        self.shared.ticked.fetch_max(now, Ordering::AcqRel);
        self.shared.timers.expire_due(now);
    }

    /// When [`Engine::tick`] is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.shared.timers.next_due().map(|due| self.shared.base + Duration::from_millis(due))
    }

    /// The engine's clock, in milliseconds since it was made.
    pub fn now(&self) -> Millis {
        self.shared.now()
    }

    /// Calls `owner.expire(token, …)` once, at `at` or up to 8 ms later.
    pub fn schedule(&self, at: Millis, owner: std::sync::Weak<dyn Expire>, token: u64) {
        self.shared.timers.schedule(at, owner, token);
    }

    /// Runs `job` where user code may run: in a task of its own, or here where there is no runtime.
    pub fn offload(&self, job: impl FnOnce() + Send + 'static) {
        self.shared.offload(job);
    }

    /// A session by its id.
    pub fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.shared.sessions.get(&Id::new(id)?).map(|entry| entry.value().clone())
    }

    /// All sessions, as they were at some moment of the call.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.shared.sessions.iter().map(|entry| entry.value().clone()).collect()
    }

    /// How many sessions there are, those that still send their last packets included.
    pub fn session_count(&self) -> usize {
        self.shared.sessions.len()
    }

    /// How many messages were dropped or refused because a client reads too slowly, volatile ones included.
    pub fn dropped_messages(&self) -> u64 {
        self.shared.counters.dropped_messages()
    }

    /// Counts a message in whose place a newer one goes out, for the layer above, where it keeps messages itself.
    pub fn count_conflated(&self) {
        self.shared.counters.conflated();
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> Metrics {
        self.shared.counters.snapshot()
    }

    /// Counts that a client has run into a limit, and tells the layer above. For drivers of transports, and for that layer
    /// itself. Must be called without locks.
    pub fn count_limit(&self, limit: Limit, session: Option<&Session>) {
        self.shared.limit_reached(limit, session);
    }

    /// Opens a session on a transport that carries packets both ways: a WebSocket, or the memory of this process. The
    /// OPEN packet is the first that waits for it. `None` when the engine is closing or no id can be had.
    pub fn open(&self, handshake: Arc<Handshake>, transport: Arc<dyn Transport>) -> Option<Arc<Session>> {
        let session = self.open_as(self.next_id()?, handshake, transport, &[])?;
        self.shared.announced(session)
    }

    /// Opens a session on a stream, to be [announced](Shared::announce). `answer` is what goes out there before everything
    /// else.
    pub(crate) fn open_as(
        &self,
        id: Id,
        handshake: Arc<Handshake>,
        transport: Arc<dyn Transport>,
        answer: &[u8],
    ) -> Option<Arc<Session>> {
        let open = Outgoing::open(&self.open_json(id, &[]));
        let first = if answer.is_empty() {
            Item::Open(open)
        } else {
            let [one, two] = open.wire();
            Item::Answer([answer, one, two].concat().into())
        };
        let session = self.create(id, handshake, Link::Stream(transport), Some(first))?;
        session.flush();
        Some(session)
    }

    /// Opens a session on polling; returns it and the body of the first reply.
    pub(crate) fn open_polling(&self, handshake: Arc<Handshake>) -> Option<(Arc<Session>, Bytes)> {
        let link = Link::Polling { polled: false, waker: None };
        let session = self.create(self.next_id()?, handshake, link, None)?;
        let open = self.open_json(session.id(), self.shared.config.offered_upgrades(session.protocol()));
        let session = self.shared.announced(session)?;
        let body = if session.is_v3() { session.first_reply(&open) } else { format!("0{open}").into() };
        Some((session, body))
    }

    pub(crate) fn next_id(&self) -> Option<Id> {
        self.shared.config.ids.generate().ok()
    }

    /// A session that others can find from now on. Whatever they send it comes after `first`.
    fn create(
        &self,
        id: Id,
        handshake: Arc<Handshake>,
        link: Link,
        first: Option<Item>,
    ) -> Option<Arc<Session>> {
        if self.takes_no_more(None).is_some() {
            return None;
        }
        if self.shared.config.runtime.is_some() {
            self.attach_runtime();
        }
        let kind = link.kind();
        if !self.shared.admission.enter(&self.shared.config, &handshake) {
            self.shared.limit_reached(Limit::ConnectionsPerAddress, None);
            return None;
        }
        let session = Session::new(id, handshake, self.shared.clone(), link);
        if let Some(first) = first {
            session.core.lock().queue.push(first);
        }
        match self.shared.sessions.entry(id) {
            Entry::Vacant(free) => {
                self.shared.counters.opened(kind);
                drop(free.insert(session.clone()));
            }
            Entry::Occupied(_) => {
                self.shared.admission.leave(&self.shared.config, session.handshake());
                tracing::error!(target: "wirebird::engineio", "the generator of session ids repeated itself");
                return None;
            }
        }
        // Whoever drains or closes may have looked for sessions just before this one was there.
        if self.is_draining() {
            session.close(CloseReason::ServerShutdown);
            session.finish();
            return None;
        }
        Some(session)
    }

    fn open_json(&self, id: Id, upgrades: &[&str]) -> String {
        let config = &self.shared.config;
        OpenPacket {
            sid: id.as_str(),
            upgrades,
            ping_interval: config.told_ping_interval(),
            ping_timeout: config.told_ping_timeout(),
            max_payload: config.max_payload,
        }
        .to_json()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether there are as many sessions as are allowed.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.config.max_sessions.is_some_and(|max| self.session_count() >= max)
    }

    /// Why no session is opened any more, or none from this address, if so.
    pub(crate) fn takes_no_more(&self, from: Option<SocketAddr>) -> Option<Cause> {
        if self.is_closing() {
            return Some(Cause::Closing);
        }
        if self.is_draining() {
            return Some(Cause::Draining);
        }
        if self.is_full() {
            return Some(Cause::Full);
        }
        self.shared.admission.is_full_for(&self.shared.config, from).then_some(Cause::AddressFull)
    }

    /// Opens no new sessions from now on. Those that are there go on.
    pub fn begin_drain(&self) {
        self.shared.draining.say();
    }

    /// Whether the engine opens no sessions any more: it has been told to drain, or to close.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.is_said()
    }

    /// Resolves when the engine is told to drain, or to close.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move { shared.draining.wait().await }
    }

    /// Whether the engine has been told to close.
    pub fn is_closing(&self) -> bool {
        self.shared.closing.is_said()
    }

    /// Closes every session with the reason "server shutting down" and opens no new ones.
    pub fn begin_close(&self) {
        self.begin_drain();
        self.shared.closing.say();
        for session in self.sessions() {
            session.close(CloseReason::ServerShutdown);
        }
    }

    /// Resolves when the engine is told to close.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move { shared.closing.wait().await }
    }

    /// Resolves when no session is left.
    pub fn emptied(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move {
            loop {
                let notified = shared.emptied.notified();
                if shared.sessions.is_empty() {
                    return;
                }
                notified.await;
            }
        }
    }

    /// Whether the listener of this engine has connections that carry more than usual requests to the engine: those of an
    /// application behind it. When the engine is told to close, they end as soon as nothing is under way on them.
    pub fn has_other_requests(&self) -> bool {
        self.shared.served.load(Ordering::Acquire) > 0
    }

    /// Counts a connection that hyper serves, until what is returned is dropped.
    pub(crate) fn served(&self) -> Served {
        self.shared.served.fetch_add(1, Ordering::AcqRel);
        Served(self.shared.clone())
    }

    /// Drops what is left: no timer fires and no call reaches the handler from now on. Idempotent.
    pub fn stop(&self) {
        self.begin_close();
        for session in self.sessions() {
            session.finish();
        }
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.timers.close();
    }
}

/// A connection that hyper serves.
pub(crate) struct Served(Arc<Shared>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.served.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An engine that is not kept alive by this.
#[derive(Clone)]
pub struct WeakEngine(std::sync::Weak<Shared>);

impl WeakEngine {
    /// The engine, if it is still there.
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine::from_shared)
    }
}

impl fmt::Debug for WeakEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakEngine")
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("sessions", &self.session_count()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Millis {
        if self.runtime.get().is_some() { since(self.base) } else { self.ticked.load(Ordering::Acquire) }
    }

    pub(crate) fn offload(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let this = self.clone();
        let job = move || {
            if !this.stopped.load(Ordering::Acquire) {
                job();
            }
        };
        match self.runtime.get() {
            Some(handle) => {
                handle.spawn(async move { job() });
            }
            None => job(),
        }
    }

    /// Tells the layer above of a new session; `false` when it has ended already, and there is nothing to tell.
    pub(crate) fn announce(&self, session: &Arc<Session>) -> bool {
        tracing::debug!(
            target: "wirebird::engineio",
            sid = session.id().hint(),
            transport = %session.transport(),
            peer = session.handshake().peer_addr().map(tracing::field::display),
            "session opened"
        );
        session.announce()
    }

    /// The session, when the layer above knows of it. One that has ended already leaves nothing behind.
    fn announced(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let opened = self.announce(&session);
        if !opened {
            session.finish();
        }
        opened.then_some(session)
    }

    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Whether a session of this id is here, or was until lately.
    pub(crate) fn has_known(&self, id: &str) -> bool {
        Id::new(id).is_some_and(|id| self.sessions.contains_key(&id) || self.ended.has(&id))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Calls the layer above, unless the engine has been stopped. A panic ends with the call.
    pub(crate) fn tell(&self, call: impl FnOnce(&dyn Handler)) {
        if !self.is_stopped() {
            guard(|| call(&*self.handler));
        }
    }

    pub(crate) fn forget(&self, id: Id, kind: TransportKind) {
        self.ended.add(&id);
        let Some((_, session)) = self.sessions.remove(&id) else { return };
        self.counters.gone(kind);
        self.admission.leave(&self.config, session.handshake());
        if self.sessions.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// A client has run into a limit. Must be called without locks.
    #[cold]
    pub(crate) fn limit_reached(&self, limit: Limit, session: Option<&Session>) {
        self.counters.limit(limit);
        self.tell(|handler| handler.limit_reached(limit, session));
    }
}

/// Runs code of the layer above; a panic in it ends there.
pub(crate) fn guard(code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(target: "wirebird::engineio", panic = text, "a handler of the engine panicked");
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timers.close();
    }
}

/// The time by tokio's clock, which tests can pause.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since `base`.
fn since(base: Instant) -> Millis {
    clock().saturating_duration_since(base).as_millis() as Millis
}

/// Runs deadlines until the engine stops or is dropped.
async fn run_timers(timers: Arc<Timers>, base: Instant) {
    loop {
        let mut sleep = None;
        let open = poll_fn(|cx| match timers.next_due_or_wake(cx.waker()) {
            Err(Closed) => Poll::Ready(false),
            Ok(None) => Poll::Pending,
            Ok(Some(due)) if due <= since(base) => Poll::Ready(true),
            Ok(Some(due)) => {
                let wait = Duration::from_millis(due.saturating_sub(since(base)));
                let mut pause = Box::pin(tokio::time::sleep(wait));
                let done = pause.as_mut().poll(cx).map(|()| true);
                sleep = Some(pause);
                done
            }
        })
        .await;
        if !open {
            return;
        }
        timers.expire_due(since(base));
    }
}
