//! A client that comes back as the JavaScript client does: it keeps the private id, and takes a last argument that is
//! text for an offset. It hands out what comes before its CONNECT packet after that.

use wirebird::{Recovery, Server};

use crate::support::{Client, settle};

/// A client, and what it knows of its connection.
pub(crate) struct Tab {
    pub(crate) client: Client,
    pub(crate) sid: String,
    pub(crate) pid: String,
    pub(crate) offset: Option<String>,
    /// Events without their offsets.
    pub(crate) got: Vec<String>,
}

impl Tab {
    pub(crate) async fn open(io: &Server) -> Self {
        Self::connect(io, "0", None).await
    }

    /// Connects with a CONNECT packet, and reads up to the answer.
    pub(crate) async fn connect(io: &Server, packet: &str, offset: Option<String>) -> Self {
        let client = Client::open(io);
        client.send(packet);
        let (mut sid, mut pid) = (String::new(), String::new());
        let mut tab = Self { client, sid: String::new(), pid: String::new(), offset, got: Vec::new() };
        while sid.is_empty() {
            let packet = tab.client.next().await;
            match packet.strip_prefix('0') {
                Some(json) => {
                    let answer: serde_json::Value = serde_json::from_str(json).unwrap();
                    sid = answer["sid"].as_str().unwrap().into();
                    pid = answer["pid"].as_str().unwrap().into();
                }
                None => tab.event(&packet),
            }
        }
        (tab.sid, tab.pid) = (sid, pid);
        tab
    }

    pub(crate) fn event(&mut self, packet: &str) {
        let json = packet.strip_prefix('2').unwrap_or_else(|| panic!("no event: {packet}"));
        let mut args: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        if let Some(offset) = args.pop_if(|last| last.is_string()) {
            self.offset = offset.as_str().map(str::to_owned);
        }
        self.got.push(serde_json::to_string(&args).unwrap());
    }

    pub(crate) async fn take(&mut self) -> Vec<String> {
        settle().await;
        for packet in self.client.take() {
            self.event(&packet);
        }
        std::mem::take(&mut self.got)
    }

    /// Its connection breaks.
    pub(crate) async fn cut(self) -> (String, String, Option<String>) {
        self.client.break_off();
        settle().await;
        (self.sid, self.pid, self.offset)
    }

    pub(crate) async fn back(io: &Server, pid: &str, offset: Option<String>) -> Self {
        let claim = serde_json::json!({ "pid": pid, "offset": offset, "token": "t" });
        Self::connect(io, &format!("0{claim}"), offset).await
    }
}

/// A server with everything as it is by default.
pub(crate) fn server() -> Server {
    Server::builder().connection_state_recovery(Recovery::default()).build()
}
