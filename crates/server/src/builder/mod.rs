//! Options of a server.

mod limits;
mod origins;
mod transport;
mod web;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use wirebird_engine::{Config, ConfigError, Engine, IdGenerator};

use crate::adapter::{Adapter, Local};
use crate::core::Core;
use crate::dispatch::{Dispatcher, Observer};
use crate::layers::Timing;
use crate::options::{Accept, Concurrency, Options};
use crate::parser::Parser;
use crate::recovery::Recovery;
use crate::server::Server;

pub use origins::AllowedOrigins;

/// Makes a [`Server`]. Every option has a default; where Node's server has one, it is the same.
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct Builder {
    engine: Config,
    options: Options,
    state: Extensions,
    observer: Option<Arc<dyn Observer>>,
    adapter: Option<Arc<dyn Adapter>>,
    dispatcher: Option<Arc<dyn Dispatcher>>,
    parser: Option<Arc<dyn Parser>>,
}

/// The server as a whole, and how events are handled.
impl Builder {
    /// Keeps a value that handlers get with [`State`](crate::extract::State), one of each type.
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.state.insert(state);
        self
    }

    /// Connects the server with others.
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self
    }

    /// How packets are written on the wire. Clients have to use the same parser. Default JSON.
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Watches what happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Hands everything to a dispatcher instead of handlers.
    pub fn dispatcher(mut self, dispatcher: Arc<dyn Dispatcher>) -> Self {
        self.dispatcher = Some(dispatcher);
        self
    }

    /// The runtime that drives timers and runs handlers that wait. Default: that of the first request; a server whose
    /// clients are all [in memory](Server::connect_memory) needs none.
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.engine.runtime = Some(runtime);
        self
    }

    /// Into how many parts sockets are divided for the delivery of broadcasts. Default: as many as there are cores.
    pub fn shards(mut self, shards: usize) -> Self {
        self.options.shards = shards.max(1);
        self
    }

    /// Makes ids of sessions and sockets.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.engine.ids = Arc::new(ids);
        self
    }

    /// Which namespaces clients may connect to, beside those that have handlers. Default `/`.
    pub fn namespaces(mut self, accept: Accept) -> Self {
        self.options.namespaces = accept;
        self
    }

    /// Whether clients are told that they are connected before the connect handler runs; a refusal then disconnects
    /// them. What is emitted to everybody meanwhile reaches them. Default false.
    pub fn always_connect(mut self, always: bool) -> Self {
        self.options.always_connect = always;
        self
    }

    /// How the events of one socket are handled. Default in order; a namespace can say otherwise for itself.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// Whether arguments of events that a handler does not take are an error, as missing ones are. A handler that takes
    /// [`Args`](crate::extract::Args), [`RawArgs`](crate::RawArgs) or [`EventContext`](crate::extract::EventContext) takes
    /// them all. One handler can be strict by itself: [`EventHandlerExt::strict`](crate::EventHandlerExt::strict). Default
    /// false.
    pub fn strict_arguments(mut self, strict: bool) -> Self {
        self.options.strict_arguments = strict;
        self
    }

    /// Whether it is measured how long the handlers of events take, for
    /// [`Metrics::handler_times`](crate::Metrics::handler_times): a [`Timing`](crate::layers::Timing) layer that is there
    /// before all others. Two looks at the clock for each event. Not for a server with a [`Dispatcher`](crate::Dispatcher)
    /// of its own. Default false.
    pub fn handler_times(mut self, measured: bool) -> Self {
        self.options.handler_times = measured.then(Arc::default);
        self
    }

    /// How long acknowledgements of clients are waited for. Default 60 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.options.ack_timeout = timeout;
        self
    }

    /// How long other servers of the cluster may take to answer
    /// [`Operator::fetch_sockets`](crate::Operator::fetch_sockets) and
    /// [`Namespace::server_side_emit_with_ack`](crate::Namespace::server_side_emit_with_ack). Default 5 s.
    pub fn cluster_timeout(mut self, timeout: Duration) -> Self {
        self.options.cluster_timeout = timeout;
        self
    }

    /// How long the disconnect handler waits for the handlers of earlier events. Default 5 s.
    pub fn disconnect_grace(mut self, grace: Duration) -> Self {
        self.options.disconnect_grace = grace;
        self
    }

    /// Lets clients that were cut off come back for a while as the same sockets: with their ids, rooms and values of their
    /// sessions, and with the events that they missed, in order; or they are connected anew as ever, when something of
    /// that is not there any more. Default off.
    ///
    /// The official clients from 4.6 on take part by themselves; others are connected anew as ever. Disconnect handlers run
    /// when a client is cut off, and connect handlers when it is back: [`Socket::recovered`](crate::Socket::recovered)
    /// tells that. Events get one more argument, their offset, as the protocol says. Volatile events and those that ask for
    /// an acknowledgement are not sent again. A client comes back to the server that it was connected to, as long as that
    /// neither [drains](crate::Server::drain) nor closes.
    ///
    /// # Errors
    /// A duration or a limit of zero.
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.options.recovery = Some(recovery);
        self
    }

    /// The server. Nothing runs before its first client.
    ///
    /// # Panics
    /// When an option has a value that cannot work; [`Builder::try_build`] returns the error instead.
    pub fn build(self) -> Server {
        match self.try_build() {
            Ok(server) => server,
            Err(error) => panic!("invalid options for a Socket.IO server: {error}"),
        }
    }

    /// The server. Nothing runs before its first client.
    ///
    /// # Errors
    /// When an option has a value that cannot work.
    pub fn try_build(mut self) -> Result<Server, ConfigError> {
        self.options.validate()?;
        let core = Core::new(self.options, self.state, self.observer, self.dispatcher, self.parser);
        let engine = Engine::new(self.engine, core.clone())?;
        core.set_engine(engine.downgrade());
        if let Some(recorder) = core.options.handler_times.clone() {
            core.defaults.add_layer(Timing::new(move |_, took| recorder.record(took)));
        }
        if let Some(adapter) = self.adapter {
            adapter.attach(Local::new(&core));
            let _ = core.adapter.set(adapter);
        }
        Ok(Server::new_with(core, engine))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("engine", &self.engine).finish_non_exhaustive()
    }
}
