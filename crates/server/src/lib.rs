//! A Socket.IO server for axum, tower and hyper, or for no framework at all.
//!
//! ```no_run
//! use wirebird::{Server, Socket, extract::Data};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Server::new();
//!     io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
//!     io.on("chat", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!         socket.to(room).emit("chat", (socket.id(), text))
//!     });
//!     io.serve("127.0.0.1:5000").await
//! }
//! ```

mod ack;
mod acks;
mod adapter;
mod builder;
mod client;
mod core;
mod dispatch;
mod error;
pub mod extract;
mod guard;
mod handler;
mod handlers;
mod id;
mod layer;
mod mailbox;
mod members;
mod namespace;
mod operator;
mod options;
mod packet;
mod reason;
mod room;
mod rooms;
mod router;
mod server;
mod shard;
mod socket;
mod task;

pub use ack::{AckFuture, AckStream, BroadcastWithAck, EmitWithAck};
pub use acks::{AckResult, AckSink};
pub use adapter::{Adapter, Local, MemoryCluster, Operation, Target};
pub use builder::Builder;
pub use dispatch::{
    AckSender, Completion, ConnectRequest, ConnectResponder, Dispatcher, IncomingEvent, Observer,
};
pub use error::{AckError, ConnectError, EmitError, Error, RoomError};
pub use handler::{ConnectHandler, DisconnectHandler, ErrorHandler, EventHandler, Outcome};
pub use id::SocketId;
pub use layer::{Layer, NotFound, ResponseBody, ResponseFuture, Service};
pub use namespace::Namespace;
pub use operator::Operator;
pub use options::{Accept, Concurrency};
pub use reason::DisconnectReason;
pub use room::{IntoRooms, Room};
pub use server::{AnyNamespace, Server};
pub use socket::{AckHandle, Socket, SocketSession};

pub(crate) use guard::guard;

/// Plain Engine.IO: sessions, transports, options.
pub use wirebird_engine as engine;
pub use wirebird_engine::{
    ConfigError, Cookie, Cors, Handshake, Origins, Overflow, PeerAddr, SendQueue, TransportKind, Transports,
    TrustedProxies,
};
pub use wirebird_proto::socket_io::RawArgs;
pub use wirebird_proto::value::{Map, Value};
