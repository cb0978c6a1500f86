//! Messages, and what clients do with the time that they have.

use std::time::Duration;

use wirebird::engine::{CloseReason, memory};
use wirebird::extract::State;
use wirebird::{Accept, Limit, Overflow, SendQueue, Server};

use crate::support::{Client, Latch, settle};
use crate::{healthy, reached, server};

async fn closed_with(client: &Client, reason: CloseReason) {
    client.closed().await;
    assert_eq!(client.conn.session().close_reason(), Some(reason));
}

/// F-PRO-05: who begins to move to another transport and does not finish.
#[tokio::test(start_paused = true)]
async fn upgrade_time() {
    let io = server(Server::builder());
    let request = http::Request::get("/socket.io/?EIO=4&transport=polling");
    io.handle(request.body(http_body_util::Full::<bytes::Bytes>::default()).unwrap()).await;
    let session = io.engine().sessions().remove(0);
    let link = memory::Connection::upgrade(&session, || ()).unwrap();
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    assert!(!link.is_open() && session.is_open());
    reached(&io, Limit::UpgradeTime, 1).await;
}

/// F-CON-09: who does not answer pings.
#[tokio::test(start_paused = true)]
async fn pong_time() {
    let io = server(Server::builder());
    let client = Client::mute(&io);
    client.join("/").await;
    let (begun, session) = (tokio::time::Instant::now(), client.conn.session().clone());
    while session.is_open() {
        client.take();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((45..47).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(session.close_reason(), Some(CloseReason::PingTimeout));
    reached(&io, Limit::PongTime, 1).await;
}

/// F-SEC-01: a client that takes nothing, however little waits for it.
#[tokio::test(start_paused = true)]
async fn write_time() {
    let io = server(Server::builder().ping_interval(Duration::from_secs(1000)));
    let client = Client::open(&io);
    client.join("/").await;
    io.emit("news", 1).unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(client.conn.session().close_reason(), Some(CloseReason::SlowConsumer));
    reached(&io, Limit::WriteTime, 1).await;
}

/// F-SEC-01: more than may wait for one client.
#[tokio::test]
async fn send_queue() {
    let mut limits = SendQueue::default();
    limits.max_packets = 10;
    limits.overflow = Overflow::Close;
    let io = server(Server::builder().send_queue(limits));
    let client = Client::open(&io);
    client.join("/").await;
    for n in 0..20 {
        io.emit("news", n).unwrap();
        settle().await;
    }
    assert_eq!(client.conn.session().close_reason(), Some(CloseReason::SlowConsumer));
    reached(&io, Limit::SendQueue, 1).await;
}

/// F-SEC-01: the last packets of a session wait for who does not come for them, and not for ever.
#[tokio::test(start_paused = true)]
async fn close_time() {
    let io = server(Server::builder());
    let client = Client::open(&io);
    let id = client.join("/").await;
    io.emit("news", 1).unwrap();
    io.socket(id.as_str()).unwrap().disconnect_transport();
    settle().await;
    assert_eq!(io.metrics().sessions(), 1, "it is there until the client has the rest");
    tokio::time::sleep(Duration::from_millis(30_100)).await;
    reached(&io, Limit::CloseTime, 1).await;
}

/// F-CON-10: who connects to no namespace.
#[tokio::test(start_paused = true)]
async fn connect_time() {
    let io = server(Server::builder());
    let (client, begun) = (Client::open(&io), tokio::time::Instant::now());
    let session = client.conn.session().clone();
    while session.is_open() {
        client.take();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((45..46).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(session.close_reason(), Some(CloseReason::ForcedServerClose));
    reached(&io, Limit::ConnectTime, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn event_name() {
    let io = server(Server::builder().max_event_name(10));
    let client = Client::open(&io);
    client.join("/").await;
    assert_eq!(client.call(1, r#"["echo","a long argument is no name"]"#).await.len(), 1);
    client.send(r#"2["elevenchars"]"#);
    closed_with(&client, CloseReason::ParseError).await;
    reached(&io, Limit::EventName, 1).await;
}

/// F-SEC-01: nesting, also of what no handler reads: acknowledgements, payloads of CONNECT, unknown events.
#[tokio::test]
async fn depth() {
    let io = server(Server::builder().max_depth(5));
    let deep = format!("{}1{}", "[".repeat(5), "]".repeat(5));
    for packet in [format!(r#"2["nobody",{deep}]"#), format!("31[{deep}]"), format!(r#"0{{"a":{deep}}}"#)] {
        let client = Client::open(&io);
        if !packet.starts_with('0') {
            client.join("/").await;
        }
        client.send(&packet);
        closed_with(&client, CloseReason::ParseError).await;
    }
    reached(&io, Limit::Depth, 3).await;
}

/// F-SEC-01
#[tokio::test]
async fn arguments() {
    let io = server(Server::builder().max_arguments(3));
    for packet in [r#"2["nobody",1,2,3,4]"#, "31[1,2,3,4]"] {
        let client = Client::open(&io);
        client.join("/").await;
        assert_eq!(client.call(1, r#"["echo",1,2,3]"#).await, ["31[1]"]);
        client.send(packet);
        closed_with(&client, CloseReason::ParseError).await;
    }
    reached(&io, Limit::Arguments, 2).await;
}

/// F-SEC-01
#[tokio::test]
async fn attachments() {
    let io = server(Server::builder().max_attachments(2));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"53-["echo",{"_placeholder":true,"num":0}]"#);
    closed_with(&client, CloseReason::ParseError).await;
    reached(&io, Limit::Attachments, 1).await;
}

/// F-SEC-01
#[tokio::test]
async fn attachment_bytes() {
    let io = server(Server::builder().max_attachment_bytes(100));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    client.send_binary(&[0; 60]);
    client.send_binary(&[0; 60]);
    closed_with(&client, CloseReason::ParseError).await;
    reached(&io, Limit::AttachmentBytes, 1).await;
}

/// F-SEC-01: a packet whose attachments do not come; while it is the server that does not read, that is nobody's fault.
#[tokio::test(start_paused = true)]
async fn attachment_time() {
    let latch = Latch::default();
    let io = server(Server::builder().max_pending_events(1, 1000).state(latch.clone()));
    io.on("stuck", async |State(latch): State<Latch>| latch.wait().await);
    let client = Client::open(&io);
    client.join("/").await;
    let head = r#"52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let wait = async |seconds: u64| {
        for _ in 0..seconds {
            client.take();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    // In time, one after another.
    for _ in 0..2 {
        client.send(head);
        wait(20).await;
        client.send_binary(b"a");
        wait(8).await;
        client.send_binary(b"b");
    }
    client.send(r#"2["stuck"]"#);
    client.send(head);
    assert!(client.conn.session().is_paused());
    wait(40).await;
    latch.open(1);
    wait(25).await;
    assert!(client.is_open() && !client.conn.session().is_paused());
    client.send_binary(b"a");
    wait(25).await;
    closed_with(&client, CloseReason::ParseError).await;
    assert_eq!(io.metrics().limit(Limit::AttachmentTime), 1);
    healthy(&io).await;
}

/// F-SEC-01: nobody has attachments kept for a namespace that it is not in.
#[tokio::test]
async fn attachments_before_connect_are_not_kept() {
    let io = server(Server::builder().namespaces(Accept::Any));
    for packet in [r#"51-["echo",{"_placeholder":true,"num":0}]"#, r#"51-/x,["echo"]"#, "61-0[1]"] {
        let client = Client::open(&io);
        client.send(packet);
        closed_with(&client, CloseReason::ForcedServerClose).await;
    }
    // None declared, and then none sent.
    let client = Client::open(&io);
    client.join("/").await;
    client.send(r#"50-["echo"]"#);
    closed_with(&client, CloseReason::ParseError).await;
}
