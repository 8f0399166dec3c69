//! Known advisories of crates: what docs/advisories.md says was looked at holds for this build.
#![expect(
    clippy::disallowed_methods,
    reason = "asks cargo, which is no part of the program"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Categories of crates.io whose crates meet data or attackers from outside.
const KINDS: &[&str] = &[
    "authentication",
    "compression",
    "cryptography",
    "database",
    "network-programming",
    "parser-implementations",
    "web-programming",
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--manifest-path", MANIFEST])
        .output()
        .expect("cargo starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo {arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Names and versions of what the default build is made of, on a target.
fn default_build(target: &str) -> BTreeSet<(String, String)> {
    let edges = "normal,no-proc-macro";
    cargo(&[
        "tree", "--edges", edges, "--prefix", "none", "--target", target,
    ])
    .lines()
    .filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next()?.trim_start_matches('v').to_owned()))
    })
    .collect()
}

/// A version's first three numbers.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(['.', '-', '+'])
        .take(3)
        .map(|number| number.parse().expect("a number"))
        .collect()
}

#[test]
fn advisories_of_every_crate_that_meets_data_from_outside_were_looked_at() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/advisories.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let rows: BTreeMap<&str, &str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .filter_map(|row| Some((row.split_once('`')?.0, row.rsplit_once(" | ")?.1)))
        .collect();
    assert!(rows.len() > 40, "{rows:?}");
    let build = default_build("x86_64-unknown-linux-gnu");
    let metadata = cargo(&["metadata", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let of_kind: BTreeSet<&str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|package| {
            let categories = package["categories"].as_array().expect("a list");
            categories
                .iter()
                .filter_map(|category| category.as_str()?.split("::").next())
                .any(|category| KINDS.contains(&category))
        })
        .filter_map(|package| package["name"].as_str())
        .collect();
    for (name, version) in &build {
        match rows.get(name.as_str()) {
            None => assert!(
                !of_kind.contains(name.as_str()),
                "{name} {version} has no row in docs/advisories.md: look at its advisories"
            ),
            Some(&"—") => {}
            Some(mended) => assert!(
                numbers(version) >= numbers(mended),
                "{name} {version} has an advisory that {mended} mends"
            ),
        }
    }
}

#[test]
fn rsa_whose_timing_tells_of_its_key_is_in_no_default_build() {
    for target in ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-gnu"] {
        let build = default_build(target);
        assert!(build.len() > 50, "{build:?}");
        assert!(!build.iter().any(|(name, _)| name == "rsa"), "{target}");
    }
}
