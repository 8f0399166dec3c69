//! What the product is made of may be given on under Apache-2.0 OR MIT: the same rule as
//! `deny.toml`, with cargo alone.
#![expect(
    clippy::disallowed_methods,
    reason = "asks cargo, which is no part of the program"
)]

use std::process::Command;

/// Licences that allow everything ours do. `bzip2-1.0.6` is the permissive licence of the bzip2
/// code.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "bzip2-1.0.6",
    "Apache-2.0 WITH LLVM-exception",
];

/// Whether an SPDX expression can be met with allowed licences alone. `/` is how crates once wrote
/// `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut ok = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        let right = all_of(words, at);
        ok |= right;
    }
    ok
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut ok = single(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        let right = single(words, at);
        ok &= right;
    }
    ok
}

fn single(words: &[&str], at: &mut usize) -> bool {
    if words.get(*at) == Some(&"(") {
        *at += 1;
        let ok = any_of(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return ok && closed;
    }
    let mut name = words.get(*at).map_or(String::new(), |w| (*w).to_owned());
    *at += 1;
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.contains(&name.as_str())
}

#[test]
fn every_dependency_may_be_given_on_under_our_licences() {
    for target in ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-gnu"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--filter-platform",
                target,
                "--manifest-path",
            ])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .output()
            .expect("cargo starts");
        assert!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let packages = metadata["packages"].as_array().expect("it lists packages");
        assert!(
            packages.len() > 50,
            "only {} packages for {target}",
            packages.len()
        );
        let refused: Vec<String> = packages
            .iter()
            .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
            .map(|package| {
                format!(
                    "{} {}: {}",
                    package["name"], package["version"], package["license"]
                )
            })
            .collect();
        assert!(refused.is_empty(), "for {target}:\n{}", refused.join("\n"));
    }
}

#[test]
fn a_copyleft_licence_is_refused_unless_there_is_a_choice() {
    assert!(is_allowed("MIT OR Apache-2.0 OR LGPL-2.1-or-later"));
    assert!(is_allowed("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
    assert!(is_allowed("Unlicense/MIT"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only"));
    for refused in [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-or-later",
        "(MIT OR Apache-2.0) AND LGPL-2.1-only",
        "MPL-2.0",
        "",
        "(MIT",
        "MIT WITH x",
    ] {
        assert!(!is_allowed(refused), "{refused:?}");
    }
}
