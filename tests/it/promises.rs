//! What docs/semantics.md and docs/security.md promise: every sentence has a row in the table of
//! its document, and the tests named there exist.

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

fn text_of(document: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(document)).expect("the document is there")
}

/// The number that a line begins with, if it is a promise.
fn number(line: &str) -> Option<u32> {
    line.split_once(". ")
        .and_then(|(number, _)| number.parse().ok())
}

/// Fails where a promise has no row in the table of the document, or a row has no promise, or names
/// no test, or a test that there is not.
fn every_promise_names_tests(document: &str, least: usize) {
    let text = text_of(document);
    let numbers: Vec<u32> = text.lines().filter_map(number).collect();
    assert!(numbers.len() > least, "{document}: {numbers:?}");
    assert!(
        numbers
            .iter()
            .zip(1..)
            .all(|(number, place)| *number == place),
        "{document}: sentences are numbered one by one: {numbers:?}"
    );
    let promises: BTreeSet<u32> = numbers.into_iter().collect();
    let (root, mut tests) = (Path::new(env!("CARGO_MANIFEST_DIR")), BTreeSet::new());
    test_functions(&root.join("tests"), &mut tests);
    test_functions(&root.join("src"), &mut tests);
    let mut rows = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.trim_matches('|').split(" | ");
        let numbers: Vec<u32> = cells
            .next()
            .unwrap_or_default()
            .split(',')
            .filter_map(|cell| cell.trim().parse().ok())
            .collect();
        let shown_by = cells.next().unwrap_or_default();
        assert!(
            numbers.is_empty() || shown_by.contains('`') || shown_by.contains("benchmark"),
            "{document}: no test shows sentences {numbers:?}"
        );
        for name in shown_by
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|_| !numbers.is_empty())
        {
            assert!(
                tests.contains(name),
                "{document}: sentences {numbers:?} name {name}, which is no test"
            );
        }
        rows.extend(numbers);
    }
    assert_eq!(
        rows, promises,
        "{document}: sentences and rows of the table"
    );
}

#[test]
fn every_promise_of_a_mount_names_tests_that_exist() {
    every_promise_names_tests("docs/semantics.md", 20);
}

#[test]
fn every_promise_of_security_names_tests_that_exist() {
    every_promise_names_tests("docs/security.md", 30);
}

/// The paragraphs of a document that are neither headings, promises, tables nor what is left to an
/// attacker, between its first section and its table.
fn loose_paragraphs(text: &str) -> Vec<&str> {
    let (_, text) = text.split_once("\n## ").expect("it has sections");
    let (text, _) = text
        .rsplit_once("\n## Which test shows what")
        .expect("it has a table");
    let mut leaves = false;
    let mut loose = Vec::new();
    for section in text.split("\n## ") {
        // The first paragraph is the title; one more may say who is meant.
        let paragraphs = section.split("\n\n").map(str::trim);
        for (place, paragraph) in paragraphs.enumerate().skip(1) {
            leaves = (leaves && place > 1) || paragraph.starts_with("What is left to ");
            let names_somebody = place == 1 && !paragraph.contains(" is refused");
            let is_list = paragraph.lines().all(|line| {
                number(line).is_some() || line.starts_with("    ") || line.starts_with("   ")
            });
            if !leaves && !names_somebody && !is_list && !paragraph.starts_with("The comment of") {
                loose.push(paragraph);
            }
        }
    }
    loose
}

#[test]
fn security_promises_nothing_outside_of_numbered_sentences() {
    let text = text_of("docs/security.md");
    assert_eq!(loose_paragraphs(&text), Vec::<&str>::new());
    let with_more = text.replace(
        "What is left to them: root of the machine",
        "Nobody else reads your backups.\n\nWhat is left to them: root of the machine",
    );
    assert_eq!(
        loose_paragraphs(&with_more),
        ["Nobody else reads your backups."]
    );
}
