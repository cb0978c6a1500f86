//! Closing a server: everybody is told, everything ends, and nobody is called afterwards.

mod support;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use support::{Client, Latch, Log, settle, until};
use wirebird::extract::{Data, State};
use wirebird::{
    Adapter, Completion, ConnectRequest, ConnectResponder, DisconnectReason, Dispatcher, Error, Handshake,
    IncomingEvent, Local, Operation, RawArgs, Server, Socket,
};

fn logged() -> (wirebird::Builder, Log, Latch) {
    let (log, latch) = (Log::default(), Latch::default());
    (Server::builder().state(log.clone()).state(latch.clone()), log, latch)
}

/// F-PRO-22, F-INT-04: disconnect handlers are waited for.
#[tokio::test]
async fn close_waits_for_the_disconnect_handlers() {
    let (builder, log, latch) = logged();
    let io = builder.build();
    io.on("slow", async |State(latch): State<Latch>, State(log): State<Log>| {
        latch.wait().await;
        log.push("event");
    });
    io.on_disconnect(async |reason: DisconnectReason, State(latch): State<Latch>, State(log): State<Log>| {
        latch.wait().await;
        log.push(reason.to_string());
    });
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"2["slow"]"#);
    let closing = tokio::spawn({
        let io = io.clone();
        async move { io.close().await }
    });
    client.closed().await;
    client.take();
    settle().await;
    assert!(!closing.is_finished() && log.all().is_empty());
    latch.open(2);
    closing.await.unwrap();
    assert_eq!(log.all(), ["event", "server shutting down"]);
    assert!(io.connect_memory(Handshake::default(), || ()).is_none(), "no new clients");
    assert!(io.engine().session_count() == 0 && io.socket_count() == 0);
}

/// R17: after the deadline nothing of the application is called any more, and nothing of it is kept.
#[tokio::test(start_paused = true)]
async fn no_handler_is_called_after_close() {
    let (builder, log, latch) = logged();
    let io = builder.build();
    io.on("slow", async |Data(n): Data<u32>, State(latch): State<Latch>, State(log): State<Log>| {
        log.push(format!("event {n}"));
        latch.wait().await;
        log.push(format!("end {n}"));
        Err::<(), _>(Error::msg("too late for anybody to care"))
    });
    io.of("/connecting").on_connect(async |State(latch): State<Latch>, State(log): State<Log>| {
        latch.wait().await;
        log.push("accepted");
    });
    io.of("/waiting").on_connect(async |State(log): State<Log>| log.push("must not run"));
    for namespace in [io.of("/"), io.of("/connecting")] {
        namespace.on_disconnect(async |State(log): State<Log>| log.push("must not run"));
    }
    io.on_error(async |_: Error, context: wirebird::extract::EventContext| {
        let State(log): State<Log> = wirebird::extract::FromContext::from_context(&context).unwrap();
        log.push("must not run");
    });
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    let value = Arc::new(());
    let weak = Arc::downgrade(&value);
    socket.session().insert(value);
    let answers = log.clone();
    let sink = Box::new(move |answer: wirebird::AckResult| answers.push(format!("{answer:?}")));
    socket.emit_with_sink("ask", &RawArgs::empty(), Some(Duration::from_secs(60)), sink).unwrap();
    for packet in [r#"2["slow",1]"#, r#"2["slow",2]"#, "0/connecting,", "0/waiting,"] {
        client.send(packet);
    }
    let begun = tokio::time::Instant::now();
    io.close_within(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_millis(1100));
    assert_eq!(log.all(), ["event 1", "Err(Disconnected)"]);
    assert!(weak.upgrade().is_none() && io.socket_count() == 0);
    latch.open(3);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let mut after = log.all().split_off(2);
    after.sort();
    assert_eq!(after, ["accepted", "end 1"], "only what had begun before comes to its end");
    io.close().await;
    socket.disconnect();
    io.emit("nobody", ()).unwrap();
    client.send(r#"2["slow",3]"#);
    settle().await;
    assert_eq!(log.len(), 4);
}

/// R15, R17: slots are released, adapters are told, before `close` returns.
#[tokio::test]
async fn slots_and_adapters_are_let_go() {
    struct Host(Log, parking_lot::Mutex<Vec<Completion>>);
    impl Dispatcher for Host {
        fn connect(&self, request: ConnectRequest, responder: ConnectResponder) {
            request.socket.set_slot(Some(Arc::new(())));
            responder.accept();
        }
        fn event(&self, event: IncomingEvent) {
            self.1.lock().push(event.completion);
        }
        fn disconnect(&self, _: Socket, _: DisconnectReason, completion: Completion) {
            self.0.push("disconnect");
            self.1.lock().push(completion);
        }
        fn released(&self, _: Arc<dyn Any + Send + Sync>) {
            self.0.push("released");
        }
    }
    struct Alone(Log);
    impl Adapter for Alone {
        fn attach(&self, _: Local) {}
        fn publish(&self, _: Operation) {}
        fn close(&self) {
            self.0.push("adapter");
        }
    }
    let log = Log::default();
    let host = Arc::new(Host(log.clone(), parking_lot::Mutex::default()));
    let io = Server::builder().dispatcher(host.clone()).adapter(Alone(log.clone())).build();
    let (client, busy) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    busy.join("/").await;
    busy.send(r#"2["event"]"#);
    io.close_within(Duration::ZERO).await;
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["adapter", "disconnect", "released", "released"]);
    // Tokens that are dropped later mean nothing.
    host.1.lock().drain(..).for_each(drop);
    settle().await;
    assert!(log.all().is_empty());
}

/// For threads outside the runtime, and for servers without one.
#[test]
fn close_blocking_waits_without_a_runtime_of_its_own() {
    let (builder, log, _) = logged();
    let io = builder.build();
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        log.push(format!("{reason:?}"));
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let client = Client::open(&io);
        client.join("/").await;
        client
    });
    std::thread::scope(|scope| {
        scope.spawn(|| io.close_blocking(Duration::MAX));
        runtime.block_on(client.closed());
        // A session is there until its client has taken what waits.
        client.take();
    });
    assert_eq!(log.all(), ["ServerShutdown"]);
    io.close_blocking(Duration::ZERO);
    assert!(!client.is_open());
    // The runtime may be gone before the server.
    let other = Server::new();
    let client = runtime.block_on(async {
        let client = Client::open(&other);
        client.join("/").await;
        client
    });
    drop(runtime);
    other.close_blocking(Duration::ZERO);
    assert!(!client.is_open());
}

/// R14
#[test]
fn a_server_without_a_runtime_closes_in_the_call() {
    let (builder, log, latch) = logged();
    let io = builder.build();
    io.on("slow", async |State(latch): State<Latch>| latch.wait().await);
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    let (client, busy) = (Client::inline(&io), Client::inline(&io));
    client.join_now("/");
    busy.join_now("/");
    busy.send(r#"2["slow"]"#);
    io.close_blocking(Duration::from_secs(5));
    assert_eq!(log.all(), ["disconnect"]);
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    latch.open(1);
    assert_eq!(log.len(), 1);
    io.close_blocking(Duration::ZERO);
}

/// A server may be closed from inside of its handlers.
#[tokio::test(start_paused = true)]
async fn a_handler_may_close_the_server() {
    let (builder, log, _) = logged();
    let io = builder.disconnect_grace(Duration::from_secs(1)).build();
    io.on("close", {
        let io = io.clone();
        move |State(log): State<Log>| {
            let io = io.clone();
            async move {
                io.close().await;
                log.push("closed");
            }
        }
    });
    io.on_disconnect(async |State(log): State<Log>| log.push("disconnect"));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"20["close"]"#);
    client.closed().await;
    client.take();
    assert_eq!(log.wait(2).await, ["disconnect", "closed"]);
}

/// A server that is dropped leaves no task behind, whatever its tasks were about.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_that_is_gone_has_no_tasks() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for _ in 0..50 {
        let io = Server::builder().shards(4).build();
        io.on_connect(async || {});
        let client = Client::open(&io);
        client.join("/").await;
        io.emit("event", 1).unwrap();
        assert_eq!(client.next().await, r#"2["event",1]"#);
        client.break_off();
        io.close().await;
    }
    until("the tasks to end", || alive() == before).await;
}
