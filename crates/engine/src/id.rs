//! Identifiers: Engine.IO session ids and Socket.IO socket ids share one shape.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An identifier of 1 to 31 characters from `A-Z a-z 0-9 - _`, stored in place.
///
/// The default generator makes 20 characters: 12 random bytes and a 3-byte sequence number in base64url. An
/// Engine.IO session id is a credential: whoever knows it can speak for the client, so it is never shown to other
/// clients, and its `Debug` form is shortened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Id {
    /// The longest identifier, in bytes.
    pub const MAX_LEN: usize = 31;

    /// An identifier made of `text`; `None` when it is empty, longer than [`Id::MAX_LEN`] or has other characters
    /// than letters, digits, `-` and `_`.
    pub fn new(text: &str) -> Option<Self> {
        let valid = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if text.is_empty() || text.len() > Self::MAX_LEN || !valid {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { len: text.len() as u8, bytes })
    }

    /// As much of a session's id as may be logged.
    pub(crate) fn hint(&self) -> &str {
        hint(self.as_str())
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.bytes[..usize::from(self.len)]);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({}…)", self.hint())
    }
}

/// As much of a session's id as may be shown: enough to find it again in a log, too little to guess the rest.
pub(crate) fn hint(id: &str) -> &str {
    id.char_indices().nth(4).map_or(id, |(end, _)| &id[..end])
}

/// Makes identifiers. Those of sessions must be unguessable and never repeat.
pub trait IdGenerator: Send + Sync + 'static {
    /// The next identifier.
    ///
    /// # Errors
    /// When no randomness can be had; the client's request is then answered with 503.
    fn generate(&self) -> Result<Id, IdError>;
}

/// No identifier could be made.
#[derive(Debug)]
pub struct IdError;

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no random bytes for an identifier")
    }
}

impl std::error::Error for IdError {}

/// The default generator: 96 random bits and a sequence number, 20 characters in all.
#[derive(Debug, Default)]
pub struct RandomIds {
    sequence: AtomicU32,
}

impl IdGenerator for RandomIds {
    fn generate(&self) -> Result<Id, IdError> {
        let mut raw = [0; 15];
        getrandom::fill(&mut raw[..12]).map_err(|_| IdError)?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        raw[12..].copy_from_slice(&sequence[1..]);
        let mut bytes = [0; Id::MAX_LEN];
        let len = URL_SAFE_NO_PAD.encode_slice(raw, &mut bytes).map_err(|_| IdError)?;
        Ok(Id { len: len as u8, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_have_twenty_characters_and_never_repeat() {
        let ids = RandomIds::default();
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.generate().unwrap()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.as_str().len() == 20 && Id::new(id.as_str()) == Some(*id)));
    }

    #[test]
    fn ids_with_other_characters_or_lengths_are_refused() {
        assert!(Id::new("").is_none());
        assert!(Id::new("a/b").is_none());
        assert!(Id::new(&"x".repeat(32)).is_none());
    }
}
