//! Requests that are wrong in their first line or in their headers, or that are too many at a time.

use std::time::Duration;

use crate::case::Answer::{Code, Each, Last, OneOf, Status};
use crate::case::{Case, Then, Way, polling, raw};
use crate::wire::http::{get, post};
use crate::wire::session::{POLLING, Polling};
use crate::wire::{Raw, ensure};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = first_lines();
    cases.extend(queries());
    cases.extend(headers());
    cases.extend(sizes());
    cases.extend(times());
    cases.extend(concurrency());
    cases
}

/// A handshake by another method.
fn by(method: &str) -> String {
    get(POLLING).replacen("GET", method, 1)
}

/// A handshake with another header line.
fn with(line: &str) -> String {
    format!("GET {POLLING} HTTP/1.1\r\nHost: target\r\n{line}\r\n\r\n")
}

fn first_lines() -> Vec<Case> {
    let methods = "Engine.IO handshake";
    let line = "RFC 9112 §3";
    vec![
        raw("method-post", methods, "a handshake by POST", post(POLLING, "40"), Code(400, 2)),
        raw("method-put", methods, "a handshake by PUT", by("PUT"), Code(400, 2)),
        raw(
            "method-trace",
            "CWE-693",
            "a handshake by TRACE, which nobody echoes",
            by("TRACE"),
            Code(400, 2),
        ),
        raw("method-unknown", methods, "a handshake by a method of nobody's", by("BREW"), Code(400, 2)),
        raw("method-lower-case", line, "`get` is another method than GET", by("get"), Code(400, 2)),
        polling(
            "method-of-session",
            methods,
            "DELETE for a session that is there",
            "DELETE {target} HTTP/1.1\r\nHost: target\r\n\r\n",
            Code(405, 2),
            Then::GoesOn,
        ),
        raw(
            "method-connect",
            "RFC 9110 §9.3.6",
            "CONNECT to somewhere else: this is no proxy",
            "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
            OneOf(&[400, 404]),
        ),
        raw("method-long", line, "a method of 10,000 letters", by(&"A".repeat(10_000)), OneOf(&[400, 431])),
        raw(
            "target-absolute",
            "RFC 9112 §3.2.2",
            "a target with scheme and host is that of its path",
            get(&format!("http://elsewhere{POLLING}")),
            Status(200),
        ),
        raw("target-missing", line, "a request line of one word", "GET\r\n\r\n", Last(400)),
        raw("target-space", line, "a space within the target", get("/socket.io/ /?EIO=4"), Last(400)),
        raw(
            "target-control",
            line,
            "a control character within the target",
            get("/socket.io/\u{1}?EIO=4"),
            Last(400),
        ),
        raw(
            "path-above",
            "CWE-22",
            "`..` in the path leads nowhere",
            get("/socket.io/../etc/passwd?EIO=4&transport=polling"),
            Status(404),
        ),
        raw(
            "path-above-encoded",
            "CWE-22",
            "`%2e%2e%2f` neither",
            get("/socket.io/%2e%2e%2fetc?EIO=4&transport=polling"),
            Status(404),
        ),
        raw(
            "path-longer",
            "Engine.IO path",
            "a path that only begins like ours",
            get("/socket.iox/?EIO=4&transport=polling"),
            Status(404),
        ),
        raw(
            "path-doubled-slash",
            "Engine.IO path",
            "two slashes are another path",
            get("//socket.io/?EIO=4&transport=polling"),
            Status(404),
        ),
        raw("version-0.9", "RFC 9112 §2.3", "a request of HTTP/0.9", "GET /socket.io/\r\n\r\n", Last(400)),
        raw(
            "version-1.0",
            "RFC 9112 §9.3",
            "HTTP/1.0 is answered and closed",
            get(POLLING).replace("HTTP/1.1", "HTTP/1.0"),
            Last(200),
        ),
        raw(
            "version-unknown",
            "RFC 9112 §2.3",
            "a version that is not there",
            get(POLLING).replace("HTTP/1.1", "HTTP/9.9"),
            Last(400),
        ),
        raw(
            "version-h2c",
            "RFC 9113 §3.1",
            "an upgrade to h2c is not taken up",
            with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
            Status(200),
        ),
        raw(
            "no-http-tls",
            "-",
            "the beginning of TLS on a plain port",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            Last(400),
        ),
        raw(
            "no-http-binary",
            "-",
            "bytes that mean nothing",
            [0xff_u8, 0xfe, 0x00, 0x01].repeat(64),
            Last(400),
        ),
        Case::new("method-head", methods, "a handshake by HEAD has no body", "400", |target| {
            let mut raw = Raw::connect(target.addr)?;
            raw.send(by("HEAD").replace("Host", "Connection: close\r\nHost"))?;
            let answer = String::from_utf8_lossy(&raw.end()?).into_owned();
            ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            Ok(())
        }),
    ]
}

fn queries() -> Vec<Case> {
    let eio = "Engine.IO query";
    let query = |query: &str| get(&format!("/socket.io/?{query}"));
    vec![
        raw("query-none", eio, "no query", get("/socket.io/"), Code(400, 0)),
        raw(
            "query-transport-unknown",
            eio,
            "a transport of nobody's",
            query("EIO=4&transport=flash"),
            Code(400, 0),
        ),
        raw(
            "query-transport-prototype",
            "CVE-2020-36048, nodesecurity 550",
            "names that JavaScript objects have by themselves",
            query("EIO=4&transport=constructor"),
            Code(400, 0),
        ),
        raw(
            "query-transport-webtransport",
            eio,
            "WebTransport over HTTP/1.1",
            query("EIO=4&transport=webtransport"),
            Code(400, 0),
        ),
        raw(
            "query-websocket-without-upgrade",
            "engine.io: websocket without `Upgrade`",
            "a WebSocket that does not ask to be one",
            query("EIO=4&transport=websocket"),
            Code(400, 3),
        ),
        raw(
            "query-version-old",
            eio,
            "version 3, which is off",
            query("EIO=3&transport=polling"),
            Code(400, 5),
        ),
        raw(
            "query-version-long",
            eio,
            "a version of 4,000 digits",
            query(&format!("EIO={}&transport=polling", "4".repeat(4_000))),
            Code(400, 5),
        ),
        raw(
            "query-sid-unknown",
            eio,
            "a session of nobody's",
            query("EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA"),
            Code(400, 1),
        ),
        raw(
            "query-sid-empty",
            eio,
            "an empty session id",
            query("EIO=4&transport=polling&sid="),
            Code(400, 1),
        ),
        raw(
            "query-sid-prototype",
            "CVE-2022-2421 (kind)",
            "`__proto__` as a session id",
            query("EIO=4&transport=polling&sid=__proto__"),
            Code(400, 1),
        ),
        raw(
            "query-sid-long",
            eio,
            "a session id of 8,000 letters",
            query(&format!("EIO=4&transport=polling&sid={}", "A".repeat(8_000))),
            Code(400, 1),
        ),
        raw(
            "query-sid-nul",
            eio,
            "NUL within a session id",
            query("EIO=4&transport=polling&sid=%00%00"),
            Code(400, 1),
        ),
        raw(
            "query-split",
            "CWE-113",
            "line ends in a parameter do not become headers",
            query("EIO=4&transport=%0d%0aSet-Cookie:%20a=b&sid=%0d%0a%0d%0a"),
            Code(400, 0),
        ),
        raw(
            "query-percent-junk",
            eio,
            "percent signs without digits",
            query("EIO=4&transport=%zz%&%=%"),
            Code(400, 0),
        ),
        raw(
            "query-many",
            "CWE-400",
            "1,800 parameters",
            query(&format!("EIO=4&transport=polling{}", "&a=b".repeat(1_800))),
            Status(200),
        ),
        raw(
            "query-jsonp",
            "CWE-79",
            "polling by script tags, which is off",
            query("EIO=4&transport=polling&j=0"),
            Code(400, 3),
        ),
        polling(
            "query-sid-twice",
            eio,
            "the first of two session ids counts",
            get("{target}&sid=AAAAAAAAAAAAAAAAAAAA")
                .replacen("GET", "POST", 1)
                .replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n3"),
            Status(200),
            Then::GoesOn,
        ),
    ]
}

fn headers() -> Vec<Case> {
    let field = "RFC 9112 §5";
    vec![
        raw("header-space-before-colon", "RFC 9112 §5.1", "a space before the colon", with("Cookie : a=b"), Last(400)),
        raw("header-folded", "RFC 9112 §5.2", "a value that goes on in the next line", with("Cookie: a\r\n b"), Last(400)),
        raw("header-without-colon", field, "a line without a colon", with("nothing"), Last(400)),
        raw("header-without-name", field, "a line that begins with its colon", with(": nothing"), Last(400)),
        raw("header-bare-cr", "RFC 9112 §2.2", "CR within a value", with("Cookie: a\rb"), Last(400)),
        raw("header-nul", field, "NUL within a value", with("Cookie: a\0b"), Last(400)),
        raw("header-bare-lf", "RFC 9112 §2.2", "line ends of LF alone are line ends", get(POLLING).replace("\r\n", "\n"), OneOf(&[200, 400])),
        raw("header-latin-1", field, "bytes beyond ASCII within a value", 
            [b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: target\r\nCookie: a=\xff\xfe\r\n\r\n".as_slice()].concat(), Status(200)),
        raw("header-encodings", "CWE-1333", "1,500 encodings to choose from", with(&format!("Accept-Encoding: {}", "gzip;q=0.001,".repeat(1_200))), Status(200)),
        raw("header-forwarded", "CWE-348", "forwarding headers of nobody who is trusted",
            with("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nForwarded: for=127.0.0.1"), Status(200)),
        raw("header-override", "CWE-650", "`X-HTTP-Method-Override` overrides nothing", with("X-HTTP-Method-Override: DELETE"), Status(200)),
    ]
}

fn times() -> Vec<Case> {
    let slow = "CWE-400 (slow headers)";
    vec![
        Case::new(
            "head-never",
            slow,
            "half of a head, and then nothing",
            "closed after `header_timeout`",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(&get(POLLING)[..40])?;
                raw.end().map(|_| ())
            },
        )
        .only(Way::Own),
        Case::new(
            "head-nothing",
            slow,
            "a connection that says nothing",
            "closed after `header_timeout`",
            |target| Raw::connect(target.addr)?.end().map(|_| ()),
        )
        .only(Way::Own),
        Case::new("head-slow", slow, "a head byte by byte", "closed after `header_timeout`", |target| {
            let mut raw = Raw::connect(target.addr)?;
            let all = raw.drip(
                with(&format!("Cookie: {}", "a".repeat(200))).as_bytes(),
                1,
                Duration::from_millis(20),
            );
            raw.end()?;
            ensure!(!all, "all of it was taken");
            Ok(())
        })
        .only(Way::Own),
        Case::new(
            "head-idle",
            slow,
            "a connection that is kept, and says nothing more",
            "closed after `keep_alive_timeout`",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(get("/socket.io/?transport=none"))?;
                raw.response()?.expect(400)?;
                raw.end().map(|_| ())
            },
        )
        .only(Way::Own),
    ]
}

fn sizes() -> Vec<Case> {
    let size = "CWE-770, RFC 6585 §5";
    vec![
        raw(
            "size-header",
            size,
            "a header of 20,000 bytes",
            with(&format!("Cookie: {}", "a".repeat(20_000))),
            Status(431),
        ),
        raw("size-headers", size, "101 headers", with(&vec!["A: b"; 101].join("\r\n")), Last(431)),
        raw(
            "size-headers-10000",
            size,
            "10,000 headers",
            with(&vec!["A: b"; 10_000].join("\r\n")),
            Last(431),
        ),
        raw(
            "size-target",
            "RFC 9110 §15.5.15",
            "a target of 70,000 bytes",
            get(&format!("{POLLING}&a={}", "a".repeat(70_000))),
            OneOf(&[414, 431]),
        ),
        Case::new(
            "size-endless-header",
            size,
            "a header that does not end, 8 MB of it",
            "closed",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(format!("GET {POLLING} HTTP/1.1\r\nCookie: "))?;
                let piece = "a".repeat(64 << 10);
                let taken = (0..128).take_while(|_| raw.push(&piece)).count();
                let _ = raw.end();
                ensure!(taken < 128, "all of it was read");
                Ok(())
            },
        ),
    ]
}

fn concurrency() -> Vec<Case> {
    let one = "Engine.IO §2.5: one poll and one POST at a time";
    vec![
        Case::new(
            "overlap-polls",
            one,
            "a second poll while one is held",
            "400; the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let (mut first, mut second) = (session.another()?, session.another()?);
                first.send(get(&session.target()))?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                second.send(get(&session.target()))?;
                second.response()?.expect(400)?;
                ensure!(first.response()?.expect(200)?.text() == "1", "the first poll is not told");
                session.is_over()
            },
        ),
        Case::new(
            "overlap-polls-100",
            one,
            "100 polls at once",
            "400 to all but one; the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut polls = (0..100).map(|_| session.another()).collect::<Result<Vec<_>, _>>()?;
                for poll in &mut polls {
                    poll.send(get(&session.target()))?;
                }
                let answers = polls.iter_mut().map(|poll| Ok(poll.response()?.status));
                let answers = answers.collect::<Result<Vec<_>, crate::wire::Fail>>()?;
                ensure!(answers.iter().filter(|status| **status == 200).count() <= 1, "{answers:?}");
                session.is_over()
            },
        ),
        Case::new(
            "overlap-posts",
            one,
            "a second POST while the first is still coming",
            "400; the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let (mut first, mut second) = (session.another()?, session.another()?);
                first.send(format!(
                    "POST {} HTTP/1.1\r\nHost: target\r\nContent-Length: 10\r\n\r\n42",
                    session.target()
                ))?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                second.send(post(&session.target(), "3"))?;
                second.response()?.expect(400)?;
                first.response()?.expect(400)?;
                session.is_over()
            },
        ),
        raw(
            "pipeline-refused",
            "RFC 9112 §9.3.2",
            "200 refused requests in one write are answered in order",
            get("/socket.io/?transport=none").repeat(200),
            Each(&[400; 200]),
        ),
        Case::new(
            "pipeline-posts",
            "RFC 9112 §9.3.2",
            "50 POSTs in one write, their events in order",
            "200 each, and all echoes",
            |target| {
                let mut session = Polling::joined(target.addr)?;
                let mut posts = session.another()?;
                let all: String =
                    (0..50).map(|n| post(&session.target(), &format!(r#"42["echo",{n}]"#))).collect();
                posts.send(all)?;
                for _ in 0..50 {
                    posts.response()?.expect(200)?;
                }
                let mut echoes = String::new();
                while !echoes.contains(r#"["echo",49]"#) {
                    echoes += &session.poll()?.expect(200)?.text();
                    echoes.push('\u{1e}');
                }
                let seen: Vec<_> = echoes.split('\u{1e}').filter(|packet| packet.contains("echo")).collect();
                let wanted: Vec<_> = (0..50).map(|n| format!(r#"42["echo",{n}]"#)).collect();
                ensure!(seen == wanted, "{seen:?}");
                session.leave();
                Ok(())
            },
        ),
        Case::new(
            "pipeline-unread",
            "CWE-400",
            "5,000 requests, and no answer is read",
            "not more than a window of answers",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                let some = get("/socket.io/?transport=none").repeat(100);
                let _ = (0..50).take_while(|_| raw.push(&some)).count();
                Ok(())
            },
        ),
        Case::new(
            "poll-aborted",
            "CVE-2022-41940",
            "the client goes away while its poll is held",
            "the session ends",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut poll = session.another()?;
                poll.send(get(&session.target()))?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                drop(poll);
                session.is_over()
            },
        ),
        Case::new(
            "answer-reset",
            "CVE-2022-41940",
            "200 connections are reset before their answers are read",
            "closed",
            |target| {
                for _ in 0..200 {
                    let mut raw = Raw::connect(target.addr)?;
                    // What is unread when a socket closes makes it a reset.
                    raw.send(get("/socket.io/?transport=none").repeat(3))?;
                }
                Ok(())
            },
        ),
        Case::new(
            "half-closed",
            "RFC 9112 §9.6",
            "a client that has said all it will say",
            "its poll ends with it",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut poll = session.another()?;
                poll.send(get(&session.target()))?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                poll.finish_sending();
                poll.end()?;
                session.is_over()
            },
        ),
    ]
}
