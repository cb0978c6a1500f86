//! Carries packets between a session and its stream.

use std::time::Duration;

use tokio::time::timeout;
use wirebird::engine::{CloseReason, Frame as Packet};
use wirebird_proto::webtransport::{Frame, write_frame};
use wtransport::error::StreamWriteError;

use crate::request::Opened;

/// Bytes taken from the stream at once.
pub(crate) const READ: usize = 64 << 10;
/// How long the peer has to take the last packets.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until the session has ended, or has gone on without this connection.
pub(crate) async fn run(mut opened: Opened) {
    // Frames on their way out, and how much of them has gone. No more is taken from the session meanwhile: what waits
    // there is bounded.
    let (mut out, mut sent) = (Vec::new(), 0);
    loop {
        if !feed(&mut opened) {
            break;
        }
        if out.is_empty() {
            take(&opened, &mut out);
        }
        if !opened.session.is_open() {
            break;
        }
        let paused = opened.session.session().holds_back();
        tokio::select! {
            () = opened.woken.notified() => {}
            written = opened.send.write(&out[sent..]), if !out.is_empty() => match written {
                Ok(written) => {
                    sent += written;
                    if sent == out.len() {
                        // Idle connections hold no buffer.
                        (out, sent) = (Vec::new(), 0);
                    }
                }
                Err(_) => break,
            },
            read = opened.recv.quic_stream_mut().read_chunk(READ, true), if !paused => match read {
                Ok(Some(chunk)) => opened.decoder.extend(&chunk.bytes),
                Ok(None) | Err(_) => break,
            },
        }
    }
    let _ = timeout(CLOSE_TIMEOUT, finish(&mut opened, out, sent)).await;
    opened.session.close();
}

/// Hands what has come in to the session; `false` when it cannot be read any further.
fn feed(opened: &mut Opened) -> bool {
    while opened.session.is_open() && !opened.session.session().holds_back() {
        match opened.decoder.next_frame() {
            Ok(Some(Frame::Text(text))) => opened.session.feed(Packet::Text(text)),
            Ok(Some(Frame::Binary(data))) => opened.session.feed(Packet::Binary(data)),
            Ok(None) => return true,
            Err(error) => {
                tracing::debug!(target: "wirebird::engineio", %error, "undecodable frame, closing");
                opened.session.session().close(CloseReason::ParseError);
                return false;
            }
        }
    }
    true
}

/// Takes what waits for the client.
fn take(opened: &Opened, out: &mut Vec<u8>) {
    for packet in opened.session.take_batch() {
        let frame = match packet {
            Packet::Text(text) => Frame::Text(text),
            Packet::Binary(data) => Frame::Binary(data),
            _ => continue,
        };
        write_frame(&frame, out);
    }
}

/// Sends the rest, and waits until the peer has it.
async fn finish(opened: &mut Opened, mut out: Vec<u8>, sent: usize) -> Result<(), StreamWriteError> {
    if !opened.session.is_open() {
        take(opened, &mut out);
    }
    opened.send.write_all(&out[sent..]).await?;
    opened.send.finish().await
}
