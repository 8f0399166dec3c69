//! Keeps files that a user names out of every store.

use crate::catalog::store_around;
use crate::cli::show::failure::Usage;
use anyhow::Context;
use std::path::Path;

/// Fails for a file or folder that is in a store, or would be. There it could replace an object of
/// a backup, or be taken for one.
pub(in crate::cli) fn outside_stores(what: &str, path: &Path) -> anyhow::Result<()> {
    let around = store_around(path)
        .with_context(|| format!("could not find out where {} leads", path.display()))?;
    match around {
        None => Ok(()),
        Some(store) => Err(Usage::new(format!(
            "cannot write {what} to {}: it is in the store {}",
            path.display(),
            store.display()
        ))
        .hint("name a place outside the store: only backups are written to it")
        .into()),
    }
}
