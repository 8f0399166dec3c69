//! JSON documents that a user hands over.

use anyhow::{Context, bail};
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Most bytes of a document that are read.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a JSON object from a file; `-` is standard input.
pub(in crate::cli) fn read_document(path: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(MAX_BYTES).read_to_string(&mut text),
        _ => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)),
    };
    read.with_context(|| format!("could not read {}", path.display()))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    if !document.is_object() {
        bail!("{} holds no JSON object", path.display());
    }
    Ok(document)
}
