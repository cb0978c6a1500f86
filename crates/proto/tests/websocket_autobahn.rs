//! The behaviours that the case groups 1 to 7 of the Autobahn test suite ask of a server.

mod websocket_support;

use websocket_support::*;
use wirebird_proto::websocket::{CloseCode, DecodeError, Decoder, Event, close_frame, pong_frame};

const LIMIT: usize = 16 << 20;

/// The stream must come out the same whole, cut in bytes, and cut in odd pieces.
fn outcome(frames: &[Frame]) -> Outcome {
    let stream = encode(frames);
    let whole = decode(LIMIT, &stream);
    let pieces = if stream.len() < 10_000 { vec![1; stream.len()] } else { vec![997; stream.len() / 997] };
    assert_eq!(decode_in_pieces(LIMIT, &stream, &pieces), whole);
    whole
}

fn accepted(frames: &[Frame]) -> Vec<Event<'static>> {
    let (events, error) = outcome(frames);
    assert_eq!(error, None);
    events
}

#[track_caller]
fn refused(frames: &[Frame], code: CloseCode) -> Vec<Event<'static>> {
    let (events, error) = outcome(frames);
    assert_eq!(error.map(|error| error.close_code()), Some(code), "{events:?}");
    events
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

fn binary(bytes: &[u8]) -> Event<'static> {
    Event::Binary(bytes.to_vec().into())
}

fn ping(bytes: &[u8]) -> Event<'static> {
    Event::Ping(bytes.to_vec().into())
}

#[test]
fn case_1_framing_at_every_length_boundary() {
    for len in [0, 125, 126, 127, 128, 65_535, 65_536] {
        assert_eq!(accepted(&[Frame::new(TEXT, "*".repeat(len))]), [text(&"*".repeat(len))]);
        assert_eq!(accepted(&[Frame::new(BINARY, vec![0xfe; len])]), [binary(&vec![0xfe; len])]);
    }
}

#[test]
fn case_2_pings_and_pongs() {
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        assert_eq!(accepted(&[Frame::new(PING, payload)]), [ping(payload)]);
        assert_eq!(pong_frame(payload)[2..], *payload);
    }
    let long = refused(&[Frame::new(PING, [0xfe; 126])], CloseCode::PROTOCOL_ERROR);
    assert_eq!(long, []);
    // Unasked pongs, then ten pings in one go.
    let mut frames = vec![Frame::new(PONG, ""), Frame::new(PONG, "unsolicited")];
    frames.extend((0..10u8).map(|n| Frame::new(PING, [n])));
    let events = accepted(&frames);
    assert_eq!(events[1], Event::Pong(b"unsolicited".to_vec().into()));
    assert_eq!(events[11], ping(&[9]));
}

#[test]
fn case_3_reserved_bits() {
    for rsv in 1..8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let bad = Frame { rsv, ..Frame::new(opcode, "") };
            let events = refused(&[Frame::new(TEXT, "first"), bad], CloseCode::PROTOCOL_ERROR);
            assert_eq!(events, [text("first")]);
        }
    }
}

#[test]
fn case_4_reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "reserved"] {
            let frames = [Frame::new(TEXT, "first"), Frame::new(opcode, payload), Frame::new(PING, "")];
            assert_eq!(refused(&frames, CloseCode::PROTOCOL_ERROR), [text("first")]);
        }
    }
}

#[test]
fn case_5_fragmentation() {
    // 5.1, 5.2: control frames cannot be fragmented.
    for opcode in [PING, PONG, CLOSE] {
        let frames = [Frame::more(opcode, ""), Frame::new(CONTINUATION, "")];
        assert_eq!(refused(&frames, CloseCode::PROTOCOL_ERROR), []);
    }
    // 5.3 to 5.8: fragments, with pings between them that come out first.
    let frames = [Frame::more(TEXT, "frag"), Frame::new(CONTINUATION, "ment")];
    assert_eq!(accepted(&frames), [text("fragment")]);
    let frames = [Frame::more(TEXT, "frag"), Frame::new(PING, "ping"), Frame::new(CONTINUATION, "ment")];
    assert_eq!(accepted(&frames), [ping(b"ping"), text("fragment")]);
    // 5.9 to 5.14: a continuation of nothing.
    for fin in [true, false] {
        let nothing = Frame { fin, ..Frame::new(CONTINUATION, "orphan") };
        assert_eq!(refused(&[nothing.clone(), Frame::new(TEXT, "x")], CloseCode::PROTOCOL_ERROR), []);
        let frames = [Frame::more(TEXT, "a"), Frame::new(CONTINUATION, "b"), nothing];
        assert_eq!(refused(&frames, CloseCode::PROTOCOL_ERROR), [text("ab")]);
    }
    // 5.18: a new message before the end of the first.
    for opcode in [TEXT, BINARY] {
        let frames = [Frame::more(TEXT, "a"), Frame::new(opcode, "b")];
        assert_eq!(refused(&frames, CloseCode::PROTOCOL_ERROR), []);
    }
    // 5.19, 5.20: two pings inside five fragments.
    let frames = [
        Frame::more(TEXT, "fragment1"),
        Frame::more(CONTINUATION, "fragment2"),
        Frame::new(PING, "1"),
        Frame::more(CONTINUATION, "fragment3"),
        Frame::more(CONTINUATION, "fragment4"),
        Frame::new(PING, "2"),
        Frame::new(CONTINUATION, "fragment5"),
    ];
    let all = text("fragment1fragment2fragment3fragment4fragment5");
    assert_eq!(accepted(&frames), [ping(b"1"), ping(b"2"), all]);
}

#[test]
fn case_6_1_empty_messages_and_fragments() {
    assert_eq!(accepted(&[Frame::new(TEXT, "")]), [text("")]);
    let frames = [Frame::more(TEXT, ""), Frame::more(CONTINUATION, ""), Frame::new(CONTINUATION, "")];
    assert_eq!(accepted(&frames), [text("")]);
    let frames = [Frame::more(BINARY, ""), Frame::more(CONTINUATION, "middle"), Frame::new(CONTINUATION, "")];
    assert_eq!(accepted(&frames), [binary(b"middle")]);
}

#[test]
fn case_6_2_fragments_may_cut_characters() {
    let good = "Hello-µ@ßöäüàá-UTF-8!!";
    assert_eq!(accepted(&[Frame::new(TEXT, good)]), [text(good)]);
    let mut frames: Vec<_> = good.bytes().map(|byte| Frame::more(CONTINUATION, [byte])).collect();
    frames[0].opcode = TEXT;
    frames.last_mut().expect("a frame").fin = true;
    assert_eq!(accepted(&frames), [text(good)]);
}

#[test]
fn case_6_3_and_6_4_bad_text_fails_fast() {
    let bad = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64";
    assert_eq!(refused(&[Frame::new(TEXT, bad)], CloseCode::INVALID_DATA), []);
    // The message never ends, but its second fragment cannot be right.
    let frames = [Frame::more(TEXT, &bad[..11]), Frame::more(CONTINUATION, &bad[11..14])];
    assert_eq!(refused(&frames, CloseCode::INVALID_DATA), []);
    let frames = [Frame::more(TEXT, &bad[..12]), Frame::more(CONTINUATION, &bad[12..13])];
    assert_eq!(refused(&frames, CloseCode::INVALID_DATA), []);
    // Not even the frame ends: the bad byte is enough.
    let stream = encode(&[Frame::new(TEXT, bad)]);
    let header = stream.len() - bad.len();
    assert_eq!(decode(LIMIT, &stream[..header + 12]), (vec![], None));
    assert_eq!(decode(LIMIT, &stream[..header + 13]), (vec![], Some(DecodeError::InvalidUtf8)));
}

#[test]
fn case_6_5_to_6_23_utf8_sequences() {
    let good = [
        "\u{0}",
        "\u{80}",
        "\u{800}",
        "\u{10000}",
        "\u{7f}",
        "\u{7ff}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{1fffe}",
        "\u{feff}κόσμε",
    ];
    for good in good {
        assert_eq!(accepted(&[Frame::new(TEXT, good)]), [text(good)]);
    }
    let bad: [&[u8]; 24] = [
        b"\xce",
        b"\xce\xba\xe1",
        b"\xce\xba\xe1\xbd",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\x80\xbf\x80",
        b"\xc0\x20",
        b"\xe0\x20",
        b"\xf0\x20",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xad\xbf\xed\xb0\x80",
    ];
    for bad in bad {
        assert_eq!(refused(&[Frame::new(TEXT, bad)], CloseCode::INVALID_DATA), [], "{bad:x?}");
        assert_eq!(accepted(&[Frame::new(BINARY, bad)]), [binary(bad)]);
    }
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

#[test]
fn case_7_1_nothing_counts_after_a_close() {
    let frames = [
        Frame::new(TEXT, "Hello World!"),
        close(1000, ""),
        close(1000, ""),
        Frame::new(PING, "late"),
        Frame::new(TEXT, b"\xff"),
        Frame { rsv: 7, ..Frame::new(3, "") },
    ];
    let events = accepted(&frames);
    assert_eq!(events, [text("Hello World!"), Event::Close(Some((CloseCode::NORMAL, "".into())))]);
    // 7.1.5: in the middle of a fragmented message, which is then lost.
    let frames = [Frame::more(TEXT, "fragment"), close(1000, ""), Frame::new(CONTINUATION, "late")];
    assert_eq!(accepted(&frames), [Event::Close(Some((CloseCode::NORMAL, "".into())))]);

    let mut decoder = Decoder::new(LIMIT);
    let mut stream = encode(&frames);
    let decoded = decoder.decode(&mut stream).expect("no error");
    assert!(matches!(decoded.event, Some(Event::Close(_))));
    assert!(decoder.is_idle());
}

#[test]
fn case_7_3_close_payloads() {
    assert_eq!(accepted(&[Frame::new(CLOSE, "")]), [Event::Close(None)]);
    assert_eq!(refused(&[Frame::new(CLOSE, "x")], CloseCode::PROTOCOL_ERROR), []);
    for reason in ["", "Hello World!", &"*".repeat(123)] {
        let close_event = Event::Close(Some((CloseCode::NORMAL, reason.to_owned().into())));
        assert_eq!(accepted(&[close(1000, reason)]), [close_event]);
        assert_eq!(close_frame(Some(CloseCode::NORMAL), reason)[4..], *reason.as_bytes());
    }
    assert_eq!(refused(&[close(1000, "*".repeat(124))], CloseCode::PROTOCOL_ERROR), []);
}

#[test]
fn case_7_5_close_reasons_are_utf8() {
    assert_eq!(refused(&[close(1000, b"\xce\xba\xed\xa0\x80edited")], CloseCode::INVALID_DATA), []);
}

#[test]
fn case_7_7_and_7_9_close_codes() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let code = CloseCode::new(code).expect("a valid code");
        assert_eq!(accepted(&[close(code.as_u16(), "")]), [Event::Close(Some((code, "".into())))]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(refused(&[close(code, "")], CloseCode::PROTOCOL_ERROR), [], "{code}");
    }
}

#[test]
fn beyond_the_suite_masks_and_lengths() {
    let unmasked = Frame { key: None, ..Frame::new(TEXT, "x") };
    assert_eq!(refused(&[unmasked], CloseCode::PROTOCOL_ERROR), []);
    for (wide, len) in [(2, 0), (2, 125), (8, 0), (8, 125), (8, 126), (8, 65_535)] {
        let frame = Frame { wide_length: Some(wide), ..Frame::new(BINARY, vec![1; len]) };
        assert_eq!(refused(&[frame], CloseCode::PROTOCOL_ERROR), [], "{len} in {wide} bytes");
    }
    let top_bit = b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00";
    assert_eq!(decode(usize::MAX, top_bit).1, Some(DecodeError::LengthOverflow));
}

#[test]
fn beyond_the_suite_limits() {
    let over = DecodeError::TooBig { limit: 10 };
    assert_eq!(over.close_code(), CloseCode::TOO_BIG);
    let whole = encode(&[Frame::new(TEXT, "0123456789")]);
    assert_eq!(decode(10, &whole), (vec![text("0123456789")], None));
    // Refused by its header alone.
    let whole = encode(&[Frame::new(TEXT, "0123456789a")]);
    assert_eq!(decode(10, &whole[..2]), (vec![], Some(over)));
    let fragments =
        encode(&[Frame::more(TEXT, "012345"), Frame::new(PING, [0; 125]), Frame::new(CONTINUATION, "6789a")]);
    assert_eq!(decode(10, &fragments), (vec![ping(&[0; 125])], Some(over)));
    assert_eq!(decode(0, &encode(&[Frame::new(TEXT, "")])), (vec![text("")], None));
}
