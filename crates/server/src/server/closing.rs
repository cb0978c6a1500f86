//! The end of a server.

use std::future::Future;
use std::time::Duration;

use super::Server;

/// How long [`Server::close`] waits for clients to take what is queued for them.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The end.
impl Server {
    /// Resolves when the server begins to close, for those who want to stop early.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        self.engine.closing()
    }

    /// Closes all connections with the reason `server shutting down`, lets them take what is queued for up to 5 s, and
    /// ends [`Server::serve`]. No handler is called afterwards, and what [`Server::spawn`] runs is cancelled. Idempotent.
    ///
    /// A route of an application that the server listens for waits for its own answer when it awaits this, up to the
    /// deadline: let it spawn the call.
    pub async fn close(&self) {
        self.close_within(CLOSE_DEADLINE).await;
    }

    /// As [`Server::close`], with another deadline.
    pub async fn close_within(&self, deadline: Duration) {
        self.engine.begin_close();
        // Without a runtime there is nobody to wait for.
        if tokio::runtime::Handle::try_current().is_ok() {
            let _ = tokio::time::timeout(deadline, self.emptied()).await;
        }
        self.stop();
    }

    /// As [`Server::close_within`], for a thread outside the runtime. Must not be called from a handler.
    pub fn close_blocking(&self, deadline: Duration) {
        match self.engine.runtime() {
            Some(runtime) => {
                let this = self.clone();
                let (done, wait) = std::sync::mpsc::channel();
                runtime.spawn(async move {
                    this.close_within(deadline).await;
                    let _ = done.send(());
                });
                // The runtime may be gone already; then there is nothing to wait for, but still something to end.
                let _ = wait.recv_timeout(deadline.saturating_add(Duration::from_secs(1)));
                self.stop();
            }
            None => {
                self.engine.begin_close();
                self.stop();
            }
        }
    }

    /// Resolves when the server has closed: every disconnect handler has run, or has had its time.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let core = self.root.core.clone();
        async move { core.stopped().await }
    }

    /// Resolves when no connection is left, every disconnect handler has run, and the application behind the listener has
    /// answered its requests.
    async fn emptied(&self) {
        self.engine.emptied().await;
        while self.root.core.has_sockets() || self.engine.has_other_requests() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn stop(&self) {
        self.engine.stop();
        self.root.core.stop();
        if let Some(adapter) = self.root.core.adapter.get() {
            crate::guard("adapter", || adapter.close());
        }
    }

    /// Closes the server when the process is asked to end (Ctrl-C, or SIGTERM on Unix), which ends [`Server::serve`] and
    /// its kin: `tokio::spawn(io.shutdown_on_signal())`. Signals are waited for from the call on; a second one ends the
    /// wait for clients. Where somebody else listens: `axum::serve(..).with_graceful_shutdown(io.shutdown_on_signal())`.
    /// Must be called inside a tokio runtime.
    pub fn shutdown_on_signal(&self) -> impl Future<Output = ()> + Send + 'static {
        self.shutdown_on_signal_within(CLOSE_DEADLINE)
    }

    /// As [`Server::shutdown_on_signal`], with another deadline for the clients.
    pub fn shutdown_on_signal_within(&self, deadline: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut signals = Signals::new();
        let this = self.clone();
        async move {
            signals.next().await;
            tokio::select! {
                () = this.close_within(deadline) => {}
                () = signals.next() => this.stop(),
            }
        }
    }
}

/// The signals by which a process is asked to end.
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        // A signal that cannot be waited for is not waited for.
        Self { streams: kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect() }
    }

    pub(crate) async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let came = self.streams.iter_mut().any(|stream| stream.poll_recv(cx).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
