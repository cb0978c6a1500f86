//! WebSocket clients of one thread: handshake, frames, heartbeats. What they send is up to a scenario.

use std::sync::Arc;

use crate::args::Dialect;
use crate::control::{Control, Phase};
use crate::http;
use crate::net::{Driver, Net};
use crate::template::Template;

/// Handshakes that a thread has under way at once, so that no server's backlog overflows.
const HANDSHAKES: usize = 64;

/// What clients do once they are connected. Clients are numbered from 0 in each thread.
pub(crate) trait Scenario: Send {
    /// What the limit server is told about a client.
    fn limit_role(&self, client: usize) -> String;
    /// The server has said how it treats a client: its OPEN packet.
    fn opened(&mut self, _client: usize, _packet: &[u8]) -> Result<(), String> {
        Ok(())
    }
    /// A heartbeat has come. Whether it is to be answered at once.
    fn ping(&mut self, _client: usize) -> Result<bool, String> {
        Ok(true)
    }
    /// A client that was ready is lost, or has received something wrong. An error ends the run.
    fn failed(&mut self, _client: usize, error: String) -> Result<(), String> {
        Err(error)
    }
    /// A client is connected to the namespace.
    fn joined(&mut self, client: usize, out: &mut Outbox) -> Joined;
    /// A message has come.
    fn message(&mut self, client: usize, text: bool, payload: &[u8], out: &mut Outbox) -> Result<(), String>;
    /// Everybody is ready.
    fn start(&mut self, out: &mut Outbox);
    /// Called in every turn of the loop while messages flow.
    fn turn(&mut self, _out: &mut Outbox) {}
    /// Nothing new is to be sent.
    fn drain(&mut self);
    /// Whether answers are still to come.
    fn is_pending(&self) -> bool;
    /// Whether to go on without waiting for events.
    fn is_busy(&self) -> bool {
        false
    }
}

/// What becomes of a client that has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is ready.
    Ready,
    /// It will be, and says so with [`Outbox::ready`].
    Later,
    /// It is closed, and opened anew.
    Reopen,
}

/// What is to be sent.
#[derive(Default)]
pub(crate) struct Outbox {
    /// By the client at hand.
    pub(crate) own: Vec<u8>,
    /// By any.
    pub(crate) others: Vec<(usize, Vec<u8>)>,
    /// Clients that have become ready.
    pub(crate) ready: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Opening,
    Joining,
    Open,
}

pub(crate) struct Clients<S> {
    pub(crate) scenario: S,
    control: Arc<Control>,
    dialect: Dialect,
    thread: usize,
    total: usize,
    states: Vec<State>,
    /// Clients opened so far, and those of them whose handshakes have ended.
    opened: usize,
    settled: usize,
    phase: Phase,
    drained: bool,
    outbox: Outbox,
    connect: Template,
    pong: Template,
}

impl<S: Scenario> Clients<S> {
    pub(crate) fn new(
        scenario: S,
        control: Arc<Control>,
        dialect: Dialect,
        thread: usize,
        total: usize,
    ) -> Self {
        Self {
            scenario,
            control,
            dialect,
            thread,
            total,
            states: vec![State::Upgrading; total],
            opened: 0,
            settled: 0,
            phase: Phase::Connect,
            drained: false,
            outbox: Outbox::default(),
            connect: Template::frame(true, b"40"),
            pong: Template::frame(true, b"3"),
        }
    }

    fn open_more(&mut self, net: &mut Net) -> Result<(), String> {
        let share = self.control.share(self.thread, self.total);
        while self.opened < share && self.opened - self.settled < HANDSHAKES {
            net.open(self.opened)?;
            self.opened += 1;
        }
        Ok(())
    }

    fn flush(&mut self, net: &mut Net, client: Option<usize>) -> Result<(), String> {
        if let Some(client) = client
            && !self.outbox.own.is_empty()
        {
            net.send(client, &self.outbox.own)?;
            self.outbox.own.clear();
        }
        for (client, bytes) in self.outbox.others.drain(..) {
            net.send(client, &bytes)?;
        }
        if self.outbox.ready > 0 {
            self.settled += self.outbox.ready;
            self.control.count_ready(std::mem::take(&mut self.outbox.ready));
        }
        Ok(())
    }

    fn frame(&mut self, client: usize, text: bool, payload: &[u8]) -> Result<Joined, String> {
        match self.states[client] {
            State::Joining | State::Open if text && payload == b"2" => {
                if self.scenario.ping(client)? {
                    self.outbox.own.extend_from_slice(self.pong.bytes());
                }
            }
            State::Open => self.scenario.message(client, text, payload, &mut self.outbox)?,
            State::Opening if payload.starts_with(b"0{") => {
                self.scenario.opened(client, payload)?;
                self.outbox.own.extend_from_slice(self.connect.bytes());
                self.states[client] = State::Joining;
            }
            State::Joining if payload.starts_with(b"40{\"sid\":\"") => {
                self.states[client] = State::Open;
                let joined = self.scenario.joined(client, &mut self.outbox);
                if joined == Joined::Ready {
                    self.outbox.ready += 1;
                }
                return Ok(joined);
            }
            state => return Err(format!("{state:?}, but received {:?}", String::from_utf8_lossy(payload))),
        }
        Ok(Joined::Later)
    }
}

impl<S: Scenario> Driver for Clients<S> {
    fn connected(&mut self, net: &mut Net, client: usize) -> Result<(), String> {
        self.states[client] = State::Upgrading;
        let role = match self.dialect {
            Dialect::Socketio => String::new(),
            Dialect::Limit => format!("&limit={}", self.scenario.limit_role(client)),
        };
        let request = http::upgrade(net.server(), &role);
        net.send(client, request.as_bytes())
    }

    fn received(&mut self, net: &mut Net, client: usize, input: &[u8]) -> Result<usize, String> {
        let mut used = 0;
        if self.states[client] == State::Upgrading {
            let Some(len) = http::upgraded(input)? else { return Ok(0) };
            used = len;
            self.states[client] = State::Opening;
        }
        while let Some(Frame { len, text, payload }) = frame(&input[used..])? {
            used += len;
            if self.frame(client, text, payload)? == Joined::Reopen {
                net.close(client);
                if self.phase < Phase::Drain {
                    net.open(client)?;
                }
                return Ok(input.len());
            }
        }
        self.flush(net, Some(client))?;
        if self.opened < self.total {
            self.open_more(net)?;
        }
        Ok(used)
    }

    fn failed(&mut self, client: usize, error: String) -> Result<(), String> {
        match self.states[client] {
            State::Open => self.scenario.failed(client, error),
            _ => Err(error),
        }
    }

    fn turn(&mut self, net: &mut Net, phase: Phase) -> Result<(), String> {
        if phase == Phase::Connect {
            return self.open_more(net);
        }
        if phase >= Phase::Run && self.phase < Phase::Run {
            self.scenario.start(&mut self.outbox);
        }
        if phase == Phase::Drain && self.phase < Phase::Drain {
            self.scenario.drain();
        }
        self.phase = phase;
        self.scenario.turn(&mut self.outbox);
        if phase == Phase::Drain && !self.drained && !self.scenario.is_pending() {
            self.drained = true;
            self.control.count_drained();
        }
        self.flush(net, None)
    }

    fn is_busy(&self) -> bool {
        self.scenario.is_busy()
    }
}

struct Frame<'a> {
    /// With its header.
    len: usize,
    text: bool,
    payload: &'a [u8],
}

/// The frame at the start of `input`. A ping or a close frame is an error: no server sends the first, and none has a
/// reason for the second.
fn frame(input: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let [first, second, ..] = *input else { return Ok(None) };
    let text = match first {
        0x81 => true,
        0x82 => false,
        0x88 => return Err(format!("the server closes: {:?}", String::from_utf8_lossy(&input[2..]))),
        other => return Err(format!("a frame that begins with {other:#04x}")),
    };
    let (start, len) = match second {
        126 if input.len() >= 4 => (4, usize::from(u16::from_be_bytes([input[2], input[3]]))),
        127 if input.len() >= 10 => match input[2..10].try_into().map(u64::from_be_bytes) {
            Ok(len) => (10, len as usize),
            Err(_) => return Ok(None),
        },
        126 | 127 => return Ok(None),
        len @ 0..=125 => (2, usize::from(len)),
        _ => return Err("a masked frame of a server".to_owned()),
    };
    let payload = input.get(start..start + len);
    Ok(payload.map(|payload| Frame { len: start + len, text, payload }))
}
