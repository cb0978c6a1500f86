//! Comparison of `Origin` headers (RFC 6454), for same-origin checks and for lists of allowed origins.
//!
//! An origin is compared byte by byte: browsers send it in one form only, with scheme and host in lower case, without
//! the port if it is the scheme's own, and without a slash at the end. An allowed origin written in any other way can
//! never match; [`validate_allowed_origin`] finds it when the server is built.

use std::{error, fmt};

/// Whether `origin`, the value of an `Origin` header, is `scheme://host` of the request.
///
/// `scheme` is `http` or `https`, and `host` is the value of the `Host` header, with its port if it has one. Behind a
/// proxy they are what the client sees, from headers of a proxy that is trusted. The comparison is exact: `null` and
/// empty values are never of the same origin.
///
/// ```
/// use wirebird_proto::origin::is_same_origin;
///
/// assert!(is_same_origin(b"https://example.com", "https", "example.com"));
/// assert!(!is_same_origin(b"http://example.com", "https", "example.com"));
/// assert!(!is_same_origin(b"https://example.com:8443", "https", "example.com"));
/// ```
#[must_use]
pub fn is_same_origin(origin: &[u8], scheme: &str, host: &str) -> bool {
    !scheme.is_empty()
        && !host.is_empty()
        && origin
            .strip_prefix(scheme.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"://"))
            .is_some_and(|rest| rest == host.as_bytes())
}

/// Checks an entry of a list of allowed origins: whether a browser can ever send it.
///
/// Besides `scheme://host` with an optional port, `*` (any origin) and `null` (what a sandboxed page sends) pass.
///
/// # Errors
///
/// What makes that this entry can never match.
pub fn validate_allowed_origin(origin: &str) -> Result<(), OriginError> {
    if matches!(origin, "*" | "null") {
        return Ok(());
    }
    let (scheme, host) = origin.split_once("://").ok_or(OriginError::NoScheme)?;
    let mut letters = scheme.bytes();
    if !letters.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return Err(OriginError::NoScheme);
    }
    if host.is_empty() {
        // What the pages of some embedded browsers send.
        return if scheme == "file" { Ok(()) } else { Err(OriginError::NoHost) };
    }
    if host.contains(['/', '?', '#', '\\']) {
        return Err(OriginError::Path);
    }
    if host.contains('*') {
        return Err(OriginError::Wildcard);
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(OriginError::UpperCase);
    }
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => (&host[..colon], Some(&host[colon + 1..])),
        _ => (host, None),
    };
    if name.is_empty() {
        return Err(OriginError::NoHost);
    }
    if !is_host(name) {
        return Err(OriginError::Host);
    }
    match port {
        None => Ok(()),
        Some(port) => validate_port(scheme, port),
    }
}

fn is_host(name: &str) -> bool {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))
        }),
        None => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;=".contains(&byte)),
    }
}

fn validate_port(scheme: &str, port: &str) -> Result<(), OriginError> {
    // Written as a browser writes it: digits only, no zero in front.
    match port.parse::<u16>() {
        Ok(number) if number.to_string() == port => {}
        _ => return Err(OriginError::Port),
    }
    match (scheme, port) {
        ("http" | "ws", "80") | ("https" | "wss", "443") => Err(OriginError::DefaultPort),
        _ => Ok(()),
    }
}

/// Why an allowed origin can never match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginError {
    /// It does not begin with a scheme such as `https://`.
    NoScheme,
    /// There is no host after the scheme.
    NoHost,
    /// It has a path, a query, or a slash at the end.
    Path,
    /// It has a `*` inside: only `*` by itself stands for any origin.
    Wildcard,
    /// It has upper-case letters; browsers send lower case.
    UpperCase,
    /// The host has characters that browsers do not send, such as user names or letters beyond ASCII.
    Host,
    /// The port is not a number from 0 to 65535 without zeros in front.
    Port,
    /// The port is the scheme's own; browsers leave it out.
    DefaultPort,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "an origin begins with its scheme, as in `https://example.com`",
            Self::NoHost => "an origin needs a host after its scheme",
            Self::Path => "an origin has no path, query, or slash at its end",
            Self::Wildcard => "`*` is not a pattern: it stands alone, for any origin",
            Self::UpperCase => "browsers send origins in lower case",
            Self::Host => "the host of this origin has characters that no browser sends",
            Self::Port => "the port of this origin is not valid",
            Self::DefaultPort => "browsers leave the default port out of an origin",
        })
    }
}

impl error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_origin_is_exact() {
        assert!(is_same_origin(b"http://localhost:5000", "http", "localhost:5000"));
        assert!(is_same_origin(b"https://[::1]:8443", "https", "[::1]:8443"));
        let others: [&[u8]; 10] = [
            b"",
            b"null",
            b"localhost:5000",
            b"http://localhost",
            b"http://localhost:5000/",
            b"http://localhost:50000",
            b"https://localhost:5000",
            b"HTTP://localhost:5000",
            b"http://evil.localhost:5000",
            b"http://localhost:5000\xff",
        ];
        for origin in others {
            assert!(!is_same_origin(origin, "http", "localhost:5000"), "{origin:?}");
        }
        assert!(!is_same_origin(b"http://", "http", ""));
        assert!(!is_same_origin(b"://a", "", "a"));
    }

    #[test]
    fn allowed_origins_that_can_match() {
        for origin in [
            "https://example.com",
            "http://localhost:3000",
            "http://127.0.0.1:80800".strip_suffix('0').expect("a suffix"),
            "http://[::1]:8080",
            "https://[2001:db8::1]",
            "https://xn--bcher-kva.example",
            "chrome-extension://abcdefghijklmnop",
            "capacitor://localhost",
            "http://a.com:443",
            "file://",
            "null",
            "*",
        ] {
            assert_eq!(validate_allowed_origin(origin), Ok(()), "{origin}");
        }
    }

    #[test]
    fn allowed_origins_that_never_match() {
        for (origin, error) in [
            ("", OriginError::NoScheme),
            ("example.com", OriginError::NoScheme),
            ("localhost:5000", OriginError::NoScheme),
            ("//example.com", OriginError::NoScheme),
            ("://example.com", OriginError::NoScheme),
            ("1http://example.com", OriginError::NoScheme),
            ("https://", OriginError::NoHost),
            ("https://:80", OriginError::NoHost),
            ("https://example.com/", OriginError::Path),
            ("https://example.com/chat", OriginError::Path),
            ("https://example.com?x", OriginError::Path),
            ("https://*.example.com", OriginError::Wildcard),
            ("https://Example.com", OriginError::UpperCase),
            ("HTTPS://example.com", OriginError::UpperCase),
            ("https://user@example.com", OriginError::Host),
            ("https://example.com ", OriginError::Host),
            ("https://bücher.example", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://example.com:", OriginError::Port),
            ("https://example.com:x", OriginError::Port),
            ("https://example.com:080", OriginError::Port),
            ("https://example.com:+80", OriginError::Port),
            ("https://example.com:65536", OriginError::Port),
            ("https://example.com:443", OriginError::DefaultPort),
            ("http://example.com:80", OriginError::DefaultPort),
        ] {
            assert_eq!(validate_allowed_origin(origin), Err(error), "{origin:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}
