//! Programs in Python that read stores: which Python runs them.
#![expect(clippy::disallowed_methods, reason = "it asks each Python what it has")]

use std::process::{Command, Stdio};

/// The rescue script.
pub const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/packaging/rescue/freezer-rescue.py"
);

/// Lists every Python that has these modules.
pub fn with(modules: &str) -> Vec<&'static str> {
    let works = |python: &&str| {
        let run = Command::new(python)
            .args(["-c", &format!("import {modules}")])
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .filter(works)
        .collect()
}

/// Returns a Python with the package `cryptography`.
pub fn with_cryptography() -> &'static str {
    with("cryptography")
        .first()
        .expect("needs Python with the package cryptography (Debian: python3-cryptography)")
}

/// Returns a Python that runs the independent decoder, tests/oracle.
pub fn for_the_decoder() -> &'static str {
    with("cryptography, argon2, zstandard").first().expect(
        "needs Python with cryptography, argon2 and zstandard (Debian: python3-cryptography, \
         python3-argon2, python3-zstandard)",
    )
}
