//! Broadcasts are delivered by shards: one for each worker of the runtime, each with the sockets of its own sessions.
//!
//! A broadcast costs its caller one entry in each shard's queue, whatever the number of recipients. Who receives it is
//! settled at that moment, by snapshots, so that joins, leaves and emits of one thread take effect in their order.
//! Whatever else must not overtake a broadcast (a direct emit, a disconnect) goes through the same queue while it is
//! not empty, and takes the direct way otherwise.

mod line;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

use futures_util::FutureExt;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use wirebird_engine::{Outgoing, Session};

use crate::client::{Client, relieve};
use crate::guard;
use crate::load::Waiters;
use crate::members::Snapshot;
use crate::socket::SocketInner;
use line::{Line, Turn};

/// Operations that are delivered together: what they queue for one session goes out in one write.
const BATCH: usize = 32;
/// Deliveries after which a shard lets other tasks of its worker run.
const SLICE: usize = 256;

/// Shards that have something to do and nobody who does it yet.
pub(crate) type Begun = SmallVec<[usize; 8]>;

/// What a shard has to do, in order.
pub(crate) enum Op {
    /// An event for many sockets.
    Broadcast(Broadcast),
    /// An event for one socket that must not overtake a broadcast.
    Deliver(Arc<SocketInner>, Outgoing),
    /// Anything else that must not overtake a broadcast.
    Call(Box<dyn FnOnce() + Send>),
}

/// The part of a broadcast that one shard delivers.
pub(crate) struct Broadcast {
    /// A number that no other broadcast has.
    pub(crate) id: u64,
    pub(crate) message: Outgoing,
    pub(crate) volatile: bool,
    pub(crate) to: SmallVec<[Snapshot; 1]>,
    pub(crate) except: SmallVec<[Snapshot; 1]>,
}

pub(crate) struct Shards {
    shards: Box<[Arc<Shard>]>,
    pressure: Arc<Pressure>,
    runtime: OnceLock<Handle>,
    next: AtomicUsize,
}

pub(crate) struct Shard {
    line: Line<Op>,
    pressure: Arc<Pressure>,
    /// The server is gone.
    closed: AtomicBool,
}

/// How much waits in all shards, and who waits for it to get less.
struct Pressure {
    /// Bytes beyond which the clients that cause broadcasts are not read from.
    max: usize,
    bytes: AtomicUsize,
    clients: Waiters<Client>,
}

impl Pressure {
    fn add(&self, op: &Op) {
        self.bytes.fetch_add(op.bytes(), Ordering::AcqRel);
    }

    fn remove(&self, bytes: usize) {
        let left = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if left <= self.max / 2 {
            relieve(self.clients.take(), |listed| &mut listed.shards);
        }
    }

    fn is_high(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) > self.max
    }
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Self::Broadcast(broadcast) => broadcast.message.wire_len(),
            Self::Deliver(_, message) => message.wire_len(),
            Self::Call(_) => 0,
        }
    }
}

impl Shards {
    pub(crate) fn new(count: usize, max_waiting: usize) -> Self {
        let (bytes, clients) = (AtomicUsize::new(0), Waiters::default());
        let pressure = Arc::new(Pressure { max: max_waiting, bytes, clients });
        let shard = || {
            Arc::new(Shard {
                pressure: pressure.clone(),
                line: Line::default(),
                closed: AtomicBool::new(false),
            })
        };
        Self {
            shards: (0..count.max(1)).map(|_| shard()).collect(),
            pressure: pressure.clone(),
            runtime: OnceLock::new(),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// The shard for the next session.
    pub(crate) fn assign(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len()
    }

    /// Lets `runtime` deliver from now on; until then the callers do it themselves.
    pub(crate) fn attach(&self, runtime: &Handle) {
        if self.runtime.get().is_some() || self.runtime.set(runtime.clone()).is_err() {
            return;
        }
        for shard in &self.shards {
            runtime.spawn(run(shard.clone()));
        }
    }

    /// Whether nothing of `shard` is under way, so that the direct way is open.
    pub(crate) fn is_idle(&self, shard: usize) -> bool {
        self.shards[shard].line.is_idle()
    }

    /// Whether more waits than should. Whoever makes it more is to be slowed down: see [`Shards::wait`].
    pub(crate) fn is_overloaded(&self) -> bool {
        self.pressure.is_high()
    }

    /// Bytes of broadcasts that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.pressure.bytes.load(Ordering::Relaxed)
    }

    /// Relieves `client` when less waits.
    pub(crate) fn wait(&self, client: Weak<Client>) {
        self.pressure.clients.wait(client);
        // It may have become less meanwhile.
        if !self.is_overloaded() {
            self.pressure.remove(0);
        }
    }

    pub(crate) fn submit(&self, shard: usize, op: Op) {
        if self.enqueue(shard, op) {
            self.begin(shard);
        }
    }

    /// Queues an operation and calls nobody. Returns whether the caller is to [begin](Shards::begin).
    pub(crate) fn enqueue(&self, shard: usize, op: Op) -> bool {
        let shard = &self.shards[shard];
        shard.pressure.add(&op);
        shard.line.push(op)
    }

    /// Has what was queued delivered.
    pub(crate) fn begin(&self, shard: usize) {
        let shard = &self.shards[shard];
        if self.runtime.get().is_some() {
            shard.line.wake();
        } else {
            let mut turn = Turn::First;
            while let Some(batch) = shard.line.next_batch(turn, BATCH) {
                turn = Turn::Next;
                let whole = shard.deliver(batch, usize::MAX).now_or_never();
                debug_assert!(whole.is_some(), "a delivery in one slice does not wait");
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.closed.store(true, Ordering::Release);
            shard.line.wake();
        }
    }
}

impl Shard {
    /// Resolves when there is something to do, or with `false` when the server is gone.
    async fn waits_or_ends(&self, mut turn: Turn) -> bool {
        poll_fn(|cx| {
            let waits = self.line.poll_waits(std::mem::replace(&mut turn, Turn::First), cx);
            if self.closed.load(Ordering::Acquire) { Poll::Ready(false) } else { waits.map(|()| true) }
        })
        .await
    }

    /// Delivers a batch, and lets other tasks run after about `slice` deliveries.
    async fn deliver(&self, batch: VecDeque<Op>, slice: usize) {
        let (count, bytes) = (batch.len(), batch.iter().map(Op::bytes).sum());
        let mut delivery = Delivery::new(count > 1);
        let mut delivered = 0;
        for op in batch {
            let Op::Broadcast(broadcast) = op else {
                delivery.single(op);
                continue;
            };
            broadcast.exclude();
            for snapshot in &broadcast.to {
                for chunk in snapshot.chunks() {
                    delivery.chunk(&broadcast, chunk);
                    delivered += chunk.len();
                    if delivered >= slice {
                        delivered = 0;
                        tokio::task::yield_now().await;
                    }
                }
            }
            // The last reference to a socket may be in it, and with that values of the application.
            guard("delivery", || drop(broadcast));
        }
        delivery.finish();
        self.line.delivered(count);
        self.pressure.remove(bytes);
    }
}

/// The task of a shard: ends with the server.
async fn run(shard: Arc<Shard>) {
    let (mut joined, mut turn) = (false, Turn::First);
    while shard.waits_or_ends(turn).await {
        // Several are under way at a time: what has come in on other connections by now goes out in the same writes.
        if joined {
            tokio::task::yield_now().await;
        }
        turn = Turn::First;
        if let Some(batch) = shard.line.next_batch(turn, BATCH) {
            joined = batch.len() > 1;
            shard.deliver(batch, SLICE).await;
            turn = Turn::Next;
        }
    }
}

impl Broadcast {
    fn marks(&self) -> bool {
        self.to.len() > 1 || !self.except.is_empty()
    }

    fn exclude(&self) {
        for socket in self.except.iter().flat_map(Snapshot::iter) {
            socket.mark(self.id);
        }
    }
}

/// Delivers a batch. With several operations in it, what they queue is sent at the end, session by session.
struct Delivery {
    joined: bool,
    owed: Vec<Arc<Session>>,
}

impl Delivery {
    fn new(joined: bool) -> Self {
        Self { joined, owed: Vec::new() }
    }

    fn chunk(&mut self, broadcast: &Broadcast, sockets: &[Option<Arc<SocketInner>>]) {
        let marks = broadcast.marks();
        for socket in sockets.iter().flatten() {
            if marks && !socket.mark(broadcast.id) {
                continue;
            }
            if broadcast.volatile {
                guard("delivery", || {
                    socket.deliver_volatile(&broadcast.message);
                });
            } else {
                self.one(socket, broadcast.message.clone());
            }
        }
    }

    fn single(&mut self, op: Op) {
        match op {
            Op::Deliver(socket, message) => {
                self.one(&socket, message);
                guard("delivery", || drop(socket));
            }
            Op::Call(call) => guard("delivery", call),
            Op::Broadcast(_) => {}
        }
    }

    fn one(&mut self, socket: &Arc<SocketInner>, message: Outgoing) {
        // What a delivery wakes may be code of the application.
        guard("delivery", || {
            if !self.joined {
                let _ = socket.deliver(message);
            } else if socket.deliver_later(message) {
                self.owed.push(socket.session.clone());
            }
        });
    }

    fn finish(self) {
        for session in self.owed {
            guard("delivery", || session.flush());
        }
    }
}
