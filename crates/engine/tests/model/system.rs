//! The real engine, driven as the model is: nothing runs but what a command causes, and whoever waits is polled again only
//! when it has been woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll as TaskPoll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wirebird_engine::http::Step;
use wirebird_engine::memory::Connection;
use wirebird_engine::{
    CloseReason, Config, Engine, Frame, Handler, Handshake, Message, Outgoing, Poll, Post, Session,
    TransportKind,
};

use crate::command::{Command, Fed, Packet};
use crate::ends::request;
use crate::reference::{
    Beginning, CLOSE_TIMEOUT, LOOKS, MAX_QUEUED, PING_INTERVAL, PING_TIMEOUT, Seen, UPGRADE_TIMEOUT,
};

/// The application: it notes what it is told, and answers what it is asked.
#[derive(Default)]
struct App {
    seen: Mutex<Vec<Seen>>,
    sent: Mutex<u32>,
}

impl App {
    fn see(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }

    fn next(&self) -> Outgoing {
        let mut sent = self.sent.lock().unwrap();
        *sent += 1;
        Outgoing::text(&sent.to_string())
    }

    fn send(&self, session: &Session, count: u8) {
        for _ in 0..count {
            let sent = session.send(self.next()).is_ok();
            self.see(Seen::Sent(sent));
        }
    }

    fn send_value(&self, session: &Session, key: u8) {
        let sent = session.send(self.next().conflated(key.to_string().into())).is_ok();
        self.see(Seen::SentValue(key, sent));
    }
}

impl Handler for App {
    fn message(&self, session: &Arc<Session>, message: Message) {
        let Message::Text(text) = message else { panic!("{message:?}") };
        self.see(Seen::Message(text.to_string()));
        match text.split_once(' ') {
            Some(("ask", count)) => self.send(session, count.parse().unwrap()),
            Some(("quote", count)) => (0..count.parse().unwrap()).for_each(|_| self.send_value(session, 0)),
            None if text == "quit" => session.close(CloseReason::ForcedClose),
            _ => {}
        }
    }

    fn upgraded(&self, _: &Arc<Session>) {
        self.see(Seen::Upgraded);
    }

    fn close(&self, _: &Arc<Session>, reason: CloseReason) {
        self.see(Seen::Closed(reason));
    }
}

/// Whether somebody is to look again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

/// A future that is polled when it has been woken, or has never been polled.
struct Task<F> {
    future: F,
    woken: Arc<Woken>,
}

impl<F: Future + Unpin> Task<F> {
    fn new(future: F) -> Self {
        let woken = Arc::<Woken>::default();
        woken.0.store(true, Ordering::SeqCst);
        Self { future, woken }
    }

    fn run(&mut self) -> Option<F::Output> {
        while self.woken.take() {
            let waker = Waker::from(self.woken.clone());
            if let TaskPoll::Ready(output) = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
            {
                return Some(output);
            }
        }
        None
    }
}

type Delivery = Pin<Box<dyn Future<Output = bool>>>;

pub struct System {
    engine: Engine,
    app: Arc<App>,
    pub session: Arc<Session>,
    now: Instant,
    poll: Option<Task<Poll>>,
    upload: Option<Post>,
    delivery: Option<Task<Delivery>>,
    streams: Vec<(Connection, Arc<Woken>)>,
}

impl System {
    pub fn new(Beginning { on_stream, write_timeout }: Beginning) -> Self {
        let mut config = Config::default();
        config.write_timeout = Duration::from_millis(write_timeout);
        config.ping_interval = Duration::from_millis(PING_INTERVAL);
        config.ping_timeout = Duration::from_millis(PING_TIMEOUT);
        config.upgrade_timeout = Duration::from_millis(UPGRADE_TIMEOUT);
        config.close_timeout = Duration::from_millis(CLOSE_TIMEOUT);
        config.send_queue.max_packets = MAX_QUEUED;
        let app = Arc::<App>::default();
        let engine = Engine::new(config, app.clone()).unwrap();
        let mut streams = Vec::new();
        if on_stream {
            let woken = Arc::<Woken>::default();
            let wake = woken.clone();
            let open = Connection::open(&engine, Handshake::default(), move || wake.clone().wake());
            streams.push((open.expect("a session"), woken));
        } else {
            let answer = request(&engine, "GET", "");
            assert!(matches!(answer, Step::Respond(response) if response.status() == 200));
        }
        let session = engine.sessions().pop().expect("a session");
        // OPEN waits on a stream, and that is looked at before the first ping.
        let first = if on_stream { write_timeout / LOOKS } else { PING_INTERVAL };
        let now = engine.next_deadline().expect("a heartbeat") - Duration::from_millis(first);
        let (poll, upload, delivery) = (None, None, None);
        Self { engine, app, session, now, poll, upload, delivery, streams }
    }

    /// Lets something happen; returns what is seen of it.
    pub fn step(&mut self, command: &Command) -> Vec<Seen> {
        match command {
            Command::Poll => match self.request("GET") {
                Step::Poll(poll, _) => self.poll = Some(Task::new(poll)),
                _ => self.app.see(Seen::Refused),
            },
            Command::AbortPoll => drop(self.poll.take()),
            Command::BeginPost => match self.request("POST") {
                Step::Post(post, _) => self.upload = Some(post),
                _ => self.app.see(Seen::Refused),
            },
            Command::EndPost(packets) => self.end_post(packets),
            Command::AbortPost => {
                self.upload = None;
                self.delivery = None;
            }
            Command::OpenCandidate => {
                let woken = Arc::<Woken>::default();
                let wake = woken.clone();
                let candidate = Connection::upgrade(&self.session, move || wake.clone().wake());
                self.app.see(Seen::Candidate(candidate.is_some()));
                self.streams.extend(candidate.map(|candidate| (candidate, woken)));
            }
            Command::Feed(fed) => self.feed(fed),
            Command::Read => {
                if let Some((stream, woken)) = self.streams.last() {
                    let frames = if woken.take() { stream.take_batch() } else { Vec::new() };
                    self.app.see(Seen::Frames(frames.into_iter().map(text).collect()));
                }
            }
            Command::CloseStream => {
                if let Some((stream, _)) = self.streams.last() {
                    stream.close();
                }
            }
            Command::Send(count) => self.app.send(&self.session, *count),
            Command::SendValue(key) => self.app.send_value(&self.session, *key),
            Command::SendVolatile => {
                let sent = self.session.send_volatile(self.app.next());
                self.app.see(Seen::Sent(sent == Ok(true)));
            }
            Command::Close => self.session.close(CloseReason::ForcedClose),
            Command::Shutdown => self.engine.begin_close(),
            Command::PauseReading => self.session.pause_reading(),
            Command::ResumeReading => self.session.resume_reading(),
            Command::Wait(steps) => self.wait(Duration::from_millis(u64::from(*steps) * 32)),
        }
        self.run();
        std::mem::take(&mut self.app.seen.lock().unwrap())
    }

    /// Whether the engine still knows of the session.
    pub fn is_known(&self) -> bool {
        assert_eq!(self.engine.session_count(), self.engine.sessions().len());
        self.engine.session_count() == 1
    }

    /// How many messages were replaced by newer ones.
    pub fn replaced(&self) -> u64 {
        self.engine.metrics().conflated_messages()
    }

    /// Everything that belongs to the client and to the transports goes; what is left of the session, if anything?
    pub fn leave(self) -> (Engine, Weak<Session>) {
        let left = Arc::downgrade(&self.session);
        (self.engine.clone(), left)
    }

    fn request(&self, method: &str) -> Step {
        request(&self.engine, method, &format!("&sid={}", self.session.id()))
    }

    fn end_post(&mut self, packets: &[Packet]) {
        let Some(mut post) = self.upload.take() else { return };
        if !self.session.is_open() {
            // The body is not waited for.
            drop(post);
            return self.app.see(Seen::Posted(false));
        }
        let body = packets.iter().map(|packet| packet.text()).collect::<Vec<_>>().join("\x1e");
        self.delivery = Some(Task::new(Box::pin(async move {
            let valid = post.deliver(Bytes::from(body)).await;
            post.finish();
            valid
        })));
    }

    fn feed(&self, fed: &Fed) {
        let Some((stream, _)) = self.streams.last() else { return };
        let carries = self.session.transport() != TransportKind::Polling;
        if carries && self.session.holds_back() {
            return;
        }
        stream.feed(Frame::Text(match fed {
            Fed::Probe => "2probe".into(),
            Fed::Upgrade => "5".into(),
            Fed::Packet(packet) => packet.text().into(),
        }));
    }

    fn run(&mut self) {
        if let Some(body) = self.poll.as_mut().and_then(Task::run) {
            self.poll = None;
            let body = String::from_utf8(body.into_bytes().to_vec()).unwrap();
            self.app.see(Seen::Polled(body.split('\x1e').map(str::to_owned).collect()));
        }
        if let Some(valid) = self.delivery.as_mut().and_then(Task::run) {
            self.delivery = None;
            self.app.see(Seen::Posted(valid));
            // The handlers may have said something.
            self.run();
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.engine.next_deadline().filter(|next| *next <= end) {
            self.engine.tick(next);
            self.run();
        }
        self.now = end;
        self.engine.tick(end);
    }
}

fn text(frame: Frame) -> String {
    match frame {
        Frame::Text(text) if text.starts_with('0') => "open".into(),
        Frame::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}
