//! A small client: Engine.IO 4 and Socket.IO 5, over a WebSocket or with an upgrade from polling to one.

use std::collections::VecDeque;
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Error, Message, WebSocket};

use crate::{PATIENCE, http};

/// A connected client. What came in while it waited for something else is kept.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    inbox: VecDeque<Packet>,
    next_id: u64,
}

/// A Socket.IO packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
    pub(crate) attachments: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

impl Client {
    /// Connects to the default namespace over a WebSocket.
    pub(crate) fn connect(addr: &str) -> Self {
        let mut client = Self::open(addr, &[]);
        client.join("/", json!({})).unwrap();
        client
    }

    /// Opens a WebSocket, without any namespace.
    pub(crate) fn open(addr: &str, headers: &[(&str, &str)]) -> Self {
        let mut client = Self::websocket(addr, "/socket.io/?EIO=4&transport=websocket", headers).unwrap();
        let open = client.frame().expect("the OPEN packet");
        assert!(open.to_text().unwrap().starts_with("0{"), "{open:?}");
        client
    }

    /// Connects to the default namespace as browsers do: over polling, and then moves to a WebSocket.
    pub(crate) fn upgrade(addr: &str) -> Self {
        let polling = "/socket.io/?EIO=4&transport=polling";
        let opened = http::get(addr, polling);
        assert_eq!(opened.status, 200, "{}", opened.body);
        let open: Value = serde_json::from_str(opened.body.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["upgrades"], json!(["websocket"]));
        let sid = open["sid"].as_str().unwrap();
        let polling = format!("{polling}&sid={sid}");
        assert_eq!(http::post(addr, &polling, "40").body, "ok");
        let connected = http::get(addr, &polling).body;
        assert!(connected.starts_with("40{\"sid\":"), "{connected}");

        let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
        let mut client = Self::websocket(addr, &target, &[]).unwrap();
        client.send("2probe");
        assert_eq!(client.frame(), Some(Message::text("3probe")));
        client.send("5");
        client
    }

    /// Opens a WebSocket on any path; the status of the refusal if it is refused.
    pub(crate) fn websocket(addr: &str, target: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let uri = format!("ws://{addr}{target}").parse().unwrap();
        let mut request = ClientRequestBuilder::new(uri);
        for (name, value) in headers {
            request = request.with_header(*name, *value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, inbox: VecDeque::new(), next_id: 0 }),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    // ---- Socket.IO ----

    /// Joins a namespace: the id of the socket, or what the refusal says.
    pub(crate) fn join(&mut self, namespace: &str, auth: Value) -> Result<String, Value> {
        self.send(&format!("40{}{auth}", prefix(namespace)));
        let answer = self.find(&format!("an answer to the connection to {namespace}"), |packet| {
            packet.namespace == namespace && matches!(packet.kind, Kind::Connect | Kind::ConnectError)
        });
        match answer.kind {
            Kind::Connect => Ok(answer.data["sid"].as_str().unwrap().into()),
            _ => Err(answer.data),
        }
    }

    /// Emits an event in the default namespace; `args` is an array.
    pub(crate) fn emit(&mut self, event: &str, args: Value) {
        self.send(&format!("42{}", payload(event, &args)));
    }

    /// Emits an event in the default namespace and waits for the acknowledgement: an array.
    pub(crate) fn call(&mut self, event: &str, args: Value) -> Value {
        self.call_in("/", event, args)
    }

    /// As [`Client::call`], in any namespace.
    pub(crate) fn call_in(&mut self, namespace: &str, event: &str, args: Value) -> Value {
        let id = self.emit_expecting(namespace, event, args);
        self.ack(event, id).data
    }

    /// Emits an event and returns the id its acknowledgement will have.
    pub(crate) fn emit_expecting(&mut self, namespace: &str, event: &str, args: Value) -> u64 {
        let id = self.id();
        self.send(&format!("42{}{id}{}", prefix(namespace), payload(event, &args)));
        id
    }

    /// Emits an event with attachments, for which `args` has placeholders, and waits for the acknowledgement. Without any, it is
    /// an ordinary event, as with every client.
    pub(crate) fn call_binary(&mut self, event: &str, args: Value, attachments: &[&[u8]]) -> Packet {
        if attachments.is_empty() {
            let id = self.emit_expecting("/", event, args);
            return self.ack(event, id);
        }
        let id = self.id();
        self.send(&format!("45{}-{id}{}", attachments.len(), payload(event, &args)));
        for attachment in attachments {
            self.socket.send(Message::binary(attachment.to_vec())).unwrap();
        }
        self.ack(event, id)
    }

    /// Waits for the acknowledgement of an event.
    pub(crate) fn ack(&mut self, event: &str, id: u64) -> Packet {
        self.find(&format!("the acknowledgement of {event}"), |packet| {
            packet.kind == Kind::Ack && packet.id == Some(id)
        })
    }

    /// Waits for an event of that name in any namespace: its arguments.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.event_packet(name).data
    }

    /// Waits for an event; the data are its arguments without the name.
    pub(crate) fn event_packet(&mut self, name: &str) -> Packet {
        let mut packet = self.find(&format!("the event {name}"), |packet| is_event(packet, name));
        packet.data.as_array_mut().unwrap().remove(0);
        packet
    }

    /// Acknowledges an event.
    pub(crate) fn answer(&mut self, event: &Packet, args: Value) {
        let id = event.id.expect("an event that wants an acknowledgement");
        self.send(&format!("43{}{id}{args}", prefix(&event.namespace)));
    }

    /// Whether an event of that name has come in so far. Only says something after an answer of the server that must
    /// have come after it.
    pub(crate) fn has_received(&self, name: &str) -> bool {
        self.inbox.iter().any(|packet| is_event(packet, name))
    }

    /// Waits until the server disconnects it from a namespace.
    pub(crate) fn disconnected(&mut self, namespace: &str) {
        self.find("the end of the namespace", |packet| {
            packet.kind == Kind::Disconnect && packet.namespace == namespace
        });
    }

    /// Waits until the connection ends.
    pub(crate) fn closed(&mut self) {
        while let Some(packet) = self.packet() {
            self.inbox.push_back(packet);
        }
    }

    // ---- below ----

    /// Sends one Engine.IO packet.
    pub(crate) fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends one binary Engine.IO message.
    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        self.socket.send(Message::binary(data.to_vec())).unwrap();
    }

    /// The next packet of text.
    pub(crate) fn text(&mut self) -> String {
        self.frame().expect("a packet").to_text().unwrap().to_owned()
    }

    /// The next Engine.IO packet but for pings, which are answered; `None` when the connection has ended.
    pub(crate) fn frame(&mut self) -> Option<Message> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) if text == "2" => self.send("3"),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Some(message),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came for {PATIENCE:?}; unread: {:#?}", self.inbox)
                }
                Err(_) => return None,
            }
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn packet(&mut self) -> Option<Packet> {
        let frame = self.frame()?;
        let (mut packet, attachments) = decode(frame.to_text().unwrap());
        for _ in 0..attachments {
            packet.attachments.push(self.frame()?.into_data().to_vec());
        }
        Some(packet)
    }

    fn find(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(at) = self.inbox.iter().position(&wanted) {
            return self.inbox.remove(at).unwrap();
        }
        loop {
            match self.packet() {
                Some(packet) if wanted(&packet) => return packet,
                Some(packet) => self.inbox.push_back(packet),
                None => panic!("the connection ended before {what} came; unread: {:#?}", self.inbox),
            }
        }
    }
}

fn is_event(packet: &Packet, name: &str) -> bool {
    packet.kind == Kind::Event && packet.data[0] == name
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

fn payload(event: &str, args: &Value) -> Value {
    let args = args.as_array().expect("an array of arguments");
    std::iter::once(event.into()).chain(args.iter().cloned()).collect()
}

/// A packet, and how many attachments follow.
fn decode(text: &str) -> (Packet, usize) {
    let rest = text.strip_prefix('4').unwrap_or_else(|| panic!("no message: {text:?}"));
    let (kind, mut rest) = rest.split_at(1);
    let mut attachments = 0;
    let kind = match kind {
        "0" => Kind::Connect,
        "1" => Kind::Disconnect,
        "2" => Kind::Event,
        "3" => Kind::Ack,
        "4" => Kind::ConnectError,
        "5" | "6" => {
            let (count, after) = rest.split_once('-').unwrap();
            attachments = count.parse().unwrap();
            rest = after;
            if kind == "5" { Kind::Event } else { Kind::Ack }
        }
        _ => panic!("no packet: {text:?}"),
    };
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (id, json) = rest.split_at(digits);
    let data = if json.is_empty() { Value::Null } else { serde_json::from_str(json).unwrap() };
    let packet =
        Packet { kind, namespace: namespace.into(), id: id.parse().ok(), data, attachments: Vec::new() };
    (packet, attachments)
}
