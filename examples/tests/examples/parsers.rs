//! Other formats than JSON on the wire.

use tungstenite::Message as Frame;
use wirebird::RawArgs;
use wirebird::parser::{self, Message, MsgPack, Packet, PacketKind, Parser};

use crate::client::Client;
use crate::example;

const JUST_NOW: &str = r#""\u0032024-05-06T07:08:09.010Z""#;
const A_WEEK_LATER: &str = r#""\u0032024-05-13T07:08:09.010Z""#;

/// A client that speaks as the server does.
struct Packed(Client, Box<dyn parser::Decoder>);

impl Packed {
    fn connect(addr: &str) -> Self {
        let mut client = Self(Client::open(addr, &[]), MsgPack.decoder(parser::Limits::default()));
        client.send(PacketKind::Connect { auth: None });
        let answer = client.packet();
        assert!(matches!(answer, PacketKind::Connect { auth: Some(_) }), "{answer:?}");
        client
    }

    fn send(&mut self, kind: PacketKind) {
        let Message::Binary(data) = MsgPack.encode(&Packet::new("/", kind)).unwrap().message else {
            panic!("MessagePack is binary")
        };
        self.0.send_binary(&data);
    }

    fn packet(&mut self) -> PacketKind {
        let Some(Frame::Binary(data)) = self.0.frame() else { panic!("the connection has ended") };
        self.1.decode(Message::Binary(data)).unwrap().expect("a whole packet").kind
    }
}

#[test]
fn msgpack() {
    let example = example!("msgpack");
    let (mut ann, mut bob) = (Packed::connect(example.addr()), Packed::connect(example.addr()));
    let photo = format!(r#"{{"name":"cat","taken":{JUST_NOW},"pixels":{{"_placeholder":true,"num":0}}}}"#);
    let args = RawArgs::from_json_elements(photo.clone().into(), vec![b"miaow"[..].into()]).unwrap();
    ann.send(PacketKind::Event { id: Some(1), name: "store".into(), args });
    let PacketKind::Ack { id: 1, args } = ann.packet() else { panic!("an acknowledgement") };
    assert_eq!(args.json(), format!(r#"{{"bytes":5,"until":{A_WEEK_LATER}}}"#));
    let PacketKind::Event { name, args, .. } = bob.packet() else { panic!("an event") };
    assert_eq!((&*name, args.json()), ("photo", &*photo));
    assert_eq!(args.attachments(), [&b"miaow"[..]]);
    // Who speaks JSON is not understood.
    let mut carl = Client::open(example.addr(), &[]);
    carl.send("40");
    carl.closed();
}

/// Parts behind their lengths.
fn pack(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes(), *part].concat()).collect()
}

#[test]
fn custom_parser() {
    let example = example!("custom_parser");
    let mut client = Client::open(example.addr(), &[]);
    client.send_binary(&pack(&[b"0"]));
    let Some(Frame::Binary(answer)) = client.frame() else { panic!("an answer") };
    assert!(answer[4..].starts_with(br#"0{"sid":"#), "{answer:?}");
    client.send_binary(&pack(&[br#"51-7["reverse",{"_placeholder":true,"num":0}]"#, &[1, 2, 3]]));
    let answer = pack(&[br#"61-7[{"_placeholder":true,"num":0}]"#, &[3, 2, 1]]);
    assert_eq!(client.frame(), Some(Frame::binary(answer)));
    for bad in [
        &pack(&[b"2[]"])[..],
        &pack(&[br#"51-["reverse"]"#]),
        &pack(&[br#"2["reverse"]"#, b"and more"]),
        &[0xff; 6],
        &[],
    ] {
        let mut client = Client::open(example.addr(), &[]);
        client.send_binary(bad);
        client.closed();
    }
}
