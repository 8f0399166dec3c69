//! Rewrites segments of one level, and writes the frame table that tells where its frames are then.

use super::choose::LevelToRepack;
use super::copy::{Copier, Copies, NewPlace};
use super::table_blocks::TableBlocks;
use crate::catalog::names::LevelOf;
use crate::catalog::stream::{is_live, open_frame_table};
use crate::format::manifest::LevelParts;
use crate::format::repacked::Repacked;
use crate::format::segment::TooManySegments;
use crate::index::{FrameRow, FrameTable, FrameTableWriter, IndexError};
use crate::model::Cancel;
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use std::collections::BTreeMap;

/// What became of the segments of a level.
pub(super) struct Rewritten {
    /// What is to supersede the level's frame table; `None` when no frame was copied.
    pub(super) record: Option<Repacked>,
    /// Segments that could not be read: they stay.
    pub(super) damaged: Vec<u32>,
}

/// Rewrites segments of one level.
pub(super) struct Rewrite<'run> {
    of: BackupIn<'run>,
    level: LevelOf,
    chosen: &'run LevelToRepack<'run>,
    cancel: &'run Cancel,
}

impl<'run> Rewrite<'run> {
    pub(super) fn new(
        of: BackupIn<'run>,
        chosen: &'run LevelToRepack<'run>,
        cancel: &'run Cancel,
    ) -> Self {
        Self {
            of,
            level: of.level(chosen.level),
            chosen,
            cancel,
        }
    }

    /// Copies the needed frames of the chosen segments, and writes a frame table.
    pub(super) fn run(&self) -> Result<Rewritten, PruneError> {
        let chosen = self.chosen;
        let table = open_frame_table(self.of.access, self.of.backup, &chosen.parts)
            .map_err(|source| self.table_failed(source))?;
        let copier = Copier {
            of: self.of,
            level: &self.level,
            opener: &self.of.access.opener(chosen.level),
            compression: chosen.parts.compression,
            cancel: self.cancel,
            first: first_free(&chosen.objects.segments, chosen.parts.segments),
        };
        let copies = copier.copy(chosen, self.wanted_frames(&table)?)?;
        let record = if copies.places.is_empty() {
            None
        } else {
            Some(self.write_table(&table, &copies)?)
        };
        Ok(Rewritten {
            record,
            damaged: copies.damaged,
        })
    }

    fn table_failed(&self, source: IndexError) -> PruneError {
        PruneError::Table {
            level: self.level.level.clone(),
            source,
        }
    }

    /// Returns the needed frames of the chosen segments, by the numbers of these.
    fn wanted_frames(
        &self,
        table: &FrameTable,
    ) -> Result<BTreeMap<u32, Vec<FrameRow>>, PruneError> {
        let chosen = self.chosen;
        let mut wanted: BTreeMap<u32, Vec<FrameRow>> = BTreeMap::new();
        for row in table.rows() {
            let row = row.map_err(|source| self.table_failed(source))?;
            if chosen.segments.contains_key(&row.segment) && is_live(&row, chosen.live) {
                let rows = wanted.entry(row.segment).or_default();
                // Rows that share a frame stand side by side.
                if !rows.last().is_some_and(|last| row.shares_frame_with(last)) {
                    rows.push(row);
                }
            }
        }
        Ok(wanted)
    }

    /// Writes the level's new frame table. Returns what supersedes the old one.
    fn write_table(&self, table: &FrameTable, copies: &Copies) -> Result<Repacked, PruneError> {
        let parts = &self.chosen.parts;
        let table_failed = |source| self.table_failed(source);
        let first_table = first_free(&self.chosen.objects.tables, parts.frame_table_segments);
        let number = self.next_number()?;
        let mut blocks = TableBlocks::new(self.of, &self.level, number, first_table)?;
        let mut writer = FrameTableWriter::new();
        for row in table.rows() {
            let row = row.map_err(table_failed)?;
            if let Some(row) = self.row_by_now(row, copies) {
                writer.push_later(&row, &mut blocks).map_err(table_failed)?;
            }
        }
        let root = writer.finish(&mut blocks).map_err(table_failed)?;
        let frame_table_segments = blocks.finish()?;
        let parts = LevelParts {
            segments: copies.end,
            frame_table: root.into(),
            frame_table_segments,
            repacked: number,
            ..parts.clone()
        };
        Ok(Repacked::of(&parts, first_table))
    }

    /// Returns the row of a frame in the new table; `None` when the frame is not in it.
    ///
    /// All frames of a segment that stays are in the table. Of a segment that was rewritten, the
    /// copied ones are; of one that could not be read, all.
    fn row_by_now(&self, row: FrameRow, copies: &Copies) -> Option<FrameRow> {
        if let Some(NewPlace { segment, offset }) = copies.places.get(&row.number) {
            return Some(FrameRow {
                segment: *segment,
                offset: *offset,
                ..row
            });
        }
        let segment = &row.segment;
        let stays = !self.chosen.segments.contains_key(segment) || copies.damaged.contains(segment);
        (self.chosen.needed.contains(segment) && stays).then_some(row)
    }

    /// Returns the number of this repack of the level.
    fn next_number(&self) -> Result<u32, PruneError> {
        let listed = self.chosen.objects.repacked.keys().next_back().copied();
        listed
            .unwrap_or(0)
            .max(self.chosen.parts.repacked)
            .checked_add(1)
            .ok_or(PruneError::Segments(TooManySegments))
    }
}

/// Returns the first number above all that are listed and all that were published.
fn first_free(listed: &BTreeMap<u32, u64>, published_end: u32) -> u32 {
    listed
        .keys()
        .next_back()
        .map_or(0, |last| last.saturating_add(1))
        .max(published_end)
}
