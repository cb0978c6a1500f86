//! Compressed messages (RFC 7692): bombs, and what is no compression at all.

use flate2::{Compress, Compression, FlushCompress};

use crate::case::Reply::{Close, Nothing, Says};
use crate::case::{Answer, Case, Reply, Setup, raw};
use crate::wire::ensure;
use crate::wire::ws::{BINARY, FIN, MORE, PING, RSV1, TARGET, TEXT, Ws, frame, request};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = offers();
    cases.extend(messages());
    cases.extend(bombs());
    cases.into_iter().map(|case| case.on(Setup::Deflate)).collect()
}

/// What is compressed, without the four bytes at its end that are not sent.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut state = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(bytes.len() + 1024);
    let _ = state.compress_vec(bytes, &mut out, FlushCompress::Sync);
    out.truncate(out.len().saturating_sub(4));
    out
}

/// Bytes on a WebSocket that has agreed on compression.
fn sent(name: &'static str, rule: &'static str, does: &'static str, bytes: Vec<u8>, reply: Reply) -> Case {
    let text = format!("{reply:?}").to_lowercase();
    Case::new(name, rule, does, text, move |target| {
        let (mut ws, response) = Ws::open_with(target.addr, OFFER)?;
        ensure!(response.header("sec-websocket-extensions").is_some(), "no compression was agreed on");
        ws.join("")?;
        ws.raw.push(&bytes);
        reply.check(&mut ws)?;
        if !matches!(reply, Close(_) | Reply::Gone) {
            ws.leave();
        }
        Ok(())
    })
}

fn offers() -> Vec<Case> {
    let rule = "RFC 7692 §7.1, CVE-2020-7662";
    let offer = |name, does, offer: &str| {
        raw(
            name,
            rule,
            does,
            request(TARGET, &format!("Sec-WebSocket-Extensions: {offer}\r\n")),
            Answer::OneOf(&[101, 400]),
        )
    };
    vec![
        offer("offer-window-99", "a window of 99 bits", "permessage-deflate; client_max_window_bits=99"),
        offer("offer-window-minus", "a negative window", "permessage-deflate; server_max_window_bits=-1"),
        offer(
            "offer-window-zeros",
            "a window with a zero in front",
            "permessage-deflate; server_max_window_bits=015",
        ),
        offer(
            "offer-twice",
            "a parameter twice",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        ),
        offer("offer-unknown", "a parameter of nobody's", "permessage-deflate; __proto__=1"),
        offer("offer-1000", "1,000 offers", &vec!["permessage-deflate; x=1"; 600].join(", ")),
        offer(
            "offer-quotes",
            "a quoted string that does not end",
            r#"permessage-deflate; client_max_window_bits="10"#,
        ),
        offer("offer-nothing", "an offer of nothing", ", , ;;"),
    ]
}

fn messages() -> Vec<Case> {
    let rule = "RFC 7692 §6.1";
    let invalid = "RFC 7692 §7.2.2";
    let echo = r#"42["echo","a"]"#;
    let whole = deflated(echo.as_bytes());
    let (first, last) = whole.split_at(whole.len() / 2);
    vec![
        sent(
            "deflate",
            rule,
            "a compressed message",
            frame(FIN | RSV1 | TEXT, &whole),
            Says(r#"42["echo","a"]"#),
        ),
        sent(
            "deflate-fragments",
            rule,
            "a compressed message in two fragments",
            [frame(MORE | RSV1 | TEXT, first), frame(FIN, last)].concat(),
            Says(r#"42["echo","a"]"#),
        ),
        sent(
            "deflate-rsv1-later",
            rule,
            "RSV1 of a continuation",
            [frame(MORE | RSV1 | TEXT, first), frame(FIN | RSV1, last)].concat(),
            Close(1002),
        ),
        sent("deflate-rsv1-of-ping", rule, "RSV1 of a ping", frame(FIN | RSV1 | PING, b""), Close(1002)),
        sent(
            "deflate-junk",
            invalid,
            "bytes that are not compressed",
            frame(FIN | RSV1 | TEXT, &[0xff; 50]),
            Close(1007),
        ),
        sent(
            "deflate-cut",
            invalid,
            "a stream that is cut",
            frame(FIN | RSV1 | TEXT, &whole[..3]),
            Reply::Gone,
        ),
        sent(
            "deflate-far",
            invalid,
            "a reference to before the beginning",
            frame(FIN | RSV1 | TEXT, &[0x4a, 0x04, 0xff, 0xff]),
            Close(1007),
        ),
        sent(
            "deflate-not-utf8",
            "RFC 6455 §8.1",
            "compressed bytes that are no UTF-8",
            frame(FIN | RSV1 | TEXT, &deflated(&[0xff; 100])),
            Close(1007),
        ),
        sent(
            "deflate-empty-blocks",
            "CWE-400",
            "300,000 empty blocks",
            frame(FIN | RSV1 | TEXT, &[&[0, 0, 0, 0xff, 0xff].repeat(60_000)[..], &deflated(b"6")].concat()),
            Nothing,
        ),
        sent(
            "deflate-ends",
            "CWE-400",
            "a message of 100,000 streams that end",
            frame(FIN | RSV1 | TEXT, &[3, 0].repeat(100_000)),
            Close(1007),
        ),
    ]
}

fn bombs() -> Vec<Case> {
    let rule = "CWE-409";
    let bomb = deflated(&vec![b'6'; 20 << 20]);
    let half = bomb.len() / 2;
    let below = deflated(&[b"6".as_slice(), &vec![b'x'; 900_000]].concat());
    vec![
        sent("bomb-text", rule, "20 MB of text in 90 KB", frame(FIN | RSV1 | TEXT, &bomb), Close(1009)),
        sent("bomb-binary", rule, "20 MB of binary in 90 KB", frame(FIN | RSV1 | BINARY, &bomb), Close(1009)),
        sent(
            "bomb-fragments",
            rule,
            "the same in fragments",
            [frame(MORE | RSV1 | TEXT, &bomb[..half]), frame(FIN, &bomb[half..])].concat(),
            Close(1009),
        ),
        sent("bomb-many", rule, "50 messages of 900 KB each, in 1 KB each", independent(&below, 50), Nothing),
        sent(
            "bomb-depth",
            "CWE-674",
            "900,000 levels of JSON in 1 KB",
            frame(FIN | RSV1 | TEXT, &deflated(&[b"42[\"echo\",".as_slice(), &vec![b'['; 900_000]].concat())),
            Reply::Gone,
        ),
    ]
}

/// Messages that do not build on each other.
fn independent(message: &[u8], many: usize) -> Vec<u8> {
    frame(FIN | RSV1 | TEXT, message).repeat(many)
}
