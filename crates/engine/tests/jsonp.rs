//! Polling by script tags: replies are scripts, POSTs are forms.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::{Http, Response, TestServer, Ws, config, pending_for, quiet, until};
use wirebird_engine::{CloseReason, Config, Origins, Outgoing};

const VERSION_4: &str = "/socket.io/?EIO=4&transport=polling";
const VERSION_3: &str = "/socket.io/?EIO=3&transport=polling";
const FORM: &str = "application/x-www-form-urlencoded";

fn allowed(change: impl FnOnce(&mut Config)) -> Config {
    config(|c| {
        c.jsonp = true;
        c.allow_eio3 = true;
        change(c);
    })
}

/// A page that polls by script tags and forms.
struct Page {
    http: Http,
    target: String,
}

impl Page {
    async fn open(addr: SocketAddr, target: &str) -> Self {
        let mut http = Http::connect(addr).await;
        let response = http.request("GET", &format!("{target}&j=0"), &[], b"").await;
        let body = argument(&response);
        let json = &body[body.find('{').expect("an object")..];
        let open: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let target = format!("{target}&j=0&sid={}", open["sid"].as_str().expect("a sid"));
        Self { http, target }
    }

    fn sid(&self) -> &str {
        self.target.rsplit('=').next().unwrap_or_default()
    }

    async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.http.request("GET", target, headers, b"").await
    }

    async fn poll(&mut self) -> String {
        let target = self.target.clone();
        argument(&self.get(&target, &[]).await)
    }

    async fn post(&mut self, body: &str) -> Response {
        let target = self.target.clone();
        self.http.request("POST", &target, &[("Content-Type", FORM)], body.as_bytes()).await
    }

    async fn send(&mut self, payload: &str) {
        let escaped = payload.replace("\\n", "\\\n").replace('\n', "\\n");
        let encoded: String = escaped.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let response = self.post(&format!("d={encoded}")).await;
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        assert_eq!(response.header("content-type"), Some("text/html"));
    }
}

/// What the script hands to the function of number 0.
#[track_caller]
fn argument(response: &Response) -> String {
    let text = response.text();
    assert_eq!(response.status, 200, "{text}");
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=UTF-8"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let literal = text.strip_prefix("___eio[0](").and_then(|rest| rest.strip_suffix(");"));
    serde_json::from_str(literal.expect("a call of the function")).expect("a string literal")
}

/// F-PRO-16: nothing of it is there unless it is asked for, and a request says so before it touches its session.
#[tokio::test]
async fn script_tags_are_an_option() {
    let server = TestServer::start().await;
    let mut http = Http::connect(server.addr).await;
    let refused = http.request("GET", &format!("{VERSION_4}&j=0"), &[], b"").await;
    refused.assert_error(400, 3, "Bad request");
    let mut client = support::Polling::open(server.addr).await;
    let target = format!("{}&j=0", client.target());
    client.get.request("GET", &target, &[], b"").await.assert_error(400, 3, "Bad request");
    client.post.request("POST", &target, &[], b"d=4x").await.assert_error(400, 3, "Bad request");
    server.session(&client.sid).send(Outgoing::text("still there")).unwrap();
    assert_eq!(client.poll().await, ["4still there"]);
}

/// F-PRO-16: the number of the function is 1 to 9 digits; anything else is refused, and the session is untouched.
#[tokio::test]
async fn only_numbers_name_a_function() {
    let server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let session = format!("{VERSION_4}&sid={}", page.sid());
    for callback in ["", "a", "-1", "1a", "0x1", "1.5", "1234567890", "%31%20", "0](alert(1));//", "%D9%A1"] {
        for target in [VERSION_4, &session] {
            let target = format!("{target}&j={callback}");
            page.get(&target, &[]).await.assert_error(400, 3, "Bad request");
        }
    }
    // Also without `=`, and when a good one follows.
    page.get(&format!("{session}&j"), &[]).await.assert_error(400, 3, "Bad request");
    page.get(&format!("{session}&j=x&j=0"), &[]).await.assert_error(400, 3, "Bad request");
    server.session(page.sid()).send(Outgoing::text("a")).unwrap();
    let response = page.get(&format!("{session}&j=0042"), &[]).await;
    assert_eq!(response.text(), r#"___eio[42]("4a");"#);
}

/// F-PRO-16: messages of both versions go both ways, whatever is in them.
#[tokio::test]
async fn messages_go_both_ways() {
    let mut server = TestServer::echo(allowed(|_| {})).await;
    let nasty = "\"quotes\" \\ </script><!-- \u{2028}\u{2029} €😀 & 'x' \\n \\\\n \t";
    for (target, before, after) in [(VERSION_4, "", "\u{1e}bAQID"), (VERSION_3, "LEN:", "6:b4AQID")] {
        let mut page = Page::open(server.addr, target).await;
        let length = (nasty.encode_utf16().count() + 1).to_string();
        let payload = format!("{}4{nasty}{after}", before.replace("LEN", &length));
        page.send(&payload).await;
        assert_eq!(server.text().await, nasty);
        assert_eq!(server.binary().await, [1, 2, 3]);
        assert_eq!(page.poll().await, payload);
    }
}

/// F-PRO-16: a line feed arrives as one, though browsers change those in forms.
#[tokio::test]
async fn line_feeds_arrive() {
    let mut server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    page.send("4one\ntwo\\n").await;
    assert_eq!(server.text().await, "one\ntwo\\n");
    assert_eq!(page.post("x=1&d=4%E2%82%AC+%5Cn").await.status, 200);
    assert_eq!(server.text().await, "€ \n");
}

/// F-PRO-16: a script is one line without anything that HTML knows, in case somebody takes it for HTML.
#[tokio::test]
async fn scripts_are_safe_wherever_they_end_up() {
    let server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let text = "</script><script>alert(1)</script>\u{2028}\r\n";
    server.session(page.sid()).send(Outgoing::text(text)).unwrap();
    let target = page.target.clone();
    let response = page.get(&target, &[]).await;
    assert_eq!(argument(&response), format!("4{text}"));
    assert!(!response.text().contains(['<', '>', '\n', '\r', '\u{2028}']), "{}", response.text());
}

/// F-PRO-16: polls are held, and polls of the two kinds exclude each other as any two do.
#[tokio::test]
async fn a_script_waits_until_there_is_something_to_say() {
    let mut server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let session = server.session(page.sid());
    page.http.send("GET", &page.target, &[], b"").await;
    assert!(pending_for(Duration::from_millis(50), page.http.response()).await);
    session.send(Outgoing::text("now")).unwrap();
    assert_eq!(argument(&page.http.response().await), "4now");

    page.http.send("GET", &page.target, &[], b"").await;
    until("a held poll", || session.is_writable()).await;
    let plain = format!("{VERSION_4}&sid={}", page.sid());
    Http::connect(server.addr).await.request("GET", &plain, &[], b"").await.assert_empty(400);
    assert_eq!(argument(&page.http.response().await), "1");
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// F-PRO-16: what is no form with a payload ends the session, as any undecodable body.
#[tokio::test]
async fn malformed_forms_end_the_session() {
    let mut server = TestServer::with(allowed(|_| {}), quiet).await;
    for (target, body) in [
        (VERSION_4, ""),
        (VERSION_4, "4hello"),
        (VERSION_4, "d="),
        (VERSION_4, "e=4hello"),
        (VERSION_4, "d=xyz"),
        (VERSION_3, "d=4hello"),
        (VERSION_3, "d=7%3A4hello"),
    ] {
        let mut page = Page::open(server.addr, target).await;
        page.post(body).await.assert_error(400, 3, "Bad request");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{body:?}");
    }
    // A form is never binary.
    let mut page = Page::open(server.addr, VERSION_3).await;
    let target = page.target.clone();
    let headers = [("Content-Type", "application/octet-stream")];
    page.http.request("POST", &target, &headers, &[0, 1, 255, b'2']).await.assert_empty(400);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// F-PRO-16: the limit of a body holds for a form as it comes.
#[tokio::test]
async fn a_form_has_the_limit_of_a_body() {
    let server = TestServer::with(allowed(|c| c.max_payload = 100), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    assert_eq!(page.post(&format!("d=4{}", "x".repeat(98))).await.status, 413);
    assert_eq!(page.post(&format!("d=4{}", "x".repeat(97))).await.status, 200);
}

/// F-PRO-16: a session of version 3 whose client takes binary elsewhere gets text by script all the same.
#[tokio::test]
async fn scripts_are_text_also_when_there_is_binary() {
    let server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_3).await;
    server.session(page.sid()).send(Outgoing::binary(&[1, 2, 3])).unwrap();
    assert_eq!(page.poll().await, "6:b4AQID");
    server.session(page.sid()).send(Outgoing::binary(&[1, 2, 3])).unwrap();
    let plain = format!("{VERSION_3}&sid={}", page.sid());
    assert_eq!(page.get(&plain, &[]).await.body, [1, 4, 255, 4, 1, 2, 3]);
}

/// F-PRO-16, F-COR-01: a form tells its origin and is checked as any request; a script does not, which is why it is an
/// option.
#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let target = page.target.clone();
    let headers = [("Origin", "http://evil.example"), ("Content-Type", FORM)];
    let refused = page.http.request("POST", &target, &headers, b"d=4x").await;
    refused.assert_error(400, 3, "Not an accepted origin");
    let server = TestServer::with(allowed(|c| c.cors.origins = Origins::Any), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let target = page.target.clone();
    assert_eq!(page.http.request("POST", &target, &headers, b"d=4x").await.status, 200);
}

/// F-PRO-16: the parameter means nothing to a WebSocket, also when the option is off.
#[tokio::test]
async fn a_websocket_has_no_script() {
    let server = TestServer::echo(config(|_| {})).await;
    let mut ws = Ws::to(server.addr, "/socket.io/?EIO=4&transport=websocket&j=x", &[]).await;
    ws.text().await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}

/// F-PRO-16: a session that began by script moves to WebSocket as any other.
#[tokio::test]
async fn a_session_moves_to_websocket() {
    let server = TestServer::echo(allowed(|_| {})).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", page.sid());
    let mut ws = Ws::to(server.addr, &target, &[]).await;
    ws.probe().await;
    assert_eq!(page.poll().await, "6");
    ws.send("5").await;
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}

/// F-PRO-16, F-PRO-13: long scripts are compressed.
#[tokio::test]
async fn scripts_are_compressed() {
    let server = TestServer::with(allowed(|_| {}), quiet).await;
    let mut page = Page::open(server.addr, VERSION_4).await;
    server.session(page.sid()).send(Outgoing::text(&"x".repeat(5000))).unwrap();
    let target = page.target.clone();
    let response = page.get(&target, &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=UTF-8"));
    assert!(response.body.len() < 500);
}
