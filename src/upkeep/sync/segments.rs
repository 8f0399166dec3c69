//! Finds out by the frame table what the segments must hold that the copy lacks.

use super::object_check::{BadObject, Contents, CopyErrand, ObjectFlaw};
use super::pair::Pair;
use crate::catalog::names::{self, Folder};
use crate::catalog::stream::open_frame_table;
use crate::format::manifest::LevelParts;
use crate::index::{FrameRow, IndexError};
use crate::model::BackupName;
use crate::store::{self, ObjectInfo};
use crate::upkeep::error::SyncError;
use std::collections::{BTreeMap, BTreeSet};

/// The segments of one level that the copy lacks.
pub(super) struct LackingSegments {
    /// Where the stream of the level is in the source.
    pub(super) parts: LevelParts,
    /// Those that the source has.
    pub(super) there: BTreeMap<u32, ObjectInfo>,
    /// The numbers of those that the copy has.
    pub(super) copied: BTreeSet<u32>,
}

/// What the frame table tells of a segment.
pub(super) enum SegmentNews {
    /// It can be copied if it holds what it must.
    Copy(CopyErrand),
    /// It cannot be passed on.
    Bad(BadObject),
}

impl LackingSegments {
    /// Walks through the frame table, and tells of each segment that the copy lacks, until `tell`
    /// returns false. Memory holds the rows of one segment; of a repacked level, where frames lie
    /// in any order, those of all segments that the copy lacks.
    ///
    /// # Errors
    ///
    /// [`SyncError::Table`] when the store does not answer. Where the table is damaged, the
    /// segments that are left are told as one.
    pub(super) fn tell(
        mut self,
        pair: Pair<'_>,
        backup: &BackupName,
        tell: &mut dyn FnMut(SegmentNews) -> bool,
    ) -> Result<(), SyncError> {
        let table = match open_frame_table(pair.from, backup, &self.parts) {
            Ok(table) => table,
            Err(error) => return self.tell_table(backup, error, tell),
        };
        let is_repacked = self.parts.repacked > 0;
        let mut rows_of: BTreeMap<u32, Vec<FrameRow>> = BTreeMap::new();
        for row in table.rows() {
            let row = match row {
                Ok(row) => row,
                Err(error) => return self.tell_table(backup, error, tell),
            };
            let is_next = !is_repacked && !rows_of.contains_key(&row.segment);
            let full = is_next.then(|| std::mem::take(&mut rows_of));
            for (segment, rows) in full.into_iter().flatten() {
                if !self.tell_segment(backup, segment, rows, tell) {
                    return Ok(());
                }
            }
            if !self.copied.contains(&row.segment) {
                rows_of.entry(row.segment).or_default().push(row);
            }
        }
        for (segment, rows) in rows_of {
            if !self.tell_segment(backup, segment, rows, tell) {
                break;
            }
        }
        Ok(())
    }

    fn tell_segment(
        &mut self,
        backup: &BackupName,
        segment: u32,
        mut rows: Vec<FrameRow>,
        tell: &mut dyn FnMut(SegmentNews) -> bool,
    ) -> bool {
        rows.sort_by_key(|row| row.offset);
        let level = &self.parts.id;
        let contents = Contents::Frames {
            rows,
            compression: self.parts.compression,
        };
        tell(match self.there.remove(&segment) {
            Some(object) => SegmentNews::Copy(CopyErrand {
                level: level.clone(),
                object,
                contents,
            }),
            None => SegmentNews::Bad(BadObject {
                level: level.clone(),
                folder: Folder::Segments,
                object: names::data_name(backup, level, Folder::Segments, segment),
                flaw: ObjectFlaw::Missing,
                bytes: contents.stream_bytes(),
            }),
        })
    }

    /// Tells that the frame table cannot be read: of the table, and so of every segment that is
    /// left.
    fn tell_table(
        self,
        backup: &BackupName,
        error: IndexError,
        tell: &mut dyn FnMut(SegmentNews) -> bool,
    ) -> Result<(), SyncError> {
        let level = self.parts.id.clone();
        if is_outage(&error) {
            return Err(SyncError::Table {
                level,
                source: Box::new(error),
            });
        }
        self.tell_all(backup, ObjectFlaw::Table(error), tell);
        Ok(())
    }

    /// Tells that none of the segments that are left can be verified.
    pub(super) fn tell_all(
        self,
        backup: &BackupName,
        flaw: ObjectFlaw,
        tell: &mut dyn FnMut(SegmentNews) -> bool,
    ) {
        let level = self.parts.id;
        let first = self.there.into_values().next().map(|object| object.name);
        tell(SegmentNews::Bad(BadObject {
            object: first.unwrap_or_else(|| names::data_name(backup, &level, Folder::Segments, 0)),
            level,
            folder: Folder::Segments,
            flaw,
            bytes: std::iter::once(0..self.parts.stream_bytes).collect(),
        }));
    }
}

/// Returns whether a block could not be read as the store did not answer.
fn is_outage(error: &IndexError) -> bool {
    let IndexError::Fetch { source, .. } = error else {
        return false;
    };
    source
        .downcast_ref::<store::Error>()
        .is_some_and(|error| !error.kind().is_damage())
}
