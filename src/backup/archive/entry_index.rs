//! Puts entries into the index, counts them, and gathers what they need of earlier levels.

use crate::backup::checkpoint::IndexSoFar;
use crate::backup::compare::Change;
use crate::backup::error::BackupError;
use crate::backup::index_writer::{IndexWriter, WrittenIndex};
use crate::backup::live::LiveBytes;
use crate::format::manifest::Counts;
use crate::model::{Content, Entry, LevelSerial, NodeId, Progress, Ranges, Trouble};
use std::collections::{BTreeMap, BTreeSet};

/// The index of the level, with the counts for its manifest.
pub(in crate::backup) struct EntryIndex<'run> {
    writer: IndexWriter<'run>,
    live: LiveBytes,
    /// The streams of interrupted runs.
    unfinished: BTreeSet<LevelSerial>,
    tally: Tally,
    progress: &'run dyn Progress,
}

/// Counts over all entries of a level.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::backup) struct Tally {
    pub(in crate::backup) counts: Counts,
    /// Sizes of all files, each hard-linked file once.
    pub(in crate::backup) logical_bytes: u64,
    pub(in crate::backup) has_xattrs: bool,
    pub(in crate::backup) taken: TakenUp,
}

/// Content that interrupted runs had stored, and that was not stored again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenUp {
    /// Number of files with content in their streams; each name of a hard-linked file counts.
    pub files: u64,
    /// Bytes of that content before compression; a hard-linked file counts once.
    pub bytes: u64,
}

/// The index of a level, complete, and what belongs to it.
pub(in crate::backup) struct IndexedEntries {
    pub(in crate::backup) index: WrittenIndex,
    /// The bytes of earlier levels that this point in time needs.
    pub(in crate::backup) live: BTreeMap<LevelSerial, Ranges>,
    pub(in crate::backup) tally: Tally,
}

impl<'run> EntryIndex<'run> {
    /// Starts without entries. `live` knows the earlier levels, and `unfinished` names the streams
    /// among them that belong to interrupted runs.
    pub(in crate::backup) fn new(
        writer: IndexWriter<'run>,
        live: LiveBytes,
        unfinished: BTreeSet<LevelSerial>,
        progress: &'run dyn Progress,
    ) -> Self {
        Self {
            writer,
            live,
            unfinished,
            tally: Tally::default(),
            progress,
        }
    }

    pub(super) fn count_skipped(&mut self, skipped: u64) {
        self.tally.counts.skipped += skipped;
    }

    pub(super) fn count_logical_bytes(&mut self, bytes: u64) {
        self.tally.logical_bytes += bytes;
    }

    /// Appends an entry with all its extents. If it does not fit the index, that is reported, and
    /// there is no node.
    pub(super) fn push(
        &mut self,
        entry: &Entry,
        change: &Change,
    ) -> Result<Option<NodeId>, BackupError> {
        match self.writer.push(entry, change)? {
            Ok(node) => {
                self.count(entry, change);
                self.live.add(entry);
                Ok(Some(node))
            }
            Err(unfit) => {
                self.progress
                    .trouble(Trouble::new(entry.path.clone(), unfit));
                Ok(None)
            }
        }
    }

    fn count(&mut self, entry: &Entry, change: &Change) {
        let counts = &mut self.tally.counts;
        counts.entries += 1;
        match change {
            Change::New => counts.new += 1,
            Change::Changed => counts.changed += 1,
            Change::Unchanged { .. } => counts.unchanged += 1,
        }
        match &entry.content {
            Content::File { extents, .. } => {
                counts.files += 1;
                let taken = extents
                    .iter()
                    .filter(|extent| self.unfinished.contains(&extent.level))
                    .map(|extent| extent.length);
                let taken: u64 = taken.sum();
                self.tally.taken.files += u64::from(taken > 0);
                self.tally.taken.bytes += if entry.link_to.is_none() { taken } else { 0 };
            }
            Content::Directory => counts.directories += 1,
            _ => {}
        }
        self.tally.has_xattrs |= !entry.metadata.xattrs.is_empty();
    }

    /// Returns the index as far as it is written.
    pub(super) fn so_far(&mut self) -> Result<IndexSoFar, BackupError> {
        self.writer.so_far()
    }

    /// Ends the index.
    pub(super) fn finish(self) -> Result<IndexedEntries, BackupError> {
        Ok(IndexedEntries {
            index: self.writer.finish()?,
            live: self.live.finish(),
            tally: self.tally,
        })
    }
}
