//! Pages of other origins, and what they are told.

use crate::case::{Case, Setup};
use crate::wire::http::get;
use crate::wire::session::{POLLING, Polling};
use crate::wire::ws::{TARGET, request};
use crate::wire::{Outcome, Raw, ensure};

/// The origin that [`Setup::Listed`] allows.
const LISTED: &str = "https://app.example";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = same();
    cases.extend(listed());
    cases.extend(answers());
    cases
}

/// A handshake of both transports with these header lines in place of `Host`: refused alike.
fn refused(name: &'static str, does: &'static str, lines: &'static str) -> Case {
    let answer = "400, code 3, no `Access-Control-Allow-Origin`";
    Case::new(name, "CVE-2019-13611, RFC 6455 §10.2", does, answer, move |target| {
        for request in requests(lines) {
            let mut raw = Raw::connect(target.addr)?;
            raw.send(request)?;
            let response = raw.response()?.expect(400)?;
            ensure!(response.code() == Some(3), "{}", response.text());
            let allowed = response.header("access-control-allow-origin");
            ensure!(allowed.is_none(), "{allowed:?} is allowed");
        }
        Ok(())
    })
}

fn allowed(name: &'static str, does: &'static str, lines: &'static str) -> Case {
    Case::new(name, "RFC 6454", does, "200, and 101", move |target| {
        for (request, status) in requests(lines).into_iter().zip([200, 101]) {
            let mut raw = Raw::connect(target.addr)?;
            raw.send(request)?;
            raw.response()?.expect(status)?;
        }
        Ok(())
    })
}

fn requests(lines: &str) -> [String; 2] {
    [get(POLLING), request(TARGET, "")].map(|request| request.replace("Host: target\r\n", lines))
}

fn same() -> Vec<Case> {
    vec![
        allowed("origin-same", "a page of the server itself", "Host: target\r\nOrigin: http://target\r\n"),
        allowed("origin-none", "a client that is no browser", "Host: target\r\n"),
        refused("origin-other", "a page of another site", "Host: target\r\nOrigin: http://evil.example\r\n"),
        refused("origin-null", "a sandboxed page", "Host: target\r\nOrigin: null\r\n"),
        refused("origin-empty", "an empty origin", "Host: target\r\nOrigin:\r\n"),
        refused(
            "origin-suffix",
            "our name with theirs behind it",
            "Host: target\r\nOrigin: http://target.evil.example\r\n",
        ),
        refused(
            "origin-prefix",
            "our name with theirs before it",
            "Host: target\r\nOrigin: http://eviltarget\r\n",
        ),
        refused("origin-subdomain", "a name below ours", "Host: target\r\nOrigin: http://evil.target\r\n"),
        refused(
            "origin-user",
            "our name as that of a user",
            "Host: target\r\nOrigin: http://target@evil.example\r\n",
        ),
        refused("origin-scheme", "https, and this is http", "Host: target\r\nOrigin: https://target\r\n"),
        refused("origin-port", "another port", "Host: target\r\nOrigin: http://target:8080\r\n"),
        refused(
            "origin-case",
            "upper case, which no browser sends",
            "Host: target\r\nOrigin: HTTP://TARGET\r\n",
        ),
        refused("origin-slash", "a slash behind", "Host: target\r\nOrigin: http://target/\r\n"),
        refused("origin-no-host", "an origin, and no host to compare it with", "Origin: http://target\r\n"),
        refused("origin-host-empty", "an empty host", "Host:\r\nOrigin: http://\r\n"),
        refused(
            "origin-forwarded",
            "a forwarding header of nobody who is trusted",
            "Host: target\r\nX-Forwarded-Host: evil.example\r\nOrigin: http://evil.example\r\n",
        ),
        refused(
            "origin-forwarded-standard",
            "the same in its standard form",
            "Host: target\r\nForwarded: host=evil.example;proto=http\r\nOrigin: http://evil.example\r\n",
        ),
        refused(
            "origin-twice",
            "two origins, one of them ours",
            "Host: target\r\nOrigin: http://evil.example\r\nOrigin: http://target\r\n",
        ),
        refused(
            "origin-twice-ours-first",
            "two origins, ours first",
            "Host: target\r\nOrigin: http://target\r\nOrigin: http://evil.example\r\n",
        ),
        refused(
            "host-twice",
            "two hosts, one of them theirs",
            "Host: evil.example\r\nHost: target\r\nOrigin: http://evil.example\r\n",
        ),
    ]
}

fn listed() -> Vec<Case> {
    let listed = |case: Case| case.on(Setup::Listed);
    vec![
        listed(allowed("listed", "an origin of the list", "Host: target\r\nOrigin: https://app.example\r\n")),
        listed(refused(
            "listed-own",
            "our own, which is not on the list",
            "Host: target\r\nOrigin: http://target\r\n",
        )),
        listed(refused(
            "listed-suffix",
            "one of the list with theirs behind it",
            "Host: target\r\nOrigin: https://app.example.evil\r\n",
        )),
        listed(refused(
            "listed-prefix",
            "one of the list with theirs before it",
            "Host: target\r\nOrigin: https://evil-app.example\r\n",
        )),
        listed(refused(
            "listed-scheme",
            "http in place of https",
            "Host: target\r\nOrigin: http://app.example\r\n",
        )),
        listed(refused("listed-port", "another port", "Host: target\r\nOrigin: https://app.example:444\r\n")),
        listed(refused("listed-null", "a sandboxed page", "Host: target\r\nOrigin: null\r\n")),
        listed(refused("listed-star", "a star", "Host: target\r\nOrigin: *\r\n")),
        listed(refused(
            "listed-dot",
            "a pattern's character for another",
            "Host: target\r\nOrigin: https://appXexample\r\n",
        )),
    ]
}

/// Headers of an answer to this, as the browser would judge them.
fn asked(addr: std::net::SocketAddr, request: &str) -> Outcome<[Option<String>; 3]> {
    let mut raw = Raw::connect(addr)?;
    raw.send(request)?;
    let response = raw.response()?;
    let names = ["access-control-allow-origin", "access-control-allow-credentials", "vary"];
    Ok(names.map(|name| response.header(name).map(str::to_owned)))
}

fn answers() -> Vec<Case> {
    let preflight = |origin: &str| {
        format!(
            "OPTIONS {POLLING} HTTP/1.1\r\nHost: target\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\r\n"
        )
    };
    vec![
        Case::new(
            "preflight-other",
            "Fetch §4.8",
            "a preflight of another site",
            "no `Access-Control-Allow-Origin`",
            move |target| {
                let [origin, ..] = asked(target.addr, &preflight("https://evil.example"))?;
                ensure!(origin.is_none(), "{origin:?} is allowed");
                Ok(())
            },
        ),
        Case::new(
            "answer-varies",
            "CWE-524 (cached answers)",
            "an answer for one origin is not another's",
            "the origin itself, and `Vary: Origin`",
            |target| {
                let request = get(POLLING).replace("\r\n\r\n", &format!("\r\nOrigin: {LISTED}\r\n\r\n"));
                let [origin, credentials, vary] = asked(target.addr, &request)?;
                ensure!(origin.as_deref() == Some(LISTED), "{origin:?}");
                ensure!(credentials.as_deref() == Some("true"), "{credentials:?}");
                ensure!(
                    vary.is_some_and(|vary| vary.contains("Origin") || vary.contains("Accept-Encoding")),
                    "no Vary"
                );
                Ok(())
            },
        )
        .on(Setup::Listed),
        Case::new(
            "post-of-another-site",
            "CWE-352",
            "a form of another site that knows the session id",
            "400; nothing is handled, the session goes on",
            |target| {
                let session = Polling::joined(target.addr)?;
                let mut raw = session.another()?;
                let body = r#"42["echo","forged"]"#;
                raw.send(format!(
                "POST {} HTTP/1.1\r\nHost: target\r\nOrigin: https://evil.example\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
                session.target(), body.len()
            ))?;
                raw.response()?.expect(400)?;
                raw.send(
                    get(&session.target()).replace("\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n"),
                )?;
                raw.response()?.expect(400)?;
                session.echoes()?;
                session.leave();
                Ok(())
            },
        ),
    ]
}
