//! Patterns of names: `/chat-{room}`.

use std::fmt;

use smallvec::SmallVec;

/// Bytes that the name of a namespace of a client's making may have.
const MAX_NAME: usize = 256;

/// The parameters in a name, in the order of the pattern: what each is called, and its text.
pub(crate) type Params<'a> = SmallVec<[(&'a str, &'a str); 4]>;

/// A pattern that was understood.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    /// What stands between slashes.
    segments: Vec<Segment>,
    /// Whether the last parameter takes slashes too.
    open: bool,
}

/// A literal, and then parameters, each with the literal that follows it.
#[derive(Debug, Default)]
struct Segment {
    prefix: String,
    params: Vec<(String, String)>,
}

/// Why a pattern is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    Unclosed,
    Unopened,
    Name(String),
    Twice(String),
    Adjacent(String),
    NotLast(String),
    NoParameter,
    Unsendable(char),
    TooLong,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => f.write_str("a `{` is not closed (a brace that is meant is written twice)"),
            Self::Unopened => f.write_str("a `}` closes nothing (a brace that is meant is written twice)"),
            Self::Name(name) => write!(f, "{name:?} is no name of a parameter: letters, digits and `_`"),
            Self::Twice(name) => write!(f, "two parameters are called {name:?}"),
            Self::Adjacent(name) => {
                write!(f, "nothing stands before the parameter {name:?} to tell where it begins")
            }
            Self::NotLast(name) => write!(f, "`{{*{name}}}` takes the rest of the name, and must come last"),
            Self::NoParameter => f.write_str("it has no parameter: that is `of`"),
            Self::Unsendable(c) => write!(f, "{c:?} cannot be in the name of a namespace"),
            Self::TooLong => write!(f, "no name has more than {MAX_NAME} bytes"),
        }
    }
}

impl Pattern {
    /// Understands a pattern. A missing slash is added.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let text = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        if text.len() > MAX_NAME {
            return Err(Mistake::TooLong);
        }
        if let Some(c) = text.chars().find(|c| matches!(c, ',' | '?') || c.is_control()) {
            return Err(Mistake::Unsendable(c));
        }
        let mut pattern = Self { segments: vec![Segment::default()], open: false, text: String::new() };
        let mut rest = &text[1..];
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '{' | '}' if after.starts_with(c) => {
                    pattern.literal(c)?;
                    &after[1..]
                }
                '{' => {
                    let (name, after) = after.split_once('}').ok_or(Mistake::Unclosed)?;
                    pattern.parameter(name)?;
                    after
                }
                '}' => return Err(Mistake::Unopened),
                '/' if !pattern.open => {
                    pattern.segments.push(Segment::default());
                    after
                }
                c => {
                    pattern.literal(c)?;
                    after
                }
            };
        }
        if pattern.names().next().is_none() {
            return Err(Mistake::NoParameter);
        }
        pattern.text = text;
        Ok(pattern)
    }

    fn last(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    fn literal(&mut self, c: char) -> Result<(), Mistake> {
        let open = self.open;
        match self.last().params.last_mut() {
            Some((name, _)) if open => Err(Mistake::NotLast(name.clone())),
            Some((_, literal)) => {
                literal.push(c);
                Ok(())
            }
            None => {
                self.last().prefix.push(c);
                Ok(())
            }
        }
    }

    fn parameter(&mut self, name: &str) -> Result<(), Mistake> {
        let (name, takes_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.is_empty();
        if !is_name {
            return Err(Mistake::Name(name.to_owned()));
        }
        if self.names().any(|other| other == name) {
            return Err(Mistake::Twice(name.to_owned()));
        }
        let open = std::mem::replace(&mut self.open, takes_rest);
        match self.last().params.last() {
            Some((other, _)) if open => Err(Mistake::NotLast(other.clone())),
            Some((_, literal)) if literal.is_empty() => Err(Mistake::Adjacent(name.to_owned())),
            _ => {
                self.last().params.push((name.to_owned(), String::new()));
                Ok(())
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flat_map(|segment| &segment.params).map(|(name, _)| name.as_str())
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The parameters of a name that has this pattern. Each has one character at least; the first are as short as they
    /// can be.
    pub(crate) fn find<'a>(&'a self, name: &'a str) -> Option<Params<'a>> {
        let mut params = Params::new();
        let mut parts = name.strip_prefix('/')?.splitn(self.segments.len() + usize::from(!self.open), '/');
        for segment in &self.segments {
            segment.find(parts.next()?, &mut params)?;
        }
        let takes_slashes = params.len() - usize::from(self.open);
        let slashes = params[..takes_slashes].iter().any(|(_, text)| text.contains('/'));
        (parts.next().is_none() && !slashes).then_some(params)
    }
}

impl Segment {
    fn find<'a>(&'a self, text: &'a str, params: &mut Params<'a>) -> Option<()> {
        let mut rest = text.strip_prefix(self.prefix.as_str())?;
        let Some((last, inner)) = self.params.split_last() else { return rest.is_empty().then_some(()) };
        for (name, literal) in inner {
            let first = rest.chars().next()?.len_utf8();
            let end = first + rest[first..].find(literal.as_str())?;
            params.push((name, &rest[..end]));
            rest = &rest[end + literal.len()..];
        }
        let value = rest.strip_suffix(last.1.as_str()).filter(|value| !value.is_empty())?;
        params.push((&last.0, value));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(pattern: &'a Pattern, name: &'a str) -> Option<Vec<&'a str>> {
        Some(pattern.find(name)?.into_iter().map(|(_, text)| text).collect())
    }

    /// F-NSP-09: what matches, and with which parameters.
    #[test]
    fn names_match_patterns() {
        for (pattern, name, expected) in [
            ("/chat-{room}", "/chat-7", Some(vec!["7"])),
            ("/chat-{room}", "/chat-über uns", Some(vec!["über uns"])),
            ("/chat-{room}", "/chat-", None),
            ("/chat-{room}", "/chat-7/8", None),
            ("/chat-{room}", "/chatter-7", None),
            ("/chat-{room}", "/x/chat-7", None),
            ("/chat-{room}", "chat-7", None),
            ("/chat-{room}", "", None),
            ("chat-{room}", "/chat-7", Some(vec!["7"])),
            ("/{tenant}/chat-{room}", "/acme/chat-7", Some(vec!["acme", "7"])),
            ("/{tenant}/chat-{room}", "/acme/chat-7/", None),
            ("/{tenant}/chat-{room}", "//chat-7", None),
            ("/{tenant}/", "/acme/", Some(vec!["acme"])),
            ("/{tenant}/", "/acme", None),
            ("/{from}-{to}", "/a-b-c", Some(vec!["a", "b-c"])),
            ("/{from}-{to}-x", "/a-b-x-x", Some(vec!["a", "b-x"])),
            ("/{from}-{to}", "/-a-b", Some(vec!["-a", "b"])),
            ("/{from}-{to}", "/a-", None),
            ("/{from}ü{to}", "/üüü", Some(vec!["ü", "ü"])),
            ("/{name}.json", "/a.json.json", Some(vec!["a.json"])),
            ("/files/{*path}", "/files/a/b.txt", Some(vec!["a/b.txt"])),
            ("/files/{*path}", "/files//", Some(vec!["/"])),
            ("/files/{*path}", "/files/", None),
            ("/files/{*path}", "/files", None),
            ("/{kind}-{*path}", "/a-b/c", Some(vec!["a", "b/c"])),
            ("/{kind}-{*path}", "/a/b-c", None),
            ("/{{x}}-{id}", "/{x}-1", Some(vec!["1"])),
            ("/{{{id}}}", "/{1}", Some(vec!["1"])),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(find(&pattern, name), expected, "{} {name}", pattern.as_str());
        }
    }

    /// F-NSP-09: bad patterns are told.
    #[test]
    fn bad_patterns_are_told() {
        for (pattern, mistake) in [
            ("/chat-{room", Mistake::Unclosed),
            ("/chat-{", Mistake::Unclosed),
            ("/chat-room}", Mistake::Unopened),
            ("/{}", Mistake::Name(String::new())),
            ("/{*}", Mistake::Name(String::new())),
            ("/{a b}", Mistake::Name("a b".into())),
            ("/{a/b}", Mistake::Name("a/b".into())),
            ("/{a}/{a}", Mistake::Twice("a".into())),
            ("/{a}{b}", Mistake::Adjacent("b".into())),
            ("/{a}{*b}", Mistake::Adjacent("b".into())),
            ("/{*a}/b", Mistake::NotLast("a".into())),
            ("/{*a}b", Mistake::NotLast("a".into())),
            ("/{*a}{b}", Mistake::NotLast("a".into())),
            ("/{*a}-{*b}", Mistake::NotLast("a".into())),
            ("/chat", Mistake::NoParameter),
            ("", Mistake::NoParameter),
            ("/{{a}}", Mistake::NoParameter),
            ("/{a}?x=1", Mistake::Unsendable('?')),
            ("/{a},b", Mistake::Unsendable(',')),
            ("/{a}\n", Mistake::Unsendable('\n')),
        ] {
            let found = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(found, mistake, "{pattern}");
            assert!(!found.to_string().is_empty());
        }
        assert_eq!(Pattern::parse(&format!("/{{a}}{}", "x".repeat(256))).unwrap_err(), Mistake::TooLong);
    }

    /// The same by trying everything: a parameter may be any text.
    fn tried(pattern: &str, name: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == name,
            Some((literal, after)) => name.strip_prefix(literal).is_some_and(|name| {
                (1..=name.len())
                    .take_while(|end| !name[..*end].contains('/'))
                    .any(|end| tried(after, &name[end..]))
            }),
        }
    }

    /// F-NSP-09: no name that has a pattern is missed, and none is taken for one.
    #[test]
    fn short_names_match_as_if_everything_were_tried() {
        let patterns =
            ["/*", "/a*", "/*a", "/*a*", "/*a*b", "/a*ba*a", "/*/*", "/*b/*a", "/*-a*-*", "/*ab*ab"];
        let mut names = vec![String::from("/")];
        for from in 0..4_000 {
            for c in ['a', 'b', '-', '/'] {
                names.push(format!("{}{c}", names[from]));
            }
        }
        for written in patterns {
            let mut count = 0;
            let text: String = written
                .chars()
                .map(|c| {
                    count += usize::from(c == '*');
                    if c == '*' { format!("{{p{count}}}") } else { c.to_string() }
                })
                .collect();
            let pattern = Pattern::parse(&text).unwrap();
            for name in &names {
                let found = pattern.find(name);
                assert_eq!(found.is_some(), tried(written, name), "{text} {name}");
                if let Some(params) = found {
                    let mut again = text.clone();
                    for (param, value) in params {
                        assert!(!value.is_empty() && !value.contains('/'));
                        again = again.replace(&format!("{{{param}}}"), value);
                    }
                    assert_eq!(again, **name);
                }
            }
        }
    }
}
