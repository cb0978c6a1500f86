//! Engine.IO server sessions: HTTP long-polling, WebSocket, the upgrade between them and the heartbeat. Version 4 of the
//! protocol, and version 3 where it is [allowed](Config::allow_eio3).
//!
//! [`Engine`] and [`Session`] are a state machine that anybody can drive: packets and time go in, packets and calls of
//! a [`Handler`] come out, and nothing waits or needs a runtime. [`http`](mod@http) drives it for hyper and everything
//! built on it, [`stream`] for WebSockets on any byte stream, [`memory`] inside one process.
//!
//! Applications use the `wirebird` crate, which adds Socket.IO; this one is for those who want plain Engine.IO, or a
//! transport of their own.

pub mod http;
pub mod memory;
pub mod stream;

mod admission;
mod config;
mod cookie;
mod cors;
mod deflate;
mod ended;
mod engine;
mod gate;
mod handshake;
mod id;
mod keeper;
mod limit;
mod message;
mod metrics;
mod polling;
mod protocol;
mod proxies;
mod queue;
mod read_buffer;
mod reason;
mod refusal;
mod session;
mod tally;
mod thread;
mod timer;
mod told;
mod transport;

pub use config::{AddHeaders, Config, ConfigError, FindPeer, Overflow, SendQueue, Transports};
pub use cookie::{Cookie, CookieValue};
pub use cors::{Cors, OriginCheck, Origins};
pub use deflate::Deflate;
pub use engine::{Engine, Handler, WeakEngine};
pub use gate::{Decision, Gate};
pub use handshake::{Handshake, LocalAddr, PeerAddr, Secure};
pub use id::{Id, IdError, IdGenerator, RandomIds};
pub use limit::Limit;
pub use message::{Message, Outgoing, SharedTail, TextBuilder};
pub use metrics::{Metrics, Refused};
pub use polling::{Poll, PollBody, Post};
pub use protocol::Protocol;
pub use proxies::{Network, TrustedProxies};
pub use queue::{Frame, Share};
pub use reason::CloseReason;
pub use refusal::{Cause, Refusal};
pub use session::{Owed, Probe, SendError, Session, Slowness};
#[doc(hidden)]
pub use tally::Tally;
#[doc(hidden)]
pub use thread::thread_token;
pub use timer::{Expire, Millis};
pub use transport::{Attachment, Transport, TransportKind};
pub use wirebird_proto::websocket::HandshakeError as WebSocketHandshakeError;
