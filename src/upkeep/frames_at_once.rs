//! Fetches neighbouring frames of a segment with one request.

use crate::index::FrameRow;
use crate::store::{self, ObjectName, Store, StoreExt};

/// Most bytes of neighbouring frames that are fetched at once.
const BATCH_BYTES: u64 = 4 << 20;

/// Frames that follow each other in one segment, at least one.
pub(super) struct AdjacentFrames {
    rows: Vec<FrameRow>,
}

impl AdjacentFrames {
    pub(super) fn new(first: FrameRow) -> Self {
        Self { rows: vec![first] }
    }

    /// Splits the frames of one segment into batches.
    pub(super) fn split(rows: Vec<FrameRow>) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        for row in rows {
            if !batches.last_mut().is_some_and(|batch| batch.take(&row)) {
                batches.push(Self::new(row));
            }
        }
        batches
    }

    /// Adds a frame, if it follows the last one and the batch does not get too long. Returns
    /// whether it did.
    pub(super) fn take(&mut self, row: &FrameRow) -> bool {
        let fits = self
            .rows
            .first()
            .zip(self.rows.last())
            .is_some_and(|(first, last)| {
                let end = last.offset.0.saturating_add(u64::from(last.stored_length));
                let length = end
                    .saturating_sub(first.offset.0)
                    .saturating_add(u64::from(row.stored_length));
                last.segment == row.segment && end == row.offset.0 && length <= BATCH_BYTES
            });
        if fits {
            self.rows.push(*row);
        }
        fits
    }

    pub(super) fn rows(&self) -> &[FrameRow] {
        &self.rows
    }

    /// Fetches all frames of the batch with one request.
    pub(super) fn fetch(
        &self,
        store: &dyn Store,
        segment: &ObjectName,
    ) -> Result<FetchedFrames, store::Error> {
        let start = self.rows.first().map_or(0, |first| first.offset.0);
        let length: u64 = self
            .rows
            .iter()
            .map(|row| u64::from(row.stored_length))
            .sum();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = store.get_range(segment, start, length)?;
        Ok(FetchedFrames { start, bytes })
    }
}

/// The stored bytes of a batch.
pub(super) struct FetchedFrames {
    /// Where they begin in their segment.
    start: u64,
    bytes: Vec<u8>,
}

impl FetchedFrames {
    /// Returns the stored bytes of a frame; `None` when they are not in the batch.
    pub(super) fn frame(&self, row: &FrameRow) -> Option<Vec<u8>> {
        let from = usize::try_from(row.offset.0.checked_sub(self.start)?).ok()?;
        let end = from.checked_add(usize::try_from(row.stored_length).ok()?)?;
        self.bytes.get(from..end).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::{AdjacentFrames, BATCH_BYTES};
    use crate::index::FrameRow;
    use crate::model::{FrameNo, SegmentOffset, StreamOffset};

    fn row(number: u64, segment: u32, offset: u64, length: u32) -> FrameRow {
        FrameRow {
            number: FrameNo(number),
            start: StreamOffset(number),
            raw_length: 1,
            segment,
            offset: SegmentOffset(offset),
            stored_length: length,
            checksum: None,
            stretch: None,
        }
    }

    #[test]
    fn only_neighbours_of_one_segment_share_a_batch_and_no_batch_is_too_long() {
        let half = u32::try_from(BATCH_BYTES / 2).expect("it fits");
        let rows = vec![
            row(0, 1, 10, half),
            row(1, 1, 10 + u64::from(half), half),
            // One byte too many.
            row(2, 1, 10 + BATCH_BYTES, 1),
            // A gap.
            row(3, 1, 12 + BATCH_BYTES, 1),
            // Another segment.
            row(4, 2, 13 + BATCH_BYTES, 1),
            // One frame may be longer than a batch.
            row(5, 3, 0, 4 * half),
        ];
        let batches = AdjacentFrames::split(rows);
        let numbers: Vec<Vec<u64>> = batches
            .iter()
            .map(|batch| batch.rows().iter().map(|row| row.number.0).collect())
            .collect();
        assert_eq!(numbers, [vec![0, 1], vec![2], vec![3], vec![4], vec![5]]);
    }
}
