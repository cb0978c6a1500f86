//! Options of TCP connections: packets go out at once, and a peer that is gone without a word is found by the kernel.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::config::Config;

/// How often a silent peer is asked at least before the connection ends: an outage in between costs nothing.
const QUESTIONS: u32 = 10;
/// The kernel counts in seconds, and takes no more than so many.
const SECOND: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(32_767);
/// Bytes that the kernel takes beyond what is on its way.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT: u32 = 128 << 10;

/// For connections with requests of HTTP. A peer that is gone has as long as its session, ping interval and timeout, or
/// `write_timeout` if that is more. If nothing is on its way it is asked near the end. Linux hands these options from a listener
/// on to what that accepts.
pub(crate) fn for_requests(socket: &SockRef<'_>, config: &Config) {
    let apart = Duration::from_secs((config.ping_timeout / QUESTIONS).as_secs()).clamp(SECOND, MOST);
    let first = silence(config).saturating_sub(apart * QUESTIONS).clamp(SECOND, MOST);
    let _ = socket.set_tcp_keepalive(&keepalive(first, apart));
    let _ = socket.set_tcp_nodelay(true);
    give_up_after(socket, silence(config).max(config.write_timeout));
    keep_little(socket);
}

/// Whether [`for_requests`] has been called for this socket, or for the listener that has handed its options on.
pub(crate) fn is_prepared(socket: &SockRef<'_>) -> bool {
    socket.keepalive().unwrap_or(false)
}

/// For a connection that may carry a WebSocket: what is too slow to be taken is ended by `write_timeout`, which says so, before the
/// kernel ends it.
pub(crate) fn for_websocket(socket: &SockRef<'_>, config: &Config) {
    let _ = socket.set_tcp_nodelay(true);
    give_up_after(socket, silence(config).max(config.write_timeout * 2));
    keep_little(socket);
}

/// How long a client may be silent: a whole number of seconds.
fn silence(config: &Config) -> Duration {
    Duration::from_secs((config.ping_interval + config.ping_timeout).as_secs()).max(SECOND)
}

fn keepalive(first: Duration, apart: Duration) -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(first);
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "windows",
        target_vendor = "apple"
    ))]
    let keepalive = keepalive.with_interval(apart).with_retries(QUESTIONS);
    let _ = apart;
    keepalive
}

/// The kernel takes little beyond what is on its way. With room for megabytes, a client that reads slowly would take nothing for
/// long, as it looks to whoever writes, and what waits for it would not be counted.
fn keep_little(socket: &SockRef<'_>) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = socket;
}

/// What the peer does not take is kept for so long, also after the connection has been closed.
fn give_up_after(socket: &SockRef<'_>, time: Duration) {
    let time = time.min(Duration::from_millis(i32::MAX as u64));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_user_timeout(Some(time));
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (socket, time);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What the kernel gives a peer, in seconds: a silent one until it is asked first, and between two questions; one that takes
    /// nothing, while it makes requests and while it has a WebSocket.
    async fn times(interval: u64, timeout: u64, write_timeout: u64) -> [u64; 4] {
        let config = Config {
            ping_interval: Duration::from_millis(interval),
            ping_timeout: Duration::from_millis(timeout),
            write_timeout: Duration::from_millis(write_timeout),
            ..Config::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _early = TcpStream::connect(address).await.unwrap();
        let (early, _) = listener.accept().await.unwrap();
        for_requests(&SockRef::from(&listener), &config);
        assert!(!is_prepared(&SockRef::from(&early)), "it was there before");
        let _client = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(is_prepared(&accepted) && accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
        let asked = accepted.tcp_keepalive_time().unwrap();
        let apart = accepted.tcp_keepalive_interval().unwrap();
        let taken = accepted.tcp_user_timeout().unwrap().unwrap();
        for_websocket(&accepted, &config);
        let websocket = accepted.tcp_user_timeout().unwrap().unwrap();
        [asked, apart, taken, websocket].map(|time| time.as_secs())
    }

    /// F-SEC-01: without a word of its peer a connection ends within interval and timeout, or `write_timeout` if that is more.
    #[tokio::test]
    async fn the_kernel_ends_connections_whose_peer_is_gone() {
        assert_eq!(times(25_000, 20_000, 30_000).await, [25, 2, 45, 60]);
        assert_eq!(times(25_500, 20_400, 100).await, [25, 2, 45, 45]);
        assert_eq!(times(1_000, 2_000, 2_000).await, [1, 1, 3, 4]);
        assert_eq!(times(50, 50, 50).await, [1, 1, 1, 1]);
        assert_eq!(times(25_000, 20_000, 60_000).await, [25, 2, 60, 120]);
        let longest = 32_767;
        assert_eq!(times(86_400_000_000, 86_400_000_000, 50).await, [longest, longest, 2_147_483, 2_147_483]);
    }
}
