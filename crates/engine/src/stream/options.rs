//! Options of TCP connections: packets go out at once, and a peer that is gone without a word is found by the kernel.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::config::Config;

/// The kernel counts in seconds, and takes no more than so many.
const SECOND: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(32_767);

/// For connections with requests of HTTP. A peer that is gone has as long as a pong may take, or what is written if that is
/// more, whether the connection is silent or has something to deliver: a silent peer is asked twice in that time. Linux hands
/// these options from a listener on to what that accepts.
pub(crate) fn for_requests(socket: &SockRef<'_>, config: &Config) {
    let time = Duration::from_secs(config.ping_timeout.max(config.write_timeout).as_secs()).max(SECOND);
    let keepalive = TcpKeepalive::new()
        .with_time((time / 2).clamp(SECOND, MOST))
        .with_interval((time / 4).clamp(SECOND, MOST));
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(true);
    give_up_after(socket, time);
}

/// For a connection with a WebSocket, whose life its heartbeat and `write_timeout` decide: the kernel's time is longer than
/// theirs, so that they say why it ends, and it asks nothing by itself.
pub(crate) fn for_websocket(socket: &SockRef<'_>, config: &Config) {
    let _ = socket.set_keepalive(false);
    let _ = socket.set_tcp_nodelay(true);
    give_up_after(socket, (config.write_timeout * 2).max(config.ping_interval + config.ping_timeout));
}

/// What the peer does not take is kept for so long, also after the connection has been closed.
fn give_up_after(socket: &SockRef<'_>, time: Duration) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_user_timeout(Some(time));
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (socket, time);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What the kernel gives a silent peer: until it is asked first, between two questions, and in all.
    async fn times(ping_timeout: u64, write_timeout: u64) -> (u64, u64, u64) {
        let config = Config {
            ping_timeout: Duration::from_millis(ping_timeout),
            write_timeout: Duration::from_millis(write_timeout),
            ..Config::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for_requests(&SockRef::from(&listener), &config);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
        let (first, apart) =
            (accepted.tcp_keepalive_time().unwrap(), accepted.tcp_keepalive_interval().unwrap());
        let end = accepted.tcp_user_timeout().unwrap().unwrap();
        for_websocket(&accepted, &config);
        assert!(!accepted.keepalive().unwrap());
        let later = accepted.tcp_user_timeout().unwrap().unwrap();
        assert_eq!(later, (config.ping_interval + config.ping_timeout).max(2 * config.write_timeout));
        (first.as_secs(), apart.as_secs(), end.as_secs())
    }

    #[tokio::test]
    async fn the_kernel_ends_what_is_accepted_when_its_peer_is_gone() {
        assert_eq!(times(20_000, 20_000).await, (10, 5, 20));
        assert_eq!(times(20_900, 100).await, (10, 5, 20));
        assert_eq!(times(2_000, 2_000).await, (1, 1, 2));
        assert_eq!(times(2_000, 60_000).await, (30, 15, 60));
        assert_eq!(times(50, 50).await, (1, 1, 1));
        assert_eq!(times(1_000_000_000, 50).await, (32_767, 32_767, 1_000_000));
    }
}
