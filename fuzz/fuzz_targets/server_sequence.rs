//! A whole server in memory, fed packets of several clients in any order, while the application emits, asks and
//! disconnects. Nothing panics, each accepted socket is disconnected once, and at the end nothing is left.
#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use tokio::sync::oneshot;
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::{Data, State};
use wirebird::{DisconnectReason, Error, Handshake, Observer, RawArgs, Server, Socket, Value};

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

/// Handlers that wait.
type Waiting = Arc<Mutex<Vec<oneshot::Sender<()>>>>;

async fn wait(State(waiting): State<Waiting>) {
    let (sender, receiver) = oneshot::channel();
    waiting.lock().unwrap().push(sender);
    let _ = receiver.await;
}

/// Drops the sender of one that waits, if one does. Its handler goes on meanwhile, and others may begin to wait.
fn drop_one(waiting: &Waiting) -> bool {
    let sender = waiting.lock().unwrap().pop();
    sender.is_some()
}

fn server(log: &Log, waiting: &Waiting) -> Server {
    let builder = Server::builder().observer(log.clone()).state(log.clone()).state(waiting.clone());
    let builder = builder.max_namespaces(3).max_rooms(3).max_pending_acks(3).max_pending_events(4, 6);
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

fuzz_target!(|steps: Vec<Step<'_>>| {
    let (log, waiting) = (Log::default(), Waiting::default());
    let io = server(&log, &waiting);
    let namespaces = io.namespaces().len();
    let mut clients: [Option<Connection>; 3] = [const { None }; 3];
    let mut now = Instant::now();
    for step in steps {
        take_step(&io, &mut clients, &waiting, &mut now, step);
    }
    // A client that behaves is served, whatever the others did.
    let healthy = io.connect_memory(Handshake::default(), || {}).expect("an open server");
    healthy.feed(Frame::Text("40".into()));
    healthy.feed(Frame::Text(r#"421["echo",1]"#.into()));
    let answers = healthy.take_batch();
    assert!(answers.contains(&Frame::Text("431[1]".into())), "{answers:?}");
    drop(healthy);

    // What waits goes on, or is dropped with its client.
    clients.into_iter().flatten().for_each(drop);
    while drop_one(&waiting) {}
    for _ in 0..3 {
        now += Duration::from_secs(61);
        io.tick(now);
        while drop_one(&waiting) {}
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
    clients: &mut [Option<Connection>; 3],
    waiting: &Waiting,
    now: &mut Instant,
    step: Step<'_>,
) {
    let at = |number: u8| usize::from(number % 3);
    let namespace = |number: u8| NAMESPACES[usize::from(number) % NAMESPACES.len()];
    let feed = |clients: &[Option<Connection>; 3], client: u8, frame: Frame| {
        if let Some(client) = &clients[at(client)] {
            client.feed(frame);
        }
    };
    match step {
        Step::Open(client) => clients[at(client)] = io.connect_memory(Handshake::default(), || {}),
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
            if let Some(client) = &clients[at(client)] {
                client.take_batch();
            }
        }
        Step::Drop(client) => drop(clients[at(client)].take()),
        Step::Tick(millis) => {
            *now += Duration::from_millis(millis.into());
            io.tick(*now);
        }
        Step::Wake(number) => {
            let sender = {
                let mut waiting = waiting.lock().unwrap();
                let count = waiting.len();
                (count > 0).then(|| waiting.swap_remove(usize::from(number) % count))
            };
            if let Some(sender) = sender {
                let _ = sender.send(());
            }
        }
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

/// A namespace that is there anyway.
fn registered(number: u8) -> &'static str {
    ["/", "/chat", "/slow"][usize::from(number % 3)]
}
