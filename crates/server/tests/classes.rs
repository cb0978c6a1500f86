//! Values that handle a namespace, made by `#[wirebird::namespace]`.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use support::{Client, Log, logged, settle};
use wirebird::extract::{Args, Auth, Data, EventContext, EventName, State};
use wirebird::{
    Accept, ConnectError, DisconnectReason, EmitError, Error, HandlerSet, Namespace, NamespaceHandlers,
    RoomError, Server, Socket,
};

#[derive(serde::Deserialize)]
struct Who {
    name: String,
}

/// All kinds of handlers, and methods that are none.
#[derive(Default)]
struct Chat {
    said: Mutex<Vec<String>>,
    visitors: AtomicUsize,
}

#[wirebird::namespace]
impl Chat {
    const GREETING: &str = "hello";

    async fn on_connect(&self, socket: Socket, Auth(who): Auth<Option<Who>>) -> Result<(), ConnectError> {
        if who.is_some_and(|who| who.name == "nobody") {
            return Err(ConnectError::new("who are you?"));
        }
        self.visitors.fetch_add(1, Ordering::SeqCst);
        socket.emit("greeting", Self::GREETING)?;
        Ok(())
    }

    async fn on_disconnect(&self, reason: DisconnectReason, State(log): State<Log>) {
        self.visitors.fetch_sub(1, Ordering::SeqCst);
        log.push(format!("{reason}"));
    }

    async fn on_say(
        &self,
        socket: Socket,
        Data((room, text)): Data<(String, String)>,
    ) -> Result<usize, EmitError> {
        tokio::task::yield_now().await;
        socket.to(room).emit("said", &text)?;
        Ok(self.keep(text))
    }

    async fn on_join(&self, socket: Socket, Data(room): Data<String>) -> Result<(), RoomError> {
        socket.join(room)
    }

    /// A name that is no name of a method.
    #[event("how many, please?")]
    async fn count(&self) -> (usize, usize) {
        (self.visitors.load(Ordering::SeqCst), self.said.lock().len())
    }

    /// The event's name is the method's.
    #[event]
    async fn r#type(self: Arc<Self>) -> &'static str {
        "chat"
    }

    #[event("on_purpose")]
    async fn on_something(self: &Arc<Self>) -> Result<(), Error> {
        Err(Error::msg("on purpose"))
    }

    #[fallback]
    async fn unknown(&self, event: EventName, Args(args): Args) -> String {
        format!("{event} with {}", args.len())
    }

    async fn on_error(&self, error: Error, event: EventContext) -> String {
        format!("{}: {error}", event.event())
    }

    fn keep(&self, text: String) -> usize {
        let mut said = self.said.lock();
        said.push(text);
        said.len()
    }

    /// Async, and no handler: its name is its own.
    async fn forget(&self) {
        self.said.lock().clear();
    }
}

/// F-NSP-02, F-EVT-02: an impl block handles a namespace, with extractors, acknowledgements, errors and a fallback; its
/// value is one for all clients, and can be used elsewhere.
#[tokio::test]
async fn an_impl_block_handles_a_namespace() {
    let (builder, log) = logged();
    let (io, chat) = (builder.build(), Arc::new(Chat::default()));
    let namespace = io.register("/chat", chat.clone());
    let (alice, bob) = (Client::open(&io), Client::open(&io));
    for client in [&alice, &bob] {
        client.join("/chat").await;
        assert_eq!(client.next().await, r#"2/chat,["greeting","hello"]"#);
    }
    assert_eq!(namespace.socket_count(), 2);
    bob.send(r#"2/chat,0["join","lobby"]"#);
    assert_eq!(bob.next().await, "3/chat,0[]");
    alice.send(r#"2/chat,1["say","lobby","good morning"]"#);
    assert_eq!(alice.next().await, "3/chat,1[1]");
    assert_eq!(bob.next().await, r#"2/chat,["said","good morning"]"#);
    assert_eq!(*chat.said.lock(), ["good morning"]);
    for (event, answer) in [
        ("how many, please?", "2,1"),
        ("type", r#""chat""#),
        ("on_purpose", r#""on_purpose: on purpose""#),
        ("count", r#""count with 2""#),
        ("something", r#""something with 2""#),
        ("forget", r#""forget with 2""#),
        ("keep", r#""keep with 2""#),
        ("error", r#""error with 2""#),
    ] {
        alice.send(format!(r#"2/chat,2["{event}",1,2]"#));
        assert_eq!(alice.next().await, format!("3/chat,2[{answer}]"), "{event}");
    }
    chat.forget().await;
    assert!(chat.said.lock().is_empty());
    alice.send("1/chat,");
    bob.break_off();
    let mut reasons = log.wait(2).await;
    reasons.sort();
    assert_eq!(reasons, ["client namespace disconnect", "transport close"]);
    assert_eq!(chat.visitors.load(Ordering::SeqCst), 0);
}

/// F-NSP-02, F-ERR-08: the value's connect handler refuses; one that fails does so too, whatever its error handler says.
#[tokio::test]
async fn the_values_connect_handler_refuses() {
    let io = logged().0.build();
    io.register("/chat", Chat::default());
    let client = Client::open(&io);
    client.send(r#"0/chat,{"name":"nobody"}"#);
    assert_eq!(client.next().await, r#"4/chat,{"message":"who are you?"}"#);
    client.send(r#"0/chat,{"name":1}"#);
    assert_eq!(client.next().await, r#"4/chat,{"message":"Connection rejected by server"}"#);
    client.send(r#"0/chat,{"name":"somebody"}"#);
    assert!(client.next().await.starts_with("0/chat,"));
}

#[wirebird::namespace]
impl Silent {
    async fn on_known(&self) -> &'static str {
        "known"
    }
}
struct Silent;

/// F-NSP-03, F-EVT-10: what no method handles is ignored, and not acknowledged.
#[tokio::test]
async fn events_without_a_method_are_ignored() {
    let io = Server::new();
    io.register("/", Silent);
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"20["unknown"]"#);
    client.send(r#"21["on_known"]"#);
    client.send(r#"22["known"]"#);
    assert_eq!(client.next().await, r#"32["known"]"#);
    assert!(client.is_open());
}

/// F-NSP-04: functions come before methods, also those that are added later; without them the method runs again.
#[tokio::test]
async fn functions_come_before_methods() {
    let io = Server::new();
    io.register("/", Silent);
    let client = Client::open(&io);
    client.join("/").await;
    io.on("known", async || "function");
    assert_eq!(client.call(0, r#"["known"]"#).await, [r#"30["function"]"#]);
    io.off("known");
    assert_eq!(client.call(1, r#"["known"]"#).await, [r#"31["known"]"#]);
}

/// Uses what a namespace offers, from its methods.
struct Own;

#[wirebird::namespace]
impl Own {
    async fn on_all(&self, socket: Socket, namespace: Namespace) -> Result<Vec<String>, Error> {
        socket.join("room")?;
        namespace.to("room").emit("to room", ())?;
        socket.emit("to one", ())?;
        namespace.send("to all")?;
        socket.session().insert(7_u8);
        let kept = socket.session().get::<u8>();
        let mut rooms: Vec<_> = namespace.rooms().iter().map(ToString::to_string).collect();
        rooms.push(format!("{kept:?}"));
        namespace.close_room("room")?;
        rooms.push(namespace.rooms().len().to_string());
        Ok(rooms)
    }

    async fn on_ask(&self, socket: Socket) -> Result<u32, Error> {
        Ok(socket.emit_with_ack::<u32>("question", ()).await?)
    }

    async fn on_leave(&self, socket: Socket) {
        socket.disconnect();
    }
}

/// F-NSP-05: what methods emit, join, close and keep is in their own namespace.
#[tokio::test]
async fn methods_act_in_their_own_namespace() {
    let io = Server::new();
    let own = io.register("/own", Own);
    io.of("/other").on("event", async || ());
    let client = Client::open(&io);
    client.join("/other").await;
    client.join("/own").await;
    client.send(r#"2/own,0["all"]"#);
    let packets = client.next_many(4).await;
    assert_eq!(
        packets,
        [
            r#"2/own,["to room"]"#,
            r#"2/own,["to one"]"#,
            r#"2/own,["message","to all"]"#,
            r#"3/own,0[["room","Some(7)","0"]]"#,
        ]
    );
    client.send(r#"2/own,1["ask"]"#);
    assert_eq!(client.next().await, r#"2/own,0["question"]"#);
    client.send("3/own,0[42]");
    assert_eq!(client.next().await, "3/own,1[42]");
    own.emit("from elsewhere", ()).unwrap();
    assert_eq!(client.next().await, r#"2/own,["from elsewhere"]"#);
    client.send(r#"2/own,["leave"]"#);
    assert_eq!(client.next().await, "1/own,");
    assert!(client.is_open() && io.of("/other").socket_count() == 1);
}

/// For all namespaces.
#[derive(Default)]
struct Every(Mutex<BTreeMap<String, usize>>);

#[wirebird::namespace]
impl Every {
    async fn on_connect(&self, namespace: Namespace) {
        *self.0.lock().entry(namespace.name().to_owned()).or_default() += 1;
    }

    async fn on_where(&self, namespace: Namespace) -> String {
        namespace.name().to_owned()
    }

    #[fallback]
    async fn anything(&self, event: EventName, namespace: Namespace, Args(args): Args) -> String {
        format!("{event} {} {}", namespace.name(), args.len())
    }
}

/// F-NSP-08, F-EVT-07, F-EVT-08, F-CON-13: one value handles all namespaces; methods take the namespace.
#[tokio::test]
async fn one_value_handles_all_namespaces() {
    let (io, every) = (Server::builder().namespaces(Accept::Any).build(), Arc::new(Every::default()));
    io.any_namespace().register(every.clone());
    let client = Client::open(&io);
    for name in ["/a", "/b"] {
        client.join(name).await;
        client.send(format!(r#"2{name},0["where"]"#));
        assert_eq!(client.next().await, format!(r#"3{name},0["{name}"]"#));
        client.send(format!(r#"2{name},1["else",1,2]"#));
        assert_eq!(client.next().await, format!(r#"3{name},1["else {name} 2"]"#));
    }
    assert_eq!(*every.0.lock(), BTreeMap::from([("/a".into(), 1), ("/b".into(), 1)]));
}

/// Dispatches as it likes: names with dots are calls of others.
struct Custom;

impl Custom {
    async fn trigger(&self, event: EventContext) -> Result<String, Error> {
        match event.event().split_once('.') {
            Some(("user", what)) => Ok(format!("user {what} of {}", event.socket().namespace().name())),
            _ => Err(Error::msg("unheard of")),
        }
    }
}

impl NamespaceHandlers for Custom {
    fn register_handlers(self: Arc<Self>, handlers: &mut HandlerSet) {
        handlers
            .fallback(move |event: EventContext| {
                let this = self.clone();
                async move { this.trigger(event).await }
            })
            .on_error(async |error: Error| error.to_string());
        assert!(format!("{handlers:?}").starts_with("HandlerSet"));
    }
}

/// F-NSP-06: a value that implements the trait by hand decides itself how events are dispatched.
#[tokio::test]
async fn dispatch_can_be_changed() {
    let io = Server::new();
    io.register("/custom", Custom);
    let client = Client::open(&io);
    client.join("/custom").await;
    for (event, answer) in [("user.create", "user create of /custom"), ("other", "unheard of")] {
        client.send(format!(r#"2/custom,0["{event}"]"#));
        assert_eq!(client.next().await, format!(r#"3/custom,0["{answer}"]"#));
    }
}

/// Its handlers may be there or not, and its state of any type.
struct Generic<T> {
    value: T,
}

#[wirebird::namespace]
impl<T> Generic<T>
where
    T: Clone + serde::Serialize + Send + Sync + 'static,
{
    async fn on_value(&self) -> T {
        self.value.clone()
    }

    #[cfg(any())]
    async fn on_never(&self) -> ThisTypeDoesNotExist {
        nor_this()
    }

    #[cfg(unix)]
    async fn on_system(&self) -> &'static str {
        "unix"
    }

    #[cfg(not(unix))]
    async fn on_system(&self) -> &'static str {
        "other"
    }
}

/// F-NSP-02: values with type parameters, and handlers under conditions.
#[tokio::test]
async fn values_may_have_type_parameters_and_handlers_conditions() {
    let io = Server::new();
    io.register("/number", Generic { value: 7 });
    io.register("/text", Generic { value: "seven" });
    let client = Client::open(&io);
    for (name, answer) in [("/number", "7"), ("/text", r#""seven""#)] {
        client.join(name).await;
        client.send(format!(r#"2{name},0["value"]"#));
        assert_eq!(client.next().await, format!("3{name},0[{answer}]"));
        client.send(format!(r#"2{name},1["never"]"#));
        client.send(format!(r#"2{name},2["system"]"#));
        assert!(client.next().await.starts_with(&format!("3{name},2")));
    }
}

/// F-EVT-13: the methods of one value run for many sockets at once, and in order for each.
#[tokio::test]
async fn methods_run_for_many_sockets_at_once() {
    struct Slow(support::Latch);
    #[wirebird::namespace]
    impl Slow {
        async fn on_wait(&self, Data(n): Data<u32>) -> u32 {
            self.0.wait().await;
            n
        }
    }
    let (io, latch) = (Server::new(), support::Latch::default());
    io.register("/", Slow(latch.clone()));
    let clients = [Client::open(&io), Client::open(&io)];
    for client in &clients {
        client.join("/").await;
        client.send(r#"20["wait",1]"#);
        client.send(r#"21["wait",2]"#);
    }
    settle().await;
    latch.open(4);
    for client in &clients {
        assert_eq!(client.next_many(2).await, ["30[1]", "31[2]"]);
    }
}

/// Says hello.
#[wirebird::event]
async fn greet(socket: Socket, Data(name): Data<String>) -> Result<String, EmitError> {
    socket.emit("greeting", &name)?;
    Ok(format!("hello, {name}"))
}

#[wirebird::event("any name, really")]
async fn named() -> &'static str {
    "named"
}

/// F-EVT-02: the event is called as the function, or as the attribute says; the function is a handler like others.
#[tokio::test]
async fn a_function_is_named_for_its_event() {
    let io = Server::builder().namespaces(Accept::Any).build();
    io.add(greet).add(named).on("alias", greet);
    io.any_namespace().add(named);
    let client = Client::open(&io);
    client.join("/").await;
    client.join("/any").await;
    for event in ["greet", "alias"] {
        client.send(format!(r#"20["{event}","you"]"#));
        assert_eq!(client.next_many(2).await, [r#"2["greeting","you"]"#, r#"30["hello, you"]"#]);
    }
    assert_eq!(client.call(1, r#"["any name, really"]"#).await, [r#"31["named"]"#]);
    client.send(r#"2/any,1["any name, really"]"#);
    assert_eq!(client.next().await, r#"3/any,1["named"]"#);
    assert!(io.off("greet"));
}
