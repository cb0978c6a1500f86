//! A whole server without runtime and network: clients in memory.

use std::hint::black_box;

use bytes::Bytes;
use http::Request;
use wirebird::engine::Frame;
use wirebird::engine::memory::Connection;
use wirebird::extract::Data;
use wirebird::parser::MsgPack;
use wirebird::{Handshake, Recovery, Server, Socket, TrustedProxies};

/// The same everywhere, whatever the number of cores.
const SHARDS: usize = 2;

fn open(io: &Server) -> Connection {
    let request = Request::get("/socket.io/?EIO=4&transport=websocket").body(()).expect("a valid request");
    let handshake = Handshake::new(&mut request.into_parts().0, &TrustedProxies::None);
    io.connect_memory(handshake, || {}).expect("the server is open")
}

fn connect(io: &Server) -> Connection {
    let client = open(io);
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

/// The same in MessagePack.
pub(crate) fn echo_msgpack(turns: u64) {
    let io = Server::builder().shards(SHARDS).parser(MsgPack).build();
    io.on("echo", async |Data(text): Data<String>| text);
    let client = open(&io);
    client.feed(Frame::Binary(Bytes::from_static(b"\x82\xa4type\x00\xa3nsp\xa1/")));
    client.take_batch();
    let event =
        b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa4echo\xd9\x20abcdefghijklmnopqrstuvwxyz012345\xa2id\x07";
    for _ in 0..turns {
        client.feed(Frame::Binary(Bytes::from_static(event)));
        assert_eq!(black_box(client.take_batch()).len(), 1);
    }
}

/// A server with connection state recovery, or without.
fn server(recovery: bool) -> Server {
    let builder = Server::builder().shards(SHARDS);
    if recovery { builder.connection_state_recovery(Recovery::default()).build() } else { builder.build() }
}

/// An event that is answered by another.
pub(crate) fn answer(turns: u64, recovery: bool) {
    let io = server(recovery);
    io.on("ask", async |socket: Socket, Data(text): Data<String>| socket.emit("answer", text));
    let client = connect(&io);
    for _ in 0..turns {
        client.feed(Frame::Text(r#"42["ask","abcdefghijklmnopqrstuvwxyz012345"]"#.into()));
        assert_eq!(black_box(client.take_batch()).len(), 1);
    }
}

/// One event for 1,000 clients, each of which takes it.
pub(crate) fn broadcast(turns: u64, recovery: bool) {
    let io = server(recovery);
    io.on_connect(async || {});
    let clients: Vec<Connection> = (0..1000).map(|_| connect(&io)).collect();
    for _ in 0..turns {
        io.emit("msg", "abcdefghijklmnopqrstuvwxyz012345").expect("text can be encoded");
        for client in &clients {
            assert_eq!(black_box(client.take_batch()).len(), 1);
        }
    }
}
