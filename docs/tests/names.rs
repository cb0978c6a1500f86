//! The tables for those who come from another server name what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names in the tables that are not Wirebird's: of Rust, tokio and axum, and of the reader.
const OTHERS: &str =
    "Arc Duration Err RUST_LOG Router from_secs is_some serve sleep spawn A B Chat T User V f id on_my_event";

/// The words of Rust code, each with what follows it.
fn words(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = code;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        let len = rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + len];
        rest = &rest[start + len..];
        Some((word, rest))
    })
}

/// All words of the crates' sources.
fn known() -> BTreeSet<String> {
    fn collect(dir: &Path, known: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, known);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let mut defined = false;
                for (word, _) in code.flat_map(words) {
                    if defined || word.starts_with(|c: char| c.is_ascii_uppercase()) {
                        known.insert(word.to_owned());
                    }
                    defined = word == "fn";
                }
            }
        }
    }
    let mut known = BTreeSet::new();
    for name in ["server", "engine", "proto", "macros"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(name).join("src");
        collect(&root, &mut known);
    }
    known
}

/// The code in the last cell of each row.
fn answers(table: &str) -> impl Iterator<Item = &str> {
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|---"));
    rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "))
        .flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2))
}

#[test]
fn the_tables_name_what_is_there() {
    let known = known();
    let mut unknown = BTreeSet::new();
    let mut checked = 0;
    for server in ["flask-socketio", "python-socketio", "node", "socketioxide"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/from-{server}.md"));
        for (word, after) in answers(&fs::read_to_string(path).unwrap()).flat_map(words) {
            let is_type = word.starts_with(|c: char| c.is_ascii_uppercase());
            let is_call = after.starts_with('(') || after.starts_with("::<");
            if is_type || is_call {
                checked += 1;
                if !known.contains(word) && !OTHERS.split(' ').any(|other| other == word) {
                    unknown.insert(format!("{word} (from-{server}.md)"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "not there: {unknown:#?}");
    assert!(checked > 300, "{checked} names");
}
