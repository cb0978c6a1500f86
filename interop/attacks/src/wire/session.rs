//! A client on polling.

use std::net::SocketAddr;

use super::http::{Response, get, post, post_with};
use super::{Outcome, Raw, ensure, fail};

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A session on polling, with a connection for its requests.
pub(crate) struct Polling {
    pub(crate) http: Raw,
    pub(crate) sid: String,
    addr: SocketAddr,
}

impl Polling {
    pub(crate) fn open(addr: SocketAddr) -> Outcome<Self> {
        let mut http = Raw::connect(addr)?;
        http.send(get(POLLING))?;
        let open = http.response()?.expect(200)?;
        let open = open.text();
        let Some(json) = open.strip_prefix('0') else { fail!("no OPEN: {open}") };
        let json: serde_json::Value = serde_json::from_str(json)?;
        let Some(sid) = json["sid"].as_str() else { fail!("no session id: {open}") };
        Ok(Self { http, sid: sid.to_owned(), addr })
    }

    /// A session that has joined the namespace `/`.
    pub(crate) fn joined(addr: SocketAddr) -> Outcome<Self> {
        let mut this = Self::open(addr)?;
        this.post("40")?.expect(200)?;
        let packets = this.poll()?.expect(200)?.text();
        ensure!(packets.starts_with(r#"40{"sid":"#), "no CONNECT: {packets}");
        Ok(this)
    }

    /// Where its requests go.
    pub(crate) fn target(&self) -> String {
        format!("{POLLING}&sid={}", self.sid)
    }

    pub(crate) fn post(&mut self, body: &str) -> Outcome<Response> {
        self.http.send(post(&self.target(), body))?;
        self.http.response()
    }

    pub(crate) fn poll(&mut self) -> Outcome<Response> {
        self.http.send(get(&self.target()))?;
        self.http.response()
    }

    /// A further connection.
    pub(crate) fn another(&self) -> Outcome<Raw> {
        Raw::connect(self.addr)
    }

    /// A POST on a further connection, with headers that need not be true.
    pub(crate) fn begin_post(&self, headers: &str, rest: &str) -> Outcome<Raw> {
        let mut raw = self.another()?;
        raw.send(post_with(&self.target(), headers, rest))?;
        Ok(raw)
    }

    /// That an event is answered, by requests of a connection of their own.
    pub(crate) fn echoes(&self) -> Outcome {
        let mut http = self.another()?;
        http.send(post(&self.target(), r#"42["echo","still here"]"#))?;
        http.response()?.expect(200)?;
        for _ in 0..5 {
            http.send(get(&self.target()))?;
            let packets = http.response()?.expect(200)?.text();
            if packets.contains("still here") {
                return Ok(());
            }
        }
        fail!("the session has no echo any more")
    }

    /// That the session has ended: what is left is a reply that says so, or nothing at all.
    pub(crate) fn is_over(&self) -> Outcome {
        let mut http = self.another()?;
        for _ in 0..5 {
            http.send(get(&self.target()))?;
            let response = http.response()?;
            if response.status == 400 && response.code() == Some(1) {
                return Ok(());
            }
            // It may not have noticed yet; then this is a second poll.
            ensure!(matches!(response.status, 200 | 400), "{} {}", response.status, response.text());
        }
        fail!("the session goes on")
    }

    pub(crate) fn leave(mut self) {
        let _ = self.post("1");
    }
}
