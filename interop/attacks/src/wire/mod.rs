//! Clients that can break every rule: bytes go out as they are given.

pub(crate) mod h2;
pub(crate) mod http;
pub(crate) mod session;
pub(crate) mod ws;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take. The server's own times are a second each.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// What went wrong, in a sentence.
#[derive(Debug)]
pub(crate) struct Fail(pub(crate) String);

pub(crate) type Outcome<T = ()> = Result<T, Fail>;

/// Fails with a sentence.
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::wire::Fail(format!($($text)*))) };
}
/// Fails with a sentence unless something holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => { if $holds {} else { $crate::wire::fail!($($text)*) } };
}
pub(crate) use {ensure, fail};

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Fail {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("JSON: {error}"))
    }
}

/// A TCP connection to the server.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What was read and not looked at yet.
    pub(crate) input: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&addr, ANSWER)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(Self { stream, input: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> Outcome {
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Sends as far as the server lets: it may have closed the connection.
    pub(crate) fn push(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a few bytes at a time, with pauses; returns whether the server took them all.
    pub(crate) fn drip(&mut self, bytes: &[u8], piece: usize, pause: Duration) -> bool {
        bytes.chunks(piece).all(|piece| {
            std::thread::sleep(pause);
            self.push(piece)
        })
    }

    /// Reads what comes until then; `false` at the end of the stream.
    pub(crate) fn fill(&mut self, until: Instant) -> Outcome<bool> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            fail!("no answer came in time; last: {:?}", tail(&self.input));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.input.extend_from_slice(&piece[..read]);
                Ok(true)
            }
            // A server that lets go of a client that still sends resets the connection.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                Ok(false)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                fail!("no answer came in time; last: {:?}", tail(&self.input))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the end of the stream, and gives what came before it.
    pub(crate) fn end(&mut self) -> Outcome<Vec<u8>> {
        self.end_within(ANSWER)
    }

    pub(crate) fn end_within(&mut self, time: Duration) -> Outcome<Vec<u8>> {
        let until = Instant::now() + time;
        while self.fill(until)? {}
        Ok(std::mem::take(&mut self.input))
    }

    /// Whether the server has not closed the connection, nor does so within a moment.
    pub(crate) fn stays_open(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            match self.fill(until) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// The end of what came, to show.
pub(crate) fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(120);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
