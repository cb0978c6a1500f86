//! A set of sockets that can be looked at as it was at one moment, for the price of a reference count.
//!
//! Members sit in chunks that are shared with the snapshots taken of them and copied when they change while a
//! snapshot is alive. A member keeps its place until it leaves, so leaving needs no search.

use std::sync::Arc;

use crate::socket::SocketInner;

/// Members of a chunk: what joining or leaving copies at most while a broadcast is on its way.
const CHUNK: usize = 64;

type Chunk = Arc<Vec<Option<Arc<SocketInner>>>>;

#[derive(Default)]
pub(crate) struct Members {
    chunks: Arc<Vec<Chunk>>,
    free: Vec<u32>,
    len: usize,
}

/// The members at one moment.
#[derive(Clone, Default)]
pub(crate) struct Snapshot(Arc<Vec<Chunk>>);

impl Members {
    /// Adds a member and says where it sits.
    pub(crate) fn insert(&mut self, socket: Arc<SocketInner>) -> u32 {
        self.len += 1;
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(place) = self.free.pop() {
            let at = place as usize;
            Arc::make_mut(&mut chunks[at / CHUNK])[at % CHUNK] = Some(socket);
            return place;
        }
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(Some(socket)),
            _ => chunks.push(Arc::new(vec![Some(socket)])),
        }
        ((chunks.len() - 1) * CHUNK + chunks[chunks.len() - 1].len() - 1) as u32
    }

    /// Removes the member at a place.
    pub(crate) fn remove(&mut self, place: u32) {
        let at = place as usize;
        let chunks = Arc::make_mut(&mut self.chunks);
        if Arc::make_mut(&mut chunks[at / CHUNK])[at % CHUNK].take().is_none() {
            return;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else {
            self.free.push(place);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.chunks.clone())
    }
}

impl Snapshot {
    /// A snapshot of one socket.
    pub(crate) fn of(socket: Arc<SocketInner>) -> Self {
        Self(Arc::new(vec![Arc::new(vec![Some(socket)])]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[Option<Arc<SocketInner>>]> {
        self.0.iter().map(|chunk| chunk.as_slice())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<SocketInner>> {
        self.chunks().flatten().flatten()
    }
}
