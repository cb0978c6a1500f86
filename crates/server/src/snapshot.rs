//! What a server tells of its sockets.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use bytestring::ByteString;
use serde::de::DeserializeOwned;
use wirebird_engine::Handshake;
use wirebird_proto::socket_io::RawArgs;
use wirebird_proto::value::decode_args;

use crate::adapter::Operation;
use crate::error::{Error, Incomplete};
use crate::id::SocketId;
use crate::operator::Operator;
use crate::questions::Answer;
use crate::room::Room;

impl Operator {
    /// The sockets of this server and of all others in the cluster that it is for, each with its rooms, its handshake
    /// and the [data](crate::Socket::set_data) that is kept for it.
    ///
    /// Other servers have [`Operator::timeout`] to answer, by default
    /// [`Builder::cluster_timeout`](crate::Builder::cluster_timeout). With [`Operator::local`] nobody is asked.
    ///
    /// ```
    /// # async fn f(io: wirebird::Server) -> Result<(), wirebird::Error> {
    /// for socket in io.to("lobby").fetch_sockets().await? {
    ///     let name: Option<String> = socket.data()?;
    ///     println!("{} is {name:?} and in {:?}", socket.id, socket.rooms);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When not all servers answered in time; the sockets of the others are in the error.
    pub async fn fetch_sockets(&self) -> Result<Vec<SocketSnapshot>, Incomplete<SocketSnapshot>> {
        let core = self.core();
        let mut sockets = self.snapshots_here();
        if !self.is_shared() || self.is_for_nobody() {
            return Ok(sockets);
        }
        let target = self.target();
        let question = |reply_to| Operation::FetchSockets { reply_to, target };
        let answers = core.ask_servers(self.patience(core.options.cluster_timeout), question).await;
        let mut join = |answers: Vec<Answer>| {
            let mut seen: HashSet<SocketId> = sockets.iter().map(|socket| socket.id).collect();
            for answer in answers {
                if let Answer::Sockets(theirs) = answer {
                    sockets.extend(theirs.into_iter().filter(|socket| seen.insert(socket.id)));
                }
            }
            std::mem::take(&mut sockets)
        };
        match answers {
            Ok(answers) => Ok(join(answers)),
            Err(incomplete) => Err(incomplete.map(join)),
        }
    }

    pub(crate) fn snapshots_here(&self) -> Vec<SocketSnapshot> {
        self.sockets().iter().map(|socket| socket.0.snapshot()).collect()
    }
}

/// A socket of this or another server as it was at one moment: see [`Operator::fetch_sockets`].
///
/// To do something with it wherever it is, address it by its id: `io.to(snapshot.id)`.
#[derive(Clone)]
#[non_exhaustive]
pub struct SocketSnapshot {
    /// Its id.
    pub id: SocketId,
    /// The rooms it is in, the personal one included.
    pub rooms: Vec<Room>,
    /// How it was connected.
    pub handshake: HandshakeInfo,
    /// What [`Socket::set_data`](crate::Socket::set_data) has kept, as one argument.
    pub raw_data: RawArgs,
}

impl SocketSnapshot {
    /// A snapshot, for adapters that bring those of other servers.
    pub fn new(id: SocketId, rooms: Vec<Room>, handshake: HandshakeInfo, raw_data: RawArgs) -> Self {
        Self { id, rooms, handshake, raw_data }
    }

    /// What [`Socket::set_data`](crate::Socket::set_data) has kept.
    ///
    /// # Errors
    /// When it is not a `T`. Use `Option<T>` if there may be nothing.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let (data,) = decode_args(&self.raw_data)?;
        Ok(data)
    }
}

/// Without what clients sent: it may be secret.
impl fmt::Debug for SocketSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSnapshot")
            .field("id", &self.id)
            .field("rooms", &self.rooms)
            .finish_non_exhaustive()
    }
}

/// What is told to other servers of the request that opened a connection, credentials included: of
/// [`Socket::handshake`](crate::Socket::handshake), and of [`Socket::auth`](crate::Socket::auth).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeInfo {
    /// The URI as it came.
    pub uri: String,
    /// All headers, names in lower case; values that are not UTF-8 are mended.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub peer_addr: Option<SocketAddr>,
    /// Whether the client speaks TLS.
    pub is_secure: bool,
    /// When the request came.
    pub issued: SystemTime,
    /// What the client sent along: the text of a JSON object.
    pub auth: Option<ByteString>,
}

impl HandshakeInfo {
    /// The value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn of(handshake: &Handshake, auth: Option<ByteString>) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Self {
            uri: handshake.uri().to_owned(),
            headers: handshake.headers().map(|(name, value)| (name.to_owned(), text(value))).collect(),
            peer_addr: handshake.peer_addr(),
            is_secure: handshake.is_secure(),
            issued: handshake.issued(),
            auth,
        }
    }
}

/// One of which nothing is known, to be filled in.
impl Default for HandshakeInfo {
    fn default() -> Self {
        Self {
            uri: String::new(),
            headers: Vec::new(),
            peer_addr: None,
            is_secure: false,
            issued: SystemTime::UNIX_EPOCH,
            auth: None,
        }
    }
}

impl fmt::Debug for HandshakeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeInfo").field("peer_addr", &self.peer_addr).finish_non_exhaustive()
    }
}
