//! The JavaScript client, served beside the endpoint.

use std::io::Read;

use ::http::HeaderValue;
use wirebird::{ClientFiles, Server};

use crate::http::{Response, Site};

const SCRIPT: &str = "/socket.io/socket.io.js";

#[track_caller]
fn assert_script(response: &Response, text: &str) {
    assert_eq!((response.status, response.text()), (200, text.into()));
    assert_eq!(response.header("content-type"), Some("application/javascript; charset=utf-8"));
    assert_eq!(response.header("cache-control"), Some("public, max-age=0"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let etag = response.header("etag").unwrap();
    assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
}

/// F-STA-14, F-NOD-20: one file is there as the plain client and as the small one, however the server is reached; the
/// endpoint stays what it is.
#[tokio::test]
async fn the_client_is_served_beside_the_endpoint() {
    let io = Server::builder().serve_client("var io;").build();
    for (way, site) in Site::each(&io).await {
        for name in ["socket.io.js", "socket.io.min.js", "socket.io.js?v=2"] {
            assert_script(&site.get(&format!("/socket.io/{name}")).await, "var io;");
        }
        let head = site.request("HEAD", SCRIPT, &[], "").await;
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, Some("7"), 0),
            "{way}"
        );
        let post = site.request("POST", SCRIPT, &[], "4x").await;
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{way}");
        for other in
            ["socket.io.esm.min.js", "socket.io.js.map", "other.js", "socket.io.js/", "../socket.io.js"]
        {
            assert_eq!(site.get(&format!("/socket.io/{other}")).await.status, 404, "{other} by {way}");
        }
        let open = site.get("/socket.io/?EIO=4&transport=polling").await;
        let target = format!("{SCRIPT}?EIO=4&transport=polling&sid={}", open.sid());
        assert_script(&site.get(&target).await, "var io;");
    }
}

/// F-STA-14: without the option there is nothing.
#[tokio::test]
async fn the_client_is_not_served_by_default() {
    for (way, site) in Site::each(&Server::new()).await {
        assert_eq!(site.get(SCRIPT).await.status, 404, "{way}");
    }
}

/// F-STA-14: a client that has the file asks whether it is still the same.
#[tokio::test]
async fn the_client_is_not_sent_again() {
    let site = Site::alone(&Server::builder().serve_client("var io;").build()).await;
    let etag = site.get(SCRIPT).await.header("etag").unwrap().to_owned();
    for tags in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
        let response = site.request("GET", SCRIPT, &[("If-None-Match", &tags)], "").await;
        assert_eq!((response.status, response.header("etag")), (304, Some(&*etag)), "{tags}");
        assert_eq!((response.header("content-type"), response.body.len()), (None, 0));
        assert_eq!(response.header("cache-control"), Some("public, max-age=0"));
    }
    let other = Server::builder().serve_client("var io = 2;").build();
    let site = Site::alone(&other).await;
    let response = site.request("GET", SCRIPT, &[("If-None-Match", &etag)], "").await;
    assert_script(&response, "var io = 2;");
}

/// F-STA-14: the files of a folder, as npm has them, under their own names and with their own types.
#[tokio::test]
async fn all_files_of_the_package_are_served() {
    let dir = std::env::temp_dir().join(format!("wirebird-client-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let missing = ClientFiles::from_dir(&dir).unwrap_err().to_string();
    assert!(missing.contains("no file of the client"), "{missing}");
    let names = ["socket.io.esm.min.js", "socket.io.msgpack.min.js", "socket.io.js.map", "package.json"];
    for name in names {
        std::fs::write(dir.join(name), name.repeat(200)).unwrap();
    }
    let files = ClientFiles::from_dir(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let site = Site::alone(&Server::builder().path("/x").serve_client(files).build()).await;
    for name in &names[..2] {
        assert_script(&site.get(&format!("/x/{name}")).await, &name.repeat(200));
    }
    let map = site.get("/x/socket.io.js.map").await;
    assert_eq!((map.status, map.header("content-type")), (200, Some("application/json")));
    assert_eq!(site.get("/x/package.json").await.status, 404);

    let gzip = [("Accept-Encoding", "gzip, br")];
    for _ in 0..2 {
        let response = site.request("GET", "/x/socket.io.esm.min.js", &gzip, "").await;
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        assert!(response.all("vary").iter().any(|vary| vary.contains("Accept-Encoding")));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*response.body).read_to_string(&mut text).unwrap();
        assert_eq!(text, names[0].repeat(200));
    }
}

/// F-STA-14, F-COR-07: any page may load the script; only those of allowed origins may read it.
#[tokio::test]
async fn scripts_follow_cors() {
    let io = Server::builder().serve_client("var io;").cors_allowed_origins(["https://a.com"]).build();
    let site = Site::alone(&io).await;
    for (origin, allowed) in [("https://a.com", Some("https://a.com")), ("https://b.com", None)] {
        let response = site.request("GET", SCRIPT, &[("Origin", origin)], "").await;
        assert_script(&response, "var io;");
        assert_eq!(response.header("access-control-allow-origin"), allowed);
        assert!(response.all("vary").contains(&"Origin"));
    }
}

/// F-NOD-19: the hook for all responses sees these, too.
#[tokio::test]
async fn hooks_add_headers_to_scripts() {
    let io = Server::builder()
        .serve_client("var io;")
        .headers(|headers, _| {
            headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
        })
        .build();
    let response = Site::alone(&io).await.get(SCRIPT).await;
    assert_eq!((response.status, response.header("cache-control")), (200, Some("max-age=60")));
}

/// F-STA-14: a file that no client asks for is an error.
#[tokio::test]
async fn other_names_are_an_error() {
    for name in ["socket.io", "../secret", "", "socket.io.js.gz"] {
        let files = ClientFiles::new().file(name, "x");
        let error = Server::builder().serve_client(files).try_build().unwrap_err().to_string();
        assert!(error.contains("serve_client") && error.contains("socket.io.min.js"), "{error}");
    }
}
