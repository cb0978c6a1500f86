//! Requests as bytes, and answers.

use std::time::Instant;

use super::{ANSWER, Outcome, Raw, ensure, fail};

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The number in the body of an Engine.IO refusal.
    pub(crate) fn code(&self) -> Option<u64> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body.get("code")?.as_u64()
    }

    pub(crate) fn expect(self, status: u16) -> Outcome<Self> {
        ensure!(self.status == status, "{} in place of {status}: {}", self.status, self.text());
        Ok(self)
    }
}

impl Raw {
    /// The next answer, without those that only say to go on.
    pub(crate) fn response(&mut self) -> Outcome<Response> {
        loop {
            let response = self.any_response()?;
            if response.status != 100 {
                return Ok(response);
            }
        }
    }

    fn any_response(&mut self) -> Outcome<Response> {
        let until = Instant::now() + ANSWER;
        let head_end = loop {
            if let Some(at) = find(&self.input, b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.fill(until)?, "the connection ended before an answer");
        };
        let head = String::from_utf8_lossy(&self.input[..head_end]).into_owned();
        self.input.drain(..head_end);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let Some(status) = status else { fail!("no HTTP: {head:?}") };
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if status == 101 || status == 100 || status == 204 {
            return Ok(response);
        }
        let length = response.header("content-length").and_then(|length| length.parse::<usize>().ok());
        match length {
            Some(length) => {
                while self.input.len() < length {
                    ensure!(self.fill(until)?, "the connection ended within an answer");
                }
                response.body = self.input.drain(..length).collect();
            }
            None => response.body = self.end()?,
        }
        Ok(response)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A request without a body.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: target\r\n\r\n")
}

/// A request with a body of its true length.
pub(crate) fn post(target: &str, body: &str) -> String {
    post_with(target, &format!("Content-Length: {}", body.len()), body)
}

/// The head of a POST with headers that need not be true, and what comes after it.
pub(crate) fn post_with(target: &str, headers: &str, rest: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: target\r\n{headers}\r\n\r\n{rest}")
}
