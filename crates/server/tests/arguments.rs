//! Arguments: what handlers take, what clients get, and that nothing is changed on the way.

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{Client, settle};
use wirebird::extract::{Args, Data, EventContext, FromContext};
use wirebird::{
    ArgsErrorCause, ArgumentError, EmitError, Error, EventHandlerExt, Next, RawArgs, Server, Socket, Value,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    tags: Vec<String>,
    blob: Option<Bytes>,
}

async fn connected(io: &Server) -> (Client, Socket) {
    let client = Client::open(io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    (client, socket)
}

/// F-ARG-03, F-ARG-04: only the outermost tuple is several arguments.
#[tokio::test]
async fn tuples_are_several_arguments_and_lists_are_one() {
    let io = Server::new();
    let (client, socket) = connected(&io).await;
    macro_rules! check {
        ($($data:expr => $json:literal),* $(,)?) => {$(
            socket.emit("e", $data).unwrap();
            assert_eq!(client.next().await, concat!(r#"2["e""#, $json, "]"));
            io.emit("e", $data).unwrap();
            assert_eq!(client.next().await, concat!(r#"2["e""#, $json, "]"));
        )*};
    }
    check! {
        () => "",
        (1,) => ",1",
        (1, "b") => r#",1,"b""#,
        ((1, 2), [3, 4]) => ",[1,2],[3,4]",
        vec![1, 2] => ",[1,2]",
        Vec::<u8>::new() => ",[]",
        [1, 2] => ",[1,2]",
        &[1, 2][..] => ",[1,2]",
        None::<u8> => ",null",
        Some((1, 2)) => ",1,2",
        Value::Null => ",null",
        json!([1, 2]) => ",[1,2]",
        "text \u{2028} \"" => ",\"text \u{2028} \\\"\"",
        (0.5, 1.0_f32, -0.0) => ",0.5,1.0,-0.0",
        json!([f64::NAN]) => ",[null]",
        BTreeMap::from([(1, "a")]) => r#",{"1":"a"}"#,
        // AB, F-ARG-08: data that looks like a placeholder is sent as it is.
        json!({ "_placeholder": true, "num": 9 }) => r#",{"_placeholder":true,"num":9}"#,
        Point { x: 1.5, tags: vec![], blob: None } => r#",{"x":1.5,"tags":[],"blob":null}"#,
    }
    io.send("text").unwrap();
    socket.send((1, 2)).unwrap();
    assert_eq!(client.next_many(2).await, [r#"2["message","text"]"#, r#"2["message",1,2]"#]);
}

/// F-ARG-06: data that cannot be sent is an error at the call, also when nobody would receive it.
#[tokio::test]
async fn data_that_cannot_be_sent_is_an_error_at_the_call() {
    let io = Server::new();
    let bad = || BTreeMap::from([(vec![1], 1)]);
    assert!(matches!(io.emit("e", bad()), Err(EmitError::Encode(_))));
    assert!(matches!(io.to("nobody").emit("e", bad()), Err(EmitError::Encode(_))));
    let (client, socket) = connected(&io).await;
    assert!(socket.emit("e", (Bytes::from_static(b"x"), bad())).is_err());
    socket.emit("fine", ()).unwrap();
    assert_eq!(client.next().await, r#"2["fine"]"#);
}

/// F-ARG-01, F-ARG-02
#[tokio::test]
async fn handlers_take_arguments_by_position() {
    let io = Server::new();
    io.on("none", async |Data(()): Data<()>| "none");
    io.on("one", async |Data(text): Data<String>| text);
    io.on("vec", async |Data(list): Data<Vec<i64>>| list.len());
    io.on("array", async |Data([a, b]): Data<[i64; 2]>| a + b);
    io.on("tuple", async |Data((a, b, c)): Data<(i64, String, Option<bool>)>| format!("{a} {b} {c:?}"));
    io.on("option", async |Data(maybe): Data<Option<i64>>| maybe.is_some());
    io.on("struct", async |Data(point): Data<Point>| point);
    io.on("args", async |Args(args): Args| args.len());
    io.on("value", async |Data(value): Data<Value>| value);
    let (client, _) = connected(&io).await;
    for (event, answer) in [
        (r#"["none"]"#, r#"["none"]"#),
        (r#"["none",1,2]"#, r#"["none"]"#),
        (r#"["one","é"]"#, r#"["é"]"#),
        (r#"["one","more","than",1]"#, r#"["more"]"#),
        (r#"["vec",[1,2,3]]"#, "[3]"),
        (r#"["array",[1,2]]"#, "[3]"),
        (r#"["tuple",1,"b",true]"#, r#"["1 b Some(true)"]"#),
        (r#"["tuple",1,"b"]"#, r#"["1 b None"]"#),
        (r#"["tuple",1,"b",null,"extra"]"#, r#"["1 b None"]"#),
        (r#"["option"]"#, "[false]"),
        (r#"["option",null]"#, "[false]"),
        (r#"["option",1]"#, "[true]"),
        (r#"["struct",{"x":1,"tags":["a"],"more":1}]"#, r#"[{"x":1.0,"tags":["a"],"blob":null}]"#),
        (r#"["args",1,[2],{"c":3}]"#, "[3]"),
        (r#"["value",{"b":1,"a":[null,true,-0.5e3]}]"#, r#"[{"b":1,"a":[null,true,-500.0]}]"#),
    ] {
        assert_eq!(client.call(0, event).await, [format!("30{answer}")], "{event}");
    }
}

/// F-ARG-07: arguments that do not fit never reach the handler; the error names the event, the argument and the cause,
/// without what was received.
#[tokio::test]
async fn arguments_that_do_not_fit_are_an_error_that_names_them() {
    let io = Server::new();
    io.on("pair", async |Data(_): Data<(u8, String)>| "must not run");
    io.on("one", async |Data(_): Data<u8>| "must not run");
    io.on("bytes", async |Data(_): Data<Bytes>| "must not run");
    io.on("all", async |Args(_): Args| "must not run");
    io.on_error(async |error: Error| {
        assert!(error.is_bad_arguments());
        let bad = error.downcast_ref::<ArgumentError>().unwrap();
        let missing = matches!(bad.cause(), ArgsErrorCause::Missing);
        let text = error.to_string();
        assert!(text.starts_with(&format!("event {:?}: argument {}", bad.event(), bad.index())), "{text}");
        assert!(!text.contains("secret") && missing == text.ends_with("is missing"), "{text}");
        (bad.event().to_owned(), bad.index(), missing)
    });
    let (client, _) = connected(&io).await;
    for (event, index) in [
        (r#"["pair"]"#, r#""pair",0,true"#),
        (r#"["pair",1]"#, r#""pair",1,true"#),
        (r#"["pair","secret","b"]"#, r#""pair",0,false"#),
        (r#"["pair",1,2]"#, r#""pair",1,false"#),
        (r#"["pair",256,"b"]"#, r#""pair",0,false"#),
        (r#"["pair",1,null]"#, r#""pair",1,false"#),
        (r#"["one"]"#, r#""one",0,true"#),
        (r#"["one",[1]]"#, r#""one",0,false"#),
        (r#"["one",-1]"#, r#""one",0,false"#),
        (r#"["bytes",7]"#, r#""bytes",0,false"#),
        (r#"["all",1,1e999]"#, r#""all",1,false"#),
    ] {
        assert_eq!(client.call(0, event).await, [format!("30[{index}]")], "{event}");
    }
}

/// F-ARG-07: where the server or a handler is strict, arguments that nobody takes are an error too.
#[tokio::test]
async fn arguments_that_nobody_takes_are_an_error_where_that_is_wanted() {
    async fn pair(Data((a, _)): Data<(u8, Option<String>)>) -> u8 {
        a
    }
    /// Two that take different ones: what counts is the last argument that anybody takes.
    async fn both(Data(first): Data<u8>, Data((_, second)): Data<(u8, u8)>) -> (u8, u8) {
        (first, second)
    }
    struct Count(usize);
    impl FromContext<EventContext> for Count {
        fn from_context(event: &EventContext) -> Result<Self, Error> {
            Ok(Self(event.args().len()))
        }
    }
    for strict in [true, false] {
        let io = Server::builder().strict_arguments(strict).build();
        // What a layer looks at is not taken.
        io.event_layer(async |event: EventContext, next: Next| {
            assert!(event.args().len() < 9);
            next.run(event).await
        });
        io.on("one", async |Data(n): Data<u8>| n);
        io.on("unit", async |Data(()): Data<()>| 0);
        io.on("nothing", async |_: Socket| 0);
        io.on("pair", pair).on("both", both).on("strict pair", pair.strict());
        io.on("any", async |Data(_): Data<serde::de::IgnoredAny>| 0);
        io.on("args", async |Args(args): Args| args.len());
        io.on("raw", async |args: RawArgs| args.len());
        io.on("context", async |event: EventContext| event.args().len());
        io.on("own", async |Count(count): Count| count);
        io.on_error(async |error: Error| {
            let bad = error.downcast_ref::<ArgumentError>().unwrap();
            assert!(matches!(bad.cause(), ArgsErrorCause::Unexpected), "{error}");
            assert_eq!(
                error.to_string(),
                format!("event {:?}: argument {} is one too many", bad.event(), bad.index())
            );
            format!("extra {}", bad.index())
        });
        let (client, _) = connected(&io).await;
        for (event, lenient, extra) in [
            (r#"["one",7]"#, "7", None),
            (r#"["one",7,8]"#, "7", Some(1)),
            (r#"["unit"]"#, "0", None),
            (r#"["unit",null]"#, "0", Some(0)),
            (r#"["nothing"]"#, "0", None),
            (r#"["nothing",1]"#, "0", Some(0)),
            (r#"["pair",1]"#, "1", None),
            (r#"["pair",1,null]"#, "1", None),
            (r#"["pair",1,"b",[3],4]"#, "1", Some(2)),
            (r#"["both",1,2]"#, "1,2", None),
            (r#"["both",1,2,3]"#, "1,2", Some(2)),
            (r#"["any",1,2,3]"#, "0", None),
            (r#"["args",1,2,3]"#, "3", None),
            (r#"["raw",1,2,3]"#, "3", None),
            (r#"["context",1,2,3]"#, "3", None),
            (r#"["own",1,2,3]"#, "3", None),
        ] {
            let expected = match extra {
                Some(index) if strict => format!(r#"30["extra {index}"]"#),
                _ => format!("30[{lenient}]"),
            };
            assert_eq!(client.call(0, event).await, [expected], "{event} {strict}");
        }
        assert_eq!(client.call(0, r#"["strict pair",1,"b",[3],4]"#).await, [r#"30["extra 2"]"#]);
        assert_eq!(client.call(0, r#"["strict pair",1,"b"]"#).await, ["30[1]"]);
    }
}

/// F-ACK-02
#[tokio::test]
async fn what_a_handler_returns_is_the_acknowledgement() {
    let io = Server::new();
    io.on("unit", async || ());
    io.on("value", async || "v");
    io.on("pair", async || (1, "b"));
    io.on("one tuple", async || (1,));
    io.on("list", async || vec![1, 2]);
    io.on("array", async || [1, 2]);
    io.on("false", async || false);
    io.on("zero", async || 0);
    io.on("none", async || None::<u8>);
    io.on("ok", async || Ok::<_, Error>((1, 2)));
    io.on("ok unit", async || Ok::<_, Error>(()));
    io.on("ok text", async || Ok::<_, String>("fine"));
    io.on("bytes", async || Bytes::from_static(&[1, 2]));
    io.on("deep", async || json_with_blob());
    let (client, _) = connected(&io).await;
    for (event, answer) in [
        ("unit", "[]"),
        ("value", r#"["v"]"#),
        ("pair", r#"[1,"b"]"#),
        ("one tuple", "[1]"),
        ("list", "[[1,2]]"),
        ("array", "[[1,2]]"),
        ("false", "[false]"),
        ("zero", "[0]"),
        ("none", "[null]"),
        ("ok", "[1,2]"),
        ("ok unit", "[]"),
        ("ok text", r#"["fine"]"#),
    ] {
        assert_eq!(client.call(0, &format!(r#"["{event}"]"#)).await, [format!("30{answer}")], "{event}");
    }
    client.send(r#"27["bytes"]"#);
    assert_eq!(client.next_many(2).await, [r#"61-7[{"_placeholder":true,"num":0}]"#, "<0102>"]);
    client.send(r#"28["deep"]"#);
    let expected = [r#"61-8[{"x":0.0,"tags":["t"],"blob":{"_placeholder":true,"num":0}},[1,[2]]]"#, "<ff>"];
    assert_eq!(client.next_many(2).await, expected);
}

fn json_with_blob() -> (Point, (u8, [u8; 1])) {
    (Point { x: 0.0, tags: vec!["t".into()], blob: Some(Bytes::from_static(&[255])) }, (1, [2]))
}

/// F-ARG-05
#[tokio::test]
async fn binary_travels_at_any_depth_in_both_directions() {
    let io = Server::new();
    io.on("echo", async |Data((name, value)): Data<(String, Value)>| (name, value));
    io.on("typed", async |Data((point, blob)): Data<(Point, Bytes)>| {
        (point.blob.unwrap().len(), blob, point.tags)
    });
    io.on("push", async |socket: Socket, Args(args): Args| {
        let ask = socket.emit_with_ack::<(Bytes, Vec<Bytes>)>("back", &args[0]);
        let (first, rest) = ask.await?;
        Ok::<_, Error>((rest, first))
    });
    let (client, _) = connected(&io).await;
    client.send(
        r#"52-0["echo","n",{"a":[{"_placeholder":true,"num":1},1],"b":{"c":{"_placeholder":true,"num":0}}}]"#,
    );
    client.send_binary(&[1]);
    client.send_binary(&[]);
    let packets = client.next_many(3).await;
    // Numbered anew, in the order of the text.
    let text = r#"62-0["n",{"a":[{"_placeholder":true,"num":0},1],"b":{"c":{"_placeholder":true,"num":1}}}]"#;
    assert_eq!(packets, [text, "<>", "<01>"]);

    client.send(r#"52-1["typed",{"x":1,"tags":[],"blob":{"_placeholder":true,"num":1}},{"num":0,"_placeholder":true}]"#);
    client.send_binary(&[9]);
    client.send_binary(&[1, 2, 3]);
    assert_eq!(client.next_many(2).await, [r#"61-1[3,{"_placeholder":true,"num":0},[]]"#, "<09>"]);

    client.send(r#"51-2["push",{"_placeholder":true,"num":0}]"#);
    client.send_binary(&[7]);
    assert_eq!(client.next_many(2).await, [r#"51-0["back",{"_placeholder":true,"num":0}]"#, "<07>"]);
    client.send(r#"62-0[{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]"#);
    client.send_binary(&[4]);
    client.send_binary(&[5]);
    let expected = [
        r#"62-2[[{"_placeholder":true,"num":0}],{"_placeholder":true,"num":1}]"#.to_owned(),
        "<05>".into(),
        "<04>".into(),
    ];
    assert_eq!(client.next_many(3).await, expected);
}

/// R3: nothing is decoded that nobody asked for.
#[tokio::test]
async fn raw_arguments_are_the_bytes_that_came() {
    let io = Server::new();
    io.on("echo", async |socket: Socket, args: RawArgs, ack: wirebird::AckSender| {
        socket.emit_raw("back", &args).unwrap();
        ack.send_raw(&args).unwrap();
    });
    let (client, _) = connected(&io).await;
    for args in [
        "1",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"\u0061":"\u0062\/\n","":""}"#,
        r#""\ud800","\udc00x","\ud83d\ude80""#,
        "1e400,-1e-400,123456789012345678901234567890,0.1000000000000000055511151231257827,-0,1E+2",
        r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":99}"#,
        "[[[[[[[[]]]]]]]], { \"spaces\" : [ 1 , 2 ] }",
        "\"\u{2028}\u{feff}🚀\"",
    ] {
        let answer = client.call(0, &format!(r#"["echo",{args}]"#)).await;
        assert_eq!(answer, [format!(r#"2["back",{args}]"#), format!("30[{args}]")]);
    }
    client.send(r#"52-1["echo",{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}]"#);
    client.send_binary(&[1]);
    client.send_binary(&[2]);
    let args = r#"[{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}]"#;
    let expected = [
        format!(r#"52-["back",{}"#, &args[1..]),
        "<01>".into(),
        "<02>".into(),
        format!("62-1{args}"),
        "<01>".into(),
        "<02>".into(),
    ];
    assert_eq!(client.next_many(6).await, expected);
}

/// F-ARG-08
#[tokio::test]
async fn what_looks_like_a_placeholder_in_text_stays_data() {
    let io = Server::new();
    io.on("event", async |Data(value): Data<Value>| {
        assert!(value.as_object().is_some() && !value.has_binary());
        value
    });
    let (client, _) = connected(&io).await;
    for object in [r#"{"_placeholder":true,"num":9}"#, r#"{"_placeholder":true,"num":0}"#] {
        assert_eq!(client.call(0, &format!(r#"["event",{object}]"#)).await, [format!("30[{object}]")]);
    }
}

/// AB10, F-PRO-10: what cannot be put together ends the connection, and leaves nothing pending.
#[tokio::test]
async fn malformed_packets_close_and_poison_nothing() {
    static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let eleven: Vec<_> = (0..11).map(|n| format!(r#"{{"_placeholder":true,"num":{n}}}"#)).collect();
    let eleven = format!(r#"511-["e",{}]"#, eleven.join(","));
    let cases: [&[&str]; 22] = [
        &[&eleven],
        // Text while attachments are pending; binary without a header.
        &[r#"51-["e",{"_placeholder":true,"num":0}]"#, r#"2["e"]"#],
        &["<00>"],
        &[r#"51-["e",{"_placeholder":true,"num":0}]"#, "<00>", "<00>"],
        &[r#"50-["e"]"#],
        &[r#"51-["e"]"#, r#"2["e"]"#],
        &[r#"51-["e",{"_placeholder":true,"num":1}]"#],
        &[r#"52-["e",{"_placeholder":true,"num":0}]"#, "<00>", r#"2["e"]"#],
        &[r#"51-["e",{"_placeholder":true,"num":"0"}]"#],
        &[r#"51-["e",{"_placeholder":true,"num":-1}]"#],
        &["2"],
        &["2[]"],
        &["2{}"],
        &[r#"2["e"#],
        &[r#"2["e"]x"#],
        &[r#"2[null]"#],
        &["3[]"],
        &["30"],
        &[r#"1{"message":"no"}"#],
        &[r#"99999999999999999999["e"]"#],
        &["7"],
        &["x"],
    ];
    for case in cases {
        let io = Server::new();
        io.fallback(async |args: RawArgs| EVENTS.lock().push(args.json().to_owned()));
        let (client, _) = connected(&io).await;
        for packet in case {
            match packet.strip_prefix('<') {
                Some(_) => client.send_binary(&[0]),
                None => client.send(packet),
            }
        }
        settle().await;
        assert!(!client.is_open(), "{case:?}");
        let reason = client.conn.session().close_reason();
        assert_eq!(reason, Some(wirebird::engine::CloseReason::ParseError), "{case:?}");
        assert_eq!(io.socket_count(), 0);
    }
    let handled = std::mem::take(&mut *EVENTS.lock());
    assert_eq!(handled, [r#"{"_placeholder":true,"num":0}"#], "only the one whose attachment came");
}
