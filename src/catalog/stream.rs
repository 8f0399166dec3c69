//! The stream of a level as a frame table tells it: what of it is needed, and in which segments
//! that lies.

use super::names::{self, Folder, LevelOf, Meaning};
use super::{Access, Blocks};
use crate::format::frame::{Lane, Opener};
use crate::format::manifest::{LevelParts, ManifestError};
use crate::format::repacked::{MAX_REPACKED_BYTES, Repacked};
use crate::index::{BlockCache, FrameRow, FrameTable, IndexError, RunRoot};
use crate::model::{BackupName, LevelId, Ranges};
use crate::store::{self, Store, StoreExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most bytes of frame table blocks that are kept while a table is read in order.
const TABLE_CACHE_BYTES: usize = 4 << 20;

/// How much of a segment is needed, in bytes as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of frames that hold something that is needed.
    pub live: u64,
    /// Of other frames.
    pub dead: u64,
}

/// The frame table of a level. Loads nothing yet.
///
/// # Errors
///
/// [`IndexError::Malformed`] when its root is.
pub fn open_frame_table(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<FrameTable, IndexError> {
    let root = RunRoot {
        node: parts.frame_table.node.clone(),
        height: parts.frame_table.height,
        entries: parts.frame_table.entries,
    };
    let blocks = Blocks::new(access, backup, &parts.id, Lane::FrameTable);
    FrameTable::open(root, Arc::new(blocks), BlockCache::new(TABLE_CACHE_BYTES))
}

/// Why it is not known where the stream of a level is.
#[derive(Debug, thiserror::Error)]
pub enum RepackedError {
    /// The store could not be asked.
    #[error("could not find out whether the level was repacked")]
    Store(#[source] store::Error),
    /// What says so is damaged or newer than this program.
    #[error("where the level was repacked to could not be read")]
    Document(#[source] ManifestError),
}

/// What supersedes the frame table of a level that was repacked `known` times when one last heard
/// of it; nothing when that is still so.
///
/// One listing, and one object if there is news.
///
/// # Errors
///
/// [`RepackedError`].
pub fn newer(
    store: &dyn Store,
    opener: &Opener,
    of: &LevelOf,
    known: u32,
) -> Result<Option<Repacked>, RepackedError> {
    let mut newest = known;
    let listed = store.list(&of.repacked_prefix(), &mut |object| {
        if let Some(Meaning::Data {
            folder: Folder::Repacked,
            number,
            ..
        }) = names::meaning(&object.name)
        {
            newest = newest.max(number);
        }
        true
    });
    listed.map_err(RepackedError::Store)?;
    if newest == known {
        Ok(None)
    } else {
        load(store, opener, of, newest).map(Some)
    }
}

/// What superseded the frame table of a level when it was repacked for the `number`th time.
///
/// # Errors
///
/// [`RepackedError`].
pub fn load(
    store: &dyn Store,
    opener: &Opener,
    of: &LevelOf,
    number: u32,
) -> Result<Repacked, RepackedError> {
    let stored = store
        .get(&of.data_name(Folder::Repacked, number), MAX_REPACKED_BYTES)
        .map_err(RepackedError::Store)?;
    Repacked::open(stored, opener, number).map_err(RepackedError::Document)
}

/// Whether a frame holds something that is needed.
pub fn is_live(row: &FrameRow, live: &Ranges) -> bool {
    live.touch(&(row.start.0..row.end().0))
}

/// How much of each segment of a level is needed when `live` of its stream is. Reads the whole
/// frame table.
///
/// # Errors
///
/// [`IndexError`].
pub fn shares(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
    live: &Ranges,
) -> Result<BTreeMap<u32, Share>, IndexError> {
    let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
    for row in open_frame_table(access, backup, parts)?.rows() {
        let row = row?;
        let share = shares.entry(row.segment).or_default();
        let part = if is_live(&row, live) {
            &mut share.live
        } else {
            &mut share.dead
        };
        *part += u64::from(row.stored_length);
    }
    Ok(shares)
}

/// Why it is not known to be there.
#[derive(Debug, thiserror::Error)]
pub enum Lacking {
    /// Segments are missing.
    #[error("{count} segments of level {level} are missing")]
    Segments {
        /// Of which level.
        level: LevelId,
        /// How many.
        count: u64,
    },
    /// The store could not be listed.
    #[error("could not list the segments of level {level}")]
    List {
        /// Of which level.
        level: LevelId,
        /// What the store said.
        source: store::Error,
    },
    /// It was repacked, and where to cannot be read.
    #[error("could not find the segments of level {level}")]
    Repacked {
        /// Which level.
        level: LevelId,
        /// What is wrong.
        source: RepackedError,
    },
    /// The frame table cannot be read, which says which segments are needed.
    #[error("could not read the frame table of level {level}")]
    Table {
        /// Of which level.
        level: LevelId,
        /// What is wrong with it.
        source: IndexError,
    },
}

/// Finds the segments of a level that a point in time needs, and where its stream is by now. One
/// listing, and the frame table if not all segments are there.
///
/// # Errors
///
/// [`Lacking`]; also when more of them are not there than are known to be lost.
pub fn find_segments(
    access: &Access,
    backup: &BackupName,
    parts: LevelParts,
    known_missing: u32,
) -> Result<LevelParts, Lacking> {
    if parts.live.as_ref().is_some_and(Ranges::is_empty) {
        return Ok(parts);
    }
    let level = parts.id.clone();
    let (mut there, mut newest) = (BTreeSet::new(), parts.repacked);
    let listed = access
        .store()
        .list(&names::level_prefix(backup, &level), &mut |object| {
            match names::meaning(&object.name) {
                Some(Meaning::Data {
                    folder: Folder::Segments,
                    number,
                    ..
                }) => _ = there.insert(number),
                Some(Meaning::Data {
                    folder: Folder::Repacked,
                    number,
                    ..
                }) => newest = newest.max(number),
                _ => {}
            }
            true
        });
    listed.map_err(|source| Lacking::List {
        level: level.clone(),
        source,
    })?;
    let parts = if newest == parts.repacked {
        parts
    } else {
        let of = LevelOf {
            backup: backup.clone(),
            level: level.clone(),
        };
        let repacked = load(access.store().as_ref(), &access.opener(&level), &of, newest);
        repacked
            .map_err(|source| Lacking::Repacked {
                level: level.clone(),
                source,
            })?
            .apply(parts)
    };
    let all = there.range(..parts.segments).count() as u64;
    let mut count = u64::from(parts.segments).saturating_sub(all);
    if let (Some(live), true) = (&parts.live, count > 0) {
        // Some may have gone as no point in time needs them.
        let shares = shares(access, backup, &parts, live).map_err(|source| Lacking::Table {
            level: level.clone(),
            source,
        })?;
        count = shares
            .iter()
            .filter(|(segment, share)| share.live > 0 && !there.contains(segment))
            .count() as u64;
    }
    if count <= u64::from(known_missing) {
        Ok(parts)
    } else {
        Err(Lacking::Segments { level, count })
    }
}
