//! The same from several threads at once: a client that polls, posts and moves to another transport, an application that
//! sends from two threads, time that passes, and somebody who ends it. Its locks are those that sanitizers can follow.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll as TaskPoll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wirebird_engine::http::Step;
use wirebird_engine::memory::Connection;
use wirebird_engine::{CloseReason, Config, Engine, Frame, Outgoing, Session, TransportKind};

use crate::cases;
use crate::ends::{App, End, request};

const PER_SENDER: u32 = 20;
const POSTS: u32 = 12;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// A random generator that is good enough to shake things up.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn dawdle(&mut self) {
        match self.below(4) {
            0 => thread::yield_now(),
            1 => thread::sleep(Duration::from_micros(self.below(60))),
            _ => {}
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The result of a future, which must come; `session` is what it waits for.
fn block_on<T>(session: &Weak<Session>, future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let begun = Instant::now();
    loop {
        if let TaskPoll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(Duration::from_secs(1));
        if begun.elapsed() > PATIENCE {
            let left = session.upgrade().map(|s| (s.transport(), s.is_open(), s.close_reason(), s.queued()));
            panic!("a wake-up was lost: {left:?}");
        }
    }
}

struct Round {
    engine: Engine,
    app: Arc<App>,
    session: Weak<Session>,
    id: String,
    /// The stream that has taken over.
    stream: Mutex<Option<Arc<Connection>>>,
    reader: Mutex<Option<Thread>>,
    over: AtomicBool,
}

impl Round {
    fn new() -> Arc<Self> {
        let mut config = Config::default();
        config.ping_interval = Duration::from_secs(10);
        config.ping_timeout = Duration::from_secs(10);
        let app = Arc::<App>::default();
        let engine = Engine::new(config, app.clone()).unwrap();
        drop(request(&engine, "GET", ""));
        let session = engine.sessions().pop().expect("a session");
        Arc::new(Self {
            engine,
            app,
            id: session.id().to_string(),
            session: Arc::downgrade(&session),
            stream: Mutex::default(),
            reader: Mutex::default(),
            over: AtomicBool::new(false),
        })
    }

    fn request(&self, method: &str) -> Step {
        request(&self.engine, method, &format!("&sid={}", self.id))
    }

    /// Reads to the end; returns the messages, and whether the end was told.
    fn read(&self) -> (Vec<String>, bool) {
        *self.reader.lock() = Some(thread::current());
        let mut got = Vec::new();
        let mut take = |packet: &str| got.extend(packet.strip_prefix('4').map(str::to_owned));
        while let Step::Poll(poll, _) = self.request("GET") {
            let body = block_on(&self.session, poll);
            let body = std::str::from_utf8(body.bytes()).unwrap();
            body.split('\x1e').for_each(&mut take);
            if body.ends_with('1') && body.split('\x1e').next_back() == Some("1") {
                return (got, true);
            }
        }
        let begun = Instant::now();
        loop {
            let stream = self.stream.lock().clone();
            if let Some(stream) = stream {
                let open = stream.is_open();
                for frame in stream.take_batch() {
                    let Frame::Text(text) = frame else { panic!("{frame:?}") };
                    take(&text);
                }
                if !open {
                    return (got, true);
                }
            } else if self.over.load(Ordering::SeqCst) {
                return (got, false);
            }
            thread::park_timeout(Duration::from_millis(20));
            assert!(begun.elapsed() < PATIENCE, "it does not end");
        }
    }

    fn wake_reader(&self) {
        if let Some(thread) = &*self.reader.lock() {
            thread.unpark();
        }
    }

    /// Sends what the client has to say, over whatever carries it.
    fn post(&self, dice: &mut Dice) {
        for number in 1..=POSTS {
            dice.dawdle();
            let text = format!("4{number}");
            // What has been refused because the session moves is said again there.
            loop {
                match self.request("POST") {
                    Step::Post(mut post, _) => {
                        let taken = block_on(&self.session, post.deliver(Bytes::from(text.clone())));
                        post.finish();
                        if taken {
                            break;
                        }
                    }
                    _ if self.session.upgrade().is_none_or(|session| !session.is_open()) => return,
                    _ => {}
                }
                if let Some(stream) = self.stream.lock().clone() {
                    stream.feed(Frame::Text(text.clone().into()));
                    break;
                }
                thread::yield_now();
            }
        }
    }

    fn upgrade(self: &Arc<Self>, dice: &mut Dice) {
        for _ in 0..3 {
            dice.dawdle();
            let Some(session) = self.session.upgrade() else { return };
            let round = Arc::downgrade(self);
            let on_wake = move || round.upgrade().iter().for_each(|round| round.wake_reader());
            let Some(candidate) = Connection::upgrade(&session, on_wake) else { return };
            candidate.feed(Frame::Text("2probe".into()));
            dice.dawdle();
            candidate.take_batch();
            candidate.feed(Frame::Text("5".into()));
            if session.transport() == TransportKind::WebSocket {
                *self.stream.lock() = Some(Arc::new(candidate));
                return self.wake_reader();
            }
        }
    }

    /// Returns how many were taken.
    fn send(&self, name: char, dice: &mut Dice) -> u32 {
        for number in 1..=PER_SENDER {
            dice.dawdle();
            let Some(session) = self.session.upgrade() else { return number - 1 };
            if session.send(Outgoing::text(&format!("{name}{number}"))).is_err() {
                return number - 1;
            }
        }
        PER_SENDER
    }

    fn end(&self, end: End) {
        let Some(session) = self.session.upgrade() else { return };
        match end {
            End::Application => session.close(CloseReason::ForcedClose),
            End::Shutdown => self.engine.begin_close(),
            End::ClientClose => session.close(CloseReason::ClientClose),
            End::Silence => {
                // A late pong is excused while the client moves, or is being heard.
                for seconds in (1..).take_while(|_| session.is_open()) {
                    self.engine.tick(Instant::now() + Duration::from_secs(seconds));
                    thread::yield_now();
                }
            }
            End::Break => {
                let stream = self.stream.lock().clone();
                match stream {
                    Some(stream) => stream.close(),
                    None => session.close(CloseReason::TransportError),
                }
            }
        }
    }
}

fn round(seed: u64) {
    let mut dice = Dice(seed);
    let end = End::ALL[dice.below(5) as usize];
    let (upgrades, patience) = (dice.below(4) != 0, dice.below(1_500));
    let round = Round::new();
    let seeds: Vec<u64> = (0..5).map(|_| dice.below(u64::MAX - 1) + 1).collect();
    let (one, other, (got, told)) = thread::scope(|scope| {
        let round = &round;
        let reader = scope.spawn(|| round.read());
        let senders = [('a', 0), ('b', 1)].map(|(name, at)| {
            let mut dice = Dice(seeds[at]);
            scope.spawn(move || round.send(name, &mut dice))
        });
        let mut others = Vec::new();
        let (mut to_post, mut to_upgrade) = (Dice(seeds[2]), Dice(seeds[3]));
        others.push(scope.spawn(move || round.post(&mut to_post)));
        if upgrades {
            others.push(scope.spawn(move || round.upgrade(&mut to_upgrade)));
        }
        others.push(scope.spawn(move || {
            thread::sleep(Duration::from_micros(patience));
            round.end(end);
        }));
        let [one, other] = senders.map(|sender| sender.join().unwrap());
        others.into_iter().for_each(|other| other.join().unwrap());
        round.over.store(true, Ordering::SeqCst);
        round.wake_reader();
        (one, other, reader.join().unwrap())
    });

    // Said before what fails.
    println!("seed {seed}, {end:?}, upgrades: {upgrades}");
    round.app.check([('a', one), ('b', other)], &got, told);
    // Deadlines that were asked for before the end come, and ask for no others. How far away they are depends on how far
    // time went until a silent client was given up.
    for _ in 0..16 {
        round.engine.next_deadline().into_iter().for_each(|next| round.engine.tick(next));
    }
    *round.stream.lock() = None;
    assert_eq!(round.engine.session_count(), 0);
    assert!(round.session.upgrade().is_none());
    assert_eq!(round.engine.next_deadline(), None, "a timer is left");
}

/// F-PRO-05, F-PRO-11, F-DIS-02: one end, everything in order, nothing twice, nothing left.
#[test]
fn threads_end_a_session_once() {
    for seed in 1..=u64::from(cases() / 4) {
        round(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}
