//! A cluster within one process.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Adapter, Local, Operation};

/// Servers of one process as a cluster: for tests, and as the model of an adapter.
#[derive(Debug, Clone, Default)]
pub struct MemoryCluster {
    members: Arc<Mutex<Vec<Local>>>,
}

impl MemoryCluster {
    /// A cluster without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// An adapter for one more server.
    pub fn adapter(&self) -> impl Adapter + use<> {
        Member { cluster: self.clone(), own: Mutex::new(None) }
    }
}

struct Member {
    cluster: MemoryCluster,
    own: Mutex<Option<Local>>,
}

impl Member {
    fn others(&self) -> Vec<Local> {
        let Some(own) = self.own.lock().clone() else { return Vec::new() };
        self.cluster.members.lock().iter().filter(|other| !other.is_same(&own)).cloned().collect()
    }
}

impl Adapter for Member {
    fn attach(&self, local: Local) {
        *self.own.lock() = Some(local.clone());
        self.cluster.members.lock().push(local);
    }

    fn publish(&self, operation: Operation) {
        for other in self.others() {
            if let Err(error) = other.apply(operation.clone()) {
                tracing::warn!(target: "wirebird::socketio", %error, "an operation of another server failed");
            }
        }
    }

    fn others(&self) -> Option<usize> {
        Some(self.others().len())
    }

    fn close(&self) {
        if let Some(own) = self.own.lock().take() {
            self.cluster.members.lock().retain(|other| !other.is_same(&own));
        }
    }
}
