//! The map is the land: the table of modules in lib.rs, and the paths that pages and comments name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::source::{files, read, root, rust_files};

/// Returns the modules in the first column of the table in lib.rs.
fn modules_of_the_table(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("//! | ["))
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter_map(|link| link.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_in_lib_names_each_module_once_and_nothing_else() {
    let lib = read(Path::new("src/lib.rs"));
    let declared: BTreeSet<String> = lib
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .map(str::to_owned)
        .collect();
    assert!(declared.len() > 10, "{declared:?}");
    let table = modules_of_the_table(&lib);
    let once: BTreeSet<String> = table.iter().cloned().collect();
    assert_eq!(once.len(), table.len(), "a module stands twice: {table:?}");
    assert_eq!(once, declared, "the table in lib.rs, and the modules there");
}

/// Folders whose files pages and comments name by their paths.
const FOLDERS: &[&str] = &[
    "src/",
    "tests/",
    "docs/",
    "benches/",
    "bench/",
    "fuzz/",
    "packaging/",
    ".ci/",
    ".config/",
];

/// Returns the paths of the repository that `text` names. Those with a blank to be filled in
/// (`tests/it/AREA`, `data/…`, `*`) are left out.
fn paths_named(text: &str) -> BTreeSet<String> {
    let is_of_a_path = |c: char| c.is_alphanumeric() || "/._-*{}…~$<>".contains(c);
    text.split(|c: char| !is_of_a_path(c))
        .map(|word| word.trim_end_matches(['.', '/']))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .filter(|word| {
            let is_blank =
                |part: &str| part.len() > 1 && part.chars().all(|c| c.is_uppercase() || c == '_');
            !word.contains(['*', '{', '…', '~', '$', '<']) && !word.split('/').any(is_blank)
        })
        .map(str::to_owned)
        .collect()
}

/// Returns the comments of a source file.
fn comments(source: &str) -> String {
    source
        .lines()
        .filter_map(|line| line.split_once("//").map(|(_, comment)| comment))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_paths_that_pages_and_comments_name_are_there() {
    let mut told = String::new();
    let mut seen = 0;
    let mut check = |path: &PathBuf, text: &str| {
        for named in paths_named(text) {
            seen += 1;
            // Examples have files in a folder that is called docs too; records have a test.
            let is_ours = !named.starts_with("docs/")
                || named.ends_with(".md") && !named.starts_with("docs/design/0");
            if is_ours && !root().join(&named).exists() {
                told += &format!("{}: {named} is not there\n", path.display());
            }
        }
    };
    // A record says what was there when it was written.
    for page in files("", |name| name.ends_with(".md")) {
        if !page.starts_with("docs/design") || page.ends_with("README.md") {
            check(&page, &read(&page));
        }
    }
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(folder) {
            check(&path, &comments(&read(&path)));
        }
    }
    assert!(seen > 60, "only {seen} paths");
    assert!(told.is_empty(), "\n{told}");
}

#[test]
fn paths_are_told_from_what_looks_like_one() {
    let text = "`src/net/`, tests/it/AREA, docs/format.md. src/…, data/src/x and (bench/run)";
    let found: Vec<String> = paths_named(text).into_iter().collect();
    assert_eq!(found, ["bench/run", "docs/format.md", "src/net"]);
    let table =
        "//! | [`format`](mod@format) | a |\n//! | [`config`], [`cli`] | b |\n//! |---|---|";
    assert_eq!(modules_of_the_table(table), ["format", "config", "cli"]);
}
