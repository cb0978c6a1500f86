//! Which one of several handlers runs.

mod support;

use std::sync::Arc;

use support::{Client, Log, logged, settle};
use wirebird::extract::State;
use wirebird::{Accept, Error, HandlerSet, NamespaceHandlers, Server};

/// A value that handles as little as it is told to, and says so.
#[derive(Clone, Copy)]
struct Class {
    name: &'static str,
    event: bool,
    fallback: bool,
    lifecycle: bool,
}

impl Class {
    fn new(name: &'static str) -> Self {
        Self { name, event: false, fallback: false, lifecycle: false }
    }
}

impl NamespaceHandlers for Class {
    fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
        let name = self.name;
        if self.event {
            handlers.on("event", move || async move { name.to_owned() });
        }
        if self.fallback {
            handlers.fallback(move || async move { format!("{name} *") });
        }
        if self.lifecycle {
            handlers.on_connect(move |State(log): State<Log>| async move { log.push(format!("+ {name}")) });
            handlers
                .on_disconnect(move |State(log): State<Log>| async move { log.push(format!("- {name}")) });
        }
    }
}

/// The answers to one event, and to nothing more: whoever else ran would have answered too.
async fn answers(io: &Server) -> Vec<String> {
    let client = Client::open(io);
    client.join("/x").await;
    client.send(r#"2/x,0["event"]"#);
    settle().await;
    client.take()
}

/// F-EVT-09, F-EVT-10, F-NSP-04: each set of handlers that there can be; the first in the order of precedence runs, and
/// no other. Where there is none, nothing is acknowledged.
#[tokio::test]
async fn exactly_one_handler_runs_the_first_in_the_order_of_precedence() {
    let order = [
        "function",
        "function *",
        "any function",
        "any function *",
        "class",
        "class *",
        "any class",
        "any class *",
    ];
    for set in 0_u32..1 << order.len() {
        let has = |who: &str| set & 1 << order.iter().position(|name| *name == who).unwrap() != 0;
        let io = Server::builder().namespaces(Accept::Any).build();
        let (own, any) = (io.of("/x"), io.any_namespace());
        if has("function") {
            own.on("event", async || "function");
        }
        if has("function *") {
            own.fallback(async || "function *");
        }
        if has("any function") {
            any.on("event", async || "any function");
        }
        if has("any function *") {
            any.fallback(async || "any function *");
        }
        if has("class") || has("class *") {
            io.register("/x", Class { event: has("class"), fallback: has("class *"), ..Class::new("class") });
        }
        if has("any class") || has("any class *") {
            any.register(Class {
                event: has("any class"),
                fallback: has("any class *"),
                ..Class::new("any class")
            });
        }
        let expected: Vec<_> = order
            .into_iter()
            .filter(|who| has(who))
            .take(1)
            .map(|who| format!(r#"3/x,0["{who}"]"#))
            .collect();
        assert_eq!(answers(&io).await, expected, "{set:08b}");
    }
}

/// F-NSP-03, F-EVT-10: a value that was registered for a namespace speaks for it: what it does not handle is not handed
/// to the value for all namespaces, and is not acknowledged.
#[tokio::test]
async fn the_value_for_a_namespace_hides_the_one_for_all() {
    let io = Server::builder().namespaces(Accept::Any).build();
    io.any_namespace().register(Class { event: true, fallback: true, ..Class::new("any class") });
    assert_eq!(answers(&io).await, [r#"3/x,0["any class"]"#]);
    io.register("/x", Class::new("class"));
    assert!(answers(&io).await.is_empty());
}

/// F-EVT-09: for connecting and disconnecting the order is the same without the fallbacks, which never run.
#[tokio::test]
async fn one_connect_and_one_disconnect_handler_run_and_fallbacks_do_not_count() {
    let order = ["function", "any function", "class", "any class"];
    for set in 0_u32..1 << order.len() {
        let has = |who: &str| set & 1 << order.iter().position(|name| *name == who).unwrap() != 0;
        let (builder, log) = logged();
        let io = builder.namespaces(Accept::Any).build();
        let (own, any) = (io.of("/x"), io.any_namespace());
        own.fallback(async |State(log): State<Log>| log.push("fallback"));
        any.fallback(async |State(log): State<Log>| log.push("fallback"));
        if has("function") {
            own.on_connect(async |State(log): State<Log>| log.push("+ function"));
            own.on_disconnect(async |State(log): State<Log>| log.push("- function"));
        }
        if has("any function") {
            any.on_connect(async |State(log): State<Log>| log.push("+ any function"));
            any.on_disconnect(async |State(log): State<Log>| log.push("- any function"));
        }
        if has("class") {
            own.register(Class { lifecycle: true, fallback: true, ..Class::new("class") });
        }
        if has("any class") {
            any.register(Class { lifecycle: true, fallback: true, ..Class::new("any class") });
        }
        let client = Client::open(&io);
        client.join("/x").await;
        client.send("1/x,");
        settle().await;
        let first = order.into_iter().find(|who| has(who));
        let expected: Vec<_> =
            first.into_iter().flat_map(|who| [format!("+ {who}"), format!("- {who}")]).collect();
        assert_eq!(log.all(), expected, "{set:04b}");
    }
}

/// Fails when told so; knows error handlers that fail too.
struct Failing {
    name: &'static str,
    fails: bool,
}

impl NamespaceHandlers for Failing {
    fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
        handlers.on("event", async || Err::<(), _>(Error::msg("event")));
        handlers.on_error(move |error: Error| {
            let (name, fails) = (self.name, self.fails);
            async move {
                if fails {
                    Err(Error::msg(format!("{error}, {name}")))
                } else {
                    Ok(format!("{error}: {name}"))
                }
            }
        });
    }
}

/// F-ERR-03, F-ERR-04: the error handlers of the namespace are asked in order; one that fails hands its error on to the
/// next, and what the first that succeeds returns is the acknowledgement.
#[tokio::test]
async fn a_failing_error_handler_hands_its_error_on() {
    for (set, expected) in [
        (0b000, "event: function"),
        (0b001, "event, function: class"),
        (0b011, "event, function, class: server"),
        (0b111, ""),
    ] {
        let io = Server::new();
        let own = io.register("/x", Failing { name: "class", fails: set & 2 != 0 });
        own.on_error(move |error: Error| async move {
            if set & 1 != 0 {
                Err(Error::msg(format!("{error}, function")))
            } else {
                Ok(format!("{error}: function"))
            }
        });
        io.on_error(move |error: Error| async move {
            assert!(set & 4 == 0, "on purpose");
            format!("{error}: server")
        });
        let expected: Vec<_> = Some(expected)
            .filter(|text| !text.is_empty())
            .map(|text| format!(r#"3/x,0["{text}"]"#))
            .into_iter()
            .collect();
        assert_eq!(answers(&io).await, expected, "{set:03b}");
    }
}

/// F-ERR-04: without a function for errors the value's own handler is asked, before the server's.
#[tokio::test]
async fn the_values_error_handler_comes_before_the_servers() {
    let io = Server::new();
    io.on_error(async |_: Error| "server");
    io.register("/x", Failing { name: "class", fails: false });
    assert_eq!(answers(&io).await, [r#"3/x,0["event: class"]"#]);
    io.any_namespace().register(Failing { name: "any class", fails: false });
    let other = io.of("/y");
    other.on("event", async || Err::<(), _>(Error::msg("function")));
    let client = Client::open(&io);
    client.join("/y").await;
    client.send(r#"2/y,0["event"]"#);
    assert_eq!(client.next().await, r#"3/y,0["function: any class"]"#);
}

/// F-CON-13: a value for a namespace opens it, be it without handlers, and one for all opens none.
#[tokio::test]
async fn a_value_for_a_namespace_opens_it() {
    let io = Server::new();
    io.any_namespace().register(Class { event: true, ..Class::new("any class") });
    let client = Client::open(&io);
    client.send("0/x,");
    assert_eq!(client.next().await, r#"4/x,{"message":"Invalid namespace"}"#);
    // F-NSP-10: also while clients are there, and without the slash, as everywhere else.
    assert_eq!(io.register("x", Class::new("class")).name(), "/x");
    client.join("/x").await;
}

/// F-NSP-07: a second value for the same namespace replaces the first, with all its handlers.
#[tokio::test]
async fn a_second_value_replaces_the_first() {
    let (builder, log) = logged();
    let io = builder.build();
    io.register("/x", Class { event: true, lifecycle: true, ..Class::new("first") });
    assert_eq!(answers(&io).await, [r#"3/x,0["first"]"#]);
    settle().await;
    io.of("/x").register(Class { fallback: true, ..Class::new("second") });
    assert_eq!(answers(&io).await, [r#"3/x,0["second *"]"#]);
    settle().await;
    assert_eq!(log.all(), ["+ first", "- first"]);
}

/// F-EVT-19, F-NSP-10: values go as they come, while clients are there; a namespace that loses all it has closes.
#[tokio::test]
async fn values_can_be_taken_away() {
    let io = Server::new();
    let (own, any, chats) = (io.of("/x"), io.any_namespace(), io.of_pattern("/chat-{room}"));
    own.register(Class { event: true, ..Class::new("class") });
    any.register(Class { event: true, ..Class::new("any class") });
    chats.register(Class { event: true, ..Class::new("pattern") });
    let client = Client::open(&io);
    client.join("/x").await;
    client.join("/chat-1").await;
    let ask = async |namespace: &str| {
        client.send(format!(r#"2{namespace},0["event"]"#));
        settle().await;
        client.take()
    };
    assert_eq!(ask("/chat-1").await, [r#"3/chat-1,0["pattern"]"#]);
    assert!(chats.unregister() && !chats.unregister());
    assert_eq!(ask("/chat-1").await, [r#"3/chat-1,0["any class"]"#]);
    assert_eq!(ask("/x").await, [r#"3/x,0["class"]"#]);
    assert!(own.unregister() && !own.unregister());
    assert_eq!(ask("/x").await, [r#"3/x,0["any class"]"#]);
    assert!(any.unregister() && !any.unregister());
    assert!(ask("/x").await.is_empty());
    client.send("1/x,");
    client.send("0/x,");
    assert_eq!(client.next().await, r#"4/x,{"message":"Invalid namespace"}"#);
}
