//! The members of an object.

use std::collections::HashMap;
use std::{slice, vec};

use super::Value;

/// The members of an object, in the order in which they were written.
///
/// A name occurs once. Objects are small as a rule, therefore looking a member up goes through them one by
/// one. `Display` and `Debug` write it as [`Value`] does.
#[derive(Clone, Default)]
pub struct Map {
    members: Vec<(String, Value)>,
}

impl Map {
    /// An object without members.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// Takes members among which a name may occur several times: the last value counts, at the place of the
    /// first, as in JavaScript.
    pub(super) fn from_members(mut members: Vec<(String, Value)>) -> Self {
        // The input may be hostile: comparing each with each would take quadratic time.
        const FEW: usize = 16;
        let unique = if members.len() <= FEW {
            (1..members.len()).all(|end| members[..end].iter().all(|(key, _)| *key != members[end].0))
        } else {
            let mut seen = std::collections::HashSet::with_capacity(members.len());
            members.iter().all(|(key, _)| seen.insert(key.as_str()))
        };
        if unique {
            return Self { members };
        }
        let mut places = HashMap::with_capacity(members.len());
        let mut out: Vec<(String, Value)> = Vec::with_capacity(members.len());
        for (key, value) in members.drain(..) {
            match places.get(&key) {
                Some(&place) => {
                    let slot: &mut (String, Value) = &mut out[place];
                    slot.1 = value;
                }
                None => {
                    places.insert(key.clone(), out.len());
                    out.push((key, value));
                }
            }
        }
        out.shrink_to_fit();
        Self { members: out }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member of that name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The member of that name.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.members.iter_mut().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Whether there is a member of that name.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a member, and returns what it was before. A new one is the last.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.get_mut(&key) {
            Some(place) => Some(std::mem::replace(place, value)),
            None => {
                self.members.push((key, value));
                None
            }
        }
    }

    /// Removes a member; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.members.iter().position(|(name, _)| name == key)?;
        Some(self.members.remove(index).1)
    }

    /// All members in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.members.iter())
    }
}

/// The order of members does not count.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
            || (self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value)))
    }
}

impl FromIterator<(String, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        Self::from_members(members.into_iter().collect())
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a str, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the members of a [`Map`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(slice::Iter<'a, (String, Value)>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_duplicate_counts_at_the_first_place() {
        for extra in [0, 100] {
            let mut json = r#"{"a":1,"b":2,"a":3"#.to_owned();
            for key in 0..extra {
                json += &format!(r#","k{key}":0"#);
            }
            let map: Value = serde_json::from_str(&(json + "}")).unwrap();
            let members: Vec<_> = map.as_object().unwrap().iter().take(2).collect();
            assert_eq!(members, [("a", &Value::from(3)), ("b", &Value::from(2))]);
            assert_eq!(map.as_object().unwrap().len(), 2 + extra);
        }
    }

    #[test]
    fn editing() {
        let mut map = Map::new();
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("b", "x"), None);
        assert_eq!(map.insert("a", true), Some(1.into()));
        let swapped: Map =
            [("b".to_owned(), "x".into()), ("a".to_owned(), true.into())].into_iter().collect();
        assert_eq!(map, swapped);
        assert_eq!(map.remove("a"), Some(true.into()));
        assert_ne!(map, swapped);
        assert!(map.contains_key("b") && !map.contains_key("a") && !map.is_empty());
    }

    /// F-SEC-01: what a client sends may be many small arrays and objects, and room in reserve would be most of what they take.
    #[test]
    fn what_is_received_keeps_no_room_in_reserve() {
        fn check(value: &Value) {
            match value {
                Value::Array(elements) => {
                    assert_eq!(elements.capacity(), elements.len());
                    elements.iter().for_each(check);
                }
                Value::Object(map) => {
                    assert_eq!(map.members.capacity(), map.members.len());
                    map.members.iter().for_each(|(key, value)| {
                        assert_eq!(key.capacity(), key.len());
                        check(value);
                    });
                }
                Value::String(text) => assert_eq!(text.capacity(), text.len()),
                _ => {}
            }
        }
        for unit in
            ["1", "[1]", "[]", "[1,2,3,4,5]", r#"{"a":[{}]}"#, r#"{"a":1,"a":2,"b":3}"#, r#""\u0041b""#]
        {
            let many = vec![unit; 1000].join(",");
            check(&serde_json::from_str(&format!("[{unit},[{many}]]")).unwrap());
        }
        assert!(size_of::<Value>() <= 40);
    }

    #[test]
    fn many_members_do_not_take_quadratic_time() {
        let members = (0..200_000).map(|key| (format!("{}", key % 100_000), Value::from(key)));
        let map: Map = members.collect();
        assert_eq!((map.len(), map.get("0")), (100_000, Some(&100_000.into())));
    }
}
