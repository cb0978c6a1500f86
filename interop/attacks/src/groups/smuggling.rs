//! Where a body ends: whatever two servers could understand differently.

use crate::case::Answer::{End, Last, OneOf, Status};
use crate::case::{Case, Then, polling, raw};
use crate::wire::http::post_with;
use crate::wire::session::POLLING;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(encodings());
    cases.extend(chunks());
    cases
}

/// A POST of the session with these lines in its head, and what follows the head.
fn sent(lines: &str, rest: &str) -> String {
    post_with("{target}", lines, rest)
}

/// A request that must never be seen as one.
const HIDDEN: &str = "GET /socket.io/?hidden HTTP/1.1\r\nHost: target\r\n\r\n";

fn lengths() -> Vec<Case> {
    let rule = "RFC 9112 §6.3";
    let refused =
        |name, does, lines: &str| polling(name, rule, does, sent(lines, "3"), Last(400), Then::GoesOn);
    vec![
        refused("length-twice", "two lengths that differ", "Content-Length: 1\r\nContent-Length: 2"),
        refused("length-list", "a list of lengths that differ", "Content-Length: 1, 2"),
        refused("length-negative", "a negative length", "Content-Length: -1"),
        refused("length-hexadecimal", "a hexadecimal length", "Content-Length: 0x1"),
        refused("length-empty", "an empty length", "Content-Length:"),
        refused("length-overflow", "a length beyond 64 bits", "Content-Length: 18446744073709551617"),
        refused("length-spaces", "a length with a space inside", "Content-Length: 1 0"),
        polling(
            "length-plus",
            "CVE-2021-32715, RFC 9112 §6.2",
            "a length with a plus sign",
            sent("Content-Length: +1", "3"),
            Last(400),
            Then::GoesOn,
        ),
        polling(
            "length-huge",
            rule,
            "a length of almost 2^64",
            sent("Content-Length: 18446744073709551615", "3"),
            OneOf(&[413, 431]),
            Then::GoesOn,
        ),
        raw(
            "length-of-get",
            "RFC 9110 §9.3.1",
            "a GET whose body looks like a request",
            format!(
                "GET {POLLING} HTTP/1.1\r\nHost: target\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{HIDDEN}",
                HIDDEN.len()
            ),
            Last(200),
        ),
        polling(
            "length-of-refused",
            "CWE-444",
            "the body of a refused POST is never a request",
            format!(
                "POST {{target}}x HTTP/1.1\r\nHost: target\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{HIDDEN}",
                HIDDEN.len()
            ),
            Last(400),
            Then::GoesOn,
        ),
    ]
}

fn encodings() -> Vec<Case> {
    let rule = "RFC 9112 §6.1, CWE-444";
    let refused = |name, does, lines: &str| {
        polling(name, rule, does, sent(lines, &format!("0\r\n\r\n{HIDDEN}")), Last(400), Then::GoesOn)
    };
    vec![
        polling(
            "encoding-and-length",
            rule,
            "both a length and chunks: the chunks count, and nothing behind them",
            sent("Content-Length: 5\r\nTransfer-Encoding: chunked", &format!("1\r\n3\r\n0\r\n\r\n{HIDDEN}")),
            Last(200),
            Then::GoesOn,
        ),
        refused("encoding-unknown", "an encoding that is not there", "Transfer-Encoding: xchunked"),
        refused(
            "encoding-not-last",
            "chunks inside another encoding",
            "Transfer-Encoding: chunked, identity",
        ),
        refused(
            "encoding-vertical-tab",
            "an encoding after a vertical tab",
            "Transfer-Encoding: \u{b}chunked",
        ),
        refused("encoding-space-before-colon", "a space before the colon", "Transfer-Encoding : chunked"),
        refused(
            "encoding-twice",
            "two encodings, of which the second is none",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        ),
        polling(
            "encoding-of-1.0",
            rule,
            "chunks in HTTP/1.0",
            sent("Transfer-Encoding: chunked", &format!("0\r\n\r\n{HIDDEN}"))
                .replace("HTTP/1.1\r\nHost", "HTTP/1.0\r\nHost"),
            Last(400),
            Then::GoesOn,
        ),
    ]
}

fn chunks() -> Vec<Case> {
    let rule = "RFC 9112 §7.1";
    let chunked = |chunks: &str| sent("Transfer-Encoding: chunked", chunks);
    let broken = |name, rule, does, chunks: &str| {
        polling(name, rule, does, chunked(chunks), OneOf(&[400]), Then::Ends)
    };
    let extension = "a".repeat(40_000);
    let trailers = "A: b\r\n".repeat(20_000);
    vec![
        polling(
            "chunks",
            rule,
            "a body of chunks is a body",
            chunked("1\r\n3\r\n0\r\n\r\n"),
            Status(200),
            Then::GoesOn,
        ),
        broken(
            "chunks-size-overflow",
            "CVE-2021-32714",
            "a chunk size beyond 64 bits",
            "f0000000000000003\r\nabc\r\n0\r\n\r\n",
        ),
        broken("chunks-size-junk", rule, "a chunk size that is no number", "zz\r\nabc\r\n"),
        broken("chunks-size-negative", rule, "a negative chunk size", "-1\r\nabc\r\n"),
        broken("chunks-size-prefix", rule, "a chunk size with 0x", "0x1\r\n3\r\n0\r\n\r\n"),
        broken("chunks-without-end", rule, "a chunk longer than its size", "1\r\n3333\r\n0\r\n\r\n"),
        broken("chunks-bare-lf", "CWE-444", "a chunk size that ends with LF alone", "1\n3\r\n0\r\n\r\n"),
        broken(
            "chunks-extensions",
            "CVE-2023-39326 (kind)",
            "a chunk with 40,000 bytes of extensions",
            &format!("1;{extension}\r\n3\r\n0\r\n\r\n"),
        ),
        broken("chunks-trailers", "CWE-400", "20,000 trailers", &format!("1\r\n3\r\n0\r\n{trailers}\r\n")),
        raw(
            "chunks-of-nobody",
            "CWE-400",
            "chunks without end for a session of nobody's",
            format!(
                "POST {POLLING}&sid=none HTTP/1.1\r\nHost: target\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                "1\r\na\r\n".repeat(1_000)
            ),
            End,
        ),
    ]
}
