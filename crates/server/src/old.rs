//! Clients of Socket.IO protocol 4, which comes with Engine.IO 3: JavaScript clients before version 3.
//!
//! Events, acknowledgements and attachments are the same for them. What differs is how they connect: they are connected
//! to `/` unasked and never ask for it, they say who they are in queries, and they are told nothing but that they are
//! connected, or why not.

use bytestring::ByteString;
use serde_json::{Map, Value, map::Entry};
use wirebird_engine::{Handshake, Outgoing, Protocol, Session};
use wirebird_proto::socket_io::HeaderKind;

use crate::core::Core;
use crate::error::ConnectError;
use crate::packet::control;

/// Parameters of a request that are the protocol's own.
const PROTOCOL: [&str; 6] = ["EIO", "transport", "sid", "t", "j", "b64"];

/// Whether the client of a session is one of those.
pub(crate) fn is_old(session: &Session) -> bool {
    session.protocol() == Protocol::V3
}

/// What a client has said in the query of a request: the `auth` of `/`. `None` when that is nothing.
pub(crate) fn auth_of_request(handshake: &Handshake) -> Option<ByteString> {
    let own = handshake.query_pairs().filter(|(name, _)| !PROTOCOL.contains(&&**name));
    Some(object(own)).filter(|object| !object.is_empty()).map(to_text)
}

/// What a client has said in the query of a namespace: its `auth`.
pub(crate) fn auth_of_query(query: &str) -> ByteString {
    to_text(object(form_urlencoded::parse(query.as_bytes())))
}

/// An object of strings; a name that comes more than once has an array.
fn object<S: AsRef<str>>(pairs: impl Iterator<Item = (S, S)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in pairs {
        let value = Value::from(value.as_ref());
        match object.entry(name.as_ref()) {
            Entry::Vacant(entry) => drop(entry.insert(value)),
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Value::Array(values) => values.push(value),
                first => *first = Value::Array(vec![first.take(), value]),
            },
        }
    }
    object
}

fn to_text(object: Map<String, Value>) -> ByteString {
    Value::Object(object).to_string().into()
}

/// The packet that refuses a connection. Old clients get the details, or else the message, and nothing around it.
pub(crate) fn refusal(
    core: &Core,
    session: &Session,
    namespace: &ByteString,
    error: &ConnectError,
) -> Outgoing {
    let json = if is_old(session) { error.to_plain_json() } else { error.to_json() };
    control(core, HeaderKind::ConnectError, namespace, &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_objects_of_strings() {
        assert_eq!(auth_of_query("token=1&name=a%20b+c"), r#"{"name":"a b c","token":"1"}"#);
        assert_eq!(auth_of_query("a=1&a=2&a=3&b"), r#"{"a":["1","2","3"],"b":""}"#);
        assert_eq!(auth_of_query(""), "{}");
    }

    #[test]
    fn the_parameters_of_the_protocol_are_no_credentials() {
        let request = |uri: &str| {
            let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
            Handshake::new(&mut parts, &Default::default())
        };
        let target = "/socket.io/?EIO=3&transport=polling&t=x&b64=1&j=0";
        assert_eq!(auth_of_request(&request(target)), None);
        let auth = auth_of_request(&request(&format!("{target}&token=%22&sid=x")));
        assert_eq!(auth.as_deref(), Some(r#"{"token":"\""}"#));
    }
}
