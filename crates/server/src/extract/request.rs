//! Parts of the request that opened the connection, as arguments of handlers.

use std::sync::Arc;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use wirebird_engine::Handshake;

use super::{Context, FromContext};
use crate::error::Error;

impl<C: Context> FromContext<C> for Arc<Handshake> {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().handshake().clone())
    }
}

/// All headers of the request.
impl<C: Context> FromContext<C> for HeaderMap {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(context.socket().handshake().header_map())
    }
}

/// The parameters of the request's query, decoded into a struct or a map. The protocol's own (`EIO`, `transport`, `t`) are
/// among them.
///
/// ```
/// # use wirebird::{Server, Socket};
/// use serde::Deserialize;
/// use wirebird::extract::Query;
///
/// #[derive(Deserialize)]
/// struct Place {
///     room: String,
///     #[serde(default)]
///     tags: Vec<String>, // ?tags=a&tags=b
/// }
///
/// # let io = Server::new();
/// io.on_connect(async |socket: Socket, Query(place): Query<Place>| {
///     socket.join(place.room)?;
///     Ok::<(), wirebird::Error>(())
/// });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<C: Context, T: DeserializeOwned> FromContext<C> for Query<T> {
    fn from_context(context: &C) -> Result<Self, Error> {
        let query = context.socket().handshake().query_string();
        serde_html_form::from_str(query).map(Self).map_err(|error| {
            // What is missing is ours to name; anything else could tell what the client has sent.
            let problem = error.to_string();
            let problem =
                if problem.starts_with("missing field") { problem } else { "a value of another type".into() };
            Error::msg(format_args!("the query of the request is not what the handler takes: {problem}"))
        })
    }
}

/// The cookies of the request.
#[derive(Debug, Clone)]
pub struct Cookies(Arc<Handshake>);

impl Cookies {
    /// The value of a cookie, as it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.cookie(name)
    }
}

impl<C: Context> FromContext<C> for Cookies {
    fn from_context(context: &C) -> Result<Self, Error> {
        Ok(Self(context.socket().handshake().clone()))
    }
}
