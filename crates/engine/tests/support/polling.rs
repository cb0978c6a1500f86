use std::net::SocketAddr;

use super::{Http, Response};

/// A client on HTTP long-polling: one connection for polls and one for POSTs, as browsers do it.
pub struct Polling {
    pub addr: SocketAddr,
    pub sid: String,
    pub open: serde_json::Value,
    pub get: Http,
    pub post: Http,
}

/// The packets of a body.
pub fn packets(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).expect("a body of text");
    text.split('\x1e').map(str::to_owned).collect()
}

impl Polling {
    pub async fn open(addr: SocketAddr) -> Self {
        Self::reopen(Http::connect(addr).await, Http::connect(addr).await, addr).await
    }

    /// A new session on connections that exist already.
    pub async fn reopen(mut get: Http, post: Http, addr: SocketAddr) -> Self {
        let response = get.request("GET", "/socket.io/?EIO=4&transport=polling&t=abc", &[], b"").await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
        let text = response.text();
        let open = serde_json::from_str(text.strip_prefix('0').expect("an OPEN packet")).expect("JSON");
        let mut this = Self { addr, sid: String::new(), open, get, post };
        this.sid = this.open["sid"].as_str().expect("a sid").to_owned();
        this
    }

    /// The target of a request on this session over `transport`.
    pub fn target_on(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    pub fn target(&self) -> String {
        self.target_on("polling")
    }

    pub async fn begin_poll(&mut self) {
        let target = self.target();
        self.get.send("GET", &target, &[], b"").await;
    }

    pub async fn poll_response(&mut self) -> Response {
        self.begin_poll().await;
        self.get.response().await
    }

    /// The packets of the poll under way.
    pub async fn end_poll(&mut self) -> Vec<String> {
        let response = self.get.response().await;
        assert_eq!(response.status, 200, "{}", response.text());
        packets(&response.body)
    }

    pub async fn poll(&mut self) -> Vec<String> {
        self.begin_poll().await;
        self.end_poll().await
    }

    pub async fn begin_post(&mut self, body: &[u8]) {
        let target = self.target();
        self.post.send("POST", &target, &[("Content-Type", "text/plain;charset=UTF-8")], body).await;
    }

    pub async fn post(&mut self, body: &[u8]) -> Response {
        self.begin_post(body).await;
        self.post.response().await
    }

    /// A POST that must be taken.
    pub async fn send(&mut self, body: &str) {
        let response = self.post(body.as_bytes()).await;
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
}
