//! Which way things point: the module map as a table. An edge that is not in it is a design record
//! first (docs/design/0001-module-map.md).

use std::path::Path;

use crate::house::source::{code_of, module_of, paths, read, rust_files};

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
            "format::content_hash",
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
            "model", "platform", "format", "net", "store", "index", "catalog", "fs", "backup",
            "restore", "upkeep", "api", "sched", "config",
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
        &[
            "backup", "fs", "platform", "restore", "sched", "store", "upkeep",
        ],
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
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let Some(module) = module_of(&file).map(|module| module[0].clone()) else {
            continue;
        };
        let code = code_of(&read(&file));
        let shown = file.display();
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
fn a_module_may_name_itself_and_what_the_table_says() {
    let may = |module: &str, path: &str| {
        let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
        is_allowed(module, &segments)
    };
    assert!(may("restore", "fs::view") && may("restore", "restore::run"));
    assert!(!may("restore", "fs::fuse") && !may("store", "format"));
}
