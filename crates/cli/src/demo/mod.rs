//! `wirebird demo`: one process with a chat server and its page.

mod assets;
mod chat;
mod events;
mod rules;

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use wirebird::Server;

use crate::args::DemoArgs;

/// How long clients may take to receive what is queued for them when the server ends.
const CLOSE_DEADLINE: Duration = Duration::from_millis(1500);
const EVERYWHERE: &str = "and under this machine's other addresses; ";

/// Serves the chat until the process is asked to end. An error is a line for the user.
pub(crate) fn run(options: &DemoArgs) -> Result<(), String> {
    log(options.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the threads of the server cannot be started: {error}"))?;
    runtime.block_on(serve(options))
}

async fn serve(options: &DemoArgs) -> Result<(), String> {
    let host = options.host.trim_matches(['[', ']']);
    let listener = TcpListener::bind((host, options.port)).await;
    let listener = listener.map_err(|error| cannot_listen(&error, host, options.port))?;
    let address = listener.local_addr().map_err(|error| cannot_listen(&error, host, options.port))?;
    // Before the address is told: whoever reads it may end the process right away.
    let signals = Signals::new().map_err(|error| format!("Ctrl-C cannot be handled: {error}"))?;
    announce(address);

    let io = events::server();
    let window = Duration::from_secs(options.drain.into());
    let closing = tokio::spawn(drain_after(signals, io.clone(), window));
    let served = io.serve_with_fallback(listener, assets::Page::of(&io)).await;
    served.map_err(|error| format!("the server cannot go on: {error}"))?;
    closing.await.map_err(|error| format!("the server did not close cleanly: {error}"))
}

/// Sends everybody away when the process is asked to end, and at once when it is asked again.
async fn drain_after(mut signals: Signals, io: Server, window: Duration) {
    signals.next().await;
    tokio::select! {
        () = io.drain_within(window, window + CLOSE_DEADLINE) => {}
        () = signals.next() => io.close_within(CLOSE_DEADLINE).await,
    }
}

/// What asks the process to end. From the moment it is made, that ends the process in no other way.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(windows)]
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Resolves when it does so the next time.
    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}

/// The one line on stdout. Whoever started the server may have closed it; that is no reason to end.
fn announce(address: SocketAddr) {
    let port = address.port();
    let (shown, note) = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), EVERYWHERE),
        IpAddr::V6(ip) if ip.is_unspecified() => (SocketAddr::from((Ipv6Addr::LOCALHOST, port)), EVERYWHERE),
        _ => (address, ""),
    };
    let _ = writeln!(io::stdout(), "Wirebird chat on http://{shown} ({note}Ctrl-C ends it)");
}

fn cannot_listen(error: &io::Error, host: &str, port: u16) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {port} of {host} is taken: end the program that listens there, or choose another with --port \
             (0 takes a free one)"
        ),
        ErrorKind::PermissionDenied => {
            format!(
                "there is no permission to listen on port {port}: choose one of 1024 and above with --port"
            )
        }
        ErrorKind::AddrNotAvailable => {
            format!(
                "{host} is no address of this machine: choose one with --host, such as 127.0.0.1 or 0.0.0.0"
            )
        }
        _ => {
            format!("cannot listen on port {port} of {host:?}: {error}; choose others with --port and --host")
        }
    }
}

fn log(verbose: bool) {
    let level = if verbose { tracing::Level::DEBUG } else { tracing::Level::WARN };
    // Internal errors are written to stderr in a way that panics when nothing can be written there.
    let log = tracing_subscriber::fmt().with_max_level(level).log_internal_errors(false);
    log.with_writer(io::stderr).with_ansi(false).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_cannot_listen_is_told_what_to_do() {
        for kind in
            [ErrorKind::AddrInUse, ErrorKind::PermissionDenied, ErrorKind::AddrNotAvailable, ErrorKind::Other]
        {
            let line = cannot_listen(&kind.into(), "127.0.0.1", 80);
            assert!(line.contains("--port") || line.contains("--host"), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
