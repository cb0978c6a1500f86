//! Echo over long polling: each client holds a GET open on one connection and posts on another, as browsers do.

use std::sync::Arc;

use super::exchange::FIRST_ID;
use crate::args::Dialect;
use crate::control::{Control, Phase};
use crate::http;
use crate::net::{Driver, Net};
use crate::template::{Template, filler};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// GET without a session.
    Opening,
    /// CONNECT was posted, its answer is polled for.
    Joining,
    /// Nothing is under way.
    Idle,
    /// An event was posted, its acknowledgement is polled for.
    Waiting,
}

struct Client {
    state: State,
    get: Vec<u8>,
    sid: String,
    /// The head of a POST request with an event.
    post: Vec<u8>,
    id: u64,
    posted: bool,
    polled: bool,
    /// A ping came: the next POST begins with the pong.
    pong: bool,
}

pub(crate) struct Polling {
    control: Arc<Control>,
    thread: usize,
    dialect: Dialect,
    event: Template,
    answer: Template,
    clients: Vec<Client>,
    phase: Phase,
    opened: bool,
    pending: usize,
    drained: bool,
    output: Vec<u8>,
}

impl Polling {
    pub(crate) fn new(
        control: Arc<Control>,
        thread: usize,
        clients: usize,
        size: usize,
        dialect: Dialect,
    ) -> Self {
        let payload = format!("\"#####{}\"", filler(size, 5));
        let client = || Client {
            state: State::Opening,
            get: Vec::new(),
            sid: String::new(),
            post: Vec::new(),
            id: FIRST_ID,
            posted: false,
            polled: false,
            pong: false,
        };
        Self {
            control,
            thread,
            dialect,
            event: Template::payload(format!("42#######[\"echo\",{payload}]").as_bytes()),
            answer: Template::payload(format!("43#######[{payload}]").as_bytes()),
            clients: (0..clients).map(|_| client()).collect(),
            phase: Phase::Connect,
            opened: false,
            pending: 0,
            drained: false,
            output: Vec::new(),
        }
    }

    /// The connections of a client: the first polls, the second posts.
    fn connections(client: usize) -> (usize, usize) {
        (2 * client, 2 * client + 1)
    }

    fn number(&self, client: usize) -> usize {
        client * self.control.threads() + self.thread
    }

    fn post(&mut self, net: &mut Net, client: usize, body: &str) -> Result<(), String> {
        let head = http::post(net.server(), &self.clients[client].sid, body.len());
        net.send(Self::connections(client).1, format!("{head}{body}").as_bytes())
    }

    fn poll(&mut self, net: &mut Net, client: usize) -> Result<(), String> {
        net.send(Self::connections(client).0, &self.clients[client].get)
    }

    fn send_event(&mut self, net: &mut Net, client: usize) -> Result<(), String> {
        let number = self.number(client);
        let state = &mut self.clients[client];
        (state.state, state.posted, state.polled) = (State::Waiting, false, false);
        state.id += 1;
        self.event.fill(state.id, number);
        self.poll(net, client)?;
        if std::mem::take(&mut self.clients[client].pong) {
            let body = format!("3\x1e{}", String::from_utf8_lossy(self.event.as_payload()));
            return self.post(net, client, &body);
        }
        self.output.clear();
        self.output.extend_from_slice(&self.clients[client].post);
        self.output.extend_from_slice(self.event.as_payload());
        net.send(Self::connections(client).1, &self.output)
    }

    fn polled(&mut self, net: &mut Net, client: usize, body: &[u8]) -> Result<(), String> {
        match self.clients[client].state {
            State::Opening => self.opened(net, client, body)?,
            State::Idle => return Err("an answer to nothing".to_owned()),
            State::Joining | State::Waiting => {
                let mut answered = false;
                for packet in body.split(|byte| *byte == 0x1e) {
                    if packet == b"2" {
                        self.clients[client].pong = true;
                    } else {
                        self.check(client, packet)?;
                        answered = true;
                    }
                }
                if !answered {
                    return self.poll(net, client);
                }
                self.clients[client].polled = true;
                self.progress(net, client)?;
            }
        }
        Ok(())
    }

    fn opened(&mut self, net: &mut Net, client: usize, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        let sid = text.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let sid = sid.filter(|_| text.starts_with('0')).ok_or_else(|| format!("no session: {text:?}"))?;
        let state = &mut self.clients[client];
        state.sid = sid.to_owned();
        state.get = http::get(net.server(), sid).into_bytes();
        state.post = http::post(net.server(), sid, self.event.as_payload().len()).into_bytes();
        state.state = State::Joining;
        self.post(net, client, "40")?;
        self.poll(net, client)
    }

    fn check(&mut self, client: usize, packet: &[u8]) -> Result<(), String> {
        let number = self.number(client);
        let state = &self.clients[client];
        self.answer.fill(state.id, number);
        let right = match (self.dialect, state.state) {
            (Dialect::Limit, _) => packet.starts_with(b"43"),
            (_, State::Joining) => packet.starts_with(b"40{\"sid\":\""),
            _ => packet == self.answer.as_payload(),
        };
        let text = String::from_utf8_lossy(packet);
        right.then_some(()).ok_or_else(|| format!("client {number} received a wrong answer: {text:?}"))
    }

    /// Goes on when both answers are there.
    fn progress(&mut self, net: &mut Net, client: usize) -> Result<(), String> {
        let state = &mut self.clients[client];
        if !state.posted || !state.polled {
            return Ok(());
        }
        if state.state == State::Joining {
            state.state = State::Idle;
            self.control.count_ready(1);
            return Ok(());
        }
        self.control.count(self.thread, 1);
        if self.phase == Phase::Run {
            return self.send_event(net, client);
        }
        state.state = State::Idle;
        self.pending -= 1;
        Ok(())
    }
}

impl Driver for Polling {
    fn connected(&mut self, net: &mut Net, connection: usize) -> Result<(), String> {
        if connection.is_multiple_of(2) {
            let request = http::get(net.server(), "");
            net.send(connection, request.as_bytes())?;
            return net.open(connection + 1);
        }
        Ok(())
    }

    fn received(&mut self, net: &mut Net, connection: usize, input: &[u8]) -> Result<usize, String> {
        let Some((body, used)) = http::response(input)? else { return Ok(0) };
        let client = connection / 2;
        if connection.is_multiple_of(2) {
            self.polled(net, client, &body)?;
        } else {
            if !body.eq_ignore_ascii_case(b"ok") {
                return Err(format!("a POST was answered {:?}", String::from_utf8_lossy(&body)));
            }
            self.clients[client].posted = true;
            self.progress(net, client)?;
        }
        Ok(used)
    }

    fn turn(&mut self, net: &mut Net, phase: Phase) -> Result<(), String> {
        if !std::mem::replace(&mut self.opened, true) {
            for client in 0..self.clients.len() {
                net.open(Self::connections(client).0)?;
            }
        }
        if phase == Phase::Run && self.phase == Phase::Connect {
            self.pending = self.clients.len();
            for client in 0..self.clients.len() {
                self.send_event(net, client)?;
            }
        }
        self.phase = phase;
        if phase == Phase::Drain && self.pending == 0 && !std::mem::replace(&mut self.drained, true) {
            self.control.count_drained();
        }
        Ok(())
    }
}
