//! MessagePack on the wire, the rest as ever.
#![cfg(feature = "msgpack")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{Client, logged, until, watched};
use wirebird::extract::{Auth, Data};
use wirebird::parser::{MsgPack, Packet, PacketKind};
use wirebird::testing::TestClient;
use wirebird::{
    AckSender, Builder, ConnectError, Date, EmitError, Handshake, MemoryCluster, RawArgs, Server, Socket,
    TrustedProxies, Value,
};
use wirebird_proto::socket_io::{Limits, msgpack};

fn builder() -> Builder {
    Server::builder().parser(MsgPack)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A client that reads and writes MessagePack.
struct Packer(Client);

impl Packer {
    fn open(io: &Server) -> Self {
        Self(Client::open(io))
    }

    async fn join(io: &Server) -> (Self, Socket) {
        let client = Self::open(io);
        client.send("82 a474797065 00 a36e7370 a12f");
        let PacketKind::Connect { auth: Some(auth) } = client.next().await.kind else { panic!("a sid") };
        let id: serde_json::Value = serde_json::from_str(&auth).unwrap();
        let socket = io.socket(id["sid"].as_str().unwrap()).unwrap();
        (client, socket)
    }

    /// Sends a message, in hexadecimal digits.
    fn send(&self, hex: &str) {
        self.0.send_binary(&bytes(hex));
    }

    /// Sends an event of one argument.
    fn emit(&self, event: &str, argument: &str) {
        let name = event.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let len = event.len();
        self.send(&format!("83 a474797065 02 a36e7370 a12f a464617461 92 d9{len:02x}{name} {argument}"));
    }

    /// The next message, in hexadecimal digits.
    async fn next_hex(&self) -> String {
        let message = self.0.next().await;
        message.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).expect(&message).to_owned()
    }

    async fn next(&self) -> Packet {
        let message = bytes(&self.next_hex().await);
        msgpack::decode(&message.into(), &Limits::default()).unwrap()
    }

    /// The arguments of the next packet, which is an event or an acknowledgement.
    async fn args(&self) -> RawArgs {
        match self.next().await.kind {
            PacketKind::Event { args, .. } | PacketKind::Ack { args, .. } => args,
            other => panic!("{other:?}"),
        }
    }
}

/// AB-09, F-ARG-09: NaN and infinities are an error in whichever format they would be sent, and so is a number that is an
/// infinity in this one. Those that a client sends are null for handlers.
#[tokio::test]
async fn numbers_that_are_not_finite() {
    let io = builder().build();
    io.on("echo", async |socket: Socket, Data(value): Data<Value>| socket.emit("back", value));
    let (client, socket) = Packer::join(&io).await;
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(socket.emit("e", [number]), Err(EmitError::Encode(_))));
        assert!(matches!(io.emit("e", (1, number as f32)), Err(EmitError::Encode(_))));
    }
    for json in ["1e999", "[-1e999]"] {
        let args = RawArgs::from_json_elements(json.into(), Vec::new()).unwrap();
        let error = socket.emit_raw("e", &args).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the data cannot be sent: number is beyond the range of floating point"
        );
        assert!(io.all().emit_raw("e", &args).is_err());
    }
    let (said, mut says) = tokio::sync::mpsc::unbounded_channel();
    io.on("ask", move |ack: AckSender| {
        let args = RawArgs::from_json_elements("1e999".into(), Vec::new()).unwrap();
        said.send(ack.send_raw(&args).unwrap_err().to_string()).unwrap();
        std::future::ready(())
    });
    client.send("84 a474797065 02 a36e7370 a12f a464617461 91 a361736b a26964 00");
    assert_eq!(
        says.recv().await.unwrap(),
        "the data cannot be sent: number is beyond the range of floating point"
    );
    for nan_or_infinite in ["cb7ff8000000000000", "cb7ff0000000000000", "caff800000"] {
        client.emit("echo", nan_or_infinite);
        assert_eq!(client.args().await.json(), "null");
    }
}

/// F-SER-02: the bytes of each kind of packet, as the JavaScript and the Python client read and write them.
#[tokio::test]
async fn packets_are_what_official_clients_write_and_read() {
    let io = builder().build();
    io.on("e", async |Data((number, data)): Data<(u8, Bytes)>| (number + 1, data));
    io.of("/n").on_connect(async || Err::<(), _>(ConnectError::new("no").with_data(json!({ "c": 1 }))));
    let (client, socket) = Packer::join(&io).await;

    // An event with binary and an id, acknowledged.
    client.send("84 a474797065 02 a36e7370 a12f a464617461 93 a165 01 c4020102 a26964 03");
    assert_eq!(client.next_hex().await, "84a47479706503a36e7370a12fa4646174619202c4020102a2696403");
    // A refusal, with what JavaScript's client sends for want of credentials.
    client.send("84 a474797065 00 a464617461 d40000 a36e7370 a22f6e a76f7074696f6e73 81a8636f6d7072657373c3");
    let refusal = "83a47479706504a36e7370a22f6ea464617461";
    let object = "82a76d657373616765a26e6fa46461746181a16301";
    assert_eq!(client.next_hex().await, format!("{refusal}{object}"));
    // Events to the client: to one, to all, and without an argument.
    socket.emit("a", ("x", [1.5])).unwrap();
    let event = "83a47479706502a36e7370a12fa464617461";
    assert_eq!(client.next_hex().await, format!("{event}93a161a17891cb3ff8000000000000"));
    io.emit("a", ()).unwrap();
    assert_eq!(client.next_hex().await, format!("{event}91a161"));
    // Goodbye: no data, not even nil.
    socket.disconnect();
    assert_eq!(client.next_hex().await, "82a47479706501a36e7370a12f");
}

/// F-SER-02: a refusal after CONNECT, and a client that leaves in Python's way.
#[tokio::test]
async fn coming_and_going() {
    let (state, log) = logged();
    let io = watched(state.parser(MsgPack).always_connect(true));
    io.of("/shut").on_connect(async || Err::<(), _>(ConnectError::rejected()));
    let (client, _) = Packer::join(&io).await;
    client.send("83 a474797065 00 a464617461 80 a36e7370 a52f73687574");
    assert!(matches!(client.next().await.kind, PacketKind::Connect { .. }));
    assert_eq!(client.next_hex().await, "82a47479706501a36e7370a52f73687574");
    client.send("83 a474797065 01 a464617461 c0 a36e7370 a12f");
    assert_eq!(log.wait(1).await, ["ClientDisconnect"]);
    client.send("82 a474797065 00 a36e7370 a12f");
    assert!(matches!(client.next().await.kind, PacketKind::Connect { .. }));
    assert!(client.0.is_open());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    when: Date,
    size: u64,
    #[serde(default)]
    note: Option<String>,
    blob: Bytes,
}

/// F-SER-02: handlers take and give the same types as with JSON.
#[tokio::test]
async fn handlers_do_not_see_the_format() {
    let io = builder().build();
    io.on("report", async |socket: Socket, Data(mut report): Data<Report>| {
        assert_eq!(report.note, None);
        report.size += 1;
        socket.emit("report", report)
    });
    io.on("value", async |socket: Socket, Data(value): Data<Value>| socket.emit("value", value));
    io.on("raw", async |socket: Socket, args: RawArgs| socket.emit_raw("raw", &args));
    io.on("text", async |Data(text): Data<String>, socket: Socket| socket.emit("text", text));
    let (client, _) = Packer::join(&io).await;
    let date = "d7000000018f4cbb37b2";
    let report =
        format!("84 a47768656e {date} a473697a65 cf000fffffffffffff a46e6f7465 d40000 a4626c6f62 c40107");
    client.emit("report", &report);
    let answer = client.next_hex().await;
    let when = format!("a47768656e{date}");
    assert!(answer.contains(&when), "a Date comes back as one: {answer}");
    assert!(answer.contains("a473697a65cf0010000000000000") && answer.contains("a46e6f7465c0"), "{answer}");
    assert!(answer.ends_with("c40107"), "{answer}");

    // A date is text for those who want text, and text is what they send.
    client.emit("text", date);
    assert_eq!(client.args().await.json(), r#""2024-05-06T07:08:09.010Z""#);
    // Raw arguments are passed on as they came.
    for argument in [date, "c0", "81a161c40101", "d50501ff", "cfffffffffffffffff", "93010203"] {
        client.emit("raw", argument);
        let answer = client.next_hex().await;
        assert!(answer.ends_with(&format!("92a3726177{argument}")), "{argument}: {answer}");
    }
    for (argument, answer) in
        [("d40000", "c0"), ("82a161d40000a16201", "81a16201"), ("cb7ff8000000000000", "c0")]
    {
        client.emit("value", argument);
        assert!(client.next_hex().await.ends_with(&format!("92a576616c7565{answer}")), "{argument}");
    }
}

/// F-SER-02: acknowledgements of one client and of many, with binary.
#[tokio::test]
async fn clients_acknowledge() {
    let io = builder().build();
    let (ann, socket) = Packer::join(&io).await;
    let (bob, _) = Packer::join(&io).await;
    let asked = tokio::spawn(async move {
        socket.emit_with_ack::<(String, Bytes)>("ask", Bytes::from_static(b"?")).await
    });
    assert_eq!(ann.next_hex().await, "84a47479706502a36e7370a12fa46461746192a361736bc4013fa2696400");
    ann.send("84 a474797065 03 a36e7370 a12f a464617461 92 a161 c40121 a26964 00");
    assert_eq!(asked.await.unwrap().unwrap(), ("a".to_owned(), Bytes::from_static(b"!")));

    let asked = tokio::spawn({
        let io = io.clone();
        async move { io.all().emit_with_ack::<u8>("vote", ()).timeout(Duration::from_secs(5)).await }
    });
    for client in [&ann, &bob] {
        let PacketKind::Event { id: Some(id), .. } = client.next().await.kind else { panic!("a question") };
        client.send(&format!("84 a474797065 03 a36e7370 a12f a26964 {id:02x} a464617461 91 07"));
    }
    let answers = asked.await.unwrap().unwrap();
    assert_eq!(answers.into_iter().map(|(_, answer)| answer.unwrap()).collect::<Vec<_>>(), [7, 7]);
}

/// F-SER-02, F-PRO: what is no packet closes its connection, with `parse error`, and no other.
#[tokio::test]
async fn bad_messages_close_their_connection() {
    let begin = "83 a474797065 02 a36e7370 a12f a464617461";
    let nested = format!("{begin} 92 a165 {} 01", "91".repeat(64));
    let binary = format!("{begin} dc000c a165 {}", "c400".repeat(11));
    for bad in [
        "",
        "c1",
        "90",
        // Text of the default parser, as binary.
        "32 5b 22 65 22 5d",
        "82 a474797065 02 a36e7370 a12f",
        "83 a474797065 05 a36e7370 a12f a464617461 91a165",
        "83 a474797065 02 a36e7370 a12f a464617461 91a165 00",
        "84 a474797065 02 a36e7370 a12f a464617461 91a165 a474797065 02",
        "83 a474797065 02 a36e7370 a12f a464617461 91a7636f6e6e656374",
        "83 a474797065 02 a36e7370 a12f a464617461 92a165a2c328",
        "83 a474797065 02 a36e7370 a12f a464617461 ddffffffff a165",
        "83 a474797065 02 a36e7370 a12f a464617461 92a165c6ffffffff 00",
        &nested,
        &binary,
    ] {
        let (state, log) = logged();
        let io = watched(state.parser(MsgPack));
        let (client, _) = Packer::join(&io).await;
        let (other, socket) = Packer::join(&io).await;
        client.send(bad);
        client.0.closed().await;
        assert_eq!(log.wait(1).await, ["ParseError"], "{bad}");
        socket.emit("fine", ()).unwrap();
        assert_eq!(other.args().await.len(), 0);
    }
    let (state, log) = logged();
    let io = watched(state.parser(MsgPack));
    let (client, _) = Packer::join(&io).await;
    client.0.send(r#"2["e"]"#);
    client.0.closed().await;
    assert_eq!(log.wait(1).await, ["ParseError"], "text");
}

/// F-SER-02, F-SEC: the limits of the server are those of the format, too.
#[tokio::test]
async fn limits_hold() {
    let io = builder().max_attachments(20).max_auth(100).build();
    io.on("count", async |socket: Socket, Data(list): Data<Vec<Bytes>>| socket.emit("count", list.len()));
    io.of("/n").on_connect(async |Auth(_): Auth<Value>| ());
    let (client, socket) = Packer::join(&io).await;
    client.emit("count", &format!("dc0014 {}", "c400".repeat(20)));
    assert_eq!(client.args().await.json(), "20");
    // More than current clients take of the default format.
    socket.emit("many", vec![Bytes::from_static(b"x"); 30]).unwrap();
    let packet = bytes(&client.next_hex().await);
    assert!(packet.ends_with(&bytes(&"c40178".repeat(30))));
    let auth = format!("81 a161 d96e {}", "61".repeat(110));
    client.send(&format!("83 a474797065 00 a36e7370 a22f6e a464617461 {auth}"));
    let PacketKind::ConnectError { data } = client.next().await.kind else { panic!("a refusal") };
    assert!(data.contains("too large"), "{data}");
    client.emit("count", &format!("dc0015 {}", "c400".repeat(21)));
    client.0.closed().await;
}

/// F-SER-02, F-SEC-01: binary that waits counts, although it is part of the packet.
#[tokio::test]
async fn waiting_events_are_limited_in_bytes() {
    let latch = support::Latch::default();
    let io = builder().max_pending_bytes(10_000, 1_000_000).state(latch.clone()).build();
    io.on("event", async |wirebird::extract::State(latch): wirebird::extract::State<support::Latch>| {
        latch.wait().await;
    });
    let (client, _) = Packer::join(&io).await;
    let paused = || client.0.conn.session().is_paused();
    for _ in 0..3 {
        assert!(!paused());
        client.emit("event", &format!("c5 0fa0 {}", "00".repeat(4000)));
    }
    assert!(paused(), "12,000 bytes wait");
    latch.open(3);
    until("reading to go on", || !paused()).await;
}

/// F-SER-02, F-SER-06: servers of one cluster may use different parsers.
#[tokio::test]
async fn parsers_differ_within_a_cluster() {
    let cluster = MemoryCluster::new();
    let packed = builder().adapter(cluster.adapter()).build();
    let plain = Server::builder().adapter(cluster.adapter()).build();
    let (packer, _) = Packer::join(&packed).await;
    let client = Client::open(&plain);
    client.join("/").await;
    let date: Date = "2024-05-06T07:08:09.010Z".parse().unwrap();
    for io in [&packed, &plain] {
        io.emit("news", (date, Bytes::from_static(&[7]))).unwrap();
        assert!(packer.next_hex().await.ends_with("93a46e657773d7000000018f4cbb37b2c40107"));
        let event = r#"51-["news","\u0032024-05-06T07:08:09.010Z",{"_placeholder":true,"num":0}]"#;
        assert_eq!(client.next_many(2).await, [event, "<07>"]);
    }
}

/// F-SER-02, F-TST: the client for tests speaks what its server speaks.
#[tokio::test]
async fn the_test_client_follows() {
    let io = builder().build();
    io.on("add", async |Data((a, b)): Data<(i64, Bytes)>| a + b.len() as i64);
    let client = TestClient::connect(&io).await.unwrap();
    let sum: i64 = client.emit_with_ack("add", (1, Bytes::from_static(b"xx"))).await.unwrap();
    assert_eq!(sum, 3);
}

/// F-SER-02, F-PRO-02: a client of Engine.IO 3 is connected unasked, without data, and refused with a message alone.
#[tokio::test]
async fn old_clients() {
    let io = builder().allow_eio3(true).build();
    io.on("e", async |Data(number): Data<u8>| number);
    io.of("/no").on_connect(async || Err::<(), _>(ConnectError::new("no")));
    let request = http::Request::get("/socket.io/?EIO=3&transport=websocket").body(()).unwrap();
    let handshake = Handshake::new(&mut request.into_parts().0, &TrustedProxies::None);
    io.engine().attach_runtime();
    let client = Packer(Client::with(&io, handshake));
    assert_eq!(client.next_hex().await, "82a47479706500a36e7370a12f");
    client.send("84 a474797065 02 a36e7370 a12f a464617461 92 a165 05 a26964 01");
    assert_eq!(client.next_hex().await, "84a47479706503a36e7370a12fa4646174619105a2696401");
    client.send("82 a474797065 00 a36e7370 a32f6e6f");
    assert_eq!(client.next_hex().await, "83a47479706504a36e7370a32f6e6fa464617461a26e6f");
}
