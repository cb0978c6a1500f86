//! Static files beside a server.

mod map;
mod respond;

use std::fmt;
use std::path::PathBuf;

use http::HeaderValue;

use crate::ConfigError;
pub(crate) use map::Map;
pub(crate) use respond::Before;

/// Files and directories that a server answers with, for those who have no web server for it: single pages, scripts,
/// pictures.
///
/// ```no_run
/// use wirebird::{Server, StaticFiles};
///
/// # async fn f() -> std::io::Result<()> {
/// let files = StaticFiles::new()
///     .file("/", "public/index.html")
///     .file_as("/feed", "public/feed.xml", "application/rss+xml")
///     .dir("/static", "public/static");
/// let io = Server::builder().static_files(files).build();
/// io.serve("127.0.0.1:5000").await
/// # }
/// ```
///
/// Requests go to the Socket.IO server, then to these files, then to the rest of the application (that of
/// [`Server::layer`](crate::Server::layer)), else they get 404. Only GET and HEAD find files. A file is sent with `ETag`
/// and `Last-Modified`, in ranges and only when it has changed, as clients ask.
///
/// # Which file it is
///
/// * A URL of [`file`](Self::file) means that file, whatever directories there are.
/// * Of the directories whose URL begins the path, on a boundary of segments, the longest counts: `/static` has
///   `/static/a.css`, but not `/staticx`. With a slash at its end, `/static/` does not have `/static`.
/// * A path that ends in a slash means the file `index.html` there, or what [`index`](Self::index) says. A directory
///   without the slash is not found, or redirected: [`redirect_directories`](Self::redirect_directories).
/// * Several slashes are one. No path leads out of a directory: `..`, backslashes, zero bytes and encoded slashes are
///   not found, and neither are symbolic links to elsewhere, unless [`follow_symlinks`](Self::follow_symlinks) allows
///   them.
/// * What begins with a dot in a directory (`.env`, `.git/config`, `.well-known/..`) is not found, unless
///   [`dotfiles`](Self::dotfiles) allows it. URLs of rules may have such names.
/// * What is not found is left to the rest of the application.
///
/// # Its content type
///
/// That of the rule, if it has one, or else by the file's extension, in upper or lower case: html, css, js, json, jpg,
/// png, gif and txt are known; everything else is `application/octet-stream`, unless [`guess_types`](Self::guess_types)
/// asks for more.
#[derive(Debug, Clone, Default)]
#[must_use = "it does nothing until it is given to `Builder::static_files`"]
pub struct StaticFiles {
    rules: Vec<Rule>,
    index: Option<(String, Option<String>)>,
    follow_symlinks: bool,
    dotfiles: bool,
    redirect_directories: bool,
    guess_types: bool,
    cache_control: Option<String>,
}

#[derive(Debug, Clone)]
struct Rule {
    kind: Kind,
    url: String,
    path: PathBuf,
    content_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

impl StaticFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file. `url` is the whole path of the request, without encoding; `path` is relative to the directory in which
    /// the process is when the server is built. A path that ends in a slash means the index file there.
    pub fn file(self, url: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.rule(Kind::File, url.into(), path.into(), None)
    }

    /// As [`file`](Self::file), with a content type.
    pub fn file_as(
        self,
        url: impl Into<String>,
        path: impl Into<PathBuf>,
        content_type: impl Into<String>,
    ) -> Self {
        self.rule(Kind::File, url.into(), path.into(), Some(content_type.into()))
    }

    /// All files of a directory and those below it. `url` begins the path of the request.
    pub fn dir(self, url: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.rule(Kind::Directory, url.into(), path.into(), None)
    }

    /// As [`dir`](Self::dir), with one content type for all files.
    pub fn dir_as(
        self,
        url: impl Into<String>,
        path: impl Into<PathBuf>,
        content_type: impl Into<String>,
    ) -> Self {
        self.rule(Kind::Directory, url.into(), path.into(), Some(content_type.into()))
    }

    fn rule(mut self, kind: Kind, url: String, path: PathBuf, content_type: Option<String>) -> Self {
        self.rules.retain(|rule| rule.url != url);
        self.rules.push(Rule { kind, url, path, content_type });
        self
    }

    /// The file that a path with a slash at its end means. Default `index.html`.
    pub fn index(mut self, name: impl Into<String>) -> Self {
        self.index = Some((name.into(), None));
        self
    }

    /// As [`index`](Self::index), with a content type for it.
    pub fn index_as(mut self, name: impl Into<String>, content_type: impl Into<String>) -> Self {
        self.index = Some((name.into(), Some(content_type.into())));
        self
    }

    /// Whether symbolic links in a directory may lead out of it. Default false. A link that is named by
    /// [`file`](Self::file) is always followed.
    pub fn follow_symlinks(mut self, follow: bool) -> Self {
        self.follow_symlinks = follow;
        self
    }

    /// Whether what begins with a dot in a directory is found, files and directories. Default false, because it is often
    /// not meant for others: `.env`, `.git`, `.htpasswd`. A file that is named by [`file`](Self::file) is always found, and
    /// a directory such as `.well-known` can have a rule of its own.
    pub fn dotfiles(mut self, serve: bool) -> Self {
        self.dotfiles = serve;
        self
    }

    /// Whether a directory that is requested without a slash at its end is redirected (301) to the one with it.
    /// Default false: it is not found.
    pub fn redirect_directories(mut self, redirect: bool) -> Self {
        self.redirect_directories = redirect;
        self
    }

    /// Whether content types come from a full table of extensions. Default false.
    pub fn guess_types(mut self, guess: bool) -> Self {
        self.guess_types = guess;
        self
    }

    /// The `Cache-Control` header that files are sent with, such as `public, max-age=3600`. Default none.
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.cache_control = Some(value.into());
        self
    }
}

/// The value of a header, or what is wrong with it.
fn header_value(what: fmt::Arguments<'_>, text: &str) -> Result<HeaderValue, ConfigError> {
    let value = HeaderValue::from_str(text).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| ConfigError::new(format!("static_files: {text:?} cannot be the {what}")))
}
