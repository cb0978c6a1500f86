//! Identifiers: Engine.IO session ids and Socket.IO socket ids share one shape.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An identifier of 1 to 31 characters from `A-Z a-z 0-9 - _`, stored in place.
///
/// The default generator makes 20 characters: 12 random bytes, and 3 bytes by which it knows its own, in base64url. An
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

    /// Whether `text` looks like an identifier of this generator, here or on another server, and hardly like anything else.
    /// No socket can join a room of such a name: it is the personal room of somebody, who may be elsewhere, or on the way
    /// back. The default knows none.
    fn recognizes(&self, text: &str) -> bool {
        let _ = text;
        false
    }
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

/// The default generator: 96 random bits and a mark of 24 that depends on them, 20 characters in all.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RandomIds;

/// Random bytes of an identifier.
const RANDOM: usize = 12;
/// The others.
const MARK: usize = 3;

impl IdGenerator for RandomIds {
    fn generate(&self) -> Result<Id, IdError> {
        let mut raw = [0; RANDOM + MARK];
        let (random, rest) = raw.split_at_mut(RANDOM);
        getrandom::fill(random).map_err(|_| IdError)?;
        rest.copy_from_slice(&mark(random));
        let mut bytes = [0; Id::MAX_LEN];
        let len = URL_SAFE_NO_PAD.encode_slice(raw, &mut bytes).map_err(|_| IdError)?;
        Ok(Id { len: len as u8, bytes })
    }

    fn recognizes(&self, text: &str) -> bool {
        let mut raw = [0; RANDOM + MARK];
        text.len() == 20
            && URL_SAFE_NO_PAD.decode_slice(text, &mut raw) == Ok(raw.len())
            && raw[RANDOM..] == mark(&raw[..RANDOM])
    }
}

/// It is no secret: it tells identifiers from other names, of which one in sixteen millions looks like one.
fn mark(random: &[u8]) -> [u8; MARK] {
    let mixed = random.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |mixed, byte| {
        (mixed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    });
    let [a, b, c, ..] = mixed.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_have_twenty_characters_and_never_repeat() {
        let ids = RandomIds;
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.generate().unwrap()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.as_str().len() == 20 && Id::new(id.as_str()) == Some(*id)));
    }

    #[test]
    fn generated_ids_are_recognized_and_other_names_are_not() {
        let ids = RandomIds;
        for _ in 0..1000 {
            let id = ids.generate().unwrap();
            let text = id.as_str();
            // Of this process or of another.
            assert!(RandomIds.recognizes(text));
            let other = if text.starts_with('A') { "B" } else { "A" };
            assert!(!ids.recognizes(&format!("{other}{}", &text[1..])), "{text}");
            assert!(!ids.recognizes(&text[1..]) && !ids.recognizes(&format!("{text}A")));
        }
        for name in ["", "kitchen", "-NabcDEFghiJKLmnoPQR", "AAAAAAAAAAAAAAAAAAAA", "20 characters, or so."] {
            assert!(!ids.recognizes(name), "{name}");
        }
    }

    #[test]
    fn ids_with_other_characters_or_lengths_are_refused() {
        assert!(Id::new("").is_none());
        assert!(Id::new("a/b").is_none());
        assert!(Id::new(&"x".repeat(32)).is_none());
    }
}
