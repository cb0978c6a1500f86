//! A whole server in memory, fed packets of several clients in any order, in either format, with connection state recovery
//! or without, while the application emits, asks and disconnects. Nothing panics, each accepted socket is disconnected
//! once, what clients are sent can be read, and at the end nothing is left.
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
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::{Data, State};
use wirebird::{DisconnectReason, Error, Handshake, Observer, RawArgs, Recovery, Server, Socket, Value};
use wirebird_proto::socket_io::{self, PacketKind};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    format: Format,
    recovers: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Open(u8),
    /// A packet of a client, with the namespace put in.
    Packet(u8, u8, Packet<'a>),
    Text(u8, &'a str),
    Binary(u8, &'a [u8]),
    Take(u8),
    Drop(u8),
    Tick(u16),
    Wake(u8),
    Emit(u8),
    Ask(u8),
    Disconnect(u8, bool),
}

#[derive(Arbitrary, Debug)]
enum Packet<'a> {
    Connect,
    ConnectWith(&'a str),
    Disconnect,
    Event(u8, Option<u8>, u8, &'a str),
    Ack(u8, &'a str),
}

const NAMESPACES: [&str; 5] = ["/", "/chat", "/room-7", "/slow", "/nowhere"];
const EVENTS: [&str; 8] = ["echo", "join", "leave", "wait", "fail", "quit", "close room", "other"];

/// Which sockets were accepted, and how often each was disconnected.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<String, u32>>>);

impl Observer for Log {
    fn connected(&self, socket: &Socket) {
        assert!(self.0.lock().unwrap().insert(socket.id().to_string(), 0).is_none());
    }
}

fn server(format: Format, recovers: bool, log: &Log, waiting: &Waiting) -> Server {
    let mut builder = format.builder().observer(log.clone()).state(log.clone()).state(waiting.clone());
    builder = builder.max_namespaces(3).max_rooms(3).max_pending_acks(3).max_pending_events(4, 6);
    if recovers {
        let max_disconnection_duration = Duration::from_secs(30);
        builder =
            builder.connection_state_recovery(Recovery { max_disconnection_duration, ..Recovery::default() });
    }
    let io = builder.build();
    io.of("/chat").on_connect(async |socket: Socket| socket.join("all"));
    io.of("/slow").on_connect(async |socket: Socket, waiting: State<Waiting>| {
        wait(waiting).await;
        socket.emit("late", ())
    });
    io.of_pattern("/room-{number}").on_connect(async || ());
    let any = io.any_namespace();
    any.on("echo", async |Data(value): Data<Value>| value);
    any.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    any.on("leave", async |socket: Socket, Data(room): Data<String>| socket.leave(room));
    any.on("wait", wait);
    any.on("fail", async || Err::<(), _>(Error::msg("on purpose")));
    any.on("quit", async |socket: Socket| socket.disconnect());
    any.on("close room", async |socket: Socket, Data(room): Data<String>| {
        socket.namespace().close_room(room)
    });
    any.on_disconnect(async |socket: Socket, _: DisconnectReason, State(log): State<Log>| {
        let mut log = log.0.lock().unwrap();
        let count = log.get_mut(socket.id().as_str()).expect("one that was accepted");
        *count += 1;
        assert_eq!(*count, 1);
    });
    io.on_error(async |_: Error| ());
    io
}

/// A connection, and what reads it.
struct Client {
    connection: Connection,
    reader: Reader,
}

impl Client {
    fn open(io: &Server, format: Format) -> Option<Self> {
        let connection = io.connect_memory(Handshake::default(), || {})?;
        Some(Self { connection, reader: Reader::new(format) })
    }

    fn take(&mut self) -> Vec<socket_io::Packet> {
        self.reader.packets(self.connection.take_batch())
    }
}

type Clients = [Option<Client>; 3];

fuzz_target!(|input: Input<'_>| {
    let (log, waiting) = (Log::default(), Waiting::default());
    let format = input.format;
    let io = server(format, input.recovers, &log, &waiting);
    let namespaces = io.namespaces().len();
    let mut clients: Clients = [const { None }; 3];
    let mut now = Instant::now();
    for step in input.steps {
        take_step(&io, format, &mut clients, &waiting, &mut now, step);
    }
    // A client that behaves is served, whatever the others did.
    let mut healthy = Client::open(&io, format).expect("an open server");
    let args = RawArgs::from_json_elements("1".into(), Vec::new()).expect("JSON");
    let echo = PacketKind::Event { id: Some(1), name: "echo".into(), args };
    for kind in [PacketKind::Connect { auth: None }, echo] {
        for frame in format.frames(&socket_io::Packet::new("/", kind)) {
            healthy.connection.feed(frame);
        }
    }
    let answers = healthy.take();
    let is_answer = |kind: &PacketKind| matches!(kind, PacketKind::Ack { id: 1, args } if args.json() == "1");
    assert!(answers.iter().any(|packet| is_answer(&packet.kind)), "{answers:?}");
    drop(healthy);

    // What waits goes on, or is dropped with its client.
    clients.into_iter().flatten().for_each(drop);
    while waiting.drop_one() {}
    for _ in 0..3 {
        now += Duration::from_secs(61);
        io.tick(now);
        while waiting.drop_one() {}
    }
    assert!(log.0.lock().unwrap().values().all(|count| *count == 1), "{:?}", log.0);
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    assert_eq!(io.namespaces().len(), namespaces);
    for namespace in io.namespaces() {
        assert!(namespace.rooms().is_empty() && namespace.sockets().is_empty());
    }
});

fn take_step(
    io: &Server,
    format: Format,
    clients: &mut Clients,
    waiting: &Waiting,
    now: &mut Instant,
    step: Step<'_>,
) {
    let at = |number: u8| usize::from(number % 3);
    let namespace = |number: u8| NAMESPACES[usize::from(number) % NAMESPACES.len()];
    let feed = |clients: &Clients, client: u8, frame: Frame| {
        if let Some(client) = &clients[at(client)] {
            client.connection.feed(frame);
        }
    };
    match step {
        Step::Open(client) => clients[at(client)] = Client::open(io, format),
        Step::Packet(client, name, packet) if matches!(format, Format::MsgPack) => {
            for frame in format.frames(&socket_io::Packet::new(namespace(name), packed(&packet))) {
                feed(clients, client, frame);
            }
        }
        Step::Packet(client, name, packet) => {
            let prefix = match namespace(name) {
                "/" => String::new(),
                name => format!("{name},"),
            };
            let json = |text: &str| serde_json::to_string(text).unwrap();
            let text = match packet {
                Packet::Connect => format!("0{prefix}"),
                Packet::ConnectWith(text) => format!("0{prefix}{{\"token\":{}}}", json(text)),
                Packet::Disconnect => format!("1{prefix}"),
                Packet::Event(event, id, count, text) => {
                    let id = id.map(|id| id.to_string()).unwrap_or_default();
                    let event = EVENTS[usize::from(event) % EVENTS.len()];
                    match count % 4 {
                        0 => format!("2{prefix}{id}[\"{event}\",{}]", json(text)),
                        count => {
                            let place = r#"{"_placeholder":true,"num":0}"#;
                            format!("5{count}-{prefix}{id}[\"{event}\",{place},{}]", json(text))
                        }
                    }
                }
                Packet::Ack(id, text) => format!("3{prefix}{id}[{}]", json(text)),
            };
            feed(clients, client, Frame::Text(format!("4{text}").into()));
        }
        Step::Text(client, text) => feed(clients, client, Frame::Text(text.into())),
        Step::Binary(client, data) => feed(clients, client, Frame::Binary(Bytes::copy_from_slice(data))),
        Step::Take(client) => {
            if let Some(client) = &mut clients[at(client)] {
                client.take();
            }
        }
        Step::Drop(client) => drop(clients[at(client)].take()),
        Step::Tick(millis) => {
            *now += Duration::from_millis(millis.into());
            io.tick(*now);
        }
        Step::Wake(number) => waiting.wake(number),
        Step::Emit(name) => {
            let _ = io.of(registered(name)).emit("news", (1, Bytes::from_static(b"data")));
            let _ = io.of(registered(name)).to("all").volatile().emit("news", 2);
        }
        Step::Ask(name) => {
            for socket in io.of(registered(name)).sockets() {
                let _ = socket.emit_with_sink("question", &RawArgs::empty(), None, Box::new(drop));
            }
        }
        Step::Disconnect(name, transport) => {
            for socket in io.of(registered(name)).sockets() {
                if transport { socket.disconnect_transport() } else { socket.disconnect() }
            }
        }
    }
}

/// A packet with its attachments, which are a part of it in MessagePack.
fn packed(packet: &Packet<'_>) -> PacketKind {
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let args = |elements: String, attachments: u8| {
        let attachments = (0..attachments).map(|number| vec![number].into()).collect();
        RawArgs::from_json_elements(elements.into(), attachments).expect("JSON")
    };
    match packet {
        Packet::Connect => PacketKind::Connect { auth: None },
        Packet::ConnectWith(text) => {
            PacketKind::Connect { auth: Some(format!("{{\"token\":{}}}", json(text)).into()) }
        }
        Packet::Disconnect => PacketKind::Disconnect,
        Packet::Event(event, id, count, text) => {
            let places = (0..count % 4).map(|num| format!("{{\"_placeholder\":true,\"num\":{num}}},"));
            let elements = places.collect::<String>() + &json(text);
            let name = EVENTS[usize::from(*event) % EVENTS.len()].into();
            PacketKind::Event { id: id.map(Into::into), name, args: args(elements, count % 4) }
        }
        Packet::Ack(id, text) => PacketKind::Ack { id: u64::from(*id), args: args(json(text), 0) },
    }
}

/// A namespace that is there anyway.
fn registered(number: u8) -> &'static str {
    ["/", "/chat", "/slow"][usize::from(number % 3)]
}
