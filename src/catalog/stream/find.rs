//! Finds the segments of a level that a point in time needs.

use super::{RepackedError, StreamObjects, load, shares};
use crate::catalog::Access;
use crate::catalog::names::LevelOf;
use crate::format::manifest::LevelParts;
use crate::index::IndexError;
use crate::model::{BackupName, LevelId, Ranges};
use crate::store;

/// Why a level's stream is not known to be whole.
#[derive(Debug, thiserror::Error)]
pub enum Lacking {
    /// Segments are missing.
    #[error("{count} segments of level {level} are missing")]
    Segments {
        /// The level.
        level: LevelId,
        /// How many segments are missing.
        count: u64,
    },
    /// The store could not be listed.
    #[error("could not list the segments of level {level}")]
    List {
        /// The level.
        level: LevelId,
        /// What the store said.
        source: store::Error,
    },
    /// The level was repacked, and the record of that cannot be read.
    #[error("could not find the segments of level {level}")]
    Repacked {
        /// The level.
        level: LevelId,
        /// What is wrong with the record.
        source: RepackedError,
    },
    /// The frame table, which says which segments are needed, cannot be read.
    #[error("could not read the frame table of level {level}")]
    Table {
        /// The level.
        level: LevelId,
        /// What is wrong with the table.
        source: IndexError,
    },
}

/// Finds the segments of a level that a point in time needs. Returns where the level's stream is
/// by now.
///
/// One listing, and the frame table if not all segments are there.
///
/// # Errors
///
/// [`Lacking`]; also when more segments are missing than `known_missing`.
pub fn find_segments(
    access: &Access,
    backup: &BackupName,
    parts: LevelParts,
    known_missing: u32,
) -> Result<LevelParts, Lacking> {
    if parts.live.as_ref().is_some_and(Ranges::is_empty) {
        return Ok(parts);
    }
    let of = LevelOf::new(backup, &parts.id);
    let there = StreamObjects::list(access.store().as_ref(), &of, || true).map_err(|source| {
        Lacking::List {
            level: of.level.clone(),
            source,
        }
    })?;
    let parts = newest_parts(access, &of, parts, &there)?;
    let count = missing_segments(access, &of, &parts, &there)?;
    if count <= u64::from(known_missing) {
        Ok(parts)
    } else {
        Err(Lacking::Segments {
            level: of.level,
            count,
        })
    }
}

/// Returns where the stream is by now, if it was repacked since its manifest was made.
fn newest_parts(
    access: &Access,
    of: &LevelOf,
    parts: LevelParts,
    there: &StreamObjects,
) -> Result<LevelParts, Lacking> {
    if there.repacked <= parts.repacked {
        return Ok(parts);
    }
    let opener = access.opener(&of.level);
    match load(access.store().as_ref(), &opener, of, there.repacked) {
        Ok(repacked) => Ok(repacked.apply(parts)),
        Err(source) => Err(Lacking::Repacked {
            level: of.level.clone(),
            source,
        }),
    }
}

/// Counts the segments that are needed and not there.
fn missing_segments(
    access: &Access,
    of: &LevelOf,
    parts: &LevelParts,
    there: &StreamObjects,
) -> Result<u64, Lacking> {
    let listed = there.segments.range(..parts.segments).count() as u64;
    let missing = u64::from(parts.segments).saturating_sub(listed);
    let Some(live) = parts.live.as_ref().filter(|_| missing > 0) else {
        return Ok(missing);
    };
    // Some may have gone as no point in time needs them.
    let shares = shares(access, &of.backup, parts, live).map_err(|source| Lacking::Table {
        level: of.level.clone(),
        source,
    })?;
    Ok(shares
        .iter()
        .filter(|(segment, share)| share.live > 0 && !there.segments.contains_key(segment))
        .count() as u64)
}
