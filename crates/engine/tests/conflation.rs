//! Messages in whose place newer ones go out, on every transport.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Polling, TestServer, Ws, config, quiet, until};
use wirebird_engine::{Deflate, Outgoing, Session};

fn value(key: &str, text: &str) -> Outgoing {
    Outgoing::text(text).conflated(key.into())
}

/// F-PRO-12: between polls, and with what an answer has no room for.
#[tokio::test]
async fn on_polling() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for round in 0..5 {
        session.send(value("a", &format!("a{round}"))).unwrap();
        session.send(Outgoing::text("kept")).unwrap();
    }
    assert_eq!(client.poll().await, ["4kept", "4kept", "4kept", "4kept", "4a4", "4kept"]);
    assert_eq!(server.engine.metrics().conflated_messages(), 4);
    for round in 0..40 {
        session.send(value(&round.to_string(), "v")).unwrap();
    }
    assert_eq!(client.poll().await.len(), 16);
    session.send(value("0", "again")).unwrap();
    session.send(value("39", "newest")).unwrap();
    let rest = [client.poll().await, client.poll().await].concat();
    assert_eq!(rest.len(), 25);
    assert_eq!(rest[23..], ["4again", "4newest"], "the first was gone out, the last waited");
}

/// F-PRO-05, F-PRO-12: what waits while a client moves to WebSocket is one queue, and so is what is replaced.
#[tokio::test]
async fn across_the_upgrade() {
    let server = TestServer::start().await;
    let client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    session.send(value("a", "polling")).unwrap();
    session.send(value("b", "stays")).unwrap();
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", client.sid);
    let mut ws = Ws::to(server.addr, &target, &[]).await;
    ws.probe().await;
    session.send(value("a", "probed")).unwrap();
    ws.send("5").await;
    assert_eq!(ws.text().await, "4stays");
    assert_eq!(ws.text().await, "4probed");
    session.send(value("a", "after")).unwrap();
    assert_eq!(ws.text().await, "4after");
}

/// F-PRO-12: over a WebSocket that is blocked, with shared compression, with compression that builds on what came before, and with none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_blocked_websocket() {
    let takeover = Deflate::default().server_no_context_takeover(false).threshold(10);
    for deflate in [None, Some(Deflate::default().threshold(10)), Some(takeover)] {
        let server = TestServer::with(config(|c| c.per_message_deflate = deflate), quiet).await;
        let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut ws = Ws::to(server.addr, target, &offer).await;
        let _open = ws.any_frame().await.unwrap();
        until("a session", || server.engine.session_count() == 1).await;
        let session: Arc<Session> = server.engine.sessions().remove(0);
        let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut sent = 0;
        while session.queued().0 < 2 {
            session.send(Outgoing::binary(&noise).uncompressed()).expect("room");
            sent += 1;
        }
        let before = session.queued();
        for round in 0..100 {
            session.send(value("a", &format!("{round:0>50}"))).unwrap();
        }
        assert_eq!(session.queued().0, before.0 + 1);
        for _ in 0..sent {
            assert_eq!(ws.any_frame().await.unwrap().1.opcode, 2);
        }
        let (compressed, last) = ws.any_frame().await.unwrap();
        assert_eq!(last.opcode, 1);
        assert!(compressed || last.payload.ends_with(b"99"));
        until("all is out", || session.queued() == (0, 0)).await;
        assert!(support::pending_for(Duration::from_millis(50), ws.any_frame()).await);
        assert_eq!(server.engine.metrics().conflated_messages(), 99);
    }
}

/// F-PRO-12: a message that has begun to go out is finished; it is not replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_half_written() {
    let server = TestServer::with(config(|c| c.send_queue.max_bytes = usize::MAX), quiet).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    // More than the kernel takes: it has begun to go out.
    let large = "x".repeat(32 << 20);
    session.send(value("a", &large)).unwrap();
    assert_eq!(session.queued().0, 1);
    session.send(value("a", "newer")).unwrap();
    session.send(value("a", "newest")).unwrap();
    assert_eq!(ws.text().await.len(), large.len() + 1);
    assert_eq!(ws.text().await, "4newest");
}
