//! Canned bytes, and just enough parsing to find where a request or a frame ends.

use std::ops::Range;

/// The answer to every WebSocket request, and an OPEN packet. The accept key is the one of the load generator's only
/// key.
pub const WELCOME: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\
    \x81\x5f0{\"sid\":\"limitlimitlimitlimi\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"max\":1e6}";

/// The answer to a connection's first frame.
pub const CONNECTED: &[u8] = b"\x81\x1f40{\"sid\":\"limitlimitlimitlimi\"}";

/// What the sender of a broadcast gets for itself.
pub const SENT: &[u8] = b"\x81\x0b430000000[]";

const OPENED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=UTF-8\r\ncontent-length: 95\r\n\r\n\
    0{\"sid\":\"limitlimitlimitlimi\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"max\":1e6}";
const POSTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok";
const POLLED: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=UTF-8\r\ncontent-length: 45\r\n\r\n\
    430000000[\"limitlimitlimitlimitlimitlimitli\"]";

/// What becomes of the frames of a connection; its request says so, because nothing looks into the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// They go back.
    Mirror,
    /// They go to all connections of this role.
    Cast,
    /// They go to all connections with this number.
    Room(usize),
}

/// A request that has arrived completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To be answered with [`WELCOME`].
    WebSocket(Role),
    /// To be answered with these bytes.
    Polling(&'static [u8]),
}

/// The request at the start of `input`, and its length.
pub fn request(input: &[u8]) -> Option<(Request, usize)> {
    let head = find(input, b"\r\n\r\n")? + 4;
    let line = &input[..find(input, b"\r\n")?];
    if find(line, b"transport=websocket").is_some() {
        return Some((Request::WebSocket(role(line)), head));
    }
    if line.starts_with(b"POST") {
        let end = head + number_after(&input[..head], b"Content-Length: ").unwrap_or(0);
        return (end <= input.len()).then_some((Request::Polling(POSTED), end));
    }
    let answer = if find(line, b"sid=").is_some() { POLLED } else { OPENED };
    Some((Request::Polling(answer), head))
}

fn role(line: &[u8]) -> Role {
    match number_after(line, b"limit=room-") {
        Some(room) => Role::Room(room),
        None if find(line, b"limit=cast").is_some() => Role::Cast,
        None => Role::Mirror,
    }
}

fn number_after(text: &[u8], key: &[u8]) -> Option<usize> {
    let digits = &text[find(text, key)? + key.len()..];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The frame of a client at the start of `input`: where its payload is. It ends where the payload does.
pub fn client_frame(input: &[u8]) -> Option<Range<usize>> {
    let start_and_len = match *input.get(1)? & 0x7f {
        126 => (8, usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?))),
        127 => (14, usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?),
        len => (6, usize::from(len)),
    };
    let range = start_and_len.0..start_and_len.0 + start_and_len.1;
    (range.end <= input.len()).then_some(range)
}

/// Whether it is a close frame.
pub fn is_close(frame: &[u8]) -> bool {
    frame[0] & 0x0f == 8
}

/// Appends the same frame as a server sends it: without the mask's key, the payload as it came.
pub fn copy_frame(frame: &[u8], payload: Range<usize>, out: &mut Vec<u8>) {
    let len = payload.len();
    out.push(frame[0]);
    match len {
        0..=125 => out.push(len as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&frame[payload]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canned_lengths_are_right() {
        let body = find(WELCOME, b"\r\n\r\n").unwrap() + 4;
        assert_eq!(usize::from(WELCOME[body + 1]), WELCOME.len() - body - 2);
        for frame in [CONNECTED, SENT] {
            assert_eq!(usize::from(frame[1]), frame.len() - 2);
        }
        for response in [OPENED, POSTED, POLLED] {
            let body = response.len() - find(response, b"\r\n\r\n").unwrap() - 4;
            assert_eq!(number_after(response, b"content-length: "), Some(body));
        }
    }

    #[test]
    fn requests_end_with_their_bodies() {
        let post = b"POST /socket.io/?sid=x HTTP/1.1\r\nContent-Length: 2\r\n\r\n40GET";
        assert_eq!(request(post), Some((Request::Polling(POSTED), post.len() - 3)));
        let upgrade = b"GET /socket.io/?transport=websocket&limit=room-17 HTTP/1.1\r\n\r\n";
        assert_eq!(request(upgrade), Some((Request::WebSocket(Role::Room(17)), upgrade.len())));
        assert_eq!(request(&upgrade[..60]), None);
    }

    #[test]
    fn frames_are_copied_without_the_key() {
        let frame = b"\x81\x83KEY!abcrest";
        let payload = client_frame(frame).unwrap();
        let mut out = Vec::new();
        copy_frame(frame, payload, &mut out);
        assert_eq!(out, b"\x81\x03abc");
        assert_eq!(client_frame(&frame[..8]), None);
    }
}
