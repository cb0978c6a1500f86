//! A client's bytes: any way to cut them gives the same events, and no message is over the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebird_proto::websocket::{DecodeError, Decoder, Event, MAX_CONTROL_PAYLOAD};

fuzz_target!(|input: (u16, &[u8])| {
    let (seed, stream) = input;
    let limit = usize::from(seed >> 4);
    let whole = decode(limit, stream, || usize::MAX);
    assert_eq!(decode(limit, stream, || 1), whole);
    let mut state = u32::from(seed) | 1;
    let pieces = decode(limit, stream, || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        1 + state as usize % 24
    });
    assert_eq!(pieces, whole);
    for event in &whole.0 {
        match event {
            Event::Text(text) => assert!(text.len() <= limit),
            Event::Binary(bytes) => assert!(bytes.len() <= limit),
            Event::Ping(bytes) | Event::Pong(bytes) => assert!(bytes.len() <= MAX_CONTROL_PAYLOAD),
            Event::Close(Some((_, reason))) => assert!(reason.len() + 2 <= MAX_CONTROL_PAYLOAD),
            Event::Close(None) => {}
        }
    }
});

fn decode(
    limit: usize,
    stream: &[u8],
    mut cut: impl FnMut() -> usize,
) -> (Vec<Event<'static>>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limit);
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
                None => {
                    assert_eq!(consumed, input.len());
                    break;
                }
            }
            assert!(consumed > 0);
            input = &mut input[consumed..];
        }
    }
    (events, None)
}
