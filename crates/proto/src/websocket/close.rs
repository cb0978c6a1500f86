//! Close codes and the payload of a close frame (RFC 6455, sections 5.5.1 and 7.4).

use std::{borrow::Cow, fmt};

use super::DecodeError;

/// A close code that may stand in a close frame (RFC 6455, section 7.4).
///
/// The codes that only exist inside an API, such as 1005 (none given) and 1006 (connection lost), are no
/// `CloseCode`: no frame may carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a kind of data that is not taken here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: a text message, or a close reason, is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a message breaks a rule of the application.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is larger than the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL: Self = Self(1011);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code `code`, or `None` when no frame may carry it: below 1000, 1004 to 1006, 1015 to 2999, from 5000 on.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Code and reason out of an unmasked close payload; `None` for an empty one.
pub(super) fn parse(payload: Cow<'_, [u8]>) -> Result<Option<(CloseCode, Cow<'_, str>)>, DecodeError> {
    let code = match *payload {
        [] => return Ok(None),
        [_] => return Err(DecodeError::CloseLength),
        [high, low, ..] => u16::from_be_bytes([high, low]),
    };
    let code = CloseCode::new(code).ok_or(DecodeError::CloseCode(code))?;
    let reason = match payload {
        Cow::Borrowed(bytes) => std::str::from_utf8(&bytes[2..]).map(Cow::Borrowed).ok(),
        Cow::Owned(mut bytes) => {
            bytes.drain(..2);
            String::from_utf8(bytes).map(Cow::Owned).ok()
        }
    };
    Ok(Some((code, reason.ok_or(DecodeError::InvalidUtf8)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_wire() {
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert_eq!(CloseCode::new(code).map(CloseCode::as_u16), Some(code));
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        assert_eq!(CloseCode::TOO_BIG.to_string(), "1009");
    }

    #[test]
    fn payloads() {
        let both = |bytes: &[u8]| {
            let borrowed = parse(Cow::Borrowed(bytes)).map(|close| close.map(|(c, r)| (c.0, r.into_owned())));
            let owned =
                parse(Cow::Owned(bytes.to_vec())).map(|close| close.map(|(c, r)| (c.0, r.into_owned())));
            assert_eq!(borrowed, owned);
            owned
        };
        assert_eq!(both(b""), Ok(None));
        assert_eq!(both(b"\x03"), Err(DecodeError::CloseLength));
        assert_eq!(both(b"\x03\xe8"), Ok(Some((1000, String::new()))));
        assert_eq!(both(b"\x03\xe9bye"), Ok(Some((1001, "bye".to_owned()))));
        assert_eq!(both(b"\x03\xee"), Err(DecodeError::CloseCode(1006)));
        assert_eq!(both(b"\x03\xe8\xff"), Err(DecodeError::InvalidUtf8));
    }
}
