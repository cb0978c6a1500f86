use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::error::Error;
use crate::event_layer::{EventLayer, Next};
use crate::extract::EventContext;
use crate::guard::clipped;
use crate::reply::Reply;
use crate::socket::SocketInner;

/// Limits how many events of one socket pass in a time.
///
/// It is a token bucket: a socket may send as many events at once as it holds, and gets new ones evenly, so many per
/// duration. Each `RateLimit` counts for itself, whatever it is put around: one handler, a namespace, the server. It counts
/// for each socket apart; a client has one socket in every namespace it is connected to. What is kept for a socket, two
/// words, is gone with the socket.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Nanoseconds in which one event is earned.
    interval: u64,
    /// Nanoseconds in which the bucket is filled.
    depth: u64,
    beyond: Beyond,
    /// Tells its buckets from those of other limits. Clones are the same limit.
    key: Arc<()>,
}

/// What [`RateLimit`] does with events that are too many. None of them reaches its handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beyond {
    /// They fail with [`RateLimited`]. Without an error handler that is one line in the log for each.
    #[default]
    Refuse,
    /// They are passed over, without an acknowledgement.
    Drop,
    /// The socket is disconnected.
    Disconnect,
}

impl RateLimit {
    /// So many events per duration, and as many at once.
    ///
    /// # Panics
    /// When either is zero.
    pub fn new(events: u32, per: Duration) -> Self {
        assert!(events > 0 && !per.is_zero(), "a rate limit of {events} events in {per:?} lets nothing pass");
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let interval = per / u64::from(events);
        Self { interval, depth: per, beyond: Beyond::default(), key: Arc::default() }
    }

    /// How many events may come at once. Default: those of one duration.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub fn burst(mut self, events: u32) -> Self {
        assert!(events > 0, "a burst of no events lets nothing pass");
        self.depth = self.interval.saturating_mul(events.into());
        self
    }

    /// What happens to events that are too many. Default: they are errors.
    #[must_use]
    pub fn beyond(mut self, beyond: Beyond) -> Self {
        self.beyond = beyond;
        self
    }

    /// Takes one event out of the socket's bucket; `false` if there is none.
    fn take(&self, socket: &SocketInner) -> bool {
        let now = socket.session.engine().now().saturating_mul(1_000_000);
        socket
            .with_data(|data| {
                let buckets: &mut Buckets = data.get_or_insert_default();
                let bucket = match buckets.0.iter_mut().position(|bucket| Arc::ptr_eq(&bucket.key, &self.key))
                {
                    Some(at) => &mut buckets.0[at],
                    None => {
                        buckets.0.push(Bucket { key: self.key.clone(), full_at: 0 });
                        buckets.0.last_mut()?
                    }
                };
                let full_at = bucket.full_at.max(now).saturating_add(self.interval);
                (full_at - now <= self.depth).then(|| bucket.full_at = full_at)
            })
            .is_some()
    }
}

impl EventLayer for RateLimit {
    async fn call(&self, event: EventContext, next: Next) -> Result<Reply, Error> {
        if self.take(&event.socket().0) {
            return next.run(event).await;
        }
        match self.beyond {
            Beyond::Refuse => return Err(RateLimited.into()),
            Beyond::Drop => {}
            Beyond::Disconnect => event.socket().disconnect(),
        }
        tracing::debug!(
            target: "wirebird::socketio",
            nsp = event.socket().namespace().name(), sid = %event.socket().id(), event = clipped(event.event()),
            beyond = ?self.beyond, "a socket sends too many events"
        );
        Ok(Reply::none())
    }
}

/// The buckets of one socket, kept with its session.
#[derive(Clone, Default)]
struct Buckets(SmallVec<[Bucket; 1]>);

#[derive(Clone)]
struct Bucket {
    key: Arc<()>,
    /// When it will be full again, in nanoseconds of the engine's clock: the later, the less is in it.
    full_at: u64,
}

/// The error of [`RateLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimited;

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the socket sends too many events")
    }
}

impl std::error::Error for RateLimited {}
