//! Frames that RFC 6455 forbids, and floods of those that it allows.

use crate::case::Reply::{Close, Gone, Nothing, Pong, Says};
use crate::case::{Answer, Case, raw, ws};
use crate::wire::session::POLLING;
use crate::wire::ws::{
    BINARY, CLOSE, FIN, MORE, PING, PONG, RSV1, TARGET, TEXT, Ws, claiming, close, frame, request, text,
    unmasked, with_u16,
};
use crate::wire::{Raw, ensure};

const ECHO: &str = r#"42["echo","a"]"#;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = handshakes();
    cases.extend(headers());
    cases.extend(fragments());
    cases.extend(closing());
    cases.extend(contents());
    cases.extend(floods());
    cases
}

fn handshakes() -> Vec<Case> {
    let rule = "RFC 6455 §4.2.1";
    let changed = |from: &str, to: &str| request(TARGET, "").replace(from, to);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        raw("handshake-post", rule, "a WebSocket by POST", changed("GET", "POST"), Answer::OneOf(&[400])),
        raw(
            "handshake-1.0",
            rule,
            "a WebSocket on HTTP/1.0",
            changed("HTTP/1.1", "HTTP/1.0"),
            Answer::Code(400, 3),
        ),
        Case::new(
            "handshake-version",
            "RFC 6455 §4.4",
            "version 8 of the protocol",
            "400, and the version that is spoken",
            |target| {
                let mut raw = Raw::connect(target.addr)?;
                raw.send(request(TARGET, "").replace("Version: 13", "Version: 8"))?;
                let answer = raw.response()?.expect(400)?;
                ensure!(answer.header("sec-websocket-version") == Some("13"), "no version is named");
                Ok(())
            },
        ),
        raw(
            "handshake-transport-unknown",
            "CVE-2023-31125",
            "a WebSocket with a transport of nobody's",
            request("/socket.io/?EIO=4&transport=flash", ""),
            Answer::Code(400, 0),
        ),
        raw(
            "handshake-transport-prototype",
            "CVE-2023-31125",
            "a WebSocket with a transport that JavaScript objects have by themselves",
            request("/socket.io/?EIO=4&transport=constructor", ""),
            Answer::Code(400, 0),
        ),
        raw("handshake-no-key", rule, "no key", changed(key, ""), Answer::Code(400, 3)),
        raw(
            "handshake-key-short",
            rule,
            "a key of 15 bytes",
            changed("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            Answer::Code(400, 3),
        ),
        raw("handshake-keys", rule, "two keys", changed(key, &key.repeat(2)), Answer::Code(400, 3)),
        raw(
            "handshake-no-connection",
            rule,
            "`Upgrade` without `Connection`",
            changed("Connection: Upgrade\r\n", ""),
            Answer::Code(400, 3),
        ),
        raw(
            "handshake-no-upgrade",
            rule,
            "`Connection` without `Upgrade`",
            changed("Upgrade: websocket\r\n", ""),
            Answer::Code(400, 3),
        ),
        raw(
            "handshake-headers-many",
            "CVE-2024-37890",
            "more headers than anybody takes, on an upgrade",
            request(TARGET, &"A: b\r\n".repeat(2_000)),
            Answer::Status(431),
        ),
        raw(
            "handshake-header-long",
            "CVE-2023-43669",
            "a header of 100,000 bytes, on an upgrade",
            request(TARGET, &format!("A: {}\r\n", "b".repeat(100_000))),
            Answer::OneOf(&[431]),
        ),
        raw(
            "handshake-protocol-spaces",
            "CVE-2021-32640",
            "a subprotocol of 10,000 spaces",
            request(TARGET, &format!("Sec-WebSocket-Protocol: a{}b\r\n", " ".repeat(10_000))),
            Answer::Status(101),
        ),
        raw(
            "handshake-extension-prototype",
            "nodesecurity 550",
            "an extension named `constructor`",
            request(TARGET, "Sec-WebSocket-Extensions: constructor; __proto__\r\n"),
            Answer::Status(101),
        ),
        raw(
            "handshake-extension-quotes",
            "CVE-2020-7662, CVE-2020-7663",
            "an extension with a quoted string that does not end",
            request(TARGET, &format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n", "\\c".repeat(5_000))),
            Answer::Status(101),
        ),
        raw(
            "handshake-polling",
            "Engine.IO §2.7",
            "a WebSocket with `transport=polling`",
            request(POLLING, ""),
            Answer::OneOf(&[200, 400]),
        ),
        raw(
            "handshake-body",
            "CWE-444",
            "an upgrade with a body",
            request(TARGET, "Content-Length: 5\r\n") + "hello",
            Answer::OneOf(&[101, 400]),
        ),
    ]
}

fn headers() -> Vec<Case> {
    let rsv = "RFC 6455 §5.2, CVE-2022-21676";
    let length = "RFC 6455 §5.2";
    vec![
        ws(
            "frame-rsv1",
            rsv,
            "RSV1, and no extension was agreed on",
            frame(FIN | RSV1 | TEXT, ECHO.as_bytes()),
            Close(1002),
        ),
        ws("frame-rsv2", rsv, "RSV2", frame(FIN | 0x20 | TEXT, ECHO.as_bytes()), Close(1002)),
        ws("frame-rsv3", rsv, "RSV3", frame(FIN | 0x10 | TEXT, ECHO.as_bytes()), Close(1002)),
        ws("frame-rsv-of-ping", rsv, "RSV1 of a ping", frame(FIN | RSV1 | PING, b""), Close(1002)),
        ws("frame-opcode-3", length, "a data frame of no kind", frame(FIN | 0x03, b""), Close(1002)),
        ws("frame-opcode-7", length, "another", frame(FIN | 0x07, b""), Close(1002)),
        ws("frame-opcode-11", length, "a control frame of no kind", frame(FIN | 0x0b, b""), Close(1002)),
        ws("frame-opcode-15", length, "another", frame(FIN | 0x0f, b""), Close(1002)),
        ws(
            "frame-unmasked",
            "RFC 6455 §5.1",
            "a frame without a mask",
            unmasked(FIN | TEXT, ECHO.as_bytes()),
            Close(1002),
        ),
        ws(
            "frame-unmasked-ping",
            "RFC 6455 §5.1",
            "a ping without a mask",
            unmasked(FIN | PING, b""),
            Close(1002),
        ),
        ws(
            "frame-length-long-form",
            length,
            "14 bytes, written with 2 bytes of length",
            with_u16(FIN | TEXT, ECHO.as_bytes()),
            Close(1002),
        ),
        ws(
            "frame-length-longer-form",
            length,
            "14 bytes, written with 8 bytes of length",
            [claiming(FIN | TEXT, 14), ECHO.as_bytes().to_vec()].concat(),
            Close(1002),
        ),
        ws(
            "frame-length-negative",
            length,
            "a length with its highest bit set",
            claiming(FIN | TEXT, 1 << 63),
            Close(1002),
        ),
        ws(
            "frame-length-claimed",
            "CVE-2020-36048 (kind)",
            "a length of 2^62 and no payload",
            claiming(FIN | BINARY, 1 << 62),
            Close(1009),
        ),
        ws(
            "frame-length-over",
            "Engine.IO `maxPayload`",
            "a length of one byte over the limit",
            claiming(FIN | TEXT, 1_000_001),
            Close(1009),
        ),
        ws(
            "frame-length-largest",
            "Engine.IO `maxPayload`",
            "a message of just the largest size",
            text(&format!("6{}", "x".repeat(999_999))),
            Nothing,
        ),
        Case::new(
            "frame-in-bytes",
            "RFC 6455 §5.4",
            "a frame byte by byte is a frame",
            "its echo",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                for byte in text(ECHO) {
                    ws.raw.send([byte])?;
                }
                ws.until_message(|text| text == ECHO)?;
                ws.leave();
                Ok(())
            },
        ),
    ]
}

fn fragments() -> Vec<Case> {
    let rule = "RFC 6455 §5.4";
    let control = "RFC 6455 §5.5";
    let first = || frame(MORE | TEXT, b"42[\"echo\",");
    let last = || frame(FIN, b"\"a\"]");
    vec![
        ws("fragments", rule, "two fragments are a message", [first(), last()].concat(), Says(ECHO)),
        ws(
            "fragments-with-ping",
            rule,
            "a ping between fragments",
            [first(), frame(FIN | PING, b"p"), last()].concat(),
            Pong,
        ),
        ws("fragments-no-first", rule, "a continuation of nothing", frame(FIN, b"a"), Close(1002)),
        ws(
            "fragments-no-last",
            rule,
            "a message within a message",
            [first(), text(ECHO)].concat(),
            Close(1002),
        ),
        ws(
            "fragments-after-last",
            rule,
            "a continuation after the last",
            [first(), last(), last()].concat(),
            Close(1002),
        ),
        ws("fragments-of-ping", control, "a ping in fragments", frame(MORE | PING, b""), Close(1002)),
        ws("fragments-of-close", control, "a close in fragments", frame(MORE | CLOSE, b""), Close(1002)),
        ws(
            "fragments-over",
            "Engine.IO `maxPayload`",
            "fragments that are over the limit together",
            frame(MORE | TEXT, &[b'6'; 60_000])
                .into_iter()
                .chain((0..17).flat_map(|_| frame(MORE, &[b'x'; 60_000])))
                .collect::<Vec<_>>(),
            Close(1009),
        ),
        ws("control-long", control, "a ping of 126 bytes", frame(FIN | PING, &[0; 126]), Close(1002)),
        ws("control-longest", control, "a ping of 125 bytes", frame(FIN | PING, &[0; 125]), Pong),
        ws(
            "control-pong-unasked",
            "RFC 6455 §5.5.3",
            "a pong that nobody asked for",
            frame(FIN | PONG, b"unasked"),
            Nothing,
        ),
        ws("fragments-100000", "CVE-2026-48779", "100,000 fragments of a byte", fragments_of(100_000), Gone)
            .room(16 << 20),
        ws(
            "fragments-empty-100000",
            "CVE-2026-48779",
            "100,000 empty fragments",
            empty_fragments(100_000),
            Gone,
        ),
    ]
}

/// A message of noops in fragments of a byte, without its end.
fn fragments_of(many: usize) -> Vec<u8> {
    frame(MORE | TEXT, b"6").into_iter().chain((0..many).flat_map(|_| frame(MORE, b"x"))).collect()
}

fn empty_fragments(many: usize) -> Vec<u8> {
    frame(MORE | TEXT, b"6").into_iter().chain((0..many).flat_map(|_| frame(MORE, b""))).collect()
}

fn closing() -> Vec<Case> {
    let codes = "RFC 6455 §7.4";
    let refused = |name, does, code: u16| ws(name, codes, does, close(code, b""), Close(1002));
    vec![
        ws("close-empty", "RFC 6455 §5.5.1", "a close without a code", frame(FIN | CLOSE, b""), Gone),
        ws(
            "close-one-byte",
            "RFC 6455 §5.5.1",
            "a close with half a code",
            frame(FIN | CLOSE, &[3]),
            Close(1002),
        ),
        ws(
            "close-reason-no-text",
            "RFC 6455 §5.5.1",
            "a close whose reason is not UTF-8",
            close(1000, &[0xff, 0xfe]),
            Close(1007),
        ),
        refused("close-code-0", "code 0", 0),
        refused("close-code-999", "code 999", 999),
        refused("close-code-1004", "code 1004", 1004),
        refused("close-code-1005", "code 1005, which is never sent", 1005),
        refused("close-code-1006", "code 1006, which is never sent", 1006),
        refused("close-code-1015", "code 1015, which is never sent", 1015),
        refused("close-code-5000", "code 5000", 5000),
        ws("close-code-4999", codes, "code 4999 is for applications", close(4999, b"bye"), Close(4999)),
        ws("close-twice", "RFC 6455 §5.5.1", "two closes", close(1000, b"").repeat(2), Close(1000)),
        ws(
            "close-then-data",
            "RFC 6455 §5.5.1",
            "nothing after a close counts",
            [close(1000, b""), text("garbage"), unmasked(FIN, b"x")].concat(),
            Close(1000),
        ),
    ]
}

fn contents() -> Vec<Case> {
    let utf8 = "RFC 6455 §8.1";
    let spoilt = |name, does, bytes: &[u8]| {
        ws(name, utf8, does, frame(FIN | TEXT, &[br#"42["echo",""#, bytes, br#""]"#].concat()), Close(1007))
    };
    vec![
        spoilt("utf8-bytes", "bytes that are no UTF-8", &[0xff, 0xfe]),
        spoilt("utf8-surrogate", "half of a surrogate pair", &[0xed, 0xa0, 0x80]),
        spoilt("utf8-overlong", "an overlong slash", &[0xc0, 0xaf]),
        spoilt("utf8-beyond", "a code point beyond Unicode", &[0xf4, 0x90, 0x80, 0x80]),
        ws(
            "utf8-cut",
            utf8,
            "a character that does not end",
            frame(FIN | TEXT, b"42[\"\xe2\x82"),
            Close(1007),
        ),
        ws(
            "utf8-cut-by-fragments",
            utf8,
            "a character over two fragments is a character",
            [frame(MORE | TEXT, b"42[\"echo\",\"\xe2\x82"), frame(FIN, b"\xac\"]")].concat(),
            Says("42[\"echo\",\"€\"]"),
        ),
        ws(
            "utf8-fails-fast",
            utf8,
            "a fragment that can no longer become UTF-8",
            frame(MORE | TEXT, &[0xff]),
            Close(1007),
        ),
    ]
}

fn floods() -> Vec<Case> {
    vec![
        Case::new(
            "flood-pings-unread",
            "CWE-400, CVE-2019-9512 (kind)",
            "100,000 pings, and no pong is read",
            "pongs are left out",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                let pings = frame(FIN | PING, &[7; 100]).repeat(1_000);
                for _ in 0..100 {
                    if !ws.raw.push(&pings) {
                        break;
                    }
                }
                Ok(())
            },
        )
        .room(24 << 20),
        ws(
            "flood-pongs",
            "CVE-2026-48802 (kind)",
            "50,000 pongs",
            frame(FIN | PONG, b"").repeat(50_000),
            Nothing,
        ),
        ws(
            "flood-frames-empty",
            "CWE-400",
            "an empty text message is no packet",
            frame(FIN | TEXT, b""),
            Gone,
        ),
        Case::new("flood-connections", "CWE-400", "500 WebSockets that come and go", "served", |target| {
            for _ in 0..500 {
                let ws = Ws::open(target.addr)?;
                drop(ws);
            }
            Ok(())
        }),
        Case::new(
            "garbage-after-upgrade",
            "RFC 6455 §7.1.7",
            "HTTP on a WebSocket",
            "close 1002",
            |target| {
                let mut ws = Ws::joined(target.addr)?;
                ws.raw.send("GET / HTTP/1.1\r\n\r\n")?;
                let code = ws.close_code()?;
                ensure!(code == Some(1002), "{code:?}");
                Ok(())
            },
        ),
    ]
}
