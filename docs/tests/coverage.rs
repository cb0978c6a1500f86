//! `docs/coverage.md`: which test shows which feature. It is made from the comments of the tests and compared here;
//! `docs/coverage.sh` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tests are.
const PLACES: [&str; 5] = ["crates", "docs", "examples", "fuzz", "interop"];
/// Tests that are named for one feature; the others are counted.
const NAMED: usize = 3;

/// One line of `features.txt`.
struct Feature {
    id: String,
    level: char,
    title: String,
    /// The part that it belongs to and that does not exist yet.
    part: Option<String>,
}

/// The features in the order of their list, under their headings.
fn features() -> Vec<(String, Vec<Feature>)> {
    let mut sections: Vec<(String, Vec<Feature>)> = Vec::new();
    for line in include_str!("../features.txt").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading.into(), Vec::new()));
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().expect("an id, a level and a title").to_owned();
            let (id, level, rest) = (word(), word(), word());
            let (title, part) = match rest.strip_suffix(']').and_then(|rest| rest.rsplit_once(" [")) {
                Some((title, part)) => (title.into(), Some(part.into())),
                None => (rest, None),
            };
            let level = level.chars().next().expect("a level");
            let section = sections.last_mut().expect("a heading comes first");
            section.1.push(Feature { id, level, title, part });
        }
    }
    sections
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !["node_modules", "target", "corpus"].contains(&&*name) && !name.starts_with('.') {
                sources(&path, found);
            }
        } else if [".rs", ".js", ".mjs", ".py"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

/// The features that a line of a comment names: `F-EVT-01`, `AB-1`, `pain 1`.
fn ids(line: &str) -> Vec<String> {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    let listed = |text: &str| {
        let (group, rest) = (text.get(2..5)?, text.get(5..)?.strip_prefix('-')?);
        let valid = group.bytes().all(|byte| byte.is_ascii_uppercase());
        Some(format!("F-{group}-{:02}", number(rest).filter(|_| valid)?))
    };
    let numbered = |start: &str, end: &str, name: &str| -> Vec<String> {
        let places = line.match_indices(start).map(|(at, _)| &line[at + start.len()..]);
        let rest = places.filter_map(|rest| number(rest.strip_prefix(end).unwrap_or(rest)));
        rest.map(|number| format!("{name}-{number:02}")).collect()
    };
    let mut found = Vec::new();
    for (at, _) in line.match_indices("F-") {
        let Some(id) = listed(&line[at..]) else { continue };
        // From one to another of the same group.
        let last = line[at..].get(id.len()..).and_then(|rest| listed(rest.strip_prefix(" to ")?));
        let end = last.and_then(|last| number(last.strip_prefix(&id[..6])?));
        let first = number(&id[6..]).unwrap_or_default();
        found.extend((first..=end.unwrap_or(first)).map(|number| format!("{}{number:02}", &id[..6])));
    }
    found.extend(numbered("AB", "-", "AB"));
    found.extend(numbered("ain ", "", "PAIN"));
    found
}

/// The name of the test that begins at a line.
fn test_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(rest) =
        ["async fn ", "fn ", "async def ", "def "].iter().find_map(|start| line.strip_prefix(start))
    {
        return Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    let rest = ["test(", "it(", "describe("].iter().find_map(|start| line.strip_prefix(start))?;
    let quote = rest.chars().next().filter(|quote| "\"'`".contains(*quote))?;
    rest[1..].split(quote).next().map(str::to_owned)
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "#", "*", "/*", "\"\"\""].iter().any(|start| line.starts_with(start))
}

/// Whether a comment's line is an attribute rather than a comment.
fn is_attribute(line: &str) -> bool {
    line.trim_start().starts_with("#[")
}

/// What the tests of a file show: pairs of a feature and a test.
fn shown_in(text: &str, path: &str) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let (mut tested, mut last_python) = (false, None::<String>);
    for line in text.lines() {
        tested |= is_attribute(line)
            && (line.contains("test]") || line.contains("test(") || line.contains("proptest"));
        if is_comment(line) && !is_attribute(line) {
            // The comment of a test in Python stands behind its first line.
            match &last_python {
                Some(test) if line.trim_start().starts_with("\"\"\"") => {
                    shown.extend(ids(line).into_iter().map(|id| (id, test.clone())));
                }
                _ => waiting.extend(ids(line)),
            }
        } else if let Some(name) = test_name(line) {
            let rust = path.ends_with(".rs");
            let counts = if rust { tested } else { !path.ends_with(".py") || name.starts_with("test") };
            let named = waiting.drain(..).chain(ids(line));
            if counts {
                shown.extend(named.map(|id| (id, name.clone())));
            }
            (tested, last_python) = (false, path.ends_with(".py").then(|| name.clone()));
        } else if !line.trim().is_empty() && !is_attribute(line) && !line.trim_start().starts_with('@') {
            waiting.clear();
        }
    }
    shown
}

/// For each feature the tests that show it, as file and name.
fn shown() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let root = root();
    let mut files = Vec::new();
    PLACES.iter().for_each(|place| sources(&root.join(place), &mut files));
    let mut all: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        for (id, test) in shown_in(&text, &path) {
            all.entry(id).or_default().insert((path.clone(), test));
        }
    }
    all
}

fn table(
    sections: &[(String, Vec<Feature>)],
    shown: &BTreeMap<String, BTreeSet<(String, String)>>,
) -> String {
    let mut out = String::from(
        "# Features and the tests that show them\n\n\
         Made by `docs/coverage.sh` from the comments of the tests; a test compares it with them. **M** must be there, **S** should \
         be there, **B** is a bonus.\n",
    );
    for (heading, features) in sections {
        let here: Vec<_> = features.iter().filter(|feature| feature.part.is_none()).collect();
        if here.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## {heading}\n\n| feature | | | shown by |\n|---|---|---|---|\n");
        for feature in here {
            let tests = shown.get(&feature.id);
            let named = tests.into_iter().flatten().take(NAMED);
            let mut list: Vec<_> =
                named.map(|(path, test)| format!("[{}](../{path})", test.replace('|', "\\|"))).collect();
            let more = tests.map_or(0, BTreeSet::len).saturating_sub(NAMED);
            if more > 0 {
                list.push(format!("{more} more"));
            }
            let list = if list.is_empty() { "–".into() } else { list.join(", ") };
            let Feature { id, level, title, .. } = feature;
            let _ = writeln!(out, "| {id} | {level} | {title} | {list} |");
        }
    }
    let parts = [("queue", "message queues"), ("python", "the Python package"), ("admin", "the Admin UI")];
    out.push_str("\n## Not there yet\n\nThese belong to parts that are planned.\n\n");
    for (part, name) in parts {
        let ids: Vec<_> = sections
            .iter()
            .flat_map(|(_, features)| features)
            .filter(|feature| feature.part.as_deref() == Some(part))
            .map(|feature| format!("{} ({})", feature.id, feature.title))
            .collect();
        let _ = writeln!(out, "* {name}: {}.", ids.join(", "));
    }
    out
}

/// F-SEC-03: each known mistake has a test, as each feature has.
#[test]
fn the_table_is_up_to_date_and_complete() {
    let (sections, shown) = (features(), shown());
    let known: BTreeSet<&str> =
        sections.iter().flat_map(|(_, features)| features).map(|feature| feature.id.as_str()).collect();
    let unknown: Vec<_> = shown.iter().filter(|(id, _)| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "tests name features that docs/features.txt does not have: {unknown:?}");

    let made = table(&sections, &shown);
    let file = root().join("docs/coverage.md");
    if std::env::var_os("WRITE_COVERAGE").is_some() {
        fs::write(&file, &made).expect("docs/coverage.md can be written");
    }
    let missing: Vec<_> = sections
        .iter()
        .flat_map(|(_, features)| features)
        .filter(|feature| feature.part.is_none() && feature.level != 'B' && !shown.contains_key(&feature.id))
        .map(|feature| format!("{} ({}): {}", feature.id, feature.level, feature.title))
        .collect();
    assert!(missing.is_empty(), "features that no test shows:\n{}", missing.join("\n"));
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == made, "docs/coverage.md is not up to date: run docs/coverage.sh");
}

#[test]
fn comments_before_tests_are_found() {
    assert_eq!(ids("/// F-EVT-01 to F-EVT-03, R1"), ["F-EVT-01", "F-EVT-02", "F-EVT-03", "F-EVT-03"]);
    assert_eq!(ids("/// Pain 6, AB15, hazard AB-9, ABC"), ["AB-15", "AB-09", "PAIN-06"]);
    let rust = "/// F-EVT-01, F-EVT-02: one\n#[test]\nfn first() {\n}\n// F-EVT-03\nlet x = 1;\n#[test]\nfn second() {}";
    let of = |id: &str, test: &str| (id.to_owned(), test.to_owned());
    assert_eq!(shown_in(rust, "a.rs"), [of("F-EVT-01", "first"), of("F-EVT-02", "first")]);
    assert_eq!(shown_in("// F-ACK-01\ntest(\"acks\", () => {", "a.js"), [of("F-ACK-01", "acks")]);
    let python = "def test_acks():\n    \"\"\"F-ACK-01\"\"\"\n";
    assert_eq!(shown_in(python, "a.py"), [of("F-ACK-01", "test_acks")]);
    assert_eq!(shown_in("/// F-EVT-01\nfn no_test() {}", "a.rs"), []);
}
