//! Finds out what stood in a leaf of a frame table: the headers of the frames say it.

use crate::catalog::names::Folder;
use crate::catalog::stream::{StreamObjects, open_frame_table};
use crate::format::frame::{HEADER_BYTES, SealedOutline};
use crate::format::manifest::LevelParts;
use crate::index::{FrameRow, FrameTable, SurveyedBlock};
use crate::model::{FrameNo, SegmentOffset, StreamOffset};
use crate::store::StoreExt;
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::RepairError;
use std::collections::BTreeMap;

/// The rows of a frame table as the segments tell them.
pub(super) struct TableRows<'run> {
    of: BackupIn<'run>,
    parts: &'run LevelParts,
    table: FrameTable,
    /// Lengths of the segments that are there, by their numbers.
    lengths: BTreeMap<u32, u64>,
    /// The last row that was made again.
    last: Option<FrameRow>,
}

/// Where a frame begins, or ends.
#[derive(Clone, Copy)]
struct FramePlace {
    start: StreamOffset,
    segment: u32,
    offset: SegmentOffset,
}

impl FramePlace {
    /// Where the first frame of a level begins.
    const FIRST: Self = Self {
        start: StreamOffset(0),
        segment: 0,
        offset: SegmentOffset(0),
    };

    fn after(row: &FrameRow) -> Self {
        let offset = SegmentOffset(row.offset.0.saturating_add(row.stored_length.into()));
        Self {
            start: row.end(),
            segment: row.segment,
            offset,
        }
    }
}

impl<'run> TableRows<'run> {
    pub(super) fn new(of: BackupIn<'run>, parts: &'run LevelParts) -> Result<Self, RepairError> {
        let table = open_frame_table(of.access, of.backup, parts).map_err(RepairError::Index)?;
        let level = of.level(&parts.id);
        let listed = StreamObjects::list(of.store().as_ref(), &level, || true)
            .map_err(RepairError::Store)?;
        Ok(Self {
            of,
            parts,
            table,
            lengths: listed.segments,
            last: None,
        })
    }

    /// Returns the rows of a leaf, if the headers say what they are and they fit the rows that are
    /// known on both sides.
    pub(super) fn of_leaf(
        &mut self,
        leaf: &SurveyedBlock,
    ) -> Result<Option<Vec<FrameRow>>, RepairError> {
        let Some(mut place) = self.before(leaf.first) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for number in leaf.first..leaf.first.saturating_add(leaf.entries) {
            let Some(row) = self.row(FrameNo(number), place)? else {
                return Ok(None);
            };
            place = FramePlace::after(&row);
            rows.push(row);
        }
        let fits = self.fits_next(leaf.first.saturating_add(leaf.entries), place);
        self.last = rows.last().copied().filter(|_| fits);
        Ok(fits.then_some(rows))
    }

    /// Returns whether the row of this number, or the end of the stream, may follow at a place.
    fn fits_next(&self, number: u64, place: FramePlace) -> bool {
        match self.table.row(number) {
            Ok(Some(next)) => {
                next.start == place.start
                    && self.place_of_next(place) == Some((next.segment, next.offset))
            }
            Ok(None) => place.start.0 == self.parts.stream_bytes,
            // The leaf after this one is to be made again too, and must fit what comes after it.
            Err(_) => true,
        }
    }

    /// Returns where the frame of this number is to be looked for.
    fn before(&self, number: u64) -> Option<FramePlace> {
        let Some(before) = number.checked_sub(1) else {
            return Some(FramePlace::FIRST);
        };
        let made = self.last.filter(|row| row.number.0 == before);
        made.or_else(|| self.table.row(before).ok()?)
            .as_ref()
            .map(FramePlace::after)
    }

    /// Returns the segment and the offset in it of what comes after a place: the next segment,
    /// where this one ends there.
    fn place_of_next(&self, place: FramePlace) -> Option<(u32, SegmentOffset)> {
        if self
            .lengths
            .get(&place.segment)
            .is_some_and(|length| *length == place.offset.0)
        {
            Some((place.segment.checked_add(1)?, SegmentOffset(0)))
        } else {
            Some((place.segment, place.offset))
        }
    }

    /// Reads the header of a frame, and returns the row that it tells.
    fn row(&self, number: FrameNo, place: FramePlace) -> Result<Option<FrameRow>, RepairError> {
        let Some((segment, offset)) = self.place_of_next(place) else {
            return Ok(None);
        };
        let Some(length) = self.lengths.get(&segment) else {
            return Ok(None);
        };
        let level = self.of.level(&self.parts.id);
        let name = level.data_name(Folder::Segments, segment);
        let header = match self.of.store().get_range(&name, offset.0, HEADER_BYTES) {
            Ok(header) => header,
            Err(error) if error.kind().is_damage() => return Ok(None),
            Err(error) => return Err(RepairError::Store(error)),
        };
        let outline = header
            .first_chunk()
            .and_then(SealedOutline::read)
            .filter(|outline| outline.number == number);
        Ok(outline
            .filter(|outline| {
                offset
                    .0
                    .checked_add(outline.stored_length.into())
                    .is_some_and(|end| end <= *length)
            })
            .map(|outline| FrameRow {
                number,
                start: place.start,
                raw_length: outline.raw_length,
                segment,
                offset,
                stored_length: outline.stored_length,
                checksum: None,
                stretch: None,
            }))
    }
}
