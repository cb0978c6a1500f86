//! MessagePack in place of JSON.

use serde_json::json;
use wirebird::parser::{Limits, MsgPack, Packet, PacketKind};
use wirebird::{Recovery, Server};
use wirebird_proto::socket_io::msgpack;

use crate::support::{Client, settle};

/// F-SER-02, F-NOD-21: with MessagePack.
#[tokio::test(start_paused = true)]
async fn with_messagepack_too() {
    let bytes = |message: &str| {
        let hex = message.trim_matches(['<', '>']);
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    let connect = |client: &Client, auth: Option<serde_json::Value>| {
        let auth = auth.map(|auth| auth.to_string().into());
        client.send_binary(&msgpack::encode(&Packet::new("/", PacketKind::Connect { auth })).unwrap());
    };
    async fn next(client: &Client, bytes: impl Fn(&str) -> Vec<u8>) -> serde_json::Value {
        match msgpack::decode(&bytes(&client.next().await).into(), &Limits::default()).unwrap().kind {
            PacketKind::Connect { auth } => serde_json::from_str(&auth.unwrap()).unwrap(),
            PacketKind::Event { args, .. } => serde_json::from_str(&format!("[{}]", args.json())).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    let io = Server::builder().parser(MsgPack).connection_state_recovery(Recovery::default()).build();
    let client = Client::open(&io);
    connect(&client, None);
    let first = next(&client, bytes).await;
    io.emit("event", 1).unwrap();
    let event = next(&client, bytes).await;
    client.break_off();
    settle().await;
    io.emit("event", 2).unwrap();
    let client = Client::open(&io);
    connect(&client, Some(json!({ "pid": first["pid"], "offset": event[1] })));
    assert_eq!(next(&client, bytes).await[0], 2);
    assert_eq!(next(&client, bytes).await, first);
}
