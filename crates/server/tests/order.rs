//! Order: what one thread does takes effect in that order, whatever all others do at the time.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use support::{Client, Dice, until};
use wirebird::engine::Frame;
use wirebird::{SendQueue, Server, Socket};
use wirebird_proto::socket_io::{Decoder, Limits, PacketKind};

fn roomy() -> wirebird::Builder {
    let mut queue = SendQueue::default();
    (queue.max_packets, queue.max_bytes) = (1_000_000, 1 << 30);
    Server::builder().send_queue(queue)
}

/// What one thread does with a socket, and what its client must see of it.
fn script(io: &Server, socket: &Socket, expected: &mut Vec<String>) {
    for n in 0..200 {
        socket.join("room").unwrap();
        io.to("room").emit("member", n).unwrap();
        socket.leave("room");
        io.to("room").emit("no member", n).unwrap();
        socket.emit("direct", n).unwrap();
        io.emit("all", n).unwrap();
        io.to("room").emit("not yet", n).unwrap();
        io.to(socket.id()).join("other");
        io.to(["other", "room"]).emit("other", n).unwrap();
        io.to("other").leave("other");
        io.to("other").emit("no other", n).unwrap();
        io.to(socket.id()).emit("by id", n).unwrap();
        expected
            .extend(["member", "direct", "all", "other", "by id"].map(|name| format!(r#"2["{name}",{n}]"#)));
    }
    io.emit("last", ()).unwrap();
    socket.emit("words", ()).unwrap();
    socket.disconnect();
    io.emit("too late", ()).unwrap();
    socket.emit("too late", ()).unwrap();
    expected.extend([r#"2["last"]"#, r#"2["words"]"#, "1"].map(String::from));
}

/// R4: FIFO between emit, join, leave and disconnect, while others keep every shard busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_threads_operations_take_effect_in_order_under_load() {
    let io = roomy().shards(4).build();
    io.of("/noise").on("event", async || ());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = Client::open(&io);
        let id = client.join("/").await;
        client.join("/noise").await;
        clients.push((client, io.socket(id.as_str()).unwrap()));
    }
    let noise: Vec<_> = (0..3)
        .map(|_| {
            let (io, stop) = (io.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    (0..8).for_each(|_| io.of("/noise").emit("noise", ()).unwrap());
                    // Not more than can be delivered: shards have no limit.
                    thread::park_timeout(Duration::from_micros(200));
                }
            })
        })
        .collect();
    // One after another, because each emits to all.
    for at in 0..clients.len() {
        let (client, socket) = &clients[at];
        let (io, socket) = (io.clone(), socket.clone());
        let expected = tokio::task::spawn_blocking(move || {
            let mut expected = Vec::new();
            script(&io, &socket, &mut expected);
            expected
        });
        let expected = expected.await.unwrap();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "1") {
            seen.push(client.next().await);
            if seen.last().unwrap().contains("noise") {
                seen.pop();
            }
        }
        assert_eq!(seen, expected);
        for (other, _) in &clients[at + 1..] {
            loop {
                let packet = other.next().await;
                if packet.contains("too late") {
                    break;
                }
                assert!(["noise", "all", "last"].iter().any(|name| packet.contains(name)), "{packet}");
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    noise.into_iter().for_each(|thread| thread.join().unwrap());
}

/// R4, R14: the same without a runtime.
#[test]
fn one_threads_operations_take_effect_in_order_without_a_runtime() {
    let io = roomy().shards(2).build();
    let (client, other) = (Client::inline(&io), Client::inline(&io));
    let socket = io.socket(client.join_now("/").as_str()).unwrap();
    other.join_now("/");
    let mut expected = Vec::new();
    script(&io, &socket, &mut expected);
    assert_eq!(client.take(), expected);
    let all = other.take();
    assert_eq!((all.len(), all.last().unwrap().as_str()), (202, r#"2["too late"]"#));
}

/// R4: acknowledgements are part of that order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledgement_does_not_overtake_what_its_handler_emitted() {
    let io = roomy().build();
    io.on("event", async |socket: Socket| {
        socket.namespace().emit("broadcast", ()).unwrap();
        socket.emit("direct", ()).unwrap();
        tokio::task::yield_now().await;
        socket.broadcast().emit("to others", ()).unwrap();
        socket.namespace().to(socket.id()).emit("by id", ()).unwrap();
    });
    let client = Client::open(&io);
    client.join("/").await;
    for id in 0..500 {
        let packets = client.call(id, r#"["event"]"#).await;
        let names = ["broadcast", "direct", "by id"].map(|name| format!(r#"2["{name}"]"#));
        assert_eq!(packets[..3], names);
        assert_eq!(packets[3..], [format!("3{id}[]")]);
    }
}

/// R5, F-PRO-11, pain 12: sixteen threads with attachments.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn binary_packets_of_many_threads_never_interleave() {
    const EACH: usize = 100;
    let io = roomy().build();
    io.on("echo", async |wirebird::extract::Data(data): wirebird::extract::Data<Bytes>| (data.clone(), data));
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    socket.join("room").unwrap();
    let _threads: Vec<_> = (0..16u8)
        .map(|thread| {
            let (io, socket) = (io.clone(), socket.clone());
            thread::spawn(move || {
                for n in 0..EACH as u8 {
                    let data = |part: u8| Bytes::copy_from_slice(&[thread, n, part]);
                    let args = (thread, n, data(0), [data(1), data(2)]);
                    match n % 4 {
                        0 => socket.emit("e", args).unwrap(),
                        1 => io.emit("e", args).unwrap(),
                        2 => io.to("room").emit("e", args).unwrap(),
                        _ => drop(io.emit_with_ack::<()>("e", args).stream().unwrap()),
                    }
                }
            })
        })
        .collect();
    for _ in 0..EACH {
        client.send(r#"51-0["echo",{"_placeholder":true,"num":0}]"#);
        client.send_binary(b"x");
    }
    let mut decoder = Decoder::new(Limits::default());
    let mut last: HashMap<u8, u8> = HashMap::new();
    let (mut events, mut acks) = (0, 0);
    while events < 16 * EACH || acks < EACH {
        let frame = client.next().await;
        let packet = match frame.strip_prefix('<') {
            None => decoder.decode_text(frame.into()).unwrap(),
            Some(hex) => {
                let hex = &hex[..hex.len() - 1];
                let bytes: Vec<u8> = (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                    .collect();
                decoder.decode_binary(bytes.into()).unwrap()
            }
        };
        match packet.map(|packet| packet.kind) {
            None => {}
            Some(PacketKind::Event { args, .. }) => {
                let (thread, n): (u8, u8) = wirebird_proto::value::decode_args(&args).unwrap();
                for (part, data) in args.attachments().iter().enumerate() {
                    assert_eq!(data[..], [thread, n, part as u8]);
                }
                assert_eq!(last.insert(thread, n), n.checked_sub(1), "in the order of its thread");
                events += 1;
            }
            Some(PacketKind::Ack { args, .. }) => {
                assert_eq!(args.attachments(), ["x", "x"]);
                acks += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(decoder.is_idle());
}

/// F-SCL-02, pain 1: threads that know of no runtime, and a server on several cores.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_threads_lose_nothing_and_keep_their_order() {
    const THREADS: usize = 64;
    const EACH: usize = 1000;
    let io = roomy().build();
    let client = Client::open(&io);
    let id = client.join("/").await;
    let socket = io.socket(id.as_str()).unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (io, socket) = (io.clone(), socket.clone());
            thread::spawn(move || {
                for n in 0..EACH {
                    // Over both ways: through a shard, and directly.
                    if (thread + n) % 3 == 0 {
                        io.emit("e", (thread, n)).unwrap();
                    } else {
                        socket.emit("e", (thread, n)).unwrap();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; THREADS];
    for _ in 0..THREADS * EACH {
        let packet = client.next().await;
        let (thread, n) = packet[r#"2["e","#.len()..packet.len() - 1].split_once(',').unwrap();
        let (thread, n): (usize, usize) = (thread.parse().unwrap(), n.parse().unwrap());
        assert_eq!(next[thread], n);
        next[thread] += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(client.take().is_empty());
}

/// A broadcast is settled at the call: who stays receives each once, in order, while others come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broadcasts_reach_two_thousand_sockets_while_half_of_them_come_and_go() {
    const ROUNDS: usize = 40;
    let io = roomy().build();
    let mut clients = Vec::new();
    for _ in 0..2000 {
        let client = Client::open(&io);
        let socket = io.socket(client.join_now("/").as_str()).unwrap();
        socket.join("room").unwrap();
        clients.push((client, socket));
    }
    let (stay, go) = clients.split_at(1000);
    thread::scope(|scope| {
        for (part, go) in go.chunks(250).enumerate() {
            scope.spawn(move || {
                let mut dice = Dice(part as u64 + 1);
                for _ in 0..3 {
                    for (client, socket) in go {
                        match dice.below(4) {
                            0 => drop(socket.leave("room")),
                            1 => drop(socket.join("room")),
                            2 if dice.below(4) == 0 => client.break_off(),
                            2 => socket.disconnect(),
                            _ => {
                                let _ = socket.emit("direct", ());
                            }
                        }
                    }
                }
            });
        }
        for n in 0..ROUNDS {
            let target = if n % 2 == 0 { io.all() } else { io.to(["room", "nobody's"]).except("nobody's") };
            target.emit("news", n).unwrap();
        }
    });
    for (client, _) in stay {
        for n in 0..ROUNDS {
            assert_eq!(client.next().await, format!(r#"2["news",{n}]"#));
        }
    }
    for (client, _) in go {
        let news: Vec<_> = client.take().into_iter().filter(|packet| packet.contains("news")).collect();
        let mut sorted = news.clone();
        sorted.sort_by_key(|packet| packet[9..packet.len() - 1].parse::<usize>().unwrap());
        sorted.dedup();
        assert_eq!(news, sorted, "in order, each once");
    }
    until("those who left to be gone", || io.socket_count() == io.sockets().len()).await;
    assert!(stay.iter().all(|(_, socket)| socket.is_connected()));
}

/// R14: several threads may drive a server without a runtime.
#[test]
fn without_a_runtime_several_threads_keep_their_order_too() {
    let io = roomy().shards(2).build();
    let client = Client::inline(&io);
    let socket = io.socket(client.join_now("/").as_str()).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (io, socket) = (&io, &socket);
            scope.spawn(move || {
                for n in 0..500 {
                    if n % 2 == 0 {
                        io.emit("e", (thread, n)).unwrap();
                    } else {
                        socket.emit("e", (thread, n)).unwrap();
                    }
                }
            });
        }
    });
    let mut next = [0; 8];
    for frame in client.conn.take_batch() {
        let Frame::Text(packet) = frame else { panic!("text") };
        let (thread, n) = packet[r#"42["e","#.len()..packet.len() - 1].split_once(',').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(next[thread].to_string(), n);
        next[thread] += 1;
    }
    assert_eq!(next, [500; 8]);
}
