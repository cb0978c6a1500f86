//! Nobody adds a limit without saying so and trying it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wirebird::Limit;

/// F-SEC-01, F-LOG-05: each limit has a row in the table of SECURITY.md, with its default and what is beyond it, and a test of
/// its name; options that the table names are there.
#[test]
fn each_limit_has_a_row_and_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("../../SECURITY.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("| what | default |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let all_of = |folder: &str| -> String {
        let files = fs::read_dir(here.join(folder)).unwrap();
        files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    };
    let builder = all_of("src/builder");
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(!row[0].is_empty() && !row[1].is_empty(), "{row:?}");
        for name in row[4].split('`').skip(1).step_by(2) {
            *counted.entry(name).or_default() += 1;
        }
        for option in row[2].split('`').skip(1).step_by(2).filter(|option| !option.contains(':')) {
            let known = builder.contains(&format!("pub fn {option}("))
                || builder.contains(&format!("pub fn {option}<"))
                || option == "Deflate";
            assert!(known, "there is no option {option}");
        }
    }
    let tests = all_of("tests/limit");
    for limit in Limit::ALL {
        assert!(counted.remove(limit.name()).is_some(), "SECURITY.md has no row that is counted as {limit}");
        assert!(tests.contains(&format!("async fn {limit}()")), "{limit} has no test of its name");
    }
    assert!(counted.is_empty(), "SECURITY.md names limits that are none: {counted:?}");
}
