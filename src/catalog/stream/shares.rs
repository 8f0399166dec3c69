//! Adds up how much of each segment is needed, by the frame table.

use crate::catalog::{Access, Blocks};
use crate::format::frame::Lane;
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, FrameRow, FrameTable, IndexError};
use crate::model::{BackupName, Ranges};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of frame table blocks that are kept while a table is read in order.
const TABLE_CACHE_BYTES: usize = 4 << 20;

/// How much of a segment is needed, in bytes as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes of frames that hold something that is needed.
    pub live: u64,
    /// Bytes of the other frames.
    pub dead: u64,
}

/// Opens the frame table of a level. Loads nothing yet.
///
/// # Errors
///
/// [`IndexError::Malformed`] when its root is.
pub fn open_frame_table(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<FrameTable, IndexError> {
    let blocks = Blocks::new(access, backup, &parts.id, Lane::FrameTable);
    FrameTable::open(
        (&parts.frame_table).into(),
        Arc::new(blocks),
        BlockCache::new(TABLE_CACHE_BYTES),
    )
}

/// Returns whether a frame holds any byte that is needed.
pub fn is_live(row: &FrameRow, live: &Ranges) -> bool {
    live.touch(&(row.start.0..row.end().0))
}

/// Returns how much of each segment of a level is needed when `live` of its stream is. Reads the
/// whole frame table.
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
