//! Limits, and ids that are no credentials.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use support::{Client, sid, until};
use wirebird::extract::{Data, EventContext, State};
use wirebird::{Accept, Concurrency, Error, Namespace, Next, Reply, Server, Socket};

/// F-SEC-01
#[tokio::test]
async fn the_namespaces_of_one_client_have_a_limit() {
    let io = Server::builder().namespaces(Accept::Any).max_namespaces(3).build();
    let client = Client::open(&io);
    for name in ["/a", "/b", "/c"] {
        client.join(name).await;
    }
    client.send("0/d,");
    assert_eq!(client.next().await, r#"4/d,{"message":"Too many namespaces"}"#);
    client.send("1/a,");
    client.join("/d").await;
    assert!(client.is_open());
    Client::open(&io).join("/e").await;
}

/// What the process keeps in memory, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// F-SEC-01: namespaces that clients made up are forgotten when nobody is in them, also if handlers failed there or
/// sockets were kept for longer.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn namespaces_made_up_by_clients_are_forgotten() {
    type Kept = std::sync::Arc<parking_lot::Mutex<Vec<(Socket, Namespace)>>>;
    let kept = Kept::default();
    let io = Server::builder().namespaces(Accept::Any).state(kept.clone()).build();
    io.any_namespace().on_connect(async |socket: Socket, ns: Namespace, State(kept): State<Kept>| {
        let mut kept = kept.lock();
        if kept.len() == 100 {
            kept.clear();
        }
        kept.push((socket, ns));
    });
    io.any_namespace().on_disconnect(async || Err::<(), _>(Error::msg("on purpose")));
    io.on_error(async |_: Error| ());
    let client = Client::open(&io);
    let round = async |from: usize| {
        for n in from..from + 5_000 {
            client.join(&format!("/made up {n}")).await;
            client.send(format!("1/made up {n},"));
        }
    };
    round(0).await;
    let before = resident();
    for n in 1..4 {
        round(n * 5_000).await;
    }
    let grown = resident().saturating_sub(before) / 15_000;
    assert!(grown < 200, "{grown} bytes are left of each namespace");
}

/// F-SEC-01: names that were only emitted to are forgotten too.
#[tokio::test]
async fn namespaces_that_were_only_emitted_to_are_forgotten() {
    let io = Server::new();
    for n in 0..5_000 {
        io.of(format!("/nobody {n}")).emit("news", n).unwrap();
        assert!(io.namespaces().len() <= 600);
    }
}

/// F-EVT-17, F-NSP-09: what the application has set for a namespace stays, whoever comes and goes.
#[tokio::test]
async fn settings_of_a_namespace_stay_when_it_is_empty() {
    let io = Server::builder().namespaces(Accept::Any).build();
    io.of("/guarded").event_layer(async |_: EventContext, _: Next| Err::<Reply, _>(Error::msg("forbidden")));
    io.of("/wide").concurrency(Concurrency::Concurrent(2));
    let latch = support::Latch::default();
    let wait = latch.clone();
    io.any_namespace().on("event", move |Data(n): Data<u8>| {
        let wait = wait.clone();
        async move {
            if n == 0 {
                wait.wait().await;
            }
            n
        }
    });
    io.on_error(async |error: Error| error.to_string());
    let client = Client::open(&io);
    for round in 0..2 {
        for n in 0..600 {
            io.of(format!("/nobody {round} {n}"));
        }
        client.join("/guarded").await;
        client.send(r#"2/guarded,0["event",1]"#);
        assert_eq!(client.next().await, r#"3/guarded,0["forbidden"]"#);
        client.join("/wide").await;
        client.send(r#"2/wide,0["event",0]"#);
        client.send(r#"2/wide,1["event",1]"#);
        assert_eq!(client.next().await, "3/wide,1[1]");
        latch.open(1);
        assert_eq!(client.next().await, "3/wide,0[0]");
        client.send("1/guarded,");
        client.send("1/wide,");
        until("them to be empty", || io.of("/wide").socket_count() + io.of("/guarded").socket_count() == 0)
            .await;
    }
}

/// A namespace that the application holds is never forgotten under its feet.
#[tokio::test]
async fn a_namespace_that_is_held_stays_the_same() {
    let io = Server::builder().namespaces(Accept::Any).build();
    let held = io.of("/held");
    let client = Client::open(&io);
    for _ in 0..3 {
        client.join("/held").await;
        assert_eq!((held.socket_count(), io.of("/held").socket_count()), (1, 1));
        client.send("1/held,");
        until("it to be empty", || held.socket_count() == 0).await;
    }
    held.on("event", async || "handled");
    client.join("/held").await;
    client.send(r#"2/held,0["event"]"#);
    assert_eq!(client.next().await, r#"3/held,0["handled"]"#);
}

async fn get(io: &Server, query: &str) -> (u16, String) {
    let request = Request::get(format!("/socket.io/?EIO=4&transport=polling{query}"));
    answer(io, request.body(Full::default()).unwrap()).await
}

async fn post(io: &Server, id: &str, body: &str) -> (u16, String) {
    let request = Request::post(format!("/socket.io/?EIO=4&transport=polling&sid={id}"));
    answer(io, request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()).await
}

async fn answer(io: &Server, request: Request<Full<Bytes>>) -> (u16, String) {
    let response = tokio::time::timeout(support::PATIENCE, io.handle(request)).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// R7, F-PRO-20: who knows a socket's id can neither read its messages nor speak in its name.
#[tokio::test]
async fn a_public_id_is_no_credential() {
    let io = Server::new();
    io.on("whisper", async || Ok::<_, Error>("heard"));
    let (status, open) = get(&io, "").await;
    assert_eq!(status, 200);
    let session = sid(&open);
    assert_eq!(post(&io, &session, "40").await, (200, "ok".into()));
    let (_, connect) = get(&io, &format!("&sid={session}")).await;
    let public = sid(&connect[1..]);
    assert_ne!(session, public);
    let socket = io.socket(public.as_str()).unwrap();
    assert_eq!(socket.engine_session().id().as_str(), session);
    assert!(io.engine().session(&public).is_none() && io.socket(session.as_str()).is_none());
    for id in [public.as_str(), "", "AAAAAAAAAAAAAAAAAAAA"] {
        for (status, body) in [get(&io, &format!("&sid={id}")).await, post(&io, id, r#"42["whisper"]"#).await]
        {
            assert_eq!(status, 400, "{id:?} {body}");
        }
    }
    // A room named like the session is just a room.
    io.to(session.as_str()).emit("secret", ()).unwrap();
    assert_eq!(post(&io, &session, r#"420["whisper"]"#).await.0, 200);
    assert_eq!(get(&io, &format!("&sid={session}")).await, (200, r#"430["heard"]"#.into()));
    io.close_within(Duration::ZERO).await;
}

/// F-SEC-02: ids do not show up where logs and other clients could see them.
#[tokio::test]
async fn the_session_id_is_not_in_debug_output() {
    let io = Server::new();
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    let session = socket.engine_session().id().as_str().to_owned();
    for text in [
        format!("{socket:?} {:?} {io:?}", socket.session()),
        format!("{:?} {:?}", socket.engine_session(), socket.namespace()),
        format!("{:?} {:?}", client.conn, socket.handshake()),
    ] {
        assert!(!text.contains(&session), "{text}");
    }
}
