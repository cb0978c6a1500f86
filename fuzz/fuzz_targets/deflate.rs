//! Compressed messages of a client: any way to cut them gives the same events, and none is over the limit. What the
//! server compresses, its own decoder understands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebird_proto::websocket::{DecodeError, Decoder, DeflateOptions, DeflateParams, Deflater, Event};

/// A window so small that what a client may refer to is often out of it.
const BITS: u8 = 9;

fuzz_target!(|input: (u16, &[u8])| {
    let (seed, data) = input;
    let (takeover, limit) = (seed & 1 == 0, usize::from(seed >> 2));
    let agreed = agreed(takeover);
    let messages: Vec<&[u8]> = data.split(|byte| *byte == 0xfe).collect();

    // Everything is a compressed message: the headers are right, and the rest is the fuzzer's.
    let mut stream = Vec::new();
    for message in &messages {
        frame(&mut stream, seed & 2 == 0, message);
    }
    let whole = decode(&agreed, limit, &stream, || usize::MAX);
    assert_eq!(decode(&agreed, limit, &stream, || 1), whole);
    for event in &whole.0 {
        match event {
            Event::Text(text) => assert!(text.len() <= limit),
            Event::Binary(bytes) => assert!(bytes.len() <= limit),
            other => panic!("{other:?}"),
        }
    }

    // The other way: what is compressed here is a message of a client.
    let level = 1 + (seed >> 2) as u8 % 9;
    let mut deflater =
        if takeover { Deflater::with_takeover(level, BITS) } else { Deflater::new(level, BITS) };
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for message in messages {
        let mut compressed = Vec::new();
        if deflater.deflate(message, &mut compressed) {
            assert!(compressed.len() < message.len());
            frame(&mut stream, false, &compressed);
            expected.push(Event::Binary(message.into()));
        }
    }
    assert_eq!(decode(&agreed, usize::MAX, &stream, || usize::MAX), (expected, None));
});

fn agreed(takeover: bool) -> DeflateParams {
    let options = DeflateOptions {
        client_no_context_takeover: !takeover,
        client_max_window_bits: BITS,
        ..DeflateOptions::default()
    };
    let mut headers = http::HeaderMap::new();
    let offer = http::HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    headers.insert("sec-websocket-extensions", offer);
    options.negotiate(&headers).expect("a list of extensions").expect("an acceptable offer")
}

/// A client's frame with a compressed message; masked with zeros.
fn frame(out: &mut Vec<u8>, is_text: bool, payload: &[u8]) {
    out.push(if is_text { 0xc1 } else { 0xc2 });
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn decode(
    agreed: &DeflateParams,
    limit: usize,
    stream: &[u8],
    mut cut: impl FnMut() -> usize,
) -> (Vec<Event<'static>>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limit).with_deflate(agreed);
    let mut events = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut().min(rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            let decoded = match decoder.decode(input) {
                Ok(decoded) => decoded,
                Err(error) => return (events, Some(error)),
            };
            let consumed = decoded.consumed;
            match decoded.event {
                Some(event) => events.push(event.into_owned()),
                None => break,
            }
            input = &mut input[consumed..];
        }
    }
    (events, None)
}
