//! The request that opened a session, kept for the session's whole life.

use std::any::Any;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, Version, request};

use crate::admission::Permit;
use crate::proxies::TrustedProxies;

/// The address of the peer of a connection; a listener puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The local address of a connection; a listener puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddr(pub SocketAddr);

/// Marks a request that came over TLS; a listener puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secure;

/// The request that opened a session: method, URI, version, headers, addresses and the extensions that middleware
/// left in it.
///
/// Everything is copied out of the HTTP request, so that no read buffer stays alive. Headers are kept as one block of
/// text, and what the listener says of the connection is kept here and not as an extension.
#[derive(Debug)]
pub struct Handshake {
    method: Method,
    version: Version,
    uri: Box<str>,
    /// `name: value\r\n`; values of one name in their order.
    headers: Box<[u8]>,
    peer: Option<PeerAddr>,
    local: Option<LocalAddr>,
    secure: bool,
    issued: SystemTime,
    extensions: Extensions,
}

impl Handshake {
    /// Copies what is needed out of `parts`; the extensions are moved. `proxies` says whose forwarding headers count.
    pub fn new(parts: &mut request::Parts, proxies: &TrustedProxies) -> Self {
        let mut headers = Vec::new();
        for (name, value) in &parts.headers {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.extend_from_slice(b": ");
            headers.extend_from_slice(value.as_bytes());
            headers.extend_from_slice(b"\r\n");
        }
        let mut extensions = std::mem::take(&mut parts.extensions);
        let direct = extensions.get::<PeerAddr>().copied();
        let secure = extensions.get::<Secure>().is_some() || parts.uri.scheme_str() == Some("https");
        let forwarded = proxies.forwarded(direct.map(|peer| peer.0), &parts.headers).unwrap_or_default();
        // What a proxy overrules stays there for those who ask.
        if forwarded.client.is_none() {
            extensions.remove::<PeerAddr>();
        }
        if forwarded.secure.is_none() {
            extensions.remove::<Secure>();
        }
        let local = extensions.remove::<LocalAddr>();
        // It belongs to the connection, which may end long before the session.
        extensions.remove::<Permit>();
        Self {
            method: parts.method.clone(),
            version: parts.version,
            uri: parts.uri.to_string().into(),
            headers: headers.into(),
            peer: forwarded.client.map(|ip| PeerAddr(SocketAddr::new(ip, 0))).or(direct),
            local,
            secure: forwarded.secure.unwrap_or(secure),
            issued: SystemTime::now(),
            // A map keeps its table when nothing is left in it.
            extensions: if extensions.is_empty() { Extensions::new() } else { extensions },
        }
    }

    /// The request method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The HTTP version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request's URI as it came.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The path of the URI.
    pub fn path(&self) -> &str {
        let uri = self.uri.split('?').next().unwrap_or(&self.uri);
        match uri.split_once("://") {
            Some((_, rest)) if !uri.starts_with('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
            _ => uri,
        }
    }

    /// The raw query string, without `?`; empty when there is none.
    pub fn query_string(&self) -> &str {
        self.uri.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All query parameters, decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query_string().as_bytes())
    }

    /// The first value of a header as text; `None` when it is absent or not UTF-8. `name` is matched without
    /// regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All headers: those of one name together and in their order, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.split(|b| *b == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|b| *b == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line.get(colon + 2..)?))
        })
    }

    /// All headers as a map.
    pub fn header_map(&self) -> HeaderMap {
        self.headers()
            .filter_map(|(name, value)| {
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
            })
            .collect()
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers()
            .filter(|(key, _)| *key == "cookie")
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The client's address: the peer of the connection, or what a trusted proxy says.
    ///
    /// `None` when the listener gave none: [`PeerAddr`] says how to give it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer.map(|peer| peer.0)
    }

    /// The address the connection came in on.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local.map(|local| local.0)
    }

    /// Whether the client speaks TLS (to us, or to a trusted proxy).
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// When the request came.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }

    /// What middleware put into the request's extensions. What the listener put there is not among them:
    /// [`Handshake::extension`] has it, too.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// One extension, by type.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        fn kept<T: 'static>(value: Option<&impl Any>) -> Option<&T> {
            (value? as &dyn Any).downcast_ref()
        }
        let given = self.extensions.get();
        let addr = || kept(self.peer.as_ref()).or_else(|| kept(self.local.as_ref()));
        given.or_else(addr).or_else(|| kept(self.secure.then_some(&Secure)))
    }
}

impl Default for Handshake {
    /// That of a client in the same process: a WebSocket request without headers.
    fn default() -> Self {
        let uri = http::Uri::from_static("/socket.io/?EIO=4&transport=websocket");
        let mut parts = http::Request::new(()).into_parts().0;
        parts.uri = uri;
        Self::new(&mut parts, &TrustedProxies::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(proxies: &TrustedProxies) -> Handshake {
        let request = http::Request::get("/socket.io/?EIO=4&name=a%20b&name=c")
            .header("Cookie", "a=1; session=xyz")
            .header("X-Two", "1")
            .header("X-Two", "2")
            .header("X-Forwarded-For", "6.6.6.6, 10.1.2.3")
            .header("X-Forwarded-Proto", "https")
            .extension(PeerAddr("127.0.0.1:4000".parse().unwrap()))
            .body(())
            .unwrap();
        Handshake::new(&mut request.into_parts().0, proxies)
    }

    #[test]
    fn request_data_is_kept_as_received() {
        let shake = handshake(&TrustedProxies::None);
        assert_eq!(shake.path(), "/socket.io/");
        assert_eq!(shake.query("name").as_deref(), Some("a b"));
        assert_eq!(shake.query_pairs().count(), 3);
        assert_eq!(shake.header("COOKIE"), Some("a=1; session=xyz"));
        assert_eq!(shake.cookie("session"), Some("xyz"));
        assert_eq!(shake.headers().filter(|(name, _)| *name == "x-two").count(), 2);
        assert_eq!(shake.header_map().get_all("x-two").iter().count(), 2);
        assert_eq!(shake.peer_addr(), Some("127.0.0.1:4000".parse().unwrap()));
        assert_eq!(shake.extension(), Some(&PeerAddr("127.0.0.1:4000".parse().unwrap())));
        assert_eq!(shake.extension::<LocalAddr>(), None);
        assert!(!shake.is_secure());
    }

    #[test]
    fn an_address_in_the_query_is_no_part_of_the_path() {
        for (uri, path) in [
            ("/socket.io/?next=https://example.com/there", "/socket.io/"),
            ("http://example.com/socket.io/?next=https://a/b", "/socket.io/"),
            ("http://example.com?next=/b", "/"),
            ("/a://b/c", "/a://b/c"),
        ] {
            let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
            assert_eq!(Handshake::new(&mut parts, &TrustedProxies::None).path(), path);
        }
    }

    /// F-INT-06: nobody's by default, and only those of proxies that are named.
    #[test]
    fn forwarding_headers_count_only_from_trusted_proxies() {
        let trusted = TrustedProxies::Addrs(vec!["127.0.0.1".parse().unwrap()]);
        assert_eq!(handshake(&trusted).peer_addr().unwrap().ip().to_string(), "10.1.2.3");
        assert_eq!(handshake(&trusted).extension(), Some(&PeerAddr("127.0.0.1:4000".parse().unwrap())));
        assert!(handshake(&trusted).is_secure());
        let other = TrustedProxies::Addrs(vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(handshake(&other).peer_addr().unwrap().ip().to_string(), "127.0.0.1");
    }
}
