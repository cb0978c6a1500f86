//! The handlers of one namespace: read at every event without a lock, replaced as a whole when one changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::error::Error;
use crate::event_layer::{AnyLayer, EventLayer, Layers};
use crate::extract::EventContext;
use crate::handler::{
    ConnectFn, ConnectHandler, DisconnectFn, DisconnectHandler, ErrorFn, ErrorHandler, EventFn, EventHandler,
};
use crate::listeners::Listeners;
use crate::reply::Reply;
use crate::settings::Settings;
use crate::task::BoxFuture;

#[derive(Default)]
pub(crate) struct Handlers {
    table: ArcSwap<Table>,
    /// Whether the table has layers: cheaper to look at.
    layered: AtomicBool,
    /// Whether handlers of events have, or have had, lanes of their own.
    laned: AtomicBool,
    pub(crate) listeners: Listeners,
}

/// The handler of an event, and what was said about it.
pub(crate) struct EventEntry {
    handler: EventFn,
    pub(crate) settings: Settings,
}

impl EventEntry {
    pub(crate) fn new<M>(mut handler: impl EventHandler<M>) -> Arc<Self> {
        let settings = handler.take_settings();
        Arc::new(Self { handler: Box::new(move |context| handler.call(context)), settings })
    }

    /// Calls the handler itself, without the layers.
    pub(crate) fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
        (self.handler)(context)
    }
}

#[derive(Default, Clone)]
pub(crate) struct Table {
    /// In this order, before the one below.
    pub(crate) before_connect: Vec<Arc<ConnectFn>>,
    pub(crate) connect: Option<Arc<ConnectFn>>,
    pub(crate) disconnecting: Option<Arc<DisconnectFn>>,
    pub(crate) disconnect: Option<Arc<DisconnectFn>>,
    pub(crate) error: Option<Arc<ErrorFn>>,
    pub(crate) fallback: Option<Arc<EventEntry>>,
    /// Few names, and short ones: comparing them is cheaper than hashing.
    pub(crate) events: BTreeMap<Box<str>, Arc<EventEntry>>,
    /// Around all event handlers.
    pub(crate) layers: Layers,
    /// The handlers of a value that was registered: for what no function handles.
    pub(crate) class: Option<Arc<Self>>,
}

impl Table {
    /// Whether a handler of events has a lane of its own.
    fn is_laned(&self) -> bool {
        let mut handlers = self.events.values().chain(&self.fallback);
        handlers.any(|handler| handler.settings.lane.is_some())
            || self.class.as_ref().is_some_and(|class| class.is_laned())
    }

    /// The handler of an event, or the one for all others.
    pub(crate) fn event(&self, name: &str) -> Option<&Arc<EventEntry>> {
        self.events.get(name).or(self.fallback.as_ref())
    }
}

impl Handlers {
    pub(crate) fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.before_connect.is_empty()
            && table.connect.is_none()
            && table.disconnecting.is_none()
            && table.disconnect.is_none()
            && table.fallback.is_none()
            && table.error.is_none()
            && table.events.is_empty()
            && table.class.is_none()
    }

    pub(crate) fn into_table(self) -> Arc<Table> {
        self.table.into_inner()
    }

    pub(crate) fn set_class(&self, class: Arc<Table>) {
        self.change(|table| table.class = Some(class.clone()));
    }

    pub(crate) fn add_before_connect<M>(&self, handler: impl ConnectHandler<M>) {
        let erased: Arc<ConnectFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| table.before_connect.push(erased.clone()));
    }

    pub(crate) fn set_connect<M>(&self, handler: impl ConnectHandler<M>) {
        let erased: Arc<ConnectFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| table.connect = Some(erased.clone()));
    }

    pub(crate) fn set_disconnecting<M>(&self, handler: impl DisconnectHandler<M>) {
        let erased: Arc<DisconnectFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| table.disconnecting = Some(erased.clone()));
    }

    pub(crate) fn set_disconnect<M>(&self, handler: impl DisconnectHandler<M>) {
        let erased: Arc<DisconnectFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| table.disconnect = Some(erased.clone()));
    }

    pub(crate) fn set_error<M>(&self, handler: impl ErrorHandler<M>) {
        let erased: Arc<ErrorFn> = Arc::new(Box::new(move |error, context| handler.call(error, context)));
        self.change(|table| table.error = Some(erased.clone()));
    }

    pub(crate) fn set_fallback<M>(&self, handler: impl EventHandler<M>) {
        let entry = EventEntry::new(handler);
        self.change(|table| table.fallback = Some(entry.clone()));
    }

    pub(crate) fn set_event<M>(&self, name: String, handler: impl EventHandler<M>) {
        assert!(
            !wirebird_proto::socket_io::is_reserved(&name),
            "{name:?} is a reserved name: no client can send such an event (see on_connect and on_disconnect)"
        );
        if name == "connection" {
            tracing::warn!(
                target: "wirebird::socketio",
                "`on(\"connection\", …)` handles an event of that name; connections are handled by `on_connect`"
            );
        }
        let entry = EventEntry::new(handler);
        self.change(|table| {
            table.events.insert(name.as_str().into(), entry.clone());
        });
    }

    pub(crate) fn remove_event(&self, name: &str) -> bool {
        let remove = |table: &mut Table| drop(table.events.remove(name));
        self.change(remove).events.contains_key(name)
    }

    pub(crate) fn remove_connect(&self) -> bool {
        self.change(|table| table.connect = None).connect.is_some()
    }

    pub(crate) fn remove_disconnecting(&self) -> bool {
        self.change(|table| table.disconnecting = None).disconnecting.is_some()
    }

    pub(crate) fn remove_disconnect(&self) -> bool {
        self.change(|table| table.disconnect = None).disconnect.is_some()
    }

    pub(crate) fn remove_error(&self) -> bool {
        self.change(|table| table.error = None).error.is_some()
    }

    pub(crate) fn remove_fallback(&self) -> bool {
        self.change(|table| table.fallback = None).fallback.is_some()
    }

    pub(crate) fn remove_class(&self) -> bool {
        self.change(|table| table.class = None).class.is_some()
    }

    /// Whether [`Table::layers`] are any.
    pub(crate) fn is_layered(&self) -> bool {
        self.layered.load(Ordering::Relaxed)
    }

    pub(crate) fn add_layer(&self, layer: impl EventLayer) {
        let layer: Arc<dyn AnyLayer> = Arc::new(layer);
        self.change(|table| table.layers.push(layer.clone()));
        self.layered.store(true, Ordering::Relaxed);
    }

    /// Whether events may have lanes of their own.
    pub(crate) fn is_laned(&self) -> bool {
        self.laned.load(Ordering::Relaxed)
    }

    /// Returns what it was before.
    fn change(&self, change: impl Fn(&mut Table)) -> Arc<Table> {
        let before = self.table.rcu(|table| {
            let mut table = Table::clone(table);
            change(&mut table);
            table
        });
        if self.table().is_laned() {
            self.laned.store(true, Ordering::Relaxed);
        }
        before
    }
}
