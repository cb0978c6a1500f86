//! A closed loop: every client has the same number of messages under way, and sends one for each answer.

use std::sync::Arc;

use super::Exchange;
use super::exchange::FIRST_ID;
use crate::control::Control;
use crate::websocket::{Joined, Outbox, Scenario};

pub(crate) struct Echo {
    control: Arc<Control>,
    thread: usize,
    exchange: Exchange,
    clients: Vec<Client>,
    pending: usize,
    draining: bool,
    /// Answers that came after the answer to a later message.
    pub(crate) reordered: u64,
}

struct Client {
    /// The message that is under way in each place, and which it was of all that were sent. The next one of a place has
    /// an id that is higher by the number of places.
    places: Vec<Option<(u64, u64)>>,
    sent: u64,
    /// The latest message that has been answered.
    answered: u64,
    /// The answer whose attachment is to come.
    part: Option<(usize, u64)>,
}

impl Echo {
    pub(crate) fn new(
        control: Arc<Control>,
        thread: usize,
        clients: usize,
        in_flight: usize,
        exchange: Exchange,
    ) -> Self {
        let client = || Client { places: vec![None; in_flight], sent: 0, answered: 0, part: None };
        let clients = (0..clients).map(|_| client()).collect();
        Self { control, thread, exchange, clients, pending: 0, draining: false, reordered: 0 }
    }

    /// A number that no client of another thread has.
    fn number(&self, client: usize) -> usize {
        client * self.control.threads() + self.thread
    }

    fn answered(&mut self, client: usize, id: u64, out: &mut Outbox) -> Result<(), String> {
        let number = self.number(client);
        let state = &mut self.clients[client];
        let in_flight = state.places.len() as u64;
        let place = (id % in_flight) as usize;
        let Some((_, turn)) = state.places[place].filter(|(waiting, _)| *waiting == id) else {
            return Err(format!("client {number} received an answer to {id} that it does not wait for"));
        };
        if turn < state.answered {
            self.reordered += 1;
        }
        state.answered = state.answered.max(turn);
        self.control.count(self.thread, 1);
        if self.draining {
            state.places[place] = None;
            self.pending -= 1;
        } else {
            state.sent += 1;
            state.places[place] = Some((id + in_flight, state.sent));
            self.exchange.append(number, id + in_flight, &mut out.own);
        }
        Ok(())
    }
}

impl Scenario for Echo {
    fn limit_role(&self, _: usize) -> String {
        "mirror".to_owned()
    }

    fn joined(&mut self, _: usize, _: &mut Outbox) -> Joined {
        Joined::Ready
    }

    fn message(&mut self, client: usize, text: bool, payload: &[u8], out: &mut Outbox) -> Result<(), String> {
        let number = self.number(client);
        let (part, expected) = match self.clients[client].part.take() {
            Some((part, id)) => (part, Some(id)),
            None => (0, None),
        };
        let id = self.exchange.check(part, number, text, payload)?;
        if expected.is_some_and(|expected| expected != id) {
            return Err(format!("client {number} received the attachment of another answer"));
        }
        if part + 1 < self.exchange.parts() {
            self.clients[client].part = Some((part + 1, id));
            return Ok(());
        }
        self.answered(client, id, out)
    }

    fn start(&mut self, out: &mut Outbox) {
        for client in 0..self.clients.len() {
            let number = self.number(client);
            let state = &mut self.clients[client];
            let in_flight = state.places.len() as u64;
            let mut frames = Vec::new();
            for id in FIRST_ID..FIRST_ID + in_flight {
                state.sent += 1;
                state.places[(id % in_flight) as usize] = Some((id, state.sent));
                self.exchange.append(number, id, &mut frames);
            }
            self.pending += in_flight as usize;
            out.others.push((client, frames));
        }
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn is_pending(&self) -> bool {
        self.pending > 0
    }
}
