//! Older clients over HTTP: Engine.IO 3 and polling by script tags, in every way in which a server can be reached.

use serde_json::Value as Json;
use wirebird::extract::Data;
use wirebird::{Server, Socket};

use crate::http::{Response, Site};

const VERSION_3: &str = "/socket.io/?EIO=3&transport=polling";
const VERSION_4: &str = "/socket.io/?EIO=4&transport=polling";

fn chat() -> Server {
    let io = Server::builder().allow_eio3(true).jsonp(true).build();
    io.on("echo", async |socket: Socket, Data(text): Data<String>| socket.emit("echo", text));
    io
}

/// What a script hands to function 3.
#[track_caller]
fn argument(response: &Response) -> String {
    let text = response.text();
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=UTF-8"), "{text}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let literal = text.strip_prefix("___eio[3](").and_then(|rest| rest.strip_suffix(");"));
    serde_json::from_str(literal.expect("a call")).expect("a string")
}

/// The id of the session that a first reply opens, and what comes behind OPEN.
#[track_caller]
fn opened(body: &str) -> (String, String) {
    let json = &body[body.find('{').expect("OPEN")..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Json>();
    let open = values.next().expect("JSON").expect("JSON");
    (open["sid"].as_str().expect("a sid").to_owned(), json[values.byte_offset()..].to_owned())
}

/// F-PRO-02: an old client is told that it is connected in the very first reply, and talks from there.
#[tokio::test]
async fn an_old_client_is_connected_by_the_first_reply() {
    for (way, site) in Site::each(&chat()).await {
        let first = site.get(VERSION_3).await;
        let text = first.text();
        let (length, rest) = text.split_once(':').expect("a length");
        let (sid, behind) = opened(&text);
        assert_eq!(length.parse(), Ok(rest.len() - behind.len()), "{way}");
        assert_eq!(behind, "2:40", "{way}");
        let target = format!("{VERSION_3}&sid={sid}");
        let posted = site.request("POST", &target, &[], "16:42[\"echo\",\"€😀\"]").await;
        assert_eq!((posted.status, posted.text()), (200, "ok".into()), "{way}");
        assert_eq!(site.get(&target).await.text(), "16:42[\"echo\",\"€😀\"]", "{way}");
    }
}

/// F-PRO-16: a page polls by script tags and forms, with either version of the protocol.
#[tokio::test]
async fn a_page_polls_by_script_tags() {
    for (way, site) in Site::each(&chat()).await {
        let (sid, _) = opened(&argument(&site.get(&format!("{VERSION_4}&j=3")).await));
        let target = format!("{VERSION_4}&j=3&sid={sid}");
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        assert_eq!(site.request("POST", &target, &form, "d=40").await.text(), "ok", "{way}");
        assert!(argument(&site.get(&target).await).starts_with("40{\"sid\":"), "{way}");
        let event = "d=42%5B%22echo%22%2C%22%3C%2Fscript%3E%5C%5Cn%E2%80%A8%22%5D";
        assert_eq!(site.request("POST", &target, &form, event).await.text(), "ok", "{way}");
        let answer = site.get(&target).await;
        assert_eq!(argument(&answer), "42[\"echo\",\"</script>\\n\u{2028}\"]", "{way}");
        assert!(!answer.text().contains(['<', '\u{2028}']));

        let first = argument(&site.get(&format!("{VERSION_3}&j=3&b64=1")).await);
        assert_eq!(opened(&first).1, "2:40", "{way}");
        let target = format!("{VERSION_3}&j=3&sid={}", opened(&first).0);
        let event = "d=14%3A42%5B%22echo%22%2C%22x%22%5D";
        assert_eq!(site.request("POST", &target, &form, event).await.text(), "ok", "{way}");
        assert_eq!(argument(&site.get(&target).await), "14:42[\"echo\",\"x\"]", "{way}");
        assert_eq!(site.request("POST", &target, &form, "d=9%3A42").await.status, 400, "{way}");
    }
}

/// F-PRO-02, F-PRO-16: neither is there unless it is asked for.
#[tokio::test]
async fn older_ways_are_closed_by_default() {
    let site = Site::alone(&Server::new()).await;
    for (target, code) in [(VERSION_3.into(), 5), (format!("{VERSION_4}&j=0"), 3)] {
        let refused = site.get(&target).await;
        assert_eq!(refused.status, 400);
        let json: Json = serde_json::from_str(&refused.text()).expect("JSON");
        assert_eq!(json["code"], code, "{target}");
    }
    // One and the same server lets both versions in, and nobody who names none.
    let site = Site::alone(&chat()).await;
    for (target, status) in [(VERSION_3, 200), (VERSION_4, 200), ("/socket.io/?transport=polling", 400)] {
        assert_eq!(site.get(target).await.status, status, "{target}");
    }
}
