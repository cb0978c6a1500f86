//! What clients send along to come back: the private ids of their sockets, and what they have got.

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use wirebird_engine::{Id, IdGenerator, RandomIds};

/// Between the halves of a private id, so that nothing of the application's looks like one.
const SEPARATOR: u8 = b'.';

/// Characters of an offset that are looked at: ours are shorter.
const MAX_OFFSET: usize = 64;

/// What a socket is known by to its client alone: 24 random bytes, of which nobody else hears.
pub(crate) type Pid = Arc<str>;

/// A new private id, from the system's source of randomness whatever the application's ids are made of; `None` when it
/// gives nothing.
pub(super) fn new_pid() -> Option<Pid> {
    let ids = RandomIds::default();
    let (one, other) = (ids.generate().ok()?, ids.generate().ok()?);
    Some(format!("{one}{}{other}", char::from(SEPARATOR)).into())
}

fn is_pid(text: &str) -> bool {
    let halves = text.split_once(char::from(SEPARATOR));
    halves.is_some_and(|(one, other)| {
        [one, other].iter().all(|half| half.len() == 20 && Id::new(half).is_some())
    })
}

/// What a client has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing since it came.
    Nothing,
    /// Everything up to the event with that number.
    Event(u64),
}

/// The offsets of this server, and of no other, nor of this one before it was started anew.
pub(super) struct Offsets {
    tag: String,
}

impl Offsets {
    pub(super) fn new() -> Self {
        // Without randomness, nobody can connect anyway.
        let id = RandomIds::default().generate();
        Self { tag: id.map_or_else(|_| "~".into(), |id| format!("~{}", &id.as_str()[..6])) }
    }

    /// The offset of an event.
    pub(super) fn event(&self, number: u64) -> String {
        format!("{}{number:x}", self.tag)
    }

    pub(super) fn parse(&self, text: &str) -> Option<Heard> {
        let digits = text.strip_prefix(&self.tag)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| plain).map(Heard::Event)
    }
}

/// What a client sends along that wants its socket back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(super) pid: Box<str>,
    /// The last offset that it got. It keeps that when it is connected anew.
    pub(super) offset: Option<Box<str>>,
}

impl Claim {
    /// Takes the claim out of what a client has sent along: the rest is for the application. What does not look like a
    /// private id is the application's, too.
    pub(crate) fn take(auth: ByteString) -> (Option<ByteString>, Option<Self>) {
        // Most clients are new.
        if !auth.contains("\"pid\"") {
            return (Some(auth), None);
        }
        let Ok(mut members) = serde_json::from_str::<Members<'_>>(&auth) else { return (Some(auth), None) };
        let Some(pid) = members.text("pid").filter(|pid| is_pid(pid)) else { return (Some(auth), None) };
        let offset = members.raw("offset").filter(|offset| *offset != "null");
        let offset = offset.map(|raw| serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()));
        let offset = offset.map(|text| text.chars().take(MAX_OFFSET).collect::<String>().into());
        members.0.retain(|(name, _)| name != "pid" && name != "offset");
        let rest = (!members.0.is_empty()).then(|| members.to_string().into());
        (rest, Some(Self { pid: pid.into(), offset }))
    }
}

/// The members of an object, as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.get())
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let name = serde_json::to_string(name).map_err(|_| fmt::Error)?;
            write!(f, "{}{name}:{}", if index == 0 { "{" } else { "," }, value.get())?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(auth: &str) -> (Option<String>, Option<Claim>) {
        let (rest, claim) = Claim::take(auth.into());
        (rest.map(Into::into), claim)
    }

    #[test]
    fn offsets_are_read_as_they_are_written() {
        let offsets = Offsets::new();
        for number in [0, 1, 15, 16, u64::MAX] {
            assert_eq!(offsets.parse(&offsets.event(number)), Some(Heard::Event(number)));
            assert_eq!(Offsets::new().parse(&offsets.event(number)), None, "that of another server");
        }
        for digits in ["", "+1", "-1", "g", "10000000000000000", "."] {
            assert_eq!(offsets.parse(&format!("{}{digits}", offsets.tag)), None, "{digits}");
        }
    }

    #[test]
    fn private_ids_differ_and_are_recognized() {
        let (one, other) = (new_pid().unwrap(), new_pid().unwrap());
        assert!(one != other && is_pid(&one) && is_pid(&other));
        for text in ["", ".", "x", "0123456789012345678901234567890123456789.", &"a".repeat(40)] {
            assert!(!is_pid(text), "{text}");
        }
    }

    #[test]
    fn the_claim_is_taken_out_and_the_rest_stays_as_it_was() {
        let pid = new_pid().unwrap();
        let claim = |offset: Option<&str>| Some(Claim { pid: (*pid).into(), offset: offset.map(Into::into) });
        let auth = format!(r#"{{"b":1.50, "pid":"{pid}","a":[1, {{"pid":2}}],"offset":"~1"}}"#);
        assert_eq!(take(&auth), (Some(r#"{"b":1.50,"a":[1, {"pid":2}]}"#.into()), claim(Some("~1"))));
        assert_eq!(take(&format!(r#"{{"pid":"{pid}"}}"#)), (None, claim(None)));
        assert_eq!(take(&format!(r#"{{"pid":"{pid}","offset":null}}"#)), (None, claim(None)));
        let long = "é".repeat(65);
        let clipped = claim(Some(&"é".repeat(64)));
        assert_eq!(take(&format!(r#"{{"offset":"{long}","pid":"{pid}"}}"#)), (None, clipped));
        assert_eq!(take(&format!(r#"{{"offset":[1],"pid":"{pid}"}}"#)), (None, claim(Some("[1]"))));
        for auth in [r#"{"pid":1}"#, r#"{"pid":"x"}"#, r#""pid""#, "{}", r#"{"a":1}"#, r#"{"pid""#] {
            assert_eq!(take(auth), (Some(auth.into()), None));
        }
    }
}
