//! One message for many: some clients make the server send to everybody, or to the members of a room. Each sender waits
//! until everybody has received its message, and sends the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::exchange::FIRST_ID;
use crate::args::Dialect;
use crate::control::Control;
use crate::template::{Template, filler};
use crate::websocket::{Joined, Outbox, Scenario};

/// Who receives what. A stream is what one client sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// The first clients send, everybody receives.
    Everybody { senders: usize },
    /// The first client of each room sends to the room. The clients of a room belong to one thread.
    Rooms { size: usize },
}

impl Layout {
    fn rooms_of(self, threads: usize, thread: usize, clients: usize) -> Option<(usize, usize)> {
        match self {
            Self::Everybody { .. } => None,
            Self::Rooms { size } => Some((size, (clients / size + threads - 1 - thread) / threads)),
        }
    }

    /// How many of all clients belong to a thread.
    pub(crate) fn clients_of(self, threads: usize, thread: usize, clients: usize) -> usize {
        match self.rooms_of(threads, thread, clients) {
            Some((size, rooms)) => size * rooms,
            None => (clients + threads - 1 - thread) / threads,
        }
    }

    fn streams(self, clients: usize) -> usize {
        match self {
            Self::Everybody { senders } => senders,
            Self::Rooms { size } => clients / size,
        }
    }
}

/// What the threads must know of each other: how much of each stream's current message is still to come.
pub(crate) struct Streams(Vec<Shared>);

#[derive(Default)]
struct Shared {
    /// Threads whose members have not all received it, and the acknowledgement.
    awaited: AtomicUsize,
    /// The next message is to be sent.
    due: AtomicBool,
}

impl Streams {
    pub(crate) fn new(layout: Layout, clients: usize) -> Arc<Self> {
        Arc::new(Self((0..layout.streams(clients)).map(|_| Shared::default()).collect()))
    }
}

pub(crate) struct Fan {
    control: Arc<Control>,
    thread: usize,
    layout: Layout,
    dialect: Dialect,
    shared: Arc<Streams>,
    /// Those with a sender or receivers in this thread.
    streams: Vec<Stream>,
    /// The next number that a client must receive, stream after stream.
    next: Vec<u64>,
    /// How many messages each sender sends; without it, they go on.
    rounds: Option<u64>,
    draining: bool,
    running: usize,
}

struct Stream {
    index: usize,
    /// The sender, if it belongs to this thread.
    sender: Option<usize>,
    request: Template,
    message: Template,
    /// What the templates hold.
    number: u64,
    receivers: usize,
    received: usize,
    sent: u64,
}

impl Fan {
    pub(crate) fn new(
        control: Arc<Control>,
        thread: usize,
        all: usize,
        layout: Layout,
        size: usize,
        dialect: Dialect,
        shared: Arc<Streams>,
    ) -> Self {
        let threads = control.threads();
        let clients = layout.clients_of(threads, thread, all);
        let streams: Vec<Stream> = (0..shared.0.len())
            .filter(|index| matches!(layout, Layout::Everybody { .. }) || index % threads == thread)
            .map(|index| Stream::new(index, thread, threads, layout, clients, size, dialect))
            .collect();
        let per_client = if matches!(layout, Layout::Everybody { .. }) { streams.len() } else { 1 };
        let next = vec![FIRST_ID; clients * per_client];
        let (rounds, draining, running) = (None, false, 0);
        Self { control, thread, layout, dialect, shared, streams, next, rounds, draining, running }
    }

    pub(crate) fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = Some(rounds);
        self
    }

    /// The stream, among those here, that a client receives and perhaps sends; with one room each it is known.
    fn own_stream(&self, client: usize) -> Option<usize> {
        match self.layout {
            Layout::Everybody { .. } => self.streams.iter().position(|stream| stream.sender == Some(client)),
            Layout::Rooms { size } => Some(client / size),
        }
    }

    fn send(&mut self, index: usize, out: &mut Outbox) {
        let stream = &mut self.streams[index];
        let Some(sender) = stream.sender else { return };
        if self.draining || self.rounds.is_some_and(|rounds| stream.sent >= rounds) {
            self.running -= 1;
            return;
        }
        let threads = if matches!(self.layout, Layout::Rooms { .. }) { 1 } else { self.control.threads() };
        self.shared.0[stream.index].awaited.store(threads + 1, Ordering::Release);
        stream.set(FIRST_ID + stream.sent);
        stream.sent += 1;
        out.others.push((sender, stream.request.bytes().to_vec()));
    }

    /// A part of a stream's message has arrived.
    fn arrived(&mut self, index: usize, out: &mut Outbox) {
        let number = self.streams[index].index;
        let shared = &self.shared.0[number];
        if shared.awaited.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if self.streams[index].sender.is_some() {
            self.send(index, out);
        } else {
            shared.due.store(true, Ordering::Release);
            self.control.wake(number % self.control.threads());
        }
    }

    fn receive(
        &mut self,
        client: usize,
        index: usize,
        payload: &[u8],
        out: &mut Outbox,
    ) -> Result<(), String> {
        let number = self.streams[index].check(payload)?;
        let place = match self.layout {
            Layout::Everybody { .. } => client * self.streams.len() + index,
            Layout::Rooms { .. } => client,
        };
        if self.next[place] != number {
            return Err(format!("a client received message {number} in place of {}", self.next[place]));
        }
        self.next[place] += 1;
        self.control.count(self.thread, 1);
        let stream = &mut self.streams[index];
        stream.received += 1;
        if stream.received == stream.receivers {
            stream.received = 0;
            self.arrived(index, out);
        }
        Ok(())
    }
}

impl Stream {
    fn new(
        index: usize,
        thread: usize,
        threads: usize,
        layout: Layout,
        clients: usize,
        size: usize,
        dialect: Dialect,
    ) -> Self {
        // Both payloads carry the numbers of the stream and of the message.
        let payload = format!("\"########:{index:05}:{}\"", filler(size, 15));
        let (text, sender, receivers) = match layout {
            Layout::Everybody { .. } => {
                let sender = (index % threads == thread).then_some(index / threads);
                (format!("42#######[\"cast\",{payload}]"), sender, clients)
            }
            Layout::Rooms { size } => {
                let text = format!("42#######[\"room\",\"room-{index:05}\",{payload}]");
                (text, Some(index / threads * size), size)
            }
        };
        let request = Template::frame(true, text.as_bytes());
        let message = match dialect {
            Dialect::Limit => request.clone(),
            Dialect::Socketio => Template::payload(format!("42[\"msg\",{payload}]").as_bytes()),
        };
        Self { index, sender, request, message, number: 0, receivers, received: 0, sent: 0 }
    }

    fn set(&mut self, number: u64) {
        self.number = number;
        // Requests have an id before the number in the payload, and so have the limit server's copies.
        for template in [&mut self.request, &mut self.message] {
            (0..template.fields()).for_each(|field| template.set(field, number));
        }
    }

    fn is_message(&self, payload: &[u8]) -> bool {
        // The number of the stream is all that differs between streams.
        let expected = self.message.as_payload();
        payload.len() == expected.len()
            && expected[expected.len() - self.tail()..] == payload[expected.len() - self.tail()..]
    }

    /// Bytes behind the number of the message.
    fn tail(&self) -> usize {
        self.message.as_payload().len() - self.message.field_end(self.message.fields() - 1)
    }

    fn check(&mut self, payload: &[u8]) -> Result<u64, String> {
        let number = self.message.read(self.message.fields() - 1, payload);
        if let Some(number) = number {
            if number != self.number {
                self.set(number);
            }
            if payload == self.message.as_payload() {
                return Ok(number);
            }
        }
        Err(format!("a wrong message: {:?}", String::from_utf8_lossy(payload)))
    }
}

impl Scenario for Fan {
    fn limit_role(&self, client: usize) -> String {
        match self.own_stream(client) {
            Some(stream) if matches!(self.layout, Layout::Rooms { .. }) => {
                format!("room-{}", self.streams[stream].index)
            }
            _ => "cast".to_owned(),
        }
    }

    fn joined(&mut self, client: usize, out: &mut Outbox) -> Joined {
        let Layout::Rooms { .. } = self.layout else { return Joined::Ready };
        if self.dialect == Dialect::Limit {
            return Joined::Ready;
        }
        let Some(stream) = self.own_stream(client) else { return Joined::Ready };
        let join = format!("420[\"join\",\"room-{:05}\"]", self.streams[stream].index);
        out.own.extend_from_slice(Template::frame(true, join.as_bytes()).bytes());
        Joined::Later
    }

    fn message(&mut self, client: usize, text: bool, payload: &[u8], out: &mut Outbox) -> Result<(), String> {
        if !text {
            return Err("a binary message".to_owned());
        }
        if payload.starts_with(b"430[") {
            out.ready += 1;
            return Ok(());
        }
        let own = self.own_stream(client);
        if payload.starts_with(b"43") {
            let Some(own) = own.filter(|own| self.streams[*own].sender == Some(client)) else {
                return Err("a client received an acknowledgement that it does not wait for".to_owned());
            };
            let expected = format!("43{}[", FIRST_ID + self.streams[own].sent - 1);
            if self.dialect == Dialect::Socketio && !payload.starts_with(expected.as_bytes()) {
                return Err(format!("a wrong acknowledgement: {:?}", String::from_utf8_lossy(payload)));
            }
            self.arrived(own, out);
            return Ok(());
        }
        let index = match self.layout {
            Layout::Rooms { .. } => own,
            Layout::Everybody { .. } => self.streams.iter().position(|stream| stream.is_message(payload)),
        };
        match index {
            Some(index) => self.receive(client, index, payload, out),
            None => Err(format!("an unexpected message: {:?}", String::from_utf8_lossy(payload))),
        }
    }

    fn start(&mut self, out: &mut Outbox) {
        for index in 0..self.streams.len() {
            if self.streams[index].sender.is_some() {
                self.running += 1;
                self.send(index, out);
            }
        }
    }

    fn turn(&mut self, out: &mut Outbox) {
        for index in 0..self.streams.len() {
            if self.streams[index].sender.is_some()
                && self.shared.0[self.streams[index].index].due.swap(false, Ordering::AcqRel)
            {
                self.send(index, out);
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn is_pending(&self) -> bool {
        // A thread without senders has received everything when those with senders have nothing under way.
        self.running > 0
    }
}
