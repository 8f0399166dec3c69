//! What a store holds of a backup beside its points in time: worth knowing, and no damage.

use super::PruneError;
use super::points::Points;
use super::space::Space;
use super::withdrawn::Notes;
use crate::catalog::{Access, claims};
use crate::model::{BackupName, LevelId};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Something that is no part of any point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A run has claimed the backup and seems to be at work; what it stored so far.
    UnderWay {
        /// The level that it makes, if it makes one.
        level: LevelId,
        /// Its data.
        bytes: u64,
    },
    /// A run was cut off. The next one that gets the backup's lock removes or uses what is left of it.
    CutOff {
        /// The level that it was to make.
        level: LevelId,
        /// Its data.
        bytes: u64,
    },
    /// Data that no point in time needs and no run has claimed: a prune removes it.
    Unneeded {
        /// Of how many levels.
        levels: u64,
        /// How much.
        bytes: u64,
    },
    /// Notes of points in time that went, whose data is kept for those who read it, if the grace is not over.
    Notes {
        /// How many.
        count: u64,
        /// The moment of the newest.
        newest: Timestamp,
    },
}

/// Looks for what is beside the points in time of a backup. Lists its data, its claims and its notes, and reads its
/// manifests; changes nothing.
///
/// # Errors
///
/// [`PruneError`].
pub fn remarks(access: &Access, backup: &BackupName, now: Timestamp) -> Result<Vec<Remark>, PruneError> {
    // Data first: what is published after that has its manifest by the time those are read.
    let space = Space::read(access, backup).map_err(PruneError::List)?;
    let claims = claims(&access.store(), backup, now).map_err(PruneError::List)?;
    let needed = Points::read(access, backup)?.needed(|_| true);
    let mut unneeded: BTreeMap<&LevelId, u64> = BTreeMap::new();
    for (level, _, bytes) in space.beside(&needed) {
        *unneeded.entry(level).or_default() += bytes;
    }
    let mut remarks = Vec::new();
    for (level, is_live) in claims {
        let bytes = unneeded.remove(&level).unwrap_or_default();
        remarks.push(if is_live { Remark::UnderWay { level, bytes } } else { Remark::CutOff { level, bytes } });
    }
    if !unneeded.is_empty() {
        remarks.push(Remark::Unneeded { levels: unneeded.len() as u64, bytes: unneeded.values().sum() });
    }
    let notes = Notes::list(access, backup).map_err(PruneError::List)?;
    if let Some(newest) = notes.newest() {
        remarks.push(Remark::Notes { count: notes.count(), newest });
    }
    Ok(remarks)
}
