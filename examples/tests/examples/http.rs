//! Plain HTTP requests, one connection each.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::PATIENCE;

/// A response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The cookie that it sets, as a request sends it back.
    pub(crate) fn cookie(&self) -> Option<&str> {
        let line = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then_some(value)
        });
        line?.split(';').next()
    }
}

pub(crate) fn get(addr: &str, target: &str) -> Response {
    request(addr, "GET", target, &[], "")
}

pub(crate) fn post(addr: &str, target: &str, body: &str) -> Response {
    request(addr, "POST", target, &[], body)
}

/// Sends a request and reads the whole response.
pub(crate) fn request(
    addr: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        if !headers.iter().any(|(name, _)| *name == "Content-Type") {
            text.push_str("Content-Type: text/plain;charset=UTF-8\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str(&format!("\r\n{body}"));
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Response {
        status: status.unwrap_or_else(|| panic!("no HTTP: {answer:?}")),
        head: head.into(),
        body: if is_chunked { unchunk(body) } else { body.into() },
    }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("the end of a chunk");
    }
}
