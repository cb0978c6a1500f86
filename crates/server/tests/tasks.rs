//! Work in the background: it runs beside the handlers, and ends with the socket or the server that it belongs to.

mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use support::{Client, Latch, Log, logged, settle, until};
use wirebird::extract::{EventContext, State};
use wirebird::{Error, Server, Socket, TaskEnd, TaskHandle};

/// What dies with the future that holds it.
struct Held(Arc<()>);

impl Held {
    fn new() -> (Self, impl Fn() -> bool) {
        let value = Arc::new(());
        let weak = Arc::downgrade(&value);
        (Self(value), move || weak.upgrade().is_none())
    }

    async fn forever(self) {
        let _held = self.0;
        pending().await
    }
}

/// F-BGT-01, F-BGT-02, F-BGT-03: a task sleeps and emits; its handle tells how it ended.
#[tokio::test(start_paused = true)]
async fn a_task_emits_from_the_background_and_can_be_awaited() {
    let io = Server::new();
    let client = Client::open(&io);
    client.join("/").await;
    let task = io.spawn({
        let io = io.clone();
        async move {
            for n in 0..3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                io.emit("tick", n)?;
            }
            Ok::<_, wirebird::EmitError>(())
        }
    });
    assert!(!task.is_finished());
    assert_eq!(client.next_many(3).await, [r#"2["tick",0]"#, r#"2["tick",1]"#, r#"2["tick",2]"#]);
    assert_eq!(task.await, TaskEnd::Finished);
    // Nobody needs to keep the handle, and an endless loop is a task like any other.
    let endless = io.spawn({
        let io = io.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = io.emit("tick", ());
            }
        }
    });
    drop(io.spawn(async { Ok::<(), Infallible>(()) }));
    assert_eq!(client.next().await, r#"2["tick"]"#);
    endless.abort();
    assert_eq!(endless.await, TaskEnd::Cancelled);
}

/// F-BGT-01, F-INT-04: closing the server cancels its tasks, not before its clients have had their time.
#[tokio::test(start_paused = true)]
async fn closing_the_server_cancels_its_tasks() {
    let (builder, log) = logged();
    let io = builder.build();
    let client = Client::open(&io);
    client.join("/").await;
    let (held, gone) = Held::new();
    let task = io.spawn(held.forever());
    let orderly = io.spawn({
        let (closing, log) = (io.closing(), log.clone());
        async move {
            closing.await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            log.push("put away");
        }
    });
    settle().await;
    // The client does not take what waits for it: closing takes as long as it may.
    io.emit("waits", ()).unwrap();
    io.close_within(Duration::from_secs(1)).await;
    assert_eq!((task.await, orderly.await), (TaskEnd::Cancelled, TaskEnd::Finished));
    assert!(gone() && log.all() == ["put away"]);
    // It is too late for others.
    let late = io.spawn({
        let log = log.clone();
        async move { log.push("late") }
    });
    assert_eq!(late.await, TaskEnd::Cancelled);
    assert_eq!(log.len(), 1);
}

/// F-BGT-01: a server that is dropped without having been closed takes its tasks along.
#[tokio::test]
async fn a_server_that_is_dropped_cancels_its_tasks() {
    let io = Server::new();
    let (held, gone) = Held::new();
    let task = io.spawn(held.forever());
    settle().await;
    drop(io);
    assert_eq!(task.await, TaskEnd::Cancelled);
    assert!(gone());
}

/// F-BGT-04: a task of a socket ends where it waits when the socket leaves, before the disconnect handler runs.
#[tokio::test]
async fn tasks_of_a_socket_end_when_it_leaves() {
    type Cause = fn(&Client, &Socket);
    let causes: [Cause; 4] = [
        |client, _| client.send("1"),
        |client, _| client.break_off(),
        |_, socket| socket.disconnect(),
        |_, socket| socket.disconnect_transport(),
    ];
    for cause in causes {
        let (builder, log) = logged();
        let io = builder.build();
        io.on_disconnect(async |socket: Socket, State(log): State<Log>| {
            settle().await;
            log.push(format!("disconnect {}", log.all().len()));
            // A socket that leaves begins nothing new.
            let late = socket.spawn(async { panic!("it must not run") });
            assert_eq!(late.await, TaskEnd::Cancelled);
            log.push("end");
        });
        let (client, other) = (Client::open(&io), Client::open(&io));
        let socket = io.socket(client.join("/").await).unwrap();
        let stays = io.socket(other.join("/").await).unwrap();
        let (held, gone) = Held::new();
        let tasks = [socket.spawn(held.forever()), socket.spawn(pending::<()>())];
        let others = stays.spawn(pending::<()>());
        settle().await;
        assert!(!gone());
        cause(&client, &socket);
        for task in tasks {
            assert_eq!(task.await, TaskEnd::Cancelled);
        }
        assert!(gone());
        assert_eq!(log.wait(2).await, ["disconnect 0", "end"]);
        assert!(!others.is_finished());
        assert_eq!(socket.spawn(async {}).await, TaskEnd::Cancelled, "it is gone");
    }
}

fn is_welcome(socket: &Socket) -> bool {
    !socket.auth::<Option<HashMap<String, bool>>>().unwrap().is_some_and(|auth| auth["refuse"])
}

/// F-BGT-04: a task may begin before the socket is accepted, and does not outlive a refusal.
#[tokio::test]
async fn a_connect_handler_may_begin_tasks() {
    let (builder, log) = logged();
    let latch = Latch::default();
    let io = builder.state(latch.clone()).build();
    io.on_connect(async |socket: Socket, State(log): State<Log>, State(latch): State<Latch>| {
        let task = socket.spawn({
            let socket = socket.clone();
            async move {
                socket.emit("from the background", ()).unwrap();
                pending::<()>().await;
            }
        });
        tokio::spawn(async move { log.push(format!("{:?}", task.await)) });
        latch.wait().await;
        is_welcome(&socket)
    });
    // Accepted, refused, and one that goes away meanwhile.
    let client = Client::open(&io);
    client.send("0");
    latch.open(1);
    assert!(client.next().await.starts_with("0{"));
    assert_eq!(client.next().await, r#"2["from the background"]"#);
    assert_eq!(log.len(), 0);
    let refused = Client::open(&io);
    refused.send(r#"0{"refuse":true}"#);
    latch.open(1);
    assert!(refused.next().await.starts_with('4'));
    assert_eq!(log.wait(1).await, ["Cancelled"]);
    let gone = Client::open(&io);
    gone.send("0");
    settle().await;
    gone.break_off();
    assert_eq!(log.wait(2).await, ["Cancelled"; 2]);
    latch.open(1);
}

/// F-BGT-05, F-ERR-07: errors and panics of a socket's tasks reach the error handler; handles tell that they failed.
#[tokio::test]
async fn failures_of_a_sockets_tasks_reach_the_error_handler() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_error(async |error: Error, context: EventContext| {
        let State(log): State<Log> = wirebird::extract::FromContext::from_context(&context)?;
        log.push(format!("{} {} {error}", context.event(), error.is_panic()));
        Ok::<_, Error>("nobody waits for this")
    });
    let client = Client::open(&io);
    let socket = io.socket(client.join("/").await).unwrap();
    let failed = socket.spawn(async { Err::<(), _>(Error::msg("on purpose")) });
    assert_eq!(failed.await, TaskEnd::Failed);
    let panicked = socket.spawn(async { panic!("too") });
    assert_eq!(panicked.await, TaskEnd::Failed);
    let lines = log.wait(2).await;
    assert_eq!(lines[0], "background task false on purpose");
    assert!(lines[1].starts_with("background task true") && lines[1].ends_with("too"), "{lines:?}");
    // Those of the server are logged; the server goes on.
    assert_eq!(io.spawn(async { panic!("on purpose") }).await, TaskEnd::Failed);
    assert_eq!(io.spawn(async { Err::<(), _>(Error::msg("on purpose")) }).await, TaskEnd::Failed);
    assert_eq!(io.spawn(async {}).await, TaskEnd::Finished);
    settle().await;
    assert_eq!((log.len(), client.take().len()), (2, 0));
}

/// F-BGT-05: thousands of tasks that end leave nothing behind, whoever they belonged to.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_have_ended_leave_nothing_behind() {
    let io = Server::new();
    let client = Client::open(&io);
    let socket = io.socket(client.join("/").await).unwrap();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let token = Arc::new(());
    for _ in 0..20 {
        let tasks: Vec<TaskHandle> = (0..500)
            .map(|n| {
                let token = token.clone();
                let work = async move {
                    tokio::task::yield_now().await;
                    drop(token);
                };
                if n % 2 == 0 { io.spawn(work) } else { socket.spawn(work) }
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            if n % 5 == 0 {
                task.abort();
            }
            task.await;
        }
    }
    until("the tasks to end", || Arc::strong_count(&token) == 1 && alive() == before).await;
}

/// F-BGT-03, R14: without a runtime a task runs in the threads that wake it.
#[test]
fn without_a_runtime_tasks_run_in_the_threads_that_wake_them() {
    let io = Server::new();
    let client = Client::inline(&io);
    let id = client.join_now("/");
    let socket = io.socket(id.as_str()).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<u8>();
    let mut task = Box::pin(socket.spawn({
        let socket = socket.clone();
        async move {
            while let Some(n) = receiver.recv().await {
                socket.emit("n", n)?;
            }
            Ok::<(), Error>(())
        }
    }));
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(1).unwrap());
    });
    assert_eq!(client.take(), [r#"2["n",1]"#]);
    let (held, gone) = Held::new();
    let background = io.spawn(held.forever());
    client.send("1");
    let late = socket.spawn(async { panic!("it must not run") });
    assert!(late.is_finished());
    assert!(task.is_finished() && sender.is_closed());
    assert!(!gone());
    io.close_blocking(Duration::ZERO);
    assert!(gone() && background.is_finished());
    assert!(io.spawn(async { panic!("it must not run") }).is_finished());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(task.as_mut().poll(&mut context), std::task::Poll::Ready(TaskEnd::Cancelled));
}
