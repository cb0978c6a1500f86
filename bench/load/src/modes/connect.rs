//! New connections: TCP, upgrade, OPEN, CONNECT and its answer; then the client closes, and opens the next one.

use std::sync::Arc;

use crate::control::Control;
use crate::websocket::{Joined, Outbox, Scenario};

pub(crate) struct Connect {
    control: Arc<Control>,
    thread: usize,
    /// Connections are opened all the time, but the run begins when each of these has been connected once.
    first: Vec<bool>,
}

impl Connect {
    pub(crate) fn new(control: Arc<Control>, thread: usize, clients: usize) -> Self {
        Self { control, thread, first: vec![true; clients] }
    }
}

impl Scenario for Connect {
    fn limit_role(&self, _: usize) -> String {
        "mirror".to_owned()
    }

    fn joined(&mut self, client: usize, out: &mut Outbox) -> Joined {
        self.control.count(self.thread, 1);
        if std::mem::take(&mut self.first[client]) {
            out.ready += 1;
        }
        Joined::Reopen
    }

    fn message(&mut self, _: usize, _: bool, payload: &[u8], _: &mut Outbox) -> Result<(), String> {
        Err(format!("an unexpected message: {:?}", String::from_utf8_lossy(payload)))
    }

    fn start(&mut self, _: &mut Outbox) {}

    fn drain(&mut self) {}

    fn is_pending(&self) -> bool {
        false
    }
}
