//! What the list of examples says.

/// F-DOC-01: every example is in the list, and is run by a test.
#[test]
fn every_example_is_listed_and_tested() {
    let manifest = include_str!("../../Cargo.toml");
    let list = include_str!("../../README.md");
    let tests = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples")).unwrap();
    let tests: String = tests.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let names: Vec<_> = manifest
        .split("[[bin]]")
        .skip(1)
        .map(|bin| bin.split('"').nth(1).expect("the name comes first"))
        .collect();
    assert!(names.len() > 15);
    for name in names {
        assert!(list.contains(&format!("| `{name}` |")), "{name} is not in examples/README.md");
        let run = [format!("!(\"{name}\""), format!("CARGO_BIN_EXE_{name}\"")];
        assert!(run.iter().any(|run| tests.contains(run)), "{name} is not run by a test");
    }
}
