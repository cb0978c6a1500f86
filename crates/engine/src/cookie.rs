//! The cookie with the session's id.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::config::ConfigError;
use crate::engine::guard;

/// A cookie with the session's id, set by the response that opens the session: for balancers that keep a client on one
/// server by it. Over TLS it gets the attribute `Secure`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name. Default `io`.
    pub name: String,
    /// The attributes after the value, in this order.
    pub attributes: Vec<(String, CookieValue)>,
}

/// What an attribute of a cookie says.
#[derive(Clone)]
#[non_exhaustive]
pub enum CookieValue {
    /// Nothing but its name: `HttpOnly`.
    Bare,
    /// A text: `Max-Age=60`.
    Text(String),
    /// A text that is made for each cookie. One that is not allowed in a cookie is left out, as is that of a function
    /// that panics.
    Made(Arc<dyn Fn() -> String + Send + Sync>),
    /// The attribute is left out.
    Omitted,
}

impl CookieValue {
    /// A text that is made for each cookie.
    pub fn made(make: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::Made(Arc::new(make))
    }
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".into(),
            attributes: vec![
                ("Path".into(), CookieValue::Text("/".into())),
                ("HttpOnly".into(), CookieValue::Bare),
                ("SameSite".into(), CookieValue::Text("Lax".into())),
            ],
        }
    }
}

impl Cookie {
    /// A cookie called `name` with the attributes `Path=/; HttpOnly; SameSite=Lax`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds an attribute, or replaces the one of that name: with a text, with `true` for its name alone, with `false`
    /// to leave it out, or with a [`CookieValue`].
    ///
    /// ```
    /// use wirebird_engine::{Cookie, CookieValue};
    ///
    /// let cookie = Cookie::named("io")
    ///     .attribute("Max-Age", "3600")
    ///     .attribute("Partitioned", true)
    ///     .attribute("HttpOnly", false)
    ///     .attribute("Version", CookieValue::made(|| std::process::id().to_string()));
    /// ```
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<CookieValue>) -> Self {
        let name = name.into();
        self.attributes.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        self.attributes.push((name, value.into()));
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let token = |text: &str| !text.is_empty() && is_clean(text) && !text.contains(['=', ' ', ',']);
        if !token(&self.name) {
            return Err(ConfigError::new(format!("cookie: {:?} cannot be its name", self.name)));
        }
        for (name, value) in &self.attributes {
            let clean = if let CookieValue::Text(text) = value { is_clean(text) } else { true };
            if !token(name) || !clean {
                let text = format!("cookie: the attribute {name:?} has characters that are not allowed");
                return Err(ConfigError::new(text));
            }
        }
        Ok(())
    }

    /// The value of the header that sets it.
    pub(crate) fn header(&self, id: &str, secure: bool) -> String {
        let mut text = format!("{}={id}", self.name);
        let mut has_secure = false;
        let mut needs_secure = secure;
        for (name, value) in &self.attributes {
            has_secure |= name.eq_ignore_ascii_case("secure");
            let value = match value {
                CookieValue::Omitted => continue,
                CookieValue::Bare => None,
                CookieValue::Text(value) => Some(Cow::Borrowed(value.as_str())),
                CookieValue::Made(make) => match made(name, make) {
                    Some(value) => Some(Cow::Owned(value)),
                    None => continue,
                },
            };
            text.push_str("; ");
            text.push_str(name);
            if let Some(value) = value {
                // Browsers refuse such a cookie otherwise.
                needs_secure |= name.eq_ignore_ascii_case("samesite") && value.eq_ignore_ascii_case("none");
                text.push('=');
                text.push_str(&value);
            }
        }
        if needs_secure && !has_secure {
            text.push_str("; Secure");
        }
        text
    }
}

/// What the application makes for an attribute, if it can stand in a cookie.
fn made(name: &str, make: &Arc<dyn Fn() -> String + Send + Sync>) -> Option<String> {
    let mut value = None;
    guard(|| value = Some(make()));
    let value = value?;
    if !is_clean(&value) {
        tracing::error!(
            target: "wirebird::engineio",
            attribute = name, "an attribute of the cookie was made with characters that are not allowed"
        );
        return None;
    }
    Some(value)
}

/// Whether a text has nothing that could end an attribute or a header.
fn is_clean(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';')
}

impl From<&str> for CookieValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for CookieValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for CookieValue {
    fn from(bare: bool) -> Self {
        if bare { Self::Bare } else { Self::Omitted }
    }
}

impl fmt::Debug for CookieValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare => f.write_str("Bare"),
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Made(_) => f.write_str("Made(..)"),
            Self::Omitted => f.write_str("Omitted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_secure_over_tls() {
        assert_eq!(Cookie::default().header("x", false), "io=x; Path=/; HttpOnly; SameSite=Lax");
        assert!(Cookie::default().header("x", true).ends_with("; Secure"));
        let always = Cookie::default().attribute("Secure", true);
        assert_eq!(always.header("x", true).matches("Secure").count(), 1);
        let never = Cookie::default().attribute("secure", false);
        assert!(!never.header("x", true).contains("ecure"));
    }

    #[test]
    fn a_cookie_for_other_sites_is_secure() {
        let cookie = Cookie::default().attribute("SameSite", "None");
        assert_eq!(cookie.header("x", false), "io=x; Path=/; HttpOnly; SameSite=None; Secure");
    }
}
