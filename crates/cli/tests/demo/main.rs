//! The binary as its users meet it: started as a process, spoken to over TCP.

mod process;
mod web;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use process::{Demo, fails};
use serde_json::{Value, json};
use web::{Client, request};

#[test]
fn the_page_and_everything_it_needs_is_served() {
    let demo = Demo::start(&[]);
    for (path, content_type, begins) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/style.css", "text/css; charset=utf-8", ""),
        ("/app.js", "text/javascript; charset=utf-8", "// The demo chat"),
        ("/images.js", "text/javascript; charset=utf-8", "// Images"),
        ("/tools.js", "text/javascript; charset=utf-8", "// Small tools"),
        ("/wirebird-client.js", "text/javascript; charset=utf-8", "// A small Socket.IO client"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let response = request(demo.address, "GET", path, "");
        assert_eq!((response.status, response.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(response.body.starts_with(begins), "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("cache-control"), Some("no-cache"));
        assert!(
            response
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("default-src 'self'"))
        );

        let head = request(demo.address, "HEAD", path, "");
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), Some(&*response.body.len().to_string()), "{path}");
    }
    assert_eq!(request(demo.address, "GET", "/Cargo.toml", "").status, 404);
    assert_eq!(request(demo.address, "POST", "/", "x").status, 405);
}

/// A log that cannot be written is no reason to end, or to leave a client without an answer.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_logs_is_no_trouble() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let demo = Demo::logging_to(full.into(), &["--verbose"]);
    let mut ada = Client::sign_in(demo.address, "Ada");
    assert_eq!(ada.call(json!(["join", "lobby"]))["ok"], true);
    // A refused request is warned of.
    assert_eq!(request(demo.address, "GET", "/socket.io/?EIO=4&transport=polling&sid=x", "").status, 400);
    assert_eq!(ada.call(json!(["message", {"text": "still there"}]))["ok"], true);
}

#[test]
fn two_people_chat_over_polling() {
    let demo = Demo::start(&[]);
    let mut ada = Client::sign_in(demo.address, "Ada");
    let mut grace = Client::sign_in(demo.address, " Grace ");

    let joined = ada.call(json!(["join", "lobby"]));
    assert_eq!(joined, json!({"ok": true, "room": "lobby", "members": ["Ada"], "history": []}));
    assert_eq!(ada.event("presence")[1], json!({"room": "lobby", "members": ["Ada"]}));
    assert_eq!(ada.event("rooms")[1], json!([{"room": "lobby", "members": 1}]));
    let receipt = ada.call(json!(["message", {"text": "anybody here?"}]));
    assert_eq!(receipt["ok"], true);
    let joined = grace.call(json!(["join", " lobby "]));
    assert_eq!(joined["members"], json!(["Ada", "Grace"]));
    assert_eq!(joined["history"][0]["text"], "anybody here?");
    assert_eq!(joined["history"][0]["id"], receipt["id"]);

    assert_eq!(ada.event("notice")[1]["text"], "Grace joined");
    assert_eq!(ada.event("presence")[1], json!({"room": "lobby", "members": ["Ada", "Grace"]}));
    assert_eq!(ada.event("rooms")[1], json!([{"room": "lobby", "members": 2}]));

    grace.send(json!(["typing", true]));
    assert_eq!(ada.event("typing")[1], json!({"room": "lobby", "from": "Grace", "typing": true}));
    let receipt = grace.call(json!(["message", {"text": "I am"}]));
    let message = ada.event("message")[1].clone();
    assert_eq!((&message["from"], &message["text"]), (&json!("Grace"), &json!("I am")));
    assert_eq!((&message["id"], &message["at"]), (&receipt["id"], &receipt["at"]));

    assert_eq!(grace.call(json!(["join", "birds"]))["members"], json!(["Grace"]));
    assert_eq!(ada.event("notice")[1]["text"], "Grace left");
    assert_eq!(ada.event("presence")[1]["members"], json!(["Ada"]));
    let rooms = json!([{"room": "birds", "members": 1}, {"room": "lobby", "members": 1}]);
    assert_eq!(ada.event("rooms")[1], rooms);
    assert_eq!(ada.call(json!(["rooms"])), rooms);
    grace.leave();
    assert_eq!(ada.event("rooms")[1], json!([{"room": "lobby", "members": 1}]));
}

#[test]
fn images_arrive_as_they_were_sent() {
    let demo = Demo::start(&[]);
    let mut ada = Client::sign_in(demo.address, "Ada");
    let mut grace = Client::sign_in(demo.address, "Grace");
    ada.call(json!(["join", "lobby"]));
    grace.call(json!(["join", "lobby"]));
    // 512 KiB of zeros, and the same in the base64 of a polling body.
    let image = "A".repeat((512 << 10) / 3 * 4 + 2) + "A=";
    let receipt =
        grace.call_with(json!(["image", "night.png", "image/png", {"_placeholder": true, "num": 0}]), &image);
    assert_eq!(receipt["ok"], true, "{receipt}");
    let event = ada.event("image");
    assert_eq!((&event[1]["from"], &event[1]["type"]), (&json!("Grace"), &json!("image/png")));
    assert_eq!(ada.attachment(), image);
}

#[test]
fn people_are_told_what_they_did_wrong() {
    let demo = Demo::start(&[]);
    let mut ada = Client::sign_in(demo.address, "Ada");
    let problem = json!({"field": "name"});
    for (auth, message) in [
        (json!({"name": "aDA"}), "name is taken"),
        (json!({"name": " "}), "a name has 1 to 24 characters"),
        (json!({}), "a name has 1 to 24 characters"),
    ] {
        let refused = Client::connect(demo.address, &auth).expect_err("the name cannot be had");
        assert_eq!(refused, json!({"message": message, "data": problem}));
    }
    for (call, error) in [
        (json!(["message", {"text": "hi"}]), "join a room first"),
        (json!(["join", "x".repeat(33)]), "a room name has 1 to 32 characters"),
    ] {
        assert_eq!(ada.call(call), json!({"ok": false, "error": error}));
    }
    ada.call(json!(["join", "lobby"]));
    for call in [
        json!(["join"]),
        json!(["join", 5]),
        json!(["message", {"text": " "}]),
        json!(["message", {"text": "x".repeat(2001)}]),
        json!(["image", "a.png", "image/png", "text"]),
        json!(["image", "a.svg", "image/svg+xml", {"_placeholder": true, "num": 0}]),
    ] {
        let answer = if call[0] == "image" && call[3].is_object() {
            ada.call_with(call.clone(), "AAAA")
        } else {
            ada.call(call.clone())
        };
        assert_eq!(answer["ok"], false, "{call}");
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()), "{call}");
    }
    assert_eq!(ada.call(json!(["message", {"text": "still here"}]))["ok"], Value::Bool(true));
}

#[test]
fn a_name_is_free_again_when_its_owner_is_gone() {
    let demo = Demo::start(&[]);
    let mut ada = Client::sign_in(demo.address, "Ada");
    ada.call(json!(["join", "lobby"]));
    ada.leave();
    let start = Instant::now();
    while Client::connect(demo.address, &json!({"name": "ada"})).is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the name is still taken");
    }
}

#[test]
fn whoever_cannot_listen_is_told_why_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = fails(&["demo", "--port", &port], 1);
    assert!(line.contains(&port) && line.contains("taken") && line.contains("--port"), "{line}");
    let line = fails(&["demo", "--host", "192.0.2.1", "--port", "0"], 1);
    assert!(line.contains("192.0.2.1") && line.contains("--host"), "{line}");
}

#[test]
fn bad_command_lines_are_explained_in_one_line() {
    assert!(fails(&["demo", "--prot", "1"], 2).contains("--port"));
    assert!(fails(&["demo", "--port", "http"], 2).contains("0 to 65535"));
    assert!(fails(&["dance"], 2).contains("dance"));
}

#[test]
fn help_and_version_go_to_stdout() {
    assert!(process::output(&["--help"]).contains("demo"));
    assert!(process::output(&["demo", "--help"]).contains("--port"));
    assert_eq!(process::output(&["--version"]), format!("wirebird {}\n", env!("CARGO_PKG_VERSION")));
}

#[cfg(unix)]
#[test]
fn it_ends_cleanly_when_asked_to() {
    for signal in ["INT", "TERM"] {
        let mut demo = Demo::start(&["--verbose"]);
        let mut ada = Client::sign_in(demo.address, "Ada");
        ada.call(json!(["join", "lobby"]));
        let start = Instant::now();
        demo.signal(signal);
        let status = demo.wait();
        assert!(status.success(), "{signal}: {status}");
        assert!(start.elapsed() < Duration::from_secs(2), "{signal}: {:?}", start.elapsed());
    }
}
