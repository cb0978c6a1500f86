//! The example of compression, with a client that speaks permessage-deflate.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::DeflateDecoder;
use serde_json::{Value, json};

use crate::client::Client;
use crate::{PATIENCE, example};

/// A frame of the server.
struct Frame {
    compressed: bool,
    /// Bytes of payload on the wire.
    size: usize,
    data: Vec<u8>,
}

struct Deflating(TcpStream);

impl Deflating {
    /// Opens a WebSocket that offers compression, and connects to the default namespace.
    fn connect(addr: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.contains("sec-websocket-extensions: permessage-deflate;"), "{head}");
        let mut client = Self(stream);
        assert!(client.text(|text| text.starts_with("0{")).data.len() > 20);
        client.send("40");
        client.text(|text| text.starts_with("40{"));
        client
    }

    /// Sends a short text, masked with zeros.
    fn send(&mut self, text: &str) {
        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).unwrap();
    }

    fn frame(&mut self) -> Frame {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut length = vec![0; [0, 2, 8][usize::from(head[1] >= 126) + usize::from(head[1] == 127)]];
        self.0.read_exact(&mut length).unwrap();
        let long = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let size = if length.is_empty() { usize::from(head[1]) } else { long };
        let mut data = vec![0; size];
        self.0.read_exact(&mut data).unwrap();
        let compressed = head[0] & 0x40 != 0;
        if compressed {
            let mut plain = Vec::new();
            // The end of a stream, which is left out on the wire.
            data.extend_from_slice(&[0, 0, 0xff, 0xff, 0x03, 0x00]);
            DeflateDecoder::new(&*data).read_to_end(&mut plain).unwrap();
            data = plain;
        }
        Frame { compressed, size, data }
    }

    /// The next text for which `wanted` holds.
    fn text(&mut self, wanted: impl Fn(&str) -> bool) -> Frame {
        loop {
            let frame = self.frame();
            if wanted(std::str::from_utf8(&frame.data).unwrap_or_default()) {
                return frame;
            }
        }
    }
}

#[test]
fn compression() {
    let example = example!("compression");
    let mut plain = Client::connect(example.addr());
    let mut client = Deflating::connect(example.addr());

    client.send(r#"421["report",600]"#);
    let report = client.text(|text| text.starts_with("431["));
    assert!(report.compressed && report.size < report.data.len() / 5, "{} bytes", report.size);
    let readings: Value = serde_json::from_slice(&report.data[3..]).unwrap();
    assert_eq!(readings[0][599], json!({ "sensor": "roof", "minute": 599, "celsius": 20.9 }));
    client.send(r#"422["report",1]"#);
    assert!(!client.text(|text| text.starts_with("432[")).compressed, "below the threshold");

    client.send(r#"42["photo"]"#);
    client.text(|text| text.starts_with("451-[\"photo\""));
    let photo = client.frame();
    assert!(!photo.compressed && photo.size == 20_000);

    let text = "said again, ".repeat(100);
    assert_eq!(plain.call("report", json!([2]))[0].as_array().unwrap().len(), 2);
    plain.emit("publish", json!([text]));
    assert_eq!(plain.event("published"), json!([text]));
    assert!(client.text(|text| text.starts_with("42[\"published\"")).compressed);
}
