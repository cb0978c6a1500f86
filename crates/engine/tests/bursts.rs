//! What one burst of a client makes the server send goes out as if each message had been written by itself.

mod support;

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{config, inline, quiet};
use wirebird_engine::{Engine, Handshake, Message, Outgoing, Session, Transport};

/// A transport whose peer takes so many bytes.
struct Pipe {
    joins: bool,
    /// What it has taken, and how much more it takes.
    taken: Mutex<(Vec<u8>, usize)>,
}

impl Transport for Pipe {
    fn wake(&self) {}

    fn takes_bytes(&self) -> bool {
        self.joins
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (taken, room) = &mut *self.taken.lock().unwrap();
        let before = taken.len();
        for slice in slices {
            let part = &slice[..slice.len().min(*room)];
            taken.extend_from_slice(part);
            *room -= part.len();
        }
        if taken.len() == before { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len() - before) }
    }
}

impl Pipe {
    fn open(engine: &Engine, joins: bool) -> (Arc<Self>, Arc<Session>) {
        let pipe = Arc::new(Self { joins, taken: Mutex::new((Vec::new(), usize::MAX / 2)) });
        let session = engine.open(Arc::new(Handshake::default()), pipe.clone()).expect("a session");
        *pipe.taken.lock().unwrap() = (Vec::new(), 0);
        (pipe, session)
    }

    fn allow(&self, session: &Session, room: usize) {
        self.taken.lock().unwrap().1 += room;
        session.resume_writing();
    }

    /// The frames that have come but for pings. None is cut, and nothing is between them.
    fn messages(&self) -> Vec<Vec<u8>> {
        let (bytes, _) = &*self.taken.lock().unwrap();
        let (mut at, mut frames) = (0, Vec::new());
        while at < bytes.len() {
            assert!(matches!(bytes[at], 0x81 | 0x82), "{:#x} begins no message", bytes[at]);
            let (head, len) = match bytes[at + 1] {
                126 => (4, usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]))),
                len => (2, usize::from(len)),
            };
            frames.push(bytes[at..at + head + len].to_vec());
            at += head + len;
        }
        frames.retain(|frame| frame != b"\x81\x012");
        frames
    }
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

fn message(dice: &mut Dice, number: usize) -> Outgoing {
    let padding = "x".repeat([0, 10, 500, 1010, 3000][dice.roll(5)]);
    let text = format!("{number} {padding}");
    match dice.roll(6) {
        0 => {
            let attachments = [Bytes::from(vec![1; dice.roll(40)]), Bytes::from(text.clone())];
            Outgoing::with_attachments(&Message::Text(text.into()), &attachments)
        }
        1 => Outgoing::binary(text.as_bytes()),
        2 => Outgoing::text(&text).conflated(dice.roll(2).to_string().into()),
        _ => Outgoing::text(&text),
    }
}

/// F-PRO-11: whatever is joined on its way, in whichever pieces the client takes it, what comes is what comes from
/// a transport that nothing is joined for: the same messages whole, in the same order.
#[test]
fn what_is_joined_comes_as_if_it_were_not() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let config = config(|c| {
            c.ping_interval = Duration::from_secs(1);
            c.ping_timeout = Duration::from_secs(100_000);
            c.write_timeout = Duration::from_secs(100_000);
            (c.send_queue.max_packets, c.send_queue.max_bytes) = (usize::MAX, usize::MAX);
        });
        let (engine, _events) = inline(config, quiet);
        let ends = [Pipe::open(&engine, true), Pipe::open(&engine, false)];
        let mut now = Instant::now();
        for number in 0..60 {
            let command = dice.roll(14);
            let (message, room) = (message(&mut dice, number), dice.roll(2500));
            now += Duration::from_secs(2);
            if command == 0 {
                engine.tick(now);
            }
            let sent = ends.each_ref().map(|(pipe, session)| match command {
                0 => {
                    session.receive_text("3".into());
                    true
                }
                1 | 2 => {
                    session.cork();
                    true
                }
                3 => {
                    session.uncork();
                    true
                }
                4 | 5 => {
                    pipe.allow(session, room);
                    true
                }
                6 => std::thread::scope(|scope| scope.spawn(|| session.send(message.clone()).is_ok()).join())
                    .unwrap(),
                7 => session.send_volatile(message.clone()).unwrap(),
                8 => session.send_later(message.clone()).is_ok(),
                _ => session.send(message.clone()).is_ok(),
            });
            assert_eq!(sent[0], sent[1], "seed {seed}");
        }
        for (pipe, session) in &ends {
            session.uncork();
            pipe.allow(session, usize::MAX / 2);
            assert_eq!(session.queued(), (0, 0), "seed {seed}");
        }
        assert_eq!(ends[0].0.messages(), ends[1].0.messages(), "seed {seed}");
    }
}
