//! 200 MB of broadcasts past a client that never reads, next to one that does: bounded memory, and nobody is delayed. A test
//! program of its own, because it looks at the memory of the process.
#![cfg(target_os = "linux")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::tcp::{self, websocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use wirebird::extract::State;
use wirebird::{DisconnectReason, Limit, Server};

const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGE: usize = 100_000;
const MESSAGES: usize = 2000;
/// How many the healthy client may be behind: far less than its queue holds.
const IN_FLIGHT: usize = 40;
/// What the process may grow by: the queue of the slow client (16 MiB), what the healthy one is behind, and what the
/// allocator does not give back.
const GROWTH: usize = 64 << 20;

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A server, and the reasons with which its clients leave.
fn server() -> (Server, mpsc::UnboundedReceiver<DisconnectReason>) {
    type Ended = mpsc::UnboundedSender<DisconnectReason>;
    let (ended, reasons) = mpsc::unbounded_channel();
    let io = Server::builder().state::<Ended>(ended).build();
    io.on_disconnect(async |reason: DisconnectReason, State(ended): State<Ended>| {
        let _ = ended.send(reason);
    });
    (io, reasons)
}

/// A client on polling that asks for what there is, and does not read it.
async fn polling(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let opened = String::from_utf8_lossy(&answer[..read]).into_owned();
    let target = format!("{} HTTP/1.1\r\nHost: x\r\n", tcp::target(&opened));
    let post = format!("POST {target}Content-Length: 2\r\n\r\n40");
    stream.write_all(post.as_bytes()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(format!("GET {target}\r\n").as_bytes()).await.unwrap();
    }
    stream
}

/// The payloads of the frames of a WebSocket, as they come; ends at the close frame, which it returns.
async fn frames(mut stream: TcpStream, mut each: impl FnMut(&[u8])) -> Option<Vec<u8>> {
    let mut buffer = Vec::with_capacity(1 << 20);
    // The answer to the upgrade.
    while !buffer.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut buffer).await.unwrap() == 0 {
            return None;
        }
    }
    let end = buffer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    buffer.drain(..end);
    loop {
        let header = match buffer.get(1).map(|length| length & 0x7f) {
            Some(127) if buffer.len() >= 10 => {
                Some((10, u64::from_be_bytes(buffer[2..10].try_into().unwrap()) as usize))
            }
            Some(126) if buffer.len() >= 4 => {
                Some((4, usize::from(u16::from_be_bytes([buffer[2], buffer[3]]))))
            }
            Some(length) if length < 126 => Some((2, usize::from(length))),
            _ => None,
        };
        if let Some((start, length)) = header.filter(|(start, length)| buffer.len() >= start + length) {
            if buffer[0] == 0x88 {
                return Some(buffer[start..start + length].to_vec());
            }
            each(&buffer[start..start + length]);
            buffer.drain(..start + length);
        } else if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return None;
        }
    }
}

/// F-PRO-12, F-EMT-15, pain 10: on WebSocket, and on polling.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_megabytes_past_a_client_that_never_reads() {
    for on_polling in [false, true] {
        let (io, mut reasons) = server();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = tokio::spawn({
            let io = io.clone();
            async move { io.serve_listener(listener).await }
        });

        let healthy = websocket(addr).await;
        let slow = if on_polling { polling(addr).await } else { websocket(addr).await };
        timeout(PATIENCE, async {
            while io.sockets().len() < 2 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("both are connected");

        let begun = Instant::now();
        let room = Arc::new(Semaphore::new(IN_FLIGHT));
        let reading = tokio::spawn({
            let room = room.clone();
            async move {
                let mut delays = Vec::new();
                let all = frames(healthy, |payload| {
                    if payload.starts_with(b"42[\"block\"") {
                        let sent: u64 =
                            std::str::from_utf8(&payload[12..28]).unwrap().trim().parse().unwrap();
                        delays.push(begun.elapsed().as_micros() as u64 - sent);
                        room.add_permits(1);
                    }
                });
                all.await;
                delays
            }
        });

        let before = resident();
        let filler = "x".repeat(MESSAGE);
        let (mut most, mut longest) = (0, Duration::ZERO);
        for sent in 0..MESSAGES {
            timeout(PATIENCE, room.acquire()).await.expect("the healthy client reads").unwrap().forget();
            let moment = Instant::now();
            // The time in 16 characters, then what makes it long.
            let time = format!("{:>16}", begun.elapsed().as_micros());
            io.emit("block", (time, &filler)).unwrap();
            longest = longest.max(moment.elapsed());
            if sent % 50 == 0 {
                most = most.max(resident());
            }
        }
        let reason = timeout(PATIENCE, reasons.recv()).await.expect("the slow client is closed");
        assert_eq!(reason, Some(DisconnectReason::SlowConsumer));
        assert_eq!(io.metrics().limit(Limit::SendQueue), 1);
        let _all =
            timeout(PATIENCE, room.acquire_many(IN_FLIGHT as u32)).await.expect("the last ones").unwrap();

        let grown = most.saturating_sub(before);
        assert!(grown < GROWTH, "{} MB more", grown >> 20);
        io.close().await;
        let mut delays = reading.await.unwrap();
        assert_eq!(delays.len(), MESSAGES);
        delays.sort_unstable();
        let (middle, late) = (delays[MESSAGES / 2], delays[MESSAGES * 99 / 100]);
        println!(
            "polling {on_polling}: +{} MB; a broadcast took {middle} µs (99 %: {late} µs); emit at most {longest:?}",
            grown >> 20
        );
        assert!(Duration::from_micros(late) < Duration::from_secs(1), "{late} µs");
        assert!(longest < Duration::from_secs(1), "{longest:?}");
        drop(slow);
        served.await.unwrap().unwrap();
    }
}

/// F-PRO-12: a client that was only slow, and reads on when it is closed, is told why: 4008.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_client_is_told_why() {
    let (io, mut reasons) = server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = io.clone();
    tokio::spawn(async move { server.serve_listener(listener).await });
    let slow = websocket(addr).await;
    let filler = "x".repeat(MESSAGE);
    timeout(PATIENCE, async {
        while reasons.is_empty() {
            io.emit("block", &filler).unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is closed");
    assert_eq!(reasons.recv().await, Some(DisconnectReason::SlowConsumer));
    let said = timeout(PATIENCE, frames(slow, |_| {})).await.expect("the end");
    assert_eq!(said.as_deref(), Some(&b"\x0f\xa8slow consumer"[..]));
    io.close().await;
}
