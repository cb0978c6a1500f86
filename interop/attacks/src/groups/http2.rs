//! HTTP/2: floods of frames that cost their sender nothing, and frames that are wrong.

use crate::case::Case;
use crate::wire::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, Verdict, WINDOW_UPDATE, frame, header, request,
};
use crate::wire::session::POLLING;
use crate::wire::{Outcome, ensure};

/// What may become of a stream.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// The connection ends.
    End,
    /// The stream ends without an answer, or the connection.
    Refused,
    /// An answer that begins so: 0x88 is 200.
    Answer(u8),
}

impl Want {
    fn text(self) -> &'static str {
        match self {
            Self::End => "GOAWAY, or closed",
            Self::Refused => "the stream is reset",
            Self::Answer(_) => "answered",
        }
    }

    fn check(self, h2: &mut H2, stream: u32) -> Outcome {
        let verdict = h2.verdict(stream)?;
        let as_wanted = match self {
            Self::End => matches!(verdict, Verdict::Ended(_)),
            // 0x8c is 400, and 0x08 begins a status that is in no table.
            Self::Refused => matches!(
                verdict,
                Verdict::Ended(_) | Verdict::Reset(_) | Verdict::Answered(0x8c | 0x08 | 0x48)
            ),
            Self::Answer(first) => verdict == Verdict::Answered(first),
        };
        ensure!(as_wanted, "{verdict:?}");
        Ok(())
    }
}

/// Frames on a connection; what is looked at is stream 1.
fn h2(name: &'static str, rule: &'static str, does: &'static str, bytes: Vec<u8>, want: Want) -> Case {
    Case::new(name, rule, does, want.text(), move |target| {
        let mut h2 = H2::open(target.addr)?;
        h2.raw.push(&bytes);
        want.check(&mut h2, 1)
    })
}

/// A flood that is pushed as long as the server takes it; it may as well bear it.
fn flood(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    head: Vec<u8>,
    piece: Vec<u8>,
    times: usize,
) -> Case {
    Case::new(name, rule, does, "borne within bounds, or GOAWAY", move |target| {
        let mut h2 = H2::open(target.addr)?;
        h2.raw.push(&head);
        let _ = (0..times).take_while(|_| h2.raw.push(&piece)).count();
        Ok(())
    })
    .room(24 << 20)
}

/// A request on this stream.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", POLLING))
}

/// A request on stream 1 with one more header.
fn with(name: &str, value: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &[request("GET", POLLING), header(name, value)].concat())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = floods();
    cases.extend(wrong());
    cases
}

fn floods() -> Vec<Case> {
    let reset = |stream: u32| [get(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat();
    let resets: Vec<u8> = (0..10_000).flat_map(|n| reset(2 * n + 1)).collect();
    let polls: Vec<u8> = (0..2_000).flat_map(|n| get(2 * n + 1)).collect();
    let open = frame(HEADERS, 0, 1, &request("GET", POLLING));
    let post = frame(HEADERS, END_HEADERS, 1, &request("POST", POLLING));
    // A header of 4,000 bytes that goes into the table, and references to it.
    let mut bomb = vec![0x40, 1, b'a', 127, 0xa1, 0x1e];
    bomb.extend([b'a'; 4_000]);
    bomb.extend([0xbe; 10_000]);
    let bomb = [request("GET", POLLING), bomb].concat();
    vec![
        h2("h2", "RFC 9113", "a handshake", get(1), Want::Answer(0x88)),
        h2(
            "h2-rapid-reset",
            "CVE-2023-44487, RUSTSEC-2023-0034",
            "10,000 requests, each reset at once",
            resets,
            Want::End,
        )
        .room(24 << 20),
        h2(
            "h2-continuations",
            "RUSTSEC-2024-0332, VU#421664",
            "a head that goes on for 4,000 frames",
            [open.clone(), frame(CONTINUATION, 0, 1, &header("a", &"b".repeat(16_000))).repeat(4_000)]
                .concat(),
            Want::Refused,
        )
        .room(24 << 20),
        h2(
            "h2-hpack-bomb",
            "CVE-2016-6581 (kind)",
            "40 MB of headers in 14 KB",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb),
            Want::Refused,
        ),
        flood(
            "h2-continuations-empty",
            "CVE-2019-9518",
            "50,000 frames of a head that are empty",
            open,
            frame(CONTINUATION, 0, 1, &[]).repeat(1_000),
            50,
        ),
        flood(
            "h2-pings",
            "CVE-2019-9512",
            "100,000 pings, and no answer is read",
            Vec::new(),
            frame(PING, 0, 0, &[0; 8]).repeat(1_000),
            100,
        ),
        flood(
            "h2-settings",
            "CVE-2019-9515",
            "100,000 settings, and no answer is read",
            Vec::new(),
            frame(SETTINGS, 0, 0, &[]).repeat(1_000),
            100,
        ),
        flood(
            "h2-data-empty",
            "CVE-2019-9518",
            "100,000 empty frames of a body",
            post,
            frame(DATA, 0, 1, &[]).repeat(1_000),
            100,
        ),
        flood(
            "h2-priorities",
            "CVE-2019-9513",
            "100,000 priorities of streams that are not there",
            Vec::new(),
            frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]).repeat(1_000),
            100,
        ),
        flood(
            "h2-streams",
            "CWE-400",
            "2,000 requests at once, of which 256 are allowed",
            polls,
            Vec::new(),
            0,
        ),
        Case::new(
            "h2-window-0",
            "CVE-2019-9511, CVE-2019-9517",
            "100 requests whose answers must not be sent",
            "nothing is left when it goes",
            |target| {
                let mut h2 = H2::with_settings(target.addr, &[0, 4, 0, 0, 0, 0])?;
                for stream in 0..100 {
                    h2.raw.push(get(2 * stream + 1));
                }
                std::thread::sleep(std::time::Duration::from_millis(200));
                Ok(())
            },
        ),
    ]
}

fn wrong() -> Vec<Case> {
    let rule = "RFC 9113 §5.1, §6";
    let malformed = "RFC 9113 §8.2";
    let lie = [
        frame(HEADERS, END_HEADERS, 1, &[request("POST", POLLING), header("content-length", "5")].concat()),
        frame(DATA, END_STREAM, 1, b"more than five"),
    ]
    .concat();
    vec![
        h2(
            "h2-frame-too-large",
            rule,
            "a frame of 16 MB",
            [&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1][..], &[0; 1000]].concat(),
            Want::End,
        ),
        h2("h2-stream-even", rule, "a stream of the server's", get(2), Want::End),
        h2("h2-stream-0", rule, "a request on stream 0", get(0), Want::End),
        h2("h2-stream-again", rule, "a stream that is over", [get(5), get(3)].concat(), Want::End),
        h2("h2-data-of-nothing", rule, "a body without a head", frame(DATA, 0, 1, b"body"), Want::End),
        h2(
            "h2-push",
            rule,
            "a push, which is the server's",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Want::End,
        ),
        h2(
            "h2-window-overflow",
            rule,
            "a window beyond 2^31",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()).repeat(2),
            Want::End,
        ),
        h2("h2-ping-short", rule, "a ping of 3 bytes", frame(PING, 0, 0, &[0; 3]), Want::End),
        h2(
            "h2-hpack-junk",
            "RFC 7541",
            "a head that is no HPACK",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40]),
            Want::End,
        ),
        h2(
            "h2-between",
            rule,
            "another frame within a head",
            [frame(HEADERS, 0, 1, &request("GET", POLLING)), frame(PING, 0, 0, &[0; 8])].concat(),
            Want::End,
        ),
        h2("h2-upper-case", malformed, "a header in upper case", with("Cookie", "a"), Want::Refused),
        h2(
            "h2-connection",
            malformed,
            "a header of connections",
            with("connection", "keep-alive"),
            Want::Refused,
        ),
        h2("h2-chunked", "CWE-444", "chunks", with("transfer-encoding", "chunked"), Want::Refused),
        h2("h2-line-end", "CWE-113", "a line end within a value", with("cookie", "a\r\nb: c"), Want::Refused),
        h2(
            "h2-no-path",
            malformed,
            "a request without a path",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &header(":method", "GET")),
            Want::Refused,
        ),
        h2("h2-length-lies", "RFC 9113 §8.1.1", "a body longer than its length", lie, Want::Refused),
        h2(
            "h2-origin",
            "CVE-2019-13611",
            "a page of another site",
            with("origin", "https://evil.example"),
            Want::Refused,
        ),
        h2(
            "h2-many-headers",
            "CWE-770",
            "500 headers of 200 bytes",
            frame(HEADERS, END_STREAM, 1, &request("GET", POLLING))
                .into_iter()
                .chain((0..7).flat_map(|n| {
                    frame(
                        CONTINUATION,
                        if n == 6 { END_HEADERS } else { 0 },
                        1,
                        &header("a", &"b".repeat(200)).repeat(70),
                    )
                }))
                .collect(),
            Want::Refused,
        ),
    ]
}
