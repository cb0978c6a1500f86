//! Properties of the WebSocket codec that hold for any input.

mod websocket_support;

use std::borrow::Cow;

use proptest::{collection::vec, prelude::*};
use websocket_support::*;
use wirebird_proto::websocket::{CloseCode, DecodeError, Decoder, Event, FrameHeader, Opcode, frame};

const LIMIT: usize = 5_000;

/// Text and bytes, short and long enough for each form of the length.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..20),
        2 => "\\PC{20,150}".prop_map(String::into_bytes),
        1 => (0..LIMIT + 200).prop_map(|len| vec![b'x'; len]),
    ]
}

/// Bytes for each form of the length, cheaply.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![0..200usize, 65_000..66_000usize], any::<[u8; 7]>())
        .prop_map(|(len, pattern)| pattern.into_iter().cycle().take(len).collect())
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let opcode = prop_oneof![3 => Just(0u8), 3 => Just(1), 2 => Just(2), 1 => Just(8), 2 => Just(9), 1 => Just(10), 1 => 0..16u8];
    let odd = |one_in: u32| prop::bool::weighted(1.0 / f64::from(one_in));
    (prop::bool::weighted(0.7), odd(60), opcode, odd(60), any::<[u8; 4]>(), payload()).prop_map(
        |(fin, rsv, opcode, unmasked, key, payload)| Frame {
            fin,
            rsv: u8::from(rsv),
            key: (!unmasked).then_some(key),
            ..Frame::new(opcode, payload)
        },
    )
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any_frame(), 0..8).prop_map(|frames| encode(&frames)),
        2 => (vec(any_frame(), 1..8), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(frames, at, bits)| {
            let mut bytes = encode(&frames);
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            bytes
        }),
        1 => vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn how_a_stream_is_cut_changes_nothing(stream in stream(), cuts in vec(1..200usize, 0..100)) {
        let whole = decode(LIMIT, &stream);
        prop_assert_eq!(&decode_in_pieces(LIMIT, &stream, &cuts), &whole);
        prop_assert_eq!(&decode_in_pieces(LIMIT, &stream, &vec![1; stream.len()]), &whole);
    }

    #[test]
    fn no_message_is_longer_than_the_limit(stream in stream(), limit in 0..300usize) {
        for event in decode(limit, &stream).0 {
            match event {
                Event::Text(text) => prop_assert!(text.len() <= limit),
                Event::Binary(bytes) => prop_assert!(bytes.len() <= limit),
                Event::Ping(bytes) | Event::Pong(bytes) => prop_assert!(bytes.len() <= 125),
                Event::Close(close) => prop_assert!(close.is_none_or(|(_, reason)| reason.len() <= 123)),
            }
        }
    }

    #[test]
    fn what_a_client_sends_arrives(text in "\\PC{0,300}", bytes in bytes(), key in any::<[u8; 4]>(), cut in any::<prop::sample::Index>()) {
        let mut frames = [Frame::new(TEXT, &text), Frame::new(BINARY, &bytes), Frame::new(CONTINUATION, [])];
        let middle = cut.index(bytes.len() + 1);
        frames[1] = Frame::more(BINARY, &bytes[..middle]);
        frames[2] = Frame::new(CONTINUATION, &bytes[middle..]);
        for frame in &mut frames {
            frame.key = Some(key);
        }
        let (events, error) = decode(100_000, &encode(&frames));
        prop_assert_eq!(error, None);
        prop_assert_eq!(events, [Event::Text(text.into()), Event::Binary(bytes.into())]);
    }

    #[test]
    fn a_frame_is_its_header_and_its_payload(payload in bytes()) {
        let frame = frame(Opcode::Binary, &payload);
        let header = FrameHeader::new(Opcode::Binary, payload.len());
        prop_assert_eq!(&frame[..header.len()], header.as_slice());
        prop_assert_eq!(&frame[header.len()..], &payload[..]);
        let mut expected = Vec::new();
        Frame { key: None, ..Frame::new(BINARY, &payload) }.encode(&mut expected);
        prop_assert_eq!(&frame[..], &expected[..]);
    }
}

#[test]
fn a_claimed_length_costs_nothing() {
    // A gigabyte is announced, and ten bytes come.
    let mut decoder = Decoder::new(1 << 30);
    let mut input = *b"\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00keyk0123456789";
    assert_eq!(decoder.decode(&mut input).expect("no error").event, None);
    assert!(!decoder.is_idle());
}

#[test]
fn memory_grows_with_what_arrives() {
    let whole = vec![Frame::new(BINARY, vec![7; 100_000])];
    let mut fragments = vec![Frame::more(CONTINUATION, vec![7; 1_000]); 100];
    fragments[0].opcode = BINARY;
    fragments[99].fin = true;
    for (frames, limit, most) in
        [(&whole, 1_000_000, 100_000), (&fragments, 1_000_000, 200_000), (&fragments, 100_000, 100_000)]
    {
        let (mut events, error) = decode_in_pieces(limit, &encode(frames), &[700; 150]);
        assert_eq!(error, None);
        let Some(Event::Binary(Cow::Owned(bytes))) = events.pop() else { panic!("an owned message") };
        assert_eq!(bytes, vec![7; 100_000]);
        assert!(bytes.capacity() <= most, "{}", bytes.capacity());
    }
}

#[test]
fn an_idle_decoder_holds_nothing() {
    assert!(size_of::<Decoder>() <= 64);
    let frames =
        [Frame::more(TEXT, "a"), Frame::new(PING, "b"), Frame::new(CONTINUATION, "c"), Frame::new(PONG, "d")];
    let stream = encode(&frames);
    for cut in 0..stream.len() {
        let mut decoder = Decoder::new(100);
        let mut stream = stream.clone();
        let (first, second) = stream.split_at_mut(cut);
        for mut input in [first, second] {
            while !input.is_empty() {
                let consumed = decoder.decode(input).expect("no error").consumed;
                input = &mut input[consumed..];
            }
        }
        assert!(decoder.is_idle(), "cut at {cut}");
    }
}

/// One message cannot go on for ever: the frames of each are counted, empty ones too, and those of others are not.
#[test]
fn fragments_are_counted() {
    let message = |frames: usize| {
        let mut all = vec![Frame::more(TEXT, "")];
        all.extend((0..frames - 2).flat_map(|_| [Frame::more(CONTINUATION, ""), Frame::new(PING, "")]));
        all.push(Frame::new(CONTINUATION, "x"));
        encode(&all)
    };
    let decode = |stream: &[u8]| {
        let mut decoder = Decoder::new(1000).with_max_fragments(10);
        let mut stream = stream.to_vec();
        let (mut input, mut messages) = (&mut stream[..], 0);
        while !input.is_empty() {
            let decoded = decoder.decode(input)?;
            messages += usize::from(matches!(decoded.event, Some(Event::Text(_))));
            let consumed = decoded.consumed;
            input = &mut input[consumed..];
        }
        Ok(messages)
    };
    assert_eq!(decode(&[message(10), message(10), message(2)].concat()), Ok(3));
    assert_eq!(decode(&message(11)), Err(DecodeError::TooManyFragments { limit: 10 }));
    assert_eq!(DecodeError::TooManyFragments { limit: 10 }.close_code(), CloseCode::POLICY);
}
