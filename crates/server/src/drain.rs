//! Draining: a server that is to be replaced sends its clients away one after another, rather than all at once.
//!
//! Serving, draining, closed: there is no way back. A client is sent away when its turn has come and nothing is under way
//! between it and its handlers; whoever is still there at the deadline is closed as by [`Server::close`].

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wirebird_engine::{CloseReason, Session};

use crate::core::Core;
use crate::server::{CLOSE_DEADLINE, Server, Signals};
use crate::shard::Op;

/// How often it is looked whether clients whose turn has come have nothing under way any more.
const LOOK: Duration = Duration::from_millis(10);

impl Server {
    /// Takes the server out of service without a jolt: no new connections from now on ([`Server::is_ready`] is false, and
    /// clients that try get 503 with `Retry-After`), and those that are there are closed one after another, spread evenly
    /// over `window` with some jitter. Then it closes the server as [`Server::close`] does, which ends
    /// [`Server::serve`].
    ///
    /// A client goes on as ever until its turn has come. Then it is waited for until its handlers are done, until the
    /// acknowledgements that either side owes are there, and until what is queued for it is out, but no longer than 5 s after
    /// the window. Clients see their transport closed, and the official ones connect anew, to another server if the
    /// balancer asks [`Server::ready`]; disconnect handlers get
    /// [`DisconnectReason::ServerShutdown`](crate::DisconnectReason::ServerShutdown). An application that wants to tell its
    /// clients before emits an event first, or when [`Server::draining`] resolves.
    ///
    /// With [recovery](crate::Builder::connection_state_recovery), clients that were cut off and may come back do not hold it up:
    /// they get 503 like all others, and another server connects them anew, so that
    /// [`Socket::recovered`](crate::Socket::recovered) is false there.
    ///
    /// With a window of zero all turns come at once. May be called again, also by others: the shorter window counts, and
    /// [`Server::close`] ends it. When the future is dropped, the server goes on draining without closing anybody: call
    /// this or `close` again. A handler that awaits it waits for itself, up to the deadline.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn f(io: wirebird::Server) {
    /// io.emit("restarting", "back in a moment").ok();
    /// io.drain(Duration::from_secs(30)).await;
    /// # }
    /// ```
    pub async fn drain(&self, window: Duration) {
        self.drain_within(window, window.saturating_add(CLOSE_DEADLINE)).await;
    }

    /// As [`Server::drain`], with another deadline for everything, counted from the call.
    pub async fn drain_within(&self, window: Duration, deadline: Duration) {
        let begun = Instant::now();
        self.engine().begin_drain();
        tracing::info!(
            target: "wirebird::socketio",
            sessions = self.engine().session_count(), ?window, "draining"
        );
        // Without a runtime there is no time to spread anything over.
        let left = if tokio::runtime::Handle::try_current().is_ok() {
            let end = begun + deadline.min(Duration::from_secs(365 * 24 * 60 * 60));
            tokio::select! {
                () = self.send_away(begun, window.min(deadline), end) => {}
                () = self.engine().closing() => {}
            }
            end.saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        };
        self.close_within(left).await;
    }

    /// Closes everybody in turn. Resolves when that is done, or at `end`.
    async fn send_away(&self, begun: Instant, window: Duration, end: Instant) {
        let mut turns = turns(&self.engine().sessions(), begun, window);
        let mut due: Vec<Weak<Session>> = Vec::new();
        loop {
            let now = Instant::now();
            while turns.front().is_some_and(|(at, _)| *at <= now) {
                due.extend(turns.pop_front().map(|(_, session)| session));
            }
            due.retain(|session| !self.core().send_away(session));
            let next = match (due.is_empty(), turns.front()) {
                (true, None) => return,
                (true, Some((at, _))) => *at,
                (false, turn) => turn.map_or(now + LOOK, |(at, _)| (now + LOOK).min(*at)),
            };
            if now >= end {
                return;
            }
            tokio::select! {
                () = sleep_until(next.min(end)) => {}
                () = self.engine().emptied() => return,
            }
        }
    }

    /// Whether new clients are let in: neither draining nor closing. What balancers ask by [`Server::ready`].
    pub fn is_ready(&self) -> bool {
        !self.engine().is_draining()
    }

    /// Resolves when the server begins to drain or to close: the moment to tell clients, or others, of it.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.engine().draining()
    }

    /// As [`Server::shutdown_on_signal`], but the server is [drained](Server::drain) over `window` first:
    /// `tokio::spawn(io.drain_on_signal(window))`. A second signal closes it at once.
    pub fn drain_on_signal(&self, window: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut signals = Signals::new();
        let this = self.clone();
        async move {
            signals.next().await;
            tokio::select! {
                () = this.drain(window) => {}
                () = signals.next() => this.stop(),
            }
        }
    }
}

impl Core {
    /// Closes a client that has nothing under way; `false` when it has.
    fn send_away(&self, session: &Weak<Session>) -> bool {
        let Some(session) = session.upgrade().filter(|session| session.is_open()) else { return true };
        if !Self::sockets_in(&session).iter().all(|socket| socket.0.is_quiet()) {
            return false;
        }
        let shard = Self::shard_of(&session);
        match shard.filter(|shard| !self.shards.is_idle(*shard)) {
            // Broadcasts of before are on their way to it.
            Some(shard) => self
                .shards
                .submit(shard, Op::Call(Box::new(move || session.close(CloseReason::ServerShutdown)))),
            None => crate::guard("drain", || session.close(CloseReason::ServerShutdown)),
        }
        true
    }
}

/// Who is closed when: each in its own part of the window, somewhere in it.
fn turns(sessions: &[Arc<Session>], begun: Instant, window: Duration) -> VecDeque<(Instant, Weak<Session>)> {
    let part = window.div_f64(sessions.len().max(1) as f64);
    let random = RandomState::new();
    let at = |index: usize| {
        let jitter = random.hash_one(index) as f64 / u64::MAX as f64;
        begun + part.mul_f64(index as f64 + jitter).min(window)
    };
    sessions.iter().enumerate().map(|(index, session)| (at(index), Arc::downgrade(session))).collect()
}
