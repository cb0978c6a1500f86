//! Whatever a client can make the server keep: it is bounded, and gone with the client.

use std::collections::HashSet;
use std::time::Duration;

use crate::case::{Case, Setup, Way, soon};
use crate::target::Target;
use crate::wire::http::get;
use crate::wire::session::{POLLING, Polling};
use crate::wire::ws::{CLOSE, FIN, TARGET, Ws, frame, text};
use crate::wire::{Outcome, Raw, ensure};

const RULE: &str = "CWE-400";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = connections();
    cases.extend(tight());
    cases.extend(readers());
    cases.extend(applications());
    cases
}

fn connections() -> Vec<Case> {
    vec![
        Case::new(
            "come-and-go-websockets",
            RULE,
            "5,000 WebSockets join and go, long before their timers",
            "nothing is left of them",
            |target| {
                for _ in 0..5_000 {
                    let mut ws = Ws::joined(target.addr)?;
                    ws.raw.push(frame(FIN | CLOSE, &[]));
                }
                Ok(())
            },
        )
        .on(Setup::Default),
        Case::new(
            "come-and-go-polling",
            RULE,
            "3,000 sessions on polling join and go, long before their timers",
            "nothing is left of them",
            |target| {
                for _ in 0..3_000 {
                    Polling::joined(target.addr)?.leave();
                }
                Ok(())
            },
        )
        .on(Setup::Default),
        Case::new(
            "ids-guessed",
            "CVE-2017-16031",
            "500 session ids: is any like another?",
            "no two share 6 letters at one place",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                let mut seen = HashSet::new();
                for _ in 0..500 {
                    raw.send(get(POLLING))?;
                    let open = raw.response()?.expect(200)?.text();
                    let id = open.split('"').nth(3).unwrap_or_default().to_owned();
                    ensure!(id.len() == 20, "{id}");
                    // The last 4 letters count, so that no id comes twice.
                    for at in 0..=10 {
                        ensure!(seen.insert((at, id[at..at + 6].to_owned())), "{id} is like another");
                    }
                }
                Ok(())
            },
        ),
        Case::new(
            "connections-silent",
            RULE,
            "800 connections that say nothing",
            "others are served",
            |target| {
                let silent = (0..800).map(|_| Raw::connect(target.addr)).collect::<Outcome<Vec<_>>>()?;
                Ws::joined(target.addr)?.echoes()?;
                drop(silent);
                Ok(())
            },
        ),
        Case::new(
            "connections-half-a-head",
            RULE,
            "500 connections with half of a request",
            "others are served",
            |target| {
                let mut half = (0..500).map(|_| Raw::connect(target.addr)).collect::<Outcome<Vec<_>>>()?;
                for raw in &mut half {
                    raw.send(&get(POLLING)[..60])?;
                }
                Ws::joined(target.addr)?.echoes()?;
                drop(half);
                Ok(())
            },
        )
        .room(32 << 20),
        Case::new(
            "handshakes-abandoned",
            "CWE-400, Node's connectTimeout",
            "1,000 sessions that nobody comes back to",
            "they are gone after `connect_timeout`",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                for _ in 0..1_000 {
                    raw.send(get(POLLING))?;
                    raw.response()?.expect(200)?;
                }
                drop(raw);
                soon("the sessions to go", || Ok(target.state()?.sessions <= 2))
            },
        ),
        Case::new(
            "polling-left",
            RULE,
            "200 joined sessions on polling that do not poll any more",
            "they are gone with their heartbeats",
            |target| {
                for _ in 0..200 {
                    Polling::joined(target.addr)?;
                }
                soon("the sessions to go", || Ok(target.state()?.sessions <= 2))
            },
        ),
        Case::new(
            "upgrades-half",
            RULE,
            "200 upgrades that end after the probe",
            "closed after `upgrade_timeout`",
            |target| {
                let mut half = Vec::new();
                for _ in 0..200 {
                    let session = Polling::open(target.addr)?;
                    let (mut ws, _) = Ws::at(target.addr, &format!("{TARGET}&sid={}", session.sid), "")?;
                    ws.say("2probe")?;
                    half.push((session, ws));
                }
                for (_, ws) in &mut half {
                    ws.gone()?;
                }
                Ok(())
            },
        ),
        Case::new(
            "websockets-reset",
            "CVE-2022-41940",
            "300 WebSockets that are reset with data under way",
            "nothing is left",
            |target| {
                for _ in 0..300 {
                    let mut ws = Ws::joined(target.addr)?;
                    // What is not read when a socket closes makes it a reset.
                    ws.raw.send(text(r#"42["flood",10,1000]"#))?;
                }
                Ok(())
            },
        ),
        Case::new(
            "handshakes-torn",
            RULE,
            "300 WebSocket requests whose answers are not awaited",
            "nothing is left",
            |target| {
                for _ in 0..300 {
                    Raw::connect(target.addr)?.send(crate::wire::ws::request(TARGET, ""))?;
                }
                Ok(())
            },
        ),
    ]
}

/// Where few clients of one address are let in, and few in a second.
fn tight() -> Vec<Case> {
    let tight = |case: Case| case.on(Setup::Tight);
    vec![
        tight(Case::new(
            "address-sessions",
            "`max_connections_per_address`",
            "40 sessions of one address, of which 30 are allowed",
            "429 beyond",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                let mut refused = 0;
                for _ in 0..40 {
                    raw.send(get(POLLING))?;
                    let status = raw.response()?.status;
                    ensure!(matches!(status, 200 | 429), "{status}");
                    refused += usize::from(status == 429);
                }
                ensure!(refused >= 10, "{refused} were refused");
                drop(raw);
                soon("the sessions to go", || Ok(target.state()?.sessions <= 2))
            },
        )),
        tight(
            Case::new(
                "address-connections",
                "`max_connections_per_address`",
                "60 connections of one address",
                "those beyond 30 are closed at once",
                |target| {
                    let mut all = (0..60).map(|_| Raw::connect(target.addr)).collect::<Outcome<Vec<_>>>()?;
                    let open = all
                        .iter_mut()
                        .filter_map(|raw| raw.stays_open(Duration::from_millis(5)).then_some(()))
                        .count();
                    ensure!(open <= 30, "{open} are open");
                    Ok(())
                },
            )
            .only(Way::Own),
        ),
        tight(Case::new(
            "handshakes-in-a-second",
            "`handshake_rate`",
            "as many handshakes as it can make",
            "429, with `Retry-After`",
            |target| {
                let mut refused = None;
                for _ in 0..2_000 {
                    let mut raw = Raw::connect(target.addr)?;
                    raw.send(get(POLLING))?;
                    let answer = raw.response()?;
                    if answer.status == 429 {
                        refused = Some(answer);
                        break;
                    }
                    let open = answer.expect(200)?.text();
                    let id = open.split('"').nth(3).unwrap_or_default().to_owned();
                    raw.send(crate::wire::http::post(&format!("{POLLING}&sid={id}"), "1"))?;
                    raw.response()?.expect(200)?;
                }
                let Some(answer) = refused else { crate::wire::fail!("none was refused") };
                ensure!(answer.header("retry-after").is_some(), "when to come again is not said");
                std::thread::sleep(Duration::from_millis(1_200));
                Ok(())
            },
        )),
    ]
}

/// Lets the server send so many messages of so many bytes, and reads none of them.
fn unread(target: &Target, times: usize, bytes: usize) -> Outcome<Ws> {
    let mut ws = Ws::joined(target.addr)?;
    ws.say(&format!(r#"42["flood",{times},{bytes}]"#))?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(ws)
}

fn readers() -> Vec<Case> {
    let rule = "CWE-400 (slow reader)";
    // A queue of 16 MiB, and the message that does not fit any more.
    let room = 40 << 20;
    vec![
        Case::new("reader-slow", rule, "60 MB that nobody reads", "closed when 16 MiB wait", |target| {
            let mut ws = unread(target, 600, 100_000)?;
            ws.gone()
        })
        .room(room),
        Case::new(
            "reader-slow-small",
            rule,
            "200,000 small messages that nobody reads",
            "closed when 8,192 wait",
            |target| {
                let mut ws = unread(target, 200_000, 200)?;
                ws.gone()
            },
        )
        .room(room),
        Case::new(
            "reader-never-polls",
            rule,
            "60 MB for a session that does not poll",
            "the session ends",
            |target| {
                let mut session = Polling::joined(target.addr)?;
                session.post(r#"42["flood",600,100000]"#)?;
                soon("the session to end", || Ok(session.is_over().is_ok()))
            },
        )
        .room(room),
        Case::new(
            "reader-asks-for-more",
            rule,
            "asks for echoes of 1 MB and reads none, 100 times",
            "not read from, or closed",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let echo = text(&format!(r#"42["echo","{}"]"#, "x".repeat(900_000)));
                let _ = (0..100).take_while(|_| ws.raw.push(&echo)).count();
                Ok(())
            },
        )
        .room(room),
    ]
}

fn applications() -> Vec<Case> {
    vec![
        Case::new(
            "rooms-100000",
            "CWE-770, `max_rooms`",
            "joins 100,000 rooms",
            "10,000 are joined, and gone with it",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let answer = ws.ask(r#"["join","room",100000]"#)?;
                ensure!(answer == "437[9999]" || answer == "437[10000]", "{answer}");
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "rooms-of-ten",
            "CWE-770",
            "10 clients join 10,000 rooms each, and go",
            "nothing is left",
            |target| {
                for client in 0..10 {
                    let mut ws = Ws::joined(target.addr)?;
                    ws.ask(&format!(r#"["join","{client}-",100000]"#))?;
                }
                Ok(())
            },
        )
        .room(64 << 20),
        Case::new(
            "questions-100000",
            "CVE-2020-36049 (kind), `max_pending_acks`",
            "makes the server ask it 100,000 times, and answers nothing",
            "the questions fail, and are gone with it",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let answer = ws.ask(r#"["ask",100000]"#)?;
                ensure!(answer == "437[100000]", "{answer}");
                ws.leave();
                Ok(())
            },
        )
        .room(160 << 20),
        Case::new(
            "events-100000",
            RULE,
            "100,000 events in one burst, each with an acknowledgement",
            "all are answered",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let some: Vec<u8> = text(r#"421["nobody"]"#).repeat(1_000);
                for _ in 0..100 {
                    ws.raw.send(&some)?;
                }
                ws.raw.send(text(r#"422["echo"]"#))?;
                ws.until_message(|text| text.starts_with("432"))?;
                ws.leave();
                Ok(())
            },
        ),
        Case::new(
            "events-wait",
            "CWE-770, `max_pending_events`",
            "200,000 events behind one that is slow",
            "not read from beyond 10,000",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.say(r#"42["slow",1500]"#)?;
                let some = text(r#"42["nobody","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]"#).repeat(1_000);
                let _ = (0..200).take_while(|_| ws.raw.push(&some)).count();
                Ok(())
            },
        )
        .room(40 << 20),
        Case::new("names-50000", RULE, "events of 50,000 different names", "none is kept", |target| {
            let mut ws = Ws::joined(target.addr)?;
            let all: Vec<u8> = (0..50_000).flat_map(|n| text(&format!(r#"42["name {n}"]"#))).collect();
            ws.raw.send(all)?;
            ws.echoes()?;
            ws.leave();
            Ok(())
        }),
    ]
}
