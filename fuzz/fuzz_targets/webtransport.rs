//! Frames on a WebTransport stream: any way to cut them gives the same, limits hold, and what is read is written as
//! it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebird_proto::webtransport::{Frame, FrameDecoder, FrameError, write_frame};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (limit, cut, stream) = input;
    let (limit, cut) = (usize::from(limit) * 16, usize::from(cut).max(1));
    let (frames, error) = decode(limit, stream, usize::MAX);
    let (in_pieces, error_in_pieces) = decode(limit, stream, cut);
    assert_eq!((&in_pieces, error_in_pieces), (&frames, error));
    let mut again = Vec::new();
    for frame in &frames {
        let len = match frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(data) => data.len(),
        };
        assert!(len > 0 && len <= limit);
        write_frame(frame, &mut again);
    }
    assert_eq!(decode(limit, &again, cut), (frames, None));
});

fn decode(limit: usize, stream: &[u8], cut: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(limit);
    let mut frames = Vec::new();
    for piece in stream.chunks(cut) {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
