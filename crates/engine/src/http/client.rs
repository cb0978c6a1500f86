//! The files of the JavaScript client, served beside the endpoint: `/socket.io/socket.io.js` and its variants.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use sha1::{Digest, Sha1};

use super::compress::Encoding;
use super::respond::text;
use crate::config::ConfigError;

/// The names under which Node's server has the files of the client, too.
const NAMES: [&str; 8] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.msgpack.min.js",
    "socket.io.js.map",
    "socket.io.min.js.map",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js.map",
];

/// The files of the JavaScript client. They belong to the client's own project and are not part of this one: take
/// them from the folder `dist` of the npm package `socket.io-client`.
#[derive(Debug, Default)]
pub struct ClientFiles {
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    content: Bytes,
    /// The same, compressed when it is asked for first.
    compressed: OnceLock<Bytes>,
    etag: HeaderValue,
}

impl ClientFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// All files of the client that are in a folder, usually `node_modules/socket.io-client/dist`.
    ///
    /// # Errors
    /// When the folder cannot be read, or has none of them.
    pub fn from_dir(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = dir.as_ref();
        let mut this = Self::new();
        for name in NAMES {
            match std::fs::read(dir.join(name)) {
                Ok(content) => this = this.file(name, content),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if this.files.is_empty() {
            let text = format!("no file of the client is in {}", dir.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(this)
    }

    /// Adds a file by its name in the package: `socket.io.js`, `socket.io.min.js`, `socket.io.esm.min.js`,
    /// `socket.io.msgpack.min.js`, or the `.map` of one. Another name is an error when the server is built.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let hash = URL_SAFE_NO_PAD.encode(&Sha1::digest(&content)[..12]);
        // A hash in quotes is always a valid value.
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        self.files.insert(name.into(), File { content, compressed: OnceLock::new(), etag });
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self.files.keys().find(|name| !NAMES.contains(&name.as_str())) {
            Some(name) => Err(ConfigError::new(format!(
                "serve_client: {name:?} is not a file of the client; those are {}",
                NAMES.join(", ")
            ))),
            None => Ok(()),
        }
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The answer to a request for a file that is there.
    pub(super) fn respond(
        &self,
        name: &str,
        method: &Method,
        request: &HeaderMap,
        encoding: Encoding,
    ) -> Response<Bytes> {
        let Some(file) = self.files.get(name) else { return super::not_found() };
        if *method != Method::GET && *method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", Bytes::new());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let fresh = request.get_all(header::IF_NONE_MATCH).iter().any(|value| file.matches(value));
        let map = name.ends_with(".map");
        let kind = if map { "application/json" } else { "application/javascript; charset=utf-8" };
        let (body, gzip) = if fresh { (Bytes::new(), false) } else { file.body(encoding) };
        let status = if fresh { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut response = text(status, kind, body);
        let headers = response.headers_mut();
        if fresh {
            headers.remove(header::CONTENT_TYPE);
        }
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if encoding.varies() {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        headers.insert(header::ETAG, file.etag.clone());
        // Kept by browsers, and asked for again each time: another version of the client shows at once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// One file, under the names of the plain client and of the small one.
impl From<Bytes> for ClientFiles {
    fn from(content: Bytes) -> Self {
        Self::new().file("socket.io.js", content.clone()).file("socket.io.min.js", content)
    }
}

impl From<&'static [u8]> for ClientFiles {
    fn from(content: &'static [u8]) -> Self {
        Bytes::from_static(content).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for ClientFiles {
    fn from(content: &'static [u8; N]) -> Self {
        Bytes::from_static(content).into()
    }
}

impl From<&'static str> for ClientFiles {
    fn from(content: &'static str) -> Self {
        content.as_bytes().into()
    }
}

impl From<Vec<u8>> for ClientFiles {
    fn from(content: Vec<u8>) -> Self {
        Bytes::from(content).into()
    }
}

impl File {
    /// Whether one of the tags in an `If-None-Match` is this file's.
    fn matches(&self, tags: &HeaderValue) -> bool {
        tags.as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes())
    }

    /// What is sent, and whether it is compressed.
    fn body(&self, encoding: Encoding) -> (Bytes, bool) {
        if !encoding.gzips(&self.content) {
            return (self.content.clone(), false);
        }
        let compressed = self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into a vector cannot fail.
            let _ = encoder.write_all(&self.content);
            encoder.finish().unwrap_or_default().into()
        });
        (compressed.clone(), true)
    }
}
