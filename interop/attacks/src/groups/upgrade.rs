//! The way from polling to WebSocket, taken in every wrong order. The session must go on where it was.

use std::time::Duration;

use crate::case::Case;
use crate::target::Target;
use crate::wire::http::{get, post};
use crate::wire::session::Polling;
use crate::wire::ws::{BINARY, FIN, MORE, PING, TARGET, TEXT, Ws, claiming, frame, request, text, unmasked};
use crate::wire::{Outcome, ensure};

const RULE: &str = "Engine.IO §2.7";

/// A session, and a WebSocket that wants to carry it.
fn candidate(target: &Target) -> Outcome<(Polling, Ws)> {
    let session = Polling::joined(target.addr)?;
    let (ws, _) = Ws::at(target.addr, &at(&session), "")?;
    Ok((session, ws))
}

fn at(session: &Polling) -> String {
    format!("{TARGET}&sid={}", session.sid)
}

/// A candidate after its probe.
fn probed(target: &Target) -> Outcome<(Polling, Ws)> {
    let (session, mut ws) = candidate(target)?;
    ws.say("2probe")?;
    ensure!(ws.message()? == "3probe", "no answer to the probe");
    Ok((session, ws))
}

/// A session that has moved.
fn upgraded(target: &Target) -> Outcome<(Polling, Ws)> {
    let (session, mut ws) = probed(target)?;
    ws.say("5")?;
    ws.echoes()?;
    Ok((session, ws))
}

/// What a candidate says first, which has to be its probe: it is closed, and the session goes on.
fn first(name: &'static str, does: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    let bytes = bytes.into();
    Case::new(name, RULE, does, "the WebSocket is closed; the session goes on", move |target| {
        let (session, mut ws) = candidate(target)?;
        ws.raw.push(&bytes);
        ws.gone()?;
        session.echoes()?;
        session.leave();
        Ok(())
    })
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        first("first-upgrade", "switches without a probe", text("5")),
        first("first-ping", "a ping that is no probe", text("2")),
        first("first-probe-longer", "a probe with more behind it", text("2probe!")),
        first("first-message", "an event in place of a probe", text(r#"42["echo",1]"#)),
        first("first-binary", "binary in place of a probe", frame(FIN | BINARY, b"2probe")),
        first("first-empty", "nothing in place of a probe", text("")),
        first("first-unmasked", "a probe without a mask", unmasked(FIN | TEXT, b"2probe")),
        first("first-too-large", "a frame that claims 2^62 bytes", claiming(FIN | TEXT, 1 << 62)),
        first("first-close", "a close", frame(FIN | 0x08, b"")),
        first(
            "first-fragment-then-text",
            "a fragment, then a message",
            [frame(MORE | TEXT, b"2pro"), text("2probe")].concat(),
        ),
        Case::new(
            "first-nothing",
            RULE,
            "a WebSocket that never says anything",
            "closed after `upgrade_timeout`; the session goes on",
            |target| {
                let (session, mut ws) = candidate(target)?;
                ws.gone()?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new(
            "first-fragments-slowly",
            RULE,
            "a probe in fragments that never end",
            "closed after `upgrade_timeout`; the session goes on",
            |target| {
                let (session, mut ws) = candidate(target)?;
                ws.raw.drip(&frame(MORE | TEXT, b"2"), 1, Duration::from_millis(10));
                ws.raw.drip(&frame(MORE, b"").repeat(20), 6, Duration::from_millis(80));
                ws.gone()?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new(
            "half-way",
            RULE,
            "a probe, and then nothing",
            "closed after `upgrade_timeout`; the session goes on",
            |target| {
                let (session, mut ws) = probed(target)?;
                ws.gone()?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new("half-way-gone", RULE, "goes away after its probe", "the session goes on", |target| {
            let (session, ws) = probed(target)?;
            drop(ws);
            crate::case::soon("the session to answer polls again", || Ok(session.echoes().is_ok()))?;
            session.leave();
            Ok(())
        }),
    ];
    cases.extend(orders());
    cases.extend(rivals());
    cases
}

fn orders() -> Vec<Case> {
    vec![
        Case::new("probe-twice", RULE, "probes twice", "two answers; the upgrade goes on", |target| {
            let (_, mut ws) = probed(target)?;
            ws.say("2probe")?;
            ensure!(ws.message()? == "3probe", "no answer");
            ws.say("5")?;
            ws.echoes()?;
            ws.leave();
            Ok(())
        }),
        Case::new(
            "probe-then-event",
            RULE,
            "an event between the probe and the switch",
            "passed over, never handled early",
            |target| {
                let (_, mut ws) = probed(target)?;
                ws.say(r#"42["echo","early"]"#)?;
                ws.say("5")?;
                ws.say(r#"42["echo","late"]"#)?;
                let first = ws.until_message(|text| text.contains("echo"))?;
                ensure!(first.contains("late"), "{first}");
                ws.leave();
                Ok(())
            },
        ),
        Case::new("switch-twice", RULE, "switches twice", "the second means nothing", |target| {
            let (_, mut ws) = upgraded(target)?;
            ws.say("5")?;
            ws.echoes()?;
            ws.leave();
            Ok(())
        }),
        Case::new(
            "probe-pings",
            "RFC 6455 §5.5.2",
            "10,000 pings of a candidate, whose pongs nobody reads",
            "closed after `upgrade_timeout`",
            |target| {
                let (session, mut ws) = candidate(target)?;
                ws.raw.push(frame(FIN | PING, &[0; 125]).repeat(10_000));
                ws.gone()?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new("poll-held", RULE, "a held poll is answered when the probe comes", "`6`", |target| {
            let session = Polling::joined(target.addr)?;
            let mut poll = session.another()?;
            poll.send(get(&session.target()))?;
            let (mut ws, _) = Ws::at(target.addr, &at(&session), "")?;
            ws.say("2probe")?;
            ensure!(poll.response()?.expect(200)?.text() == "6", "no noop");
            ws.message()?;
            ws.say("5")?;
            ws.echoes()?;
            ws.leave();
            Ok(())
        }),
        Case::new(
            "poll-after",
            RULE,
            "polls and posts on, after the switch",
            "400, code 3; the session goes on",
            |target| {
                let (session, mut ws) = upgraded(target)?;
                for request in [get(&session.target()), post(&session.target(), r#"42["echo","twice"]"#)] {
                    let mut raw = session.another()?;
                    raw.send(request)?;
                    let answer = raw.response()?.expect(400)?;
                    ensure!(answer.code() == Some(3), "{}", answer.text());
                }
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "post-under-way",
            RULE,
            "switches while a POST is still coming",
            "the WebSocket is closed; nothing is overtaken",
            |target| {
                let (session, mut ws) = probed(target)?;
                let _raw = session.begin_post("Content-Length: 2", "3")?;
                std::thread::sleep(Duration::from_millis(50));
                ws.say("5")?;
                ws.gone()?;
                Ok(())
            },
        ),
        Case::new(
            "poll-aborted-after",
            "CVE-2022-41940 (kind)",
            "a poll of before is aborted after the switch",
            "the session goes on",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut poll = session.another()?;
                poll.send(get(&session.target()))?;
                std::thread::sleep(Duration::from_millis(50));
                let (mut ws, _) = Ws::at(target.addr, &at(&session), "")?;
                ws.raw.send([text("2probe"), text("5")].concat())?;
                ws.until_message(|text| text == "3probe")?;
                ws.echoes()?;
                drop(poll);
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "close-meanwhile",
            RULE,
            "the session is closed by POST while it is probed",
            "both are closed",
            |target| {
                let (mut session, mut ws) = probed(target)?;
                session.post("1")?.expect(200)?;
                ws.gone()?;
                session.is_over()
            },
        ),
    ]
}

fn rivals() -> Vec<Case> {
    vec![
        Case::new("rival-unknown", RULE, "a session of nobody's", "400, code 1", |target| {
            let mut raw = crate::wire::Raw::connect(target.addr)?;
            raw.send(request(&format!("{TARGET}&sid=AAAAAAAAAAAAAAAAAAAA"), ""))?;
            let answer = raw.response()?.expect(400)?;
            ensure!(answer.code() == Some(1), "{}", answer.text());
            Ok(())
        }),
        Case::new(
            "rival-of-websocket",
            RULE,
            "a second WebSocket for a session that has one",
            "closed; the session goes on",
            |target| {
                let (session, mut ws) = upgraded(target)?;
                let (mut rival, _) = Ws::at(target.addr, &at(&session), "")?;
                rival.raw.push(text("2probe"));
                rival.gone()?;
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "rival-of-candidate",
            RULE,
            "a second candidate",
            "closed; the first one switches",
            |target| {
                let (session, mut ws) = probed(target)?;
                let (mut rival, _) = Ws::at(target.addr, &at(&session), "")?;
                rival.raw.push([text("2probe"), text("5")].concat());
                rival.gone()?;
                ws.say("5")?;
                ws.echoes()?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "rivals-100",
            RULE,
            "100 candidates at once",
            "all but one are closed; the session goes on",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut rivals = Vec::new();
                for _ in 0..100 {
                    let (mut ws, _) = Ws::at(target.addr, &at(&session), "")?;
                    ws.say("2probe")?;
                    rivals.push(ws);
                }
                let mut probed = 0;
                for rival in &mut rivals {
                    probed += usize::from(rival.message().is_ok());
                }
                ensure!(probed == 1, "{probed} were answered");
                drop(rivals);
                crate::case::soon("the session to answer polls again", || Ok(session.echoes().is_ok()))?;
                session.leave();
                Ok(())
            },
        ),
        Case::new(
            "rival-origin",
            "CVE-2019-13611",
            "a page of another origin that knows the session id",
            "400; the session goes on",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut raw = session.another()?;
                raw.send(request(&at(&session), "Origin: https://evil.example\r\n"))?;
                raw.response()?.expect(400)?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
    ]
}
