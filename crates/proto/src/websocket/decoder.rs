//! The decoder of a client's frames.

use std::{borrow::Cow, fmt, mem};

use super::{
    CloseCode, DecodeError, Opcode, close,
    deflate::Inflater,
    extension::DeflateParams,
    header::{self, Context, Header},
    utf8::{self, PartialText, room},
};

/// Incremental decoder of the frames of one client, in the server's role (RFC 6455, sections 5 and 8.1).
///
/// Feed it what arrives, in pieces of any size, with [`decode`](Self::decode). It is strict: whatever the RFC says a
/// client must not send is a [`DecodeError`]. Memory grows with the bytes that have arrived, not with the length that
/// a header claims, and not beyond the limit given to [`new`](Self::new); while nothing is half-received there is no
/// memory but the decoder itself.
pub struct Decoder {
    max_message: usize,
    max_fragments: u32,
    state: State,
    partial: Option<Box<Partial>>,
    /// What compressed messages need; `None` when there may be none.
    inflater: Option<Box<Inflater>>,
}

enum State {
    Open,
    /// A close frame came: nothing after it counts (section 5.5.1).
    Closed,
    Failed(DecodeError),
}

/// What is half-received.
#[derive(Default)]
struct Partial {
    /// The start of a header.
    header: [u8; header::MAX_LEN],
    header_len: usize,
    /// The frame whose payload is under way.
    frame: Option<Header>,
    /// The payload of a control frame that came in pieces.
    control: Vec<u8>,
    /// The message under way: it came in pieces or in fragments.
    message: Option<Message>,
    /// Its frames after the first one.
    fragments: u32,
}

enum Message {
    Text(PartialText),
    Binary(Vec<u8>),
    Compressed { is_text: bool, bytes: Vec<u8> },
}

/// What [`Decoder::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// How many bytes of the input are used up. All of them when there is no event.
    pub consumed: usize,
    /// A complete message or control frame; `None` when more bytes are needed.
    pub event: Option<Event<'a>>,
}

/// A complete message, or a control frame.
///
/// The content is borrowed from the input when it lay there in one piece, and owned when it had to be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping: answer with [`pong_frame`](super::pong_frame) and the same payload (section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong, asked for or not (section 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// A close frame, with code and reason if it had any: answer with a close frame (section 5.5.1). It is the last
    /// event: the decoder takes in and drops what follows.
    Close(Option<(CloseCode, Cow<'a, str>)>),
}

impl Decoder {
    /// A decoder that refuses messages of more than `max_message` bytes of payload, all fragments together.
    /// `usize::MAX` means no limit.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, max_fragments: u32::MAX, state: State::Open, partial: None, inflater: None }
    }

    /// Refuses messages of more than `max` frames, empty ones included: without that, one that never ends costs time for ever.
    #[must_use]
    pub const fn with_max_fragments(mut self, max: u32) -> Self {
        self.max_fragments = max;
        self
    }

    /// Takes compressed messages too, as they were agreed on. The limit holds for what they are when they are decompressed.
    ///
    /// When the client may refer to earlier messages, up to 2^`client_max_window_bits` bytes of them are kept.
    #[must_use]
    pub fn with_deflate(mut self, params: &DeflateParams) -> Self {
        let inflater = Inflater::new(!params.client_no_context_takeover, params.client_max_window_bits);
        self.inflater = Some(Box::new(inflater));
        self
    }

    /// Decodes from `input`, unmasking in place.
    ///
    /// With an event comes the number of bytes used: call again with the rest, even if it is empty of whole frames.
    /// Without an event all of `input` has been taken in, so the buffer is free again.
    ///
    /// # Errors
    ///
    /// The client broke the protocol, or its message is too big. A failed decoder stays failed, with the same error.
    #[inline]
    pub fn decode<'a>(&mut self, input: &'a mut [u8]) -> Result<Decoded<'a>, DecodeError> {
        match self.state {
            State::Open => {}
            State::Closed => return Ok(Decoded { consumed: input.len(), event: None }),
            State::Failed(error) => return Err(error),
        }
        let result = self.advance(input);
        match result {
            Ok(Decoded { event: Some(Event::Close(_)), .. }) => self.end(State::Closed),
            Err(error) => self.end(State::Failed(error)),
            Ok(_) => {}
        }
        result
    }

    /// Whether nothing is half-received: no part of a frame, and no fragment of a message.
    #[inline]
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    fn advance<'a>(&mut self, mut input: &'a mut [u8]) -> Result<Decoded<'a>, DecodeError> {
        let total = input.len();
        loop {
            let header = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(header) => header,
                None => {
                    let Some(header) = self.header(&mut input)? else {
                        return Ok(Decoded { consumed: total, event: None });
                    };
                    if header.is_whole_event(input.len()) {
                        let payload = take(&mut input, header.remaining);
                        let mut mask = header.mask;
                        mask.apply(payload);
                        let event = match header.opcode {
                            opcode if header.compressed() => self.inflate(opcode == Opcode::Text, payload)?,
                            Opcode::Text => Event::Text(Cow::Borrowed(utf8::check(payload)?)),
                            Opcode::Binary => Event::Binary(Cow::Borrowed(payload)),
                            opcode => control_event(opcode, Cow::Borrowed(payload))?,
                        };
                        self.release();
                        return Ok(Decoded { consumed: total - input.len(), event: Some(event) });
                    }
                    if header.opcode == Opcode::Continuation {
                        self.count_fragment()?;
                    }
                    header
                }
            };
            let len = header.remaining.min(input.len());
            if let Some(event) = self.payload(header, take(&mut input, len))? {
                self.release();
                return Ok(Decoded { consumed: total - input.len(), event: Some(event) });
            }
            if input.is_empty() {
                return Ok(Decoded { consumed: total, event: None });
            }
        }
    }

    #[cold]
    fn inflate(&mut self, is_text: bool, compressed: &[u8]) -> Result<Event<'static>, DecodeError> {
        let inflater = self.inflater.as_mut().ok_or(DecodeError::ReservedBits)?;
        let bytes = inflater.inflate(compressed, self.max_message)?;
        if !is_text {
            return Ok(Event::Binary(Cow::Owned(bytes)));
        }
        utf8::own(bytes).map(|text| Event::Text(Cow::Owned(text)))
    }

    fn count_fragment(&mut self) -> Result<(), DecodeError> {
        let partial = self.partial.get_or_insert_default();
        partial.fragments += 1;
        // The first frame is one, too.
        if partial.fragments >= self.max_fragments {
            return Err(DecodeError::TooManyFragments { limit: self.max_fragments });
        }
        Ok(())
    }

    #[inline]
    fn context(&self) -> Context {
        let under_way = self.partial.as_ref().and_then(|partial| partial.message.as_ref()).map(Message::len);
        Context { limit: self.max_message, under_way, deflate: self.inflater.is_some() }
    }

    /// Takes the next header off the input. `None` if it is not complete; then all input is taken in.
    #[inline]
    fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, DecodeError> {
        let context = self.context();
        if self.partial.as_ref().is_none_or(|partial| partial.header_len == 0) {
            if let Some((header, len)) = Header::parse(input, &context)? {
                take(input, len);
                return Ok(Some(header));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        self.header_in_pieces(input)
    }

    #[cold]
    fn header_in_pieces(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, DecodeError> {
        let context = self.context();
        let partial = self.partial.get_or_insert_default();
        let before = partial.header_len;
        let more = input.len().min(header::MAX_LEN - before);
        partial.header[before..before + more].copy_from_slice(&input[..more]);
        if let Some((header, len)) = Header::parse(&partial.header[..before + more], &context)? {
            partial.header_len = 0;
            take(input, len - before);
            return Ok(Some(header));
        }
        partial.header_len += more;
        take(input, more);
        Ok(None)
    }

    /// Takes in a piece of a payload, and gives the event that it completes.
    fn payload(
        &mut self,
        mut header: Header,
        piece: &mut [u8],
    ) -> Result<Option<Event<'static>>, DecodeError> {
        header.mask.apply(piece);
        header.remaining -= piece.len();
        let complete = header.remaining == 0;
        let partial = self.partial.get_or_insert_default();

        if header.opcode.is_control() {
            partial.control.reserve_exact(piece.len() + header.remaining);
            partial.control.extend_from_slice(piece);
            if complete {
                return control_event(header.opcode, Cow::Owned(mem::take(&mut partial.control))).map(Some);
            }
            partial.frame = Some(header);
            return Ok(None);
        }

        let message = partial.message.get_or_insert_with(|| Message::new(&header));
        let expected =
            if header.fin() { message.len() + piece.len() + header.remaining } else { self.max_message };
        message.push(piece, expected)?;
        match partial.message.take() {
            Some(message) if complete && header.fin() => {
                partial.fragments = 0;
                return self.finish(message).map(Some);
            }
            message => partial.message = message,
        }
        if !complete {
            partial.frame = Some(header);
        }
        Ok(None)
    }

    fn finish(&mut self, message: Message) -> Result<Event<'static>, DecodeError> {
        match message {
            Message::Text(text) => text.finish().map(|text| Event::Text(Cow::Owned(text))),
            Message::Binary(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
            Message::Compressed { is_text, bytes } => self.inflate(is_text, &bytes),
        }
    }

    /// Gives the memory back if nothing is half-received.
    #[inline]
    fn release(&mut self) {
        if self.partial.as_ref().is_some_and(|partial| partial.message.is_none()) {
            self.partial = None;
        }
    }

    #[cold]
    fn end(&mut self, state: State) {
        self.state = state;
        self.partial = None;
        self.inflater = None;
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("max_message", &self.max_message)
            .field("idle", &self.is_idle())
            .finish()
    }
}

impl Header {
    /// Whether the frame is an event by itself that lies whole in `available` bytes of input.
    #[inline]
    fn is_whole_event(&self, available: usize) -> bool {
        self.remaining <= available && self.fin() && self.opcode != Opcode::Continuation
    }
}

fn control_event(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Event<'_>, DecodeError> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        _ => close::parse(payload).map(Event::Close),
    }
}

impl Message {
    fn new(header: &Header) -> Self {
        let is_text = header.opcode == Opcode::Text;
        match header.opcode {
            _ if header.compressed() => Self::Compressed { is_text, bytes: Vec::new() },
            Opcode::Text => Self::Text(PartialText::default()),
            _ => Self::Binary(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed { bytes, .. } => bytes.len(),
        }
    }

    fn push(&mut self, piece: &[u8], expected: usize) -> Result<(), DecodeError> {
        match self {
            Self::Text(text) => text.push(piece, expected),
            Self::Binary(bytes) | Self::Compressed { bytes, .. } => {
                bytes.reserve_exact(room(bytes.len(), bytes.capacity(), piece.len(), expected));
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }
}

impl Event<'_> {
    /// The event with content of its own, free of the input.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Self::Close(close) => {
                Event::Close(close.map(|(code, reason)| (code, Cow::Owned(reason.into_owned()))))
            }
        }
    }
}

/// Splits `len` bytes off the front.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    front
}
