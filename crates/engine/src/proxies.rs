//! Proxies in front of the server, and what they say of clients.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::config::ConfigError;

/// Whose `X-Forwarded-For`, `-Proto` and `-Host` headers are believed. Nobody's by default, because any client can
/// send them.
///
/// The client is the last address in `X-Forwarded-For` that is not itself one of the proxies named here. Scheme and host
/// are the first ones.
///
/// ```
/// use wirebird_engine::TrustedProxies;
///
/// # fn main() -> Result<(), wirebird_engine::ConfigError> {
/// let proxies = TrustedProxies::networks(["127.0.0.1", "::1", "10.0.0.0/8"])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustedProxies {
    /// Nobody's.
    #[default]
    None,
    /// Those of connections that come from these addresses.
    Addrs(Vec<IpAddr>),
    /// Those of connections that come from these networks.
    Networks(Vec<Network>),
    /// Everybody's: only for a server that can be reached through its proxy alone.
    All,
    /// Of those proxies the header `Forwarded` (RFC 7239) is believed, and `X-Forwarded-*` is not: a proxy that writes
    /// one of them passes on what clients put into the other.
    Rfc7239(Box<Self>),
}

impl TrustedProxies {
    /// Those of connections that come from these addresses (`127.0.0.1`) and networks (`10.0.0.0/8`).
    ///
    /// # Errors
    /// When one of them is neither.
    pub fn networks<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = networks.into_iter().map(|network| network.as_ref().parse()).collect::<Result<_, _>>();
        networks.map(Self::Networks)
    }

    /// Of these proxies the header `Forwarded` (RFC 7239) is believed, in place of `X-Forwarded-*`.
    #[must_use]
    pub fn by_forwarded_header(self) -> Self {
        match self {
            Self::Rfc7239(_) => self,
            other => Self::Rfc7239(Box::new(other)),
        }
    }

    /// Whether forwarding headers of a connection from `peer` count.
    pub fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Rfc7239(proxies) => proxies.trusts(peer),
            _ => peer.is_some_and(|peer| self.names(peer.ip())),
        }
    }

    /// Whether this address is said to be a proxy's.
    fn names(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        match self {
            Self::None | Self::All => false,
            Self::Addrs(addrs) => addrs.contains(&addr),
            Self::Networks(networks) => networks.iter().any(|network| network.contains(addr)),
            Self::Rfc7239(proxies) => proxies.names(addr),
        }
    }

    /// Whether forwarding headers can only count when the address of the peer is known.
    pub(crate) fn needs_peer(&self) -> bool {
        match self {
            Self::None | Self::All => false,
            Self::Addrs(_) | Self::Networks(_) => true,
            Self::Rfc7239(proxies) => proxies.needs_peer(),
        }
    }

    /// Whether nobody is named, though somebody seems to be meant.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::None | Self::All => false,
            Self::Addrs(addrs) => addrs.is_empty(),
            Self::Networks(networks) => networks.is_empty(),
            Self::Rfc7239(proxies) => **proxies == Self::None || proxies.is_empty(),
        }
    }

    /// What the forwarding headers of a connection from `peer` say, if they count.
    pub(crate) fn forwarded(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Forwarded> {
        self.trusts(peer).then(|| match self {
            Self::Rfc7239(_) => Forwarded::read_rfc7239(headers),
            _ => Forwarded::read(headers, |addr| self.names(addr)),
        })
    }
}

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is one of them.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let same = |bits: u8, difference: u128| {
            difference.checked_shr(u32::from(bits - self.prefix)).unwrap_or(0) == 0
        };
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(addr)) => same(32, u128::from(own.to_bits() ^ addr.to_bits())),
            (IpAddr::V6(own), IpAddr::V6(addr)) => same(128, own.to_bits() ^ addr.to_bits()),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error =
            || ConfigError::new(format!("trusted_proxies: {text:?} is neither an address nor a network"));
        let (addr, prefix) = text.split_once('/').map_or((text, None), |(addr, prefix)| (addr, Some(prefix)));
        let addr: IpAddr = addr.parse().map_err(|_| error())?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(error)?,
            None => bits,
        };
        Ok(Self { addr, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// What a proxy says of the client.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    pub(crate) client: Option<IpAddr>,
    pub(crate) secure: Option<bool>,
    pub(crate) proto: Option<String>,
    pub(crate) host: Option<String>,
}

impl Forwarded {
    /// Whether a request has any forwarding header.
    pub(crate) fn is_in(headers: &HeaderMap) -> bool {
        const NAMES: [HeaderName; 3] = [
            HeaderName::from_static("x-forwarded-for"),
            HeaderName::from_static("x-forwarded-proto"),
            header::FORWARDED,
        ];
        NAMES.iter().any(|name| headers.contains_key(name))
    }

    /// From `X-Forwarded-*`.
    fn read(headers: &HeaderMap, is_proxy: impl Fn(IpAddr) -> bool) -> Self {
        let first = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.split(',').next().unwrap_or(value).trim().to_owned()).filter(|v| !v.is_empty())
        };
        let proto = first("x-forwarded-proto");
        Self {
            client: client(headers, is_proxy),
            secure: proto.as_deref().map(is_secure),
            proto,
            host: first("x-forwarded-host"),
        }
    }

    /// From the last element of `Forwarded`, which is the trusted proxy's own; those before it came from the client.
    fn read_rfc7239(headers: &HeaderMap) -> Self {
        let mut forwarded = Self::default();
        let last = headers.get_all(header::FORWARDED).iter().next_back();
        let Some(value) = last.and_then(|value| value.to_str().ok()) else { return forwarded };
        for pair in split_unquoted(split_unquoted(value, ',').last().unwrap_or_default(), ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "for" => {
                    forwarded.client = address(value);
                    continue;
                }
                "proto" => &mut forwarded.proto,
                "host" => &mut forwarded.host,
                _ => continue,
            };
            *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
        forwarded.secure = forwarded.proto.as_deref().map(is_secure);
        forwarded
    }
}

/// The client by `X-Forwarded-For`: the last address that is no proxy's. Those before it came from the client.
fn client(headers: &HeaderMap, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut nearest = None;
    let values = headers.get_all("x-forwarded-for").iter().rev().map(HeaderValue::to_str);
    for text in values.flat_map(|value| value.unwrap_or("?").rsplit(',')) {
        // Whatever stands before something unreadable is nobody's word.
        let Some(addr) = address(text) else { break };
        nearest = Some(addr);
        if !is_proxy(addr) {
            break;
        }
    }
    nearest
}

fn is_secure(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = text.trim_start_matches('[').trim_end_matches(']');
    alone.parse().ok().or_else(|| text.parse().map(|addr: SocketAddr| addr.ip()).ok())
}

/// Splits where the separator is not inside quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn read(proxies: &TrustedProxies, pairs: &[(&'static str, &'static str)]) -> Forwarded {
        let peer = "10.0.0.1:80".parse().unwrap();
        proxies.forwarded(Some(peer), &headers(pairs)).expect("a trusted peer")
    }

    #[test]
    fn networks_are_read_and_checked() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", vec!["10.0.0.0", "10.255.1.2", "::ffff:10.1.1.1"], vec!["11.0.0.0", "::1"]),
            ("127.0.0.1", vec!["127.0.0.1"], vec!["127.0.0.2"]),
            ("192.168.7.9/30", vec!["192.168.7.8", "192.168.7.11"], vec!["192.168.7.12"]),
            ("0.0.0.0/0", vec!["1.2.3.4"], vec!["::1"]),
            ("fd00::/8", vec!["fd12::1"], vec!["fe80::1", "253.0.0.1"]),
            ("::/0", vec!["fe80::1"], vec!["1.2.3.4"]),
            ("::1", vec!["::1"], vec!["::2"]),
        ] {
            let parsed: Network = network.parse().unwrap();
            inside
                .iter()
                .for_each(|addr| assert!(parsed.contains(addr.parse().unwrap()), "{addr} in {parsed}"));
            outside
                .iter()
                .for_each(|addr| assert!(!parsed.contains(addr.parse().unwrap()), "{addr} in {parsed}"));
        }
        for bad in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0.0/-1", "10.0.0/8"] {
            let error = TrustedProxies::networks([bad]).unwrap_err().to_string();
            assert!(error.contains("trusted_proxies") && error.contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxys() {
        let proxies = TrustedProxies::networks(["10.0.0.0/8"]).unwrap();
        for (lines, client) in [
            (vec!["1.1.1.1"], Some("1.1.1.1")),
            (vec!["6.6.6.6, 1.1.1.1"], Some("1.1.1.1")),
            (vec!["6.6.6.6", "7.7.7.7, 1.1.1.1:4711"], Some("1.1.1.1")),
            (vec!["6.6.6.6, 1.1.1.1, 10.0.0.7"], Some("1.1.1.1")),
            (vec!["1.1.1.1", "10.0.0.7 , 10.0.0.8"], Some("1.1.1.1")),
            (vec!["10.0.0.9, 10.0.0.7"], Some("10.0.0.9")),
            (vec!["1.1.1.1, unknown, 10.0.0.7"], Some("10.0.0.7")),
            (vec!["1.1.1.1, unknown"], None),
            (vec!["[2001:db8::1]:80"], Some("2001:db8::1")),
            (vec![], None),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|line| ("x-forwarded-for", line)).collect();
            assert_eq!(read(&proxies, &lines).client, client.map(|addr| addr.parse().unwrap()), "{lines:?}");
        }
        // Where everybody is a proxy, the nearest one's word counts.
        let all = read(&TrustedProxies::All, &[("x-forwarded-for", "6.6.6.6, 1.1.1.1")]);
        assert_eq!(all.client, "1.1.1.1".parse().ok());
    }

    #[test]
    fn one_kind_of_header_counts() {
        let spoofed = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.org"),
            (
                "forwarded",
                "for=6.6.6.6;host=evil.org, For=\"[2001:db8::1]:4711\"; Proto=http;host=\"good.org\"",
            ),
        ];
        let proxies = TrustedProxies::networks(["10.0.0.1"]).unwrap();
        let forwarded = read(&proxies.clone().by_forwarded_header(), &spoofed);
        assert_eq!(forwarded.client, "2001:db8::1".parse().ok());
        assert_eq!((forwarded.secure, forwarded.host.as_deref()), (Some(false), Some("good.org")));
        let forwarded = read(&proxies, &spoofed);
        assert_eq!((forwarded.client, forwarded.secure), ("6.6.6.6".parse().ok(), Some(true)));
        let quoted = [("forwarded", "for=1.1.1.1, for=\"2.2.2.2, for=3.3.3.3\";host=a")];
        let forwarded = read(&proxies.by_forwarded_header(), &quoted);
        assert_eq!((forwarded.client, forwarded.host.as_deref()), (None, Some("a")));
    }
}
