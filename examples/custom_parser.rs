//! A format of one's own on the wire: every packet is one binary message, its JSON and its attachments one after the
//! other, each behind its length. Clients need a parser that does the same.

use bytes::{Buf, BufMut, Bytes};
use wirebird::extract::Data;
use wirebird::parser::{Decoder, Json, Limits, Message, Messages, Packet, Parser};
use wirebird::{Error, Server};
use wirebird_examples::listen;

/// Stands on the default parser: what that makes is only packed differently.
struct OneFrame;

impl Parser for OneFrame {
    fn encode(&self, packet: &Packet) -> Result<Messages, Error> {
        let messages = Json.encode(packet)?;
        let Message::Text(json) = &messages.message else { return Err(Error::msg("JSON is text")) };
        let parts = std::iter::once(json.as_bytes()).chain(&messages.attachments);
        let mut out = Vec::new();
        for part in parts {
            out.put_u32(u32::try_from(part.len())?);
            out.put_slice(part);
        }
        Ok(Messages::binary(out))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decoder> {
        // This one keeps the limits, and refuses attachments that are missing or too many.
        Box::new(OneFrameDecoder(Json.decoder(limits)))
    }
}

/// One for each connection. Nothing is kept between messages here.
struct OneFrameDecoder(Box<dyn Decoder>);

impl Decoder for OneFrameDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Error> {
        let Message::Binary(mut data) = message else { return Err(Error::msg("text")) };
        let json = part(&mut data)?;
        let mut packet = self.0.decode(Message::Text(json.try_into()?))?;
        while packet.is_none() {
            packet = self.0.decode(Message::Binary(part(&mut data)?))?;
        }
        if data.is_empty() { Ok(packet) } else { Err(Error::msg("more than a packet")) }
    }
}

/// The next part, which shares the memory of the message. The length comes from the client: it is compared with what is
/// there before anything is done with it.
fn part(data: &mut Bytes) -> Result<Bytes, Error> {
    let len = data.try_get_u32()?;
    match usize::try_from(len) {
        Ok(len) if len <= data.len() => Ok(data.split_to(len)),
        _ => Err(Error::msg("a part that is not there")),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder().parser(OneFrame).build();
    io.on("reverse", async |Data(data): Data<Bytes>| data.iter().rev().copied().collect::<Bytes>());
    io.serve_listener(listen().await?).await
}
