//! The ways to serve: each with a WebSocket from the start, with polling and an upgrade, and beside other routes.

use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde_json::json;
use tungstenite::Message;

use crate::client::Client;
use crate::process::Example;
use crate::{PATIENCE, example, http};

/// F-DEP-01, F-CTX-11
#[test]
fn standalone() {
    // It takes the address it is told; a port that is free now is most likely free in a moment.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let example = Example::run(env!("CARGO_BIN_EXE_standalone"), &addr);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&addr).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {addr}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    example.wait_for_line(&format!("listening on http://{addr}"));

    let mut ann = Client::open(&addr, &[]);
    let ann_id = ann.join("/", json!({})).unwrap();
    let mut bob = Client::upgrade(&addr);
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.call("join", json!(["kitchen"])), json!([]));
    }
    ann.call("chat", json!(["kitchen", "tea?"]));
    assert_eq!(bob.event("chat"), json!([ann_id, "tea?"]));
    assert!(!ann.has_received("chat"), "a sender does not hear itself");
    assert_eq!(http::get(&addr, "/").status, 404);
}

#[test]
fn the_standalone_server_is_as_short_as_it_says() {
    assert!(include_str!("../../standalone.rs").lines().count() <= 15);
}

/// F-LOG-05, F-INT-03: numbers for collectors, and a line for each limit that somebody runs into.
#[test]
fn metrics() {
    let example = example!("metrics");
    let addr = example.addr();
    let mut client = Client::connect(addr);
    for (room, joined) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(client.call("join", json!([room])), json!([joined]));
    }
    let body = http::get(addr, "/metrics").body;
    for line in [
        r#"wirebird_sessions{transport="websocket"} 1"#,
        r#"wirebird_sockets{namespace="/"} 1"#,
        r#"wirebird_limits_reached_total{limit="rooms"} 1"#,
        "# EOF",
    ] {
        assert!(body.lines().any(|other| other == line), "{line} is not in\n{body}");
    }
    example.wait_for_line("a client ran into the limit rooms");
}

/// F-STA-01, F-STA-10: a page, its files and the server from one process.
#[test]
fn static_files() {
    let example = example!("static_files");
    let addr = example.addr();
    let page = http::get(addr, "/");
    assert!(page.status == 200 && page.body.contains("/static/app.js"), "{}", page.body);
    assert!(http::get(addr, "/static/app.js").body.contains("io()"));
    assert!(http::get(addr, "/humans.txt").body.contains("birds"));
    for other in ["/static", "/static/", "/static/../index.html", "/humans", "/socket.io/socket.io.min.js"] {
        assert_eq!(http::get(addr, other).status, 404, "{other}");
    }
    let (mut ann, mut bob) = (Client::connect(addr), Client::connect(addr));
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.event("clicks"), json!([0]));
    }
    ann.emit("click", json!([]));
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.event("clicks"), json!([1]));
    }
}

/// F-DEP-09: together with a web application, whose routes emit.
#[test]
fn axum_chat() {
    let example = example!("axum_chat");
    let addr = example.addr();
    let page = http::get(addr, "/");
    assert!(page.status == 200 && page.body.contains("socket.io.min.js"));

    let mut stranger = Client::open(addr, &[]);
    let refusal = stranger.join("/", json!({ "name": "eve", "password": "cats" })).unwrap_err();
    assert_eq!(refusal, json!({ "message": "wrong password", "data": { "hint": "they sit on wires" } }));
    let refusal = stranger.join("/", json!({})).unwrap_err();
    assert_eq!(refusal, json!({ "message": "Connection rejected by server" }));

    let login = |name: &str| {
        let mut client = Client::open(addr, &[]);
        client.join("/", json!({ "name": name, "password": "birds" })).unwrap();
        assert_eq!(client.event("welcome"), json!(["join a room and say something"]));
        client
    };
    let (mut ann, mut bob, mut cid) = (login("ann"), login("bob"), login("cid"));
    assert_eq!(ann.call("join", json!(["kitchen"])), json!([1]));
    assert_eq!(bob.call("join", json!(["kitchen"])), json!([2]));
    assert_eq!(ann.event("joined"), json!(["kitchen", "bob"]));

    assert_eq!(ann.call("chat", json!(["kitchen", "tea?"])), json!(["delivered"]));
    assert_eq!(bob.event("chat"), json!(["kitchen", "ann", "tea?"]));
    assert_eq!(cid.call("chat", json!(["kitchen", "me too"])), json!(["join the room first"]));

    assert_eq!(http::post(addr, "/rooms/kitchen/announcements", "fire").status, 202);
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.event("announcement"), json!(["fire"]));
    }

    drop(bob);
    assert_eq!(ann.event("left"), json!(["bob"]));
    example.wait_for_line("bob left: transport close");
    cid.call("join", json!(["hall"]));
    assert!(!cid.has_received("chat") && !cid.has_received("announcement") && !cid.has_received("left"));
}

/// F-DEP-03
#[test]
fn tower_service() {
    let example = example!("tower_service");
    let addr = example.addr();
    assert_eq!(http::get(addr, "/").body, "nothing but birds here\n");
    for mut client in [Client::connect(addr), Client::upgrade(addr)] {
        assert_eq!(client.call("whoami", json!([])), json!(["somebody at 127.0.0.1"]));
    }
}

/// F-INT-05
#[test]
fn hyper_plain() {
    let example = example!("hyper_plain");
    let addr = example.addr();
    let (mut ann, mut bob) = (Client::connect(addr), Client::upgrade(addr));
    assert_eq!(http::get(addr, "/").body, "2 sockets are connected\n");
    ann.emit("shout", json!(["hey"]));
    assert_eq!(bob.event("shout"), json!(["HEY"]));
}

#[test]
fn engine_only() {
    let example = example!("engine_only");
    let addr = example.addr();
    assert_eq!(http::get(addr, "/socket.io/?EIO=4&transport=polling").status, 404);

    let polling = "/engine.io/?EIO=4&transport=polling";
    let opened = http::get(addr, polling).body;
    let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let session = format!("{polling}&sid={}", open["sid"].as_str().unwrap());
    example.wait_for_line("a session on polling");
    assert_eq!(http::post(addr, &session, "4one\u{1e}4two\u{1e}bAQID").body, "ok");
    assert_eq!(http::get(addr, &session).body, "4one\u{1e}4two\u{1e}bAQID");

    let mut client = Client::websocket(addr, &session.replace("polling", "websocket"), &[]).unwrap();
    client.send("2probe");
    assert_eq!(client.frame(), Some(Message::text("3probe")));
    client.send("5");
    client.send("4three");
    assert_eq!(client.frame(), Some(Message::text("4three")));
    client.send_binary(b"\x00\xff");
    assert_eq!(client.frame(), Some(Message::binary(&b"\x00\xff"[..])));
    example.wait_for_line("a session is on websocket now");
    drop(client);
    example.wait_for_line("a session ended: transport close");
}

#[test]
fn inline() {
    let (status, lines) = Example::run(env!("CARGO_BIN_EXE_inline"), "").wait();
    assert!(status.success(), "{lines:#?}");
    let expected = [
        "client receives 0{\"sid\":",
        "client sends 40",
        "client receives 40{\"sid\":",
        "client sends 420[\"add\",2,3]",
        "client receives 430[5]",
        "client sends 451-[\"count\",{\"_placeholder\":true,\"num\":0}]",
        "client receives 42[\"counted\",3]",
        "client receives 42[\"news\",\"nothing moves unless it is pushed\"]",
        "client receives 2",
        "disconnected: ping timeout",
        "the connection is closed",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line:?} instead of {start:?}");
    }
}
