//! Counting what happens: plain atomics, touched when sessions come and go and when something is refused, and a
//! [`Tally`] of messages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use parking_lot::Mutex;

use crate::limit::Limit;
use crate::reason::CloseReason;
use crate::refusal::Cause;
use crate::tally::Tally;
use crate::transport::TransportKind;

/// What is counted for each of some kinds.
#[derive(Debug)]
struct Each<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Each<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Each<N> {
    fn add(&self, at: usize) {
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> [u64; N] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}

const KINDS: usize = TransportKind::ALL.len();
const REASONS: usize = CloseReason::ALL.len();

/// The counters of an engine.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    limits: Each<{ Limit::COUNT }>,
    opened: Each<KINDS>,
    upgraded: Each<KINDS>,
    /// By the transport that they were on at last.
    gone: Each<KINDS>,
    closed: Each<REASONS>,
    dropped: AtomicU64,
    conflated: AtomicU64,
    /// Bytes of messages of clients; messages for clients, their bytes.
    traffic: Tally<3>,
    /// By name of the cause. Refusing takes far longer than this lock.
    refused: Mutex<BTreeMap<&'static str, Refused>>,
}

/// Requests that were refused for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The name of the [`Cause`].
    pub cause: &'static str,
    /// The HTTP status of the answer.
    pub status: StatusCode,
    /// The Engine.IO error code, if there is one for it.
    pub code: Option<u8>,
    /// How many.
    pub count: u64,
}

impl Counters {
    pub(crate) fn limit(&self, limit: Limit) {
        self.limits.add(limit as usize);
    }

    pub(crate) fn opened(&self, kind: TransportKind) {
        self.opened.add(kind as usize);
    }

    /// A session has moved there from polling.
    pub(crate) fn upgraded(&self, to: TransportKind) {
        self.upgraded.add(to as usize);
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        self.closed.add(reason as usize);
    }

    /// Nothing is left of a session.
    pub(crate) fn gone(&self, kind: TransportKind) {
        self.gone.add(kind as usize);
    }

    pub(crate) fn dropped(&self, messages: usize) {
        if messages > 0 {
            self.dropped.fetch_add(messages as u64, Ordering::Relaxed);
        }
    }

    /// A client has sent a message.
    #[inline]
    pub(crate) fn received(&self, bytes: usize) {
        self.traffic.add(0, [bytes as u64]);
    }

    /// A message is handed to the queue of a client.
    #[inline]
    pub(crate) fn sent(&self, bytes: usize) {
        self.traffic.add(1, [1, bytes as u64]);
    }

    /// A newer message has taken the place of another.
    pub(crate) fn conflated(&self) {
        self.conflated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped_messages(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self, cause: &Cause) {
        let (status, code) = (cause.status(), cause.code());
        let first = Refused { cause: cause.name(), status, code, count: 0 };
        self.refused.lock().entry(cause.name()).or_insert(first).count += 1;
    }

    pub(crate) fn snapshot(&self) -> Metrics {
        // Those that are gone first: a session that ends meanwhile is not counted as less than none.
        let (gone, closed) = (self.gone.get(), self.closed.get());
        Metrics {
            gone,
            closed,
            upgraded: self.upgraded.get(),
            opened: self.opened.get(),
            limits: self.limits.get(),
            dropped: self.dropped_messages(),
            conflated: self.conflated.load(Ordering::Relaxed),
            traffic: self.traffic.sums(),
            refused: self.refused.lock().values().copied().collect(),
        }
    }
}

/// What an engine has counted since it was made, at one moment. Numbers may be apart by what happened while they were
/// read.
#[derive(Debug, Clone)]
pub struct Metrics {
    limits: [u64; Limit::COUNT],
    opened: [u64; KINDS],
    upgraded: [u64; KINDS],
    gone: [u64; KINDS],
    closed: [u64; REASONS],
    dropped: u64,
    conflated: u64,
    traffic: [u64; 3],
    refused: Vec<Refused>,
}

impl Metrics {
    /// How often clients have run into a limit.
    pub fn limit(&self, limit: Limit) -> u64 {
        self.limits[limit as usize]
    }

    /// Sessions at present, on all transports, those that still send their last packets included.
    pub fn sessions(&self) -> u64 {
        TransportKind::ALL.iter().map(|kind| self.sessions_on(*kind)).sum()
    }

    /// Sessions at present on one transport.
    pub fn sessions_on(&self, transport: TransportKind) -> u64 {
        let at = transport as usize;
        let came = self.opened[at] + self.upgraded[at];
        let left = if transport == TransportKind::Polling { self.upgrades() } else { 0 };
        came.saturating_sub(left + self.gone[at])
    }

    /// Sessions that were opened on one transport.
    pub fn opened(&self, transport: TransportKind) -> u64 {
        self.opened[transport as usize]
    }

    /// Sessions that ended for one reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Sessions that moved from polling to another transport.
    pub fn upgrades(&self) -> u64 {
        self.upgraded.iter().sum()
    }

    /// Bytes of the messages that clients have sent, without what transports add, and decompressed.
    pub fn received_bytes(&self) -> u64 {
        self.traffic[0]
    }

    /// Messages for clients: what goes to a thousand counts a thousand times, also where it is dropped later.
    pub fn sent_messages(&self) -> u64 {
        self.traffic[1]
    }

    /// Bytes of those, as WebSocket frames that are not compressed.
    pub fn sent_bytes(&self) -> u64 {
        self.traffic[2]
    }

    /// Messages that were dropped or refused because a client reads too slowly, volatile ones included.
    pub fn dropped_messages(&self) -> u64 {
        self.dropped
    }

    /// Messages in whose place a newer one with the same key went out: see [`Outgoing::conflated`](crate::Outgoing::conflated).
    pub fn conflated_messages(&self) -> u64 {
        self.conflated
    }

    /// The requests that were refused, by cause; causes that there was none of are left out.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}
