//! Static files: which file a path means, what it is sent as, and that nothing else can be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::routing::{any, get};
use wirebird::{Server, StaticFiles};

use crate::http::{Response, Site};

/// A directory that ends with the test.
struct Dir(PathBuf);

impl Dir {
    /// `secret.txt` and `public` with some files.
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let this = Self(std::env::temp_dir().join(format!("wirebird-static-{}-{count}", std::process::id())));
        fs::create_dir_all(&this.0).unwrap();
        this.write("secret.txt", "top secret");
        for name in [
            "index.html",
            "a.css",
            "a.txt",
            "sub/index.html",
            "sub/main.htm",
            "sub/deep/b.js",
            "empty/.keep",
            "staticx",
        ] {
            this.write(&format!("public/{name}"), name);
        }
        this
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn serve(files: StaticFiles) -> Site {
    Site::alone(&Server::builder().static_files(files).build()).await
}

#[track_caller]
fn assert_file(response: &Response, text: &str, content_type: &str) {
    assert_eq!((response.status, response.text().as_str()), (200, text));
    assert_eq!(response.header("content-type"), Some(content_type));
}

#[track_caller]
fn assert_missing(response: &Response, what: &str) {
    assert_eq!((response.status, response.text().as_str()), (404, "Not Found"), "{what}");
    assert_eq!(response.header("content-type"), Some("text/plain"), "{what}");
}

/// F-STA-01: first the endpoint, then static files, then the application, then 404; however the server is reached.
#[tokio::test]
async fn the_order_is_endpoint_files_application_nothing() {
    let dir = Dir::new();
    dir.write("public/socket.io/index.html", "not the endpoint");
    dir.write("public/app", "file");
    let io = Server::builder().static_files(StaticFiles::new().dir("/", dir.path("public"))).build();
    let polling = "/socket.io/?EIO=4&transport=polling";
    for (way, site) in Site::each(&io).await {
        assert_eq!(site.get(polling).await.sid().len(), 20, "{way}");
        assert_file(&site.get("/a.css").await, "a.css", "text/css");
        assert_file(&site.get("/app").await, "file", "application/octet-stream");
        assert_eq!(site.get("/none").await.status, 404, "{way}");
    }
    fs::remove_file(dir.0.join("public/app")).unwrap();
    let app = Router::new().route("/app", any(async || "application")).fallback(async || "the rest");
    let site = Site::axum(app.layer(io.layer())).await;
    assert_eq!(site.get("/app").await.text(), "application");
    assert_eq!(site.get("/none").await.text(), "the rest");
    assert_missing(&Site::alone(&io).await.get("/none").await, "nobody else is there");
}

/// F-STA-01: an application sees the request that no file was found for as it was, body included.
#[tokio::test]
async fn the_application_gets_the_request_unchanged() {
    let dir = Dir::new();
    let io = Server::builder().static_files(StaticFiles::new().dir("/", dir.path("public"))).build();
    let echo = async |request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 100).await.unwrap();
        format!("{} {} {:?} {}", parts.method, parts.uri, parts.headers["x-a"], body.escape_ascii())
    };
    let site = Site::axum(Router::new().fallback(echo).layer(io.layer())).await;
    let request = site.request("GET", "/x%20y//z?q=1", &[("X-A", "1")], "hi").await;
    assert_eq!(request.text(), r#"GET /x%20y//z?q=1 "1" hi"#);
}

/// F-STA-02: a URL means a file, with a content type if it is given; paths are relative to the working directory.
#[tokio::test]
async fn a_url_means_a_file() {
    let dir = Dir::new();
    let here = Path::new("Cargo.toml");
    assert!(here.exists(), "tests run in the directory of the crate");
    let site = serve(
        StaticFiles::new()
            .file("/", dir.path("public/index.html"))
            .file_as("/feed", dir.path("public/a.txt"), "application/rss+xml; charset=utf-8")
            .file("/deep/er", dir.path("public/a.css"))
            .file("/with space", dir.path("public/a.txt"))
            .file("/manifest", here)
            .file("/dir/", format!("{}/", dir.path("public/sub"))),
    )
    .await;
    assert_file(&site.get("/").await, "index.html", "text/html");
    assert_file(&site.get("/feed").await, "a.txt", "application/rss+xml; charset=utf-8");
    assert_file(&site.get("/feed?x=/../y").await, "a.txt", "application/rss+xml; charset=utf-8");
    assert_file(&site.get("/deep/er").await, "a.css", "text/css");
    assert_file(&site.get("/with%20space").await, "a.txt", "text/plain");
    assert_file(&site.get("/%66eed").await, "a.txt", "application/rss+xml; charset=utf-8");
    assert!(site.get("/manifest").await.text().contains("[package]"));
    assert_file(&site.get("/dir/").await, "sub/index.html", "text/html");
    for other in
        ["/feed/", "/feed/x", "/fee", "/feedx", "/deep", "/deep/er/x", "/dir", "/dir/index.html", "/FEED"]
    {
        assert_missing(&site.get(other).await, other);
    }
}

/// F-STA-03: types by extension, whatever its case; others are bytes, unless all types are asked for.
#[tokio::test]
async fn types_go_by_extension() {
    let dir = Dir::new();
    let known = [
        ("html", "text/html"),
        ("css", "text/css"),
        ("js", "application/javascript"),
        ("json", "application/json"),
        ("jpg", "image/jpeg"),
        ("png", "image/png"),
        ("gif", "image/gif"),
        ("txt", "text/plain"),
    ];
    let unknown = ["svg", "jpeg", "htm", "", "tar.gz", "unheard-of"];
    for extension in known.iter().map(|(extension, _)| *extension).chain(unknown) {
        dir.write(&format!("public/f.{extension}"), extension);
        dir.write(&format!("public/F.{}", extension.to_uppercase()), extension);
    }
    dir.write("public/css", "no extension");
    dir.write("public/v1.html/plain", "the dot is elsewhere");
    let site = serve(StaticFiles::new().dir("/", dir.path("public"))).await;
    for (extension, content_type) in known {
        assert_file(&site.get(&format!("/f.{extension}")).await, extension, content_type);
        assert_file(&site.get(&format!("/F.{}", extension.to_uppercase())).await, extension, content_type);
    }
    for extension in unknown {
        assert_file(&site.get(&format!("/f.{extension}")).await, extension, "application/octet-stream");
    }
    assert_file(&site.get("/css").await, "no extension", "application/octet-stream");
    assert_file(&site.get("/v1.html/plain").await, "the dot is elsewhere", "application/octet-stream");

    let site = serve(StaticFiles::new().dir("/", dir.path("public")).guess_types(true)).await;
    assert_file(&site.get("/f.svg").await, "svg", "image/svg+xml");
    assert_file(&site.get("/f.jpeg").await, "jpeg", "image/jpeg");
    assert_file(&site.get("/f.unheard-of").await, "unheard-of", "application/octet-stream");
}

/// F-STA-04: the longest directory that begins the path on a boundary; files beat directories; slashes collapse.
#[tokio::test]
async fn the_longest_directory_counts() {
    let dir = Dir::new();
    let site = serve(
        StaticFiles::new()
            .dir("/static", dir.path("public"))
            .dir("/static/sub", dir.path("public/sub/deep"))
            .file("/static/a.css", dir.path("public/a.txt")),
    )
    .await;
    assert_file(&site.get("/static/a.txt").await, "a.txt", "text/plain");
    assert_file(&site.get("/static/sub/b.js").await, "sub/deep/b.js", "application/javascript");
    assert_missing(&site.get("/static/sub/main.htm").await, "the longer one counts");
    assert_file(&site.get("/static/a.css").await, "a.txt", "text/plain");
    assert_file(&site.get("//static///sub//b.js").await, "sub/deep/b.js", "application/javascript");
    for other in ["/staticx", "/static.txt", "/staticx/a.txt", "/Static/a.txt", "/", "/x/static/a.txt"] {
        assert_missing(&site.get(other).await, other);
    }
}

/// F-STA-05: a slash at the end means the index file, by default or by name, with a type if it has one.
#[tokio::test]
async fn a_slash_at_the_end_means_the_index() {
    let dir = Dir::new();
    let public = || StaticFiles::new().dir("/static", dir.path("public"));
    let site = serve(public()).await;
    assert_file(&site.get("/static/").await, "index.html", "text/html");
    assert_file(&site.get("/static/sub/").await, "sub/index.html", "text/html");
    for missing in ["/static/empty/", "/static/a.txt/", "/static/none/"] {
        assert_missing(&site.get(missing).await, missing);
    }

    let site = serve(public().index("main.htm")).await;
    assert_file(&site.get("/static/sub/").await, "sub/main.htm", "application/octet-stream");
    assert_missing(&site.get("/static/").await, "that one has no such file");

    let site = serve(public().index_as("main.htm", "text/html")).await;
    assert_file(&site.get("/static/sub/").await, "sub/main.htm", "text/html");
    assert_file(&site.get("/static/sub/main.htm").await, "sub/main.htm", "application/octet-stream");

    let all = StaticFiles::new().dir_as("/x", dir.path("public"), "text/x").index_as("index.html", "text/y");
    let site = serve(all).await;
    assert_file(&site.get("/x/").await, "index.html", "text/y");
    assert_file(&site.get("/x/sub/main.htm").await, "sub/main.htm", "text/x");

    let site = serve(StaticFiles::new().dir("/static/", dir.path("public"))).await;
    assert_missing(&site.get("/static").await, "only with its slash");
    assert_file(&site.get("/static/").await, "index.html", "text/html");
    assert_file(&site.get("/static/a.css").await, "a.css", "text/css");
}

/// F-STA-06, hazard AB-12: a directory without its slash is not found, or redirected, wherever the server is mounted; a
/// missing file is left to the application.
#[tokio::test]
async fn a_directory_needs_its_slash() {
    let dir = Dir::new();
    let public = || StaticFiles::new().dir("/static", dir.path("public"));
    let site = serve(public()).await;
    for path in ["/static", "/static/sub", "/static/sub/deep", "/static//sub"] {
        assert_missing(&site.get(path).await, path);
    }

    let io = Server::builder().static_files(public().redirect_directories(true)).build();
    let alone = Site::alone(&io).await;
    let nested = Router::new().nest_service("/prefix", io.service());
    let nested = Site::axum(nested).await;
    for (path, location) in [
        ("/static", "./static/"),
        ("/static/sub", "./sub/"),
        ("/static/sub?q=1&r", "./sub/?q=1&r"),
        ("/static/%73ub", "./%73ub/"),
    ] {
        for response in [alone.get(path).await, nested.get(&format!("/prefix{path}")).await] {
            assert_eq!((response.status, response.header("location")), (301, Some(location)), "{path}");
        }
    }
    assert_missing(&alone.get("/static/none").await, "that is no directory");
    assert_file(&alone.get("/static/sub/").await, "sub/index.html", "text/html");
    // A browser stays on this host, whatever the path looks like.
    dir.write("public/evil.org/x", "");
    let root = StaticFiles::new().dir("/", dir.path("public")).redirect_directories(true);
    assert_eq!(serve(root).await.get("//evil.org").await.header("location"), Some("./evil.org/"));
}

/// F-STA-07: the index is an option of its own and never a URL: a directory for everything goes with it.
#[tokio::test]
async fn the_index_is_no_url() {
    let dir = Dir::new();
    let site = serve(StaticFiles::new().dir("/", format!("{}/", dir.path("public"))).index("a.txt")).await;
    assert_file(&site.get("/").await, "a.txt", "text/plain");
    assert_file(&site.get("/sub/deep/b.js").await, "sub/deep/b.js", "application/javascript");
    assert_missing(&site.get("/sub/").await, "no index there");
    for url in ["", "static", "http://a/b", "/a/../b", "/a//b", "/a\\b", "/./"] {
        let files = StaticFiles::new().dir(url, dir.path("public"));
        let error = Server::builder().static_files(files).try_build().unwrap_err().to_string();
        assert!(error.contains("static_files") && error.contains(&format!("{url:?}")), "{error}");
    }
}

/// F-STA-08, hazard AB-12: nothing leads out of a directory, however it is written, and however the server is reached.
#[tokio::test]
async fn nothing_leads_out_of_a_directory() {
    let dir = Dir::new();
    let secret = dir.path("secret.txt");
    let io = Server::builder()
        .static_files(StaticFiles::new().dir("/static", dir.path("public")).dir("/", dir.path("public")))
        .build();
    for (way, site) in Site::each(&io).await {
        for path in [
            "/static/../secret.txt",
            "/static/../../secret.txt",
            "/static/sub/../../secret.txt",
            "/static/%2e%2e/secret.txt",
            "/static/%2e./secret.txt",
            "/static/..%2fsecret.txt",
            "/static/..%2Fsecret.txt",
            "/static/%2e%2e%2fsecret.txt",
            "/static/..%5csecret.txt",
            "/static/%5c..%5csecret.txt",
            "/static/..\\secret.txt",
            "/static../secret.txt",
            "/static..%2fsecret.txt",
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/static/a.txt%00",
            "/static/%00",
            "/static/..%00/secret.txt",
            "/static/a.txt%00/../../secret.txt",
            "/static/.../secret.txt",
            "/static/..;/secret.txt",
            "/static/%c0%ae%c0%ae/secret.txt",
            "/static/%252e%252e/secret.txt",
            "/static/%ff",
            &format!("/static/{secret}"),
            &format!("/static/{}", secret.replace('/', "%2f")),
            &secret,
        ] {
            let response = site.get(path).await;
            assert_eq!(response.status, 404, "{path} by {way}: {}", response.text());
            assert!(!response.text().contains("top secret"), "{path} by {way}");
        }
    }
}

/// F-STA-08: links stay in their directory, unless they may lead out; a link that is named is followed.
#[cfg(unix)]
#[tokio::test]
async fn links_stay_in_their_directory() {
    use std::os::unix::fs::symlink;
    let dir = Dir::new();
    for (target, link) in [
        (dir.path("secret.txt"), "out.txt"),
        ("../secret.txt".into(), "relative.txt"),
        (dir.path(""), "updir"),
        (dir.path("public/a.txt"), "in.txt"),
        ("sub/deep".into(), "indir"),
        ("nowhere".into(), "broken"),
        ("loop".into(), "loop"),
    ] {
        symlink(target, dir.0.join("public").join(link)).unwrap();
    }
    symlink(dir.path("public"), dir.0.join("linked")).unwrap();
    for root in ["public", "linked"] {
        let files =
            || StaticFiles::new().dir("/static", dir.path(root)).file("/named", dir.path("public/out.txt"));
        let site = serve(files()).await;
        for path in
            ["out.txt", "relative.txt", "updir/secret.txt", "broken", "loop", "updir/public/../secret.txt"]
        {
            assert_missing(&site.get(&format!("/static/{path}")).await, path);
        }
        assert_file(&site.get("/static/in.txt").await, "a.txt", "text/plain");
        assert_file(&site.get("/static/indir/b.js").await, "sub/deep/b.js", "application/javascript");
        assert_file(&site.get("/named").await, "top secret", "text/plain");

        let site = serve(files().follow_symlinks(true)).await;
        for path in ["out.txt", "relative.txt", "updir/secret.txt"] {
            assert_file(&site.get(&format!("/static/{path}")).await, "top secret", "text/plain");
        }
        assert_missing(&site.get("/static/../secret.txt").await, "links only");
        for path in ["broken", "loop"] {
            assert_missing(&site.get(&format!("/static/{path}")).await, path);
        }
    }
}

/// F-STA-08: what is no file, and what may not be read, is not found; reading a pipe would never end.
#[cfg(unix)]
#[tokio::test]
async fn only_files_are_served() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let fifo = dir.path("public/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let site = serve(StaticFiles::new().dir("/", dir.path("public")).file("/pipe2", &fifo)).await;
    assert_missing(&site.get("/pipe").await, "a pipe");
    assert_missing(&site.get("/pipe2").await, "a pipe");
    fs::set_permissions(dir.0.join("public/a.txt"), fs::Permissions::from_mode(0o0)).unwrap();
    // Root may read everything.
    if fs::read(dir.0.join("public/a.txt")).is_err() {
        assert_missing(&site.get("/a.txt").await, "a file that may not be read");
    }
    assert_missing(&site.get(&format!("/{}", "x".repeat(5000))).await, "a name that is too long");
}

/// F-STA-09: GET and HEAD only; anything else is left to the application. A directory's type is that of all its files.
#[tokio::test]
async fn other_methods_are_left_to_the_application() {
    let dir = Dir::new();
    let files = StaticFiles::new().dir_as("/static", dir.path("public"), "text/plain; charset=utf-8");
    let io = Server::builder().static_files(files).build();
    let app = Router::new().fallback(async |method: ::http::Method| format!("app {method}"));
    for (site, rest) in [(Site::alone(&io).await, false), (Site::axum(app.layer(io.layer())).await, true)] {
        for name in ["a.css", "index.html", "sub/main.htm"] {
            assert_file(&site.get(&format!("/static/{name}")).await, name, "text/plain; charset=utf-8");
        }
        let head = site.request("HEAD", "/static/a.css", &[], "").await;
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5"), 0));
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let response = site.request(method, "/static/a.css", &[], "").await;
            if rest {
                assert_eq!(response.text(), format!("app {method}"));
            } else {
                assert_missing(&response, method);
            }
        }
    }
    for bad in ["", "a\nb", "\u{1}"] {
        let files = StaticFiles::new().dir_as("/static", "x", bad);
        let error = Server::builder().static_files(files).try_build().unwrap_err().to_string();
        assert!(error.contains("static_files") && error.contains("content type"), "{error}");
    }
}

/// F-STA-10: browsers fetch again only what has changed, and parts of it.
#[tokio::test]
async fn files_are_fetched_in_parts_and_when_they_change() {
    let dir = Dir::new();
    let big = "0123456789".repeat(30_000);
    dir.write("public/big.txt", &big);
    let files = StaticFiles::new().dir("/", dir.path("public")).cache_control("public, max-age=60");
    let io = Server::builder().static_files(files).build();
    for (way, site) in Site::each(&io).await {
        let whole = site.get("/big.txt").await;
        assert!(whole.status == 200 && whole.text() == big, "{way}");
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        assert_eq!(whole.header("cache-control"), Some("public, max-age=60"));
        let etag = whole.header("etag").unwrap();
        let modified = whole.header("last-modified").unwrap();

        for condition in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
            let response = site.request("GET", "/big.txt", &[condition], "").await;
            assert_eq!((response.status, response.body.len()), (304, 0), "{condition:?} by {way}");
            assert_eq!(response.header("etag"), Some(etag));
            assert_eq!(response.header("content-type"), None);
        }
        let changed = site.request("GET", "/big.txt", &[("If-None-Match", "\"other\"")], "").await;
        assert_eq!(changed.status, 200);

        for (range, part) in
            [("bytes=10-14", &big[10..15]), ("bytes=299990-", &big[299_990..]), ("bytes=-3", "789")]
        {
            let response = site.request("GET", "/big.txt", &[("Range", range)], "").await;
            assert_eq!((response.status, response.text().as_str()), (206, part), "{range} by {way}");
            assert!(response.header("content-range").unwrap().ends_with("/300000"));
            assert_eq!(response.header("content-type"), Some("text/plain"));
        }
        let beyond = site.request("GET", "/big.txt", &[("Range", "bytes=300000-")], "").await;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */300000")));
    }
}

/// F-STA-13: files and endpoint under a prefix that axum takes off.
#[tokio::test]
async fn a_server_works_under_a_prefix() {
    let dir = Dir::new();
    let io = Server::builder().static_files(StaticFiles::new().dir("/static", dir.path("public"))).build();
    let inner = Router::new()
        .route("/app", get(async || "app"))
        .fallback(async || (::http::StatusCode::NOT_FOUND, "Not Found"));
    for (way, app) in [
        ("service", Router::new().nest_service("/prefix", io.service())),
        ("layer", Router::new().nest("/prefix", inner.layer(io.layer()))),
    ] {
        let site = Site::axum(app).await;
        let polling = "/prefix/socket.io/?EIO=4&transport=polling";
        let session = format!("{polling}&sid={}", site.get(polling).await.sid());
        assert_eq!(site.request("POST", &session, &[], "40").await.text(), "ok", "{way}");
        assert!(site.get(&session).await.text().starts_with("40{"), "{way}");
        let upgrade = site.upgrade(&session.replace("polling", "websocket"), &[]).await;
        assert_eq!(upgrade.status, 101, "{way}");
        assert_file(&site.get("/prefix/static/a.css").await, "a.css", "text/css");
        for other in ["/static/a.css", "/socket.io/?EIO=4&transport=polling", "/prefix/none"] {
            assert_eq!(site.get(other).await.status, 404, "{other} by {way}");
        }
    }
}

/// F-STA-08: names that begin with a dot are not found below a directory, however they are written, unless that is asked
/// for; what is behind the server gets the request.
#[tokio::test]
async fn dotfiles_are_left_alone() {
    let dir = Dir::new();
    for name in [".env", ".git/config", "sub/.htpasswd", ".well-known/acme"] {
        dir.write(&format!("public/{name}"), "hidden");
    }
    let files = || StaticFiles::new().dir("/s", dir.path("public"));
    let hidden = ["/s/.env", "/s/%2eenv", "/s/.git/config", "/s/sub/.htpasswd", "/s/.well-known/acme"];
    let site = serve(files()).await;
    for path in hidden {
        assert_missing(&site.get(path).await, path);
    }
    let site = serve(files().dotfiles(true)).await;
    for path in hidden {
        assert_eq!(site.get(path).await.text(), "hidden", "{path}");
    }
    assert_missing(&site.get("/s/../secret.txt").await, "a way out");
    let site = serve(files().dir("/s/.well-known", dir.path("public/.well-known"))).await;
    assert_eq!(site.get("/s/.well-known/acme").await.text(), "hidden");
    assert_missing(&site.get("/s/.env").await, "its neighbour");
}

/// F-DEP-03, F-STA-11: what stands around the server may ask its answers for bodies that are `Sync`.
#[tokio::test]
async fn bodies_are_sync() {
    fn is_sync<T: Send + Sync + 'static>(body: T) -> T {
        body
    }
    let dir = Dir::new();
    let io = Server::builder().static_files(StaticFiles::new().dir("/s", dir.path("public"))).build();
    let request = http::Request::get("/s/a.txt").body(axum::body::Body::empty()).unwrap();
    let response = tower_service::Service::call(&mut io.service(), request).await.unwrap();
    let body = http_body_util::BodyExt::boxed(is_sync(response.into_body()));
    assert_eq!(http_body_util::BodyExt::collect(body).await.unwrap().to_bytes(), "a.txt");
}
