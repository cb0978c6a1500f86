//! Namespaces that come and go with their clients: those whose names have a pattern, or that a function lets in.

mod path;
mod pattern;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use wirebird_engine::{Handshake, SendQueue, Share};
use wirebird_proto::socket_io::RawArgs;

pub use path::Path;
pub(crate) use pattern::Params;

use crate::class::{HandlerSet, NamespaceHandlers};
use crate::core::Core;
use crate::dispatch::Dispatcher;
use crate::event_layer::EventLayer;
use crate::guard;
use crate::handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler};
use crate::handlers::Handlers;
use crate::listeners::{ListenerId, Recipients};
use crate::named::NamedHandler;
use crate::namespace::{Namespace, share};
use crate::options::{CheckNamespace, Concurrency};
use crate::rare::Rare;
use crate::socket::Socket;
use pattern::Pattern;

/// What the namespaces of one pattern share.
pub(crate) struct Parent {
    matcher: Matcher,
    pub(crate) handlers: Handlers,
    pub(crate) dispatcher: Rare<Arc<dyn Dispatcher>>,
    concurrency: AtomicUsize,
    /// What the messages of each may take of the queue of a client.
    share: Rare<Share>,
}

enum Matcher {
    Pattern(Pattern),
    Check(CheckNamespace),
}

impl Parent {
    fn new(matcher: Matcher, concurrency: Concurrency) -> Arc<Self> {
        Arc::new(Self {
            matcher,
            handlers: Handlers::default(),
            dispatcher: Rare::default(),
            concurrency: AtomicUsize::new(concurrency.max()),
            share: Rare::default(),
        })
    }

    fn pattern(&self) -> Option<&str> {
        match &self.matcher {
            Matcher::Pattern(pattern) => Some(pattern.as_str()),
            Matcher::Check(_) => None,
        }
    }

    /// Whether a client may connect to a namespace of this name.
    pub(crate) fn allows(&self, name: &str, handshake: &Handshake) -> bool {
        match &self.matcher {
            Matcher::Pattern(pattern) => pattern.find(name).is_some(),
            Matcher::Check(check) => {
                let mut allowed = false;
                guard("of_matching", || allowed = check(name, handshake));
                allowed
            }
        }
    }

    /// The parameters in a name.
    pub(crate) fn params<'a>(&'a self, name: &'a str) -> Option<Params<'a>> {
        match &self.matcher {
            Matcher::Pattern(pattern) => pattern.find(name),
            Matcher::Check(_) => None,
        }
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    pub(crate) fn share(&self) -> Option<Arc<Share>> {
        self.share.get()
    }
}

/// The patterns of a server, in the order in which they were registered.
#[derive(Default)]
pub(crate) struct Parents(ArcSwap<Vec<Arc<Parent>>>);

impl Parents {
    /// The one with this pattern, made if there is none.
    fn of_pattern(&self, pattern: Pattern, concurrency: Concurrency) -> Arc<Parent> {
        let made = Parent::new(Matcher::Pattern(pattern), concurrency);
        let same = |parents: &[Arc<Parent>]| {
            parents.iter().find(|parent| parent.pattern() == made.pattern()).cloned()
        };
        self.0.rcu(|parents| match same(parents) {
            Some(_) => parents.clone(),
            None => Arc::new(parents.iter().chain([&made]).cloned().collect()),
        });
        same(&self.0.load()).unwrap_or(made)
    }

    fn add(&self, parent: Arc<Parent>) -> Arc<Parent> {
        self.0.rcu(|parents| parents.iter().chain([&parent]).cloned().collect::<Vec<_>>());
        parent
    }

    /// The first that lets a client into a namespace of this name.
    pub(crate) fn find(&self, name: &str, handshake: &Handshake) -> Option<Arc<Parent>> {
        // No guard over code of the application.
        let parents = self.0.load_full();
        parents.iter().find(|parent| parent.allows(name, handshake)).cloned()
    }
}

/// Namespaces that exist as long as clients are in them: [`Server::of_pattern`](crate::Server::of_pattern),
/// [`Server::of_matching`](crate::Server::of_matching).
///
/// Its handlers are those of all these namespaces, also of those that are there already. Each namespace has its own
/// sockets and rooms, and can be emitted to as any other, by [`Server::of`](crate::Server::of); a handler takes it as
/// [`Namespace`], and the parameters of its name as [`extract::Path`](crate::extract::Path). When the last socket has
/// left, it is forgotten. A namespace that has handlers of its own is none of these: its own are all it has.
#[derive(Clone)]
pub struct DynamicNamespace {
    core: Arc<Core>,
    parent: Arc<Parent>,
}

impl DynamicNamespace {
    pub(crate) fn of_pattern(core: Arc<Core>, pattern: &str) -> Self {
        let understood = match Pattern::parse(pattern) {
            Ok(understood) => understood,
            Err(mistake) => panic!("{pattern:?} is not a pattern of namespaces: {mistake}"),
        };
        let parent = core.parents.of_pattern(understood, core.options.concurrency);
        Self { core, parent }
    }

    pub(crate) fn of_matching(core: Arc<Core>, check: CheckNamespace) -> Self {
        let parent = core.parents.add(Parent::new(Matcher::Check(check), core.options.concurrency));
        Self { core, parent }
    }

    /// The pattern, with a slash in front; none for those that a function lets in.
    pub fn pattern(&self) -> Option<&str> {
        self.parent.pattern()
    }

    /// Those that somebody is in, on this server.
    pub fn namespaces(&self) -> Vec<Namespace> {
        let all = self.core.namespaces.iter().map(|entry| entry.value().clone());
        let own = all.filter(|inner| {
            !inner.sockets.is_empty()
                && inner.parent().is_some_and(|parent| Arc::ptr_eq(parent, &self.parent))
        });
        own.map(|inner| Namespace { core: self.core.clone(), inner }).collect()
    }

    /// As [`Namespace::before_connect`].
    pub fn before_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.parent.handlers.add_before_connect(handler);
        self
    }

    /// As [`Namespace::on_connect`].
    pub fn on_connect<M>(&self, handler: impl ConnectHandler<M>) -> &Self {
        self.parent.handlers.set_connect(handler);
        self
    }

    /// As [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.parent.handlers.set_disconnecting(handler);
        self
    }

    /// As [`Namespace::on_disconnect`].
    pub fn on_disconnect<M>(&self, handler: impl DisconnectHandler<M>) -> &Self {
        self.parent.handlers.set_disconnect(handler);
        self
    }

    /// As [`Namespace::on`].
    ///
    /// # Panics
    /// When `event` is a reserved name.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl EventHandler<M>) -> &Self {
        self.parent.handlers.set_event(event.into(), handler);
        self
    }

    /// As [`Namespace::add`].
    pub fn add<M, H: NamedHandler<M>>(&self, handler: H) -> &Self {
        self.on(H::EVENT, handler)
    }

    /// As [`Namespace::off`].
    pub fn off(&self, event: &str) -> bool {
        self.parent.handlers.remove_event(event)
    }

    /// As [`Namespace::off_connect`].
    pub fn off_connect(&self) -> bool {
        self.parent.handlers.remove_connect()
    }

    /// As [`Namespace::off_disconnecting`].
    pub fn off_disconnecting(&self) -> bool {
        self.parent.handlers.remove_disconnecting()
    }

    /// As [`Namespace::off_disconnect`].
    pub fn off_disconnect(&self) -> bool {
        self.parent.handlers.remove_disconnect()
    }

    /// As [`Namespace::off_fallback`].
    pub fn off_fallback(&self) -> bool {
        self.parent.handlers.remove_fallback()
    }

    /// As [`Namespace::off_error`].
    pub fn off_error(&self) -> bool {
        self.parent.handlers.remove_error()
    }

    /// As [`Namespace::fallback`].
    pub fn fallback<M>(&self, handler: impl EventHandler<M>) -> &Self {
        self.parent.handlers.set_fallback(handler);
        self
    }

    /// As [`Namespace::on_error`].
    pub fn on_error<M>(&self, handler: impl ErrorHandler<M>) -> &Self {
        self.parent.handlers.set_error(handler);
        self
    }

    /// As [`Namespace::event_layer`].
    pub fn event_layer(&self, layer: impl EventLayer) -> &Self {
        self.parent.handlers.add_layer(layer);
        self
    }

    /// As [`Namespace::on_any`], for all these namespaces.
    pub fn on_any(&self, listener: impl Fn(&Socket, &str, &RawArgs) + Send + Sync + 'static) -> ListenerId {
        self.parent.handlers.listeners.on_incoming(listener)
    }

    /// As [`Namespace::on_any_outgoing`], for all these namespaces.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(Recipients<'_>, &str, &RawArgs) + Send + Sync + 'static,
    ) -> ListenerId {
        self.parent.handlers.listeners.on_emitted(listener)
    }

    /// Removes a listener of either kind that was registered here; returns whether it was there.
    pub fn off_any(&self, listener: ListenerId) -> bool {
        self.parent.handlers.listeners.remove(listener)
    }

    /// As [`Namespace::register`]: one value for all these namespaces.
    pub fn register(&self, handlers: impl NamespaceHandlers) -> &Self {
        self.parent.handlers.set_class(HandlerSet::of(handlers));
        self
    }

    /// As [`Namespace::unregister`].
    pub fn unregister(&self) -> bool {
        self.parent.handlers.remove_class()
    }

    /// As [`Namespace::concurrency`].
    pub fn concurrency(&self, concurrency: Concurrency) -> &Self {
        self.parent.concurrency.store(concurrency.max(), Ordering::Relaxed);
        for namespace in self.namespaces() {
            namespace.concurrency(concurrency);
        }
        self
    }

    /// As [`Namespace::send_queue`]: each of these namespaces may take so much.
    ///
    /// # Panics
    /// When there is no room for a single packet.
    pub fn send_queue(&self, limits: SendQueue) -> &Self {
        let share = share(limits);
        self.parent.share.set(share.clone());
        for namespace in self.namespaces() {
            namespace.inner.set_share(share.clone());
        }
        self
    }

    /// As [`Namespace::set_dispatcher`].
    pub fn set_dispatcher(&self, dispatcher: Arc<dyn Dispatcher>) {
        self.parent.dispatcher.set(Arc::new(dispatcher));
    }
}

impl fmt::Debug for DynamicNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicNamespace").field("pattern", &self.pattern()).finish_non_exhaustive()
    }
}
