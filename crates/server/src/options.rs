//! Options of the Socket.IO layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::handler_times::Recorder;
use crate::load::LoadLimit;
use crate::recovery::Recovery;
use crate::slow::OnSlowConsumer;
use wirebird_engine::{ConfigError, Handshake, Millis, Refusal};

pub(crate) struct Options {
    pub(crate) namespaces: Accept,
    pub(crate) always_connect: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) cluster_timeout: Duration,
    pub(crate) disconnect_grace: Duration,
    pub(crate) concurrency: Concurrency,
    pub(crate) max_attachments: usize,
    pub(crate) max_attachment_bytes: usize,
    pub(crate) attachments_timeout: Duration,
    pub(crate) max_depth: usize,
    pub(crate) max_arguments: usize,
    pub(crate) max_event_name: usize,
    pub(crate) max_namespace_name: usize,
    pub(crate) max_room_name: usize,
    pub(crate) max_namespaces: usize,
    pub(crate) max_dynamic_namespaces: usize,
    pub(crate) max_rooms: usize,
    pub(crate) max_pending_acks: usize,
    /// What may wait for handlers, of one client and of all.
    pub(crate) max_client: LoadLimit,
    pub(crate) max_total: LoadLimit,
    pub(crate) max_waiting_broadcasts: usize,
    pub(crate) max_questions: usize,
    pub(crate) max_auth: usize,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) strict_arguments: bool,
    pub(crate) handler_times: Option<Arc<Recorder>>,
    pub(crate) shards: usize,
    pub(crate) on_connection_error: Option<Arc<OnRefusal>>,
    pub(crate) on_slow_consumer: Option<Arc<OnSlowConsumer>>,
    #[cfg(feature = "static-files")]
    pub(crate) static_files: Option<crate::StaticFiles>,
    /// What they mean, once they have been checked.
    #[cfg(feature = "static-files")]
    pub(crate) static_map: Option<Arc<crate::static_files::Map>>,
}

/// Levels of arrays and objects that can be decoded at all.
const MAX_DEPTH: usize = 127;

/// Is told of refused requests.
pub(crate) type OnRefusal = dyn Fn(&Refusal<'_>) + Send + Sync;

impl Default for Options {
    fn default() -> Self {
        Self {
            namespaces: Accept::default(),
            always_connect: false,
            connect_timeout: Duration::from_secs(45),
            ack_timeout: Duration::from_secs(60),
            cluster_timeout: Duration::from_secs(5),
            disconnect_grace: Duration::from_secs(5),
            concurrency: Concurrency::Ordered,
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            attachments_timeout: Duration::from_secs(30),
            max_depth: 64,
            max_arguments: 10_000,
            max_event_name: 1024,
            max_namespace_name: 256,
            max_room_name: 1024,
            max_namespaces: 100,
            max_dynamic_namespaces: 100_000,
            max_rooms: 10_000,
            max_pending_acks: 10_000,
            max_client: LoadLimit { events: 10_000, bytes: 16 << 20 },
            max_total: LoadLimit { events: 1_000_000, bytes: 1 << 30 },
            max_waiting_broadcasts: 64 << 20,
            max_questions: 100_000,
            max_auth: 64 << 10,
            recovery: None,
            strict_arguments: false,
            handler_times: None,
            on_connection_error: None,
            on_slow_consumer: None,
            #[cfg(feature = "static-files")]
            static_files: None,
            #[cfg(feature = "static-files")]
            static_map: None,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Options {
    /// # Errors
    /// A sentence that names the option and what is wrong with it.
    pub(crate) fn validate(&mut self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("connect_timeout", self.connect_timeout),
            ("ack_timeout", self.ack_timeout),
            ("attachments_timeout", self.attachments_timeout),
        ] {
            if value < Duration::from_millis(1) {
                return Err(ConfigError::new(format!("{name} must be at least one millisecond")));
            }
        }
        if !(1..=MAX_DEPTH).contains(&self.max_depth) {
            return Err(ConfigError::new(format!("max_depth must be 1 to {MAX_DEPTH}")));
        }
        if self.max_namespaces == 0 {
            return Err(ConfigError::new("max_namespaces must be at least one"));
        }
        if self.concurrency == Concurrency::Concurrent(0) {
            return Err(ConfigError::new("concurrency: nothing could be handled; at least one event can be"));
        }
        if let Accept::List(list) = &self.namespaces
            && let Some(name) = list.iter().find(|name| name.contains([',', '?']) || name.is_empty())
        {
            return Err(ConfigError::new(format!("namespaces: no client can ask for {name:?}")));
        }
        if let Some(recovery) = &self.recovery {
            recovery.validate()?;
        }
        #[cfg(feature = "static-files")]
        if let Some(files) = &self.static_files {
            self.static_map = Some(Arc::new(crate::static_files::Map::new(files)?));
        }
        Ok(())
    }
}

/// Says whether a client may connect to a namespace, by its name and the client's request.
pub type CheckNamespace = Arc<dyn Fn(&str, &Handshake) -> bool + Send + Sync>;

/// A duration for the engine's clock. Durations that stand for "never" stay far enough below the clock's end.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX).min(Millis::MAX / 4)
}

/// Which namespaces clients may connect to, beside those that have handlers.
#[derive(Clone)]
#[non_exhaustive]
pub enum Accept {
    /// These. The default is `/` alone.
    List(Vec<String>),
    /// All.
    Any,
    /// Those the application allows, at the moment a client asks.
    Check(CheckNamespace),
}

impl Accept {
    /// Those the application allows, at the moment a client asks.
    pub fn check(check: impl Fn(&str, &Handshake) -> bool + Send + Sync + 'static) -> Self {
        Self::Check(Arc::new(check))
    }

    pub(crate) fn allows(&self, name: &str, handshake: &Handshake) -> bool {
        match self {
            // As everywhere else, the slash may be left out.
            Self::List(list) => list.iter().any(|other| {
                other == name || (!other.starts_with('/') && name.strip_prefix('/') == Some(other.as_str()))
            }),
            Self::Any => true,
            Self::Check(check) => {
                let mut allowed = false;
                crate::guard("namespaces", || allowed = check(name, handshake));
                allowed
            }
        }
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self::List(vec!["/".into()])
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Any => f.write_str("Any"),
            Self::Check(_) => f.write_str("Check(..)"),
        }
    }
}

/// How the events of one socket are handled: all of a [namespace](crate::Namespace::concurrency), or those of one
/// [handler](crate::EventHandlerExt::concurrency).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concurrency {
    /// One after another, in the order they were sent.
    #[default]
    Ordered,
    /// Up to so many at a time; they begin in order and end as they like.
    Concurrent(usize),
}

impl Concurrency {
    pub(crate) fn max(self) -> usize {
        match self {
            Self::Ordered => 1,
            Self::Concurrent(max) => max.max(1),
        }
    }
}
