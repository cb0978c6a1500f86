//! From the path of a request to a file, without looking at any file.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::{Kind, Rule, StaticFiles, header_value};
use crate::ConfigError;

/// What [`StaticFiles`] say, checked.
#[derive(Debug)]
pub(crate) struct Map {
    files: HashMap<String, Target>,
    /// By the length of their URLs, the longest first.
    dirs: Vec<Directory>,
    index: String,
    index_type: Option<HeaderValue>,
    guess_types: bool,
    dotfiles: bool,
    pub(super) follow_symlinks: bool,
    pub(super) redirect_directories: bool,
    pub(super) cache_control: Option<HeaderValue>,
}

#[derive(Debug)]
struct Target {
    path: PathBuf,
    /// The path of a file names the directory of an index file.
    is_dir: bool,
    content_type: Option<HeaderValue>,
}

#[derive(Debug)]
struct Directory {
    /// Without a slash at its end.
    url: String,
    /// The URL itself is not meant, only what is below it.
    only_below: bool,
    target: Target,
}

/// The file that a request means, if it is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(super) path: PathBuf,
    /// The directory that it must be in.
    pub(super) root: Option<PathBuf>,
    /// What it is sent as; `None` to guess.
    pub(super) content_type: Option<HeaderValue>,
    /// Where to look for it if it is a directory: the last segment of the path as the client wrote it.
    pub(super) redirect: Option<String>,
}

impl Map {
    pub(crate) fn new(files: &StaticFiles) -> Result<Self, ConfigError> {
        let (index, index_type) = match &files.index {
            Some((name, content_type)) => (name.as_str(), content_type.as_deref()),
            None => ("index.html", None),
        };
        if index.split('/').any(|segment| !is_name(segment)) {
            return Err(ConfigError::new(format!("static_files: {index:?} cannot be the name of the index")));
        }
        let content_type = |text: &str| header_value(format_args!("content type of a file"), text);
        let cache_control = files.cache_control.as_deref();
        let mut this = Self {
            files: HashMap::new(),
            dirs: Vec::new(),
            index: index.into(),
            index_type: index_type.map(content_type).transpose()?,
            guess_types: files.guess_types,
            dotfiles: files.dotfiles,
            follow_symlinks: files.follow_symlinks,
            redirect_directories: files.redirect_directories,
            cache_control: cache_control
                .map(|text| header_value(format_args!("Cache-Control header"), text))
                .transpose()?,
        };
        for rule in &files.rules {
            let content_type = rule.content_type.as_deref().map(content_type).transpose()?;
            this.add(rule, content_type)?;
        }
        this.dirs.sort_by_key(|dir| std::cmp::Reverse(dir.url.len()));
        Ok(this)
    }

    fn add(&mut self, rule: &Rule, content_type: Option<HeaderValue>) -> Result<(), ConfigError> {
        let url = rule.url.as_str();
        let inner = url.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        if inner.is_none_or(|rest| !rest.is_empty() && rest.split('/').any(|segment| !is_name(segment))) {
            let text = "must begin with a slash, and be written without `..` and without encoding";
            return Err(ConfigError::new(format!("static_files: the URL {url:?} {text}")));
        }
        let is_dir = rule.path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let path = std::path::absolute(&rule.path)
            .map_err(|error| ConfigError::new(format!("static_files: the path {:?}: {error}", rule.path)))?;
        if !path.exists() {
            // It may come later, but more often the process runs elsewhere than was thought.
            tracing::warn!(target: "wirebird::socketio", url, path = %path.display(), "static files are not there");
        }
        let target = Target { path, is_dir, content_type };
        match rule.kind {
            Kind::File => drop(self.files.insert(url.into(), target)),
            Kind::Directory => {
                let only_below = url.ends_with('/');
                let url = url.strip_suffix('/').unwrap_or(url).into();
                self.dirs.push(Directory { url, only_below, target });
            }
        }
        Ok(())
    }

    /// The file that a path means; `None` when it means none.
    pub(crate) fn find(&self, raw: &str) -> Option<Candidate> {
        let segments: Vec<String> =
            raw.split('/').filter(|segment| !segment.is_empty()).map(decode).collect::<Option<_>>()?;
        let mut path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        let slash = raw.ends_with('/');
        if slash {
            path.push('/');
        }
        if let Some(target) = self.files.get(&path) {
            return Some(self.candidate(target, target.path.clone(), target.is_dir, None));
        }
        let (dir, rest) = self.dirs.iter().find_map(|dir| Some((dir, dir.below(&path)?)))?;
        if !self.dotfiles && rest.split('/').any(|segment| segment.starts_with('.')) {
            return None;
        }
        let mut file = dir.target.path.clone();
        file.extend(rest.split('/').filter(|segment| !segment.is_empty()));
        let root = (!self.follow_symlinks).then(|| dir.target.path.clone());
        let mut candidate = self.candidate(&dir.target, file, slash, root);
        if !slash {
            candidate.redirect = raw.rsplit('/').next().map(str::to_owned);
        }
        Some(candidate)
    }

    fn candidate(&self, target: &Target, mut path: PathBuf, index: bool, root: Option<PathBuf>) -> Candidate {
        let mut content_type = target.content_type.clone();
        if index {
            path.extend(self.index.split('/'));
            content_type = self.index_type.clone().or(content_type);
        }
        if content_type.is_none() && !self.guess_types {
            content_type = Some(HeaderValue::from_static(by_extension(&path)));
        }
        Candidate { path, root, content_type, redirect: None }
    }
}

impl Directory {
    /// What comes after the URL of this directory in a path that it has.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.url)?;
        (rest.starts_with('/') || rest.is_empty() && !self.only_below).then_some(rest)
    }
}

/// One segment of a request's path; `None` when it is not the name of a file.
fn decode(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    is_name(&name).then(|| name.into_owned())
}

/// Whether a text names something in a directory, and nothing outside it, on any system.
fn is_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let normal = matches!(components.next(), Some(Component::Normal(part)) if part == name);
    let drive = cfg!(windows) && name.contains(':');
    normal && components.next().is_none() && !drive && !name.contains(['/', '\\', '\0'])
}

fn by_extension(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "application/javascript",
        "json" => "application/json",
        "jpg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &StaticFiles, path: &str) -> Option<String> {
        let candidate = Map::new(files).unwrap().find(path)?;
        let root = std::path::absolute("public").unwrap();
        let inside = candidate.path.strip_prefix(&root).expect("a file in the directory");
        Some(inside.to_str().unwrap().replace('\\', "/"))
    }

    #[test]
    fn nothing_leads_out_of_a_directory() {
        let files = StaticFiles::new().dir("/static", "public");
        for path in [
            "/static/..",
            "/static/../secret",
            "/static/a/../../secret",
            "/static/a/../b",
            "/static/.",
            "/static/./a",
            "/static/%2e%2e/secret",
            "/static/%2E%2e/secret",
            "/static/.%2e/secret",
            "/static/..%2fsecret",
            "/static/%2fetc%2fpasswd",
            "/static/a%2fb",
            "/static/..\\secret",
            "/static/..%5csecret",
            "/static/a%5c..%5c..%5csecret",
            "/static/a\\b",
            "/static/%00",
            "/static/a%00.html",
            "/static/%ff",
            "/static../secret",
            "/static%2f..%2fsecret",
            "/../static/a",
        ] {
            assert_eq!(found(&files, path), None, "{path}");
        }
        for (path, file) in [
            ("/static//etc/passwd", "etc/passwd"),
            ("/static/%252e%252e/a", "%2e%2e/a"),
            ("/static/a%20b", "a b"),
            ("/static/%C3%A4", "ä"),
        ] {
            assert_eq!(found(&files, path).as_deref(), Some(file), "{path}");
        }
    }

    #[test]
    fn dotfiles_are_found_only_when_that_is_asked_for() {
        let hidden = [".env", ".git/config", "a/.htpasswd", ".well-known/a/b", "...", "%2eenv", ".a/"];
        let files = StaticFiles::new().dir("/static", "public");
        for path in hidden {
            assert_eq!(found(&files, &format!("/static/{path}")), None, "{path}");
        }
        assert_eq!(found(&files, "/static/a.b").as_deref(), Some("a.b"));
        let files = files.dotfiles(true);
        for path in hidden {
            assert!(found(&files, &format!("/static/{path}")).is_some(), "{path}");
        }
        assert_eq!(found(&files, "/static/%2e%2e/a"), None, "no way out nevertheless");
        // What a rule names is meant.
        let files = StaticFiles::new().dir("/.well-known", "public").file("/.x", "public/.x");
        assert_eq!(found(&files, "/.well-known/a").as_deref(), Some("a"));
        assert_eq!(found(&files, "/.x").as_deref(), Some(".x"));
    }

    #[cfg(unix)]
    #[test]
    fn names_of_other_systems_are_names() {
        let files = StaticFiles::new().dir("/", "public");
        assert_eq!(found(&files, "/C:").as_deref(), Some("C:"));
    }
}
