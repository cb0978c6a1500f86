//! HTTP long-polling: polls, POSTs, their discipline and their limits.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{Event, Http, Polling, TestServer, config, packets, pending_for, quiet, until, within};
use wirebird_engine::{CloseReason, Outgoing, TextBuilder};

fn limited(max_payload: usize) -> wirebird_engine::Config {
    config(|c| c.max_payload = max_payload)
}

/// F-PRO-03: a GET is held until there is something to say, and then answered at once.
#[tokio::test]
async fn a_poll_is_held_until_something_is_sent() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    assert!(pending_for(Duration::from_millis(100), client.get.response()).await);
    server.session(&client.sid).send(Outgoing::text("hello")).unwrap();
    assert_eq!(client.end_poll().await, ["4hello"]);
}

/// What was sent while no poll was held goes out with the next one, in one body.
#[tokio::test]
async fn what_waits_goes_out_with_the_next_poll() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for text in ["a", "b", "c"] {
        session.send(Outgoing::text(text)).unwrap();
    }
    let response = client.poll_response().await;
    assert_eq!(response.text(), "4a\x1e4b\x1e4c");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

/// F-PRO-09, AB-3, pain 3: seventeen packets in one body are seventeen messages.
#[tokio::test]
async fn seventeen_packets_in_one_body_all_arrive() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let body: Vec<_> = (0..17).map(|i| format!("4{i}")).collect();
    client.send(&body.join("\x1e")).await;
    for i in 0..17 {
        assert_eq!(server.text().await, i.to_string());
    }
}

/// F-PRO-09, pain 3: only the size of a body is limited, not the number of its packets; replies keep their order.
#[tokio::test]
async fn five_thousand_packets_in_one_body_are_echoed_in_order() {
    let server = TestServer::echo(Default::default()).await;
    let mut client = Polling::open(server.addr).await;
    let body: Vec<_> = (0..5000).map(|i| format!("4{i}")).collect();
    client.send(&body.join("\x1e")).await;
    let mut got = Vec::new();
    while got.len() < 5000 {
        let packets = client.poll().await;
        assert!(packets.len() <= 16, "{} packets in one reply", packets.len());
        got.extend(packets);
    }
    assert_eq!(got, body);
}

/// wire-protocol §2.4: binary is `b` and base64 on polling, both ways, and mixes with text.
#[tokio::test]
async fn binary_is_base64_both_ways() {
    let mut server = TestServer::echo(Default::default()).await;
    let mut client = Polling::open(server.addr).await;
    let data: Vec<u8> = (0..=255).collect();
    let packet = format!("b{}", STANDARD.encode(&data));
    client.send(&format!("4before\x1e{packet}\x1e4after\x1eb")).await;
    assert_eq!(server.text().await, "before");
    assert_eq!(server.binary().await, data);
    assert_eq!(server.text().await, "after");
    assert_eq!(server.binary().await, b"");
    assert_eq!(client.poll().await, ["4before", &packet, "4after", "b"]);
}

/// Bytes of any script come through, and length is counted in bytes.
#[tokio::test]
async fn text_beyond_ascii_comes_through() {
    let mut server = TestServer::echo(Default::default()).await;
    let mut client = Polling::open(server.addr).await;
    client.send("4€ 😀 \u{2028}").await;
    assert_eq!(server.text().await, "€ 😀 \u{2028}");
    assert_eq!(client.poll().await, ["4€ 😀 \u{2028}"]);
}

/// wire-protocol §2.5, hazard AB-5: a second GET gets 400 without a body, the first ends with a close packet, and the
/// session is over.
#[tokio::test]
async fn overlapping_polls_end_the_session() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    let session = server.session(&client.sid);
    // The first poll is there as soon as the session could answer it.
    until("a held poll", || session.is_writable()).await;
    let target = client.target();
    support::request(server.addr, "GET", &target, &[], b"").await.assert_empty(400);
    assert_eq!(client.end_poll().await, ["1"]);
    assert_eq!(server.closed().await, CloseReason::TransportError);
    client.poll_response().await.assert_error(400, 1, "Session ID unknown");
}

/// wire-protocol §2.5: so does a second POST.
#[tokio::test]
async fn overlapping_posts_end_the_session() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Content-Length: 10").as_bytes()).await;
    client.post.raw(b"4abc").await;
    let probe = server.session(&client.sid);
    let mut second = Http::connect(server.addr).await;
    // Until the first POST has been seen, another is no overlap: those that come earlier are valid.
    within("an overlap", async {
        loop {
            let response = second.request("POST", &target, &[], b"4x").await;
            if response.status != 200 {
                break response.assert_empty(400);
            }
        }
    })
    .await;
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert!(!probe.is_open());
    assert_eq!(client.post.response().await.status, 400);
}

fn post_head(target: &str, length: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n")
}

/// wire-protocol §2.5: a client that goes away during a poll has gone away.
#[tokio::test]
async fn an_aborted_poll_ends_the_session() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    let session = server.session(&client.sid);
    until("a held poll", || session.is_writable()).await;
    drop(client);
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert_eq!(server.engine.session_count(), 0);
}

/// wire-protocol §2.5: and so has one whose upload breaks off.
#[tokio::test]
async fn an_aborted_post_ends_the_session() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Content-Length: 100").as_bytes()).await;
    client.post.raw(b"4half").await;
    drop(client.post);
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert_eq!(server.engine.session_count(), 0);
    assert!(!server.pending_events().iter().any(|event| matches!(event, Event::Text(..))));
}

/// F-PRO-08, AB-4, pain 4: a declared length over the limit is refused before the body is read, and the session goes on.
#[tokio::test]
async fn a_declared_body_over_the_limit_is_refused_unread() {
    let mut server = TestServer::with(limited(1000), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Content-Length: 1001").as_bytes()).await;
    client.post.response().await.assert_empty(413);
    client.post = Http::connect(server.addr).await; // the other one still waits for its body
    let exact = format!("4{}", "x".repeat(999));
    client.send(&exact).await;
    assert_eq!(server.text().await.len(), 999);
}

/// A client or proxy that sends the whole body before it reads finds the 413, and the connection goes on.
#[tokio::test]
async fn a_client_that_sends_an_oversize_body_finds_the_answer() {
    let mut server = TestServer::with(limited(1000), quiet).await;
    for size in [1001, 10_000, 100_000, 1_000_000, 20_000_000] {
        let mut client = Polling::open(server.addr).await;
        let target = client.target();
        client.post.raw(post_head(&target, &format!("Content-Length: {size}")).as_bytes()).await;
        client.post.raw(&vec![b'4'; size]).await;
        client.post.response().await.assert_empty(413);
        client.send("4still here").await;
        assert_eq!(server.text().await, "still here");
    }
}

/// Whatever a POST is refused for, its answer is there to be read after the body was sent.
#[tokio::test]
async fn a_refused_body_does_not_hide_the_answer() {
    let server = TestServer::with(limited(1000), quiet).await;
    for target in ["/socket.io/?EIO=4&transport=polling&sid=unknown", "/socket.io/?EIO=4&transport=polling"] {
        let mut client = Http::connect(server.addr).await;
        client.raw(post_head(target, "Content-Length: 3000000\r\nConnection: close").as_bytes()).await;
        client.raw(&vec![b'4'; 3_000_000]).await;
        assert_eq!(client.response().await.status, 400);
    }
}

/// Who waits for `100 Continue` before the body gets the refusal, and nothing more is read from that connection.
#[tokio::test]
async fn a_body_that_is_asked_for_first_is_not_waited_for() {
    let server = TestServer::with(limited(1000), quiet).await;
    let client = Polling::open(server.addr).await;
    let target = client.target();
    let mut post = client.post;
    post.raw(post_head(&target, "Content-Length: 3000\r\nExpect: 100-continue").as_bytes()).await;
    post.response().await.assert_empty(413);
    assert!(post.at_end().await);
}

/// F-PRO-08: a chunked body is cut off at the limit, and the session goes on.
#[tokio::test]
async fn a_chunked_body_over_the_limit_is_cut_off() {
    let mut server = TestServer::with(limited(1000), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Transfer-Encoding: chunked").as_bytes()).await;
    for _ in 0..11 {
        client.post.raw(format!("64\r\n{}\r\n", "4".repeat(100)).as_bytes()).await;
    }
    client.post.response().await.assert_empty(413);
    client.post = Http::connect(server.addr).await;
    client.send("4still here").await;
    assert_eq!(server.text().await, "still here");
}

/// A chunked body within the limit is an ordinary one.
#[tokio::test]
async fn a_chunked_body_within_the_limit_is_taken() {
    let mut server = TestServer::with(limited(1000), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Transfer-Encoding: chunked").as_bytes()).await;
    client.post.raw(b"3\r\n4ab\r\n").await;
    client.post.raw(b"4\r\ncd\x1e4\r\n1\r\ne\r\n0\r\n\r\n").await;
    assert_eq!(client.post.response().await.text(), "ok");
    assert_eq!((server.text().await, server.text().await), ("abcd".into(), "e".into()));
}

/// An upload that never ends is given up when its session ends.
#[tokio::test]
async fn an_endless_upload_ends_with_its_session() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    client.post.raw(post_head(&target, "Transfer-Encoding: chunked").as_bytes()).await;
    client.post.raw(b"3\r\n4ab\r\n").await;
    let session = server.session(&client.sid);
    let weak = std::sync::Arc::downgrade(&session);
    session.close(CloseReason::ForcedClose);
    session_is_over(&server, &mut client).await;
    drop(session);
    assert_eq!(client.post.response().await.status, 400);
    assert!(client.post.at_end().await);
    until("the session to be dropped", || weak.upgrade().is_none()).await;
}

async fn session_is_over(server: &TestServer, client: &mut Polling) {
    assert_eq!(client.poll().await, ["1"]);
    until("no session", || server.engine.session_count() == 0).await;
}

/// AB-3, AB-4, wire-protocol §2.4: what cannot be decoded ends the session with a parse error and is never answered `ok`.
#[tokio::test]
async fn undecodable_bodies_end_the_session() {
    let bodies: &[&[u8]] =
        &[b"", b"9", b"hello", b"4ok\x1e", b"\x1e4ok", b"4ok\x1e\x1e4ok", b"4\xff\xfe", b"b!!!", b"bAQ"];
    let mut server = TestServer::start().await;
    for body in bodies {
        let mut client = Polling::open(server.addr).await;
        let response = client.post(body).await;
        response.assert_error(400, 3, "Bad request");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{body:?}");
        client.poll_response().await.assert_error(400, 1, "Session ID unknown");
    }
    assert_eq!(server.engine.session_count(), 0);
}

/// Packets before one that cannot be decoded are handled, those after it are not.
#[tokio::test]
async fn what_comes_before_an_undecodable_packet_counts() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    assert_eq!(client.post(b"4one\x1e7\x1e4two").await.status, 400);
    assert_eq!(server.text().await, "one");
    let rest = within("the end", async {
        loop {
            match server.event().await {
                Event::Close(_, reason) => break reason,
                Event::Text(_, text) => panic!("{text} must not be delivered"),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(rest, CloseReason::ParseError);
}

/// wire-protocol §2.1: Engine.IO 4 has no binary bodies.
#[tokio::test]
async fn an_octet_stream_is_no_body() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    let octets = [("Content-Type", "application/octet-stream")];
    client.post.request("POST", &target, &octets, b"4hello").await.assert_empty(400);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// wire-protocol §2.4: a client's close packet ends the session; the held poll gets a noop.
#[tokio::test]
async fn a_close_packet_ends_the_session() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    client.begin_poll().await;
    until("a held poll", || server.session(&client.sid).is_writable()).await;
    client.send("1").await;
    assert_eq!(client.end_poll().await, ["6"]);
    assert_eq!(server.closed().await, CloseReason::ClientClose);
    client.poll_response().await.assert_error(400, 1, "Session ID unknown");
}

/// wire-protocol §2.4: packets that mean nothing outside an upgrade are ignored.
#[tokio::test]
async fn packets_without_meaning_are_ignored() {
    let mut server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    client.send("0{}\x1e5\x1e6\x1e3\x1e3probe\x1e4hello").await;
    assert_eq!(server.text().await, "hello");
    assert!(server.session(&client.sid).is_open());
}

/// wire-protocol §2.5: a reply has sixteen packets at most, and a message stays together with its attachments.
#[tokio::test]
async fn replies_hold_sixteen_packets_and_whole_messages() {
    let server = TestServer::start().await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    let with_attachments = |name: &str, count: u8| {
        let mut builder = TextBuilder::with_capacity(8);
        builder.buffer().extend_from_slice(name.as_bytes());
        let attachments: Vec<_> = (0..count).map(|i| bytes::Bytes::from(vec![i])).collect();
        builder.finish(&attachments)
    };
    for i in 0..14 {
        session.send(Outgoing::text(&i.to_string())).unwrap();
    }
    session.send(with_attachments("three", 2)).unwrap();
    session.send(with_attachments("many", 20)).unwrap();
    session.send(Outgoing::text("end")).unwrap();
    let first = client.poll().await;
    assert_eq!(first.len(), 14, "the message of three packets would make seventeen");
    assert_eq!(client.poll().await, ["4three", "bAA==", "bAQ=="]);
    let many = client.poll().await;
    assert_eq!((many.len(), many[0].as_str()), (21, "4many"), "a message of more packets goes alone");
    assert_eq!(client.poll().await, ["4end"]);
}

/// A reply stays near `max_payload`, and one message alone may be larger.
#[tokio::test]
async fn replies_stay_near_the_payload_limit() {
    let server = TestServer::with(limited(1000), quiet).await;
    let mut client = Polling::open(server.addr).await;
    let session = server.session(&client.sid);
    for len in [600, 600, 5000, 10] {
        session.send(Outgoing::text(&"x".repeat(len))).unwrap();
    }
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 4 + 6210 {
        let body = client.poll_response().await.body;
        sizes.extend(packets(&body).iter().map(String::len));
        assert!(body.len() <= 1000 || packets(&body).len() == 1);
    }
    assert_eq!(sizes, [601, 601, 5001, 11]);
}

/// Two requests may share one connection, one after the other.
#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let mut server = TestServer::echo(Default::default()).await;
    let mut client = Polling::open(server.addr).await;
    let target = client.target();
    for i in 0..20 {
        let text = format!("4{i}");
        let response = client.get.request("POST", &target, &[], text.as_bytes()).await;
        assert_eq!(response.text(), "ok");
        assert_eq!(client.poll().await, [text]);
        assert_eq!(server.text().await, i.to_string());
    }
}
