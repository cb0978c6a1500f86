//! An open loop: messages are due at fixed times, whatever became of those before them, and the time of each runs from
//! when it was due. So a server that stands still is charged for all that it has kept waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Exchange;
use super::exchange::FIRST_ID;
use crate::control::Control;
use crate::histogram::Histogram;
use crate::websocket::{Joined, Outbox, Scenario};

pub(crate) struct Latency {
    control: Arc<Control>,
    thread: usize,
    exchange: Exchange,
    clients: Vec<Client>,
    interval: Duration,
    due: Option<Instant>,
    turn: usize,
    pending: usize,
    /// From when a message was due until its answer came.
    pub(crate) times: Histogram,
    /// From when a message was due until it was sent.
    pub(crate) delays: Histogram,
}

struct Client {
    next: u64,
    /// What is under way, and when it was due.
    sent: VecDeque<(u64, Instant)>,
}

impl Latency {
    pub(crate) fn new(
        control: Arc<Control>,
        thread: usize,
        clients: usize,
        rate: f64,
        exchange: Exchange,
    ) -> Self {
        let interval = Duration::from_secs_f64(control.threads() as f64 / rate);
        let client = || Client { next: FIRST_ID, sent: VecDeque::new() };
        Self {
            control,
            thread,
            exchange,
            clients: (0..clients).map(|_| client()).collect(),
            interval,
            due: None,
            turn: 0,
            pending: 0,
            times: Histogram::new(),
            delays: Histogram::new(),
        }
    }

    fn number(&self, client: usize) -> usize {
        client * self.control.threads() + self.thread
    }
}

impl Scenario for Latency {
    fn limit_role(&self, _: usize) -> String {
        "mirror".to_owned()
    }

    fn joined(&mut self, _: usize, _: &mut Outbox) -> Joined {
        Joined::Ready
    }

    fn message(&mut self, client: usize, text: bool, payload: &[u8], _: &mut Outbox) -> Result<(), String> {
        let now = Instant::now();
        let number = self.number(client);
        let id = self.exchange.check(0, number, text, payload)?;
        let sent = &mut self.clients[client].sent;
        let place = sent.iter().position(|(sent, _)| *sent == id);
        let (_, due) = place
            .and_then(|place| sent.remove(place))
            .ok_or_else(|| format!("client {number} received an answer to {id} that it does not wait for"))?;
        self.pending -= 1;
        self.control.count(self.thread, 1);
        if self.control.is_in_window(due) {
            self.times.record(now - due);
        }
        Ok(())
    }

    fn start(&mut self, _: &mut Outbox) {
        // The threads take turns.
        let offset = self.interval.mul_f64(self.thread as f64 / self.control.threads() as f64);
        self.due = Some(Instant::now() + offset);
    }

    fn turn(&mut self, out: &mut Outbox) {
        let now = Instant::now();
        while let Some(due) = self.due.filter(|due| *due <= now) {
            let client = self.turn % self.clients.len();
            self.turn += 1;
            let number = self.number(client);
            let state = &mut self.clients[client];
            let mut frame = Vec::new();
            self.exchange.append(number, state.next, &mut frame);
            state.sent.push_back((state.next, due));
            state.next += 1;
            out.others.push((client, frame));
            self.pending += 1;
            if self.control.is_in_window(due) {
                self.delays.record(now - due);
            }
            self.due = Some(due + self.interval);
        }
    }

    fn drain(&mut self) {
        self.due = None;
    }

    fn is_pending(&self) -> bool {
        self.pending > 0
    }

    fn is_busy(&self) -> bool {
        self.due.is_some()
    }
}
