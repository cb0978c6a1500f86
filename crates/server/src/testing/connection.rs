//! The client's end of a connection in memory, with all its namespaces.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use wirebird_engine::{Frame, Handshake, Message, Session, TransportKind, memory};
use wirebird_proto::socket_io::{Limits, Packet, PacketKind, RawArgs};

use super::error::{Disconnection, TestError};
use super::event::{ClientHandler, Event, Owed};
use crate::error::ConnectError;
use crate::id::SocketId;
use crate::packet::Encoded;
use crate::parser::{Decoder, Json, Messages, Parser};
use crate::{EmitError, Server, Value};

/// A connection, and the task that reads it.
pub(super) struct Connection {
    memory: memory::Connection,
    parser: Arc<dyn Parser>,
    pub(super) timeout: Duration,
    answers_pings: bool,
    state: Mutex<State>,
    /// Something has come.
    changed: Notify,
    /// Tells the task that frames wait, or that nobody holds the connection any more.
    woken: Arc<Notify>,
    outbox: Mutex<Outbox>,
    me: Weak<Self>,
}

struct State {
    /// Away while it is at work.
    decoder: Option<Box<dyn Decoder>>,
    namespaces: HashMap<String, Stage>,
    /// What a handler of the client panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

/// Where the client stands in a namespace.
enum Stage {
    Connecting,
    Refused(ConnectError),
    Joined(Arc<Joined>),
}

/// One connection to a namespace, from CONNECT on.
pub(super) struct Joined {
    pub(super) namespace: Arc<str>,
    pub(super) id: SocketId,
    pub(super) payload: Value,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    inbox: VecDeque<Event>,
    handlers: HashMap<String, ClientHandler>,
    acks: HashMap<u64, oneshot::Sender<RawArgs>>,
    next_ack: u64,
    ended: Option<Disconnection>,
}

/// Packets are handed to the server one after another, and without a lock: it runs handlers meanwhile.
#[derive(Default)]
struct Outbox {
    frames: VecDeque<Frame>,
    feeding: bool,
}

impl Connection {
    pub(super) fn open(
        server: &Server,
        handshake: Arc<Handshake>,
        timeout: Duration,
        answers_pings: bool,
    ) -> Result<Arc<Self>, TestError> {
        server.engine().attach_runtime();
        let woken = Arc::new(Notify::new());
        let wakes = woken.clone();
        let wake = move || wakes.notify_one();
        let opened = memory::Connection::open_as(TransportKind::WebSocket, server.engine(), handshake, wake);
        let memory = opened.ok_or(TestError::ServerClosed)?;
        // What a server sends is its own affair.
        let limits = Limits {
            max_depth: 127,
            max_arguments: usize::MAX,
            max_attachments: usize::MAX,
            max_attachment_bytes_total: usize::MAX,
        };
        let parser = server.core.parser.clone().unwrap_or_else(|| Arc::new(Json));
        let decoder = parser.decoder(limits);
        let connection = Arc::new_cyclic(|me| Self {
            memory,
            parser,
            timeout,
            answers_pings,
            state: Mutex::new(State { decoder: Some(decoder), namespaces: HashMap::new(), panic: None }),
            changed: Notify::new(),
            woken: woken.clone(),
            outbox: Mutex::default(),
            me: me.clone(),
        });
        woken.notify_one();
        tokio::spawn(read(Arc::downgrade(&connection), woken));
        Ok(connection)
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.memory.session()
    }

    // ---- joining and leaving ----

    pub(super) async fn join(&self, namespace: &str, auth: Option<&str>) -> Result<Arc<Joined>, TestError> {
        self.rethrow();
        if let Some(joined) = self.joined(namespace).filter(|joined| self.ended(joined).is_none()) {
            return Ok(joined);
        }
        if !self.memory.is_open() {
            return Err(not_connected(namespace, Disconnection::Transport));
        }
        self.state.lock().namespaces.insert(namespace.to_owned(), Stage::Connecting);
        self.packet(namespace, PacketKind::Connect { auth: auth.map(Into::into) })?;
        let answer = self.until(self.timeout, || {
            let mut state = self.state.lock();
            match state.namespaces.get(namespace) {
                Some(Stage::Connecting) => None,
                Some(Stage::Joined(joined)) => Some(Ok(joined.clone())),
                Some(Stage::Refused(_)) | None => match state.namespaces.remove(namespace) {
                    Some(Stage::Refused(error)) => Some(Err(TestError::Refused(error))),
                    _ => Some(Err(not_connected(namespace, Disconnection::Transport))),
                },
            }
        });
        let late = || TestError::late(format!("the confirmation of {namespace}"), self.timeout);
        answer.await.unwrap_or_else(|()| Err(late()))
    }

    pub(super) fn leave(&self, joined: &Joined) -> Result<(), TestError> {
        self.rethrow();
        self.check(joined)?;
        joined.end(Disconnection::Client);
        self.changed.notify_waiters();
        self.packet(&joined.namespace, PacketKind::Disconnect)
    }

    pub(super) fn break_off(&self) {
        self.memory.close();
        self.end_all();
    }

    pub(super) fn ended(&self, joined: &Joined) -> Option<Disconnection> {
        joined.life.lock().ended
    }

    pub(super) fn not_connected(&self, joined: &Joined) -> TestError {
        not_connected(&joined.namespace, self.ended(joined).unwrap_or(Disconnection::Transport))
    }

    fn check(&self, joined: &Joined) -> Result<(), TestError> {
        self.ended(joined).map_or(Ok(()), |how| Err(not_connected(&joined.namespace, how)))
    }

    pub(super) async fn wait_ended(&self, joined: &Joined) -> Result<Disconnection, TestError> {
        let ended = self.until(self.timeout, || self.ended(joined)).await;
        ended.map_err(|()| self.late("the end of the connection".into(), self.timeout, joined))
    }

    fn end_all(&self) {
        let namespaces = std::mem::take(&mut self.state.lock().namespaces);
        for stage in namespaces.into_values() {
            if let Stage::Joined(joined) = stage {
                joined.end(Disconnection::Transport);
            }
        }
        self.changed.notify_waiters();
    }

    // ---- sending ----

    pub(super) fn emit(
        &self,
        joined: &Joined,
        event: &str,
        data: &impl Serialize,
        ack: Option<oneshot::Sender<RawArgs>>,
    ) -> Result<(), TestError> {
        self.rethrow();
        self.check(joined)?;
        let (name, args) = Encoded::event(event, data)?.to_event()?;
        let id = ack.map(|ack| joined.life.lock().expect_ack(ack));
        self.packet(&joined.namespace, PacketKind::Event { id, name, args })
    }

    pub(super) fn acknowledge(&self, namespace: &str, id: u64, args: RawArgs) -> Result<(), TestError> {
        self.packet(namespace, PacketKind::Ack { id, args })
    }

    fn packet(&self, namespace: &str, kind: PacketKind) -> Result<(), TestError> {
        let encoded = self.parser.encode(&Packet::new(namespace, kind));
        let Messages { message, attachments } = encoded.map_err(EmitError::Parser)?;
        let first = match message {
            Message::Text(text) => Frame::Text(format!("4{text}").into()),
            Message::Binary(data) => Frame::Binary(data),
            _ => return Ok(()),
        };
        self.feed(std::iter::once(first).chain(attachments.into_iter().map(Frame::Binary)));
        Ok(())
    }

    fn feed(&self, frames: impl IntoIterator<Item = Frame>) {
        {
            let mut outbox = self.outbox.lock();
            outbox.frames.extend(frames);
            if std::mem::replace(&mut outbox.feeding, true) {
                return;
            }
        }
        loop {
            let frame = {
                let mut outbox = self.outbox.lock();
                let frame = outbox.frames.pop_front();
                outbox.feeding = frame.is_some();
                frame
            };
            let Some(frame) = frame else { return };
            self.memory.feed(frame);
        }
    }

    // ---- receiving ----

    pub(super) fn set_handler(&self, joined: &Joined, event: String, handler: ClientHandler) {
        self.rethrow();
        joined.life.lock().handlers.insert(event, handler);
    }

    pub(super) fn take_events(&self, joined: &Joined) -> Vec<Event> {
        self.rethrow();
        joined.life.lock().inbox.drain(..).collect()
    }

    pub(super) async fn next_event(&self, joined: &Joined, name: Option<&str>) -> Result<Event, TestError> {
        let event = self.until(self.timeout, || {
            let mut life = joined.life.lock();
            let at = life.inbox.iter().position(|event| name.is_none_or(|name| event.name == name));
            match at.and_then(|at| life.inbox.remove(at)) {
                Some(event) => Some(Ok(event)),
                None => life.ended.map(|how| Err(not_connected(&joined.namespace, how))),
            }
        });
        let what = || name.map_or("an event".into(), |name| format!("the event {name:?}"));
        event.await.unwrap_or_else(|()| Err(self.late(what(), self.timeout, joined)))
    }

    /// Waits for `found` to find something, for as long as the client is patient.
    async fn until<T>(&self, timeout: Duration, mut found: impl FnMut() -> Option<T>) -> Result<T, ()> {
        let search = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                self.rethrow();
                if let Some(found) = found() {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, search).await.map_err(|_| ())
    }

    pub(super) async fn patiently<T>(
        &self,
        joined: &Joined,
        what: String,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, TestError> {
        let result = tokio::time::timeout(timeout, future).await;
        self.rethrow();
        result.map_err(|_| self.late(what, timeout, joined))
    }

    fn late(&self, what: String, after: Duration, joined: &Joined) -> TestError {
        let instead = joined.life.lock().inbox.iter().map(|event| event.name.clone()).collect();
        TestError::Timeout { what, after, instead }
    }

    /// Panics with what a handler of the client panicked with.
    fn rethrow(&self) {
        let panic = self.state.lock().panic.take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Reads what waits. Run by the connection's task alone.
    fn read(&self) {
        for frame in self.memory.take_batch() {
            self.frame(frame);
        }
        if !self.memory.is_open() {
            self.end_all();
        }
        self.changed.notify_waiters();
    }

    fn frame(&self, frame: Frame) {
        let message = match frame {
            Frame::Text(text) => match text.as_bytes().first() {
                Some(b'4') => Message::Text(text.slice_ref(&text[1..])),
                Some(b'2') if self.answers_pings => return self.feed([Frame::Text("3".into())]),
                _ => return,
            },
            Frame::Binary(data) => Message::Binary(data),
            _ => return,
        };
        let Some(mut decoder) = self.state.lock().decoder.take() else { return };
        let decoded = decoder.decode(message);
        self.state.lock().decoder = Some(decoder);
        match decoded {
            Ok(Some(packet)) => self.packet_came(packet),
            Ok(None) => {}
            Err(error) => self.fail(Box::new(format!("the server sent an undecodable packet: {error}"))),
        }
    }

    fn packet_came(&self, packet: Packet) {
        let namespace = &*packet.namespace;
        match packet.kind {
            PacketKind::Connect { auth } => self.confirmed(namespace, auth.as_deref().unwrap_or("{}")),
            PacketKind::ConnectError { data } => {
                let stage = Stage::Refused(refusal(&data));
                self.state.lock().namespaces.insert(namespace.to_owned(), stage);
            }
            PacketKind::Disconnect => {
                if let Some(joined) = self.joined(namespace) {
                    joined.end(Disconnection::Server);
                }
            }
            PacketKind::Event { id, name, args } => {
                if let Some(joined) = self.joined(namespace) {
                    self.event_came(&joined, name.to_string(), args, id);
                }
            }
            PacketKind::Ack { id, args } => {
                let waiting = self.joined(namespace).and_then(|joined| joined.life.lock().acks.remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(args);
                }
            }
            _ => {}
        }
    }

    fn joined(&self, namespace: &str) -> Option<Arc<Joined>> {
        match self.state.lock().namespaces.get(namespace) {
            Some(Stage::Joined(joined)) => Some(joined.clone()),
            _ => None,
        }
    }

    fn confirmed(&self, namespace: &str, payload: &str) {
        let payload: Value = serde_json::from_str(payload).unwrap_or_default();
        let Some(id) = payload.get("sid").and_then(Value::as_str).and_then(SocketId::parse) else {
            return self.fail(Box::new("the server confirmed a connection without an id".to_owned()));
        };
        let joined = Joined { namespace: namespace.into(), id, payload, life: Mutex::default() };
        self.state.lock().namespaces.insert(namespace.to_owned(), Stage::Joined(Arc::new(joined)));
    }

    fn event_came(&self, joined: &Joined, name: String, args: RawArgs, id: Option<u64>) {
        let ack =
            id.map(|id| Arc::new(Owed { connection: self.me.clone(), id, sent: AtomicBool::new(false) }));
        let event = Event { namespace: joined.namespace.clone(), name, args, ack };
        let handler = {
            let mut life = joined.life.lock();
            life.inbox.push_back(event.clone());
            life.handlers.get(&event.name).cloned()
        };
        let Some(handler) = handler else { return };
        let answer = catch_unwind(AssertUnwindSafe(|| handler(&event.args)));
        let sent = answer.map(|answer| match (answer, &event.ack) {
            (Ok(args), Some(owed)) => owed.send(&event.namespace, args).map_err(|error| error.to_string()),
            (answer, _) => answer.map(drop),
        });
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                self.fail(Box::new(format!("the client's handler of {:?}: {problem}", event.name)));
            }
            Err(panic) => self.fail(panic),
        }
    }

    /// The test is to fail.
    fn fail(&self, panic: Box<dyn Any + Send>) {
        self.state.lock().panic.get_or_insert(panic);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.woken.notify_one();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Reads the connection as long as somebody holds it.
async fn read(connection: Weak<Connection>, woken: Arc<Notify>) {
    loop {
        woken.notified().await;
        let Some(connection) = connection.upgrade() else { return };
        connection.read();
    }
}

impl Joined {
    /// The first end counts. Nobody waits for acknowledgements afterwards.
    fn end(&self, how: Disconnection) {
        let mut life = self.life.lock();
        life.ended.get_or_insert(how);
        life.acks.clear();
    }
}

impl Life {
    fn expect_ack(&mut self, ack: oneshot::Sender<RawArgs>) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.acks.insert(id, ack);
        id
    }
}

fn not_connected(namespace: &str, how: Disconnection) -> TestError {
    TestError::NotConnected { namespace: namespace.to_owned(), how }
}

/// What a CONNECT_ERROR packet says.
fn refusal(json: &str) -> ConnectError {
    let said: Value = serde_json::from_str(json).unwrap_or_default();
    let message = said.get("message").unwrap_or(&said).as_str().unwrap_or_default();
    let error = ConnectError::new(message);
    match said.get("data") {
        Some(data) => error.with_data(data),
        None => error,
    }
}
