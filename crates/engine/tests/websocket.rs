//! WebSocket sessions: frames, limits and the closing handshake.

mod support;

use std::time::Duration;

use support::{Event, Frame, TestServer, Ws, WsClosed, config, frame, quiet, text_frame, until};
use wirebird_engine::{CloseReason, Outgoing, TextBuilder, TransportKind};

/// F-PRO-04, wire-protocol §2.4: text packets in text frames, binary messages in binary frames without a type.
#[tokio::test]
async fn messages_go_both_ways() {
    let mut server = TestServer::echo(Default::default()).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    assert_eq!(open["upgrades"], serde_json::json!([]));
    ws.send("4hello €").await;
    assert_eq!(ws.text().await, "4hello €");
    ws.send_binary(&[0, 255, 4]).await;
    assert_eq!(ws.binary().await, [0, 255, 4]);
    ws.send_binary(b"").await;
    assert_eq!(ws.binary().await, b"");
    ws.send("bAQIDBA==").await;
    assert_eq!(ws.binary().await, [1, 2, 3, 4], "base64 in a text frame is accepted");
    assert_eq!(server.text().await, "hello €");
    let session = server.session(open["sid"].as_str().unwrap());
    assert_eq!(session.transport(), TransportKind::WebSocket);
}

/// F-PRO-11: a message and its attachments follow one another, whoever else sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attachments_stay_with_their_message() {
    let server = TestServer::start().await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let threads: Vec<_> = (0..8u8)
        .map(|thread| {
            let session = session.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let mut builder = TextBuilder::with_capacity(1);
                    builder.buffer().push(b'0' + thread);
                    let attachments = [vec![thread].into(), vec![thread, 1].into()];
                    session.send(builder.finish(&attachments)).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..800 {
        let text = ws.text().await;
        let thread = text.strip_prefix('4').unwrap().parse::<u8>().unwrap();
        assert_eq!(ws.binary().await, [thread]);
        assert_eq!(ws.binary().await, [thread, 1]);
    }
    threads.into_iter().for_each(|t| t.join().unwrap());
}

/// RFC 6455 §5.4: fragments make one message, and control frames may come between them.
#[tokio::test]
async fn fragments_make_one_message() {
    let mut server = TestServer::echo(Default::default()).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send_frame(false, 1, "4frag€".as_bytes().split_at(7).0).await;
    ws.send_frame(true, 9, b"are you there").await;
    ws.send_frame(false, 0, "4frag€".as_bytes().split_at(7).1).await;
    ws.send_frame(false, 0, b"").await;
    ws.send_frame(true, 0, b"ments").await;
    assert_eq!(ws.frame().await, Some(Frame { opcode: 10, payload: b"are you there".into() }));
    assert_eq!(ws.text().await, "4frag€ments");
    assert_eq!(server.text().await, "frag€ments");
    ws.send_frame(false, 2, &[1]).await;
    ws.send_frame(true, 0, &[2]).await;
    assert_eq!(server.binary().await, [1, 2]);
}

/// RFC 6455 §5.5.2: pings are answered with their payload; pongs mean nothing.
#[tokio::test]
async fn pings_of_websocket_are_answered() {
    let server = TestServer::echo(Default::default()).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    for payload in [&b""[..], b"x", &[7; 125]] {
        ws.send_frame(true, 10, payload).await;
        ws.send_frame(true, 9, payload).await;
        assert_eq!(ws.frame().await, Some(Frame { opcode: 10, payload: payload.into() }));
    }
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
}

/// RFC 6455 §5.5.1: a close frame is answered with its code, and the session ends with "transport close".
#[tokio::test]
async fn a_close_frame_is_answered() {
    let mut server = TestServer::start().await;
    for code in [1000, 1001, 4999] {
        let (mut ws, _) = Ws::open(server.addr).await;
        ws.send_close(code).await;
        assert_eq!(ws.closed().await, WsClosed::Code(Some(code)));
        assert_eq!(server.closed().await, CloseReason::TransportClose);
    }
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send_frame(true, 8, b"").await;
    assert_eq!(ws.closed().await, WsClosed::Code(None));
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-04: what a client sent before the end is answered, though all of it comes at once.
#[tokio::test]
async fn messages_before_the_end_are_answered() {
    let server = TestServer::echo(Default::default()).await;
    for (last, code) in [
        (frame(true, 8, Some([1, 2, 3, 4]), &1000u16.to_be_bytes()), 1000),
        (frame(true, 3, Some([1, 2, 3, 4]), b"reserved"), 1002),
        (frame(true, 1, Some([1, 2, 3, 4]), b"4\xff"), 1007),
    ] {
        let (mut ws, _) = Ws::open(server.addr).await;
        let mut burst = text_frame("4first");
        burst.extend(text_frame("4second"));
        burst.extend(last);
        ws.raw(&burst).await;
        assert_eq!(ws.text().await, "4first");
        assert_eq!(ws.text().await, "4second");
        assert_eq!(ws.closed().await, WsClosed::Code(Some(code)));
    }
}

/// A client that just goes away has closed its transport.
#[tokio::test]
async fn a_lost_connection_is_a_transport_close() {
    let mut server = TestServer::start().await;
    let (ws, _) = Ws::open(server.addr).await;
    drop(ws);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    let (ws, _) = Ws::open(server.addr).await;
    ws.reset();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(server.engine.session_count(), 0);
}

/// wire-protocol §2.4: a close packet ends the session on WebSocket, too.
#[tokio::test]
async fn a_close_packet_ends_the_session() {
    let mut server = TestServer::start().await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send("1").await;
    assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)));
    assert_eq!(server.closed().await, CloseReason::ClientClose);
}

/// F-PRO-08, pain 4, wire-protocol §2.8: what a client must not send, the close code and the reason it gets.
#[tokio::test]
async fn bad_frames_have_their_close_codes() {
    let mut server = TestServer::with(config(|c| c.max_payload = 1000), quiet).await;
    let mask = Some([1, 2, 3, 4]);
    let long = vec![b'4'; 1001];
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("text over the limit", frame(true, 1, mask, &long), 1009),
        ("binary over the limit", frame(true, 2, mask, &long), 1009),
        ("a header over the limit", frame(true, 1, mask, &long)[..8].to_vec(), 1009),
        (
            "fragments over the limit",
            [frame(false, 1, mask, &long[..600]), frame(true, 0, mask, &long[..600])].concat(),
            1009,
        ),
        ("bad UTF-8", frame(true, 1, mask, b"4\xff"), 1007),
        ("UTF-8 cut short", frame(true, 1, mask, b"4\xe2\x82"), 1007),
        ("a frame without a mask", frame(true, 1, None, b"4hello"), 1002),
        (
            "a reserved bit",
            {
                let mut bytes = text_frame("4hello");
                bytes[0] |= 0x40;
                bytes
            },
            1002,
        ),
        ("a reserved opcode", frame(true, 3, mask, b""), 1002),
        ("a fragmented ping", frame(false, 9, mask, b""), 1002),
        ("a long ping", frame(true, 9, mask, &[0; 126]), 1002),
        ("a continuation of nothing", frame(true, 0, mask, b""), 1002),
        (
            "a message inside a message",
            [frame(false, 1, mask, b"4"), frame(true, 1, mask, b"4")].concat(),
            1002,
        ),
        ("a forbidden close code", frame(true, 8, mask, &1006u16.to_be_bytes()), 1002),
    ];
    for (what, bytes, code) in cases {
        let (mut ws, _) = Ws::open(server.addr).await;
        ws.raw(&[text_frame("4before"), bytes, text_frame("4after")].concat()).await;
        assert_eq!(ws.closed().await, WsClosed::Code(Some(code)), "{what}");
        assert_eq!(server.text().await, "before", "{what}");
        assert_eq!(server.closed().await, CloseReason::TransportError, "{what}");
        assert!(!server.pending_events().iter().any(|e| matches!(e, Event::Text(..))), "{what}");
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// F-PRO-08: a message of exactly the limit is fine.
#[tokio::test]
async fn a_message_of_the_limit_is_taken() {
    let mut server = TestServer::with(config(|c| c.max_payload = 1000), quiet).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send(&format!("4{}", "x".repeat(999))).await;
    assert_eq!(server.text().await.len(), 999);
    ws.send_binary(&[1; 1000]).await;
    assert_eq!(server.binary().await.len(), 1000);
}

/// F-PRO-10, wire-protocol §2.4: text that is no packet ends the session with a parse error, and nothing after it
/// counts.
#[tokio::test]
async fn undecodable_packets_end_the_session() {
    let mut server = TestServer::start().await;
    for packet in ["", "9", "hello", "bAQ", "{}", "€"] {
        let (mut ws, _) = Ws::open(server.addr).await;
        ws.raw(&[text_frame("4one"), text_frame(packet), text_frame("4two")].concat()).await;
        assert_eq!(ws.closed().await, WsClosed::Code(Some(1000)), "{packet}");
        assert_eq!(server.text().await, "one");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{packet}");
        assert!(!server.pending_events().iter().any(|e| matches!(e, Event::Text(..))));
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// Packets that mean nothing outside an upgrade are ignored.
#[tokio::test]
async fn packets_without_meaning_are_ignored() {
    let server = TestServer::echo(Default::default()).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    for packet in ["0{}", "5", "6", "3", "3probe", "4hello"] {
        ws.send(packet).await;
    }
    assert_eq!(ws.text().await, "4hello");
}

/// Frames may come in pieces of any size, even the request itself.
#[tokio::test]
async fn bytes_may_dribble_in() {
    let mut server = TestServer::echo(Default::default()).await;
    let mut http = support::Http::connect(server.addr).await;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        support::KEY
    );
    for byte in head.as_bytes() {
        http.raw(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(http.response().await.status, 101);
    let mut ws = Ws::of(http);
    ws.text().await;
    let bytes = [text_frame("4one"), frame(true, 2, Some([5; 4]), &[9; 200]), text_frame("4two")].concat();
    for byte in bytes {
        ws.raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(ws.text().await, "4one");
    assert_eq!(ws.binary().await, [9; 200]);
    assert_eq!(ws.text().await, "4two");
    assert_eq!(server.text().await, "one");
}

/// Frames that come in one segment with the request are not lost.
#[tokio::test]
async fn frames_right_behind_the_request_count() {
    let mut server = TestServer::start().await;
    let mut http = support::Http::connect(server.addr).await;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        support::KEY
    );
    http.raw(&[head.as_bytes(), &text_frame("4early"), &text_frame("4bird")[..3]].concat()).await;
    assert_eq!(http.response().await.status, 101);
    http.raw(&text_frame("4bird")[3..]).await;
    assert_eq!((server.text().await, server.text().await), ("early".into(), "bird".into()));
}

/// F-PRO-11: any number of messages in one write is handled in order, and what they make the server say comes in
/// order.
#[tokio::test]
async fn five_thousand_messages_in_one_write_are_echoed_in_order() {
    let server = TestServer::echo(Default::default()).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    let bytes: Vec<u8> = (0..5000).flat_map(|i| text_frame(&format!("4{i}"))).collect();
    ws.raw(&bytes).await;
    for i in 0..5000 {
        assert_eq!(ws.text().await, format!("4{i}"));
    }
}

/// One handler may send far more than the queue holds to a client that reads: nothing waits, so nothing overflows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_one_handler_is_not_a_slow_reader() {
    const MANY: usize = 2000;
    let small = config(|c| c.send_queue.max_packets = 100);
    let server = TestServer::with(small, |session, _| {
        for i in 0..MANY {
            session.send(Outgoing::text(&i.to_string())).expect("an open session");
        }
    })
    .await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send("4go").await;
    for i in 0..MANY {
        assert_eq!(ws.text().await, format!("4{i}"));
    }
}

/// The same for messages that are queued first and flushed later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_before_a_flush_is_not_a_slow_reader() {
    let server = TestServer::with(config(|c| c.send_queue.max_packets = 100), quiet).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    for i in 0..2000 {
        session.send_later(Outgoing::text(&i.to_string())).expect("an open session");
    }
    session.flush();
    for i in 0..2000 {
        assert_eq!(ws.text().await, format!("4{i}"));
    }
}

/// A message that is queued for a flush goes out before one that is sent at once.
#[tokio::test]
async fn queued_messages_go_before_later_ones() {
    let server = TestServer::start().await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    assert_eq!(session.send_later(Outgoing::text("1")), Ok(true), "a flush is owed");
    assert_eq!(session.send_later(Outgoing::text("2")), Ok(false), "it is owed already");
    session.send(Outgoing::text("3")).unwrap();
    session.flush();
    for expected in ["41", "42", "43"] {
        assert_eq!(ws.text().await, expected);
    }
    assert_eq!(session.send_later(Outgoing::text("4")), Ok(true));
    session.flush();
    assert_eq!(ws.text().await, "44");
}

/// F-PRO-23: a volatile message goes out if the transport takes it, also behind another one of the same handler.
#[tokio::test]
async fn volatile_messages_go_out_when_the_transport_takes_them() {
    let server = TestServer::with(Default::default(), |session, _| {
        session.send(Outgoing::text("first")).unwrap();
        let sent = session.send_volatile(Outgoing::text("volatile")).unwrap();
        session.send(Outgoing::text(if sent { "sent" } else { "dropped" })).unwrap();
    })
    .await;
    let (mut ws, _) = Ws::open(server.addr).await;
    ws.send("4go").await;
    for expected in ["4first", "4volatile", "4sent"] {
        assert_eq!(ws.text().await, expected);
    }
    let mut client = support::Polling::open(server.addr).await;
    assert!(!server.session(&client.sid).is_writable(), "no poll is held");
    client.send("4go").await;
    assert_eq!(client.poll().await, ["4first", "4dropped"]);
    client.begin_poll().await;
    until("a held poll", || server.session(&client.sid).is_writable()).await;
    client.send("4go").await;
    assert_eq!(client.end_poll().await, ["4first", "4volatile", "4sent"]);
    assert_eq!(server.engine.dropped_messages(), 1);
}

/// Pain 1: thirty-two threads send to one client at once; each one's messages keep their order, none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_threads_send_in_order() {
    const EACH: usize = 2000;
    let server = TestServer::with(config(|c| c.send_queue.max_packets = 32 * EACH), quiet).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let threads: Vec<_> = (0..32)
        .map(|thread| {
            let session = session.clone();
            std::thread::spawn(move || {
                for i in 0..EACH {
                    session.send(Outgoing::text(&format!("{thread} {i}"))).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; 32];
    for _ in 0..32 * EACH {
        let text = ws.text().await;
        let (thread, i) = text.strip_prefix('4').unwrap().split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(i, next[thread].to_string());
        next[thread] += 1;
    }
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(next, [EACH; 32]);
    assert_eq!(session.queued(), (0, 0));
}

/// A large message comes whole through a connection that takes it in pieces.
#[tokio::test]
async fn large_messages_come_whole() {
    let server = TestServer::echo(config(|c| c.max_payload = 20_000_000)).await;
    let (mut ws, _) = Ws::open(server.addr).await;
    for len in [125, 126, 65_535, 65_536, 9_000_000] {
        let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        ws.send_binary(&data).await;
        assert!(ws.binary().await == data, "{len}");
    }
}

/// A client that sends WebSocket pings and never reads does not make the server's memory grow.
#[tokio::test]
async fn a_flood_of_pings_is_bounded() {
    let limits = config(|c| {
        c.send_queue.max_packets = 50;
        c.send_queue.max_bytes = 4000;
    });
    let server = TestServer::with(limits, quiet).await;
    let (mut ws, open) = Ws::open(server.addr).await;
    let session = server.session(open["sid"].as_str().unwrap());
    let ping = frame(true, 9, Some([0; 4]), &[b'x'; 125]).repeat(200);
    // Until the kernel takes no more, or long enough.
    for _ in 0..2000 {
        if support::pending_for(Duration::from_millis(200), ws.raw(&ping)).await {
            break;
        }
        assert!(session.queued().0 <= 50, "{:?}", session.queued());
    }
    assert!(session.queued().1 <= 4000, "{:?}", session.queued());
}
