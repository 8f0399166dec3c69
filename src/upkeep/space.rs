//! Answers what the data objects of a backup take.

use super::backup_in::BackupIn;
use crate::catalog::names::{self, Folder, Meaning};
use crate::model::LevelId;
use crate::store::{self, Store};
use std::collections::BTreeMap;

/// The data objects of a level.
#[derive(Debug, Default)]
pub(super) struct DataObjects {
    /// Bytes of its index and checkpoints.
    pub(super) index_bytes: u64,
    /// Whether its run left a checkpoint.
    pub(super) has_checkpoint: bool,
    /// Lengths of its segments in bytes, by their numbers.
    pub(super) segments: BTreeMap<u32, u64>,
    /// Lengths of the objects of its frame tables.
    pub(super) tables: BTreeMap<u32, u64>,
    /// Lengths of the records of its repacks.
    pub(super) repacked: BTreeMap<u32, u64>,
}

impl DataObjects {
    /// Returns the bytes of segments, frame tables and records of repacks.
    pub(super) fn stream_bytes(&self) -> u64 {
        [&self.segments, &self.tables, &self.repacked]
            .into_iter()
            .flat_map(BTreeMap::values)
            .sum()
    }
}

/// The data objects of each level that has any.
#[derive(Debug, Default)]
pub(super) struct Space(BTreeMap<LevelId, DataObjects>);

impl Space {
    /// Lists the data of a backup. Memory holds some 20 bytes for each object.
    pub(super) fn read(of: BackupIn<'_>) -> Result<Self, store::Error> {
        let mut levels: BTreeMap<LevelId, DataObjects> = BTreeMap::new();
        of.store()
            .list(&names::data_prefix(of.backup), &mut |object| {
                if let Some(Meaning::Data { of, folder, number }) = names::meaning(&object.name) {
                    let objects = levels.entry(of.level).or_default();
                    let of_folder = match folder {
                        // Checkpoints go with the index, of which they tell.
                        Folder::Index | Folder::Checkpoints => {
                            objects.index_bytes += object.length;
                            objects.has_checkpoint |= folder == Folder::Checkpoints;
                            return true;
                        }
                        Folder::Segments => &mut objects.segments,
                        Folder::Frames => &mut objects.tables,
                        Folder::Repacked => &mut objects.repacked,
                    };
                    of_folder.insert(number, object.length);
                }
                true
            })?;
        Ok(Self(levels))
    }

    /// Returns the objects of a level; `None` when it has none.
    pub(super) fn of(&self, level: &LevelId) -> Option<&DataObjects> {
        self.0.get(level)
    }

    /// Returns the levels after the newest that the next run may go on with: those that cut-off
    /// runs left, and the one that a run is making now.
    pub(super) fn resumable<'a>(
        &'a self,
        newest: Option<&'a LevelId>,
    ) -> impl Iterator<Item = &'a LevelId> {
        let last = self
            .0
            .iter()
            .rev()
            .find(|(_, objects)| objects.has_checkpoint)
            .map(|(level, _)| level);
        let is_later = move |level: &&LevelId| {
            newest.is_none_or(|newest| newest < *level) && last.is_some_and(|last| *level <= last)
        };
        self.0.keys().filter(is_later)
    }

    /// Returns every level that has data, with its objects.
    pub(super) fn levels(&self) -> impl Iterator<Item = (&LevelId, &DataObjects)> {
        self.0.iter()
    }
}
