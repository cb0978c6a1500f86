//! Options of what clients may do, and for how long. `SECURITY.md` has them all in a table.

use std::time::Duration;

use super::Builder;

/// What clients may do, and for how long.
impl Builder {
    /// The largest message that is accepted, in bytes, on both transports. Default 1,000,000.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
        self
    }

    /// Frames that one WebSocket message of a client may have, empty ones included. Default 4096.
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.engine.max_fragments = frames;
        self
    }

    /// Binary attachments that one packet of a client may have. Default 10.
    pub fn max_attachments(mut self, attachments: usize) -> Self {
        self.options.max_attachments = attachments;
        self
    }

    /// Bytes that all attachments of one packet of a client may have. Default 10,000,000.
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.options.max_attachment_bytes = bytes;
        self
    }

    /// How long the attachments of one packet may take, while the client is read from. Default 30 s.
    pub fn attachments_timeout(mut self, timeout: Duration) -> Self {
        self.options.attachments_timeout = timeout;
        self
    }

    /// Levels of arrays and objects that a packet of a client may have, 127 at most. The array of the arguments is the
    /// first. Default 64.
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.options.max_depth = levels;
        self
    }

    /// Arguments that one event or acknowledgement of a client may have. Default 10,000: JavaScript cannot call a function
    /// with many more.
    pub fn max_arguments(mut self, arguments: usize) -> Self {
        self.options.max_arguments = arguments;
        self
    }

    /// Bytes that the name of a client's event may have. Default 1024.
    pub fn max_event_name(mut self, bytes: usize) -> Self {
        self.options.max_event_name = bytes;
        self
    }

    /// Bytes that the name of a namespace may have that only clients ask for. Default 256.
    pub fn max_namespace_name(mut self, bytes: usize) -> Self {
        self.options.max_namespace_name = bytes;
        self
    }

    /// Bytes that the name of a room may have. Default 1024.
    pub fn max_room_name(mut self, bytes: usize) -> Self {
        self.options.max_room_name = bytes;
        self
    }

    /// The largest `auth` payload that a client may connect with, in bytes. Default 64 KiB.
    pub fn max_auth(mut self, bytes: usize) -> Self {
        self.options.max_auth = bytes;
        self
    }

    /// Namespaces that one client may be connected to. Default 100.
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.options.max_namespaces = namespaces;
        self
    }

    /// Namespaces of the server beyond which clients cannot make new ones, by [patterns](crate::Server::of_pattern) or by
    /// [`Builder::namespaces`]. Default 100,000.
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.options.max_dynamic_namespaces = namespaces;
        self
    }

    /// Rooms that one socket may be in. Default 10,000.
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.options.max_rooms = rooms;
        self
    }

    /// Acknowledgements that one socket may owe. Default 10,000.
    pub fn max_pending_acks(mut self, acks: usize) -> Self {
        self.options.max_pending_acks = acks;
        self
    }

    /// Events of one client, and of all, that may wait for their handlers or for them to end; beyond that the client is
    /// not read from. Default 10,000 and 1,000,000.
    pub fn max_pending_events(mut self, of_client: usize, of_all: usize) -> Self {
        self.options.max_client.events = of_client.max(1);
        self.options.max_total.events = of_all.max(1);
        self
    }

    /// As [`Builder::max_pending_events`], in bytes. Default 16 MiB and 1 GiB.
    pub fn max_pending_bytes(mut self, of_client: usize, of_all: usize) -> Self {
        self.options.max_client.bytes = of_client.max(1);
        self.options.max_total.bytes = of_all.max(1);
        self
    }

    /// Bytes of broadcasts that may wait to be delivered; beyond that, clients that send events are not read from. What
    /// your own tasks emit is theirs to limit. Default 64 MiB.
    pub fn max_waiting_broadcasts(mut self, bytes: usize) -> Self {
        self.options.max_waiting_broadcasts = bytes;
        self
    }

    /// Questions to other servers of the cluster that may be open at once. Default 100,000.
    pub fn max_questions(mut self, questions: usize) -> Self {
        self.options.max_questions = questions;
        self
    }

    /// Connections that may exist at once. Default as many as come.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.engine.max_sessions = Some(sessions);
        self
    }

    /// TCP connections that there may be at once, where the server listens by itself: others are closed at once. Default as
    /// many as come.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.engine.max_connections = Some(connections);
        self
    }

    /// Clients that may be connected from one address at once: others are refused with 429. Where the server listens by
    /// itself it is the limit of TCP connections of that address, too, of which a client on polling has up to three; the
    /// addresses of [trusted proxies](Builder::trusted_proxies) have none. Of IPv6, the addresses of one network of 64 bits
    /// count as one. Default as many as come.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.engine.max_connections_per_address = Some(connections);
        self
    }

    /// Clients that may connect in a second, all together: others are refused with 429, and come back by themselves. It
    /// keeps what your connect handlers ask (a database, a service for logins) from being asked by all at once. Default as
    /// many as come.
    pub fn handshake_rate(mut self, per_second: u32) -> Self {
        self.engine.handshake_rate = Some(per_second);
        self
    }

    /// The largest head of a request, in bytes. That of the one that opens a connection is kept as long as the connection.
    /// Default 16 KiB; what [`Server::serve`](crate::Server::serve) serves may have 8 KiB in any case.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.engine.max_head = bytes;
        self
    }

    /// Headers that a request may have. Default 100.
    pub fn max_headers(mut self, headers: usize) -> Self {
        self.engine.max_headers = headers;
        self
    }

    /// The longest target of a request to the server, path and query together, in bytes. Default 8 KiB.
    pub fn max_url(mut self, bytes: usize) -> Self {
        self.engine.max_url = bytes;
        self
    }

    /// How long the head of a request may take, from the connection's beginning or from its first byte on, where the server
    /// listens by itself ([`Server::serve`](crate::Server::serve) and its kin). Default 30 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.engine.header_timeout = timeout;
        self
    }

    /// How long the body of a client's POST may take. Default 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.engine.body_timeout = timeout;
        self
    }

    /// How long a connection of HTTP may be idle between two requests, where the server listens by itself. Default 75 s:
    /// longer than proxies keep theirs. After the answer to a poll it is a little less than
    /// [`ping_timeout`](Builder::ping_timeout) if that is less, unless it was a [trusted proxy](Builder::trusted_proxies) that
    /// asked, or by a Unix socket: a client that is there polls again at once.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.engine.keep_alive_timeout = timeout;
        self
    }

    /// How long the beginning of TLS may take, with [`Server::serve_tls`](crate::Server::serve_tls). Default 10 s.
    pub fn tls_timeout(mut self, timeout: Duration) -> Self {
        self.engine.tls_timeout = timeout;
        self
    }
}
