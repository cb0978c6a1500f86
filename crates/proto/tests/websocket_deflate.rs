//! Compressed messages: against another implementation of DEFLATE, however they are cut, within their limit.

mod websocket_support;

use std::borrow::Cow;

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush, deflate, inflate};
use proptest::{collection::vec, prelude::*};
use websocket_support::*;
use wirebird_proto::websocket::{DecodeError, Decoder, DeflateOptions, DeflateParams, Deflater, Event};

const LIMIT: usize = 20_000;
const TRAILER: [u8; 4] = [0, 0, 0xff, 0xff];

/// What comes of an offer that leaves everything open.
fn agreed(options: DeflateOptions) -> DeflateParams {
    let mut headers = http::HeaderMap::new();
    let offer = http::HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    headers.insert("sec-websocket-extensions", offer);
    options.negotiate(&headers).expect("a list of extensions").expect("an acceptable offer")
}

fn decoder(client_takeover: bool, bits: u8) -> Decoder {
    let options = DeflateOptions {
        client_no_context_takeover: !client_takeover,
        client_max_window_bits: bits,
        ..DeflateOptions::default()
    };
    Decoder::new(LIMIT).with_deflate(&agreed(options))
}

/// The other implementation: a client's two directions.
struct Peer {
    compressor: Box<CompressorOxide>,
    inflater: Box<InflateState>,
    takeover: bool,
}

impl Peer {
    fn new(takeover: bool) -> Self {
        // A window below 0 means no zlib header.
        let flags = create_comp_flags_from_zip_params(6, -15, 0);
        Self {
            compressor: Box::new(CompressorOxide::new(flags)),
            inflater: InflateState::new_boxed(DataFormat::Raw),
            takeover,
        }
    }

    fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let _ = deflate::core::compress_to_output(&mut self.compressor, message, TDEFLFlush::Sync, |bytes| {
            out.extend_from_slice(bytes);
            true
        });
        if !self.takeover {
            self.compressor.reset();
        }
        assert!(out.ends_with(&TRAILER));
        out.truncate(out.len() - TRAILER.len());
        out
    }

    fn decompress(&mut self, compressed: &[u8]) -> Vec<u8> {
        let input = [compressed, &TRAILER].concat();
        let mut out = vec![0; 1 << 20];
        let result = inflate::stream::inflate(&mut self.inflater, &input, &mut out, MZFlush::Sync);
        assert!(result.status.is_ok() && result.bytes_consumed == input.len(), "{:?}", result.status);
        out.truncate(result.bytes_written);
        if !self.takeover {
            self.inflater.reset(DataFormat::Raw);
        }
        out
    }
}

/// Texts that repeat themselves and others, noise, and long runs.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(prop_oneof![Just("somebody"), Just("said"), Just("{\"id\":"), Just("ü€"), Just("a")], 0..200)
            .prop_map(|words| words.concat().into_bytes()),
        2 => vec(any::<u8>(), 0..600),
        1 => (any::<u8>(), 0..LIMIT).prop_map(|(byte, len)| vec![byte; len]),
        1 => vec(any::<u8>(), 0..10).prop_map(|seed| seed.iter().cycle().take(900 * seed.len()).copied().collect()),
    ]
}

/// A compressed message as frames, cut into fragments.
fn frames(opcode: u8, payload: &[u8], cuts: &[prop::sample::Index]) -> Vec<Frame> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    ends.push(payload.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut frames = Vec::new();
    for (i, end) in ends.iter().enumerate() {
        let first = i == 0;
        frames.push(Frame {
            fin: i + 1 == ends.len(),
            rsv: if first { 4 } else { 0 },
            ..Frame::new(if first { opcode } else { CONTINUATION }, &payload[start..*end])
        });
        // Control frames may come between, and are never compressed.
        if i + 1 < ends.len() && i % 2 == 0 {
            frames.push(Frame::new(PING, b"between"));
        }
        start = *end;
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// F-PRO-14: what another implementation compresses arrives, in whatever fragments and pieces.
    #[test]
    fn messages_of_another_implementation_arrive(
        messages in vec((message(), vec(any::<prop::sample::Index>(), 0..4), any::<bool>()), 1..6),
        takeover in any::<bool>(),
        pieces in vec(1..500usize, 0..100),
    ) {
        let mut peer = Peer::new(takeover);
        let mut stream = Vec::new();
        for (message, cuts, compressed) in &messages {
            if *compressed {
                let payload = peer.compress(message);
                frames(BINARY, &payload, cuts).iter().for_each(|frame| frame.encode(&mut stream));
            } else {
                Frame::new(BINARY, message).encode(&mut stream);
            }
        }
        for pieces in [&pieces[..], &[], &[1; 3000]] {
            let (events, error) = decode_with(decoder(takeover, 15), &stream, pieces);
            prop_assert_eq!(error, None);
            let expected: Vec<_> = messages.iter().map(|(message, ..)| message).collect();
            let got: Vec<_> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Binary(bytes) => Some(&**bytes),
                    Event::Ping(payload) => { assert_eq!(**payload, *b"between"); None }
                    other => panic!("{other:?}"),
                })
                .collect();
            prop_assert_eq!(got, expected);
        }
    }

    /// F-PRO-14: another implementation understands what is compressed here, for every level and window.
    #[test]
    fn another_implementation_understands_ours(
        messages in vec(message(), 1..6),
        takeover in any::<bool>(),
        level in 1..=9u8,
        bits in 9..=15u8,
    ) {
        let mut peer = Peer::new(takeover);
        let mut deflater =
            if takeover { Deflater::with_takeover(level, bits) } else { Deflater::new(level, bits) };
        for message in &messages {
            let mut compressed = Vec::new();
            if deflater.deflate(message, &mut compressed) {
                prop_assert!(compressed.len() < message.len());
                prop_assert_eq!(&peer.decompress(&compressed), message);
            } else {
                prop_assert!(compressed.is_empty());
            }
        }
    }

    /// F-PRO-14: whatever claims to be compressed is decoded within the limit or refused, and how it is cut changes
    /// nothing.
    #[test]
    fn noise_is_refused_within_the_limit(
        noise in vec(vec(any::<u8>(), 0..300), 1..5),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        takeover in any::<bool>(),
        is_text in any::<bool>(),
        pieces in vec(1..50usize, 0..100),
    ) {
        let mut peer = Peer::new(takeover);
        let mut stream = Vec::new();
        for (i, bytes) in noise.iter().enumerate() {
            let mut payload = if i % 2 == 0 { peer.compress(bytes) } else { bytes.clone() };
            for (at, bits) in &flips {
                if !payload.is_empty() {
                    let at = at.index(payload.len());
                    payload[at] ^= bits;
                }
            }
            frames(if is_text { TEXT } else { BINARY }, &payload, &[]).iter().for_each(|f| f.encode(&mut stream));
        }
        let whole = decode_with(decoder(takeover, 15), &stream, &[]);
        prop_assert_eq!(&decode_with(decoder(takeover, 15), &stream, &pieces), &whole);
        for event in &whole.0 {
            let len = match event {
                Event::Text(text) => text.len(),
                Event::Binary(bytes) => bytes.len(),
                other => panic!("{other:?}"),
            };
            prop_assert!(len <= LIMIT);
        }
    }
}

/// RFC 7692, section 6: RSV1 on a continuation, a control frame, or without an agreement, is an error.
#[test]
fn rsv1_means_something_in_one_place_only() {
    let compressed = |opcode| Frame { rsv: 4, ..Frame::new(opcode, [0]) };
    let refused = |frames: &[Frame]| decode_with(decoder(false, 15), &encode(frames), &[]).1;
    for opcode in [PING, PONG, CLOSE, CONTINUATION] {
        assert_eq!(refused(&[compressed(opcode)]), Some(DecodeError::ReservedBits), "{opcode}");
    }
    let begun = Frame { fin: false, ..compressed(TEXT) };
    assert_eq!(refused(&[begun.clone(), compressed(CONTINUATION)]), Some(DecodeError::ReservedBits));
    assert_eq!(refused(&[begun.clone(), compressed(TEXT)]), Some(DecodeError::ExpectedContinuation));
    assert_eq!(refused(&[begun, Frame::new(CONTINUATION, [])]), None);
    let both = Frame { rsv: 6, ..Frame::new(TEXT, [0]) };
    assert_eq!(refused(&[both]), Some(DecodeError::ReservedBits));
    assert_eq!(decode(LIMIT, &encode(&[compressed(TEXT)])).1, Some(DecodeError::ReservedBits));
}

/// RFC 6455, section 8.1: text is checked when it is decompressed, and the close code says what is wrong.
#[test]
fn errors_have_their_close_codes() {
    let send = |payload: &[u8]| {
        let frame = Frame { rsv: 4, ..Frame::new(TEXT, payload) };
        decode_with(decoder(false, 15), &encode(&[frame]), &[]).1.expect("an error")
    };
    let mut peer = Peer::new(false);
    let bad_text = send(&peer.compress(b"caf\xe9"));
    assert_eq!((bad_text, bad_text.close_code().as_u16()), (DecodeError::InvalidUtf8, 1007));
    let bad_data = send(b"\x06");
    assert_eq!((bad_data, bad_data.close_code().as_u16()), (DecodeError::Deflate, 1007));
    let bomb = send(&peer.compress(&vec![b'x'; 1000 * LIMIT]));
    assert_eq!((bomb, bomb.close_code().as_u16()), (DecodeError::TooBig { limit: LIMIT }, 1009));
}

/// A connection that has nothing half-received says so, whatever its window holds.
#[test]
fn an_idle_decoder_is_idle() {
    let mut peer = Peer::new(true);
    let mut decoder = decoder(true, 15);
    let mut bytes = encode(&frames(TEXT, &peer.compress(b"hello hello hello"), &[]));
    let decoded = decoder.decode(&mut bytes).expect("no error");
    assert_eq!(decoded.event, Some(Event::Text(Cow::Borrowed("hello hello hello"))));
    assert!(decoder.is_idle());
}
