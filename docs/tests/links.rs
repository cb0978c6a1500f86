//! Chapters can be found, and what they point to is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(name: &str) -> String {
    fs::read_to_string(source().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files of the chapters, without the table of contents.
fn chapters() -> BTreeSet<String> {
    let entries =
        fs::read_dir(source()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

/// The lines of a chapter that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// Where a line points to.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// The names of a chapter's headings, as mdBook makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_within_the_guide_lead_somewhere() {
    let mut checked = 0;
    for chapter in chapters() {
        let text = read(&chapter);
        for target in prose(&text).flat_map(links).filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { &*chapter } else { file };
            assert!(chapters().contains(file), "{chapter}: there is no {target}");
            let found = anchor.is_empty() || anchors(&read(file)).contains(anchor);
            assert!(found, "{chapter}: there is no {target}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} links");
}

#[test]
fn every_chapter_is_in_the_table_of_contents_and_tested() {
    let contents = read("SUMMARY.md");
    let listed: BTreeSet<String> = contents.lines().flat_map(links).map(str::to_owned).collect();
    assert_eq!(listed, chapters());
    let tested = include_str!("../lib.rs");
    for chapter in chapters() {
        let has_code = read(&chapter).contains("```rust");
        assert!(!has_code || tested.contains(&format!("\"src/{chapter}\"")), "lib.rs lacks {chapter}");
    }
}
