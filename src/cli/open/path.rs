//! Paths in a point in time.

use crate::cli::options::setting::nearest;
use crate::cli::show::failure::Usage;
use crate::fs::view::View;
use crate::model::{Entry, NodeId, TreePath};
use anyhow::anyhow;
use std::ffi::OsString;

/// How many names of a directory are compared with a name that is not in it.
const NEAR_NAMES: usize = 10_000;

/// Parses a path in a backup as the user typed it.
pub(in crate::cli) fn tree_path(text: &OsString) -> anyhow::Result<TreePath> {
    let refuse = || {
        Usage::new(format!("{} is not a path in a backup", text.display()))
            .hint("write it without ..")
    };
    Ok(TreePath::parse(text.as_encoded_bytes()).ok_or_else(refuse)?)
}

/// Returns the entry at a path. The error for a path that does not exist names the most similar
/// one.
pub(in crate::cli) fn lookup(view: &View, path: &TreePath) -> anyhow::Result<(NodeId, Entry)> {
    if let Some(found) = view.lookup(path)? {
        return Ok(found);
    }
    let (mut missing, mut hint) = (path.clone(), String::new());
    while let Some(parent) = missing.parent() {
        if let Some((node, _)) = view.lookup(&parent)? {
            let names: Vec<String> = view
                .children(node)
                .take(NEAR_NAMES)
                .filter_map(Result::ok)
                .map(|(_, entry)| entry.path.to_string())
                .collect();
            if let Some(near) = nearest(&missing.to_string(), names.iter().map(String::as_str)) {
                hint = format!(": is it {near}?");
            }
            break;
        }
        missing = parent;
    }
    Err(anyhow!("there is no {path} in this point in time{hint}"))
}
