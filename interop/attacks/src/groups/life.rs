//! Joining, leaving and events, in orders that no client takes, and handlers that fail.

use crate::case::{Case, soon};
use crate::target::Target;
use crate::wire::session::Polling;
use crate::wire::ws::{Frame, Ws, text};
use crate::wire::{Outcome, ensure, fail};

const RULE: &str = "Socket.IO §4.1";

/// What a client says before it has joined anything: it is closed.
fn unjoined(name: &'static str, does: &'static str, message: &'static str) -> Case {
    Case::new(name, RULE, does, "closed", move |target| {
        let mut ws = Ws::open(target.addr)?;
        ws.say(message)?;
        ws.gone()
    })
}

/// What a client that has joined asks for: it is refused in these words, and its session goes on.
fn refused(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    namespace: impl Into<String>,
    why: &'static str,
) -> Case {
    let namespace = namespace.into();
    Case::new(name, rule, does, format!("`{why}`; the session goes on"), move |target| {
        let mut ws = Ws::joined(target.addr)?;
        ws.say(&format!("40{namespace}"))?;
        let answer = ws.message()?;
        ensure!(answer.starts_with("44") && answer.contains(why), "{answer}");
        ws.echoes()?;
        ws.leave();
        Ok(())
    })
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        unjoined("event-before-connect", "an event of a client that has joined nothing", r#"42["echo"]"#),
        unjoined("ack-before-connect", "an answer of such a client", "431[]"),
        unjoined("disconnect-before-connect", "a disconnect of such a client", "41"),
        unjoined(
            "event-elsewhere",
            "an event for a namespace that is there, of such a client",
            r#"42/other,["echo"]"#,
        ),
        refused(
            "namespace-unknown",
            "CVE-2024-38355 (kind)",
            "a namespace that is not there",
            "/nobody,",
            "Invalid namespace",
        ),
        refused(
            "namespace-long",
            "CWE-400",
            "a name of 100,000 letters",
            format!("/{},", "n".repeat(100_000)),
            "Invalid namespace",
        ),
        refused(
            "namespace-control",
            "CWE-117 (forged logs)",
            "a name with a line end",
            "/a\nb,",
            "Invalid namespace",
        ),
        refused(
            "namespace-prototype",
            "CVE-2022-2421 (kind)",
            "a namespace named `__proto__`",
            "/__proto__,",
            "Invalid namespace",
        ),
        refused("namespace-refuses", RULE, "a namespace whose handler says no", "/no,", "no"),
        refused(
            "auth-large",
            "CWE-400",
            "credentials of 900,000 bytes",
            format!(r#"/other,{{"token":"{}"}}"#, "t".repeat(900_000)),
            "too large",
        ),
        Case::new(
            "namespaces-200",
            "CWE-400",
            "joins 200 namespaces that clients make",
            "no more than 50 are made, and they are gone with it",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let all: Vec<u8> = (0..200).flat_map(|n| text(&format!("40/room-{n},"))).collect();
                ws.raw.send(all)?;
                let (mut joined, mut refused) = (0, 0);
                while joined + refused < 200 {
                    match ws.message()? {
                        answer if answer.starts_with("40") => joined += 1,
                        answer if answer.starts_with("44") => refused += 1,
                        other => fail!("{other}"),
                    }
                }
                ensure!(joined <= 50, "{joined} were made");
                ws.leave();
                Ok(())
            },
        ),
    ];
    cases.extend(orders());
    cases.extend(spoofs());
    cases
}

fn orders() -> Vec<Case> {
    vec![
        Case::new(
            "event-while-connecting",
            "CWE-696",
            "an event while its connect handler still runs",
            "handled after it",
            |target| {
                let mut ws = Ws::open(target.addr)?;
                ws.raw.send([text("40/slow,"), text(r#"42/slow,1["nobody"]"#)].concat())?;
                let first = ws.message()?;
                ensure!(first.starts_with("40/slow,"), "{first}");
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "event-after-refusal",
            "CWE-696",
            "events for a namespace that is about to refuse",
            "never handled",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.raw.send([text("40/no,"), text(r#"42/no,1["echo","in"]"#)].concat())?;
                loop {
                    match ws.next()? {
                        Frame::Text(text) => {
                            ensure!(!text.contains("echo") && !text.starts_with("43"), "{text}")
                        }
                        Frame::Close(_) | Frame::End => return Ok(()),
                        _ => {}
                    }
                    if ws.echoes().is_ok() {
                        ws.leave();
                        return Ok(());
                    }
                }
            },
        ),
        Case::new(
            "leave-while-connecting",
            RULE,
            "leaves while its connect handler still runs",
            "nothing is left",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.raw.send([text("40/slow,"), text("41/slow,")].concat().repeat(20))?;
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "gone-while-connecting",
            RULE,
            "50 clients go while their connect handlers run",
            "nothing is left",
            |target| {
                for _ in 0..50 {
                    let mut ws = Ws::open(target.addr)?;
                    ws.say("40/slow,")?;
                }
                Ok(())
            },
        ),
        Case::new(
            "join-and-leave-2000",
            RULE,
            "joins and leaves 2,000 times",
            "as many connect as disconnect handlers",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let before = target.state()?.connects;
                for _ in 0..200 {
                    ws.raw.send([text("41"), text("40")].concat().repeat(10))?;
                    for _ in 0..10 {
                        ws.until_message(|text| text.starts_with("40{"))?;
                    }
                }
                ws.echoes()?;
                ensure!(target.state()?.connects == before + 2_000, "not all were handled");
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "nothing-joined",
            "CWE-400, Node's connectTimeout",
            "a WebSocket that joins nothing",
            "closed after `connect_timeout`",
            |target| Ws::open(target.addr)?.gone(),
        ),
        Case::new(
            "nothing-joined-polling",
            "CWE-400, Node's connectTimeout",
            "a session on polling that joins nothing",
            "ends after `connect_timeout`",
            |target| {
                let session = Polling::open(target.addr)?;
                soon("the session to end", || Ok(session.is_over().is_ok()))
            },
        ),
        Case::new("answers-twice", RULE, "answers a question twice", "the second is passed over", |target| {
            let mut ws = Ws::joined(target.addr)?;
            ws.say(r#"42["ask",1]"#)?;
            let question = ws.until_message(|text| text.contains("question"))?;
            let id: String = question.chars().skip(2).take_while(char::is_ascii_digit).collect();
            ws.raw.send(text(&format!("43{id}[1]")).repeat(2))?;
            ws.echoes()?;
            ws.leave();
            Ok(())
        }),
        Case::new(
            "handler-panics",
            "CWE-248",
            "an event whose handler panics, 100 times",
            "no answer; the session goes on",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.raw.send(text(r#"42["panic"]"#).repeat(100))?;
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "handler-fails",
            "CWE-248",
            "an event whose handler fails, 100 times",
            "no answer; the session goes on",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.raw.send(text(r#"42["fail"]"#).repeat(100))?;
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
    ]
}

/// That no handler for connecting or disconnecting has run for what is sent.
fn spoof(target: &Target, packets: &[u8]) -> Outcome {
    let mut ws = Ws::joined(target.addr)?;
    soon("the connect handler", || {
        let state = target.state()?;
        Ok(state.connects == state.disconnects + state.sockets)
    })?;
    let before = target.state()?;
    ws.raw.push(packets);
    ws.gone()?;
    soon("the socket to go", || Ok(target.state()?.disconnects > before.disconnects))?;
    let after = target.state()?;
    ensure!(after.connects == before.connects, "a connect handler has run");
    ensure!(after.disconnects == before.disconnects + 1, "a disconnect handler has run twice");
    Ok(())
}

fn spoofs() -> Vec<Case> {
    let rule = "CVE-2024-38355, reserved names";
    vec![
        Case::new(
            "spoofed-connect",
            rule,
            "an event named `connect`",
            "closed; no connect handler runs",
            |target| spoof(target, &text(r#"42["connect",{"admin":true}]"#)),
        ),
        Case::new(
            "spoofed-disconnect",
            rule,
            "an event named `disconnect`",
            "closed; the disconnect handler runs once",
            |target| spoof(target, &text(r#"42["disconnect","io server disconnect"]"#)),
        ),
        Case::new(
            "session-of-socket-id",
            "CWE-639",
            "a socket's id, which others see, as a session id",
            "400, code 1",
            |target| {
                let mut ws = Ws::open(target.addr)?;
                ws.say("40")?;
                let connected = ws.message()?;
                let id = connected.split('"').nth(3).unwrap_or_default().to_owned();
                let mut raw = crate::wire::Raw::connect(target.addr)?;
                raw.send(crate::wire::http::post(
                    &format!("{}&sid={id}", crate::wire::session::POLLING),
                    r#"42["echo"]"#,
                ))?;
                let answer = raw.response()?.expect(400)?;
                ensure!(answer.code() == Some(1), "{}", answer.text());
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
    ]
}
