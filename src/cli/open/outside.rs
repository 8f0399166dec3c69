//! Where commands write what a user names: never into a store.

use crate::catalog::store_around;
use crate::cli::show::failure::Usage;
use anyhow::Context;
use std::path::Path;

/// Fails for a file or folder that is in a store, or would be. A file there could take the place
/// of a backup's, and a folder be taken for one.
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
        .hint("name a place outside of it: nothing but backups is written to a store")
        .into()),
    }
}
