//! Tells a manifest that was damaged from an object that never was one.

use super::{Access, AccessError, CatalogError, listing, names};
use crate::format::manifest::ManifestError;
use crate::model::{BackupName, LevelId};
use crate::store;

/// Returns whether an object that cannot be read as a manifest never was one.
///
/// That is so when nothing in it can be authenticated and the store has no data under its id: every
/// level has data, and keeps some as long as its manifest is there.
///
/// # Errors
///
/// [`CatalogError`] when the store cannot be asked.
pub fn is_stray(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    error: &AccessError,
) -> Result<bool, CatalogError> {
    let says_nothing = match error {
        AccessError::Store(error) => matches!(
            error.kind(),
            store::ErrorKind::Short | store::ErrorKind::TooLarge | store::ErrorKind::Missing
        ),
        AccessError::Manifest { source, .. } => matches!(source, ManifestError::Frame(_)),
        _ => false,
    };
    Ok(says_nothing && !has_data(access, backup, level)?)
}

/// Returns whether there is any object of a level's data.
pub(super) fn has_data(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
) -> Result<bool, CatalogError> {
    listing::is_any_below(access.store().as_ref(), &names::level_prefix(backup, level))
        .map_err(|source| CatalogError::List { source })
}
