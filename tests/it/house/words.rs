//! One word, one thing: the words that docs/glossary.md rules out stand nowhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::source::{files, read};

const GLOSSARY: &str = "docs/glossary.md";

/// Where a word that is ruled out has another sense: the word, a file or folder, and the sense.
const OTHER_SENSES: &[(&str, &str, &str)] = &[
    (
        "compact",
        "src/cli/options/foreign_words.rs",
        "what another program calls it",
    ),
    ("archive", "src/format", "a tar archive"),
    ("archive", "src/backup", "to put a file into the tar stream"),
    ("archive", "src/restore", "a tar archive"),
    ("archive", "src/cli", "a tar archive"),
    ("archive", "src/upkeep", "a tar archive"),
    ("archive", "docs", "a tar archive"),
    ("backend", "src/api/db", "a kind of database"),
    ("blob", "src/store", "Azure's word for an object"),
    ("blob", "docs", "Azure's word for an object"),
    (
        "chunk",
        "src",
        "the standard library's word for a part of a slice or text",
    ),
    (
        "chunk",
        "docs/design",
        "a piece of a file between cuts that its content decides",
    ),
    (
        "generation",
        "src/fs",
        "the kernel's word for the uses of an inode number",
    ),
    ("repository", "docs/design", "the Git repository"),
    (
        "task",
        "docs/design",
        "moka's word, in the name of a function",
    ),
    ("task", "src/api", "tokio's word for what its threads run"),
    ("task", "src/store", "Rust's word for what an executor runs"),
    ("task", "src/cli", "the task scheduler of Windows"),
    (
        "task",
        "src/sched",
        "what the scheduler is to do about a job at once",
    ),
    ("tenant", "src/api", "the old word of OpenStack's policies"),
    (
        "tenant",
        "src/config",
        "the old word of OpenStack's settings",
    ),
    ("tenant", "src/net", "the old word of OpenStack's settings"),
    ("volume", "src/cli", "a volume of OpenStack or of LVM"),
    ("volume", "docs/cli.md", "a volume of OpenStack or of LVM"),
    ("volume", "docs/scheduler.md", "a volume of OpenStack"),
];

/// A row of the glossary: the word, and the words that it is used in place of.
struct Row {
    word: String,
    ruled_out: Vec<String>,
}

/// Returns the rows of the glossary. A word in parentheses has another sense and is left out.
fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| word |"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(
                cells.len(),
                3,
                "a row has a word, its sense, and what is ruled out: {line}"
            );
            let ruled_out = cells[2]
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty() && !word.starts_with('('));
            Row {
                word: cells[0].to_owned(),
                ruled_out: ruled_out.map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// Returns the words of a line, in lower case. A name in the code is as many words as it is made
/// of: `RepoBackend` and `repo_backend` are `repo` and `backend`.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut last) = (Vec::new(), String::new(), ' ');
    for c in line.chars().chain([' ']) {
        if !c.is_alphabetic() || c.is_uppercase() && last.is_lowercase() {
            found.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        last = c;
    }
    found
}

/// Whether `words` has `wanted`, one word or several, also in the plural.
fn has(words: &[String], wanted: &str) -> bool {
    let wanted: Vec<&str> = wanted.split(' ').collect();
    words.windows(wanted.len()).any(|window| {
        window.iter().zip(&wanted).all(|(word, wanted)| {
            let plural = |end: &str, put: &str| {
                word.strip_suffix(put)
                    .is_some_and(|rest| [rest, end].concat() == *wanted)
            };
            word == wanted || plural("", "s") || plural("y", "ies")
        })
    })
}

/// Returns the files whose words count: the code with its messages, and what people read.
fn read_by_people() -> Vec<PathBuf> {
    let mut found = files("src", |name| name.ends_with(".rs"));
    found.extend(files("docs", |name| name.ends_with(".md")));
    found.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    found.retain(|path| path != Path::new(GLOSSARY));
    found
}

#[test]
fn each_word_of_the_glossary_has_one_row() {
    let rows = rows(&read(Path::new(GLOSSARY)));
    assert!(rows.len() > 30, "only {} rows", rows.len());
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!(seen.insert(&row.word), "{} stands twice", row.word);
    }
    for row in &rows {
        for word in &row.ruled_out {
            assert!(
                !seen.contains(word),
                "{word} is ruled out, and a word of the glossary"
            );
        }
    }
}

#[test]
fn words_that_the_glossary_rules_out_stand_nowhere() {
    let rows = rows(&read(Path::new(GLOSSARY)));
    let mut told = String::new();
    let mut excused = BTreeSet::new();
    for path in read_by_people() {
        for (number, line) in read(&path).lines().enumerate() {
            let words = words(line);
            for row in &rows {
                for word in row.ruled_out.iter().filter(|word| has(&words, word)) {
                    let sense = OTHER_SENSES
                        .iter()
                        .find(|(excused, place, _)| excused == word && path.starts_with(place));
                    match sense {
                        Some(sense) => {
                            excused.insert(sense);
                        }
                        None => {
                            let place = format!("{}:{}", path.display(), number + 1);
                            told += &format!("{place}: {word}: a {} is meant?\n", row.word);
                        }
                    }
                }
            }
        }
    }
    assert!(told.is_empty(), "ruled out by {GLOSSARY}:\n{told}");
    for sense in OTHER_SENSES {
        assert!(
            excused.contains(sense),
            "nobody needs the exception {sense:?}"
        );
    }
}

#[test]
fn words_are_found_in_names_and_in_the_plural() {
    assert_eq!(
        words("let RepoBackends = run_number(a1B);"),
        ["let", "repo", "backends", "run", "number", "a", "b"]
    );
    let words = words("RunNumbers of repositories; chunked");
    assert!(has(&words, "run number") && has(&words, "repository"));
    assert!(!has(&words, "chunk") && !has(&words, "numbers run"));
}
