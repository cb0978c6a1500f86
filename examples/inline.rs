//! No runtime, no sockets, no threads: a client inside this process, driven step by step. For hosts with a loop of
//! their own, for transports of your own, and for tests that must not depend on time.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::Data;
use wirebird::{DisconnectReason, Handshake, Server, Socket, TrustedProxies};

/// What the client would have received by now.
fn show(client: &Connection) {
    for frame in client.take_batch() {
        match frame {
            Frame::Text(text) => println!("client receives {text}"),
            Frame::Binary(data) => println!("client receives {data:?}"),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let io =
        Server::builder().ping_interval(Duration::from_secs(10)).ping_timeout(Duration::from_secs(5)).build();
    io.on("add", async |Data((a, b)): Data<(i64, i64)>| a + b);
    io.on("count", async |socket: Socket, Data(bytes): Data<Bytes>| socket.emit("counted", bytes.len()));
    io.on_disconnect(async |reason: DisconnectReason| println!("disconnected: {reason}"));

    // A client opens a session with a request; here nobody sends it over a network.
    let (mut request, ()) = Request::get("/socket.io/?EIO=4&transport=websocket").body(())?.into_parts();
    let handshake = Handshake::new(&mut request, &TrustedProxies::None);
    let client = io.connect_memory(handshake, || {}).ok_or("the server is closing")?;
    show(&client);

    // Handlers have run when `feed` returns, and their answers are there.
    for packet in ["40", r#"420["add",2,3]"#, r#"451-["count",{"_placeholder":true,"num":0}]"#] {
        println!("client sends {packet}");
        client.feed(Frame::Text(packet.into()));
        show(&client);
    }
    client.feed(Frame::Binary(Bytes::from_static(b"\x01\x02\x03")));
    show(&client);

    // So can be anything that is emitted from outside.
    io.emit("news", "nothing moves unless it is pushed")?;
    show(&client);

    // Time passes when it is told to, here in tenths of a second. (After a long pause the server takes it that it stood
    // still, and gives clients time.) The client does not answer the ping.
    let start = Instant::now();
    for tenths in 0..160 {
        io.tick(start + Duration::from_millis(100 * tenths));
        show(&client);
    }
    println!("the connection is {}", if client.is_open() { "open" } else { "closed" });
    Ok(())
}
