//! Bodies that are slow, cut short or too large.

use std::time::Duration;

use crate::case::Answer::Status;
use crate::case::{Case, Then, body, polling};
use crate::wire::http::post_with;
use crate::wire::session::{POLLING, Polling};
use crate::wire::{Raw, ensure};

/// The largest body that is accepted.
const MAX: usize = 1_000_000;

pub(super) fn cases() -> Vec<Case> {
    let size = "CVE-2020-36048, Engine.IO `maxPayload`";
    let slow = "CWE-400 (slow POST)";
    vec![
        body(
            "body-largest",
            size,
            "a body of just the largest size",
            format!("4{}", "x".repeat(MAX - 1)),
            Status(200),
            Then::Ends,
        ),
        polling(
            "body-declared-too-large",
            size,
            "a length over the limit, and no body",
            post_with("{target}", &format!("Content-Length: {}", MAX + 1), ""),
            Status(413),
            Then::GoesOn,
        ),
        body("body-too-large", size, "a body over the limit", "x".repeat(MAX + 1), Status(413), Then::GoesOn),
        Case::new(
            "body-chunked-too-large",
            size,
            "chunks of 4 MB, whose length nobody declares",
            "413; the session goes on",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut raw = session.begin_post("Transfer-Encoding: chunked", "")?;
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                let _ = (0..64).take_while(|_| raw.push(&chunk)).count();
                raw.response()?.expect(413)?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new(
            "body-expected-too-large",
            "RFC 9110 §10.1.1",
            "asks before it sends too much",
            "413 at once, no 100",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut raw = session.begin_post("Expect: 100-continue\r\nContent-Length: 2000000", "")?;
                raw.response()?.expect(413)?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
        Case::new("body-never", slow, "a length, and then nothing", "408; the session ends", |target| {
            let session = Polling::joined(target.addr)?;
            let mut raw = session.begin_post("Content-Length: 1000", "")?;
            raw.response()?.expect(408)?;
            session.is_over()
        }),
        Case::new("body-slow", slow, "a body byte by byte", "408; the session ends", |target| {
            let session = Polling::joined(target.addr)?;
            let mut raw = session.begin_post("Content-Length: 1000", "")?;
            raw.drip(&[b'3'; 100], 1, Duration::from_millis(30));
            raw.response()?.expect(408)?;
            session.is_over()
        }),
        Case::new(
            "body-slow-of-nobody",
            slow,
            "a body byte by byte, for a session that is not there",
            "400 at once, closed within 5 s",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(post_with(&format!("{POLLING}&sid=none"), "Content-Length: 1000", "3"))?;
                raw.response()?.expect(400)?;
                ensure!(!raw.stays_open(Duration::from_secs(6)), "the connection is kept");
                Ok(())
            },
        ),
        Case::new(
            "body-cut-short",
            "CVE-2022-41940 (kind)",
            "half of a body, then the end",
            "the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let raw = session.begin_post("Content-Length: 1000", "42")?;
                std::thread::sleep(Duration::from_millis(50));
                drop(raw);
                session.is_over()
            },
        ),
        polling(
            "body-gzip",
            "CWE-409",
            "a body that says it is compressed is not decompressed",
            post_with("{target}", "Content-Encoding: gzip\r\nContent-Length: 1", "3"),
            Status(200),
            Then::GoesOn,
        ),
        polling(
            "body-binary",
            "CVE-2026-59725",
            "a body of `application/octet-stream`",
            post_with("{target}", "Content-Type: application/octet-stream\r\nContent-Length: 1", "\u{4}"),
            Status(400),
            Then::Ends,
        ),
        Case::new(
            "body-binary-chunks",
            "CVE-2026-59725",
            "a binary body in chunks, without end",
            "400; the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut raw = session.begin_post(
                    "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked",
                    "1\r\n\u{4}\r\n",
                )?;
                raw.response()?.expect(400)?;
                session.is_over()
            },
        ),
        polling(
            "body-none",
            "Engine.IO §2.4",
            "a POST without a body",
            "POST {target} HTTP/1.1\r\nHost: target\r\n\r\n",
            Status(400),
            Then::Ends,
        ),
    ]
}
