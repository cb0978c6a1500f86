//! What can happen to a session, in any order.

use proptest::prelude::*;
use proptest::sample::select;

/// One thing that happens. What makes no sense where it comes is passed over by the model and by the server alike, or is
/// a misuse that has its consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The client polls.
    Poll,
    /// The client breaks its poll off.
    AbortPoll,
    /// The client begins a POST; the body is still to come.
    BeginPost,
    /// The body of the POST is there.
    EndPost(Vec<Packet>),
    /// The client breaks its POST off.
    AbortPost,
    /// A transport comes that wants to take the session over.
    OpenCandidate,
    /// A text packet on the newest transport, whatever that is to the session.
    Feed(Fed),
    /// The client reads what is there on the newest transport, if it was told that there is something.
    Read,
    /// The newest transport breaks off.
    CloseStream,
    /// The application sends so many messages.
    Send(u8),
    /// The application sends a value under this key: it takes the place of an older one that waits.
    SendValue(u8),
    /// The application sends a message if it can go out at once.
    SendVolatile,
    /// The application closes the session.
    Close,
    /// The server is closed.
    Shutdown,
    PauseReading,
    ResumeReading,
    /// Time passes, in steps of 32 ms.
    Wait(u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fed {
    Probe,
    Upgrade,
    Packet(Packet),
}

/// A packet of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// A message that nothing comes of, with a number.
    Message(u32),
    /// A message that the application answers with as many.
    Ask(u8),
    /// A message that the application answers with as many values under one key.
    Quote(u8),
    /// A message upon which the application closes the session.
    Quit,
    Pong,
    Close,
    /// A ping, which in this version is the server's to send.
    Ping,
    Garbage,
}

impl Packet {
    /// As it goes over the wire.
    pub fn text(self) -> String {
        match self {
            Self::Message(number) => format!("4message {number}"),
            Self::Ask(count) => format!("4ask {count}"),
            Self::Quote(count) => format!("4quote {count}"),
            Self::Quit => "4quit".into(),
            Self::Pong => "3".into(),
            Self::Close => "1".into(),
            Self::Ping => "2".into(),
            Self::Garbage => "x".into(),
        }
    }
}

/// Gives the messages of the client numbers.
pub fn number(commands: &mut [Command]) {
    let mut last = 0;
    for command in commands {
        let packets = match command {
            Command::EndPost(packets) => &mut packets[..],
            Command::Feed(Fed::Packet(packet)) => std::slice::from_mut(packet),
            _ => continue,
        };
        for packet in packets {
            if let Packet::Message(number) = packet {
                last += 1;
                *number = last;
            }
        }
    }
}

/// The short list, for trying everything.
pub fn alphabet() -> Vec<Command> {
    use Command::*;
    vec![
        Poll,
        AbortPoll,
        BeginPost,
        EndPost(vec![Packet::Ask(1)]),
        EndPost(vec![Packet::Ask(30)]),
        AbortPost,
        OpenCandidate,
        Feed(Fed::Probe),
        Feed(Fed::Upgrade),
        Feed(Fed::Packet(Packet::Message(0))),
        Read,
        CloseStream,
        Send(1),
        SendValue(0),
        Close,
        PauseReading,
        ResumeReading,
        Wait(13),
        Wait(40),
    ]
}

pub fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        8 => Just(Packet::Message(0)),
        4 => (1..4_u8).prop_map(Packet::Ask),
        // More than may wait.
        1 => Just(Packet::Ask(30)),
        2 => (1..3_u8).prop_map(Packet::Quote),
        4 => Just(Packet::Pong),
        1 => select(&[Packet::Quit, Packet::Close, Packet::Ping, Packet::Garbage][..]),
    ]
}

pub fn command() -> impl Strategy<Value = Command> {
    use Command::*;
    prop_oneof![
        8 => Just(Poll),
        1 => select(&[AbortPoll, AbortPost, Close, Shutdown, CloseStream][..]),
        3 => Just(BeginPost),
        4 => prop::collection::vec(packet(), 1..4).prop_map(EndPost),
        2 => Just(OpenCandidate),
        3 => Just(Feed(Fed::Probe)),
        3 => Just(Feed(Fed::Upgrade)),
        4 => packet().prop_map(|packet| Feed(Fed::Packet(packet))),
        8 => Just(Read),
        4 => (1..20_u8).prop_map(Send),
        4 => (0..3_u8).prop_map(SendValue),
        2 => Just(SendVolatile),
        3 => Just(PauseReading),
        4 => Just(ResumeReading),
        6 => (1..40_u16).prop_map(Wait),
    ]
}
