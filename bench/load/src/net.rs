//! The loop of one thread and its connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};

use crate::control::{Control, Phase};

const WAKER: Token = Token(usize::MAX);
/// What one read takes at most; less means that there is no more.
const READ: usize = 128 << 10;
/// Addresses that connections come from.
const SOURCES: u8 = 16;

/// What a thread's clients do. Connections have the numbers that [`Net::open`] was given.
pub(crate) trait Driver: Send {
    fn connected(&mut self, net: &mut Net, connection: usize) -> Result<(), String>;
    /// Takes in what has come, and says how much of it is done with.
    fn received(&mut self, net: &mut Net, connection: usize, input: &[u8]) -> Result<usize, String>;
    /// A connection is lost or has brought something wrong. It is closed; an error ends the run.
    fn failed(&mut self, _connection: usize, error: String) -> Result<(), String> {
        Err(error)
    }
    /// Called in every turn of the loop.
    fn turn(&mut self, net: &mut Net, phase: Phase) -> Result<(), String>;
    /// Whether to go on without waiting for events.
    fn is_busy(&self) -> bool {
        false
    }
}

pub(crate) struct Net {
    poll: Poll,
    server: SocketAddr,
    connections: Vec<Option<Connection>>,
    input: Vec<u8>,
    thread: usize,
    /// Looks for events without sleeping: a server does not pay for waking clients that are on other machines.
    spins: bool,
    /// Connections come from several loopback addresses: one has only 28,000 ports.
    next_source: u8,
}

struct Connection {
    stream: TcpStream,
    connected: bool,
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Net {
    pub(crate) fn new(server: SocketAddr, thread: usize, spins: bool) -> io::Result<Self> {
        let (connections, input) = (Vec::new(), vec![0; READ]);
        Ok(Self { poll: Poll::new()?, server, connections, input, thread, spins, next_source: thread as u8 })
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Begins to connect; one with the same number is closed.
    pub(crate) fn open(&mut self, index: usize) -> Result<(), String> {
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = None;
        let stream = self.connect().map_err(|error| format!("cannot connect: {error}"))?;
        let mut connection = Connection { stream, connected: false, partial: Vec::new(), unsent: Vec::new() };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut connection.stream, Token(index), interest);
        registered.map_err(|error| error.to_string())?;
        self.connections[index] = Some(connection);
        Ok(())
    }

    fn connect(&mut self) -> io::Result<TcpStream> {
        self.next_source = self.next_source.wrapping_add(1);
        let source = Ipv4Addr::new(127, 0, 1, self.next_source % SOURCES);
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        socket.set_tcp_nodelay(true)?;
        // Closed with a reset: otherwise thousands of closed connections rest in the kernel for a minute, and make the
        // next runs dearer.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    pub(crate) fn close(&mut self, index: usize) {
        self.connections[index] = None;
    }

    /// Sends at once, or as soon as the kernel takes it.
    pub(crate) fn send(&mut self, index: usize, bytes: &[u8]) -> Result<(), String> {
        match self.connections.get_mut(index) {
            Some(Some(connection)) => connection.send(bytes).map_err(|error| format!("cannot send: {error}")),
            _ => Err("a client is not connected".to_owned()),
        }
    }

    /// Whether a connection has just been established. What had to wait is sent.
    fn writable(&mut self, index: usize) -> Result<bool, String> {
        let Some(connection) = self.connections[index].as_mut() else { return Ok(false) };
        if !connection.connected && connection.stream.peer_addr().is_err() {
            return match connection.stream.take_error() {
                Ok(None) => Ok(false),
                Ok(Some(error)) | Err(error) => Err(format!("cannot connect: {error}")),
            };
        }
        let new = !std::mem::replace(&mut connection.connected, true);
        let unsent = std::mem::take(&mut connection.unsent);
        if !unsent.is_empty() {
            connection.send(&unsent).map_err(|error| format!("cannot send: {error}"))?;
        }
        Ok(new)
    }

    fn readable<D: Driver>(&mut self, driver: &mut D, index: usize, to_the_end: bool) -> Result<(), String> {
        let mut input = std::mem::take(&mut self.input);
        let result = loop {
            let Some(connection) = self.connections[index].as_mut().filter(|c| c.connected) else {
                break Ok(());
            };
            let start = connection.partial.len();
            input.resize(start + READ, 0);
            input[..start].copy_from_slice(&connection.partial);
            let read = match connection.stream.read(&mut input[start..]) {
                Ok(0) => break Err("the server has closed a connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(format!("cannot receive: {error}")),
            };
            connection.partial.clear();
            let end = start + read;
            let used = match driver.received(self, index, &input[..end]) {
                Ok(used) => used,
                Err(error) => break Err(error),
            };
            if used < end
                && let Some(connection) = self.connections[index].as_mut()
            {
                connection.partial.extend_from_slice(&input[used..end]);
            }
            if read < READ && !to_the_end {
                break Ok(());
            }
        };
        self.input = input;
        result
    }

    fn events<D: Driver>(&mut self, driver: &mut D, events: &Events) -> Result<(), String> {
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let Token(index) = event.token();
            if let Err(error) = self.event(driver, event, index) {
                self.close(index);
                driver.failed(index, error)?;
            }
        }
        Ok(())
    }

    fn event<D: Driver>(&mut self, driver: &mut D, event: &Event, index: usize) -> Result<(), String> {
        if event.is_writable() && self.writable(index)? {
            driver.connected(self, index)?;
        }
        if event.is_readable() {
            self.readable(driver, index, event.is_read_closed())?;
        }
        Ok(())
    }

    /// Runs until the control says stop. The driver comes back with its results.
    pub(crate) fn run<D: Driver>(mut self, mut driver: D, control: &Arc<Control>) -> D {
        let mut events = Events::with_capacity(1024);
        let mut began = Instant::now();
        loop {
            let phase = control.phase();
            if phase == Phase::Stop {
                return driver;
            }
            let result = driver.turn(&mut self, phase).and_then(|()| {
                let awake = driver.is_busy() || (self.spins && phase == Phase::Run);
                let wait = if awake { Duration::ZERO } else { Duration::from_millis(100) };
                match self.poll.poll(&mut events, Some(wait)) {
                    Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.to_string()),
                    _ => self.events(&mut driver, &events),
                }
            });
            if let Err(error) = result {
                control.fail(error);
            }
            // Looking in vain is no work.
            let ended = Instant::now();
            if !events.is_empty() {
                control.count_busy(self.thread, ended - began);
            }
            began = ended;
        }
    }
}

/// Connecting without waiting "fails" like this.
const EINPROGRESS: i32 = 115;

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let direct = self.connected && self.unsent.is_empty();
        let written = match direct.then(|| self.stream.write(bytes)) {
            Some(Ok(written)) => written,
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => 0,
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }
}
