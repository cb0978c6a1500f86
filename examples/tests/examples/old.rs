//! Clients of an older time.

use serde_json::json;
use tungstenite::Message;

use crate::client::Client;
use crate::{example, http};

/// F-PRO-02: clients of both kinds talk to one another, and the old one never needs its secret for that.
#[test]
fn old_clients() {
    let example = example!("old_clients");
    let mut ann = Client::open(example.addr(), &[]);
    let ann_id = ann.join("/", json!({ "name": "Ann" })).unwrap();
    assert_eq!(ann.event("you are"), json!([ann_id]));

    let target = "/socket.io/?EIO=3&transport=websocket&name=Bob";
    let mut bob = Client::websocket(example.addr(), target, &[]).unwrap();
    let open = bob.frame().unwrap().into_text().unwrap();
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    assert_eq!(bob.frame(), Some(Message::text("40")), "connected without asking");
    let bob_id = bob.event("you are")[0].clone();
    assert_ne!(bob_id, open["sid"]);
    assert_eq!(ann.event("joined"), json!(["Bob", "an old client"]));

    bob.emit("say", json!(["hello"]));
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.event("said"), json!(["Bob", "hello"]));
    }
    ann.emit("whisper", json!([bob_id, "psst"]));
    assert_eq!(bob.event("whispered"), json!(["Ann", "psst"]));
    // In this protocol it is the client that pings.
    bob.send("2");
    assert_eq!(bob.frame(), Some(Message::text("3")));
}

/// F-PRO-02, F-PRO-16: a refusal is a plain text for old clients, and script tags get nothing here.
#[test]
fn old_clients_that_are_refused() {
    let example = example!("old_clients");
    let opened = http::get(example.addr(), "/socket.io/?EIO=3&transport=polling");
    assert!(opened.body.ends_with(r#"16:44"who are you?""#), "{}", opened.body);
    let scripted = http::get(example.addr(), "/socket.io/?EIO=3&transport=polling&j=0");
    assert_eq!(scripted.status, 400);
}
