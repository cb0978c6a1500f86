//! The loop of one thread: it accepts, reads and writes its own connections, and hands broadcasts to the others.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use limit::wire::{self, Request, Role};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::connection::{Connection, State};

const LISTENER: Token = Token(usize::MAX);
const INBOX: Token = Token(usize::MAX - 1);

/// A finished frame for everybody, or for a room.
type Cast = (Role, Arc<[u8]>);

/// How to reach every worker.
#[derive(Clone)]
pub(crate) struct Peers(Arc<[(Sender<Cast>, Waker)]>);

/// Where a worker is reached.
pub(crate) struct Inbox {
    index: usize,
    poll: Poll,
    casts: Receiver<Cast>,
}

impl Peers {
    pub(crate) fn new(workers: usize) -> io::Result<(Self, Vec<Inbox>)> {
        let mut inboxes = Vec::new();
        let mut peers = Vec::new();
        for index in 0..workers {
            let poll = Poll::new()?;
            let (sender, casts) = channel();
            peers.push((sender, Waker::new(poll.registry(), INBOX)?));
            inboxes.push(Inbox { index, poll, casts });
        }
        Ok((Self(peers.into()), inboxes))
    }
}

pub(crate) struct Worker {
    listener: TcpListener,
    inbox: Inbox,
    peers: Peers,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    members: HashMap<usize, Vec<usize>>,
    everybody: Vec<usize>,
    /// Read into, and written from.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Worker {
    pub(crate) fn new(listener: TcpListener, inbox: Inbox, peers: Peers) -> Self {
        Self {
            listener,
            inbox,
            peers,
            connections: Vec::new(),
            free: Vec::new(),
            members: HashMap::new(),
            everybody: Vec::new(),
            input: vec![0; 256 << 10],
            output: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        self.inbox.poll.registry().register(&mut self.listener, LISTENER, Interest::READABLE)?;
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.inbox.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    INBOX => {
                        while let Ok((to, frame)) = self.inbox.casts.try_recv() {
                            self.deliver(to, &frame);
                        }
                    }
                    Token(index) => self.ready(index, event),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            let _ = stream.set_nodelay(true);
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let mut connection = Connection::new(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.inbox.poll.registry().register(connection.stream(), Token(index), interest)?;
            self.connections[index] = Some(connection);
        }
    }

    fn ready(&mut self, index: usize, event: &Event) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let flushed = if event.is_writable() { connection.flush() } else { Ok(()) };
        if flushed.is_err() || (event.is_readable() && self.read(index, event.is_read_closed()).is_break()) {
            self.close(index);
        }
    }

    /// Reads what has come. Less than was asked for means that there is no more.
    fn read(&mut self, index: usize, to_the_end: bool) -> ControlFlow<()> {
        let mut input = std::mem::take(&mut self.input);
        let flow = loop {
            let Some(connection) = self.connections[index].as_mut() else { break ControlFlow::Break(()) };
            let start = connection.partial.len();
            if input.len() < start + (64 << 10) {
                input.resize(start + (64 << 10), 0);
            }
            input[..start].copy_from_slice(&connection.partial);
            connection.partial.clear();
            let read = match connection.read(&mut input[start..]) {
                Ok(Some(read)) => read,
                Ok(None) => {
                    connection.partial.extend_from_slice(&input[..start]);
                    break ControlFlow::Continue(());
                }
                Err(_) => break ControlFlow::Break(()),
            };
            let end = start + read;
            if self.take_in(index, &input[..end]).is_break() {
                break ControlFlow::Break(());
            }
            if end < input.len() && !to_the_end {
                break ControlFlow::Continue(());
            }
        };
        self.input = input;
        flow
    }

    fn take_in(&mut self, index: usize, mut input: &[u8]) -> ControlFlow<()> {
        let mut output = std::mem::take(&mut self.output);
        output.clear();
        while !input.is_empty() {
            let Some(connection) = self.connections[index].as_mut() else { break };
            let used = match connection.state {
                State::Http => wire::request(input).map(|(request, len)| {
                    match request {
                        Request::Polling(answer) => output.extend_from_slice(answer),
                        Request::WebSocket(role) => {
                            output.extend_from_slice(wire::WELCOME);
                            connection.state = State::Fresh(role);
                        }
                    }
                    len
                }),
                State::Fresh(role) => wire::client_frame(input).map(|payload| {
                    output.extend_from_slice(wire::CONNECTED);
                    connection.state = State::Open(role);
                    match role {
                        Role::Mirror => {}
                        Role::Cast => self.everybody.push(index),
                        Role::Room(room) => self.members.entry(room).or_default().push(index),
                    }
                    payload.end
                }),
                State::Open(role) => {
                    let payload = wire::client_frame(input);
                    if payload.is_some() && wire::is_close(input) {
                        return ControlFlow::Break(());
                    }
                    payload.map(|payload| {
                        let end = payload.end;
                        if role == Role::Mirror {
                            wire::copy_frame(input, payload, &mut output);
                        } else {
                            let mut frame = Vec::new();
                            wire::copy_frame(input, payload, &mut frame);
                            self.cast(role, frame.into());
                            output.extend_from_slice(wire::SENT);
                        }
                        end
                    })
                }
            };
            match used {
                Some(used) => input = &input[used..],
                None => break,
            }
        }
        let mut flow = ControlFlow::Continue(());
        if let Some(connection) = self.connections[index].as_mut() {
            connection.partial.extend_from_slice(input);
            if !output.is_empty() && connection.write(&output).is_err() {
                flow = ControlFlow::Break(());
            }
        }
        self.output = output;
        flow
    }

    fn cast(&mut self, to: Role, frame: Arc<[u8]>) {
        for (index, (inbox, waker)) in self.peers.0.iter().enumerate() {
            if index != self.inbox.index && inbox.send((to, frame.clone())).is_ok() {
                let _ = waker.wake();
            }
        }
        self.deliver(to, &frame);
    }

    fn deliver(&mut self, to: Role, frame: &[u8]) {
        let members = match to {
            Role::Room(room) => self.members.get(&room),
            _ => Some(&self.everybody),
        };
        for &index in members.into_iter().flatten() {
            // One that is gone will be noticed when it is read from.
            if let Some(connection) = self.connections[index].as_mut() {
                let _ = connection.write(frame);
            }
        }
    }

    fn close(&mut self, index: usize) {
        let Some(connection) = self.connections[index].take() else { return };
        match connection.state {
            State::Open(Role::Cast) => self.everybody.retain(|member| *member != index),
            State::Open(Role::Room(room)) => {
                if let Some(members) = self.members.get_mut(&room) {
                    members.retain(|member| *member != index);
                }
            }
            _ => {}
        }
        self.free.push(index);
    }
}
