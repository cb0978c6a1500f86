//! Without a runtime, without threads: everything happens inside of the calls (R14).

mod support;

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use support::{Client, Latch, Log};
use tokio::sync::oneshot;
use wirebird::extract::{Data, State};
use wirebird::{AckError, DisconnectReason, Error, RawArgs, Server, Socket};

/// Handlers have run when a call returns, and what they sent is there.
#[test]
fn everything_has_happened_when_a_call_returns() {
    let log = Log::default();
    let io = Server::builder().state(log.clone()).build();
    io.on_connect(async |socket: Socket| socket.emit("welcome", ()));
    io.on("add", async |Data((a, b)): Data<(i64, i64)>, socket: Socket| {
        socket.namespace().emit("sum", a + b)?;
        socket.join("adders")?;
        Ok::<_, Error>(a + b)
    });
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| log.push(reason.to_string()));
    let (client, other) = (Client::inline(&io), Client::inline(&io));
    other.send("0");
    assert_eq!(other.take().len(), 2);
    client.send("0");
    assert_eq!(client.take()[1..], [r#"2["welcome"]"#]);
    client.send(r#"20["add",2,3]"#);
    assert_eq!(client.take(), [r#"2["sum",5]"#, "30[5]"]);
    assert_eq!(other.take(), [r#"2["sum",5]"#]);
    io.to("adders").emit("hello", ()).unwrap();
    assert_eq!((client.take().len(), other.take().len()), (1, 0));
    client.send("1");
    assert_eq!(log.all(), ["client namespace disconnect"]);
    drop(other);
    assert_eq!(log.all()[1..], ["transport close"]);
    assert_eq!((io.socket_count(), io.engine().runtime().is_some()), (0, false));
}

/// Handlers that wait go on in the thread that wakes them.
#[test]
fn handlers_that_wait_go_on_when_they_are_woken() {
    type Waiting = Arc<Mutex<Vec<oneshot::Sender<u32>>>>;
    let waiting = Waiting::default();
    let io = Server::builder().state(waiting.clone()).build();
    io.on("wait", async |State(waiting): State<Waiting>| {
        let mut sum = 0;
        for _ in 0..3 {
            let (sender, receiver) = oneshot::channel();
            waiting.lock().push(sender);
            sum += receiver.await?;
        }
        Ok::<_, Error>(sum)
    });
    let client = Client::inline(&io);
    client.join_now("/");
    client.send(r#"20["wait"]"#);
    client.send(r#"21["wait"]"#);
    let wake = |n| {
        let sender = waiting.lock().pop().unwrap();
        sender.send(n).unwrap();
    };
    for n in 1..=3 {
        assert!(client.take().is_empty());
        wake(n);
    }
    assert_eq!(client.take(), ["30[6]"]);
    thread::scope(|scope| {
        scope.spawn(|| (1..=3).for_each(wake));
    });
    assert_eq!(client.take(), ["31[6]"]);
    // One whose waker is dropped with the value fails.
    client.send(r#"22["wait"]"#);
    waiting.lock().clear();
    assert!(client.take().is_empty() && client.is_open());
}

/// No wake-up is lost, whichever thread it comes from and whatever the handler does at the time.
#[test]
fn no_wake_up_is_lost() {
    type Numbers = Arc<Mutex<Option<tokio::sync::mpsc::UnboundedReceiver<u32>>>>;
    let numbers = Numbers::default();
    let io = Server::builder().state(numbers.clone()).build();
    io.on("sum", async |State(numbers): State<Numbers>| {
        let mut numbers = numbers.lock().take().unwrap();
        let mut sum = 0;
        while let Some(number) = numbers.recv().await {
            sum += number;
        }
        sum
    });
    let client = Client::inline(&io);
    client.join_now("/");
    for round in 0..500 {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        *numbers.lock() = Some(receiver);
        client.send(format!(r#"2{round}["sum"]"#));
        thread::scope(|scope| {
            for number in [1, 10, 100] {
                let sender = sender.clone();
                scope.spawn(move || sender.send(number).unwrap());
            }
        });
        drop(sender);
        let begun = Instant::now();
        let answer = loop {
            match client.take().pop() {
                Some(answer) => break answer,
                None => assert!(begun.elapsed() < support::PATIENCE, "round {round}: a wake-up was lost"),
            }
        };
        assert_eq!(answer, format!("3{round}[111]"));
    }
}

/// Acknowledgements of clients arrive in the call that feeds them.
#[test]
fn acknowledgements_arrive_in_the_call_that_feeds_them() {
    thread_local!(static ANSWERS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });
    let io = Server::new();
    io.on("ask me", async |socket: Socket| {
        let name: String = socket.emit_with_ack("name?", ()).await?;
        Ok::<_, Error>(format!("hello {name}"))
    });
    let client = Client::inline(&io);
    let id = client.join_now("/");
    client.send(r#"20["ask me"]"#);
    assert_eq!(client.take(), [r#"20["name?"]"#]);
    client.send(r#"30["Ada"]"#);
    assert_eq!(client.take(), [r#"30["hello Ada"]"#]);
    let socket = io.socket(id.as_str()).unwrap();
    let here = thread::current().id();
    let sink = Box::new(move |answer: wirebird::AckResult| {
        assert_eq!(thread::current().id(), here);
        ANSWERS.with(|answers| answers.borrow_mut().push(answer.unwrap().json().to_owned()));
    });
    socket.emit_with_sink("ask", &RawArgs::empty(), None, sink).unwrap();
    client.send("31[7]");
    assert_eq!(ANSWERS.take(), ["7"]);
}

/// Time passes by `tick` alone: heartbeats, acknowledgements, the time to join a namespace, the grace of the end.
#[test]
fn time_passes_by_tick_alone() {
    let log = Log::default();
    let io = Server::builder()
        .state(log.clone())
        .state(Latch::default())
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_secs(45))
        .disconnect_grace(Duration::from_secs(5))
        .build();
    // Somebody holds its waker: a future that nobody can wake any more is dropped.
    io.on("stuck", async |State(latch): State<Latch>| latch.wait().await);
    io.on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"))
    });
    let begun = Instant::now();
    let at = |seconds: f64| {
        let now = begun + Duration::from_secs_f64(seconds);
        io.tick(now);
        assert!(io.engine().next_deadline().is_none_or(|next| next > now));
    };
    let (client, idle, mute) = (Client::inline(&io), Client::inline(&io), Client::inline(&io));
    let id = client.join_now("/");
    mute.join_now("/");
    let socket = io.socket(id.as_str()).unwrap();
    let answers = log.clone();
    let sink = Box::new(move |answer: wirebird::AckResult| {
        assert!(matches!(answer, Err(AckError::Timeout)));
        answers.push("timeout");
    });
    socket.emit_with_sink("ask", &RawArgs::empty(), Some(Duration::from_secs(10)), sink).unwrap();
    at(9.9);
    assert_eq!(log.len(), 0);
    at(10.1);
    assert_eq!(log.take(), ["timeout"]);
    at(25.1);
    // The pings are answered by those who look.
    assert!(client.take().len() == 1 && idle.take().is_empty());
    at(44.0);
    assert!(idle.is_open() && mute.is_open());
    at(45.2);
    assert!(!idle.is_open() && !mute.is_open() && client.is_open());
    assert_eq!(log.take(), ["PingTimeout"]);
    client.send(r#"2["stuck"]"#);
    client.send("1");
    at(50.1);
    assert_eq!(log.all(), [""; 0]);
    at(50.3);
    assert_eq!(log.take(), ["ClientDisconnect"]);
}

/// A handler that feeds another client of the same server, which feeds a third.
#[test]
fn clients_may_be_fed_from_inside_of_handlers() {
    let clients: Arc<Mutex<Vec<Arc<Client>>>> = Arc::default();
    let io = Server::builder().state(clients.clone()).build();
    io.on("next", async |Data(n): Data<usize>, State(clients): State<Arc<Mutex<Vec<Arc<Client>>>>>| {
        let next = clients.lock().get(n).cloned();
        let Some(next) = next else { return "the end".to_owned() };
        next.send(format!(r#"20["next",{}]"#, n + 1));
        format!("{} after {}", n, next.take().pop().unwrap())
    });
    for _ in 0..4 {
        let client = Client::inline(&io);
        client.join_now("/");
        clients.lock().push(Arc::new(client));
    }
    let first = clients.lock()[0].clone();
    first.send(r#"20["next",1]"#);
    let answer = first.take().pop().unwrap();
    assert_eq!(answer.matches("after").count(), 3, "{answer}");
    clients.lock().clear();
}

/// R26
#[test]
fn handles_can_go_to_any_thread() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    anywhere::<Server>();
    anywhere::<Socket>();
    anywhere::<wirebird::Namespace>();
    anywhere::<wirebird::Operator>();
    anywhere::<wirebird::SocketSession>();
    anywhere::<RawArgs>();
    fn sent<T: Send + 'static>() {}
    sent::<wirebird::ConnectResponder>();
    sent::<wirebird::IncomingEvent>();
    sent::<wirebird::Completion>();
    sent::<wirebird::AckSender>();
    sent::<wirebird::AckHandle>();
}
