//! The handlers of one namespace: read at every event without a lock, replaced as a whole when one changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::handler::{
    ConnectFn, ConnectHandler, DisconnectFn, DisconnectHandler, ErrorFn, ErrorHandler, EventFn, EventHandler,
};

#[derive(Default)]
pub(crate) struct Handlers(ArcSwap<Table>);

#[derive(Default, Clone)]
pub(crate) struct Table {
    pub(crate) connect: Option<Arc<ConnectFn>>,
    pub(crate) disconnecting: Option<Arc<DisconnectFn>>,
    pub(crate) disconnect: Option<Arc<DisconnectFn>>,
    pub(crate) error: Option<Arc<ErrorFn>>,
    pub(crate) fallback: Option<Arc<EventFn>>,
    /// Few names, and short ones: comparing them is cheaper than hashing.
    pub(crate) events: BTreeMap<Box<str>, Arc<EventFn>>,
    /// The handlers of a value that was registered: for what no function handles.
    pub(crate) class: Option<Arc<Self>>,
}

impl Table {
    /// The handler of an event, or the one for all others.
    pub(crate) fn event(&self, name: &str) -> Option<&Arc<EventFn>> {
        self.events.get(name).or(self.fallback.as_ref())
    }
}

impl Handlers {
    pub(crate) fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.0.load()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.connect.is_none()
            && table.disconnecting.is_none()
            && table.disconnect.is_none()
            && table.fallback.is_none()
            && table.error.is_none()
            && table.events.is_empty()
            && table.class.is_none()
    }

    pub(crate) fn into_table(self) -> Arc<Table> {
        self.0.into_inner()
    }

    pub(crate) fn set_class(&self, class: Arc<Table>) {
        self.change(|table| table.class = Some(class.clone()));
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
        let erased: Arc<EventFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| table.fallback = Some(erased.clone()));
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
        let erased: Arc<EventFn> = Arc::new(Box::new(move |context| handler.call(context)));
        self.change(|table| {
            table.events.insert(name.as_str().into(), erased.clone());
        });
    }

    pub(crate) fn remove_event(&self, name: &str) -> bool {
        let known = self.table().events.contains_key(name);
        self.change(|table| {
            table.events.remove(name);
        });
        known
    }

    fn change(&self, change: impl Fn(&mut Table)) {
        self.0.rcu(|table| {
            let mut table = Table::clone(table);
            change(&mut table);
            table
        });
    }
}
