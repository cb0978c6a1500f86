//! A model of a session beside the real one: polls, POSTs, upgrades, messages, closes and time in any order, and both must
//! show the same to the client and to the application.

#![allow(unreachable_pub)]

mod command;
mod ends;
mod reference;
mod system;
mod threads;

use command::{Command, Packet, alphabet, command, number};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use reference::{Beginning, Link, Model, Phase, Seen, WRITE_TIMEOUTS};
use system::System;
use wirebird_engine::TransportKind;

/// How much is tried: `WIREBIRD_MODEL` is the number of random sequences, 2,000 by default.
fn cases() -> u32 {
    std::env::var("WIREBIRD_MODEL").map_or(2_000, |cases| cases.parse().expect("a number"))
}

/// What a client does that wants to have everything, and what the application does at last.
fn ending() -> Vec<Command> {
    use Command::*;
    let mut ending = vec![ResumeReading, EndPost(vec![Packet::Pong]), Close];
    ending.extend([Poll, Read, Poll, Read, Poll, Read]);
    // Longer than any deadline.
    ending.push(Wait(200));
    ending
}

/// Runs both; they are compared after every step.
fn run(beginning: Beginning, mut commands: Vec<Command>) -> Result<(), TestCaseError> {
    number(&mut commands);
    let mut model = Model::new(beginning);
    let mut system = System::new(beginning);
    let mut seen = Vec::new();
    for (at, command) in commands.iter().chain(&ending()).enumerate() {
        let expected = model.step(command);
        if model.is_tied() {
            return Ok(());
        }
        let happened = system.step(command);
        let context = || format!("step {at}, {command:?}, of {commands:?}\n{model:?}");
        prop_assert_eq!(&happened, &expected, "{}", context());
        let session = &system.session;
        prop_assert_eq!(session.is_open(), model.phase == Phase::Open, "{}", context());
        prop_assert_eq!(session.close_reason(), model.reason(), "{}", context());
        prop_assert_eq!(session.queued().0, model.queued(), "{}", context());
        prop_assert_eq!(system.replaced(), model.replaced, "{}", context());
        prop_assert_eq!(session.transport() == TransportKind::Polling, model.link == Link::Polling);
        prop_assert_eq!(system.is_known(), !model.forgotten, "{}", context());
        seen.extend(happened);
    }
    check(&seen)?;
    prop_assert!(!system.is_known());
    let (engine, left) = system.leave();
    prop_assert!(left.upgrade().is_none(), "something holds the session");
    // Timers that were asked for before the end come, find nobody, and ask for no others.
    for _ in 0..8 {
        engine.next_deadline().into_iter().for_each(|next| engine.tick(next));
    }
    prop_assert_eq!(engine.next_deadline(), None, "a timer is left");
    Ok(())
}

/// What must hold whatever the model says: it ends once, nothing comes twice, late or out of order.
fn check(seen: &[Seen]) -> Result<(), TestCaseError> {
    let closed: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Closed(_))).collect();
    prop_assert_eq!(closed.len(), 1, "{:?}", seen);
    let end = seen.iter().position(|seen| matches!(seen, Seen::Closed(_))).expect("an end");
    prop_assert!(!seen[end..].iter().any(|seen| matches!(seen, Seen::Message(_) | Seen::Upgraded)));
    let (mut sent, mut at) = (Vec::new(), 0);
    for (step, seen) in seen.iter().enumerate() {
        let (key, taken) = match seen {
            Seen::Sent(taken) => (None, *taken),
            Seen::SentValue(key, taken) => (Some(*key), *taken),
            _ => continue,
        };
        at += 1;
        prop_assert!(!taken || step < end);
        sent.extend(taken.then_some((at, key)));
    }
    let got = seen.iter().flat_map(|seen| match seen {
        Seen::Polled(packets) | Seen::Frames(packets) => &packets[..],
        _ => &[],
    });
    let got: Vec<u32> = got.filter_map(|packet| packet.strip_prefix('4')?.parse().ok()).collect();
    prop_assert!(got.is_sorted_by(|one, other| one < other), "{:?}", got);
    let was_sent = |number: &u32| sent.iter().any(|(sent, _)| sent == number);
    prop_assert!(got.iter().all(was_sent), "{:?} of {:?}", got, sent);
    // What is missing before the last one has had its place taken.
    let last = got.last().copied().unwrap_or_default();
    let is_lost = |(number, key): &(u32, Option<u8>), until: u32| {
        let newer = |(other, of): &(u32, _)| other > number && of == key;
        !got.contains(number) && *number <= until && (key.is_none() || !sent.iter().any(newer))
    };
    prop_assert!(!sent.iter().any(|sent| is_lost(sent, last)), "{:?} of {:?}", got, sent);
    let drained = matches!(closed[0], Seen::Closed(reason) if matches!(reason,
        wirebird_engine::CloseReason::ForcedClose | wirebird_engine::CloseReason::ServerShutdown));
    // The ones that read to the end have everything.
    let read = seen[end..]
        .iter()
        .any(|seen| matches!(seen, Seen::Polled(packets) if packets.ends_with(&["1".into()])));
    let all = !sent.iter().any(|sent| is_lost(sent, u32::MAX));
    prop_assert!(!drained || !read || all, "{:?} of {:?}", got, sent);
    Ok(())
}

/// F-PRO-05, F-PRO-11, F-PRO-12, F-DIS-02: random sequences, shrunk when they fail.
#[test]
fn sessions_do_what_the_model_does() {
    let mut runner = proptest::test_runner::TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    });
    let beginnings = (any::<bool>(), prop::sample::select(&WRITE_TIMEOUTS[..]));
    let sequences = (beginnings, prop::collection::vec(command(), 1..60));
    let each = |((on_stream, write_timeout), commands)| run(Beginning { on_stream, write_timeout }, commands);
    if let Err(error) = runner.run(&sequences, each) {
        panic!("{error}");
    }
}

/// The same for every sequence of three commands (four in the long form) out of a short list, from polling and from a stream, and after the usual
/// beginning of an upgrade.
#[test]
fn short_sequences_are_all_tried() {
    let alphabet = alphabet();
    let [patient, impatient] = WRITE_TIMEOUTS;
    let upgrade = vec![Command::Poll, Command::OpenCandidate, Command::Feed(command::Fed::Probe)];
    let beginnings = [
        (Beginning { on_stream: true, write_timeout: patient }, vec![]),
        (Beginning { on_stream: true, write_timeout: impatient }, vec![]),
        (Beginning { on_stream: false, write_timeout: impatient }, vec![]),
        (Beginning { on_stream: false, write_timeout: patient }, upgrade),
    ];
    let length = if cases() > 2_000 { 4 } else { 3 };
    for (beginning, first) in beginnings {
        for number in 0..alphabet.len().pow(length) {
            let mut commands = first.clone();
            let mut rest = number;
            for _ in 0..length {
                commands.push(alphabet[rest % alphabet.len()].clone());
                rest /= alphabet.len();
            }
            if let Err(error) = run(beginning, commands) {
                panic!("{error}");
            }
        }
    }
}
