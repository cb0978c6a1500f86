//! F-PRO-05, pain 18: ten thousand upgrades under traffic in both directions; nothing is lost, doubled or reordered.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Http, Polling, TestServer, Ws, config};
use wirebird_engine::{CloseReason, Message, Outgoing, Session};

const UPGRADES: usize = 10_000;
const AT_ONCE: usize = 200;

/// What the server knows of one client: the number of the next message either way.
#[derive(Default)]
struct Traffic {
    received: usize,
    sent: usize,
    stopped: bool,
}

type Shared = Arc<Mutex<Traffic>>;

fn traffic(session: &Session) -> Shared {
    // Both sides look for it, and the first makes it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap();
    match session.slot() {
        Some(slot) => slot.downcast().expect("traffic"),
        None => {
            let traffic = Shared::default();
            session.set_slot(Some(traffic.clone()));
            traffic
        }
    }
}

#[derive(Default)]
struct Wrong(Mutex<Vec<String>>);

fn on_message(session: &Arc<Session>, message: &Message, wrong: &Wrong) {
    let Message::Text(text) = message else { return };
    let traffic = traffic(session);
    let mut traffic = traffic.lock().unwrap();
    if &**text == "stop" {
        traffic.stopped = true;
        let _ = session.send(Outgoing::text(&format!("total {} {}", traffic.received, traffic.sent)));
        return;
    }
    if **text != traffic.received.to_string() {
        wrong.0.lock().unwrap().push(format!("expected {} and got {text}", traffic.received));
    }
    traffic.received += 1;
}

/// Sends the next number to every session, round after round.
fn push(engine: &wirebird_engine::Engine, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        for session in engine.sessions() {
            let traffic = traffic(&session);
            let mut traffic = traffic.lock().unwrap();
            if !traffic.stopped && session.send(Outgoing::text(&traffic.sent.to_string())).is_ok() {
                traffic.sent += 1;
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// One client: polls and posts, upgrades in the middle of it, goes on over the WebSocket, and counts.
async fn client(get: Http, post: Http, addr: std::net::SocketAddr) -> (Http, Http) {
    let mut client = Polling::reopen(get, post, addr).await;
    let mut sent = 0;
    let mut received = 0;
    let mut take = |packets: Vec<String>| {
        for packet in packets {
            match packet.as_str() {
                "6" => {}
                "2" => panic!("no ping is due"),
                text => {
                    assert_eq!(text, format!("4{received}"));
                    received += 1;
                }
            }
        }
    };
    let mut next = |count: usize| {
        let packets: Vec<_> = (sent..sent + count).map(|i| format!("4{i}")).collect();
        sent += count;
        packets
    };
    client.begin_post(next(3).join("\x1e").as_bytes()).await;
    take(client.poll().await);
    assert_eq!(client.post.response().await.text(), "ok");

    // The probe runs beside a held poll and a POST.
    client.begin_poll().await;
    client.begin_post(next(2).join("\x1e").as_bytes()).await;
    let mut ws = Ws::to(addr, &client.target_on("websocket"), &[]).await;
    ws.probe().await;
    take(client.end_poll().await);
    assert_eq!(client.post.response().await.text(), "ok");
    take(client.poll().await);

    let frames: Vec<_> = std::iter::once("5".to_owned()).chain(next(3)).collect();
    ws.raw(&frames.iter().flat_map(|text| support::text_frame(text)).collect::<Vec<_>>()).await;
    take(vec![ws.text().await]);
    for text in next(2) {
        ws.send(&text).await;
    }
    take(vec![ws.text().await, ws.text().await]);
    ws.send("4stop").await;
    loop {
        let text = ws.text().await;
        match text.strip_prefix("4total ") {
            Some(total) => {
                assert_eq!(total, format!("{sent} {received}"), "messages the server got, and sent");
                break;
            }
            None => take(vec![text]),
        }
    }
    ws.send_close(1000).await;
    ws.closed().await;
    (client.get, client.post)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_upgrades_under_traffic_lose_nothing() {
    let wrong = Arc::new(Wrong::default());
    let seen = wrong.clone();
    let mut server =
        TestServer::with(config(|c| c.upgrade_timeout = Duration::from_secs(60)), move |session, message| {
            on_message(session, message, &seen)
        })
        .await;
    let over = Arc::new(AtomicBool::new(false));
    let pusher = {
        let (engine, over) = (server.engine.clone(), over.clone());
        std::thread::spawn(move || push(&engine, &over))
    };
    let left = Arc::new(AtomicUsize::new(UPGRADES));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (addr, left) = (server.addr, left.clone());
        clients.spawn(async move {
            let (mut get, mut post) = (Http::connect(addr).await, Http::connect(addr).await);
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                (get, post) = client(get, post, addr).await;
            }
        });
    }
    let mut failed = None;
    while let Some(client) = clients.join_next().await {
        failed = failed.or(client.err());
    }
    over.store(true, Ordering::Release);
    pusher.join().unwrap();
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(*wrong.0.lock().unwrap(), [""; 0]);
    support::until("no session", || server.engine.session_count() == 0).await;

    let mut counts = HashMap::new();
    for event in server.pending_events() {
        let kind = match event {
            support::Event::Open(_) => "opened",
            support::Event::Upgraded(_) => "upgraded",
            support::Event::Close(_, CloseReason::TransportClose) => "closed",
            support::Event::Text(..) => continue,
            other => panic!("{other:?}"),
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(counts, HashMap::from([("opened", UPGRADES), ("upgraded", UPGRADES), ("closed", UPGRADES)]));
}
