//! Engine.IO packets that are none, or that nobody expects, over polling and over WebSocket.

use crate::case::Answer::Status;
use crate::case::Reply::{Gone, Nothing};
use crate::case::{Case, Then, body, message, ws};
use crate::wire::ensure;
use crate::wire::session::Polling;
use crate::wire::ws::{BINARY, FIN, Ws, frame};

/// What separates the packets of a body.
const NEXT: &str = "\u{1e}";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = bodies();
    cases.extend(messages());
    cases.extend(heartbeats());
    cases
}

fn bodies() -> Vec<Case> {
    let rule = "Engine.IO §2.4";
    let refused = |name, does, text: &str| body(name, rule, does, text, Status(400), Then::Ends);
    let ignored = |name, does, text: &str| body(name, rule, does, text, Status(200), Then::GoesOn);
    vec![
        refused("packet-empty", "nothing but a separator", NEXT),
        refused("packet-empty-last", "an empty packet behind another", &format!("3{NEXT}")),
        refused("packet-unknown", "a type of nobody's", "9"),
        refused("packet-letter", "a letter", "hello"),
        refused("packet-base64-junk", "binary that is not base64", "b!!!!"),
        refused("packet-base64-cut", "base64 without its padding", "bAQ"),
        refused("packet-form", "a form, as of polling by script tags", "d=3"),
        body(
            "packet-length",
            rule,
            "a body of Engine.IO 3: a close, as it is read",
            "1:3",
            Status(200),
            Then::Ends,
        ),
        ignored("packet-open", "a client that opens", r#"0{"sid":"AAAAAAAAAAAAAAAAAAAA"}"#),
        ignored("packet-upgrade", "an upgrade that was not probed", "5"),
        ignored("packet-noop", "a noop", "6"),
        ignored("packet-pong-probe", "the server's answer to a probe", "3probe"),
        body("packet-ping", rule, "a ping, which is the server's to send", "2", Status(200), Then::Ends),
        body("packet-close", rule, "a close", "1", Status(200), Then::Ends),
        body(
            "packet-close-and-more",
            rule,
            "events behind a close are not handled",
            format!(r#"1{NEXT}42["echo"]"#),
            Status(200),
            Then::Ends,
        ),
        body(
            "packet-binary-unasked",
            "CVE-2023-32695 (kind)",
            "binary that no packet has announced",
            "bAQID",
            Status(200),
            Then::Ends,
        ),
        body(
            "packets-500000",
            "CWE-400",
            "half a million noops in one body",
            ["6"; 500_000].join(NEXT),
            Status(200),
            Then::GoesOn,
        ),
        body(
            "packets-pongs-300000",
            "CVE-2026-48802",
            "300,000 pongs in one body",
            ["3"; 300_000].join(NEXT),
            Status(200),
            Then::GoesOn,
        ),
        Case::new("packet-not-utf8", rule, "a body that is not UTF-8", "400; the session ends", |target| {
            let session = Polling::joined(target.addr)?;
            let mut raw = session.begin_post("Content-Length: 3", "")?;
            raw.send([b'4', 0xff, 0xfe])?;
            raw.response()?.expect(400)?;
            session.is_over()
        }),
    ]
}

fn messages() -> Vec<Case> {
    let rule = "Engine.IO §2.4";
    vec![
        message("message-unknown", rule, "a type of nobody's", "9", Gone),
        message("message-letter", rule, "a letter", "hello", Gone),
        message("message-base64-junk", rule, "binary that is not base64, as text", "b!!!!", Gone),
        message("message-ping", rule, "a ping, which is the server's to send", "2", Gone),
        message("message-close", rule, "a close", "1", Gone),
        message("message-open", rule, "a client that opens", "0{}", Nothing),
        message("message-upgrade", rule, "an upgrade of what is a WebSocket", "5", Nothing),
        message("message-noop", rule, "a noop", "6", Nothing),
        message("message-pong-probe", rule, "the server's answer to a probe", "3probe", Nothing),
        message("message-separator", rule, "two packets in one frame are none", "6\u{1e}6", Nothing),
        message("message-empty", "CVE-2024-38355 (kind)", "a message without anything", "4", Gone),
        ws("message-binary-empty", rule, "an empty binary frame", frame(FIN | BINARY, b""), Gone),
        ws(
            "message-binary-unasked",
            "CVE-2023-32695 (kind)",
            "binary that no packet has announced",
            frame(FIN | BINARY, &[1, 2, 3]),
            Gone,
        ),
        ws(
            "message-binary-old",
            "Engine.IO 3",
            "a binary frame with a type byte",
            frame(FIN | BINARY, &[4, 1, 2, 3]),
            Gone,
        ),
    ]
}

fn heartbeats() -> Vec<Case> {
    let rule = "Engine.IO §2.6";
    vec![
        Case::new(
            "heartbeat-silent-websocket",
            rule,
            "a WebSocket that answers no ping",
            "closed after the ping's time",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.ponging = false;
                ws.gone()
            },
        ),
        Case::new(
            "heartbeat-silent-polling",
            rule,
            "polls, and answers no ping",
            "the session ends",
            |target| {
                let mut session = Polling::joined(target.addr)?;
                for _ in 0..5 {
                    let answer = session.poll()?;
                    if answer.status == 400 || answer.text() != "2" {
                        return session.is_over();
                    }
                }
                Err(crate::wire::Fail("it goes on without pongs".into()))
            },
        ),
        Case::new(
            "heartbeat-only-pongs",
            rule,
            "pongs before any ping keep nobody alive for ever",
            "the session goes on as long as pings are answered",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                for _ in 0..1_000 {
                    ws.say("3")?;
                }
                ws.echoes()?;
                ws.ponging = false;
                ws.gone()
            },
        ),
        Case::new(
            "heartbeat-events-only",
            rule,
            "events are no pongs",
            "closed after the ping's time",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.ponging = false;
                for _ in 0..100 {
                    if !ws.raw.push(crate::wire::ws::text(r#"42["echo",1]"#)) {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(30));
                }
                ensure!(ws.gone().is_ok(), "it goes on without pongs");
                Ok(())
            },
        ),
    ]
}
