//! The contract with hosts: one object-safe dispatcher, tokens, slots, observers, and nothing under locks.

mod support;

use std::any::Any;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use support::{Client, Log, settle, until};
use wirebird::engine::Outgoing;
use wirebird::{
    Accept, Adapter, Completion, ConnectError, ConnectRequest, ConnectResponder, DisconnectReason,
    Dispatcher, Handshake, IncomingEvent, Local, Observer, Operation, RawArgs, Room, Server, Socket,
};

/// What a dispatcher hands to the thread that answers.
enum Call {
    Connect(ConnectRequest, ConnectResponder),
    Event(IncomingEvent),
    Disconnect(Socket, DisconnectReason, Completion),
}

/// Sends everything to a thread, as a host of another language would.
struct Queue {
    calls: Mutex<mpsc::Sender<Call>>,
    released: Log,
}

impl Dispatcher for Queue {
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
        self.calls.lock().send(Call::Connect(request, responder)).unwrap();
    }

    fn event(&self, event: IncomingEvent) {
        self.calls.lock().send(Call::Event(event)).unwrap();
    }

    fn disconnect(&self, socket: Socket, reason: DisconnectReason, completion: Completion) {
        self.calls.lock().send(Call::Disconnect(socket, reason, completion)).unwrap();
    }

    fn released(&self, slot: Arc<dyn Any + Send + Sync>) {
        self.released.push(*slot.downcast_ref::<&str>().unwrap());
    }
}

fn queue() -> (Arc<dyn Dispatcher>, mpsc::Receiver<Call>, Log) {
    let (calls, receiver) = mpsc::channel();
    let released = Log::default();
    (Arc::new(Queue { calls: Mutex::new(calls), released: released.clone() }), receiver, released)
}

impl Call {
    fn of(calls: &mpsc::Receiver<Self>) -> Self {
        calls.recv_timeout(support::PATIENCE).expect("a call")
    }

    fn connect(calls: &mpsc::Receiver<Self>) -> (ConnectRequest, ConnectResponder) {
        let Self::Connect(request, responder) = Self::of(calls) else { panic!("connect expected") };
        (request, responder)
    }

    fn event(calls: &mpsc::Receiver<Self>) -> IncomingEvent {
        let Self::Event(event) = Self::of(calls) else { panic!("an event expected") };
        event
    }

    fn disconnect(calls: &mpsc::Receiver<Self>) -> (Socket, DisconnectReason, Completion) {
        let Self::Disconnect(socket, reason, completion) = Self::of(calls) else {
            panic!("disconnect expected")
        };
        (socket, reason, completion)
    }
}

/// R1, R2, R3, R9, R10, R15: everything answered from another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatcher_answers_by_tokens_from_any_thread() {
    let (dispatcher, calls, released) = queue();
    let io = Server::builder().dispatcher(dispatcher).build();
    let client = Client::open(&io);
    client.send(r#"0{"token":"t"}"#);
    client.send(r#"20["first",1e400]"#);
    client.send(r#"21["second"]"#);
    let host = thread::spawn(move || {
        let (request, responder) = Call::connect(&calls);
        assert_eq!(request.auth.as_deref(), Some(r#"{"token":"t"}"#));
        let socket = request.socket;
        assert!(!socket.is_connected());
        assert!(socket.set_slot(Some(Arc::new("a"))).is_none());
        assert_eq!(socket.set_slot(Some(Arc::new("b"))).unwrap().downcast_ref(), Some(&"a"));
        assert!(calls.try_recv().is_err(), "no event before the answer");
        responder.accept_with(&json!({ "pid": "p", "sid": "not mine to give" }));

        let first = Call::event(&calls);
        assert_eq!((&*first.name, first.args.json(), first.ack.is_wanted()), ("first", "1e400", true));
        assert!(calls.recv_timeout(Duration::from_millis(20)).is_err(), "the second waits for the first");
        first.ack.send_raw(&first.args);
        first.completion.complete();
        // Dropped tokens: no acknowledgement, and the next event follows.
        drop(Call::event(&calls));

        let (socket, reason, completion) = Call::disconnect(&calls);
        assert_eq!(reason, DisconnectReason::ClientDisconnect);
        assert!(!socket.is_connected());
        assert_eq!(socket.slot().unwrap().downcast_ref(), Some(&"b"));
        drop(completion);
        assert!(socket.slot().is_none());
        // What is kept for a socket that is gone is released at once.
        socket.set_slot(Some(Arc::new("late")));
        assert!(socket.slot().is_none());
        calls
    });
    let connect = client.next().await;
    let id = support::sid(&connect);
    assert!(connect.contains(r#""pid":"p""#) && io.socket(id.as_str()).is_some());
    assert_eq!(client.next().await, "30[1e400]");
    client.send("1");
    let calls = host.join().unwrap();
    assert_eq!(released.all(), ["b", "late"]);
    assert_eq!((io.socket_count(), calls.try_recv().is_err()), (0, true));

    // Refused, with a reason and by dropping the token.
    for (error, answer) in [
        (Some(ConnectError::new("no").with_data(1)), r#"4{"message":"no","data":1}"#),
        (None, r#"4{"message":"Connection rejected by server"}"#),
    ] {
        client.send("0");
        let (request, responder) = Call::connect(&calls);
        request.socket.set_slot(Some(Arc::new("refused")));
        match error {
            Some(error) => responder.refuse(error),
            None => drop(responder),
        }
        assert_eq!(client.next().await, answer);
    }
    assert_eq!(released.all()[2..], ["refused", "refused"]);
}

/// R1: a namespace may have a dispatcher of its own, and is open because of it.
#[tokio::test]
async fn a_namespace_may_have_a_dispatcher_of_its_own() {
    let (dispatcher, calls, _) = queue();
    let io = Server::new();
    io.on("event", async || "handler");
    io.of("/host").set_dispatcher(dispatcher);
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(0, r#"["event"]"#).await, [r#"30["handler"]"#]);
    client.send("0/host,");
    Call::connect(&calls).1.accept();
    client.next().await;
    client.send(r#"2/host,0["event"]"#);
    Call::event(&calls).ack.send("host").unwrap();
    assert_eq!(client.next().await, r#"3/host,0["host"]"#);
}

/// R16: a panic of the application's code ends there, and counts as dropping the tokens.
#[tokio::test]
async fn a_dispatcher_that_panics_drops_its_tokens() {
    struct Panics;
    impl Dispatcher for Panics {
        fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
            assert!(request.auth.is_some(), "on purpose");
            responder.accept();
        }
        fn event(&self, event: IncomingEvent) {
            assert!(event.name != "panic", "on purpose");
            event.ack.send("fine").unwrap();
        }
        fn disconnect(&self, _: Socket, _: DisconnectReason, _: Completion) {
            panic!("on purpose");
        }
        fn released(&self, _: Arc<dyn Any + Send + Sync>) {
            panic!("on purpose");
        }
    }
    let io = Server::builder().dispatcher(Arc::new(Panics)).build();
    let client = Client::open(&io);
    client.send("0");
    assert_eq!(client.next().await, r#"4{"message":"Connection rejected by server"}"#);
    client.send("0{}");
    let id = support::sid(&client.next().await);
    let socket = io.socket(id.as_str()).unwrap();
    socket.set_slot(Some(Arc::new(())));
    client.send(r#"20["panic"]"#);
    client.send(r#"21["event"]"#);
    assert_eq!(client.next().await, r#"31["fine"]"#);
    let sink = Box::new(|_| panic!("on purpose"));
    socket.emit_with_sink("ask", &RawArgs::empty(), None, sink).unwrap();
    assert_eq!(client.next().await, r#"20["ask"]"#);
    client.send("30[]");
    client.send("1");
    until("the end", || socket.slot().is_none()).await;
    client.send("0{}");
    client.next().await;
}

/// Everything that can be asked of a server, for calls from inside of its own calls.
fn use_everything(io: &Server, socket: Option<&Socket>) {
    io.emit("x", ()).unwrap();
    io.to("room").except("other").emit("x", Bytes::from_static(b"x")).unwrap();
    let _ =
        (io.sockets(), io.rooms(), io.socket_count(), io.close_room("closed"), io.of("/made").name().len());
    io.all().join("joined");
    io.all().leave("joined");
    drop(io.emit_with_ack::<()>("x", ()).stream());
    io.on("added", async || ());
    io.off("added");
    if let Some(socket) = socket {
        socket.emit("x", 1).unwrap();
        let _ = (socket.rooms(), socket.join("room"), socket.leave("room"), socket.is_connected());
        socket.session().insert(1u8);
        socket.session().update(|n: &mut u8| *n += 1);
        let _ = socket.emit_with_sink("x", &RawArgs::empty(), None, Box::new(|_| ()));
        let _ = (socket.engine_session().queued(), socket.transport(), socket.slot());
    }
}

/// Calls the server back from every call that it makes.
#[derive(Clone, Default)]
struct Reentrant(Arc<OnceLock<Server>>, Log);

impl Reentrant {
    fn call(&self, what: &str, socket: Option<&Socket>) {
        // A few times each, because these calls bring about others.
        if self.1.all().iter().filter(|line| *line == what).count() < 3 {
            self.1.push(what);
            use_everything(self.0.get().unwrap(), socket);
        }
    }
}

impl Dispatcher for Reentrant {
    fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
        self.call("connect", Some(&request.socket));
        responder.accept();
    }
    fn event(&self, event: IncomingEvent) {
        self.call("event", Some(&event.socket));
    }
    fn disconnect(&self, socket: Socket, _: DisconnectReason, _completion: Completion) {
        self.call("disconnect", Some(&socket));
    }
    fn released(&self, _: Arc<dyn Any + Send + Sync>) {
        self.call("released", None);
    }
}

impl Observer for Reentrant {
    fn connected(&self, socket: &Socket) {
        self.call("connected", Some(socket));
    }
    fn disconnected(&self, socket: &Socket, _: DisconnectReason) {
        self.call("disconnected", Some(socket));
    }
    fn joined(&self, socket: &Socket, _: &Room) {
        self.call("joined", Some(socket));
    }
    fn left(&self, socket: &Socket, _: &Room) {
        self.call("left", Some(socket));
    }
    fn event_received(&self, socket: &Socket, _: &str, _: &RawArgs) {
        self.call("event received", Some(socket));
    }
    fn packet_sent(&self, socket: &Socket, _: &Outgoing) {
        self.call("packet sent", Some(socket));
    }
}

impl Adapter for Reentrant {
    fn attach(&self, _: Local) {}
    fn publish(&self, _: Operation) {
        self.call("publish", None);
    }
    fn close(&self) {
        self.call("adapter closed", None);
    }
}

fn reentrant(scenario: impl Fn(&Server, &Client, &Reentrant)) {
    let hooks = Reentrant::default();
    let check = hooks.clone();
    let io = Server::builder()
        .dispatcher(Arc::new(hooks.clone()))
        .observer(hooks.clone())
        .adapter(hooks.clone())
        .namespaces(Accept::check(move |_, _| {
            check.call("accept", None);
            true
        }))
        .build();
    hooks.0.set(io.clone()).ok().unwrap();
    let slot: Arc<Mutex<Option<Arc<wirebird::engine::memory::Connection>>>> = Arc::default();
    let (waking, connection) = (hooks.clone(), slot.clone());
    let watcher = io.connect_memory(Handshake::default(), move || {
        let connection = connection.lock().clone();
        if let Some(connection) = connection {
            connection.take_batch();
            waking.call("wake", None);
        }
    });
    let watcher = Arc::new(watcher.unwrap());
    watcher.take_batch();
    *slot.lock() = Some(watcher.clone());
    watcher.feed(wirebird::engine::Frame::Text("40".into()));
    let client = Client::inline(&io);
    scenario(&io, &client, &hooks);
    *slot.lock() = None;
    io.close_blocking(Duration::ZERO);
}

/// R16: no lock is held during any call, so every method may be called from inside. A deadlock would show as a hang.
#[test]
fn every_call_may_call_back() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        reentrant(|io, client, hooks| {
            let id = client.join_now("/");
            client.send(r#"20["event"]"#);
            let socket = io.socket(id.as_str()).unwrap();
            socket.set_slot(Some(Arc::new(())));
            let calls = hooks.clone();
            let (server, on) = (io.clone(), socket.clone());
            let sink = Box::new(move |_| {
                use_everything(&server, Some(&on));
                calls.1.push("sink");
            });
            socket.emit_with_sink("ask", &RawArgs::empty(), None, sink).unwrap();
            socket.join("observed").unwrap();
            socket.leave("observed");
            io.emit("to all", ()).unwrap();
            socket.disconnect();
            lines.lock().extend(hooks.1.all());
        });
        done.send(()).unwrap();
    });
    finished.recv_timeout(support::PATIENCE).expect("no deadlock");
    let log = log.lock();
    for what in [
        "accept",
        "connect",
        "connected",
        "event received",
        "event",
        "joined",
        "left",
        "packet sent",
        "publish",
        "wake",
        "sink",
        "disconnected",
        "disconnect",
        "released",
    ] {
        assert!(log.iter().any(|line| line == what), "{what} in {log:?}");
    }
}

/// R16: a waker or an observer that panics is its own misfortune: others are served on.
#[test]
fn panics_in_wakers_and_observers_hold_up_nobody() {
    struct Panics;
    impl Observer for Panics {
        fn connected(&self, _: &Socket) {
            panic!("on purpose");
        }
        fn packet_sent(&self, _: &Socket, _: &Outgoing) {
            panic!("on purpose");
        }
        fn joined(&self, _: &Socket, _: &Room) {
            panic!("on purpose");
        }
        fn event_received(&self, _: &Socket, _: &str, _: &RawArgs) {
            panic!("on purpose");
        }
    }
    let serve = |broken: &wirebird::engine::memory::Connection| {
        broken.take_batch();
        broken.feed(wirebird::engine::Frame::Text("40".into()));
        broken.take_batch();
    };
    let waker = |armed: &Arc<std::sync::atomic::AtomicBool>| {
        let armed = armed.clone();
        move || assert!(!armed.load(std::sync::atomic::Ordering::Relaxed), "on purpose")
    };
    // Without a runtime, and with one.
    for with_runtime in [false, true] {
        let io = Server::builder().observer(Panics).shards(1).build();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let entered = with_runtime.then(|| runtime.enter());
        if with_runtime {
            io.engine().attach_runtime();
        }
        let armed = Arc::default();
        let broken = io.connect_memory(Handshake::default(), waker(&armed)).unwrap();
        serve(&broken);
        let client = Client::inline(&io);
        runtime.block_on(client.join("/"));
        armed.store(true, std::sync::atomic::Ordering::Relaxed);
        for n in 0..3 {
            io.emit("e", n).unwrap();
            assert_eq!(runtime.block_on(client.next()), format!(r#"2["e",{n}]"#), "{with_runtime}");
        }
        armed.store(false, std::sync::atomic::Ordering::Relaxed);
        drop(entered);
    }
}

/// R24
#[tokio::test]
async fn an_observer_is_told_of_everything() {
    #[derive(Clone, Default)]
    struct Watch(Log);
    impl Observer for Watch {
        fn connected(&self, socket: &Socket) {
            self.0.push(format!("connected {}", socket.is_connected()));
        }
        fn disconnected(&self, _: &Socket, reason: DisconnectReason) {
            self.0.push(format!("disconnected {reason:?}"));
        }
        fn joined(&self, _: &Socket, room: &Room) {
            self.0.push(format!("joined {room}"));
        }
        fn left(&self, _: &Socket, room: &Room) {
            self.0.push(format!("left {room}"));
        }
        fn event_received(&self, _: &Socket, name: &str, args: &RawArgs) {
            self.0.push(format!("received {name} {}", args.json()));
        }
        fn packet_sent(&self, _: &Socket, packet: &Outgoing) {
            self.0.push(format!("sent {}", packet.packets()));
        }
        fn refused(&self, refusal: &wirebird::engine::Refusal<'_>) {
            self.0.push(format!("refused {:?}", refusal.code));
        }
    }
    let watch = Watch::default();
    let io = Server::builder().observer(watch.clone()).build();
    io.on("event", async || Bytes::from_static(b"x"));
    io.of("/refuses").on_connect(async || false);
    let client = Client::open(&io);
    client.send("0/refuses,");
    client.next().await;
    watch.0.take();
    let id = client.join("/").await;
    assert_eq!(watch.0.take(), ["connected true", "sent 1"]);
    let socket = io.socket(id.as_str()).unwrap();
    socket.join("r").unwrap();
    socket.join("r").unwrap();
    io.all().leave(["r", "s"]);
    assert_eq!(watch.0.take(), ["joined r", "left r"]);
    client.send(r#"20["event",{"a":1}]"#);
    assert_eq!(watch.0.take(), [r#"received event {"a":1}"#, "sent 2"]);
    io.emit("all", ()).unwrap();
    client.next_many(3).await;
    assert_eq!(watch.0.take(), ["sent 1"]);
    socket.disconnect();
    assert_eq!(watch.0.wait(2).await, ["disconnected ServerDisconnect", "sent 1"]);
    watch.0.take();
    let request = http::Request::get("/socket.io/?EIO=4&transport=carrier-pigeon");
    let response = io.handle(request.body(http_body_util::Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!((response.status().as_u16(), watch.0.all()), (400, vec!["refused Some(0)".to_owned()]));
}

/// R17: no globals.
#[tokio::test]
async fn two_servers_in_one_process_know_nothing_of_each_other() {
    let (one, two) = (Server::new(), Server::new());
    one.on("event", async || 1);
    two.on("event", async || 2);
    let (a, b) = (Client::open(&one), Client::open(&two));
    let id = a.join("/").await;
    b.join("/").await;
    assert!(two.socket(id.as_str()).is_none());
    two.to(id.as_str()).emit("e", ()).unwrap();
    one.emit("one", ()).unwrap();
    assert_eq!(a.next().await, r#"2["one"]"#);
    assert_eq!(a.call(0, r#"["event"]"#).await, ["30[1]"]);
    assert_eq!(b.call(0, r#"["event"]"#).await, ["30[2]"]);
    one.close_within(Duration::ZERO).await;
    settle().await;
    assert!(!a.is_open() && b.is_open());
    assert_eq!(b.call(1, r#"["event"]"#).await, ["31[2]"]);
}
