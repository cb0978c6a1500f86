//! A whole server without runtime and network: clients in memory.

use std::hint::black_box;

use http::Request;
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::Data;
use wirebird::{Handshake, Server, TrustedProxies};

/// The same everywhere, whatever the number of cores.
const SHARDS: usize = 2;

fn connect(io: &Server) -> Connection {
    let request = Request::get("/socket.io/?EIO=4&transport=websocket").body(()).expect("a valid request");
    let handshake = Handshake::new(&mut request.into_parts().0, &TrustedProxies::None);
    let client = io.connect_memory(handshake, || {}).expect("the server is open");
    client.feed(Frame::Text("40".into()));
    client.take_batch();
    client
}

/// An event with an acknowledgement: from the client's frame to the server's.
pub(crate) fn echo(turns: u64) {
    let io = Server::builder().shards(SHARDS).build();
    io.on("echo", async |Data(text): Data<String>| text);
    let client = connect(&io);
    for _ in 0..turns {
        client.feed(Frame::Text(r#"427["echo","abcdefghijklmnopqrstuvwxyz012345"]"#.into()));
        assert_eq!(black_box(client.take_batch()).len(), 1);
    }
}

/// One event for 1,000 clients, each of which takes it.
pub(crate) fn broadcast(turns: u64) {
    let io = Server::builder().shards(SHARDS).build();
    io.on_connect(async || {});
    let clients: Vec<Connection> = (0..1000).map(|_| connect(&io)).collect();
    for _ in 0..turns {
        io.emit("msg", "abcdefghijklmnopqrstuvwxyz012345").expect("text can be encoded");
        for client in &clients {
            assert_eq!(black_box(client.take_batch()).len(), 1);
        }
    }
}
