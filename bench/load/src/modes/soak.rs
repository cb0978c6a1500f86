//! Idle clients, which answer pings and do nothing else. The next ping is due one interval after the pong has arrived, so
//! how far a ping is from its time is told by the pong before it. Clients that are lost are counted, and the others stay.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::template::Template;
use crate::websocket::{Joined, Outbox, Scenario};

/// A ping that is further from its time than this is missing, or one too many.
const ASTRAY: Duration = Duration::from_secs(5);
/// Pongs that were held back and are sent in one turn: when each is sent must be known well.
const AT_ONCE: usize = 16;

pub(crate) struct Soak {
    clients: Vec<Client>,
    /// The first pongs are held back until every client has been pinged.
    burst: bool,
    held: VecDeque<usize>,
    /// All of them are held back: they are being sent.
    releasing: Option<Instant>,
    pong: Template,
    pub(crate) found: Soaked,
}

/// What was found.
pub(crate) struct Soaked {
    pub(crate) interval: Duration,
    /// How far pings were from their time: all but the first of each client.
    pub(crate) jitter: Histogram,
    pub(crate) lost: u64,
    pub(crate) missing: u64,
    pub(crate) first_error: Option<String>,
    /// How long it took to send the pongs that were held back.
    pub(crate) released: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    New,
    /// Since when.
    Open(Instant),
    /// Pinged, and the pong is not sent.
    Held,
    /// When the last pong was sent.
    Answered(Instant),
    Lost,
}

impl Soaked {
    pub(crate) fn new() -> Self {
        Self {
            interval: Duration::ZERO,
            jitter: Histogram::new(),
            lost: 0,
            missing: 0,
            first_error: None,
            released: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.interval = self.interval.max(other.interval);
        self.jitter.add(&other.jitter);
        self.lost += other.lost;
        self.missing += other.missing;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.released = self.released.max(other.released);
    }
}

impl Soak {
    pub(crate) fn new(clients: usize, burst: bool) -> Self {
        Self {
            clients: vec![Client::New; clients],
            burst,
            held: VecDeque::new(),
            releasing: None,
            pong: Template::frame(true, b"3"),
            found: Soaked::new(),
        }
    }

    fn send_held(&mut self, now: Instant, out: &mut Outbox) {
        for _ in 0..AT_ONCE {
            let Some(client) = self.held.pop_front() else { break };
            if self.clients[client] == Client::Held {
                self.clients[client] = Client::Answered(now);
                out.others.push((client, self.pong.bytes().to_vec()));
            }
        }
    }
}

impl Scenario for Soak {
    fn limit_role(&self, _: usize) -> String {
        "mirror".to_owned()
    }

    fn opened(&mut self, client: usize, packet: &[u8]) -> Result<(), String> {
        let interval = ping_interval(packet).ok_or("an OPEN packet without a pingInterval")?;
        if self.found.interval != Duration::ZERO && self.found.interval != interval {
            return Err("two ping intervals".to_owned());
        }
        self.found.interval = interval;
        self.clients[client] = Client::Open(Instant::now());
        Ok(())
    }

    fn joined(&mut self, _: usize, _: &mut Outbox) -> Joined {
        Joined::Ready
    }

    fn message(&mut self, _: usize, _: bool, payload: &[u8], _: &mut Outbox) -> Result<(), String> {
        Err(format!("an unexpected packet: {:?}", String::from_utf8_lossy(payload)))
    }

    fn ping(&mut self, client: usize) -> Result<bool, String> {
        let now = Instant::now();
        let since = match self.clients[client] {
            Client::Open(since) | Client::Answered(since) => since,
            state => return Err(format!("a ping to a client that is {state:?}")),
        };
        let passed = now - since;
        let astray = passed.abs_diff(self.found.interval);
        if astray > ASTRAY {
            return Err(format!("a ping after {:.1} s", passed.as_secs_f64()));
        }
        if matches!(self.clients[client], Client::Answered(_)) {
            self.found.jitter.record(astray);
        } else if self.burst {
            self.clients[client] = Client::Held;
            self.held.push_back(client);
            return Ok(false);
        }
        self.clients[client] = Client::Answered(now);
        Ok(true)
    }

    fn failed(&mut self, client: usize, error: String) -> Result<(), String> {
        self.clients[client] = Client::Lost;
        self.found.lost += 1;
        self.found.first_error.get_or_insert(error);
        Ok(())
    }

    fn start(&mut self, _: &mut Outbox) {}

    fn turn(&mut self, out: &mut Outbox) {
        let waiting = self.burst && self.releasing.is_none() && !self.held.is_empty();
        if waiting && !self.clients.iter().any(|client| matches!(client, Client::Open(_))) {
            self.releasing = Some(Instant::now());
        }
        if let Some(began) = self.releasing.filter(|_| !self.held.is_empty()) {
            let now = Instant::now();
            self.send_held(now, out);
            self.found.released = now - began;
        }
    }

    fn drain(&mut self) {
        let now = Instant::now();
        let latest = self.found.interval + ASTRAY;
        let is_missing = |client: &&Client| match **client {
            Client::Open(since) | Client::Answered(since) => now - since > latest,
            Client::Held => true,
            Client::New | Client::Lost => false,
        };
        self.found.missing = self.clients.iter().filter(is_missing).count() as u64;
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn is_busy(&self) -> bool {
        self.releasing.is_some() && !self.held.is_empty()
    }
}

fn ping_interval(packet: &[u8]) -> Option<Duration> {
    let open: serde_json::Value = serde_json::from_slice(packet.strip_prefix(b"0")?).ok()?;
    open["pingInterval"].as_u64().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_what_the_server_says() {
        let packet = br#"0{"sid":"x","pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(ping_interval(packet), Some(Duration::from_secs(25)));
        assert_eq!(ping_interval(b"0{}"), None);
    }
}
