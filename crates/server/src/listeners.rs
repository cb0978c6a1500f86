//! Listeners to all events of a namespace: they see and change nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use wirebird_proto::socket_io::RawArgs;

use crate::adapter::Target;
use crate::guard;
use crate::packet::Encoded;
use crate::socket::Socket;

/// Names a listener that [`Namespace::on_any`](crate::Namespace::on_any) or
/// [`on_any_outgoing`](crate::Namespace::on_any_outgoing) registered, for [`off_any`](crate::Namespace::off_any). It is of
/// use with that namespace only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

/// Whom an event is emitted to.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Recipients<'a> {
    /// To one socket, by a method of it.
    Socket(&'a Socket),
    /// To whomever this names: rooms, a socket by its id, everybody.
    Target(&'a Target),
}

type Incoming = dyn Fn(&Socket, &str, &RawArgs) + Send + Sync;
type Emitted = dyn Fn(Recipients<'_>, &str, &RawArgs) + Send + Sync;

/// The listeners of a namespace.
#[derive(Default)]
pub(crate) struct Listeners {
    incoming: List<Incoming>,
    emitted: List<Emitted>,
    last: AtomicU64,
}

impl Listeners {
    pub(crate) fn on_incoming(
        &self,
        listener: impl Fn(&Socket, &str, &RawArgs) + Send + Sync + 'static,
    ) -> ListenerId {
        self.incoming.add(self.next(), Arc::new(listener))
    }

    pub(crate) fn on_emitted(
        &self,
        listener: impl Fn(Recipients<'_>, &str, &RawArgs) + Send + Sync + 'static,
    ) -> ListenerId {
        self.emitted.add(self.next(), Arc::new(listener))
    }

    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        self.incoming.remove(id) || self.emitted.remove(id)
    }

    fn next(&self) -> ListenerId {
        ListenerId(self.last.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.hear_incoming() && !self.hear_emitted()
    }

    /// Whether somebody wants to know of what comes in.
    pub(crate) fn hear_incoming(&self) -> bool {
        self.incoming.is_any()
    }

    pub(crate) fn tell_incoming(&self, socket: &Socket, event: &str, args: &RawArgs) {
        self.incoming.each(|listener| guard("on_any", || listener(socket, event, args)));
    }

    /// Whether somebody wants to know of what is emitted.
    pub(crate) fn hear_emitted(&self) -> bool {
        self.emitted.is_any()
    }

    pub(crate) fn tell_emitted(&self, recipients: Recipients<'_>, encoded: &Encoded) {
        let Ok((event, args)) = encoded.to_event() else { return };
        self.emitted.each(|listener| guard("on_any_outgoing", || listener(recipients, &event, &args)));
    }
}

/// Functions, each with its id, in the order they were added.
struct List<F: ?Sized> {
    /// Whether there are any: cheaper to look at.
    any: AtomicBool,
    listeners: ArcSwap<Vec<(ListenerId, Arc<F>)>>,
}

impl<F: ?Sized> List<F> {
    fn is_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    fn add(&self, id: ListenerId, listener: Arc<F>) -> ListenerId {
        self.listeners.rcu(|before| {
            let added = (id, listener.clone());
            before.iter().cloned().chain([added]).collect::<Vec<_>>()
        });
        self.any.store(true, Ordering::Relaxed);
        id
    }

    /// The mark stays: whether another one is being added at this moment cannot be known.
    fn remove(&self, id: ListenerId) -> bool {
        let before = self
            .listeners
            .rcu(|before| before.iter().filter(|(other, _)| *other != id).cloned().collect::<Vec<_>>());
        before.iter().any(|(other, _)| *other == id)
    }

    fn each(&self, call: impl Fn(&F)) {
        // No guard of the list over code of the application.
        let listeners = self.listeners.load_full();
        listeners.iter().for_each(|(_, listener)| call(listener));
    }
}

impl<F: ?Sized> Default for List<F> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), listeners: ArcSwap::default() }
    }
}
