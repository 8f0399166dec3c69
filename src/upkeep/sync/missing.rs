//! Finds the levels that the copy lacks.

use super::pair::Pair;
use crate::catalog::{Access, Order, outlines};
use crate::model::order::is_ahead;
use crate::model::{BackupName, LevelId, LevelSerial};
use crate::upkeep::error::SyncError;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Which levels go across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelsToCopy {
    /// Those that were made after the newest in the copy. Levels that were pruned from the copy
    /// stay away.
    Newer,
    /// All that the copy lacks.
    All,
}

/// Returns the levels that the copy lacks, in the order in which they were made, when it is `now`.
///
/// # Errors
///
/// [`SyncError::Catalog`].
pub fn missing(
    pair: Pair<'_>,
    backup: &BackupName,
    wanted: LevelsToCopy,
    now: Timestamp,
) -> Result<Vec<LevelId>, SyncError> {
    let order = |access: &Access| Order::read(access, backup, now).map_err(SyncError::Catalog);
    let (from, to) = (order(pair.from)?, order(pair.to)?);
    let there: BTreeSet<&LevelId> = to.levels().collect();
    let mut missing: Vec<LevelId> = from
        .levels()
        .filter(|level| !there.contains(level))
        .cloned()
        .collect();
    if wanted == LevelsToCopy::Newer
        && let Some((newest, serial)) = newest_of(pair.to, backup, &to)
    {
        // Where neither id says that it is out of order, ids tell which level was made first.
        let is_plain = |level: &LevelId| match *level < newest {
            true => !level.is_out_of_order(),
            false => !newest.is_out_of_order() && !is_ahead(level.started(), now),
        };
        let doubtful = missing.iter().filter(|level| !is_plain(level)).cloned();
        let serials: BTreeMap<LevelId, LevelSerial> =
            outlines(pair.from, backup, doubtful.collect())
                .into_iter()
                .filter_map(|(level, outline)| Some((level, outline.ok()?.serial)))
                .collect();
        missing.retain(|level| match serials.get(level) {
            Some(own) => *own > serial,
            None => *level > newest,
        });
    }
    Ok(missing)
}

/// Returns the level of the copy that was made last, of those that can be read.
fn newest_of(
    access: &Access,
    backup: &BackupName,
    order: &Order,
) -> Option<(LevelId, LevelSerial)> {
    order.levels().rev().find_map(|level| {
        let outline = access.outline(backup, level).ok()?;
        Some((level.clone(), outline.serial))
    })
}
