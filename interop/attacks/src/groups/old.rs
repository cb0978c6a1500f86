//! Clients of Engine.IO 3, and polling by script tags, where they are allowed.

use crate::case::{Answer, Case, Setup, raw};
use crate::target::Target;
use crate::wire::http::{get, post};
use crate::wire::ws::{BINARY, FIN, Ws, frame, text};
use crate::wire::{Outcome, Raw, ensure, fail};

const POLLING: &str = "/socket.io/?EIO=3&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=3&transport=websocket";
const JSONP: &str = "/socket.io/?EIO=4&transport=polling&j=0";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = bodies();
    cases.extend(scripts());
    cases.extend(websockets());
    cases.into_iter().map(|case| case.on(Setup::Old)).collect()
}

/// A session of version 3: a connection, and where its requests go.
fn open(target: &Target, path: &str) -> Outcome<(Raw, String)> {
    let mut raw = Raw::connect(target.addr)?;
    raw.send(get(path))?;
    let open = raw.response()?.expect(200)?.text().replace('\\', "");
    let Some(sid) = open.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next()) else {
        fail!("no OPEN: {open}")
    };
    Ok((raw, format!("{path}&sid={sid}")))
}

/// A body that is none: the session ends.
fn body(
    name: &'static str,
    does: &'static str,
    body: impl Into<Vec<u8>>,
    content_type: &'static str,
) -> Case {
    let body = body.into();
    Case::new(name, "Engine.IO 3 payloads", does, "400; the session ends", move |target| {
        let (mut raw, path) = open(target, POLLING)?;
        let length = body.len();
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: target\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"))?;
        raw.send(&body)?;
        raw.response()?.expect(400)?;
        is_over(target, &path)
    })
}

fn is_over(target: &Target, path: &str) -> Outcome {
    for _ in 0..3 {
        let mut raw = Raw::connect(target.addr)?;
        raw.send(get(path))?;
        let answer = raw.response()?;
        if answer.status == 400 {
            return Ok(());
        }
    }
    fail!("the session goes on")
}

fn bodies() -> Vec<Case> {
    let plain = |name, does, text: &str| body(name, does, text, "text/plain");
    let binary = |name, does, bytes: &[u8]| body(name, does, bytes, "application/octet-stream");
    vec![
        plain("old-length-beyond", "a packet longer than the body", "9:42"),
        plain("old-length-huge", "a length of 30 digits", &format!("{}:4", "9".repeat(30))),
        plain(
            "old-length-million-digits",
            "a length of 900,000 digits",
            &format!("{}:4", "1".repeat(900_000)),
        ),
        plain("old-length-negative", "a negative length", "-1:4"),
        plain("old-length-none", "a colon without a length", ":4"),
        plain("old-length-no-colon", "a length without a colon", "123"),
        plain("old-length-hexadecimal", "a hexadecimal length", "0x1:6"),
        plain("old-length-half-a-pair", "a length that cuts a surrogate pair", "2:4\u{1f600}"),
        plain("old-base64", "base64 that is none", "6:b4!!!!"),
        plain("old-newer", "a body of Engine.IO 4", "6\u{1e}6"),
        binary("old-binary-kind", "a packet that is neither text nor binary", &[7, 1, 0xff, b'6']),
        binary("old-binary-length", "a length of 40 digits", &[&[0][..], &[9; 40], &[0xff, b'6']].concat()),
        binary("old-binary-no-end", "a length that does not end", &[0, 1, 2, 3]),
        binary("old-binary-beyond", "a packet longer than the body", &[1, 9, 0xff, 4]),
        binary("old-binary-digit", "a digit beyond nine", &[0, 10, 0xff, b'6']),
    ]
}

fn scripts() -> Vec<Case> {
    let rule = "CWE-79";
    let callback = |name, does, callback: &str| {
        raw(name, rule, does, get(&JSONP.replace("j=0", &format!("j={callback}"))), Answer::Code(400, 3))
    };
    vec![
        callback("script-callback", "a script as the name of the callback", "alert(1)//"),
        callback("script-callback-tag", "a tag", "%3C/script%3E%3Cscript%3E"),
        callback("script-callback-line-end", "a line end", "0%0aalert(1)"),
        callback("script-callback-long", "10 digits", "1234567890"),
        callback("script-callback-empty", "nothing", ""),
        Case::new(
            "script-content",
            rule,
            "an answer that is shown as a page",
            "a script, and `nosniff`",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(get(JSONP))?;
                let answer = raw.response()?.expect(200)?;
                ensure!(answer.header("x-content-type-options") == Some("nosniff"), "no nosniff");
                ensure!(
                    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")),
                    "no script"
                );
                Ok(())
            },
        ),
        Case::new(
            "script-form-junk",
            "Engine.IO JSONP",
            "a form without its field",
            "400; the session ends",
            |target| {
                let (mut raw, path) = open(target, JSONP)?;
                raw.send(post(&path, "x=%zz&&&=%"))?;
                raw.response()?.expect(400)?;
                is_over(target, &path)
            },
        ),
        Case::new(
            "script-form-escapes",
            "CWE-400",
            "a form of 900,000 backslashes",
            "400; the session ends",
            |target| {
                let (mut raw, path) = open(target, JSONP)?;
                raw.send(post(&path, &format!("d={}", "\\".repeat(900_000))))?;
                raw.response()?.expect(400)?;
                is_over(target, &path)
            },
        ),
    ]
}

fn websockets() -> Vec<Case> {
    let closed = |name, does, bytes: Vec<u8>| {
        Case::new(name, "Engine.IO 3", does, "closed", move |target| {
            let (mut ws, _) = Ws::at(target.addr, WEBSOCKET, "")?;
            ws.raw.push(&bytes);
            ws.gone()
        })
    };
    vec![
        closed("old-silent", "a client that sends no pings", Vec::new()),
        closed("old-connect", "CONNECT to `/`, where it is already", text("40")),
        closed("old-frame-empty", "a binary frame without a type", frame(FIN | BINARY, b"")),
        closed("old-frame-type", "a binary frame of no type", frame(FIN | BINARY, &[9, 1, 2])),
        closed("old-name", "an event with a name of the server's own", text(r#"42["disconnect"]"#)),
        Case::new(
            "old-pings",
            "CVE-2019-9512 (kind)",
            "50,000 pings of the client's, whose pongs nobody reads",
            "borne",
            |target| {
                let (mut ws, _) = Ws::at(target.addr, WEBSOCKET, "")?;
                ws.raw.push(text("2").repeat(50_000));
                Ok(())
            },
        ),
        Case::new(
            "old-query",
            "CWE-400",
            "a query of 900,000 bytes behind a namespace",
            "refused, or closed",
            |target| {
                let (mut ws, _) = Ws::at(target.addr, WEBSOCKET, "")?;
                ws.raw.push(text(&format!("40/other?{},", "a=b&".repeat(225_000))));
                ws.until_message(|text| text.starts_with("44/other")).map(|_| ())
            },
        )
        .room(24 << 20),
    ]
}
