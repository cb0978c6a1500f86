//! One session and everybody who has to do with it: a client that polls, posts and moves to another transport, an
//! application that sends, time, and somebody who ends it. Whichever order their locks are taken in, it ends once, whoever
//! waits is woken, nothing is lost, doubled or out of order, and nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::{self, Thread};
use wirebird_engine::http::Step;
use wirebird_engine::memory::Connection;
use wirebird_engine::{CloseReason, Config, Engine, Frame, Outgoing, Session, TransportKind};
use wirebird_model::try_orders;

#[path = "../../crates/engine/tests/model/ends.rs"]
mod ends;

use ends::{App, End, request};

const EACH: u32 = 3;

struct Round {
    engine: Engine,
    app: Arc<App>,
    session: Weak<Session>,
    id: String,
    /// The stream that has taken over.
    stream: Mutex<Option<Arc<Connection>>>,
    /// No stream will take over any more.
    settled: AtomicBool,
    reader: Mutex<Option<Thread>>,
}

impl Round {
    fn new(upgrades: bool) -> Arc<Self> {
        let app = Arc::<App>::default();
        let engine = Engine::new(Config::default(), app.clone()).unwrap();
        drop(request(&engine, "GET", ""));
        let session = engine.sessions().pop().expect("a session");
        Arc::new(Self {
            engine,
            app,
            id: session.id().to_string(),
            session: Arc::downgrade(&session),
            stream: Mutex::default(),
            settled: AtomicBool::new(!upgrades),
            reader: Mutex::default(),
        })
    }

    fn request(&self, method: &str) -> Step {
        request(&self.engine, method, &format!("&sid={}", self.id))
    }

    fn stream(&self) -> Option<Arc<Connection>> {
        self.stream.lock().unwrap().clone()
    }

    /// Reads to the end; returns the messages, and whether the end was told.
    fn read(&self) -> (Vec<String>, bool) {
        *self.reader.lock().unwrap() = Some(thread::current());
        let mut got = Vec::new();
        let mut take = |packet: &str| got.extend(packet.strip_prefix('4').map(str::to_owned));
        while let Step::Poll(poll, _) = self.request("GET") {
            let body = block_on(poll);
            let body = std::str::from_utf8(body.bytes()).unwrap();
            body.split('\x1e').for_each(&mut take);
            if body.split('\x1e').next_back() == Some("1") {
                return (got, true);
            }
            // The next answer may be there at once, too.
            thread::yield_now();
        }
        loop {
            // If nobody wakes it, shuttle says so.
            match self.stream() {
                Some(stream) => {
                    let open = stream.is_open();
                    for frame in stream.take_batch() {
                        let Frame::Text(text) = frame else { panic!("{frame:?}") };
                        take(&text);
                    }
                    if !open {
                        return (got, true);
                    }
                }
                None if self.settled.load(Ordering::SeqCst) => return (got, false),
                None => {}
            }
            thread::park();
        }
    }

    fn wake_reader(&self) {
        let reader = self.reader.lock().unwrap().clone();
        if let Some(reader) = reader {
            reader.unpark();
        }
    }

    /// Sends what the client has to say, over whatever carries it.
    fn post(&self) {
        for number in 1..=EACH {
            let text = format!("4{number}");
            loop {
                match self.request("POST") {
                    Step::Post(mut post, _) => {
                        let taken = block_on(post.deliver(Bytes::from(text.clone())));
                        post.finish();
                        if taken {
                            break;
                        }
                    }
                    _ if self.session.upgrade().is_none_or(|session| !session.is_open()) => return,
                    _ => {}
                }
                if let Some(stream) = self.stream() {
                    stream.feed(Frame::Text(text.clone().into()));
                    break;
                }
                thread::yield_now();
            }
        }
    }

    fn upgrade(self: &Arc<Self>) {
        self.try_upgrade();
        self.settled.store(true, Ordering::SeqCst);
        self.wake_reader();
    }

    fn try_upgrade(self: &Arc<Self>) {
        for _ in 0..2 {
            let Some(session) = self.session.upgrade() else { return };
            let round = Arc::downgrade(self);
            let on_wake = move || round.upgrade().iter().for_each(|round| round.wake_reader());
            let Some(candidate) = Connection::upgrade(&session, on_wake) else { return };
            candidate.feed(Frame::Text("2probe".into()));
            candidate.take_batch();
            candidate.feed(Frame::Text("5".into()));
            if session.transport() == TransportKind::WebSocket {
                *self.stream.lock().unwrap() = Some(Arc::new(candidate));
                return;
            }
        }
    }

    /// Returns how many were taken.
    fn send(&self, name: char) -> u32 {
        for number in 1..=EACH {
            let Some(session) = self.session.upgrade() else { return number - 1 };
            if session.send(Outgoing::text(&format!("{name}{number}"))).is_err() {
                return number - 1;
            }
        }
        EACH
    }

    fn end(&self, end: End) {
        let Some(session) = self.session.upgrade() else { return };
        match end {
            End::Application => session.close(CloseReason::ForcedClose),
            End::Shutdown => self.engine.begin_close(),
            End::ClientClose => session.close(CloseReason::ClientClose),
            // A late pong is excused while the client moves, or is being heard.
            End::Silence => {
                while session.is_open() {
                    let next = self.engine.next_deadline().expect("a heartbeat");
                    self.engine.tick(next);
                    thread::yield_now();
                }
            }
            End::Break => match self.stream() {
                Some(stream) => stream.close(),
                None => session.close(CloseReason::TransportError),
            },
        }
    }

    fn check(&self, sent: [(char, u32); 2], got: &[String], told: bool) {
        self.app.check(sent, got, told);
        while let Some(next) = self.engine.next_deadline() {
            self.engine.tick(next);
        }
        *self.stream.lock().unwrap() = None;
        assert_eq!(self.engine.session_count(), 0);
        assert!(self.session.upgrade().is_none(), "something holds the session");
    }
}

fn round(end: End, upgrades: bool, posts: bool) {
    let round = Round::new(upgrades);
    let spawn = |work: fn(&Arc<Round>)| {
        let round = round.clone();
        thread::spawn(move || work(&round))
    };
    let reader = {
        let round = round.clone();
        thread::spawn(move || round.read())
    };
    let senders = ['a', 'b'].map(|name| {
        let round = round.clone();
        (name, thread::spawn(move || round.send(name)))
    });
    let mut others = Vec::new();
    if posts {
        others.push(spawn(|round| round.post()));
    }
    if upgrades {
        others.push(spawn(Round::upgrade));
    }
    round.end(end);
    let sent = senders.map(|(name, sender)| (name, sender.join().unwrap()));
    others.into_iter().for_each(|other| other.join().unwrap());
    let (got, told) = reader.join().unwrap();
    round.check(sent, &got, told);
}

/// Every way to end, with and without an upgrade, with and without POSTs.
#[test]
fn a_session_ends_once_whatever_the_order() {
    try_orders(|| {
        let mut dice = shuttle::rand::thread_rng();
        let end = End::ALL[dice.gen_range(0..End::ALL.len())];
        round(end, dice.gen_bool(0.7), dice.gen_bool(0.7));
    });
}
