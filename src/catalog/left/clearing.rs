//! Removes what a cut-off run left, as far as no manifest names it, and then its claim.

use crate::catalog::lock::Held;
use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::{Access, Catalog, CatalogError, LevelVerb, is_any_below};
use crate::format::manifest::LevelParts;
use crate::model::{BackupName, LevelId};
use crate::store::{self, ObjectName, Store};

/// What may be removed of the data of a cut-off run.
pub(super) enum Clearing {
    /// Its checkpoints: its level exists.
    Checkpoints,
    /// Everything: no manifest names any of it.
    Everything,
    /// All but the stream, which a manifest names like this.
    AllBut(Box<LevelParts>),
    /// Nothing: a manifest that cannot be read may name it.
    Nothing,
}

/// Removes what may be removed, then the run's claim. Returns whether the next run can be cleared:
/// the claim is gone, or is to stay.
pub(super) fn clear(
    access: &Access,
    held: &Held<'_>,
    id: &LevelId,
    clearing: Clearing,
) -> Result<bool, CatalogError> {
    let backup = held.backup();
    match clearing {
        Clearing::Checkpoints => {
            if !remove_checkpoints(access, &LevelOf::new(backup, id)) {
                return Ok(false);
            }
        }
        Clearing::Nothing => return Ok(true),
        Clearing::AllBut(parts) => remove_surplus(access, backup, &parts)?,
        Clearing::Everything => {
            let any = Catalog::new(access.store()).remove_leftover(backup, id)?;
            tracing::info!(%backup, level = %id, any, "removed the data of a cut-off run");
        }
    }
    Ok(held.remove_claim(id))
}

/// Removes the checkpoints of a level that was made. Returns whether they are gone.
fn remove_checkpoints(access: &Access, of: &LevelOf) -> bool {
    let prefix = of.folder_prefix(Folder::Checkpoints);
    remove_where(access, &prefix, |_| true)
        .inspect_err(|error| tracing::debug!(%error, "a checkpoint stays that nobody needs"))
        .is_ok()
}

/// Removes what a cut-off run stored after its checkpoint, and what only the next run had a use
/// for: no manifest names either.
fn remove_surplus(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<(), CatalogError> {
    let fail = CatalogError::of_level(LevelVerb::Withdraw, backup, &parts.id);
    let of = LevelOf::new(backup, &parts.id);
    let is_repacked = is_any_below(access.store().as_ref(), &of.folder_prefix(Folder::Repacked))
        .map_err(&fail)?;
    let is_surplus = |object: &ObjectName| match names::place_in_level(object) {
        // Where the level was repacked since, higher numbers are in use.
        Some((Folder::Segments, number)) => !is_repacked && number >= parts.segments,
        Some((Folder::Frames, number)) => !is_repacked && number >= parts.frame_table_segments,
        Some((Folder::Repacked, _)) => false,
        Some((Folder::Index | Folder::Checkpoints, _)) => true,
        None => false,
    };
    let prefix = names::level_prefix(backup, &parts.id);
    remove_where(access, &prefix, is_surplus).map_err(fail)
}

/// Removes the objects below a prefix that `goes` picks, while they are listed. Stops at the first
/// that cannot be removed.
fn remove_where(
    access: &Access,
    prefix: &str,
    goes: impl Fn(&ObjectName) -> bool,
) -> Result<(), store::Error> {
    let store = access.store();
    let mut removed = Ok(());
    let listed = store.list(prefix, &mut |object| {
        if goes(&object.name) {
            removed = store.delete(&object.name);
        }
        removed.is_ok()
    });
    listed.and(removed)
}
