//! Rust source as the tests of the house see it: without comments, literals and tests.

use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of the file `path`, which is relative to the repository.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// Returns the files below `folder` whose names `is_wanted` takes, relative to the repository and
/// in order. Hidden folders and `target` are left out.
pub fn files(folder: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        let listed = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be listed: {error}", folder.display()));
        for entry in listed {
            let path = entry.expect("the entries of a folder can be read").path();
            let name = path.file_name().expect("an entry has a name");
            let name = name.to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if is_wanted(&name) {
                let inside = path.strip_prefix(root()).expect("it is below the root");
                found.push(inside.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns the Rust files below `folder`, relative to the repository and in order.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let found = files(folder, |name| name.ends_with(".rs"));
    assert!(!found.is_empty(), "there is no Rust file below {folder}");
    found
}

/// Returns the module that a file of `src` is: `src/fs/fuse/mod.rs` is `["fs", "fuse"]`. None for
/// `lib.rs` and `main.rs`, which join everything.
pub fn module_of(file: &Path) -> Option<Vec<String>> {
    let inside = file.strip_prefix("src").ok()?.with_extension("");
    let mut module: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    match module.as_slice() {
        [only] if only == "lib" || only == "main" => None,
        _ => Some(module),
    }
}

/// Length of the literal or comment at the start of `rest`, in bytes; 0 where code stands.
fn opaque(rest: &str) -> usize {
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if rest.starts_with("r\"")
        || rest.starts_with("r#") && rest.trim_start_matches(['r', '#']).starts_with('"')
    {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        let end = format!("\"{}", "#".repeat(hashes));
        rest[hashes + 2..]
            .find(&end)
            .map_or(rest.len(), |at| at + hashes + 2 + end.len())
    } else if let Some(text) = rest.strip_prefix('"') {
        let mut escaped = false;
        text.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(rest.len(), |at| at + 2)
    } else if let Some(character) = rest.strip_prefix('\'') {
        // A character such as '{', which is no brace; a lifetime is code.
        let mut after = character.chars();
        match (after.next(), after.next()) {
            (Some('\\'), Some(escaped)) => character[1 + escaped.len_utf8()..]
                .find('\'')
                .map_or(0, |at| at + escaped.len_utf8() + 3),
            (Some(c), Some('\'')) => c.len_utf8() + 2,
            _ => 0,
        }
    } else {
        0
    }
}

/// Returns `source` with comments and literals blanked out, line breaks kept.
pub fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = opaque(rest);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        code.push_str(&blank(&rest[..length]));
        rest = &rest[length..];
    }
    code
}

/// Returns `text` as blanks, line breaks kept.
fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect()
}

/// Returns `code` with everything blanked out that only tests see.
pub fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    loop {
        let begins = ["#[cfg(test)]", "#[cfg(all(test,"]
            .iter()
            .filter_map(|attribute| rest.find(attribute))
            .min();
        let Some(begins) = begins else {
            kept.push_str(rest);
            return kept;
        };
        kept.push_str(&rest[..begins]);
        let length = item_length(&rest[begins..]);
        kept.push_str(&blank(&rest[begins..begins + length]));
        rest = &rest[begins + length..];
    }
}

/// Length of the item at the start of `code`, attributes and all, in bytes.
fn item_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth -= 1;
                if depth < 0 {
                    return at;
                }
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            // A comma ends a field or a variant; in an item it stands between generic parameters.
            ',' if depth == 0 && !is_item(&code[..at]) => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn is_item(begun: &str) -> bool {
    begun
        .split_whitespace()
        .any(|word| matches!(word, "fn" | "struct" | "enum" | "trait") || word.starts_with("impl"))
}

/// A path named in a source file.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The line, from 1.
    pub line: usize,
    /// The names behind the root of the path.
    pub segments: Vec<String>,
}

fn is_part_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns every path that begins with `root` in `code`, braces expanded.
pub fn paths(code: &str, root: &str) -> Vec<Named> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].chars().next_back();
        let inside_a_path = code[..at].trim_end().ends_with("::") && root != "crate";
        if before.is_some_and(is_part_of_a_name) || inside_a_path {
            continue;
        }
        if let Some(rest) = code[at + root.len()..].trim_start().strip_prefix("::") {
            let line = code[..at].matches('\n').count() + 1;
            for segments in expand(rest) {
                found.push(Named { line, segments });
            }
        }
    }
    found
}

/// Returns the segments of each path in `a`, `a::b` or `{a, b::{c, d}}`, without new names
/// (`as x`).
pub fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(list) = tree.strip_prefix('{') {
        return parts(list).into_iter().flat_map(expand).collect();
    }
    let name: String = tree
        .chars()
        .take_while(|c| is_part_of_a_name(*c) || *c == '*')
        .collect();
    if name.is_empty() {
        return Vec::new();
    }
    let below = tree[name.len()..]
        .trim_start()
        .strip_prefix("::")
        .map(expand)
        .unwrap_or_default();
    if below.is_empty() {
        return vec![vec![name]];
    }
    below
        .into_iter()
        .map(|rest| std::iter::once(name.clone()).chain(rest).collect())
        .collect()
}

/// Returns the parts between the commas of a list in braces, which begins behind its brace.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            ',' | '}' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

#[test]
fn paths_are_found_however_they_are_written() {
    let source = "use crate::model::{Name, Entry};\nuse crate::{\n    fs::view::View, store,\n    \
                  format::{frame, segment::Writer},\n};\n\
                  // crate::commented\nlet s = \"crate::quoted\"; let r = r#\"crate::raw \" \"#;\n\
                  fn f() -> crate::index::Tree { mycrate::x('\\'', '{') }\n";
    let found: Vec<(usize, String)> = paths(&code_of(source), "crate")
        .into_iter()
        .map(|n| (n.line, n.segments.join("::")))
        .collect();
    let want = [
        (1, "model::Name"),
        (1, "model::Entry"),
        (2, "fs::view::View"),
        (2, "store"),
        (2, "format::frame"),
        (2, "format::segment::Writer"),
        (8, "index::Tree"),
    ];
    assert_eq!(found, want.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn what_only_tests_see_is_left_out() {
    let source = "use a::B;\n#[cfg(test)]\nuse c::{D, E};\nstruct S {\n    f: u8,\n    \
                  #[cfg(test)]\n    g: C<'a>,\n}\n#[cfg(all(test, unix))]\nmod tests {\n    \
                  fn f() { '}' }\n}\nfn h() {}\n";
    let left: Vec<String> = without_tests(&code_of(source))
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        left.join(" "),
        "use a::B; ; struct S { f: u8, } fn h() {}",
        "the semicolon of a list in braces stays, and says nothing"
    );
}
