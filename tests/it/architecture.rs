//! Which way things point: the module map as a table. An edge that is not in it is a design record
//! first (docs/design/0001-module-map.md).

use std::path::{Path, PathBuf};

/// A module, and the modules (or parts of one) that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("platform", &["model"]),
    ("format", &["model", "platform"]),
    ("net", &["model", "platform"]),
    ("store", &["model", "platform", "net"]),
    ("index", &["model", "format"]),
    (
        "catalog",
        &["model", "platform", "format", "store", "index"],
    ),
    (
        "fs",
        &["model", "platform", "format", "store", "index", "catalog"],
    ),
    (
        "backup",
        &["model", "platform", "format", "store", "index", "catalog"],
    ),
    // the view, and the error of its calls; an export writes members as a backup does
    (
        "restore",
        &[
            "model",
            "platform",
            "format::tar",
            "fs::view",
            "fs::ReadError",
        ],
    ),
    (
        "upkeep",
        &["model", "platform", "format", "store", "index", "catalog"],
    ),
    ("api", &["model", "platform", "net", "fs::view"]),
    ("sched", &["model", "platform", "net"]),
    ("config", &["model", "platform"]),
    (
        "cli",
        &[
            "model", "platform", "format", "store", "index", "catalog", "fs", "backup", "restore",
            "upkeep", "api", "sched", "config",
        ],
    ),
];

/// Crates, and the modules that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("aes", &["format"]),
    ("anyhow", &["cli"]),
    ("argon2", &["api", "format"]),
    ("axum", &["api"]),
    ("base64", &["api", "format", "store"]),
    ("blake3", &["backup", "format", "store"]),
    ("bytes", &["index", "net", "store"]),
    ("bzip2", &["format"]),
    ("cfb_mode", &["format"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    (
        "crossbeam_channel",
        &["backup", "fs", "restore", "sched", "store", "upkeep"],
    ),
    ("form_urlencoded", &["api"]),
    ("fuser", &["fs"]),
    ("futures_core", &["store"]),
    (
        "getrandom",
        &[
            "api", "backup", "catalog", "format", "sched", "store", "upkeep",
        ],
    ),
    ("hkdf", &["format"]),
    ("hmac", &["format"]),
    ("hyper", &["api"]),
    ("hyper_util", &["api"]),
    ("indicatif", &["cli"]),
    ("libdeflater", &["format"]),
    ("liblzma", &["format"]),
    ("md5", &["store"]),
    // of `fs`: the descriptor that fusermount3 hands over
    ("nix", &["platform", "fs"]),
    ("opendal_core", &["store"]),
    ("opendal_service_azblob", &["store"]),
    ("opendal_service_gcs", &["store"]),
    ("opendal_service_webdav", &["store"]),
    ("percent_encoding", &["net", "sched", "store"]),
    ("quick_xml", &["store"]),
    ("reqsign_aws_v4", &["store"]),
    ("reqsign_core", &["store"]),
    ("rustix", &["fs", "platform"]),
    ("rustls", &["net"]),
    ("sha2", &["api", "format", "sched", "store"]),
    ("signal_hook", &["cli", "fs"]),
    ("sqlx", &["api"]),
    ("strsim", &["catalog", "cli"]),
    ("subtle", &["api", "format"]),
    ("tokio", &["api"]),
    ("tokio_rustls", &["api"]),
    ("tower_service", &["api"]),
    ("tracing_subscriber", &["cli"]),
    ("ureq", &["net"]),
    ("yaml_rust2", &["net"]),
    ("zstd", &["format"]),
];

/// Crates that every module may name.
const EVERYWHERE: &[&str] = &[
    "jiff",
    "serde",
    "serde_json",
    "thiserror",
    "tracing",
    "zeroize",
];

/// A path named in a source file.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    segments: Vec<String>,
}

/// Source text with comments and the contents of literals blanked out, line breaks kept.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"")
            || rest.starts_with("r#") && rest.trim_start_matches(['r', '#']).starts_with('"')
        {
            let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            rest[hashes + 2..]
                .find(&end)
                .map_or(rest.len(), |at| at + hashes + 2 + end.len())
        } else if first == '"' {
            let mut escaped = false;
            rest[1..]
                .find(|c: char| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })
                .map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(
            rest[..length]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[length..];
    }
    code
}

/// Every path that begins with `root` in `code`, braces expanded.
fn paths(code: &str, root: &str) -> Vec<Named> {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].chars().next_back();
        let inside_a_path = code[..at].trim_end().ends_with("::") && root != "crate";
        if before.is_some_and(part_of_a_name) || inside_a_path {
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

/// The first two segments of each path in `a`, `a::b` or `{a, b::{c, d}}`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(list) = tree.strip_prefix('{') {
        let (mut depth, mut start, mut found) = (0, 0, Vec::new());
        for (at, c) in list.char_indices() {
            match c {
                ',' | '}' if depth == 0 => {
                    found.extend(expand(&list[start..at]));
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
        return found;
    }
    let name: String = tree
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    if name.is_empty() {
        return Vec::new();
    }
    match tree[name.len()..].trim_start().strip_prefix("::") {
        Some(rest) => {
            let below = expand(rest);
            if below.is_empty() {
                vec![vec![name]]
            } else {
                below
                    .into_iter()
                    .map(|b| vec![name.clone(), b[0].clone()])
                    .collect()
            }
        }
        None => vec![vec![name]],
    }
}

fn source_files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).expect("the source folder can be listed") {
        let path = entry.expect("its entries too").path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The module a file belongs to; none for `lib.rs` and `main.rs`, which join everything.
fn module_of(file: &Path, root: &Path) -> Option<String> {
    let inside = file.strip_prefix(root).ok()?.with_extension("");
    let first = inside.components().next()?.as_os_str().to_str()?.to_owned();
    (first != "lib" && first != "main").then_some(first)
}

fn is_allowed(module: &str, named: &[String]) -> bool {
    let Some((_, may)) = MAY_NAME.iter().find(|(from, _)| *from == module) else {
        return false;
    };
    named[0] == module
        || may.iter().any(|to| match to.split_once("::") {
            Some((top, part)) => {
                named[0] == top && named.get(1).is_some_and(|second| second == part)
            }
            None => named[0] == *to,
        })
}

#[test]
fn imports_go_down_and_only_where_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    source_files(&root, &mut files);
    for file in &files {
        let Some(module) = module_of(file, &root) else {
            continue;
        };
        let code = code_of(&std::fs::read_to_string(file).expect("a source file can be read"));
        let shown = file
            .strip_prefix(env!("CARGO_MANIFEST_DIR"))
            .expect("it is below")
            .display();
        for named in paths(&code, "crate") {
            if !is_allowed(&module, &named.segments) {
                wrong.push(format!(
                    "{shown}:{}: {module} names crate::{}",
                    named.line,
                    named.segments.join("::")
                ));
            }
        }
        for (library, homes) in HOMES {
            for named in paths(&code, library)
                .iter()
                .filter(|_| !homes.contains(&module.as_str()))
            {
                wrong.push(format!(
                    "{shown}:{}: {library} belongs in {}",
                    named.line,
                    homes.join(" and ")
                ));
            }
        }
    }
    assert!(
        files.len() > 10,
        "only {} files found below {}",
        files.len(),
        root.display()
    );
    assert!(
        wrong.is_empty(),
        "not in the table (tests/it/architecture.rs):\n{}",
        wrong.join("\n")
    );
}

/// The libraries that the product depends on, by the names that code has for them.
fn dependencies() -> Vec<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("the manifest can be read");
    let mut is_in = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            is_in = line == "[dependencies]" || line.ends_with(".dependencies]");
        } else if let (true, Some((name, _))) = (is_in, line.split_once(" = ")) {
            // The library of this package has a name of its own.
            let name = if name == "md-5" { "md5" } else { name };
            found.push(name.replace('-', "_"));
        }
    }
    found
}

#[test]
fn every_dependency_has_a_home() {
    let found = dependencies();
    assert!(found.len() > 40, "only {found:?}");
    let is_known = |name: &str| {
        EVERYWHERE.contains(&name) || HOMES.iter().any(|(library, _)| *library == name)
    };
    let homeless: Vec<_> = found.iter().filter(|name| !is_known(name)).collect();
    assert!(
        homeless.is_empty(),
        "not in HOMES (tests/it/architecture.rs): {homeless:?}"
    );
    let gone: Vec<_> = HOMES
        .iter()
        .map(|(library, _)| *library)
        .filter(|library| !found.iter().any(|name| name == library))
        .collect();
    assert!(gone.is_empty(), "no dependency any more: {gone:?}");
}

#[test]
fn the_table_points_down_only() {
    for (from, (module, may)) in MAY_NAME.iter().enumerate() {
        for to in *may {
            let top = to.split("::").next().expect("split gives one at least");
            let at = MAY_NAME.iter().position(|(name, _)| *name == top);
            assert!(
                at.is_some_and(|at| at < from),
                "{module} → {to} does not point down"
            );
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let source = "use crate::model::{Name, Entry};\nuse crate::{\n    fs::view::View, store,\n    format::{frame, segment::Writer},\n};\n\
                  // crate::commented\nlet s = \"crate::quoted\"; let r = r#\"crate::raw \" \"#;\n\
                  fn f() -> crate::index::Tree { mycrate::x() }\n";
    let found: Vec<(usize, String)> = paths(&code_of(source), "crate")
        .into_iter()
        .map(|n| (n.line, n.segments.join("::")))
        .collect();
    let want = [
        (1, "model::Name"),
        (1, "model::Entry"),
        (2, "fs::view"),
        (2, "store"),
        (2, "format::frame"),
        (2, "format::segment"),
        (8, "index::Tree"),
    ];
    assert_eq!(found, want.map(|(line, path)| (line, path.to_owned())));
    assert!(is_allowed("restore", &["fs".into(), "view".into()]));
    assert!(!is_allowed("restore", &["fs".into(), "fuse".into()]));
    assert!(!is_allowed("store", &["format".into()]));
}
