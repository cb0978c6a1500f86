//! The two formats of packets, for targets that feed a whole server.

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary};
use wirebird::engine::Frame;
use wirebird::parser::MsgPack;
use wirebird::{Builder, Server};
use wirebird_proto::socket_io::{
    Decoder, HeaderKind, Limits, Packet, PacketKind, msgpack, write_ack, write_event, write_header,
};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Format {
    Json,
    MsgPack,
}

impl Format {
    pub fn builder(self) -> Builder {
        match self {
            Self::Json => Server::builder(),
            Self::MsgPack => Server::builder().parser(MsgPack),
        }
    }

    /// A packet as a client sends it.
    pub fn frames(self, packet: &Packet) -> Vec<Frame> {
        if let Self::MsgPack = self {
            let message = msgpack::encode(packet).expect("text, small integers and attachments");
            return vec![Frame::Binary(message.into())];
        }
        let (mut text, namespace, mut attachments) = (b"4".to_vec(), &*packet.namespace, &[][..]);
        match &packet.kind {
            PacketKind::Connect { auth } => {
                write_header(&mut text, HeaderKind::Connect, 0, namespace, None);
                text.extend_from_slice(auth.as_deref().unwrap_or_default().as_bytes());
            }
            PacketKind::Event { id, name, args } => {
                attachments = args.attachments();
                write_event(&mut text, attachments.len(), namespace, *id, name, args.json().as_bytes());
            }
            PacketKind::Ack { id, args } => {
                attachments = args.attachments();
                write_ack(&mut text, attachments.len(), namespace, *id, args.json().as_bytes());
            }
            _ => write_header(&mut text, HeaderKind::Disconnect, 0, namespace, None),
        }
        let text = Frame::Text(String::from_utf8(text).expect("JSON").into());
        std::iter::once(text).chain(attachments.iter().cloned().map(Frame::Binary)).collect()
    }
}

/// What one client reads. That it can be read is one of the things that have to hold.
pub struct Reader {
    format: Format,
    decoder: Decoder,
}

impl Reader {
    pub fn new(format: Format) -> Self {
        Self { format, decoder: Decoder::new(Limits::default()) }
    }

    pub fn packets(&mut self, frames: Vec<Frame>) -> Vec<Packet> {
        frames.into_iter().filter_map(|frame| self.packet(frame)).collect()
    }

    fn packet(&mut self, frame: Frame) -> Option<Packet> {
        let decoded = match (self.format, frame) {
            (Format::Json, Frame::Text(text)) => {
                self.decoder.decode_text(text.strip_prefix('4').map(Into::into)?)
            }
            (Format::Json, Frame::Binary(data)) => self.decoder.decode_binary(data),
            (Format::MsgPack, Frame::Text(text)) => {
                assert!(!text.starts_with('4'), "a message of another format: {text}");
                return None;
            }
            (Format::MsgPack, Frame::Binary(data)) => msgpack::decode(&data, &Limits::default()).map(Some),
            (_, other) => panic!("{other:?}"),
        };
        decoded.expect("a packet of the server's")
    }
}
