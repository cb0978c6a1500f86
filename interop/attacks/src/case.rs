//! What a case is: a name, what it does, the rule or advisory it is about, and the answer that is documented for it.

use wirebird::Limit;

use crate::target::Target;
use crate::wire::http::{Response, get, post};
use crate::wire::session::{POLLING, Polling};
use crate::wire::ws::{Frame, Ws};
use crate::wire::{Fail, Outcome, Raw, ensure, fail};

/// How the server is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `io.serve`, with the listener's own HTTP.
    Own,
    /// Mounted in axum, on hyper.
    Axum,
}

/// How the server is set up, beside short times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// As it is by default.
    Plain,
    /// With permessage-deflate, messages building on each other.
    Deflate,
    /// With clients of Engine.IO 3, and polling by script tags.
    Old,
    /// One other origin is allowed.
    Listed,
    /// With the times of the default, too.
    Default,
    /// With few clients of an address, and few that connect in a second.
    Tight,
    /// Beside it, one whose packets are MessagePack.
    Packed,
    /// Beside it, a listener with TLS.
    Tls,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Own, Self::Axum];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Axum => "axum",
        }
    }
}

impl Setup {
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Deflate,
        Self::Old,
        Self::Listed,
        Self::Default,
        Self::Tight,
        Self::Packed,
        Self::Tls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Deflate => "deflate",
            Self::Old => "old",
            Self::Listed => "listed",
            Self::Default => "default",
            Self::Tight => "tight",
            Self::Packed => "packed",
            Self::Tls => "tls",
        }
    }
}

type Run = Box<dyn Fn(&Target) -> Outcome + Send + Sync>;

/// One attack.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The advisory, or the section of the rule.
    pub(crate) rule: &'static str,
    /// What it does, in a line.
    pub(crate) does: &'static str,
    /// What the offender gets.
    pub(crate) answer: String,
    pub(crate) setup: Setup,
    /// Only with this way of serving.
    pub(crate) only: Option<Way>,
    /// Bytes of heap that the server may need at most.
    pub(crate) room: usize,
    /// The limit that the server counts it as.
    pub(crate) limit: Option<Limit>,
    pub(crate) run: Run,
    /// The same as an input of a fuzz target, which this names.
    pub(crate) seed: Option<(&'static str, Vec<u8>)>,
}

/// Bytes of heap that a case may make the server need, if it does not say more: a dozen messages of the largest size.
const ROOM: usize = 12 << 20;

impl Case {
    /// A case that is code.
    pub(crate) fn new(
        name: &'static str,
        rule: &'static str,
        does: &'static str,
        answer: impl Into<String>,
        run: impl Fn(&Target) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let (answer, run) = (answer.into(), Box::new(run));
        Self {
            name,
            rule,
            does,
            answer,
            setup: Setup::Plain,
            only: None,
            room: ROOM,
            limit: None,
            run,
            seed: None,
        }
    }

    pub(crate) fn on(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    pub(crate) fn only(mut self, way: Way) -> Self {
        self.only = Some(way);
        self
    }

    fn seed(mut self, target: &'static str, input: impl Into<Vec<u8>>) -> Self {
        self.seed = Some((target, input.into()));
        self
    }

    pub(crate) fn room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }
}

/// The documented answer to bytes on a fresh connection, or on one beside a session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// This status.
    Status(u16),
    /// This status and this code of Engine.IO in the body.
    Code(u16, u64),
    /// This status, and the connection is closed.
    Last(u16),
    /// One of these statuses: which of them is for the HTTP library to say.
    OneOf(&'static [u16]),
    /// These statuses one after another.
    Each(&'static [u16]),
    /// The connection is closed, with or without a word.
    End,
}

impl Answer {
    fn text(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Code(status, code) => format!("{status}, code {code}"),
            Self::Last(status) => format!("{status}, closed"),
            Self::OneOf(statuses) => list(statuses, " or "),
            Self::Each(statuses) => list(statuses, ", then "),
            Self::End => "closed".into(),
        }
    }

    /// Checks that this is what comes.
    pub(crate) fn check(self, raw: &mut Raw) -> Outcome {
        let response = |raw: &mut Raw| -> Outcome<Response> { raw.response() };
        match self {
            Self::Status(status) => response(raw)?.expect(status).map(|_| ()),
            Self::Code(status, code) => {
                let response = response(raw)?.expect(status)?;
                ensure!(response.code() == Some(code), "code {code} is missing: {}", response.text());
                Ok(())
            }
            Self::Last(status) => {
                response(raw)?.expect(status)?;
                let rest = raw.end()?;
                ensure!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
                Ok(())
            }
            Self::OneOf(statuses) => {
                let status = response(raw)?.status;
                ensure!(statuses.contains(&status), "{status} in place of {statuses:?}");
                Ok(())
            }
            Self::Each(statuses) => {
                for status in statuses {
                    response(raw)?.expect(*status)?;
                }
                Ok(())
            }
            Self::End => raw.end().map(|_| ()),
        }
    }
}

fn list(statuses: &[u16], between: &str) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(between)
}

/// Bytes on a fresh connection.
pub(crate) fn raw(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    bytes: impl Into<Vec<u8>>,
    answer: Answer,
) -> Case {
    let bytes = bytes.into();
    // Options, the number of a connection, and what goes on it.
    let input = [b"\x000", &bytes[..]].concat();
    Case::new(name, rule, does, answer.text(), move |target| {
        let mut raw = Raw::connect(target.addr)?;
        raw.push(&bytes);
        answer.check(&mut raw)
    })
    .seed("http_connections", input)
}

/// What becomes of a session on polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoesOn,
    Ends,
}

/// A request of a session on polling that has joined `/`. In the bytes, `{target}` stands for where its requests go.
pub(crate) fn polling(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    bytes: impl Into<String>,
    answer: Answer,
    then: Then,
) -> Case {
    let bytes = bytes.into();
    // The same beside a session, whose id `$` stands for.
    let request = bytes.replace("{target}", &format!("{POLLING}&sid=$"));
    let input = [b"\x000", get(POLLING).as_bytes(), b"\xff1", request.as_bytes()].concat();
    let text = match then {
        Then::GoesOn => format!("{}; the session goes on", answer.text()),
        Then::Ends => format!("{}; the session ends", answer.text()),
    };
    Case::new(name, rule, does, text, move |target| {
        let session = Polling::joined(target.addr)?;
        let mut raw = session.another()?;
        raw.push(bytes.replace("{target}", &session.target()));
        answer.check(&mut raw)?;
        match then {
            Then::GoesOn => {
                session.echoes()?;
                session.leave();
                Ok(())
            }
            Then::Ends => session.is_over(),
        }
    })
    .seed("http_connections", input)
}

/// A body of a POST of such a session.
pub(crate) fn body(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    body: impl AsRef<str>,
    answer: Answer,
    then: Then,
) -> Case {
    polling(name, rule, does, post("{target}", body.as_ref()), answer, then)
        .seed("engine_io_payload", body.as_ref())
}

/// The documented answer to frames of a WebSocket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// A close frame of this code.
    Close(u16),
    /// The session goes on as if nothing had been.
    Nothing,
    /// This message.
    Says(&'static str),
    /// A pong, and the session goes on.
    Pong,
    /// The connection ends.
    Gone,
}

impl Reply {
    fn text(self) -> String {
        match self {
            Self::Close(code) => format!("close {code}"),
            Self::Nothing => "passed over".into(),
            Self::Says(text) => format!("`{text}`"),
            Self::Pong => "a pong".into(),
            Self::Gone => "closed".into(),
        }
    }

    pub(crate) fn check(self, ws: &mut Ws) -> Outcome {
        match self {
            Self::Close(code) => {
                let closed = ws.close_code()?;
                ensure!(closed == Some(code), "closed with {closed:?} in place of {code}");
                return Ok(());
            }
            Self::Gone => return ws.gone(),
            Self::Nothing => {}
            Self::Says(text) => drop(ws.until_message(|message| message == text)?),
            Self::Pong => match ws.next()? {
                Frame::Pong(_) => {}
                other => fail!("{other:?} in place of a pong"),
            },
        }
        ws.echoes()
    }
}

/// Bytes on a WebSocket whose session has joined `/`.
pub(crate) fn ws(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    bytes: impl Into<Vec<u8>>,
    reply: Reply,
) -> Case {
    let bytes = bytes.into();
    // The limit of the decoder, and what it decodes.
    let input = [b"\xff\xff", &bytes[..]].concat();
    Case::new(name, rule, does, reply.text(), move |target| {
        let mut ws = Ws::joined(target.addr)?;
        ws.raw.push(&bytes);
        reply.check(&mut ws)?;
        if !matches!(reply, Reply::Close(_) | Reply::Gone) {
            ws.leave();
        }
        Ok(())
    })
    .seed("websocket_decoder", input)
}

/// A text message on such a WebSocket: an Engine.IO packet.
pub(crate) fn message(
    name: &'static str,
    rule: &'static str,
    does: &'static str,
    message: impl AsRef<str>,
    reply: Reply,
) -> Case {
    let case = ws(name, rule, does, crate::wire::ws::text(message.as_ref()), reply);
    match message.as_ref().strip_prefix('4') {
        Some(packet) => case.seed("socket_io_decoder", packet),
        None => case,
    }
}

/// Tries until it holds: what the server does soon, but beside its answer.
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> Outcome {
    let until = std::time::Instant::now() + crate::wire::ANSWER;
    while std::time::Instant::now() < until {
        if holds()? {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(Fail(format!("in vain waited for {what}")))
}
