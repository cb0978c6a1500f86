//! The few requests that clients make, and where their answers end.

use std::net::SocketAddr;

/// The example key of RFC 6455, so that the answer is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) fn upgrade(server: SocketAddr, more: &str) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket{more} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// How long the answer to an upgrade is; `None` when it is not complete.
pub(crate) fn upgraded(input: &[u8]) -> Result<Option<usize>, String> {
    let Some(len) = find(input, b"\r\n\r\n") else { return Ok(None) };
    let head = &input[..len];
    if head.starts_with(b"HTTP/1.1 101") && find(head, ACCEPT).is_some() {
        Ok(Some(len + 4))
    } else {
        Err(format!("no WebSocket: {:?}", String::from_utf8_lossy(input)))
    }
}

pub(crate) fn get(server: SocketAddr, sid: &str) -> String {
    let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    format!("GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {server}\r\n\r\n")
}

/// A POST request without its body.
pub(crate) fn post(server: SocketAddr, sid: &str, len: usize) -> String {
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: {server}\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len}\r\n\r\n"
    )
}

/// The body of the answer at the start of `input`, and the answer's length.
pub(crate) fn response(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let Some(head) = find(input, b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (&input[..head], &input[head + 4..]);
    if !head.starts_with(b"HTTP/1.1 200") {
        return Err(format!("refused: {:?}", String::from_utf8_lossy(input)));
    }
    let rest = input.len() - body.len();
    if let Some(len) = header(head, "content-length") {
        let len: usize = len.parse().map_err(|_| "a bad Content-Length")?;
        return Ok(body.get(..len).map(|body| (body.to_vec(), rest + len)));
    }
    match header(head, "transfer-encoding") {
        Some("chunked") => Ok(chunks(body)?.map(|(whole, len)| (whole, rest + len))),
        _ => Err("an answer of unknown length".to_owned()),
    }
}

fn chunks(body: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut whole, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&body[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&body[at..at + line]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).ok_or("a bad chunk")?;
        at += line + 2;
        let Some(chunk) = body.get(at..at + size + 2) else { return Ok(None) };
        whole.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((whole, at)));
        }
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(head).ok()?.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP";
        assert_eq!(response(plain), Ok(Some((b"ok".to_vec(), plain.len() - 4))));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert_eq!(response(chunked), Ok(Some((b"ok".to_vec(), chunked.len()))));
        assert_eq!(response(&chunked[..chunked.len() - 1]), Ok(None));
        assert!(response(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }
}
