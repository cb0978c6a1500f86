//! Clients and the application at once, at random, on all threads: what must hold then must hold always.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Client, Dice, sid, until};
use wirebird::extract::State;
use wirebird::{Builder, DisconnectReason, Error, Observer, Server, Socket};

#[derive(Clone, Default)]
struct Counts(Arc<CountsInner>);

#[derive(Default)]
struct CountsInner {
    accepted: AtomicUsize,
    disconnected: AtomicUsize,
    ended: AtomicUsize,
    open: Mutex<HashSet<String>>,
}

impl Observer for Counts {
    fn connected(&self, socket: &Socket) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        assert!(self.0.open.lock().insert(socket.id().to_string()));
    }

    fn disconnected(&self, socket: &Socket, _: DisconnectReason) {
        self.0.disconnected.fetch_add(1, Ordering::Relaxed);
        assert!(
            self.0.open.lock().contains(socket.id().as_str()),
            "after the acceptance, before the handler"
        );
    }
}

fn server(builder: Builder, counts: &Counts) -> Server {
    let io =
        builder.observer(counts.clone()).state(counts.clone()).state(Arc::new(Mutex::new(Dice(99)))).build();
    async fn dawdle(State(dice): State<Arc<Mutex<Dice>>>) -> u64 {
        let roll = dice.lock().below(8);
        if roll < 4 {
            tokio::task::yield_now().await;
        }
        if roll < 2 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        roll
    }
    io.on_connect(async |socket: Socket, dice: State<Arc<Mutex<Dice>>>| {
        socket.emit("own", socket.id())?;
        socket.join("room")?;
        let roll = dawdle(dice).await;
        socket.emit("own", socket.id())?;
        match roll {
            3 => socket.disconnect(),
            5 => return Err(Error::msg("on purpose")),
            _ => {}
        }
        Ok::<_, Error>(())
    });
    io.on("event", async |socket: Socket, dice: State<Arc<Mutex<Dice>>>, State(storm): State<Storm>| {
        let roll = dawdle(dice).await;
        socket.emit("own", socket.id())?;
        if roll == 7 && storm.server_disconnects {
            socket.disconnect();
        }
        Ok::<_, Error>(roll)
    });
    io.on_disconnect(async |socket: Socket, dice: State<Arc<Mutex<Dice>>>, State(counts): State<Counts>| {
        dawdle(dice).await;
        assert!(counts.0.open.lock().remove(socket.id().as_str()), "once for each that was accepted");
        counts.0.ended.fetch_add(1, Ordering::Relaxed);
    });
    io.on_error(async |error: Error| assert!(error.to_string().contains("on purpose"), "{error}"));
    io
}

/// What a client knows of its connection to the namespace.
#[derive(Debug, PartialEq)]
enum View {
    Out,
    Asked,
    In(String),
}

async fn wander(client: Client, seed: u64, storm: Storm) {
    let mut dice = Dice(seed);
    let mut view = View::Out;
    for step in 0..400 {
        for packet in client.take() {
            match (packet.as_bytes()[0], &view) {
                (b'0', View::Asked) => view = View::In(sid(&packet)),
                (b'4', View::Asked) => view = View::Out,
                (b'1', View::In(_)) => view = View::Out,
                (b'2', View::In(id)) => {
                    let own = !packet.contains("own") || packet.contains(id.as_str());
                    assert!(own || !storm.strict, "{packet} belongs to another connection");
                }
                // What was on its way when the client left.
                (b'1' | b'2' | b'3', View::Out | View::Asked) | (b'3', View::In(_)) => {}
                (_, view) => panic!("{packet} came while the client was {view:?}"),
            }
        }
        assert!(client.is_open(), "step {step}: nothing was wrong with what the client sent");
        match (dice.below(6), &view) {
            (0..2, View::Out) => {
                client.send("0");
                view = View::Asked;
            }
            // As clients do: not before they have their answer.
            (0, View::In(_)) if storm.clients_leave => {
                client.send("1");
                view = View::Out;
            }
            (1..4, View::In(_) | View::Asked) => client.send(format!(r#"2{step}["event"]"#)),
            _ => tokio::task::yield_now().await,
        }
        if dice.below(4) == 0 {
            tokio::time::sleep(Duration::from_micros(20)).await;
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Storm {
    always_connect: bool,
    clients_leave: bool,
    server_disconnects: bool,
    /// Events of another connection are an error.
    strict: bool,
}

async fn storm(storm: Storm) {
    let counts = Counts::default();
    let builder = Server::builder().always_connect(storm.always_connect).shards(2);
    let io = server(builder.state(storm), &counts);
    let stop = Arc::new(AtomicBool::new(false));
    let meddlers: Vec<_> = (1..3)
        .map(|seed| {
            let (io, stop) = (io.clone(), stop.clone());
            thread::spawn(move || {
                let mut dice = Dice(seed * 77);
                while !stop.load(Ordering::Relaxed) {
                    let sockets = io.sockets();
                    let socket = sockets.get(dice.below(sockets.len().max(1) as u64) as usize);
                    match (dice.below(12), socket) {
                        (0, Some(socket)) if storm.server_disconnects => socket.disconnect(),
                        (1, Some(socket)) => drop(socket.leave("room")),
                        (2..4, Some(socket)) => drop(socket.emit("own", socket.id())),
                        (4, Some(socket)) => {
                            drop(socket.emit_with_ack::<()>("own", socket.id()).into_future())
                        }
                        (5, _) => io.to("room").emit("room", ()).unwrap(),
                        (6, _) => drop(io.emit_with_ack::<()>("all", ()).stream()),
                        (7..9, _) => io.emit("all", ()).unwrap(),
                        _ => thread::park_timeout(Duration::from_micros(50)),
                    }
                }
            })
        })
        .collect();
    let clients: Vec<_> =
        (0..12).map(|n| tokio::spawn(wander(Client::open(&io), n * 31 + 5, storm))).collect();
    for client in clients {
        client.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    meddlers.into_iter().for_each(|meddler| meddler.join().unwrap());
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    until("every connection to end", || {
        counts.0.open.lock().is_empty()
            && [&counts.0.disconnected, &counts.0.ended].map(count) == [count(&counts.0.accepted); 2]
    })
    .await;
    until("nothing to be left", || {
        io.socket_count() == 0 && io.rooms().is_empty() && io.engine().session_count() == 0
    })
    .await;
    assert!(count(&counts.0.accepted) > 50, "something has happened");
}

/// Each accepted connection ends once, no client is closed for what it sent, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_clients_leave_at_random_stay_consistent() {
    storm(Storm { clients_leave: true, ..Storm::default() }).await;
}

/// The same where the server ends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_the_server_ends_at_random_stay_consistent() {
    storm(Storm { server_disconnects: true, ..Storm::default() }).await;
}

/// The same where clients are told before the connect handler has decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_announced_early_stay_consistent() {
    storm(Storm { server_disconnects: true, always_connect: true, ..Storm::default() }).await;
}

/// Both sides end the same connection, and the client is back before the server's farewell is out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_both_sides_end_at_random_stay_consistent() {
    for always_connect in [false, true] {
        storm(Storm { clients_leave: true, server_disconnects: true, always_connect, ..Storm::default() })
            .await;
    }
}

/// Nothing that was emitted to one connection reaches the next one of the same client.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_of_one_client_do_not_mix() {
    storm(Storm { clients_leave: true, strict: true, ..Storm::default() }).await;
}
