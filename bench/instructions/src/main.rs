//! Hot paths, run a given number of times. `instructions/check` counts their instructions under callgrind: it runs a
//! path twice, with different numbers of turns, so that whatever happens once is not counted.
//!
//! `bench-instructions` lists the paths, `bench-instructions PATH TURNS` runs one.

mod codec;
mod memory;
mod websocket;

use std::process::ExitCode;

/// A path: its name, and how to take a number of turns on it.
type Path = (&'static str, fn(u64));

const PATHS: &[Path] = &[
    ("websocket-decode-32", |turns| codec::websocket_decode(turns, 32)),
    ("websocket-decode-1k", |turns| codec::websocket_decode(turns, 1024)),
    ("websocket-encode-32", |turns| codec::websocket_encode(turns, 32)),
    ("websocket-encode-1k", |turns| codec::websocket_encode(turns, 1024)),
    ("packet-parse-32", |turns| codec::packet_parse(turns, 32)),
    ("packet-parse-1k", |turns| codec::packet_parse(turns, 1024)),
    ("packet-encode-32", |turns| codec::packet_encode(turns, 32)),
    ("echo", memory::echo),
    ("echo-msgpack", memory::echo_msgpack),
    ("burst-16", websocket::burst),
    ("broadcast-1000", |turns| memory::broadcast(turns, false)),
    ("broadcast-1000-recovery", |turns| memory::broadcast(turns, true)),
    ("answer", |turns| memory::answer(turns, false)),
    ("answer-recovery", |turns| memory::answer(turns, true)),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(name), turns) = (args.next(), args.next().and_then(|turns| turns.parse().ok())) else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match (PATHS.iter().find(|(path, _)| *path == name), turns) {
        (Some((_, run)), Some(turns)) => {
            run(turns);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: bench-instructions [PATH TURNS]");
            ExitCode::FAILURE
        }
    }
}
