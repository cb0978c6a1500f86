//! Calls from inside of calls: nothing is locked then, and panics go no further.

mod support;

use std::any::Any;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use support::{Client, Log};
use wirebird::engine::Outgoing;
use wirebird::{
    Accept, Adapter, Completion, ConnectRequest, ConnectResponder, DisconnectReason, Dispatcher, Handshake,
    IncomingEvent, Local, Observer, Operation, RawArgs, Room, Server, Socket,
};

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
