//! From a file to a response.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower_http::services::ServeFile;
use wirebird_engine::http::{Fallback, FallbackBody, Incoming, full, not_found};

use super::map::{Candidate, Map};
use crate::task::BoxFuture;

/// What is found where a file was looked for.
enum Found {
    File(PathBuf),
    Directory,
    Nothing,
}

impl Map {
    /// Answers a request with a file, if it means one; resolves to `None` when the file is not there.
    pub(crate) fn respond<B>(
        self: &Arc<Self>,
        request: &Request<B>,
    ) -> Option<BoxFuture<Option<Response<FallbackBody>>>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return None;
        }
        let candidate = self.find(request.uri().path())?;
        let (this, method, headers) = (self.clone(), request.method().clone(), request.headers().clone());
        let query = request.uri().query().map(str::to_owned);
        Some(Box::pin(async move { this.answer(candidate, method, headers, query.as_deref()).await }))
    }

    async fn answer(
        &self,
        candidate: Candidate,
        method: Method,
        headers: HeaderMap,
        query: Option<&str>,
    ) -> Option<Response<FallbackBody>> {
        let Candidate { path, root, content_type, redirect } = candidate;
        let shown = path.clone();
        let looked = tokio::task::spawn_blocking(move || look(&path, root.as_deref())).await;
        let found = match looked.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(found) => found,
            Err(error) => return failed(&shown, &error),
        };
        let path = match found {
            Found::File(path) => path,
            Found::Directory if self.redirect_directories => return redirect_to(&redirect?, query),
            Found::Directory | Found::Nothing => return None,
        };
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let response = match ServeFile::new(&path).try_call(request).await {
            Ok(response) => response,
            Err(error) => return failed(&path, &error),
        };
        let mut response = response.map(|body| body.map_err(Into::into).boxed_unsync());
        let headers = response.headers_mut();
        if let Some(content_type) = content_type.filter(|_| headers.contains_key(header::CONTENT_TYPE)) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some(cache_control) = &self.cache_control {
            headers.insert(header::CACHE_CONTROL, cache_control.clone());
        }
        Some(response)
    }
}

/// Looks for a file, which has to be below `root` after all links have been followed.
fn look(path: &Path, root: Option<&Path>) -> io::Result<Found> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        // A link to nowhere or to itself.
        Err(_) if path.ancestors().any(Path::is_symlink) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    if let Some(root) = root
        && !real.starts_with(root.canonicalize()?)
    {
        tracing::debug!(target: "wirebird::socketio", path = ?path, "a link out of static files");
        return Ok(Found::Nothing);
    }
    let metadata = real.metadata()?;
    Ok(if metadata.is_file() {
        Found::File(real)
    } else if metadata.is_dir() {
        Found::Directory
    } else {
        // Reading from a pipe or a device could take for ever.
        Found::Nothing
    })
}

/// What cannot be read is not there for the client; the operator hears of what is no answer to a mistyped path.
fn failed(path: &Path, error: &io::Error) -> Option<Response<FallbackBody>> {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | NotADirectory | InvalidFilename | InvalidInput => None,
        PermissionDenied => {
            tracing::warn!(target: "wirebird::socketio", path = ?path, "a static file may not be read");
            None
        }
        _ => {
            tracing::error!(target: "wirebird::socketio", path = ?path, %error, "a static file failed");
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Some(response)
        }
    }
}

/// To the same path with a slash. It is relative, so that it holds under any prefix that a proxy or a router took off.
fn redirect_to(segment: &str, query: Option<&str>) -> Option<Response<FallbackBody>> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("./{segment}/{query}")).ok()?;
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

/// Static files, and then the rest of an application.
pub(crate) struct Before {
    pub(crate) files: Arc<Map>,
    pub(crate) rest: Option<Arc<dyn Fallback>>,
}

impl Fallback for Before {
    fn call(&self, request: Request<Incoming>) -> BoxFuture<Response<FallbackBody>> {
        let rest = self.rest.clone();
        let file = self.files.respond(&request);
        Box::pin(async move {
            if let Some(file) = file
                && let Some(response) = file.await
            {
                return response;
            }
            match rest {
                Some(rest) => rest.call(request).await,
                None => not_found().map(full),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// F-LOG-03: the path is the client's choice, below a directory that may not be read for instance. It cannot forge a
    /// line of the log.
    #[test]
    fn paths_are_escaped_in_logs() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
                failed(Path::new("/public/private/\nforged"), &kind.into());
            }
        });
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.contains("forged")), "{text}");
    }
}
