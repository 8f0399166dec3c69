//! What docs/semantics.md promises: every sentence has a row in its table, and the tests named
//! there exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of all test functions below `folder`.
fn test_functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the tests are there") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            test_functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source file");
            for test in source.split("#[test]").skip(1) {
                let name = test
                    .split("fn ")
                    .nth(1)
                    .and_then(|rest| rest.split('(').next());
                found.extend(name.map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_promise_of_a_mount_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/semantics.md")).expect("the document is there");
    let number = |line: &str| {
        line.split_once(". ")
            .and_then(|(number, _)| number.parse::<u32>().ok())
    };
    let promises: BTreeSet<u32> = text.lines().filter_map(number).collect();
    assert!(promises.len() > 20, "{promises:?}");

    let mut tests = BTreeSet::new();
    test_functions(&root.join("tests"), &mut tests);
    let mut rows = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.trim_matches('|').split(" | ");
        let numbers: Vec<u32> = cells
            .next()
            .unwrap_or_default()
            .split(',')
            .filter_map(|cell| cell.trim().parse().ok())
            .collect();
        for name in cells
            .next()
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|_| !numbers.is_empty())
        {
            assert!(
                tests.contains(name),
                "sentences {numbers:?} name {name}, which is no test"
            );
        }
        rows.extend(numbers);
    }
    assert_eq!(rows, promises, "sentences and rows of the table");
}
