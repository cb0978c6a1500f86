//! Socket.IO packets that are none, over a WebSocket that has joined `/`.

use crate::case::Reply::{Gone, Nothing, Says};
use crate::case::{Case, message, ws};
use crate::wire::ws::{BINARY, FIN, Ws, frame, text};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = types();
    cases.extend(names());
    cases.extend(json());
    cases.extend(acks());
    cases.extend(attachments());
    cases.extend(placeholders());
    cases
}

fn types() -> Vec<Case> {
    let rule = "Socket.IO §4";
    let refused = |name, does, text: &str| message(name, rule, does, text, Gone);
    vec![
        refused("type-7", "a type of nobody's", "47"),
        refused("type-letter", "a letter", "4a"),
        refused("type-negative", "a sign", "4-1"),
        refused("event-nothing", "an event without its array", "42"),
        refused("event-object", "an event whose payload is an object", r#"42{"0":"echo"}"#),
        refused("event-string", "an event whose payload is a string", r#"42"echo""#),
        refused("event-empty", "an event without a name", "42[]"),
        refused("disconnect-payload", "a disconnect that says something", r#"41{"a":1}"#),
        refused("connect-error", "a refusal, which is the server's to send", r#"44{"message":"no"}"#),
        refused("connect-twice", "joins where it is", "40"),
        refused("connect-array", "an array as credentials", "40/other,[]"),
        refused("connect-string", "a string as credentials", r#"40/other,"token""#),
        refused("connect-id", "an id on a CONNECT", "40/other,1{}"),
    ]
}

fn names() -> Vec<Case> {
    let shape = "CVE-2023-32695, CVE-2024-38355";
    let reserved = "CVE-2024-38355, reserved names";
    let mut cases: Vec<_> = [
        ("name-null", "null as a name", "42[null]"),
        ("name-object", "an object as a name", r#"42[{"toString":"foo"}]"#),
        ("name-array", "an array as a name", r#"42[["echo"]]"#),
        ("name-boolean", "true as a name", "42[true]"),
    ]
    .map(|(name, does, text)| message(name, shape, does, text, Gone))
    .into();
    cases.extend(
        [
            ("name-connect", r#"42["connect"]"#),
            ("name-connect-error", r#"42["connect_error",{}]"#),
            ("name-disconnect", r#"42["disconnect","transport close"]"#),
            ("name-disconnecting", r#"42["disconnecting"]"#),
            ("name-new-listener", r#"42["newListener"]"#),
            ("name-remove-listener", r#"42["removeListener"]"#),
            ("name-escaped", r#"42["\u0064isconnect"]"#),
        ]
        .map(|(name, text)| message(name, reserved, "an event with a name of the server's own", text, Gone)),
    );
    cases.push(message(
        "name-prototype",
        "CVE-2022-2421 (kind)",
        "an event named `__proto__`",
        r#"427["__proto__",1]"#,
        Nothing,
    ));
    cases.push(message(
        "name-error",
        "CVE-2024-38355",
        "an event named `error`, which kills a process of Node",
        r#"42["error"]"#,
        Nothing,
    ));
    cases.push(message(
        "name-long",
        "CWE-400",
        "a name of 900,000 letters, of which 1,024 are allowed",
        format!(r#"42["{}"]"#, "n".repeat(900_000)),
        Gone,
    ));
    cases
}

fn json() -> Vec<Case> {
    let rule = "RFC 8259";
    let refused = |name, does, text: &str| message(name, rule, does, text, Gone);
    let echoed = |name, rule, does, text: &'static str| message(name, rule, does, text, Says(text));
    vec![
        refused("json-cut", "an array that does not end", r#"42["echo""#),
        refused("json-more", "something behind the array", r#"42["echo"]x"#),
        refused("json-two", "two arrays", r#"42["echo"]["echo"]"#),
        refused("json-nan", "NaN", r#"42["echo",NaN]"#),
        refused("json-infinity", "Infinity", r#"42["echo",-Infinity]"#),
        refused("json-comma", "a comma at the end", r#"42["echo",]"#),
        refused("json-quotes", "single quotes", "42['echo']"),
        refused("json-control", "a control character in a string", "42[\"echo\",\"\n\"]"),
        refused("json-escape", "an escape of nobody's", r#"42["echo","\x41"]"#),
        refused("json-zeros", "a number with a zero in front", r#"42["echo",01]"#),
        message(
            "json-depth-65",
            "CWE-674",
            "65 levels, of which 64 are allowed",
            format!(r#"42["echo",{}{}]"#, "[".repeat(64), "]".repeat(64)),
            Gone,
        ),
        message(
            "json-depth-400000",
            "CWE-674",
            "400,000 levels",
            format!("42[\"echo\",{}", "[".repeat(400_000)),
            Gone,
        ),
        message(
            "json-depth-objects",
            "CWE-674",
            "100,000 objects in each other",
            format!("42[\"echo\",{}", "{\"a\":".repeat(100_000)),
            Gone,
        ),
        message(
            "arguments-10001",
            "CWE-770, `max_arguments`",
            "10,001 arguments, of which 10,000 are allowed",
            format!(r#"42["nobody"{}]"#, ",0".repeat(10_001)),
            Gone,
        ),
        message(
            "json-array-long",
            "CWE-400",
            "an array of 450,000 numbers",
            format!(r#"42["nobody",[0{}]]"#, ",0".repeat(450_000)),
            Nothing,
        )
        .room(40 << 20),
        message(
            "json-keys",
            "CWE-407 (colliding keys)",
            "60,000 keys that are alike",
            format!(r#"42["nobody",{{{}}}]"#, vec![r#""aaaaaaaa":0"#; 60_000].join(",")),
            Nothing,
        )
        .room(40 << 20),
        message(
            "json-number-long",
            "CWE-400",
            "a number of 900,000 digits",
            format!(r#"42["nobody",{}]"#, "9".repeat(900_000)),
            Nothing,
        )
        .room(24 << 20),
        message("json-number-large", rule, "a number beyond any float", r#"42["nobody",1e999]"#, Nothing),
        echoed(
            "json-prototype",
            "CWE-1321 (prototype pollution)",
            "`__proto__` is a key like others",
            r#"42["echo",{"__proto__":{"admin":true},"constructor":1}]"#,
        ),
        echoed("json-surrogate", rule, "half of an escaped surrogate pair", r#"42["echo","\ud800"]"#),
        echoed("json-nul", rule, "an escaped NUL", r#"42["echo","\u0000"]"#),
    ]
}

fn acks() -> Vec<Case> {
    let rule = "Socket.IO §4, ack ids";
    let refused = |name, does, text: &str| message(name, rule, does, text, Gone);
    vec![
        refused("ack-no-id", "an acknowledgement of nothing", "43[]"),
        refused("ack-no-array", "an acknowledgement that is an object", "431{}"),
        refused("ack-id-large", "an id beyond 2^53", r#"429007199254740993["echo"]"#),
        refused("ack-id-long", "an id of 5,000 digits", &format!(r#"42{}["echo"]"#, "9".repeat(5_000))),
        refused("ack-id-negative", "a negative id", r#"42-1["echo"]"#),
        message(
            "ack-unknown",
            "CVE-2020-36049 (kind)",
            "an answer to a question that was not asked",
            "4312345[1]",
            Nothing,
        ),
        ws(
            "ack-unknown-binary",
            rule,
            "the same, with an attachment",
            [text(r#"461-12345[{"_placeholder":true,"num":0}]"#), frame(FIN | BINARY, &[1])].concat(),
            Nothing,
        ),
        ws(
            "acks-50000",
            "CWE-400",
            "50,000 answers to questions that were not asked",
            (0..50_000).flat_map(|n| text(&format!("43{n}[]"))).collect::<Vec<_>>(),
            Nothing,
        ),
    ]
}

fn attachments() -> Vec<Case> {
    let rule = "CVE-2026-33151, CVE-2026-48804";
    let syntax = "CVE-2020-36049, Socket.IO §4.3";
    let refused = |name, rule, does, text: &str| message(name, rule, does, text, Gone);
    let one = r#"451-["echo",{"_placeholder":true,"num":0}]"#;
    vec![
        refused("attachments-11", rule, "11 attachments, of which 10 are allowed", r#"4511-["echo"]"#),
        refused(
            "attachments-9999999",
            rule,
            "as many attachments as seven digits say",
            r#"459999999-["echo"]"#,
        ),
        refused(
            "attachments-many-digits",
            "CVE-2020-36049",
            "a number of attachments of 100,000 digits",
            &format!(r#"45{}-["echo"]"#, "1".repeat(100_000)),
        ),
        refused("attachments-0", "CVE-2026-69185", "a binary event without attachments", r#"450-["echo"]"#),
        refused("attachments-negative", syntax, "a negative number of attachments", r#"45-1-["echo"]"#),
        refused("attachments-no-dash", syntax, "a number of attachments without a dash", r#"451["echo"]"#),
        refused("attachments-no-number", syntax, "a dash without a number", r#"45-["echo"]"#),
        refused("attachments-fraction", syntax, "one and a half attachments", r#"451.5-["echo"]"#),
        refused("attachments-of-event", syntax, "attachments of a plain event", r#"421-["echo"]"#),
        ws(
            "attachments-text-between",
            "CVE-2023-32695",
            "text where an attachment has to come",
            [text(one), text(r#"42["echo"]"#)].concat(),
            Gone,
        ),
        ws(
            "attachments-one-more",
            "CVE-2026-48804",
            "one attachment more than announced",
            [text(one), frame(FIN | BINARY, &[1]), frame(FIN | BINARY, &[2])].concat(),
            Gone,
        ),
        Case::new(
            "attachments-never",
            "CVE-2026-48804",
            "nine attachments of ten, and then none",
            "closed after `attachments_timeout`",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.say(r#"4510-["echo"]"#)?;
                for _ in 0..9 {
                    ws.raw.send(frame(FIN | BINARY, &vec![0; 900_000]))?;
                }
                ws.gone()
            },
        )
        .room(24 << 20),
        ws(
            "attachments-largest",
            rule,
            "10 attachments of 1 MB",
            [
                text(&format!(
                    r#"4510-["nobody",{}]"#,
                    (0..10)
                        .map(|n| format!(r#"{{"_placeholder":true,"num":{n}}}"#))
                        .collect::<Vec<_>>()
                        .join(",")
                )),
                (0..10).flat_map(|_| frame(FIN | BINARY, &vec![0; 1_000_000])).collect(),
            ]
            .concat(),
            Nothing,
        )
        .room(64 << 20),
    ]
}

fn placeholders() -> Vec<Case> {
    let rule = "CVE-2022-2421";
    let refused = |name, does, number: &str| {
        let event = format!(r#"451-["echo",{{"_placeholder":true,"num":{number}}}]"#);
        ws(name, rule, does, [text(&event), frame(FIN | BINARY, &[1])].concat(), Gone)
    };
    vec![
        refused("placeholder-string", "the name of a method of arrays as a number", r#""splice""#),
        refused("placeholder-length", "`length` as a number", r#""length""#),
        refused("placeholder-digit-string", "a number in quotes", r#""0""#),
        refused("placeholder-beyond", "a number that is not there", "1"),
        refused("placeholder-negative", "a negative number", "-1"),
        refused("placeholder-fraction", "half a number", "0.5"),
        refused("placeholder-null", "null as a number", "null"),
        refused("placeholder-object", "an object as a number", "{}"),
        refused("placeholder-huge", "a number beyond 64 bits", "18446744073709551616"),
        ws(
            "placeholder-twice",
            "CWE-409",
            "an attachment that is referred to twice",
            [
                text(r#"451-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#),
                frame(FIN | BINARY, &[1]),
            ]
            .concat(),
            Gone,
        ),
        ws(
            "placeholder-none",
            rule,
            "an attachment that nobody refers to",
            [text(r#"451-["echo"]"#), frame(FIN | BINARY, &[1])].concat(),
            Nothing,
        ),
        message(
            "placeholder-of-text",
            rule,
            "a placeholder in an event of text is an object like others",
            r#"42["echo",{"_placeholder":true,"num":0}]"#,
            Says(r#"42["echo",{"_placeholder":true,"num":0}]"#),
        ),
    ]
}
