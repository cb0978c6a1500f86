//! Errors of handlers: who is told, with what, and what the client gets to know.

mod support;

use std::collections::HashMap;

use support::{Client, Log, logged, settle};
use wirebird::extract::{Data, EventContext};
use wirebird::{ConnectError, Error, Namespace, Server, Socket};

/// False, but the compiler does not know.
fn never() -> bool {
    std::hint::black_box(false)
}

/// Handlers that fail in every way there is.
fn fail(namespace: &Namespace) {
    namespace.on("error", async || {
        String::from_utf8(vec![0xff])?;
        Ok::<_, std::string::FromUtf8Error>(1)
    });
    namespace.on("text", async || Err::<(), _>(String::from("only text")));
    namespace.on("panic", async || assert!(never(), "at once"));
    namespace.on("late", async || {
        tokio::task::yield_now().await;
        assert!(never(), "later");
    });
    namespace.on("arguments", async |Data(_): Data<(u8, u8)>| ());
    namespace.on("unsendable", async || HashMap::from([((1, 2), 3)]));
}

fn logs(log: &Log) -> impl Fn(Error) -> std::future::Ready<()> + Send + Sync + 'static {
    let log = log.clone();
    move |error| {
        log.push(error.to_string());
        std::future::ready(())
    }
}

/// F-ERR-01: a namespace's error handler is told of its own handlers' failures, whatever they are, and of no others.
#[tokio::test]
async fn a_namespace_has_an_error_handler_of_its_own() {
    let (builder, log) = logged();
    let io = builder.build();
    fail(&io.of("/own"));
    fail(&io.of("/other"));
    io.of("/own").on_error(logs(&log));
    let client = Client::open(&io);
    client.join("/own").await;
    client.join("/other").await;
    let failures = [
        ("error", "utf-8"),
        ("text", "only text"),
        ("panic", "at once"),
        ("late", "later"),
        ("arguments", ""),
        ("unsendable", "cannot be sent"),
    ];
    for (event, _) in failures {
        client.send(format!(r#"2/own,0["{event}",7]"#));
        client.send(format!(r#"2/other,0["{event}",7]"#));
    }
    let lines = log.wait(failures.len()).await;
    for (line, (event, part)) in lines.iter().zip(failures) {
        assert!(line.contains(part), "{event}: {line:?}");
    }
    settle().await;
    assert_eq!(log.len(), failures.len());
}

/// F-ERR-02: the server's error handler serves the namespaces that have none, those of pattern and `any_namespace` too.
#[tokio::test]
async fn the_servers_error_handler_serves_all_other_namespaces() {
    let (builder, log) = logged();
    let io = builder.build();
    for name in ["/own", "/other"] {
        io.of(name).on("fail", async |socket: Socket| {
            Err::<(), _>(Error::msg(format_args!("in {}", socket.namespace().name())))
        });
    }
    io.of("/own").on_error(async |_: Error| "mine");
    io.on_error(logs(&log));
    let client = Client::open(&io);
    client.join("/own").await;
    client.join("/other").await;
    client.send(r#"2/own,0["fail"]"#);
    client.send(r#"2/other,0["fail"]"#);
    assert_eq!(client.next().await, r#"3/own,0["mine"]"#);
    assert_eq!(log.wait(1).await, ["in /other"]);
    // It can be replaced at any time.
    io.on_error(async |_: Error| "instead");
    client.send(r#"2/other,1["fail"]"#);
    assert_eq!(client.next().await, r#"3/other,1["instead"]"#);
}

/// F-ERR-03, F-ACK-04: what the error handler returns is the acknowledgement, if the client wants one; `()` is none.
#[tokio::test]
async fn what_an_error_handler_returns_is_acknowledged() {
    let io = Server::new();
    fail(&io);
    io.on_error(async |error: Error| (error.is_panic(), "sorry"));
    io.of("/silent").on("error", async || Err::<u8, _>(Error::msg("on purpose")));
    io.of("/silent").on_error(async |_: Error| ());
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/silent").await;
    for (id, event, is_panic) in [(1, "error", false), (2, "panic", true), (3, "late", true)] {
        assert_eq!(
            client.call(id, &format!(r#"["{event}"]"#)).await,
            [format!(r#"3{id}[{is_panic},"sorry"]"#)]
        );
        client.send(format!(r#"2["{event}"]"#)); // no answer is wanted
    }
    client.send(r#"2/silent,4["error"]"#);
    settle().await;
    assert!(client.take().is_empty() && client.is_open());
}

/// F-ERR-03: a refusal is no error: the client is told, and no error handler.
#[tokio::test]
async fn refusals_pass_by_the_error_handlers() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_error(logs(&log));
    io.on_connect(async || Err::<(), _>(ConnectError::new("members only").with_data(7)));
    io.of("/false").on_connect(async || false);
    let client = Client::open(&io);
    client.send("0");
    client.send("0/false,");
    assert_eq!(client.next().await, r#"4{"message":"members only","data":7}"#);
    assert!(client.next().await.starts_with("4/false,"));
    settle().await;
    assert_eq!(log.len(), 0);
}

/// F-ERR-05, F-EVT-18: an error handler sees the event, its arguments, the socket, and what kind of failure it was.
#[tokio::test]
async fn an_error_handler_sees_what_failed() {
    let io = Server::new();
    fail(&io);
    io.on_error(async |error: Error, context: EventContext| {
        let (event, args, id) = (context.event(), context.args().json(), context.socket().id());
        (format!("{event} {args} {} {}", error.is_panic(), error.is_bad_arguments()), id)
    });
    let client = Client::open(&io);
    let id = client.join("/").await;
    for (event, kind) in [
        ("error", "false false"),
        ("text", "false false"),
        ("panic", "true false"),
        ("late", "true false"),
        ("arguments", "false true"),
        ("unsendable", "false false"),
    ] {
        client.send(format!(r#"20["{event}",{{"a":1}}]"#));
        let answer: (String, String) = serde_json::from_str(&client.next().await[2..]).unwrap();
        assert_eq!(answer, (format!(r#"{event} {{"a":1}} {kind}"#), id.clone()));
    }
}

/// F-ERR-06, F-ACK-04: without an error handler the connection stays, the next event is handled, and nothing is
/// acknowledged.
#[tokio::test]
async fn without_an_error_handler_the_connection_stays() {
    let io = Server::new();
    fail(&io);
    io.on("fine", async || "fine");
    let client = Client::open(&io);
    client.join("/").await;
    for event in ["error", "text", "panic", "late", "arguments", "unsendable", "nobody handles this"] {
        client.send(format!(r#"20["{event}"]"#));
        assert_eq!(client.call(1, r#"["fine"]"#).await, [r#"31["fine"]"#], "{event}");
    }
}

/// F-ERR-07: a panic stays in its handler: it is an error like others, before and after the first wait.
#[tokio::test]
async fn panics_are_errors_like_others() {
    let (builder, log) = logged();
    let io = builder.build();
    fail(&io);
    io.on("not text", async || -> () { std::panic::panic_any(7) });
    io.on("fine", async || "fine");
    io.on_error({
        let log = log.clone();
        move |error: Error| {
            log.push(format!("{} {error}", error.is_panic()));
            async {}
        }
    });
    let (client, other) = (Client::open(&io), Client::open(&io));
    client.join("/").await;
    other.join("/").await;
    for (event, message) in
        [("panic", "at once"), ("late", "later"), ("not text", "a value that is not text")]
    {
        client.send(format!(r#"20["{event}"]"#));
        let lines = log.wait(1).await;
        assert!(lines[0].starts_with("true ") && lines[0].contains(message), "{lines:?}");
        log.take();
        for client in [&client, &other] {
            assert_eq!(client.call(1, r#"["fine"]"#).await, [r#"31["fine"]"#]);
        }
    }
}

/// F-ERR-08: a connect handler that fails refuses, whatever the error handler returns; the client learns nothing more.
#[tokio::test]
async fn a_failing_connect_handler_always_refuses() {
    let (builder, log) = logged();
    let io = builder.build();
    io.on_connect(async || Err::<(), _>(Error::msg("the database is down")));
    io.of("/panics").on_connect(async || assert!(never(), "too"));
    io.on_error({
        let log = log.clone();
        move |error: Error, context: EventContext| {
            log.push(format!("{} {error}", context.event()));
            async { true }
        }
    });
    let client = Client::open(&io);
    for namespace in ["", "/panics,"] {
        client.send(format!("0{namespace}"));
        let refusal = format!(r#"4{namespace}{{"message":"Connection rejected by server"}}"#);
        assert_eq!(client.next().await, refusal);
    }
    let lines = log.wait(2).await;
    assert_eq!(lines[0], "connect the database is down");
    assert!(lines[1].starts_with("connect ") && lines[1].contains("too"), "{lines:?}");
    assert!(io.sockets().is_empty() && io.of("/panics").sockets().is_empty());
}

/// F-ERR-03: an error handler that fails itself ends there.
#[tokio::test]
async fn a_failing_error_handler_does_no_harm() {
    let io = Server::new();
    fail(&io);
    io.on("fine", async || "fine");
    io.on_error(async |_: Error| assert!(never(), "and again"));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"20["error"]"#);
    assert_eq!(client.call(1, r#"["fine"]"#).await, [r#"31["fine"]"#]);
}
