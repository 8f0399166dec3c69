//! Stores that are far away: how long they take, and many frames in one request.

use super::ReadError;
use super::file_reader::LevelStream;
use crate::index::FrameRow;
use crate::model::SegmentOffset;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a reader can take in a second; so much has to be under way for each second that an answer takes.
const BYTES_A_SECOND: u64 = 800_000_000;

/// From this delay on, frames that follow each other are fetched together: below it, one by one spreads the work better.
const FAR: Duration = Duration::from_millis(5);

/// Of what should be under way, so much is one request: several are under way at once.
const REQUESTS: u64 = 4;

/// The most that one request brings. Each thread that fetches may hold so much of what is stored.
const MOST_TOGETHER: u64 = 8 << 20;

/// How long a store takes to answer, as it was seen of late.
#[derive(Debug, Default)]
pub(super) struct Delay(AtomicU64);

impl Delay {
    /// Takes note of one answer.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 8);
        // Two threads that note at once lose one answer, which does no harm.
        let before = self.0.load(Ordering::Relaxed);
        let now = if before == 0 { took } else { before - before / 8 + took / 8 };
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Bytes that should be under way for a reader that goes through a file.
    pub(super) fn bytes_ahead(&self) -> u64 {
        u64::try_from(self.get().as_nanos() * u128::from(BYTES_A_SECOND) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    /// Bytes of the stream that one request should bring; none when frames are fetched one by one.
    pub(super) fn bytes_together(&self) -> Option<u64> {
        (self.get() >= FAR).then(|| (self.bytes_ahead() / REQUESTS).min(MOST_TOGETHER))
    }
}

/// Frames that stand in one segment one after the other, fetched with one request.
pub(super) struct Batch {
    rows: Vec<FrameRow>,
    /// What stands in the segment from the first row on; nothing when it could not be had.
    stored: OnceLock<Option<Vec<u8>>>,
}

impl Batch {
    /// Of one row; [`push`](Self::push) adds more.
    pub(super) fn new(first: FrameRow) -> Self {
        Self { rows: vec![first], stored: OnceLock::new() }
    }

    /// The rows, in order.
    pub(super) fn rows(&self) -> &[FrameRow] {
        &self.rows
    }

    /// Adds a row, if it stands right behind the last and all of them are no more than `most` bytes of the stream.
    pub(super) fn push(&mut self, row: FrameRow, most: u64) -> bool {
        let Some(last) = self.rows.last() else { return false };
        let follows = row.segment == last.segment && last.offset.0.checked_add(u64::from(last.stored_length)) == Some(row.offset.0);
        let bytes: u64 = self.rows.iter().map(|row| u64::from(row.raw_length)).sum();
        let fits = bytes.saturating_add(u64::from(row.raw_length)) <= most;
        if follows && fits {
            self.rows.push(row);
        }
        follows && fits
    }

    /// Fetches all of it, unless another thread has, or is at it.
    pub(super) fn load(&self, level: &LevelStream, delay: &Delay) {
        self.stored.get_or_init(|| {
            let (first, last) = (self.rows.first()?, self.rows.last()?);
            let length = last.offset.0.checked_add(u64::from(last.stored_length))?.checked_sub(first.offset.0)?;
            // What is wrong shows when each frame is fetched by itself.
            level.stored(first.segment, first.offset, usize::try_from(length).ok()?, delay).ok()
        });
    }

    /// One of its frames, decoded.
    pub(super) fn frame(&self, level: &LevelStream, row: &FrameRow, delay: &Delay) -> Result<Vec<u8>, ReadError> {
        self.load(level, delay);
        match self.part(row) {
            Some(stored) => level.decode(row, stored.to_vec(), None),
            None => level.fetch(row, None, delay),
        }
    }

    fn part(&self, row: &FrameRow) -> Option<&[u8]> {
        let SegmentOffset(begin) = self.rows.first()?.offset;
        let from = usize::try_from(row.offset.0.checked_sub(begin)?).ok()?;
        self.stored.get()?.as_ref()?.get(from..from.checked_add(row.stored_length as usize)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Delay};
    use crate::index::FrameRow;
    use crate::model::{FrameNo, SegmentOffset, StreamOffset};
    use std::time::Duration;

    fn row(number: u64, segment: u32, offset: u64) -> FrameRow {
        FrameRow {
            number: FrameNo(number),
            start: StreamOffset(number * 1000),
            raw_length: 1000,
            segment,
            offset: SegmentOffset(offset),
            stored_length: 100,
            checksum: None,
        }
    }

    #[test]
    fn only_what_follows_in_one_segment_and_fits_is_fetched_together() {
        let mut batch = Batch::new(row(0, 0, 0));
        assert!(batch.push(row(1, 0, 100), 3000));
        assert!(!batch.push(row(2, 0, 201), 3000), "a gap");
        assert!(!batch.push(row(2, 1, 200), 3000), "another segment");
        assert!(!batch.push(row(2, 0, 200), 2999), "too much");
        assert!(batch.push(row(2, 0, 200), 3000));
        assert_eq!(batch.rows().len(), 3);
    }

    #[test]
    fn the_slower_the_store_the_more_is_under_way() {
        let delay = Delay::default();
        delay.note(Duration::from_micros(300));
        assert!(delay.bytes_ahead() < 256 << 10, "{}", delay.bytes_ahead());
        assert_eq!(delay.bytes_together(), None);
        (0..100).for_each(|_| delay.note(Duration::from_millis(20)));
        assert!((14_000_000..=16_000_000).contains(&delay.bytes_ahead()), "{}", delay.bytes_ahead());
        assert_eq!(delay.bytes_together(), Some(delay.bytes_ahead() / 4));
        (0..100).for_each(|_| delay.note(Duration::from_secs(1)));
        assert_eq!(delay.bytes_together(), Some(8 << 20));
    }
}
