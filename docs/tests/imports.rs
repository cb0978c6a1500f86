//! What a sample uses has been imported before the reader's eyes.
//!
//! The rule: a name that a hidden line (`# use …;`) imports and that the visible lines of the sample use is imported
//! by a visible line too, of this sample or of an earlier one of the chapter. Hidden lines may import for themselves
//! what they like: test clients, traits, `json!`; the crate `wirebird_guide` never needs to be shown.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The samples in Rust of a chapter: for each the number of its first line, and its lines.
fn samples(chapter: &str) -> Vec<(usize, Vec<&str>)> {
    let mut samples = Vec::new();
    let (mut code, mut rust) = (false, false);
    for (number, line) in chapter.lines().enumerate() {
        if line.starts_with("```") {
            code = !code;
            rust = code && line.starts_with("```rust");
            if rust {
                samples.push((number + 2, Vec::new()));
            }
        } else if rust {
            samples.last_mut().expect("a sample has begun").1.push(line);
        }
    }
    samples
}

/// A hidden line without its mark.
fn hidden(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("# ").or_else(|| (line == "#").then_some(""))
}

/// The paths that a tree of `use` names: `a::{B, c::D}` names `a::B` and `a::c::D`.
fn paths(tree: &str, prefix: &str, found: &mut BTreeSet<String>) {
    let tree = tree.trim();
    if let Some((head, inner)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) {
        let prefix = format!("{prefix}{}", head.trim());
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    paths(&inner[start..at], &prefix, found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        paths(&inner[start..], &prefix, found);
    } else if !tree.is_empty() {
        let path = tree.strip_suffix("::self").unwrap_or(tree);
        found.insert(format!("{prefix}{path}").trim_end_matches("::self").to_owned());
    }
}

/// What some lines import.
fn imports<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let code: Vec<_> = lines.map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let code = format!(" {}", code.join(" "));
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("use ") {
        let begins = matches!(code[..at].trim_end().chars().last(), None | Some(';' | '{' | '}' | ']'));
        if let Some((tree, _)) = code[at + 4..].split_once(';').filter(|_| begins) {
            paths(tree, "", &mut found);
        }
    }
    found
}

/// Whether code has a name as a word, outside of texts and comments.
fn uses(line: &str, name: &str) -> bool {
    let code: String = line.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let code = code.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// The imports of a chapter's samples that readers would miss, each with the line at which its sample begins.
fn missing(chapter: &str) -> Vec<(usize, String)> {
    let (mut shown, mut missing) = (BTreeSet::new(), Vec::new());
    for (number, lines) in samples(chapter) {
        let visible = || lines.iter().copied().filter(|line| hidden(line).is_none());
        shown.extend(imports(visible()));
        for path in imports(lines.iter().copied().filter_map(hidden)) {
            let name = path.rsplit([':', ' ']).next().unwrap_or_default();
            let scaffolding = path.starts_with("wirebird_guide");
            if !scaffolding && !shown.contains(&path) && visible().any(|line| uses(line, name)) {
                missing.push((number, path));
            }
        }
    }
    missing
}

#[test]
fn samples_compile_with_the_imports_that_readers_have_seen() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut checked, mut all) = (0, Vec::new());
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let chapter = fs::read_to_string(&path).unwrap();
        checked += samples(&chapter).len();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        all.extend(missing(&chapter).into_iter().map(|(line, path)| format!("{name}:{line}: use {path};")));
    }
    assert!(checked > 100, "{checked} samples");
    all.sort();
    assert!(all.is_empty(), "show these imports, in this or an earlier sample:\n{}", all.join("\n"));
}

#[test]
fn hidden_imports_are_found() {
    let chapter = "```rust\n# use a::{B, c::{D, E}};\nuse a::B;\nlet x = (B, D);\n# let y = E;\n```\n\
                   ```rust\n# use a::B;\n# use c::D; use f::G as H;\nB; D; H; // E\n```\n";
    let found = |line, path: &str| (line, path.to_owned());
    assert_eq!(missing(chapter), [found(2, "a::c::D"), found(8, "c::D"), found(8, "f::G as H")]);
    assert_eq!(missing("```rust\n# use a::{self, B};\nlet a = \"B\";\n```"), [found(2, "a")]);
    assert_eq!(missing("```rust\n# use wirebird_guide::run;\nrun();\n```\n```js\n# use a;\na\n```"), []);
}
