//! Stores that are far away: how long they take, and many frames in one request.

use super::ReadError;
use super::file_reader::LevelStream;
use crate::index::FrameRow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Twice what a reader can take in a second; so much has to be under way for each second that an
/// answer takes, as it takes time to come, too.
const BYTES_A_SECOND: u64 = 1_600_000_000;

/// From this delay on, frames that follow each other are fetched together: below it, one by one
/// spreads the work better.
const FAR: Duration = Duration::from_millis(5);

/// Of what should be under way, so much is one request: several are under way at once.
const REQUESTS: u64 = 4;

/// The most that one request brings.
const MOST_TOGETHER: u64 = 8 << 20;

/// How long a frame waits for a thread that fetches those beside it, before it is fetched alone.
const BEGINS_WITHIN: Duration = Duration::from_millis(50);

/// How long a store takes to answer, as it was seen of late.
#[derive(Debug, Default)]
pub(super) struct Delay(AtomicU64);

impl Delay {
    /// Takes note of one answer.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 8);
        // Two threads that note at once lose one answer, which does no harm.
        let before = self.0.load(Ordering::Relaxed);
        let now = if before == 0 {
            took
        } else {
            before - before / 8 + took / 8
        };
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Bytes that should be under way for a reader that goes through a file.
    pub(super) fn bytes_ahead(&self) -> u64 {
        u64::try_from(self.get().as_nanos() * u128::from(BYTES_A_SECOND) / 1_000_000_000)
            .unwrap_or(u64::MAX)
    }

    /// Bytes of the stream that one request should bring; none when frames are fetched one by one.
    pub(super) fn bytes_together(&self) -> Option<u64> {
        (self.get() >= FAR).then(|| (self.bytes_ahead() / REQUESTS).min(MOST_TOGETHER))
    }
}

/// Frames that stand in one segment one after the other, fetched with one request.
pub(super) struct Batch {
    rows: Vec<FrameRow>,
    state: Mutex<State>,
    /// Told of each frame that comes, and of the beginning and the end.
    changed: Condvar,
}

/// How far the request is.
#[derive(Default)]
struct State {
    stage: Stage,
    /// What has come and was not taken yet, by the place among the rows.
    stored: HashMap<usize, Vec<u8>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Planned,
    /// Some thread reads the answer.
    Coming,
    /// What did not come will not.
    Over,
}

impl Batch {
    /// Of one row; [`push`](Self::push) adds more.
    pub(super) fn new(first: FrameRow) -> Self {
        Self {
            rows: vec![first],
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The rows, in order.
    pub(super) fn rows(&self) -> &[FrameRow] {
        &self.rows
    }

    /// Adds a row, if it stands right behind the last and all of them are no more than `most` bytes
    /// of the stream.
    pub(super) fn push(&mut self, row: FrameRow, most: u64) -> bool {
        let Some(last) = self.rows.last() else {
            return false;
        };
        let follows = row.segment == last.segment
            && last.offset.0.checked_add(u64::from(last.stored_length)) == Some(row.offset.0);
        let bytes: u64 = self.rows.iter().map(|row| u64::from(row.raw_length)).sum();
        let fits = bytes.saturating_add(u64::from(row.raw_length)) <= most;
        if follows && fits {
            self.rows.push(row);
        }
        follows && fits
    }

    /// Fetches all of it, and says of each frame by its place when it has come. Once.
    pub(super) fn load(&self, level: &LevelStream, delay: &Delay, has_come: &mut dyn FnMut(usize)) {
        let _over = self.begin();
        let Some(first) = self.rows.first() else {
            return;
        };
        let lengths: Vec<_> = self
            .rows
            .iter()
            .map(|row| row.stored_length as usize)
            .collect();
        let mut places = 0..;
        let outcome = level.stored_pieces(
            first.segment,
            first.offset,
            &lengths,
            delay,
            &mut |stored| {
                let Some(place) = places.next() else {
                    return false;
                };
                self.come(place, stored);
                has_come(place);
                true
            },
        );
        if let Err(error) = outcome {
            // What is wrong shows when each frame is fetched by itself.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "several frames could not be had together"
            );
        }
    }

    /// One of its frames, decoded. A frame that does not come with the others is fetched by itself.
    pub(super) fn frame(
        &self,
        level: &LevelStream,
        row: &FrameRow,
        delay: &Delay,
    ) -> Result<Vec<u8>, ReadError> {
        let with_others = if self.rows.len() == 1 {
            None
        } else {
            self.wait(row)
        };
        match with_others {
            Some(stored) => level.decode(row, stored, None),
            None => level.fetch(row, None, delay),
        }
    }

    fn wait(&self, row: &FrameRow) -> Option<Vec<u8>> {
        let place = self
            .rows
            .iter()
            .position(|other| other.number == row.number)?;
        // Threads that wait here may be the ones that it waits for: it is not waited for long.
        let is_planned = |state: &mut State| state.stage == Stage::Planned;
        let begun = self
            .changed
            .wait_timeout_while(self.lock(), BEGINS_WITHIN, is_planned)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let may_come =
            |state: &mut State| state.stage == Stage::Coming && !state.stored.contains_key(&place);
        let mut state = self
            .changed
            .wait_while(begun, may_come)
            .unwrap_or_else(PoisonError::into_inner);
        state.stored.remove(&place)
    }

    /// It is over when what is returned is dropped.
    fn begin(&self) -> impl Drop {
        self.lock().stage = Stage::Coming;
        self.changed.notify_all();
        Over(self)
    }

    fn come(&self, place: usize, stored: Vec<u8>) {
        self.lock().stored.insert(place, stored);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a batch is over, also when the store panicked.
struct Over<'batch>(&'batch Batch);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().stage = Stage::Over;
        self.0.changed.notify_all();
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

    fn batch_of_three() -> Batch {
        let mut batch = Batch::new(row(0, 0, 0));
        assert!(batch.push(row(1, 0, 100), 9000) && batch.push(row(2, 0, 200), 9000));
        batch
    }

    #[test]
    fn a_frame_is_there_when_it_has_come_and_not_when_all_have() {
        let batch = batch_of_three();
        let over = batch.begin();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| batch.wait(&row(1, 0, 100)));
            batch.come(0, vec![0]);
            batch.come(1, vec![1]);
            assert_eq!(
                second.join().expect("no panic"),
                Some(vec![1]),
                "the third has not come"
            );
            assert_eq!(batch.wait(&row(0, 0, 0)), Some(vec![0]));
            let third = scope.spawn(|| batch.wait(&row(2, 0, 200)));
            drop(over);
            assert_eq!(third.join().expect("no panic"), None, "it will not come");
        });
    }

    #[test]
    fn nobody_waits_for_a_batch_that_no_thread_begins() {
        assert_eq!(batch_of_three().wait(&row(1, 0, 100)), None);
    }

    #[test]
    fn the_slower_the_store_the_more_is_under_way() {
        let delay = Delay::default();
        delay.note(Duration::from_micros(300));
        assert!(delay.bytes_ahead() < 512 << 10, "{}", delay.bytes_ahead());
        assert_eq!(delay.bytes_together(), None);
        (0..100).for_each(|_| delay.note(Duration::from_millis(20)));
        assert!(
            (28_000_000..=32_000_000).contains(&delay.bytes_ahead()),
            "{}",
            delay.bytes_ahead()
        );
        assert_eq!(delay.bytes_together(), Some(delay.bytes_ahead() / 4));
        (0..100).for_each(|_| delay.note(Duration::from_secs(1)));
        assert_eq!(delay.bytes_together(), Some(8 << 20));
    }
}
