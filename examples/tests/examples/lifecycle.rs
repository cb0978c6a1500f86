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
