//! Each example is talked to as browsers do: by polling, by a WebSocket, and by the move from one to the other.

#[path = "../../tests/examples/client.rs"]
#[allow(dead_code, reason = "shared with the other examples")]
mod client;
#[path = "../../tests/examples/http.rs"]
#[allow(dead_code, reason = "shared with the other examples")]
mod http;
#[path = "../../tests/examples/process.rs"]
#[allow(dead_code, reason = "shared with the other examples")]
mod process;

use std::time::Duration;

use client::Client;
use process::Example;
use serde_json::{Value, json};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

fn works(example: &Example, page: &str) {
    let addr = example.addr();
    assert_eq!(http::get(addr, "/").body, page, "the framework's own routes");

    // WebSockets, from the start and after polling.
    let (mut ann, mut bob) = (Client::connect(addr), Client::upgrade(addr));
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.call("whoami", json!([])), json!(["somebody at 127.0.0.1"]));
    }
    ann.emit("shout", json!(["hey"]));
    assert_eq!(bob.event("shout"), json!(["HEY"]));
    bob.emit("shout", json!(["you"]));
    assert_eq!(ann.event("shout"), json!(["YOU"]));
    let long = "x".repeat(300_000);
    assert_eq!(ann.call("length", json!([long])), json!([300_000]));

    // Polling alone, with waiting polls and long bodies.
    let open: Value = serde_json::from_str(&http::get(addr, POLLING).body[1..]).unwrap();
    let session = format!("{POLLING}&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(http::post(addr, &session, "40").body, "ok");
    assert!(http::get(addr, &session).body.starts_with("40{\"sid\":"));
    assert_eq!(http::post(addr, &session, &format!(r#"421["length","{long}"]"#)).body, "ok");
    assert_eq!(http::get(addr, &session).body, "431[300000]");
    let waiting = std::thread::scope(|scope| {
        let poll = scope.spawn(|| http::get(addr, &session).body);
        // Whether the poll waits already, or comes after it, it gets the event.
        ann.emit("shout", json!(["wake up"]));
        poll.join().unwrap()
    });
    assert_eq!(waiting, r#"42["shout","WAKE UP"]"#);

    // What is refused.
    assert_eq!(http::get(addr, &format!("{POLLING}&sid=unknown")).status, 400);
    let foreign = http::request(addr, "GET", POLLING, &[("Origin", "http://example.com")], "");
    assert_eq!(foreign.status, 400);
    assert_eq!(http::post(addr, &session, &"x".repeat(1_000_001)).status, 413);
    let websocket = "/socket.io/?EIO=4&transport=websocket&sid=unknown";
    assert_eq!(Client::websocket(addr, websocket, &[]).err(), Some(400));

    // Ends, from both sides.
    drop(bob);
    example.wait_for_line("somebody left: transport close");
    ann.emit("throw me out", json!([]));
    ann.closed();
}

/// F-DEP-09: the guide shows what is tested here.
#[test]
fn the_guide_shows_the_examples() {
    let guide = include_str!("../../../docs/src/frameworks.md");
    let examples = [
        include_str!("../actix_web.rs"),
        include_str!("../poem.rs"),
        include_str!("../salvo.rs"),
        include_str!("../warp.rs"),
    ];
    let blocks: Vec<_> =
        guide.split("```rust,ignore\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), examples.len());
    for block in blocks {
        let has = |example: &&&str| block.split("\n\n").all(|part| example.contains(part.trim_end()));
        assert!(examples.iter().find(has).is_some(), "no example has all of this:\n{block}");
    }
}

/// F-DEP-09
#[test]
fn actix_web() {
    works(&example!("actix_web"), "actix");
}

/// F-DEP-09
#[test]
fn poem() {
    works(&example!("poem"), "poem");
}

/// F-DEP-09
#[test]
fn salvo() {
    works(&example!("salvo"), "salvo");
}

/// F-DEP-09
#[test]
fn warp() {
    works(&example!("warp"), "warp");
}
