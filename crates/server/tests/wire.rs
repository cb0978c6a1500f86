//! Packets as they go over the wire, row by row of what the protocol says and of what clients cannot take.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use support::{Client, Log, logged, watched};
use wirebird::extract::{Args, Data, EventName, State};
use wirebird::{
    Accept, AckError, AckSender, ConnectError, EmitError, EncodeError, Error, MemoryCluster, RawArgs, Reply,
    Server, Socket, Value,
};

async fn connected(io: &Server) -> (Client, Socket) {
    let client = Client::open(io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    (client, socket)
}

// ---- wire-protocol §4.3: what clients may send ----

/// wire-protocol §4.3: the five shapes of an event, and the liberties that clients take.
#[tokio::test]
async fn the_grammar_of_events() {
    let io = Server::new();
    for namespace in ["/", "/n", "/a/b é"] {
        io.of(namespace).fallback(
            async |socket: Socket, name: EventName, Args(args): Args, ack: AckSender| {
                let said = format!("{} {} {}", socket.namespace().name(), &*name, args.len());
                if ack.is_wanted() { ack.send(said) } else { socket.emit("said", said) }
            },
        );
    }
    let client = Client::open(&io);
    for namespace in ["/", "/n", "/a/b é"] {
        client.join(namespace).await;
    }
    for (packet, answer) in [
        (r#"2["a"]"#, r#"2["said","/ a 0"]"#),
        (r#"212["a"]"#, r#"312["/ a 0"]"#),
        (r#"2/n,["a"]"#, r#"2/n,["said","/n a 0"]"#),
        (r#"2/n,12["a"]"#, r#"3/n,12["/n a 0"]"#),
        // A namespace is anything up to the comma; `/` may be written; a query is not part of it.
        (r#"2/,["a"]"#, r#"2["said","/ a 0"]"#),
        (r#"2/a/b é,7["a"]"#, r#"3/a/b é,7["/a/b é a 0"]"#),
        (r#"2/n?x=1,["a"]"#, r#"2/n,["said","/n a 0"]"#),
        // Ids are decimal, with zeros before them or not, up to 2^53 - 1.
        (r#"20["a"]"#, r#"30["/ a 0"]"#),
        (r#"2007["a"]"#, r#"37["/ a 0"]"#),
        (r#"29007199254740991["a"]"#, r#"39007199254740991["/ a 0"]"#),
        // The array is any JSON: with spaces, with a number as the name.
        (r#"2 [ "a" , 1 , [ ] ] "#, r#"2["said","/ a 2"]"#),
        (r#"2[5,1]"#, r#"2["said","/ 5 1"]"#),
        (r#"2["\u0061"]"#, r#"2["said","/ a 0"]"#),
    ] {
        client.send(packet);
        assert_eq!(client.next().await, answer, "{packet}");
    }
    // The fifth has attachments, which follow at once and in order.
    client.send(r#"52-/n,12["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
    client.send_binary(&[1]);
    client.send_binary(&[2]);
    assert_eq!(client.next().await, r#"3/n,12["/n a 2"]"#);
}

/// wire-protocol §4.1, §4.3: everything else closes the connection, with the reason that belongs to it.
#[tokio::test]
async fn what_the_grammar_does_not_allow() {
    for (packet, reason) in [
        // Of no type; of a type that only servers send.
        ("", "ParseError"),
        ("7", "ParseError"),
        ("e", "ParseError"),
        (r#"4{"message":"x"}"#, "ForcedServerClose"),
        // The comma after the namespace is forgotten: a namespace of that name, and nothing in it.
        (r#"2/foo["a"]"#, "ParseError"),
        // Payloads that are missing, of the wrong kind, or followed by something.
        ("2", "ParseError"),
        ("212", "ParseError"),
        ("2/,", "ParseError"),
        ("2[]", "ParseError"),
        ("2{}", "ParseError"),
        (r#"2"a""#, "ParseError"),
        ("2[null]", "ParseError"),
        ("2[{}]", "ParseError"),
        (r#"2["a"]["b"]"#, "ParseError"),
        (r#"2["a"#, "ParseError"),
        ("3", "ParseError"),
        ("31", "ParseError"),
        ("31{}", "ParseError"),
        ("0[]", "ParseError"),
        (r#"0"x""#, "ParseError"),
        ("1{}", "ParseError"),
        (r#"1"x""#, "ParseError"),
        // Ids: missing, of types that have none, not decimal, too great.
        ("3[]", "ParseError"),
        ("01", "ParseError"),
        ("11", "ParseError"),
        (r#"2-1["a"]"#, "ParseError"),
        (r#"21.5["a"]"#, "ParseError"),
        (r#"29007199254740992["a"]"#, "ParseError"),
        (r#"200000000000000001["a"]"#, "ParseError"),
        // Attachments: no number, none, of a type that has none, more than the limit.
        (r#"5["a"]"#, "ParseError"),
        (r#"50-["a"]"#, "ParseError"),
        (r#"21-["a"]"#, "ParseError"),
        (r#"511-["a"]"#, "ParseError"),
        (r#"5/n,1-["a"]"#, "ParseError"),
        // Names of the protocol's own, however they are written.
        (r#"2["connect"]"#, "ParseError"),
        (r#"2["disconnecting",1]"#, "ParseError"),
        (r#"2["\u0064isconnect"]"#, "ParseError"),
        (r#"51-["newListener",{"_placeholder":true,"num":0}]"#, "ParseError"),
        // What is not JSON.
        (r#"2["a",NaN]"#, "ParseError"),
        (r#"2["a",Infinity]"#, "ParseError"),
        (r#"2["a",01]"#, "ParseError"),
        (r#"2['a']"#, "ParseError"),
        // Nobody is there, or somebody is there already.
        (r#"2/other,["a"]"#, "ForcedServerClose"),
        ("3/other,1[]", "ForcedServerClose"),
        ("1/other,", "ForcedServerClose"),
        ("0", "ForcedServerClose"),
    ] {
        let (state, log) = logged();
        let io = watched(state);
        io.fallback(async |State(log): State<Log>| log.push("handled"));
        let (client, _) = connected(&io).await;
        client.send(packet);
        client.closed().await;
        assert_eq!(log.wait(1).await, [reason], "{packet}");
    }
}

// ---- wire-protocol §6.4: numbers and strings ----

/// F-ARG-09, wire-protocol §6.4: integers keep every digit where they fit 64 bits, and are floating point beyond.
#[tokio::test]
async fn numbers() {
    let io = Server::new();
    io.on("signed", async |Data(number): Data<i64>| number);
    io.on("unsigned", async |Data(number): Data<u64>| number);
    io.on("float", async |Data(number): Data<f64>| number);
    io.on("small", async |Data(number): Data<u8>| number);
    io.on("value", async |Data(number): Data<Value>| number);
    io.on_error(async |error: Error| {
        assert!(error.is_bad_arguments(), "{error}");
        "refused"
    });
    let (client, _) = connected(&io).await;
    for (event, number, answer) in [
        ("signed", "9007199254740993", "9007199254740993"),
        ("signed", "-9223372036854775808", "-9223372036854775808"),
        ("signed", "9223372036854775808", r#""refused""#),
        ("signed", "1.5", r#""refused""#),
        ("unsigned", "18446744073709551615", "18446744073709551615"),
        ("unsigned", "18446744073709551616", r#""refused""#),
        ("unsigned", "-1", r#""refused""#),
        ("small", "256", r#""refused""#),
        ("small", "255", "255"),
        ("float", "1", "1.0"),
        ("float", "0.1", "0.1"),
        ("float", "5e-324", "5e-324"),
        ("float", "1.7976931348623157e308", "1.7976931348623157e+308"),
        ("float", "123456789012345678901234567890", "1.2345678901234568e+29"),
        ("float", "1e999", r#""refused""#),
        ("value", "18446744073709551616", "1.8446744073709552e+19"),
        ("value", "-9223372036854775809", "-9.223372036854776e+18"),
        ("value", "0.1000000000000000055511151231257827", "0.1"),
        ("value", "[1,-1,1.0,1e2]", "[1,-1,1.0,100.0]"),
    ] {
        let answers = client.call(0, &format!(r#"["{event}",{number}]"#)).await;
        assert_eq!(answers, [format!("30[{answer}]")], "{event} {number}");
    }
}

/// F-ARG-09, wire-protocol §6.1, §6.4: strings are Unicode, and of duplicate keys the last one counts.
#[tokio::test]
async fn strings_and_keys() {
    let io = Server::new();
    io.on("text", async |Data(text): Data<String>| text);
    io.on("value", async |Data(value): Data<Value>| value);
    let (client, _) = connected(&io).await;
    for (event, json, answer) in [
        ("text", r#""\ud83d\ude00 é \u20ac""#, "\"😀 é €\""),
        ("text", r#""a\ud800b""#, "\"a\u{fffd}b\""),
        ("text", r#""\udc00\ud800""#, "\"\u{fffd}\u{fffd}\""),
        ("value", r#"["\ud800",{"\ud800":1}]"#, "[\"\u{fffd}\",{\"\u{fffd}\":1}]"),
        ("text", r#""\u0000\u001f\"\\\/""#, r#""\u0000\u001f\"\\/""#),
        ("value", r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
    ] {
        assert_eq!(
            client.call(0, &format!(r#"["{event}",{json}]"#)).await,
            [format!("30[{answer}]")],
            "{json}"
        );
    }
}

/// wire-protocol §6.1: sixty-four levels are read, the array of arguments among them, and no more.
#[tokio::test]
async fn nesting() {
    let io = Server::new();
    io.on("deep", async |Data(_): Data<Value>| "fine");
    let nested = |levels: usize| format!(r#"20["deep",{}1{}]"#, "[".repeat(levels), "]".repeat(levels));
    let (client, _) = connected(&io).await;
    client.send(nested(63));
    assert_eq!(client.next().await, r#"30["fine"]"#);
    client.send(nested(64));
    client.closed().await;
}

// ---- wire-protocol §4.5: what clients must not be sent ----

/// wire-protocol §4.5, row 1; AB-09, F-ARG-06, F-ARG-09: NaN and infinities are an error of whatever would send them, because
/// no client reads them; nothing of it goes out, and the error says why.
#[tokio::test]
async fn no_client_gets_a_number_that_json_does_not_have() {
    let io = Server::builder().adapter(MemoryCluster::new().adapter()).build();
    let (client, socket) = connected(&io).await;
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let is_refused = |result: Result<(), EmitError>| {
            let error = result.expect_err("a number that JSON does not have");
            assert!(matches!(error, EmitError::Encode(_)), "{error:?}");
            assert_eq!(error.to_string(), format!("the data cannot be sent: {number} is no number in JSON"));
        };
        let data = || ("fine", BTreeMap::from([("a", [Some(number as f32)])]), Bytes::from_static(b"x"));
        is_refused(socket.emit("e", data()));
        is_refused(socket.emit_volatile("e", data()).map(drop));
        is_refused(socket.send(data()));
        is_refused(socket.send_json(number));
        is_refused(io.emit("e", data()));
        is_refused(io.send(number));
        is_refused(io.send_json(data()));
        is_refused(io.to("nobody").emit("e", data()));
        is_refused(io.all().send(data()));
        is_refused(io.all().compress(false).conflate("key").emit("e", number));
        is_refused(io.server_side_emit("e", data()));
        is_refused(Reply::new(data()).map(drop));
        is_refused(io.emit_with_ack::<()>("e", data()).await.map(drop));
        match socket.emit_with_ack::<()>("e", data()).await {
            Err(AckError::Emit(error)) => is_refused(Err(error)),
            other => panic!("{other:?}"),
        }
        assert!(socket.set_data(number).is_err_and(|error| error.downcast_ref::<EncodeError>().is_some()));
    }
    socket.emit("next", ()).unwrap();
    assert_eq!(client.next().await, r#"2["next"]"#);
}

/// AB-09, F-ARG-06, F-ACK-04, F-ERR-03: an answer with NaN in it is a failure of its handler; the error handler may answer.
#[tokio::test]
async fn an_answer_that_json_does_not_have_is_a_failure_of_its_handler() {
    let log = Log::default();
    let io = Server::new();
    io.on("plain", async || f64::NAN);
    io.on("result", async || Ok::<_, Error>([f64::NAN]));
    io.on("late", async || {
        tokio::task::yield_now().await;
        a_map(f32::NAN)
    });
    io.on("sender", async |ack: AckSender| ack.send((1, f64::NAN)));
    io.on("fine", async || ());
    let (client, _) = connected(&io).await;
    let events = ["plain", "result", "late", "sender"];
    for event in events {
        // Nobody answers, and nothing else happens to the client.
        client.send(format!(r#"21["{event}"]"#));
        assert_eq!(client.call(2, r#"["fine"]"#).await, ["32[]"], "{event}");
    }
    let told = log.clone();
    io.on_error(move |error: Error| {
        told.push(error.to_string());
        std::future::ready("sorry")
    });
    for event in &events[..3] {
        assert_eq!(client.call(3, &format!(r#"["{event}"]"#)).await, [r#"33["sorry"]"#], "{event}");
    }
    client.send(r#"24["sender"]"#);
    assert_eq!(log.wait(4).await, ["the data cannot be sent: NaN is no number in JSON"; 4]);
}

/// Data that is a map, and no `Value`.
fn a_map<T>(number: T) -> BTreeMap<&'static str, T> {
    BTreeMap::from([("a", number)])
}

/// AB-09: what goes with a refusal or a CONNECT is left out as a whole when NaN is in it; what is said stays.
#[tokio::test]
async fn details_of_an_answer_to_connect_are_left_out_when_json_does_not_have_them() {
    struct Doorman;
    impl wirebird::Dispatcher for Doorman {
        fn connect(&self, request: wirebird::ConnectRequest, responder: wirebird::ConnectResponder) {
            match request.socket.namespace().name() {
                "/no" => responder.refuse(ConnectError::new("no").with_data(("detail", [f64::NAN]))),
                _ => responder.accept_with(&a_map(f64::INFINITY)),
            }
        }
        fn event(&self, _: wirebird::IncomingEvent) {}
        fn disconnect(&self, _: Socket, _: wirebird::DisconnectReason, _: wirebird::Completion) {}
    }
    let io = Server::builder().dispatcher(std::sync::Arc::new(Doorman)).namespaces(Accept::Any).build();
    let client = Client::open(&io);
    client.send("0/no,");
    assert_eq!(client.next().await, r#"4/no,{"message":"no"}"#);
    client.send("0/yes,");
    let accepted = client.next().await;
    assert!(accepted.starts_with(r#"0/yes,{"sid":""#) && !accepted.contains("\"a\""), "{accepted}");
}

/// wire-protocol §4.5, row 3: an event of a reserved name cannot be emitted, in whichever way.
#[tokio::test]
async fn no_client_gets_an_event_of_a_reserved_name() {
    let io = Server::new();
    let (client, socket) = connected(&io).await;
    let none = RawArgs::empty();
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let is_refused = |result: Result<(), EmitError>| matches!(result, Err(EmitError::ReservedName(_)));
        assert!(is_refused(socket.emit(name, ())), "{name}");
        assert!(is_refused(socket.emit_volatile(name, ()).map(drop)));
        assert!(is_refused(socket.emit_raw(name, &none)));
        assert!(is_refused(socket.emit_with_sink(name, &none, None, Box::new(|_| {})).map(drop)));
        assert!(is_refused(io.emit(name, ())));
        assert!(is_refused(io.all().emit_raw(name, &none)));
        assert!(is_refused(io.all().volatile().emit(name, ())));
        assert!(socket.emit_with_ack::<()>(name, ()).await.is_err());
        assert!(io.all().emit_with_ack::<()>(name, ()).await.is_err());
    }
    socket.emit("connected", ()).unwrap();
    assert_eq!(client.next().await, r#"2["connected"]"#, "and nothing before it");
}

/// wire-protocol §4.5, rows 4, 6 and 7: DISCONNECT has no payload, CONNECT_ERROR always has an object with a message, and
/// CONNECT always has the socket's own id.
#[tokio::test]
async fn packets_of_the_protocols_own_are_what_clients_expect() {
    struct Greeter;
    impl wirebird::Dispatcher for Greeter {
        fn connect(&self, request: wirebird::ConnectRequest, responder: wirebird::ConnectResponder) {
            match request.socket.namespace().name() {
                "/" => responder.accept(),
                "/extra" => responder.accept_with(&json!({ "sid": "forged", "motd": 1 })),
                "/list" => responder.accept_with(&[1, 2]),
                "/data" => responder.refuse(ConnectError::new("no").with_data("why")),
                "/binary" => responder.refuse(ConnectError::new("no").with_data(Bytes::from_static(b"x"))),
                _ => drop(responder),
            }
        }
        fn event(&self, _: wirebird::IncomingEvent) {}
        fn disconnect(&self, _: Socket, _: wirebird::DisconnectReason, _: wirebird::Completion) {}
    }
    let io = Server::builder()
        .dispatcher(std::sync::Arc::new(Greeter))
        .namespaces(Accept::check(|name, _| name != "/unknown"))
        .max_namespaces(3)
        .max_auth(10)
        .build();
    let client = Client::open(&io);
    for (connect, refusal) in [
        ("0/unknown,", r#"4/unknown,{"message":"Invalid namespace"}"#),
        ("0/dropped,", r#"4/dropped,{"message":"Connection rejected by server"}"#),
        ("0/data,", r#"4/data,{"message":"no","data":"why"}"#),
        ("0/binary,", r#"4/binary,{"message":"no"}"#),
        (r#"0{"much":"too much"}"#, r#"4{"message":"The auth payload is too large"}"#),
    ] {
        client.send(connect);
        assert_eq!(client.next().await, refusal);
    }
    for namespace in ["/", "/extra", "/list"] {
        let id = client.join(namespace).await;
        assert!(io.of(namespace).socket(id.as_str()).is_some(), "{namespace}: {id}");
    }
    client.send("0/fourth,");
    assert_eq!(client.next().await, r#"4/fourth,{"message":"Too many namespaces"}"#);
    for (namespace, farewell) in [("/extra", "1/extra,"), ("/", "1")] {
        io.of(namespace).all().disconnect();
        assert_eq!(client.next().await, farewell);
    }
    io.of("/list").all().disconnect_transports();
    assert_eq!(client.next().await, "1/list,");
    tokio::time::timeout(Duration::from_secs(5), client.closed()).await.unwrap();
}
