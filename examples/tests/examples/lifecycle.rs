//! How sockets and servers end.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::process::Example;
use crate::{example, http};

#[test]
fn disconnects() {
    let example = example!("disconnects");
    let connect = || {
        let mut client = Client::open(example.addr(), &[]);
        let id = client.join("/", json!({})).unwrap();
        (client, id)
    };
    let (mut witness, _) = connect();

    let (mut polite, id) = connect();
    polite.send("41");
    assert_eq!(witness.event("gone"), json!([id, "said goodbye"]));
    assert!(polite.join("/", json!({})).is_ok(), "the connection is still there");
    drop(polite);
    assert_eq!(witness.event("gone")[1], "was cut off");

    let (mut rude, id) = connect();
    assert_eq!(witness.call("kick", json!([id])), json!([true]));
    rude.disconnected("/");
    assert_eq!(rude.event("kicked"), json!(["you had it coming"]));
    assert_eq!(witness.event("gone"), json!([id, "was thrown out"]));
    assert_eq!(witness.call("kick", json!([id])), json!([false]));
    drop(rude);

    let (mut tired, id) = connect();
    tired.emit("hang up", json!([]));
    tired.closed();
    assert_eq!(witness.event("gone"), json!([id, "was thrown out"]));

    // It never answers a ping. Meanwhile the witness answers its own.
    let (sleepy, id) = connect();
    assert_eq!(witness.event("gone"), json!([id, "fell asleep"]));
    example.wait_for_line(&format!("{id} fell asleep (ping timeout)"));
    drop(sleepy);

    let mut others = [connect().0, connect().0];
    witness.emit("clear", json!([]));
    for other in &mut others {
        other.disconnected("/");
    }
    assert_eq!(witness.call("kick", json!(["nobody"])), json!([false]), "the witness stays");
}

#[cfg(unix)]
#[test]
fn background_tasks() {
    let example = example!("background_tasks");
    let (mut client, mut other) = (Client::connect(example.addr()), Client::open(example.addr(), &[]));
    let id = other.join("/", json!({})).unwrap();
    let first = client.event("uptime")[0].as_u64().unwrap();
    assert_eq!(client.event("uptime"), json!([first + 100]));

    client.call("count down", json!([3]));
    for left in [3, 2, 1] {
        assert_eq!(client.event("left"), json!([left]));
    }
    assert_eq!(client.event("lift-off"), json!([]));
    client.call("count down", json!([13]));
    example.wait_for_line("background task: it exploded");
    assert_eq!(client.call("is prime", json!([97])), json!([true]));
    assert_eq!(client.call("is prime", json!([91])), json!([false]));

    other.call("count down", json!([1_000_000]));
    drop(other);
    example.wait_for_line(&format!("{id} is gone, and its tasks with it"));

    example.terminate();
    client.closed();
    let (status, lines) = example.wait();
    assert!(status.success(), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "all tasks have ended: the place for last things");
}

#[cfg(unix)]
#[test]
fn graceful_shutdown() {
    let example = example!("graceful_shutdown");
    let addr = example.addr();
    assert_eq!(http::get(addr, "/").body, "press Ctrl-C there\n");
    let mut websocket = Client::connect(addr);
    websocket.call("note", json!(["buy tea"]));
    let session = "/socket.io/?EIO=4&transport=polling";
    let opened = http::get(addr, session).body;
    let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let session = format!("{session}&sid={}", open["sid"].as_str().unwrap());
    http::post(addr, &session, "40\u{1e}42[\"note\",\"buy milk\"]");
    assert!(http::get(addr, &session).body.starts_with("40"));

    // A poll is held while the server is told to end; it is answered.
    let poll = std::thread::spawn({
        let addr = addr.to_owned();
        move || http::get(&addr, &session).body
    });
    example.terminate();
    websocket.closed();
    assert_eq!(poll.join().unwrap(), "6");
    let (status, lines) = example.wait();
    assert!(status.success(), "{lines:#?}");
    for saved in ["buy tea", "buy milk"] {
        assert!(lines.contains(&format!("saved {saved:?} of a client: server shutting down")), "{lines:#?}");
    }
    assert_eq!(lines.last().unwrap(), "everybody is gone");
}

/// F-PRO-22: a client that does not come for the end of its session is waited for, unless a second signal says not to.
#[cfg(unix)]
#[test]
fn impatient_shutdown() {
    let example = example!("background_tasks");
    let session = "/socket.io/?EIO=4&transport=polling";
    let opened = http::get(example.addr(), session).body;
    let open: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    http::post(example.addr(), &format!("{session}&sid={}", open["sid"].as_str().unwrap()), "40");
    let began = Instant::now();
    example.terminate();
    while std::net::TcpStream::connect(example.addr()).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(4), "it still listens");
    }
    example.terminate();
    let (status, lines) = example.wait();
    assert!(status.success(), "{lines:#?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// F-DEP-11: a server that gets its socket from others can be restarted, and a client that comes in between only waits.
#[cfg(unix)]
#[test]
fn socket_activation() {
    let example = example!("socket_activation");
    let pid = Client::connect(example.addr()).call("which process?", json!([]));
    assert!(pid[0].is_u64(), "it listens by itself, too");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let start = || {
        // As systemd does it: the socket is the third descriptor, and variables say so.
        let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_socket_activation")]);
        let socket = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
        Example::spawn(command.stdin(socket)).listening()
    };
    let first = start();
    assert_eq!(first.addr(), addr);
    let mut client = Client::connect(&addr);
    let old = client.call("which process?", json!([]));
    first.terminate();
    client.closed();
    let (status, lines) = first.wait();
    assert!(status.success(), "{lines:#?}");

    let waiting = std::thread::spawn(move || Client::connect(&addr).call("which process?", json!([])));
    let second = start();
    let new = waiting.join().unwrap();
    assert!(new[0].is_u64() && new != old);
    drop(second);
}

/// F-PRO-22: draining: readiness is off, nobody new is let in, what is under way is finished, then everybody is sent away.
#[cfg(unix)]
#[test]
fn draining() {
    let example = Example::start_with(env!("CARGO_BIN_EXE_draining"), &[("DRAIN", "1")]);
    let addr = example.addr();
    assert_eq!(http::get(addr, "/health").body, r#"{"status":"ok"}"#);
    assert_eq!(
        (http::get(addr, "/ready").status, http::get(addr, "/ready").body.as_str()),
        (200, r#"{"status":"ready"}"#)
    );
    let mut busy = Client::connect(addr);
    let mut idle = Client::connect(addr);
    let asked = Instant::now();
    let id = busy.emit_expecting("/", "work", json!([2500]));
    // Answered when the other has been taken up, too.
    idle.call("work", json!([0]));
    example.terminate();
    example.wait_for_line("draining");
    assert_eq!((http::get(addr, "/ready").status, http::get(addr, "/health").status), (503, 200));
    assert_eq!(http::get(addr, "/socket.io/?EIO=4&transport=polling").status, 503);
    idle.event("restarting");
    idle.closed();
    assert!(asked.elapsed() < Duration::from_millis(2400), "{:?}", asked.elapsed());
    assert_eq!(busy.ack("work", id).data, json!(["done"]));
    busy.closed();
    let (status, lines) = example.wait();
    assert!(status.success(), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| *line == "a client left: server shutting down").count(), 2);
    assert_eq!(lines.last().unwrap(), "everybody is gone");
}

/// F-PRO-12: a slow client skips prices and gets the newest of each; nothing else is lost to it.
#[cfg(unix)]
#[test]
fn slow_consumers() {
    let example = example!("slow_consumers");
    let mut slow = Client::connect(example.addr());
    let mut fast = Client::connect(example.addr());
    let start = fast.event("price")[0]["euros"].as_f64().unwrap();
    // Far more than a connection holds that nobody reads from, were it not for the newest.
    while fast.event("price")[0]["euros"].as_f64().unwrap() < start + 1000.0 {}
    fast.emit("chat", json!(["still there?"]));
    assert_eq!(slow.event("chat"), json!(["still there?"]));
    drop((slow, fast));
    example.terminate();
    let (status, lines) = example.wait();
    assert!(status.success(), "{lines:#?}");
    let skipped: u64 = lines.last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(skipped > 100, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("is closed")), "{lines:#?}");
}
