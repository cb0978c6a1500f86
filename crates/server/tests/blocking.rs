//! Handlers that block their thread.

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use support::{Client, Log, logged};
use wirebird::extract::{Auth, Data, EventContext, EventName, State};
use wirebird::{ConnectError, DisconnectReason, Error, EventHandlerExt, Server, Socket, blocking};

#[derive(Clone)]
struct Steps(Arc<Mutex<Receiver<u8>>>);

fn steps() -> (Sender<u8>, Steps) {
    let (sender, receiver) = channel();
    (sender, Steps(Arc::new(Mutex::new(receiver))))
}

fn wait(State(Steps(steps)): State<Steps>) -> u8 {
    steps.lock().unwrap().recv_timeout(support::PATIENCE).unwrap()
}

/// F-EVT-05: with one thread in all for the server, other clients and the client's own heartbeat go on while it blocks; the
/// events of its own client wait for it, in order.
#[tokio::test]
async fn a_handler_that_blocks_holds_up_nobody_else() {
    let (go_on, steps) = steps();
    let io = Server::builder().state(steps).build();
    io.on("block", blocking(wait)).on("quick", async || "quick");
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    client.send(r#"20["block"]"#);
    client.send(r#"21["quick"]"#);
    for n in 0..3 {
        assert_eq!(other.call(n, r#"["quick"]"#).await, [format!(r#"3{n}["quick"]"#)]);
    }
    io.emit("news", ()).unwrap();
    assert_eq!(client.next().await, r#"2["news"]"#);
    go_on.send(7).unwrap();
    assert_eq!(client.next_many(2).await, ["30[7]", r#"31["quick"]"#]);
}

/// F-EVT-05, F-ACK-02, F-ERR-01: it takes and returns what others do, on a thread of its own.
#[tokio::test]
async fn it_takes_and_returns_what_other_handlers_do() {
    let main = std::thread::current().id();
    let (builder, log) = logged();
    let io = builder.state(main).build();
    io.on_connect(blocking(|socket: Socket, Auth(name): Auth<Option<serde_json::Value>>| {
        if name.is_none() {
            return Err(ConnectError::new("who are you?").with_data(1));
        }
        socket.session().insert(7_u8);
        socket.emit("welcome", ()).map_err(ConnectError::from)
    }));
    io.on_disconnect(blocking(|reason: DisconnectReason, State(log): State<Log>| {
        log.push(format!("{reason:?}"));
    }));
    io.on("unit", blocking(|| ()));
    io.on("pair", blocking(|Data((a, b)): Data<(u8, String)>| (b, a)));
    io.on("thread", blocking(|State(main): State<ThreadId>| std::thread::current().id() == main));
    io.on("text", blocking(|| Err::<(), _>(String::from("only text"))));
    io.on("error", blocking(|name: EventName| Ok::<u8, Error>(name.parse()?)));
    io.on("panic", blocking(|name: EventName| assert!(&*name != "panic", "on purpose")));
    io.on("strict", blocking(|Data(n): Data<u8>| n).strict());
    io.on_error(async |error: Error, event: EventContext| {
        format!("{} {} {} {error}", event.event(), error.is_panic(), error.is_bad_arguments())
    });
    let client = Client::open(&io);
    client.send("0");
    assert_eq!(client.next().await, r#"4{"message":"who are you?","data":1}"#);
    client.send(r#"0{"name":"ann"}"#);
    support::sid(&client.next().await);
    assert_eq!(client.next().await, r#"2["welcome"]"#);
    for (event, answer) in [
        (r#"["unit"]"#, ""),
        (r#"["pair",1,"b"]"#, r#""b",1"#),
        (r#"["thread"]"#, "false"),
        (r#"["text"]"#, r#""text false false only text""#),
        (r#"["error"]"#, r#""error false false invalid digit found in string""#),
        (r#"["panic"]"#, r#""panic true false the handler panicked: on purpose""#),
        (r#"["pair",1]"#, r#""pair false true event \"pair\": argument 1 is missing""#),
        (r#"["strict",1,2]"#, r#""strict false true event \"strict\": argument 1 is one too many""#),
        (r#"["strict",1]"#, "1"),
    ] {
        assert_eq!(client.call(0, event).await, [format!("30[{answer}]")], "{event}");
    }
    client.send("1");
    assert_eq!(log.wait(1).await, ["ClientDisconnect"]);
}

/// F-EVT-05, R14: without a runtime it runs in place.
#[test]
fn without_a_runtime_it_runs_in_place() {
    let io = Server::new();
    io.on("event", blocking(|Data(n): Data<u8>| n + 1));
    let client = Client::inline(&io);
    client.join_now("/");
    client.send(r#"20["event",1]"#);
    assert_eq!(client.take(), ["30[2]"]);
}
