//! The files of `docs/deploy` are those that the chapter on deployment shows, and fit together. `interop/run.sh` runs
//! them.

use std::fs;
use std::path::Path;

/// F-SCL-04, F-SCL-05, F-DEP-11: what readers copy is what the tests run.
#[test]
fn the_chapter_shows_the_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chapter = fs::read_to_string(here.join("src/deployment.md")).unwrap();
    let mut shown = 0;
    for entry in fs::read_dir(here.join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        let file = fs::read_to_string(&path).unwrap();
        assert!(
            chapter.contains(&format!("\n{file}```\n")),
            "deployment.md does not show {} as it is",
            path.display()
        );
        shown += 1;
    }
    assert_eq!(shown, 4);
}

/// F-DEP-11: the service, its socket and the proxies speak of the same addresses.
#[test]
fn the_files_fit_together() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for name in ["chat.service", "chat.socket", "nginx.conf", "haproxy.cfg"] {
        let file = fs::read_to_string(deploy.join(name)).unwrap();
        let mut lines = file.lines().filter(|line| !line.trim_start().starts_with('#'));
        assert!(lines.any(|line| line.contains("127.0.0.1:5001")), "{name}");
    }
}
