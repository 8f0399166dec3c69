//! Removes points in time that cannot be opened.

use super::Repaired;
use crate::catalog::{Access, Held, names};
use crate::model::{BackupName, LevelId, LevelSerial};
use crate::store::Store;
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::{PruneError, RepairError};
use crate::upkeep::grace::{GRACE, Grace};
use crate::upkeep::points::BackupPoints;
use std::collections::BTreeSet;

/// Returns a serial that none of the levels had, though the manifests of these `removed` ones say
/// nothing: each got at most the next one.
fn next_serial(of: BackupIn<'_>, removed: usize) -> Result<LevelSerial, PruneError> {
    let known = BackupPoints::read(of)?.next_serial(|_| true);
    let known = known.unwrap_or(LevelSerial(1));
    Ok(LevelSerial(known.0.saturating_add(removed as u64)))
}

/// Removes the manifests of points in time that cannot be opened. Returns how many.
///
/// Data that only they named goes with the next prune. A manifest of a newer version stays.
///
/// # Errors
///
/// [`RepairError`]; the removal can be repeated.
pub fn remove_unreadable(
    access: &Access,
    backup: &BackupName,
    repaired: &Repaired,
    held: &Held<'_>,
) -> Result<u64, RepairError> {
    let mut removed = 0;
    held.check().map_err(RepairError::Lock)?;
    let points = || repaired.unreadable.iter().filter(|point| !point.is_newer);
    // The note says why their data has no manifest.
    let grace = Grace {
        now: held.now(),
        length: GRACE,
    };
    let levels: BTreeSet<LevelId> = points().map(|point| point.level.clone()).collect();
    let of = BackupIn::new(access, backup);
    let next_serial = next_serial(of, levels.len()).map_err(RepairError::Note)?;
    grace
        .keep(of, &levels, Some(next_serial))
        .map_err(RepairError::Note)?;
    for point in points() {
        let level = &point.level;
        access
            .store()
            .delete(&names::manifest_name(backup, level))
            .map_err(RepairError::Store)?;
        tracing::info!(%backup, %level, "removed a point in time that could not be opened");
        removed += 1;
    }
    Ok(removed)
}
