//! Packets in MessagePack, on a server whose parser that is.

use crate::case::{Case, Setup, Way};
use crate::target::Target;
use crate::wire::ws::{BINARY, FIN, Frame, TARGET, Ws, frame, text};
use crate::wire::{Outcome, ensure, fail};

/// Packets are maps of these three.
fn packet(kind: &[u8], namespace: &[u8], data: &[u8]) -> Vec<u8> {
    [b"\x83\xa4type", kind, b"\xa3nsp", namespace, b"\xa4data", data].concat()
}

/// An event with this as its array of name and arguments.
fn event(data: impl AsRef<[u8]>) -> Vec<u8> {
    packet(b"\x02", b"\xa1/", data.as_ref())
}

/// An event of the name `echo` with this argument.
fn echo(argument: impl AsRef<[u8]>) -> Vec<u8> {
    event([b"\x92\xa4echo", argument.as_ref()].concat())
}

fn joined(target: &Target) -> Outcome<Ws> {
    let (mut ws, _) = Ws::at(target.other()?, TARGET, "")?;
    ensure!(ws.message()?.starts_with("0{"), "no OPEN");
    ws.raw.send(frame(FIN | BINARY, b"\x82\xa4type\x00\xa3nsp\xa1/"))?;
    match ws.next()? {
        Frame::Binary(_) => Ok(ws),
        other => fail!("{other:?} in place of CONNECT"),
    }
}

fn echoes(ws: &mut Ws) -> Outcome {
    ws.raw.push(frame(FIN | BINARY, &echo(b"\xaastill here")));
    loop {
        match ws.next()? {
            Frame::Binary(bytes) if bytes.windows(10).any(|part| part == b"still here") => return Ok(()),
            Frame::Binary(_) => {}
            other => fail!("{other:?} in place of an echo"),
        }
    }
}

fn case(name: &'static str, does: &'static str, frame: Vec<u8>, ends: bool) -> Case {
    let answer = if ends { "the session ends" } else { "the session goes on" };
    Case::new(name, "MessagePack", does, answer, move |target| {
        let mut ws = joined(target)?;
        ws.raw.push(&frame);
        if ends {
            return ws.gone();
        }
        echoes(&mut ws)?;
        ws.leave();
        Ok(())
    })
    .on(Setup::Packed)
    .only(Way::Own)
}

/// What is no packet.
fn wrong(name: &'static str, does: &'static str, message: impl AsRef<[u8]>) -> Case {
    case(name, does, frame(FIN | BINARY, message.as_ref()), true)
}

/// What is one, however odd.
fn odd(name: &'static str, does: &'static str, message: impl AsRef<[u8]>) -> Case {
    case(name, does, frame(FIN | BINARY, message.as_ref()), false)
}

pub(super) fn cases() -> Vec<Case> {
    let many = |count: usize, each: &[u8]| each.repeat(count);
    let array = |count: usize, each: &[u8]| {
        [&b"\xdd"[..], &(count as u32).to_be_bytes(), &many(count, each)].concat()
    };
    vec![
        wrong("packed-nothing", "an empty message", b""),
        case("packed-text", "a packet of the ordinary parser", text(r#"42["echo",1]"#), true),
        wrong("packed-unused-byte", "the byte that means nothing", echo(b"\xc1")),
        wrong("packed-cut-short", "half a packet", &echo(b"\xaastill here")[..20]),
        wrong("packed-trailing", "a byte behind the packet", [echo(b"\x01"), vec![0xc0]].concat()),
        wrong("packed-no-map", "an array in place of a packet", b"\x93\x02\xa1/\x91\xa4echo"),
        wrong("packed-kind-unknown", "a packet of type 9", packet(b"\x09", b"\xa1/", b"\x91\xa4echo")),
        wrong("packed-kind-text", "a type that is text", packet(b"\xa12", b"\xa1/", b"\x91\xa4echo")),
        wrong(
            "packed-namespace-number",
            "a namespace that is a number",
            packet(b"\x02", b"\x2f", b"\x91\xa4echo"),
        ),
        odd("packed-name-number", "an event whose name is a number, as it may be", event(b"\x91\x07")),
        wrong(
            "packed-array-lies",
            "an array of 4 billion arguments that are not there",
            event(b"\xdd\xff\xff\xff\xff\xa4echo"),
        ),
        wrong(
            "packed-map-lies",
            "a map of 4 billion entries that are not there",
            echo(b"\xdf\xff\xff\xff\xff"),
        ),
        wrong("packed-text-lies", "4 GiB of text that are not there", echo(b"\xdb\xff\xff\xff\xff")),
        wrong("packed-binary-lies", "4 GiB of binary that are not there", echo(b"\xc6\xff\xff\xff\xff")),
        wrong(
            "packed-extension-lies",
            "an extension of 4 GiB that is not there",
            echo(b"\xc9\xff\xff\xff\xff\x01"),
        ),
        wrong("packed-text-no-utf8", "text that is no UTF-8", echo(b"\xa2\xff\xfe")),
        wrong("packed-depth-100000", "100,000 arrays in each other", echo(many(100_000, b"\x91"))),
        wrong("packed-depth-maps", "100,000 maps in each other", echo(many(100_000, b"\x81\xa1a"))),
        wrong("packed-arguments-900000", "900,000 arguments", event([array(900_000, b"\xc0")].concat())),
        wrong("packed-attachments-11", "11 pieces of binary", echo(array(11, b"\xc4\x01x"))),
        odd("packed-map-huge", "a map of 100,000 entries with one key", {
            echo([&b"\xdf\x00\x01\x86\xa0"[..], &many(100_000, b"\xa1a\xc0")].concat())
        }),
        // A byte of each becomes five, and the answer is made of them.
        odd("packed-values-900000", "900,000 values in one argument", echo(array(900_000, b"\xc0")))
            .room(32 << 20),
    ]
}
