//! A message with an id, and its acknowledgement with the same content.

use crate::args::Dialect;
use crate::template::{Template, filler};

/// Ids have seven digits from here on.
pub(crate) const FIRST_ID: u64 = 1_000_000;

/// The frames of both. Field 0 of each is the id; a second one is the number of the client.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    requests: Vec<Template>,
    answers: Vec<Template>,
}

impl Exchange {
    /// Text of `size` bytes.
    pub(crate) fn text(size: usize, dialect: Dialect) -> Self {
        let payload = format!("\"#####{}\"", filler(size, 5));
        let requests = vec![Template::frame(true, format!("42#######[\"echo\",{payload}]").as_bytes())];
        Self::new(requests, [format!("43#######[{payload}]")], dialect)
    }

    /// An attachment of `size` bytes.
    pub(crate) fn binary(size: usize, dialect: Dialect) -> Self {
        let attachment = format!("#######:#####:{}", filler(size, 14));
        let header = "451-#######[\"bin\",{\"_placeholder\":true,\"num\":0}]";
        let answer = "461-#######[{\"_placeholder\":true,\"num\":0}]".to_owned();
        let requests =
            vec![Template::frame(true, header.as_bytes()), Template::frame(false, attachment.as_bytes())];
        Self::new(requests, [answer, attachment], dialect)
    }

    fn new<const N: usize>(requests: Vec<Template>, answers: [String; N], dialect: Dialect) -> Self {
        let answers = match dialect {
            Dialect::Limit => requests.clone(),
            Dialect::Socketio => answers.iter().map(|text| Template::payload(text.as_bytes())).collect(),
        };
        Self { requests, answers }
    }

    /// How many messages an answer has.
    pub(crate) fn parts(&self) -> usize {
        self.answers.len()
    }

    /// Writes a request.
    pub(crate) fn append(&mut self, client: usize, id: u64, out: &mut Vec<u8>) {
        for request in &mut self.requests {
            request.fill(id, client);
            out.extend_from_slice(request.bytes());
        }
    }

    /// The id in one message of an answer, which must be right in every byte.
    pub(crate) fn check(
        &mut self,
        part: usize,
        client: usize,
        text: bool,
        payload: &[u8],
    ) -> Result<u64, String> {
        let answer = &mut self.answers[part];
        if let Some(id) = answer.read(0, payload).filter(|_| text == (part == 0)) {
            answer.fill(id, client);
            if payload == answer.as_payload() {
                return Ok(id);
            }
        }
        Err(format!("client {client} received a wrong answer: {:?}", String::from_utf8_lossy(payload)))
    }
}
