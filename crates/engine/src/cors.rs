//! Which origins may connect, and the headers that tell browsers so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use wirebird_proto::origin::{is_same_origin, validate_allowed_origin};

use crate::config::ConfigError;
use crate::engine::guard;
use crate::gate::Decision;
use crate::proxies::Forwarded;
use crate::refusal::Cause;

/// Which origins may connect. A request without an `Origin` header is always allowed: it does not come from a
/// browser's cross-origin page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cors {
    /// The origins.
    pub origins: Origins,
    /// Whether browsers may send cookies (`Access-Control-Allow-Credentials`). Default true.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight request. Default: it decides itself.
    pub max_age: Option<Duration>,
}

impl Default for Cors {
    fn default() -> Self {
        Self { origins: Origins::default(), credentials: true, max_age: None }
    }
}

/// The origins that may connect.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Origins {
    /// Only the server's own: `scheme://host` of the request itself.
    #[default]
    Same,
    /// Exactly these, each as a browser sends it: `https://example.com`, with the port if it is not the scheme's own.
    /// `*` among them is any.
    List(Vec<String>),
    /// Any. The reply names the origin, so cookies work too.
    Any,
    /// Those the application allows.
    Check(Arc<dyn OriginCheck>),
    /// No check and no headers, for an outer layer that does both. WebSockets are not subject to CORS: without a
    /// check there, any site's page can open one with the visitor's cookies.
    Disabled,
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Any => f.write_str("Any"),
            Self::Check(_) => f.write_str("Check(..)"),
            Self::Disabled => f.write_str("Disabled"),
        }
    }
}

/// Decides on an origin. Answered by a token, from any thread at any time; dropping it refuses.
pub trait OriginCheck: Send + Sync + 'static {
    /// `headers` are those of the request.
    fn check(&self, origin: &str, headers: &HeaderMap, decision: Decision);
}

impl<F> OriginCheck for F
where
    F: Fn(&str, &HeaderMap, Decision) + Send + Sync + 'static,
{
    fn check(&self, origin: &str, headers: &HeaderMap, decision: Decision) {
        self(origin, headers, decision);
    }
}

/// What a request's origin means for its response.
#[derive(Debug, Default, Clone)]
pub(crate) struct CorsHeaders {
    origin: Option<HeaderValue>,
    credentials: bool,
    vary: bool,
}

impl Cors {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let Origins::List(list) = &self.origins else { return Ok(()) };
        for origin in list {
            validate_allowed_origin(origin).map_err(|e| {
                let text = format!("cors_allowed_origins: {origin:?} can never match an origin: {e}");
                ConfigError::new(text)
            })?;
        }
        Ok(())
    }

    /// Says what is allowed and yet hardly meant.
    pub(crate) fn warn(&self) {
        let warn = |text: &str| tracing::warn!(target: "wirebird::engineio", "cors_allowed_origins: {text}");
        match &self.origins {
            Origins::List(list) if list.is_empty() => warn("no origin is allowed"),
            Origins::List(list) if list.len() > 1 && list.iter().any(|origin| origin == "*") => {
                warn("beside \"*\" other origins have no effect");
            }
            Origins::List(list) if list.iter().any(|origin| origin == "null") => {
                warn("\"null\" lets in any page that is sandboxed or opened from a file");
            }
            _ => {}
        }
    }

    /// Checks the `Origin` header of a request that came over TLS or not.
    pub(crate) async fn check(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        secure: bool,
        forwarded: Option<&Forwarded>,
    ) -> Result<CorsHeaders, Cause> {
        let origin = headers.get(header::ORIGIN).filter(|_| !matches!(self.origins, Origins::Disabled));
        let Some(origin) = origin else { return Ok(CorsHeaders::without_origin(self)) };
        let text = String::from_utf8_lossy(origin.as_bytes()).into_owned();
        let (allowed, expected) = match &self.origins {
            Origins::Any => (true, String::new()),
            Origins::List(list) => (list.iter().any(|o| *o == text || o == "*"), list.join(", ")),
            Origins::Check(check) => {
                let (decision, pending) = Decision::new();
                guard(|| check.check(&text, headers, decision));
                (pending.decided().await.is_ok(), "the application's check".into())
            }
            Origins::Same | Origins::Disabled => {
                let own =
                    headers.get(header::HOST).and_then(|h| h.to_str().ok()).or(authority).unwrap_or_default();
                let scheme = if secure { "https" } else { "http" };
                let outer = forwarded.and_then(|f| {
                    Some((f.proto.as_deref().unwrap_or(scheme), f.host.as_deref()?))
                        .filter(|(_, h)| !h.is_empty())
                });
                let (outer_scheme, outer_host) = outer.unwrap_or((scheme, own));
                let allowed = is_same_origin(origin.as_bytes(), scheme, own)
                    || is_same_origin(origin.as_bytes(), outer_scheme, outer_host);
                (allowed, format!("{outer_scheme}://{outer_host}"))
            }
        };
        if allowed {
            Ok(CorsHeaders { origin: Some(origin.clone()), credentials: self.credentials, vary: true })
        } else {
            Err(Cause::Origin { origin: text, expected })
        }
    }

    /// The headers of the answer to a preflight request.
    pub(crate) fn preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if matches!(self.origins, Origins::Disabled) {
            return;
        }
        response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("OPTIONS, GET, POST"));
        if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            response.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        }
        if let Some(age) = self.max_age {
            response.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }
}

impl CorsHeaders {
    /// Those of a response to a request that named no origin.
    pub(crate) fn without_origin(cors: &Cors) -> Self {
        Self { vary: !matches!(cors.origins, Origins::Disabled), ..Self::default() }
    }

    /// Whether the response says which origin may read it.
    pub(crate) fn names_origin(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether the response depends on the origin.
    pub(crate) fn varies(&self) -> bool {
        self.vary
    }

    /// Those of a response to an origin that is refused.
    pub(crate) fn refused() -> Self {
        Self { vary: true, ..Self::default() }
    }

    /// Adds the headers to a response.
    pub(crate) fn apply(&self, response: &mut HeaderMap) {
        if self.vary {
            response.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = &self.origin else { return };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}
