//! How a client connects.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Extensions, Request};
use serde::Serialize;
use wirebird_engine::http::admit;
use wirebird_engine::{Handshake, PeerAddr};

use super::connection::Connection;
use super::error::TestError;
use super::{PATIENCE, TestClient};
use crate::packet::Encoded;
use crate::{EmitError, Server, Value};

/// What a [`TestClient`] connects with. It connects when this is awaited.
#[must_use = "the client connects when this is awaited"]
pub struct Connect {
    server: Server,
    namespace: String,
    auth: Result<Option<String>, EmitError>,
    query: String,
    headers: HeaderMap,
    cookies: Vec<String>,
    extensions: Extensions,
    timeout: Duration,
    answers_pings: bool,
    problem: Option<String>,
}

impl Connect {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            namespace: "/".into(),
            auth: Ok(None),
            query: String::new(),
            headers: HeaderMap::new(),
            cookies: Vec::new(),
            extensions: Extensions::new(),
            timeout: PATIENCE,
            answers_pings: true,
            problem: None,
        }
    }

    /// The namespace. Default `/`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// What the client sends along, an object: the `auth` option of clients.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.auth = object(&auth).map(Some);
        self
    }

    /// Adds a parameter to the query of the request.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push('&');
        self.query.extend(encoded(name));
        self.query.push('=');
        self.query.extend(encoded(value));
        self
    }

    /// Adds a header to the request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.problem = Some(format!("not a header: {name:?}: {value:?}")),
        }
        self
    }

    /// Adds a cookie to the request.
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push(format!("{name}={value}"));
        self
    }

    /// Puts a value into the request's extensions, as middleware in front of the server would.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The address that the client seems to connect from.
    pub fn peer_addr(self, addr: SocketAddr) -> Self {
        self.extension(PeerAddr(addr))
    }

    /// How long the client waits for whatever the test awaits of it, by tokio's clock. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it answers the server's pings. Without, the server disconnects it in the end. Default true.
    pub fn answer_pings(mut self, answer: bool) -> Self {
        self.answers_pings = answer;
        self
    }

    fn request(&mut self) -> Result<Parts, TestError> {
        let path = &self.server.engine().config().path;
        let uri = format!("{}/?EIO=4&transport=websocket{}", path.trim_end_matches('/'), self.query);
        let bad = |error: http::Error| TestError::BadRequest(error.to_string());
        let mut parts = Request::get(uri).body(()).map_err(bad)?.into_parts().0;
        if !self.cookies.is_empty() {
            let cookies = HeaderValue::from_str(&self.cookies.join("; "));
            self.headers.append(COOKIE, cookies.map_err(|error| bad(error.into()))?);
        }
        parts.headers = std::mem::take(&mut self.headers);
        parts.extensions = std::mem::take(&mut self.extensions);
        Ok(parts)
    }

    /// Checks the request as all others are.
    async fn admit(&self, mut parts: Parts) -> Result<Arc<Handshake>, TestError> {
        let engine = self.server.engine();
        if engine.is_closing() {
            return Err(TestError::ServerClosed);
        }
        let admitted = tokio::time::timeout(self.timeout, admit(engine, &mut parts)).await;
        let late = |_| TestError::late("the answer to the request", self.timeout);
        admitted.map_err(late)?.map_err(|response| {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
            TestError::Rejected { status: response.status(), message: message.to_owned() }
        })
    }

    async fn run(mut self) -> Result<TestClient, TestError> {
        if let Some(problem) = self.problem {
            return Err(TestError::BadRequest(problem));
        }
        let auth = std::mem::replace(&mut self.auth, Ok(None))?;
        let request = self.request()?;
        let handshake = self.admit(request).await?;
        let connection = Connection::open(&self.server, handshake, self.timeout, self.answers_pings)?;
        join(connection, self.namespace, auth).await
    }
}

impl IntoFuture for Connect {
    type Output = Result<TestClient, TestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// What a [`TestClient`] connects to one more namespace with. It connects when this is awaited.
#[must_use = "the client connects when this is awaited"]
pub struct ConnectNamespace {
    connection: Arc<Connection>,
    namespace: String,
    auth: Result<Option<String>, EmitError>,
}

impl ConnectNamespace {
    pub(super) fn new(connection: Arc<Connection>, namespace: String) -> Self {
        Self { connection, namespace, auth: Ok(None) }
    }

    /// What the client sends along, an object.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.auth = object(&auth).map(Some);
        self
    }
}

impl IntoFuture for ConnectNamespace {
    type Output = Result<TestClient, TestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { join(self.connection, self.namespace, self.auth?).await })
    }
}

impl fmt::Debug for ConnectNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectNamespace").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

async fn join(
    connection: Arc<Connection>,
    namespace: String,
    auth: Option<String>,
) -> Result<TestClient, TestError> {
    let namespace = if namespace.starts_with('/') { namespace } else { format!("/{namespace}") };
    let joined = connection.join(&namespace, auth.as_deref()).await?;
    Ok(TestClient { connection, joined })
}

/// The JSON of an `auth` payload.
fn object(auth: &impl Serialize) -> Result<String, EmitError> {
    // A tuple would be several arguments, and is none that a client can send.
    let encoded = Encoded::args(&(auth,))?;
    Ok(String::from_utf8_lossy(encoded.json()).into_owned())
}

fn encoded(text: &str) -> impl Iterator<Item = char> {
    text.bytes().flat_map(|byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let text = if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.chars().collect::<Vec<_>>()
    })
}
