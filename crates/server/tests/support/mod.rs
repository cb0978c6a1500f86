//! A Socket.IO client inside the process of the tests, and what tests wait with.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod tcp;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::{Notify, Semaphore};
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::State;
use wirebird::{Builder, DisconnectReason, Handshake, Server};

/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One client. Packets are written and read as they go over the wire, without the Engine.IO digit: `2["event",1]`.
/// Attachments are read as `<hex>`.
pub struct Client {
    pub conn: Arc<Connection>,
    wakes: Arc<Notify>,
    inbox: Mutex<VecDeque<String>>,
    pongs: bool,
}

impl Client {
    /// A client of a server that the runtime of the test drives.
    pub fn open(io: &Server) -> Self {
        io.engine().attach_runtime();
        Self::inline(io)
    }

    /// A client of a server that is driven by nobody but its callers.
    pub fn inline(io: &Server) -> Self {
        Self::with(io, Handshake::default())
    }

    /// As [`Client::inline`], with a request of its own.
    pub fn with(io: &Server, handshake: Handshake) -> Self {
        let wakes = Arc::new(Notify::new());
        let woken = wakes.clone();
        let conn = io.connect_memory(handshake, move || woken.notify_one()).expect("an open server");
        Self { conn: Arc::new(conn), wakes, inbox: Mutex::default(), pongs: true }
    }

    /// A client that does not answer pings.
    pub fn mute(io: &Server) -> Self {
        Self { pongs: false, ..Self::open(io) }
    }

    pub fn send(&self, packet: impl AsRef<str>) {
        self.raw(format!("4{}", packet.as_ref()));
    }

    /// Sends a whole Engine.IO packet.
    pub fn raw(&self, packet: impl Into<String>) {
        self.conn.feed(Frame::Text(packet.into().into()));
    }

    pub fn send_binary(&self, data: &[u8]) {
        self.conn.feed(Frame::Binary(Bytes::copy_from_slice(data)));
    }

    fn fetch(&self) {
        for frame in self.conn.take_batch() {
            match frame {
                Frame::Text(text) if text == "2" => {
                    if self.pongs {
                        self.raw("3");
                    }
                }
                Frame::Text(text) => {
                    if let Some(packet) = text.strip_prefix('4') {
                        self.inbox.lock().push_back(packet.to_owned());
                    }
                }
                Frame::Binary(data) => {
                    let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                    self.inbox.lock().push_back(format!("<{hex}>"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// What has come so far.
    pub fn take(&self) -> Vec<String> {
        self.fetch();
        self.inbox.lock().drain(..).collect()
    }

    async fn until<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let woken = self.wakes.notified();
                self.fetch();
                if let Some(found) = found(self) {
                    return found;
                }
                woken.await;
            }
        })
        .await
        .ok()
    }

    /// The next packet.
    pub async fn next(&self) -> String {
        self.until(|client| client.inbox.lock().pop_front()).await.unwrap_or_else(|| {
            panic!("no packet came; the session is open: {}", self.conn.is_open());
        })
    }

    /// The next `count` packets.
    pub async fn next_many(&self, count: usize) -> Vec<String> {
        let mut packets = Vec::new();
        while packets.len() < count {
            packets.push(self.next().await);
        }
        packets
    }

    /// Connects to a namespace; returns the socket's id.
    pub async fn join(&self, namespace: &str) -> String {
        self.send(connect(namespace));
        sid(&self.next().await)
    }

    /// As [`Client::join`], without waiting.
    pub fn join_now(&self, namespace: &str) -> String {
        self.send(connect(namespace));
        let packets = self.take();
        sid(packets.iter().rfind(|packet| packet.starts_with('0')).expect("a reply"))
    }

    /// Sends an event and waits for everything up to its acknowledgement, which is the last in the list.
    pub async fn call(&self, id: u64, event: &str) -> Vec<String> {
        self.send(format!("2{id}{event}"));
        let mut packets = Vec::new();
        loop {
            packets.push(self.next().await);
            if packets[packets.len() - 1].starts_with(&format!("3{id}[")) {
                return packets;
            }
        }
    }

    /// Waits until the server has ended the session.
    pub async fn closed(&self) {
        let closed = self.until(|client| (!client.conn.is_open()).then_some(())).await;
        closed.expect("the session to end");
    }

    pub fn is_open(&self) -> bool {
        self.conn.is_open()
    }

    /// The client's end breaks off.
    pub fn break_off(&self) {
        self.conn.close();
    }
}

/// The CONNECT packet for a namespace.
pub fn connect(namespace: &str) -> String {
    if namespace == "/" { "0".into() } else { format!("0{namespace},") }
}

/// The socket's id in a CONNECT packet of the server.
pub fn sid(packet: &str) -> String {
    assert!(packet.starts_with('0'), "not a CONNECT packet: {packet}");
    let json: Json = serde_json::from_str(&packet[packet.find('{').expect("an object")..]).unwrap();
    json["sid"].as_str().expect("a sid").to_owned()
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Notify)>);

/// A builder of a server whose handlers find the log as their state.
pub fn logged() -> (Builder, Log) {
    let log = Log::default();
    (Server::builder().state(log.clone()), log)
}

/// A server that logs every disconnection.
pub fn watched(builder: Builder) -> Server {
    let io = builder.build();
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"));
    });
    io
}

impl Log {
    pub fn push(&self, line: impl Into<String>) {
        self.0.0.lock().push(line.into());
        self.0.1.notify_waiters();
    }

    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().clone()
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.0.lock())
    }

    pub fn len(&self) -> usize {
        self.0.0.lock().len()
    }

    /// Waits until so many lines are there; returns all.
    pub async fn wait(&self, lines: usize) -> Vec<String> {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let changed = self.0.1.notified();
                if self.len() >= lines {
                    return;
                }
                changed.await;
            }
        });
        assert!(waited.await.is_ok(), "{lines} lines expected, there are {:?}", self.all());
        self.all()
    }
}

/// Something that handlers wait for until the test lets them go on.
#[derive(Clone)]
pub struct Latch(Arc<Semaphore>);

impl Default for Latch {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Latch {
    pub async fn wait(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    /// Lets so many go on.
    pub fn open(&self, count: usize) {
        self.0.add_permits(count);
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

/// Lets every task that can go on do so, without time passing. For runtimes with one thread.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A random generator that is good enough to shake things up, and repeats itself.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
