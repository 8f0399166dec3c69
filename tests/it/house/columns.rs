//! No line is longer than 100 columns, but for what cannot be broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source::{files, read};

const COLUMNS: usize = 100;

/// Scripts without an ending.
const SCRIPTS: &[&str] = &["run-tests", "demo", "bench/run", ".ci/run", ".ci/times.py"];

/// Returns every file of code, every script and every page.
fn all_files() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = SCRIPTS.iter().map(PathBuf::from).collect();
    for folder in [
        "src",
        "tests",
        "fuzz",
        "benches",
        "bench",
        "packaging",
        "docs",
    ] {
        found.extend(files(folder, |name| {
            [".rs", ".md", ".py", ".sh", ".lua"]
                .iter()
                .any(|ending| name.ends_with(ending))
        }));
    }
    found.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    found
}

/// Whether a line has no place where it could be broken: a row of a table, one word, or of a test a
/// literal that stands alone.
fn cannot_be_broken(path: &Path, line: &str) -> bool {
    let is_page = path.extension().is_some_and(|ending| ending == "md");
    let text = line.trim_start();
    let text = ["///", "//!", "//", "#", "- "]
        .iter()
        .find_map(|mark| text.strip_prefix(mark))
        .unwrap_or(text);
    let is_test = ["tests", "benches", "fuzz"]
        .iter()
        .any(|folder| path.starts_with(folder));
    is_page && text.starts_with('|') || is_test && is_a_literal(text) || !text.trim().contains(' ')
}

/// Whether a line is one literal, or a part of one that goes over several lines.
fn is_a_literal(line: &str) -> bool {
    let line = line.trim().replace("\\\"", "");
    let end = line.trim_end_matches([',', ';', ')']);
    match line.matches('"').count() {
        0 => line.ends_with('\\'),
        1 => end.ends_with('"') || line.starts_with('"') && line.ends_with('\\'),
        2 => line.starts_with('"') && end.ends_with('"'),
        _ => false,
    }
}

/// Returns the lines of a Rust file that begin or end inside a raw literal, from 1.
fn lines_of_raw_literals(source: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = source[from..].find("r#\"").map(|at| from + at) {
        let end = source[at..]
            .find("\"#")
            .map_or(source.len(), |end| at + end);
        let line = |at: usize| source[..at].matches('\n').count() + 1;
        found.extend(line(at)..=line(end));
        from = end.max(at + 3);
    }
    found
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    let mut told: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for path in all_files() {
        let text = read(&path);
        let is_rust = path.extension().is_some_and(|ending| ending == "rs");
        let raw = if is_rust {
            lines_of_raw_literals(&text)
        } else {
            Vec::new()
        };
        for (number, line) in (1..).zip(text.lines()) {
            let is_long = line.chars().count() > COLUMNS;
            if is_long && !cannot_be_broken(&path, line) && !raw.contains(&number) {
                told.entry(path.clone()).or_default().push(number);
            }
        }
    }
    let told: Vec<String> = told
        .iter()
        .map(|(path, lines)| format!("{}: lines {lines:?}", path.display()))
        .collect();
    assert!(
        told.is_empty(),
        "longer than {COLUMNS} columns:\n{}",
        told.join("\n")
    );
}

#[test]
fn what_cannot_be_broken_is_told_from_what_can() {
    let page = Path::new("docs/a.md");
    let code = Path::new("src/a.rs");
    assert!(cannot_be_broken(page, "| a | b |"));
    assert!(!cannot_be_broken(code, "| a | b |"));
    assert!(cannot_be_broken(
        code,
        "    /// https://example.org/a-long-address"
    ));
    assert!(!cannot_be_broken(
        code,
        "    /// see https://example.org/a-long-address"
    ));
    let test = Path::new("tests/it/a.rs");
    assert!(cannot_be_broken(test, "    \"GET / HTTP/1.1\","));
    assert!(!cannot_be_broken(code, "    \"GET / HTTP/1.1\","));
    assert!(!cannot_be_broken(test, "    send(\"GET / HTTP/1.1\")"));
    let source = "a\nlet b = r#\"c\nd\"#;\ne";
    assert_eq!(lines_of_raw_literals(source), [2, 3]);
}
