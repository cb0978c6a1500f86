//! What to measure.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Measures one server in one way.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// What the clients do
    #[arg(value_enum)]
    pub(crate) mode: Mode,
    /// The server
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// The server's process, whose CPU time and memory are read; its descendants are counted too
    #[arg(long)]
    pub(crate) pid: u32,
    /// How the server answers
    #[arg(long, value_enum, default_value = "socketio")]
    pub(crate) dialect: Dialect,
    /// Clients; for new connections, how many at a time
    #[arg(long, default_value_t = 100)]
    pub(crate) clients: usize,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 32)]
    pub(crate) size: usize,
    /// Unanswered messages of a client; for broadcasts, how many clients send
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub(crate) room_size: usize,
    /// Messages a second, of all clients together; for a soak, connections opened a second, and 0 for all at once
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) rate: f64,
    /// Threads, each a core's worth
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Seconds before the measurement
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Seconds measured; for memory, seconds for the server to settle
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 60.0)]
    pub(crate) deadline: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each client sends text and waits for the acknowledgement with the same text
    Echo,
    /// The same with an attachment
    Bin,
    /// A few clients make the server broadcast to all
    Cast,
    /// One client of each room makes the server send to the room
    Room,
    /// Echo over long polling
    Polling,
    /// WebSockets are opened, connected to the namespace and closed
    Connect,
    /// Echo at a given rate: the time from when a message was due until its answer
    Latency,
    /// Memory of idle clients, and after 16 KiB have been sent to each
    Memory,
    /// Idle clients for a long time: who stays, memory, and when the pings come
    Soak,
    /// The same, and all clients answer their first pings at once, so that all later ones are due at once
    SoakBurst,
}

impl Mode {
    /// Whether the clients work all the time, rather than wait while somebody looks at the memory.
    pub(crate) fn is_measured_by_time(self) -> bool {
        !matches!(self, Self::Memory | Self::Soak | Self::SoakBurst)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// A Socket.IO server with the contract of the benchmarks
    Socketio,
    /// A limit server: it sends back what it was sent
    Limit,
}
