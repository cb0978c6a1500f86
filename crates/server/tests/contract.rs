//! The contract with hosts: one object-safe dispatcher, tokens, slots, observers, and nothing under locks.

mod support;

use std::any::Any;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use support::{Client, Log, settle, until};
use wirebird::engine::Outgoing;
use wirebird::{
    Completion, ConnectError, ConnectRequest, ConnectResponder, DisconnectReason, Dispatcher, IncomingEvent,
    Observer, RawArgs, Room, Server, Socket,
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
        first.ack.send_raw(&first.args).unwrap();
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
