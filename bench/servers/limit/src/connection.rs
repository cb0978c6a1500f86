//! One connection: a socket, and what could not be handled or written at once.

use std::io::{self, Read, Write};

use limit::wire::Role;
use mio::net::TcpStream;

/// What a connection is, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Requests come.
    Http,
    /// A WebSocket that has sent nothing yet.
    Fresh(Role),
    /// A WebSocket.
    Open(Role),
}

pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) state: State,
    /// Half a request or frame.
    pub(crate) partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, state: State::Http, partial: Vec::new(), unsent: Vec::new() }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads once; `None` when there is nothing.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes at once, unless there is something before it that has to wait.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let written = match self.stream.write(bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Goes on with what had to wait.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        if unsent.is_empty() { Ok(()) } else { self.write(&unsent) }
    }
}
