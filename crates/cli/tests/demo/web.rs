//! HTTP by hand, and a Socket.IO client that polls with it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes, for a test that would otherwise never end.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Response {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One request on a connection of its own.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, headers: headers.into(), body: body.into() }
}

/// A client of the chat.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    path: String,
    received: VecDeque<String>,
    calls: u64,
}

impl Client {
    pub(crate) fn sign_in(address: SocketAddr, name: &str) -> Self {
        Self::connect(address, &serde_json::json!({ "name": name })).unwrap()
    }

    /// The error is what the server refused with.
    pub(crate) fn connect(address: SocketAddr, auth: &Value) -> Result<Self, Value> {
        let path = "/socket.io/?EIO=4&transport=polling";
        let open = request(address, "GET", path, "");
        assert_eq!(open.status, 200);
        let open: Value = serde_json::from_str(open.body.strip_prefix('0').unwrap()).unwrap();
        let path = format!("{path}&sid={}", open["sid"].as_str().unwrap());
        let mut client = Self { address, path, received: VecDeque::new(), calls: 0 };
        client.post(&format!("40{auth}"));
        let answer = client.packet(|packet| packet.starts_with("40") || packet.starts_with("44"));
        match answer.strip_prefix("44") {
            Some(refused) => Err(serde_json::from_str(refused).unwrap()),
            None => Ok(client),
        }
    }

    /// Emits an event without an acknowledgement.
    pub(crate) fn send(&mut self, event: Value) {
        self.post(&format!("42{event}"));
    }

    /// Emits an event and returns what it is acknowledged with.
    pub(crate) fn call(&mut self, event: Value) -> Value {
        self.calls += 1;
        self.post(&format!("42{}{event}", self.calls));
        self.answer()
    }

    /// As `call`, with an attachment in base64.
    pub(crate) fn call_with(&mut self, event: Value, attachment: &str) -> Value {
        self.calls += 1;
        self.post(&format!("451-{}{event}\x1eb{attachment}", self.calls));
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let begin = format!("43{}", self.calls);
        let packet = self.packet(|packet| packet.starts_with(&begin));
        let mut values: Vec<Value> = serde_json::from_str(&packet[begin.len()..]).unwrap();
        values.remove(0)
    }

    /// The next event of a name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        let begin = format!("[\"{name}\",");
        let packet = self.packet(|packet| {
            packet
                .strip_prefix("42")
                .or_else(|| packet.strip_prefix("451-"))
                .is_some_and(|json| json.starts_with(&begin))
        });
        serde_json::from_str(&packet[packet.find('[').unwrap()..]).unwrap()
    }

    /// The attachment that follows, in base64.
    pub(crate) fn attachment(&mut self) -> String {
        self.packet(|packet| packet.starts_with('b'))[1..].into()
    }

    /// Closes the connection.
    pub(crate) fn leave(self) {
        self.post("1");
    }

    fn post(&self, body: &str) {
        let response = request(self.address, "POST", &self.path, body);
        assert_eq!((response.status, &*response.body), (200, "ok"));
    }

    /// The first packet that is wanted; those before it are kept for later.
    fn packet(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut looked_at = 0;
        loop {
            if let Some(index) = self.received.iter().skip(looked_at).position(|packet| wanted(packet)) {
                return self.received.remove(looked_at + index).unwrap();
            }
            looked_at = self.received.len();
            let response = request(self.address, "GET", &self.path, "");
            assert_eq!(response.status, 200, "{}", response.body);
            self.received.extend(response.body.split('\x1e').map(str::to_owned));
        }
    }
}
