//! One name, one type: a type that other files can see has a name that no other file uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{code_of, module_of, read, rust_files, without_tests};

/// Modules whose types still share names with others.
const NOT_YET: &[&str] = &[];

/// Names that several types have, and why.
const SHARED: &[(&str, &str)] = &[
    (
        "Error",
        "a module that has one error calls it so: net::Error, store::Error",
    ),
    (
        "Arguments",
        "what one command of the command line takes: cli::backup::Arguments",
    ),
    (
        "Command",
        "the commands below one command: cli::key::Command",
    ),
];

/// The definition of a type.
#[derive(Debug)]
struct Definition {
    name: String,
    path: PathBuf,
    line: usize,
    /// Whether other files can see it.
    is_visible: bool,
    /// Whether it is there on Windows alone.
    is_for_windows: bool,
}

/// A word or a sign of a source file, and its line.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            found.push(Token {
                text: &rest[..length],
                line: number + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// Whether attributes leave an item to Windows.
fn is_windows_alone(attributes: &str) -> bool {
    attributes.contains("cfg(windows)") || attributes.contains("cfg(not(unix))")
}

/// Returns the types that `code` defines in the file's module and in modules inside it; those of
/// functions, and of traits and their implementations, are none.
fn definitions(path: &Path, code: &str) -> Vec<Definition> {
    let tokens = tokens(code);
    let of_the_file = path.to_string_lossy().contains("windows");
    let mut found = Vec::new();
    // For each open brace: whether it is that of a module, and whether Windows alone has it.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut item = String::new();
    let (mut is_public, mut at) = (false, 0);
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).map_or("", |next| next.text);
        let in_modules = open.iter().all(|(is_module, _)| *is_module);
        match token.text {
            "{" => {
                let is_module = in_modules && is_module(&item);
                open.push((is_module, is_windows_alone(&item)));
                (item, is_public) = (String::new(), false);
            }
            "}" | ";" => {
                if token.text == "}" {
                    open.pop();
                }
                (item, is_public) = (String::new(), false);
            }
            word => {
                is_public |= word == "pub" && in_modules;
                let is_type = matches!(word, "struct" | "enum" | "trait" | "type" | "union");
                let is_name = next.starts_with(|c: char| c.is_uppercase());
                if is_type && is_name && in_modules {
                    found.push(Definition {
                        name: next.to_owned(),
                        path: path.to_owned(),
                        line: token.line,
                        is_visible: is_public,
                        is_for_windows: of_the_file
                            || is_windows_alone(&item)
                            || open.iter().any(|(_, is_windows)| *is_windows),
                    });
                }
                item += word;
                if word.chars().all(char::is_alphanumeric)
                    && next.starts_with(char::is_alphanumeric)
                {
                    item.push(' ');
                }
            }
        }
        at += 1;
    }
    found
}

/// Whether an item that begins so is a module.
fn is_module(begun: &str) -> bool {
    begun
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| word == "mod")
}

/// Whether two types of one name are one thing for two systems.
fn is_pair(one: &Definition, other: &Definition) -> bool {
    let top = |definition: &Definition| module_of(&definition.path).map(|module| module[0].clone());
    one.is_for_windows != other.is_for_windows && top(one) == top(other)
}

/// Whether two types of one name are where readers can tell them apart.
fn is_fine(one: &Definition, other: &Definition) -> bool {
    one.path == other.path || is_pair(one, other)
}

/// Returns the names that stand for two things, each with its definitions.
fn shared(all: Vec<Definition>) -> BTreeMap<String, Vec<Definition>> {
    let mut by_name: BTreeMap<String, Vec<Definition>> = BTreeMap::new();
    for definition in all {
        by_name
            .entry(definition.name.clone())
            .or_default()
            .push(definition);
    }
    by_name.retain(|name, same| {
        let is_excused = SHARED.iter().any(|(excused, _)| excused == name);
        let is_visible = same.iter().any(|one| one.is_visible);
        let is_one = same
            .iter()
            .enumerate()
            .all(|(at, one)| same[..at].iter().all(|other| is_fine(one, other)));
        is_visible && !is_one && !is_excused
    });
    by_name
}

#[test]
fn a_type_that_other_files_see_has_a_name_of_its_own() {
    let mut all = Vec::new();
    for path in rust_files("src") {
        if module_of(&path).is_some() {
            let code = without_tests(&code_of(&read(&path)));
            all.extend(definitions(&path, &code));
        }
    }
    assert!(all.len() > 300, "only {} types are found", all.len());
    let is_open = |definition: &Definition| {
        module_of(&definition.path).is_some_and(|module| !NOT_YET.contains(&module[0].as_str()))
    };
    let mut told = String::new();
    for (name, same) in shared(all) {
        if same.iter().any(is_open) {
            told += &format!("{name}:\n");
            for one in same {
                told += &format!("  {}:{}\n", one.path.display(), one.line);
            }
        }
    }
    assert!(told.is_empty(), "one name, several types:\n{told}");
}

#[test]
fn names_that_are_excused_are_used() {
    let mut names = BTreeSet::new();
    for path in rust_files("src") {
        let code = without_tests(&code_of(&read(&path)));
        names.extend(definitions(&path, &code).into_iter().map(|one| one.name));
    }
    for (name, reason) in SHARED {
        assert!(names.contains(*name), "no type is called {name} ({reason})");
    }
}

#[test]
fn definitions_are_found_where_they_count() {
    let code = "pub struct Seen<T> { kind: T }\nimpl Iterator for Seen { type Item = u8; fn f() \
                { struct Inner; } }\n#[cfg(windows)]\nmod inner {\n pub(crate) enum Held { A }\n}\n\
                struct Own;\npub type Rope = Vec<u8>;\nfn g(union: Own) {}\n#[cfg(unix)]\n\
                pub(super) trait Held {}\n";
    let found: Vec<(String, bool, bool)> = definitions(Path::new("src/a/b.rs"), code)
        .into_iter()
        .map(|one| (one.name, one.is_visible, one.is_for_windows))
        .collect();
    let want = [
        ("Seen", true, false),
        ("Held", true, true),
        ("Own", false, false),
        ("Rope", true, false),
        ("Held", true, false),
    ];
    assert_eq!(
        found,
        want.map(|(name, seen, windows)| (name.to_owned(), seen, windows))
    );
    let of = |path: &str, code: &str| definitions(Path::new(path), code);
    let shared_by = |more: Vec<Definition>| {
        let all = [of("src/a/b.rs", code), more]
            .into_iter()
            .flatten()
            .collect();
        shared(all).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(shared_by(Vec::new()), [""; 0], "two systems, one thing");
    assert_eq!(shared_by(of("src/c.rs", "struct Rope;")), ["Rope"]);
    assert_eq!(shared_by(of("src/c.rs", "pub struct Own;")), ["Own"]);
    assert_eq!(
        shared_by(of("src/c.rs", "struct Own; pub enum Error {}")),
        [""; 0]
    );
    assert_eq!(shared_by(of("src/c/windows.rs", "struct Held;")), ["Held"]);
}
