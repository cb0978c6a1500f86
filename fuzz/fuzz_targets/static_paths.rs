//! Paths of requests for static files: no path leads out of the directories, and what is answered can be sent.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower_service::Service as _;
use wirebird::{Server, StaticFiles};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/artifacts/static_paths/root");

static SITE: LazyLock<(Runtime, Server)> = LazyLock::new(|| {
    let file = |name: &str, text: &str| {
        let path = Path::new(ROOT).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("secret", "secret");
    file("public.secret", "secret");
    for name in ["a", "index.html", "sub/a", "sub/index.html", "%2e%2e/a", "...", "a b", "deep/er/a"] {
        file(&format!("public/{name}"), "public");
    }
    for (link, target) in [("out", "../secret"), ("above", ".."), ("itself", "itself"), ("inside", "sub/a")] {
        let link = Path::new(ROOT).join("public").join(link);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(target, link).unwrap();
        }
    }
    let public = format!("{ROOT}/public");
    let files = StaticFiles::new()
        .dir("/", &public)
        .dir("/s/", format!("{public}/sub"))
        .dir("/files/deep", format!("{public}/deep"))
        .file("/one", format!("{public}/a"))
        .redirect_directories(true);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    (runtime, Server::builder().static_files(files).build())
});

fuzz_target!(|input: &[u8]| {
    let Some(uri) = std::str::from_utf8(input).ok().and_then(|text| Uri::try_from(text).ok()) else { return };
    let (runtime, io) = &*SITE;
    if io.is_endpoint(uri.path()) {
        return;
    }
    let path = uri.path().to_owned();
    let mut request = Request::new(Full::<Bytes>::default());
    *request.uri_mut() = uri;
    let response = runtime.block_on(io.service().call(request)).expect("an answer");
    let (parts, body) = response.into_parts();
    let body = runtime.block_on(body.collect()).expect("a body").to_bytes();
    match parts.status.as_u16() {
        200 => assert_eq!(body, "public", "{path}"),
        301 => {
            let location = parts.headers["location"].as_bytes();
            assert!(location.starts_with(b"./") && !location.starts_with(b"./."), "{path}: {location:?}");
        }
        404 => assert_eq!(body, "Not Found", "{path}"),
        other => panic!("{other} for {path}"),
    }
});
