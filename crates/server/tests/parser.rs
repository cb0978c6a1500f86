//! Parsers: packets in another format, by code of the application.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use support::{Client, logged, watched};
use wirebird::extract::{Auth, Data};
use wirebird::parser::{Decoder, Json, Limits, Message, Messages, Packet, PacketKind, Parser};
use wirebird::{AckError, AckSender, ConnectError, EmitError, Error, RawArgs, Server, Socket, Value};

/// Packets as `kind|namespace|id|payload`, with attachments as binary messages behind it: `event+2|…`. Some payloads
/// make it fail.
#[derive(Clone, Default)]
struct Pipes {
    encoded: Arc<AtomicUsize>,
    decoders: Arc<AtomicUsize>,
}

impl Parser for Pipes {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        let no_attachments = Vec::new();
        let (kind, id, payload, attachments) = match &packet.kind {
            PacketKind::Connect { auth } => {
                ("connect", None, auth.clone().unwrap_or_default(), no_attachments)
            }
            PacketKind::Disconnect => ("disconnect", None, "".into(), no_attachments),
            PacketKind::ConnectError { data } => ("refused", None, data.clone(), no_attachments),
            PacketKind::Event { id, name, args } => {
                let payload = format!("{name},{}", args.json());
                ("event", *id, payload.into(), args.attachments().to_vec())
            }
            PacketKind::Ack { id, args } => {
                ("ack", Some(*id), args.json_bytes(), args.attachments().to_vec())
            }
            _ => return Err(Error::msg("an unknown kind")),
        };
        if payload.contains("unspeakable") {
            return Err(Error::msg("that cannot be said"));
        }
        assert!(!payload.contains("outrageous"), "a parser that panics");
        let count = if attachments.is_empty() { String::new() } else { format!("+{}", attachments.len()) };
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let text = format!("{kind}{count}|{}|{id}|{payload}", packet.namespace);
        Ok(Messages::text(text).with_attachments(attachments))
    }

    fn decoder(&self, _limits: Limits) -> Box<dyn Decoder> {
        self.decoders.fetch_add(1, Ordering::Relaxed);
        Box::new(PipesDecoder { pending: None, decoders: self.decoders.clone() })
    }
}

struct PipesDecoder {
    pending: Option<(String, usize, Vec<Bytes>)>,
    decoders: Arc<AtomicUsize>,
}

impl Drop for PipesDecoder {
    fn drop(&mut self) {
        self.decoders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Decoder for PipesDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        let (text, count, attachments) = match (message, self.pending.take()) {
            (Message::Text(text), None) => {
                let count = text.split('|').next().and_then(|kind| kind.split_once('+'));
                let count = count.map_or(Ok(0), |(_, count)| count.parse())?;
                (text.to_string(), count, Vec::new())
            }
            (Message::Binary(data), Some((text, count, mut attachments))) => {
                attachments.push(data);
                (text, count, attachments)
            }
            _ => return Err(Error::msg("a message out of place")),
        };
        assert_ne!(text, "panic");
        if attachments.len() < count {
            self.pending = Some((text, count, attachments));
            return Ok(None);
        }
        let [kind, namespace, id, payload] = text.splitn(4, '|').collect::<Vec<_>>()[..] else {
            return Err(Error::msg("too few pipes"));
        };
        let id = if id.is_empty() { None } else { Some(id.parse()?) };
        let kind = match kind.split('+').next().unwrap_or_default() {
            "connect" => PacketKind::Connect { auth: (!payload.is_empty()).then(|| payload.into()) },
            "disconnect" => PacketKind::Disconnect,
            "event" => {
                let (name, args) = payload.split_once(',').unwrap_or((payload, ""));
                let args = RawArgs::from_json_elements(args.into(), attachments)?;
                PacketKind::Event { id, name: name.into(), args }
            }
            "ack" => {
                let args = RawArgs::from_json_elements(payload.into(), attachments)?;
                PacketKind::Ack { id: id.ok_or_else(|| Error::msg("no id"))?, args }
            }
            _ => return Err(Error::msg("an unknown kind")),
        };
        Ok(Some(Packet::new(namespace, kind)))
    }
}

/// What a client of `Pipes` sends and gets.
struct Piper(Client);

impl Piper {
    fn open(io: &Server) -> Self {
        Self(Client::open(io))
    }

    async fn join(io: &Server) -> (Self, Socket) {
        let client = Self::open(io);
        client.0.send("connect|/||");
        let answer = client.next().await;
        let sid = answer.strip_prefix(r#"connect|/||{"sid":""#).and_then(|rest| rest.strip_suffix("\"}"));
        let socket = io.socket(sid.expect(&answer)).unwrap();
        (client, socket)
    }

    /// The next message; of attachments the digits.
    async fn next(&self) -> String {
        // The client of the tests takes the digit of Engine.IO off what begins with `4`.
        self.0.next().await
    }
}

/// F-SER-04: every kind of packet goes through the parser, both ways.
#[tokio::test]
async fn a_parser_of_the_application_reads_and_writes_all_packets() {
    let io = Server::builder().parser(Pipes::default()).build();
    io.on("add", async |Data((a, b)): Data<(i64, i64)>| a + b);
    io.on("tell", async |socket: Socket, Data(value): Data<Value>| socket.emit("told", (value, 1)));
    io.of("/vip").on_connect(async |Auth(auth): Auth<Value>| {
        if auth["token"].as_str() == Some("t") { Ok(()) } else { Err(ConnectError::new("no")) }
    });
    let (client, socket) = Piper::join(&io).await;
    client.0.send("event|/|7|add,1,2");
    assert_eq!(client.next().await, "ack|/|7|3");
    client.0.send("event|/||tell,{\"a\":null}");
    assert_eq!(client.next().await, r#"event|/||told,{"a":null},1"#);
    socket.emit("none", ()).unwrap();
    assert_eq!(client.next().await, "event|/||none,");
    client.0.send(r#"event+1|/||tell,[{"_placeholder":true,"num":0}]"#);
    client.0.send_binary(&[1, 2]);
    let told = r#"event+1|/||told,[{"_placeholder":true,"num":0}],1"#;
    assert_eq!(client.0.next_many(2).await, [told, "<0102>"]);
    io.all().emit_raw("raw", &RawArgs::from_json_elements("1, 2".into(), vec![]).unwrap()).unwrap();
    assert_eq!(client.next().await, "event|/||raw,1, 2");

    client.0.send("connect|/vip||{}");
    assert_eq!(client.next().await, r#"refused|/vip||{"message":"no"}"#);
    client.0.send("connect|/nowhere||");
    assert_eq!(client.next().await, r#"refused|/nowhere||{"message":"Invalid namespace"}"#);
    client.0.send(r#"connect|/vip||{"token":"t"}"#);
    assert!(client.next().await.starts_with("connect|/vip||{"));
    socket.disconnect();
    assert_eq!(client.next().await, "disconnect|/||");
    client.0.send("disconnect|/vip||");
    assert!(client.0.is_open());
}

/// F-SER-04: acknowledgements of clients, of one and of many, find their way through the parser.
#[tokio::test]
async fn clients_acknowledge_through_the_parser() {
    let io = Server::builder().parser(Pipes::default()).build();
    let (ann, socket) = Piper::join(&io).await;
    let (bob, _) = Piper::join(&io).await;
    let asked = tokio::spawn(async move { socket.emit_with_ack::<(u8, Bytes)>("ask", 1).await });
    assert_eq!(ann.next().await, "event|/|0|ask,1");
    ann.0.send(r#"ack+1|/|0|5,{"_placeholder":true,"num":0}"#);
    ann.0.send_binary(b"x");
    assert_eq!(asked.await.unwrap().unwrap(), (5, Bytes::from_static(b"x")));

    let asked = tokio::spawn({
        let io = io.clone();
        async move { io.all().emit_with_ack::<String>("vote", ()).await }
    });
    for client in [&ann, &bob] {
        let question = client.next().await;
        let id = question.strip_prefix("event|/|").unwrap().strip_suffix("|vote,").unwrap();
        client.0.send(format!(r#"ack|/|{id}|"aye""#));
    }
    let answers = asked.await.unwrap().unwrap();
    assert_eq!(answers.into_iter().map(|(_, answer)| answer.unwrap()).collect::<Vec<_>>(), ["aye", "aye"]);
}

/// F-SER-06, F-OPT-04: each server has its own parser.
#[tokio::test]
async fn servers_of_one_process_have_parsers_of_their_own() {
    let pipes = Server::builder().parser(Pipes::default()).build();
    let json = Server::new();
    let explicit = Server::builder().parser(Json).build();
    for io in [&pipes, &json, &explicit] {
        io.on("add", async |Data((a, b)): Data<(i64, i64)>| a + b);
    }
    let (piper, _) = Piper::join(&pipes).await;
    piper.0.send("event|/|1|add,1,2");
    assert_eq!(piper.next().await, "ack|/|1|3");
    for io in [&json, &explicit] {
        let client = Client::open(io);
        client.join("/").await;
        assert_eq!(client.call(1, r#"["add",1,2]"#).await, ["31[3]"]);
        let binary = io.emit("e", Bytes::from_static(&[7]));
        binary.unwrap();
        let event = r#"51-["e",{"_placeholder":true,"num":0}]"#;
        assert_eq!(client.next_many(2).await, [event, "<07>"]);
    }
}

/// F-SER-04: a broadcast costs the parser one call, however many receive it.
#[tokio::test]
async fn a_broadcast_is_encoded_once() {
    let pipes = Pipes::default();
    let io = Server::builder().parser(pipes.clone()).build();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Piper::join(&io).await.0);
    }
    let before = pipes.encoded.load(Ordering::Relaxed);
    io.emit("news", "x").unwrap();
    for client in &clients {
        assert_eq!(client.next().await, r#"event|/||news,"x""#);
    }
    assert_eq!(pipes.encoded.load(Ordering::Relaxed) - before, 1);
    assert_eq!(pipes.decoders.load(Ordering::Relaxed), 20, "one decoder for each connection");
    for client in clients {
        client.0.break_off();
    }
    support::until("the decoders to be gone", || pipes.decoders.load(Ordering::Relaxed) == 0).await;
}

/// F-SER-04: what the parser cannot express is an error where it was emitted, and nothing waits for an answer.
#[tokio::test]
async fn a_parser_that_fails_is_an_error_at_the_call() {
    let (builder, log) = logged();
    let io = watched(builder.parser(Pipes::default()));
    io.on("answer", async |Data(text): Data<String>, ack: AckSender| {
        assert!(matches!(ack.send(text), Err(EmitError::Parser(_))));
    });
    let (client, socket) = Piper::join(&io).await;
    for bad in ["unspeakable", "outrageous"] {
        assert!(matches!(socket.emit("e", bad), Err(EmitError::Parser(_))));
        assert!(matches!(socket.emit_volatile("e", bad), Err(EmitError::Parser(_))));
        assert!(matches!(io.emit("e", bad), Err(EmitError::Parser(_))));
        let args = RawArgs::from_json_elements(format!("{bad:?}").into(), vec![]).unwrap();
        let sink = Box::new(|_| panic!("the sink of an event that was not emitted"));
        assert!(matches!(socket.emit_with_sink("e", &args, None, sink), Err(EmitError::Parser(_))));
        let answer = socket.emit_with_ack::<()>("e", bad).await;
        assert!(matches!(answer, Err(AckError::Emit(EmitError::Parser(_)))), "{answer:?}");
        let answers = io.all().emit_with_ack::<()>("e", bad).await.unwrap();
        assert!(matches!(answers[..], [(_, Err(AckError::Emit(EmitError::Parser(_))))]), "{answers:?}");
        client.0.send(format!("event|/|1|answer,{bad:?}"));
    }
    socket.emit("fine", ()).unwrap();
    assert_eq!(client.next().await, "event|/||fine,", "nothing else came");
    assert!(log.all().is_empty(), "the client is still connected");

    // Packets of the server's own are sent all the same.
    io.of("/no").on_connect(async || Err::<(), _>(ConnectError::new("unspeakable")));
    client.0.send("connect|/no||");
    assert_eq!(client.next().await, r#"4/no,{"message":"unspeakable"}"#);
}

/// F-SER-04: what the decoder does not understand ends that connection, and no other.
#[tokio::test]
async fn a_message_that_the_parser_refuses_closes_its_connection() {
    for bad in ["nonsense", "panic", "event|/|x|a", "ack|/||1", "event+1|/||a", "event|/||a,{"] {
        let (builder, log) = logged();
        let io = watched(builder.parser(Pipes::default()));
        let (client, _) = Piper::join(&io).await;
        let (other, _) = Piper::join(&io).await;
        client.0.send(bad);
        if bad.contains("+1") {
            client.0.send("event|/||text instead of an attachment");
        }
        client.0.closed().await;
        assert_eq!(log.wait(1).await, ["ParseError"], "{bad}");
        // Nothing is decoded any more.
        client.0.send("event|/||a");
        assert!(other.0.is_open());
    }
}

/// F-SER-04, F-SEC: a decoder cannot let in what the server's own would not.
#[tokio::test]
async fn what_a_decoder_returns_is_checked() {
    for bad in [
        "event|/||connect",
        "event|/||disconnect",
        "connect|vip||",
        "connect|||",
        "connect|/a,b||",
        "connect|/vip||[]",
        "connect|/vip||{",
        "event|/|9007199254740992|a",
        "ack|/|9007199254740992|1",
    ] {
        let (builder, log) = logged();
        let io = watched(builder.parser(Pipes::default()).namespaces(wirebird::Accept::Any));
        let (client, _) = Piper::join(&io).await;
        client.0.send(bad);
        client.0.closed().await;
        assert_eq!(log.wait(1).await, ["ParseError"], "{bad}");
    }
}

/// A parser whose decoders call the server.
struct Meddler(Arc<parking_lot::Mutex<Option<Server>>>);

struct MeddlingDecoder(Arc<parking_lot::Mutex<Option<Server>>>, Box<dyn Decoder>);

impl Parser for Meddler {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        Json.encode(packet)
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
        Box::new(MeddlingDecoder(self.0.clone(), Json.decoder(limits)))
    }
}

impl Decoder for MeddlingDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        let io = self.0.lock().clone();
        if let Some(io) = io {
            io.emit("before", ())?;
            if message == Message::Text("2[\"bye\"]".into()) {
                io.all().disconnect_transports();
            }
        }
        self.1.decode(message)
    }
}

/// F-SER-04: a decoder may call the server, even to close the connection it decodes for.
#[tokio::test]
async fn no_lock_is_held_while_a_parser_is_at_work() {
    let slot = Arc::default();
    let (builder, log) = logged();
    let io = watched(builder.parser(Meddler(Arc::clone(&slot))));
    *slot.lock() = Some(io.clone());
    io.on("hello", async |socket: Socket| socket.emit("answer", ()));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"2["hello"]"#);
    assert_eq!(client.next_many(2).await, [r#"2["before"]"#, r#"2["answer"]"#]);
    client.send(r#"2["bye"]"#);
    client.closed().await;
    assert_eq!(log.wait(1).await, ["ServerDisconnect"]);
    slot.lock().take();
}
