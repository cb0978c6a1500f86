//! Broadcasts: one task for each core writes to its own members, and joins what has piled up into one write for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use limit::wire::Role;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Operations that are handled together.
const BATCH: usize = 32;

enum Op {
    Join(Role, usize, Arc<OwnedWriteHalf>),
    Leave(Role, usize),
    Cast(Role, Arc<[u8]>),
}

pub(crate) struct Shards {
    senders: Vec<UnboundedSender<Op>>,
    next: AtomicUsize,
}

impl Shards {
    pub(crate) fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        let start = |_| {
            let (sender, receiver) = unbounded_channel();
            tokio::spawn(run(receiver));
            sender
        };
        Self { senders: (0..cores).map(start).collect(), next: AtomicUsize::new(0) }
    }

    /// Makes a connection a member; it has a number from then on.
    pub(crate) fn join(&self, role: Role, write: &Arc<OwnedWriteHalf>) -> Option<usize> {
        if role == Role::Mirror {
            return None;
        }
        let member = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(member, Op::Join(role, member, write.clone()));
        Some(member)
    }

    pub(crate) fn leave(&self, role: Role, member: usize) {
        self.send(member, Op::Leave(role, member));
    }

    fn send(&self, member: usize, op: Op) {
        let _ = self.senders[member % self.senders.len()].send(op);
    }

    pub(crate) fn cast(&self, to: Role, frame: Arc<[u8]>) {
        for sender in &self.senders {
            let _ = sender.send(Op::Cast(to, frame.clone()));
        }
    }
}

#[derive(Default)]
struct Shard {
    everybody: HashMap<usize, Arc<OwnedWriteHalf>>,
    rooms: HashMap<usize, HashMap<usize, Arc<OwnedWriteHalf>>>,
}

impl Shard {
    fn members(&mut self, role: Role) -> &mut HashMap<usize, Arc<OwnedWriteHalf>> {
        match role {
            Role::Room(room) => self.rooms.entry(room).or_default(),
            _ => &mut self.everybody,
        }
    }
}

async fn run(mut receiver: UnboundedReceiver<Op>) {
    let mut shard = Shard::default();
    let mut ops = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut ops, BATCH).await > 0 {
        let mut writes: Vec<(Role, Vec<u8>)> = Vec::new();
        for op in ops.drain(..) {
            match op {
                Op::Join(role, member, write) => drop(shard.members(role).insert(member, write)),
                Op::Leave(role, member) => drop(shard.members(role).remove(&member)),
                Op::Cast(to, frame) => match writes.iter_mut().find(|(role, _)| *role == to) {
                    Some((_, bytes)) => bytes.extend_from_slice(&frame),
                    None => writes.push((to, frame.to_vec())),
                },
            }
        }
        for (to, bytes) in writes {
            for write in shard.members(to).values() {
                let _ = crate::write_all(write, &bytes).await;
            }
        }
    }
}
