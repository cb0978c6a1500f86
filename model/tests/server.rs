//! A whole server without a runtime: clients that come, send and go, and an application that emits, disconnects and lets
//! handlers go on. Whatever the order, each accepted socket has one disconnect handler, nothing comes out of order, nobody
//! is left unread, and nothing is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use shuttle::rand::Rng;
use shuttle::thread;
use tokio::sync::oneshot;
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::{Data, State};
use wirebird::{Handshake, Observer, Server, Socket};
use wirebird_model::try_orders;

/// What happened to each socket that was accepted.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<String, Life>>>);

#[derive(Default, Debug)]
struct Life {
    events: Vec<u32>,
    ended: usize,
}

impl Observer for Log {
    fn connected(&self, socket: &Socket) {
        assert!(self.0.lock().unwrap().insert(socket.id().to_string(), Life::default()).is_none());
    }
}

impl Log {
    fn note<T>(&self, socket: &Socket, what: impl FnOnce(&mut Life) -> T) -> T {
        what(self.0.lock().unwrap().get_mut(socket.id().as_str()).expect("one that was accepted"))
    }
}

/// Handlers that wait, and those whom the application lets go on.
type Waiting = Arc<Mutex<Vec<oneshot::Sender<()>>>>;

async fn wait(waiting: &Waiting) {
    let (sender, receiver) = oneshot::channel();
    waiting.lock().unwrap().push(sender);
    let _ = receiver.await;
}

fn let_go(waiting: &Waiting) {
    let sender = waiting.lock().unwrap().pop();
    drop(sender);
}

fn server() -> (Server, Log, Waiting) {
    let (log, waiting) = (Log::default(), Waiting::default());
    let builder = Server::builder().observer(log.clone()).state(log.clone()).state(waiting.clone());
    let io = builder.max_pending_events(2, 3).shards(1).build();
    io.of("/late").on_connect(async |State(waiting): State<Waiting>| wait(&waiting).await);
    for namespace in ["/", "/late"] {
        let namespace = io.of(namespace);
        namespace.on("event", async |socket: Socket, Data(number): Data<u32>, State(log): State<Log>| {
            log.note(&socket, |life| life.events.push(number));
            socket.join(format!("room {number}"))
        });
        namespace.on("slow", async |State(waiting): State<Waiting>| wait(&waiting).await);
        namespace.on("all", async |socket: Socket, Data(number): Data<u32>| {
            socket.namespace().to(socket.id().as_str()).emit("own", number)
        });
        namespace.on_disconnect(async |socket: Socket, State(log): State<Log>| {
            log.note(&socket, |life| life.ended += 1);
        });
    }
    (io, log, waiting)
}

fn client(io: &Server) -> Connection {
    io.connect_memory(Handshake::default(), || {}).expect("an open server")
}

fn send(client: &Connection, packet: impl Into<String>) {
    client.feed(Frame::Text(packet.into().into()));
}

/// Lets go what waits, and looks that everything has ended.
fn finish(io: &Server, log: &Log, waiting: &Waiting) {
    while !waiting.lock().unwrap().is_empty() {
        let_go(waiting);
    }
    for (id, life) in &*log.0.lock().unwrap() {
        assert_eq!(life.ended, 1, "{id}: {life:?}");
        assert!(life.events.is_sorted_by(|one, other| one < other), "{id}: {life:?}");
    }
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    assert!(io.namespaces().iter().all(|namespace| namespace.rooms().is_empty()));
}

/// A client connects, sends and leaves or breaks off, while the server disconnects it, emits and lets handlers go on.
#[test]
fn a_socket_is_disconnected_once() {
    try_orders(|| {
        let (io, log, waiting) = server();
        let mut dice = shuttle::rand::thread_rng();
        let name = if dice.gen_bool(0.5) { "" } else { "/late," };
        let (leaves, closes, disconnects) = (dice.gen_bool(0.5), dice.gen_bool(0.5), dice.gen_bool(0.5));
        let (client, other) = (client(&io), client(&io));
        let application = {
            let (io, waiting) = (io.clone(), waiting.clone());
            thread::spawn(move || {
                for number in 0..3 {
                    for namespace in io.namespaces() {
                        let _ = namespace.emit("news", number);
                        for socket in namespace.sockets() {
                            let _ = socket.join("everybody");
                            if disconnects {
                                socket.disconnect();
                            }
                        }
                    }
                    let_go(&waiting);
                    thread::yield_now();
                }
            })
        };
        let other = thread::spawn(move || {
            send(&other, "40");
            send(&other, r#"42["event",1]"#);
            other.take_batch();
            send(&other, "41");
            send(&other, "40");
            drop(other);
        });
        send(&client, format!("40{name}"));
        for number in 1..4 {
            send(&client, format!(r#"42{name}["event",{number}]"#));
        }
        if leaves {
            send(&client, format!("41{name}"));
        }
        if closes {
            send(&client, "1");
        }
        drop(client);
        other.join().unwrap();
        application.join().unwrap();
        finish(&io, &log, &waiting);
    });
}

/// Clients whose events wait for slow handlers are not read from, and are again when those are done, whoever ends them.
#[test]
fn nobody_is_left_unread() {
    try_orders(|| {
        let (io, log, waiting) = server();
        let clients: Vec<_> = (0..3).map(|_| Arc::new(client(&io))).collect();
        let done = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = clients
            .iter()
            .map(|client| {
                let (client, done) = (client.clone(), done.clone());
                thread::spawn(move || {
                    send(&client, "40");
                    for _ in 0..3 {
                        if !client.session().is_paused() {
                            send(&client, r#"42["slow"]"#);
                        }
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        let helpers: Vec<_> = (0..2)
            .map(|_| {
                let (waiting, done) = (waiting.clone(), done.clone());
                thread::spawn(move || {
                    while done.load(Ordering::SeqCst) < 3 {
                        let_go(&waiting);
                        thread::yield_now();
                    }
                    while !waiting.lock().unwrap().is_empty() {
                        let_go(&waiting);
                    }
                })
            })
            .collect();
        threads.into_iter().chain(helpers).for_each(|thread| thread.join().unwrap());
        while !waiting.lock().unwrap().is_empty() {
            let_go(&waiting);
        }
        for client in &clients {
            assert!(!client.session().is_paused(), "nothing waits, and it is not read from");
        }
        drop(clients);
        finish(&io, &log, &waiting);
    });
}

/// What several threads send to one client, directly and by broadcasts, arrives in the order of each of them.
#[test]
fn emits_of_a_thread_keep_their_order() {
    try_orders(|| {
        let (io, log, waiting) = server();
        let client = client(&io);
        send(&client, "40");
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let io = io.clone();
                thread::spawn(move || {
                    let socket = io.sockets().pop().expect("a socket");
                    for number in 0..4 {
                        let sent = if number % 2 == 0 {
                            io.emit("news", (thread, number))
                        } else {
                            socket.emit("news", (thread, number))
                        };
                        sent.unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let got: Vec<_> = client.take_batch();
        for thread in 0..2 {
            let prefix = format!(r#"42["news",{thread},"#);
            let own = got.iter().filter_map(|frame| match frame {
                Frame::Text(text) => text.strip_prefix(&*prefix)?.strip_suffix(']')?.parse::<u32>().ok(),
                _ => None,
            });
            assert!(own.eq(0..4_u32), "{got:?}");
        }
        drop(client);
        finish(&io, &log, &waiting);
    });
}
