//! A server with connection state recovery, in either format, and clients that are cut off and come back, by their own
//! private ids or by others. A client that is recovered gets what it missed, each event once and in order; one that is
//! not begins anew, with an id that nobody had. Each coming is followed by one disconnect, and at the end nothing is left.
#![no_main]

#[path = "../support/format.rs"]
mod format;
#[path = "../support/waiting.rs"]
mod waiting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use format::{Format, Reader};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use waiting::{Waiting, wait};
use wirebird::engine::memory::Connection;
use wirebird::extract::State;
use wirebird::{DisconnectReason, Handshake, Observer, RawArgs, Recovery, Server, Socket};
use wirebird_proto::socket_io::{Packet, PacketKind};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    format: Format,
    /// Little is recorded and kept.
    little: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A new connection. An old one breaks, and what was not taken from it is lost.
    Open(u8),
    Join(u8, u8, Claim<'a>),
    Leave(u8, u8),
    Event(u8, u8, u8),
    Take(u8),
    Cut(u8),
    Tick(u16),
    Wake(u8),
    Emit(u8, u8),
    Disconnect(u8, bool),
}

/// What a client says of who it was.
#[derive(Arbitrary, Debug)]
enum Claim<'a> {
    Nothing,
    Own,
    /// What another client was, as far as that knows.
    Others(u8),
    /// What it was in another namespace.
    Elsewhere(u8),
    /// With an offset of its own making.
    Wrong(&'a str),
}

const NAMESPACES: [&str; 3] = ["/", "/chat", "/slow"];
const EVENTS: [&str; 4] = ["join", "leave", "wait", "quit"];

/// The life of a socket, which may be longer than a connection.
#[derive(Default)]
struct Life {
    came: u32,
    went: u32,
}

#[derive(Default)]
struct Book {
    lives: HashMap<String, Life>,
    /// How many events were emitted to all, in each namespace.
    emitted: [u64; NAMESPACES.len()],
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Book>>);

impl Observer for Log {
    fn connected(&self, socket: &Socket) {
        let mut book = self.0.lock().unwrap();
        let life = book.lives.entry(socket.id().to_string()).or_default();
        assert_eq!(life.came > 0, socket.recovered(), "an id belongs to one socket");
        life.came += 1;
    }
}

fn server(input: &Input<'_>, log: &Log, waiting: &Waiting) -> Server {
    let mut recovery =
        Recovery { max_disconnection_duration: Duration::from_secs(30), ..Recovery::default() };
    if input.little {
        (recovery.max_events, recovery.max_bytes, recovery.max_sockets) = (4, 300, 2);
    }
    let builder = input.format.builder().observer(log.clone()).state(log.clone()).state(waiting.clone());
    let io = builder.connection_state_recovery(recovery).build();
    io.of("/chat").on_connect(async |socket: Socket| socket.join("all"));
    io.of("/slow").on_connect(async |socket: Socket, waiting: State<Waiting>| {
        wait(waiting).await;
        socket.emit("late", ())
    });
    let all = io.any_namespace();
    all.on("join", async |socket: Socket| socket.join("all"));
    all.on("leave", async |socket: Socket| socket.leave("all"));
    all.on("wait", wait);
    all.on("quit", async |socket: Socket| socket.disconnect());
    all.on_disconnect(async |socket: Socket, _: DisconnectReason, State(log): State<Log>| {
        let mut book = log.0.lock().unwrap();
        let life = book.lives.get_mut(socket.id().as_str()).expect("one that was accepted");
        life.went += 1;
        assert!(life.went <= life.came);
    });
    io
}

/// What a client knows of a socket of its.
#[derive(Clone)]
struct View {
    sid: String,
    pid: String,
    offset: Option<String>,
    /// The event that has to be next. Any may be the first.
    next: Option<u64>,
    /// It has said what is not true of itself, and gets what it gets.
    lies: bool,
}

/// A client in one namespace.
#[derive(Default)]
struct Seat {
    view: Option<View>,
    asked: Option<Asked>,
    connected: bool,
}

/// A CONNECT without an answer.
struct Asked {
    /// What it says to have been.
    claim: Option<View>,
    /// How many events there had been.
    emitted: u64,
    /// Events that have come.
    missed: u32,
}

#[derive(Default)]
struct Client {
    line: Option<(Connection, Reader)>,
    seats: [Seat; NAMESPACES.len()],
}

impl Client {
    fn send(&self, format: Format, namespace: usize, kind: PacketKind) {
        if let Some((connection, _)) = &self.line {
            for frame in format.frames(&Packet::new(NAMESPACES[namespace], kind)) {
                connection.feed(frame);
            }
        }
    }

    fn open(&mut self, line: Option<(Connection, Reader)>) {
        self.line = line;
        for seat in &mut self.seats {
            (seat.asked, seat.connected) = (None, false);
        }
    }

    fn take(&mut self, log: &Log) {
        let Some((connection, reader)) = &mut self.line else { return };
        for packet in reader.packets(connection.take_batch()) {
            let namespace = NAMESPACES.iter().position(|name| **name == *packet.namespace).unwrap();
            self.seats[namespace].read(packet.kind);
        }
        // A client that reads is told everything.
        if connection.is_open() {
            let book = log.0.lock().unwrap();
            for (seat, emitted) in self.seats.iter().zip(book.emitted).filter(|(seat, _)| seat.connected) {
                let view = seat.view.as_ref().expect("one that is connected");
                let complete = view.lies || view.next.is_none_or(|next| next == emitted + 1);
                assert!(complete, "{:?} of {emitted}", view.next);
            }
        }
    }
}

impl Seat {
    fn read(&mut self, kind: PacketKind) {
        match kind {
            PacketKind::Connect { auth } => self.connect(&auth.expect("an id")),
            PacketKind::ConnectError { .. } => self.asked = None,
            PacketKind::Disconnect => (self.asked, self.connected) = (None, false),
            PacketKind::Event { name, args, .. } => {
                // What it missed comes before CONNECT.
                let view = match &mut self.asked {
                    Some(asked) => {
                        asked.missed += 1;
                        &mut asked.claim
                    }
                    None => &mut self.view,
                };
                let view = view.as_mut().expect("an event for one who is nobody yet");
                if &*name == "news" {
                    let number: u64 = args.get(0).unwrap().parse().unwrap();
                    let fits = view.lies || view.next.is_none_or(|next| next == number);
                    assert!(fits, "{number} instead of {:?}", view.next);
                    view.next = Some(number + 1);
                }
                if let Some(offset) = args.iter().last().and_then(|last| serde_json::from_str(last).ok()) {
                    view.offset = Some(offset);
                }
            }
            _ => {}
        }
    }

    fn connect(&mut self, auth: &str) {
        let auth: serde_json::Value = serde_json::from_str(auth).unwrap();
        let [sid, pid] = ["sid", "pid"].map(|name| auth[name].as_str().unwrap().to_owned());
        let Asked { claim, emitted, missed } = self.asked.take().expect("an answer to CONNECT");
        // One that is new is a member from the moment on at which it asks. One that is not recovered may be so later.
        let next = claim.is_none().then_some(emitted + 1);
        self.view = Some(match claim.filter(|view| view.sid == sid) {
            Some(view) => View { pid, ..view },
            None => {
                assert_eq!(missed, 0, "events of another socket");
                View { sid, pid, offset: None, next, lies: false }
            }
        });
        self.connected = true;
    }
}

fuzz_target!(|input: Input<'_>| {
    let (log, waiting) = (Log::default(), Waiting::default());
    let io = server(&input, &log, &waiting);
    let mut clients: [Client; 3] = Default::default();
    let mut now = Instant::now();
    for step in input.steps {
        take_step(&io, input.format, &mut clients, (&log, &waiting), &mut now, step);
    }
    clients.iter_mut().for_each(|client| client.take(&log));

    drop(clients);
    while waiting.drop_one() {}
    for _ in 0..3 {
        now += Duration::from_secs(61);
        io.tick(now);
        while waiting.drop_one() {}
    }
    for (id, life) in &log.0.lock().unwrap().lives {
        assert_eq!(life.came, life.went, "{id}");
    }
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    for namespace in io.namespaces() {
        assert!(namespace.rooms().is_empty() && namespace.sockets().is_empty());
    }
});

fn take_step(
    io: &Server,
    format: Format,
    clients: &mut [Client; 3],
    (log, waiting): (&Log, &Waiting),
    now: &mut Instant,
    step: Step<'_>,
) {
    let at = |number: u8| usize::from(number) % NAMESPACES.len();
    match step {
        Step::Open(client) => {
            let connection = io.connect_memory(Handshake::default(), || {});
            clients[at(client)].open(connection.map(|connection| (connection, Reader::new(format))));
        }
        Step::Join(client, name, claim) => join(format, clients, log, (at(client), at(name)), claim),
        Step::Leave(client, name) => {
            clients[at(client)].send(format, at(name), PacketKind::Disconnect);
            // It may be answered by nothing, or by what came before.
            clients[at(client)].take(log);
            let seat = &mut clients[at(client)].seats[at(name)];
            (seat.asked, seat.connected) = (None, false);
        }
        Step::Event(client, name, event) => {
            let name_of_event = EVENTS[usize::from(event) % EVENTS.len()].into();
            let event = PacketKind::Event { id: None, name: name_of_event, args: RawArgs::empty() };
            clients[at(client)].send(format, at(name), event);
        }
        Step::Take(client) => clients[at(client)].take(log),
        Step::Cut(client) => clients[at(client)].open(None),
        Step::Tick(millis) => {
            *now += Duration::from_millis(millis.into());
            io.tick(*now);
        }
        Step::Wake(number) => waiting.wake(number),
        Step::Emit(name, kind) => emit(io, log, at(name), kind),
        Step::Disconnect(name, transport) => {
            for socket in io.of(NAMESPACES[at(name)]).sockets() {
                if transport { socket.disconnect_transport() } else { socket.disconnect() }
            }
        }
    }
}

/// Joins a namespace, unless it is in it or about to be.
fn join(
    format: Format,
    clients: &mut [Client; 3],
    log: &Log,
    (client, namespace): (usize, usize),
    claim: Claim<'_>,
) {
    clients[client].take(log);
    let seat = &clients[client].seats[namespace];
    if seat.connected || seat.asked.is_some() || clients[client].line.is_none() {
        return;
    }
    let claimed = match claim {
        Claim::Nothing => None,
        Claim::Own | Claim::Wrong(_) => clients[client].seats[namespace].view.clone(),
        Claim::Others(other) => clients[usize::from(other % 3)].seats[namespace].view.clone(),
        Claim::Elsewhere(other) => clients[client].seats[usize::from(other) % NAMESPACES.len()].view.clone(),
    };
    let claimed = claimed.map(|view| match claim {
        Claim::Wrong(offset) => View { offset: Some(offset.into()), lies: true, ..view },
        _ => view,
    });
    let auth = claimed.as_ref().map(|view| serde_json::json!({ "pid": view.pid, "offset": view.offset }));
    let emitted = log.0.lock().unwrap().emitted[namespace];
    clients[client].seats[namespace].asked = Some(Asked { claim: claimed, emitted, missed: 0 });
    let auth = auth.map(|auth| auth.to_string().into());
    clients[client].send(format, namespace, PacketKind::Connect { auth });
}

fn emit(io: &Server, log: &Log, namespace: usize, kind: u8) {
    let io = io.of(NAMESPACES[namespace]);
    let count = || {
        let emitted = &mut log.0.lock().unwrap().emitted[namespace];
        *emitted += 1;
        *emitted
    };
    let sent = match kind % 7 {
        0 => io.emit("news", (count(), Bytes::from_static(b"data"))),
        1 => io.emit("news", (count(), "text")),
        2 => io.volatile().emit("volatile", (1, "text")),
        3 => io.to("all").emit("room", ()),
        4 => io.except("all").emit("others", "text"),
        5 => io.all().conflate("key").emit("newest", "text"),
        _ => {
            for socket in io.sockets() {
                let _ = socket.emit_with_sink("question", &RawArgs::empty(), None, Box::new(drop));
            }
            Ok(())
        }
    };
    sent.expect("data that can be sent");
}
