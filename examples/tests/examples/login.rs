//! Logging in over HTTP, and what event handlers know of it.

use serde_json::{Value, json};

use crate::client::Client;
use crate::{example, http};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Logs in, and returns the cookie.
fn log_in(addr: &str, name: &str) -> String {
    let answer = http::request(addr, "POST", "/login", &[FORM], &format!("name={name}&password=secret"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.cookie().expect("a session").to_owned()
}

fn web_session(addr: &str, cookie: &str) -> Value {
    serde_json::from_str(&http::request(addr, "GET", "/me", &[("Cookie", cookie)], "").body).unwrap()
}

fn open(addr: &str, cookie: &str) -> Client {
    let mut client = Client::open(addr, &[("Cookie", cookie)]);
    client.join("/", json!({})).unwrap();
    client
}

/// F-CTX-06, F-CTX-07: the web application's middleware sees the request that opens the connection; who is not logged in
/// is refused, and handlers know who is.
#[test]
fn handlers_know_who_is_logged_in() {
    let example = example!("axum_login");
    let addr = example.addr();
    let refusal = Client::open(addr, &[]).join("/", json!({}));
    assert_eq!(refusal, Err(json!({ "message": "log in first" })));
    let refusal = Client::open(addr, &[("Cookie", "id=AAAAAAAAAAAAAAAAAAAAAA")]).join("/", json!({}));
    assert_eq!(refusal, Err(json!({ "message": "log in first" })));
    let wrong = http::request(addr, "POST", "/login", &[FORM], "name=ann&password=guess");
    assert_eq!((wrong.status, wrong.cookie()), (401, None));

    let (mut ann, mut bob) = (open(addr, &log_in(addr, "ann")), open(addr, &log_in(addr, "bob")));
    bob.emit("say", json!(["hello"]));
    assert_eq!(ann.event("said"), json!(["bob", "grey", "hello"]));
}

/// F-EVT-17, F-CTX-07: a layer around a handler disconnects who is not logged in; other events of that namespace are
/// for all.
#[test]
fn a_layer_disconnects_who_is_not_logged_in() {
    let example = example!("axum_login");
    let addr = example.addr();
    let mut guest = Client::open(addr, &[]);
    guest.join("/lobby", json!({})).unwrap();
    assert_eq!(guest.call_in("/lobby", "hello", json!([])), json!(["hello, whoever you are"]));
    guest.emit_expecting("/lobby", "moderate", json!([]));
    guest.disconnected("/lobby");

    let mut ann = open(addr, &log_in(addr, "ann"));
    ann.join("/lobby", json!({})).unwrap();
    assert_eq!(ann.call_in("/lobby", "moderate", json!([])), json!([1]));
}

/// F-CTX-04, F-CTX-05, pain 22: what handlers change in the socket's session is the socket's; what they save into the web session
/// is seen by web pages, and by sockets that connect later.
#[test]
fn the_web_session_is_read_at_connect_and_saved_on_purpose() {
    let example = example!("axum_login");
    let addr = example.addr();
    let cookie = log_in(addr, "ann");
    let mut ann = open(addr, &cookie);
    ann.call("paint", json!(["red"]));
    ann.emit("say", json!(["one"]));
    assert_eq!(ann.event("said"), json!(["ann", "red", "one"]));
    assert_eq!(web_session(addr, &cookie), json!({ "user": { "name": "ann" }, "colour": null }));
    let mut second = open(addr, &cookie);
    second.emit("say", json!(["two"]));
    assert_eq!(second.event("said"), json!(["ann", "grey", "two"]), "another socket has its own");

    ann.call("keep colour", json!([]));
    assert_eq!(web_session(addr, &cookie), json!({ "user": { "name": "ann" }, "colour": "red" }));
    let mut third = open(addr, &cookie);
    third.emit("say", json!(["three"]));
    assert_eq!(third.event("said"), json!(["ann", "red", "three"]));
}

/// F-CTX-07: logging out ends the sockets of that user, and of nobody else.
#[test]
fn logging_out_disconnects() {
    let example = example!("axum_login");
    let addr = example.addr();
    let cookie = log_in(addr, "ann");
    let (mut ann, mut bob) = (open(addr, &cookie), open(addr, &log_in(addr, "bob")));
    let answer = http::request(addr, "POST", "/logout", &[("Cookie", &cookie)], "");
    assert_eq!(answer.status, 303, "{}", answer.body);
    ann.closed();
    assert_eq!(web_session(addr, &cookie)["user"], Value::Null);
    assert_eq!(
        Client::open(addr, &[("Cookie", &cookie)]).join("/", json!({})),
        Err(json!({ "message": "log in first" }))
    );
    bob.emit("say", json!(["still here"]));
    assert_eq!(bob.event("said"), json!(["bob", "grey", "still here"]));
}
