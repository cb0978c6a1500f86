//! What comes to a listener that waits for TLS. Nobody gets beyond the beginning.

use std::time::Duration;

use crate::case::{Case, Setup, Way};
use crate::wire::http::get;
use crate::wire::{Raw, ensure};

const RULE: &str = "RFC 8446 5.1";

/// The head of a record of this type that claims so many bytes, and what is sent of them.
fn record(kind: u8, claimed: u16, bytes: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &claimed.to_be_bytes()[..], bytes].concat()
}

/// Bytes in place of a beginning: the connection is closed.
fn begins(name: &'static str, does: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    let bytes = bytes.into();
    Case::new(name, RULE, does, "closed", move |target| {
        let mut raw = Raw::connect(target.other()?)?;
        raw.push(&bytes);
        raw.end().map(drop)
    })
}

pub(super) fn cases() -> Vec<Case> {
    // A ClientHello begins so; this one has 508 bytes, of which few come.
    let half = record(22, 512, &[1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0, 0]);
    let many = half.clone();
    let cases = vec![
        begins("tls-nothing", "a connection that says nothing", b""),
        begins("tls-half-hello", "half a ClientHello, then silence", half.clone()),
        begins("tls-plain-http", "a request without TLS", get("/socket.io/?EIO=4&transport=polling")),
        begins("tls-garbage", "64 KiB of anything", (0..=255_u8).cycle().take(64 << 10).collect::<Vec<_>>()),
        begins("tls-record-long", "a record of 65,535 bytes", record(22, 0xffff, &[1; 60_000])),
        begins("tls-record-empty", "10,000 empty records", record(22, 0, &[]).repeat(10_000)),
        begins(
            "tls-hello-long",
            "a ClientHello that claims 16 MiB",
            record(22, 4, &[1, 0xff, 0xff, 0xff]).repeat(4000),
        ),
        begins(
            "tls-heartbeat",
            "a heartbeat that claims more than it has (CVE-2014-0160)",
            record(24, 3, &[1, 0x40, 0]),
        ),
        begins("tls-early-data", "application data before anything", record(23, 5, b"hello")),
        begins("tls-alerts", "1,000 warnings", record(21, 2, &[1, 0]).repeat(1000)),
        begins("tls-ssl2", "a beginning of SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec()),
        Case::new("tls-slow-hello", RULE, "a ClientHello byte by byte", "closed in time", move |target| {
            let mut raw = Raw::connect(target.other()?)?;
            let whole = [half.clone(), vec![0; 100]].concat();
            ensure!(!raw.drip(&whole, 1, Duration::from_millis(50)), "it took them all");
            raw.end().map(drop)
        }),
        Case::new("tls-many", RULE, "200 connections with half a ClientHello", "all closed", move |target| {
            let mut all = Vec::new();
            for _ in 0..200 {
                let mut raw = Raw::connect(target.other()?)?;
                raw.push(&many);
                all.push(raw);
            }
            all.iter_mut().try_for_each(|raw| raw.end().map(drop))
        }),
    ];
    cases.into_iter().map(|case| case.on(Setup::Tls).only(Way::Own)).collect()
}
