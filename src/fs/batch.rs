//! Frames that stand one after the other in a segment, fetched with one request.
//!
//! One thread reads the answer; each frame is decoded as soon as its bytes are there, by whichever
//! thread wants it. A frame that does not arrive with the others is fetched alone.

use super::ReadError;
use super::far::StoreDelay;
use super::level_stream::LevelStream;
use crate::index::FrameRow;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a frame waits for the request to begin before it is fetched alone.
const BEGINS_WITHIN: Duration = Duration::from_millis(50);

/// A request for several frames, from its planning to its end.
pub(super) struct FrameBatch {
    rows: Vec<FrameRow>,
    state: Mutex<BatchState>,
    /// Signalled for each frame that arrives, and when the request begins and ends.
    changed: Condvar,
}

#[derive(Default)]
struct BatchState {
    stage: BatchStage,
    /// Stored frames that have arrived and were not taken yet, by their index in `rows`.
    stored: HashMap<usize, Vec<u8>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum BatchStage {
    #[default]
    Planned,
    /// A thread reads the answer.
    Coming,
    /// The request has ended: frames not received will not arrive.
    Over,
}

impl FrameBatch {
    /// Begins a batch with one row; [`push`](Self::push) adds more.
    pub(super) fn new(first: FrameRow) -> Self {
        Self {
            rows: vec![first],
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Returns the rows, in the order of the segment.
    pub(super) fn rows(&self) -> &[FrameRow] {
        &self.rows
    }

    /// Adds a row if it stands directly behind the last one in the segment, and the batch then
    /// brings at most `max_bytes` of the stream. Returns whether it was added.
    pub(super) fn push(&mut self, row: FrameRow, max_bytes: u64) -> bool {
        let Some(last) = self.rows.last() else {
            return false;
        };
        let follows = row.segment == last.segment
            && last.offset.0.checked_add(u64::from(last.stored_length)) == Some(row.offset.0);
        let bytes: u64 = self.rows.iter().map(|row| u64::from(row.raw_length)).sum();
        let fits = bytes.saturating_add(u64::from(row.raw_length)) <= max_bytes;
        if follows && fits {
            self.rows.push(row);
        }
        follows && fits
    }

    /// Sends the request and reads its answer. Calls `arrived` with the index of each frame as it
    /// arrives. May be called once.
    pub(super) fn load(
        &self,
        level: &LevelStream,
        delay: &StoreDelay,
        arrived: &mut dyn FnMut(usize),
    ) {
        let _over = self.begin();
        let Some(first) = self.rows.first() else {
            return;
        };
        let lengths: Vec<_> = self
            .rows
            .iter()
            .map(|row| row.stored_length as usize)
            .collect();
        let mut indices = 0..;
        let outcome = level.stored_pieces(first, &lengths, delay, &mut |stored| {
            let Some(index) = indices.next() else {
                return false;
            };
            self.receive(index, stored);
            arrived(index);
            true
        });
        if let Err(error) = outcome {
            // Each missing frame is fetched alone, and that fetch reports what is wrong.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a request for several frames failed"
            );
        }
    }

    /// Returns one of its frames, decoded. Fetches the frame alone if it does not arrive with the
    /// others.
    pub(super) fn frame(
        &self,
        level: &LevelStream,
        row: &FrameRow,
        delay: &StoreDelay,
    ) -> Result<Vec<u8>, ReadError> {
        let arrived = if self.rows.len() == 1 {
            None
        } else {
            self.wait(row)
        };
        match arrived {
            Some(stored) => level.decode(row, stored, None),
            None => level.fetch(row, None, delay),
        }
    }

    fn wait(&self, row: &FrameRow) -> Option<Vec<u8>> {
        let index = self
            .rows
            .iter()
            .position(|other| other.number == row.number)?;
        // The thread that waits here may be the one that the request needs, so it does not wait
        // long for the request to begin.
        let is_planned = |state: &mut BatchState| state.stage == BatchStage::Planned;
        let begun = self
            .changed
            .wait_timeout_while(self.lock(), BEGINS_WITHIN, is_planned)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let may_arrive = |state: &mut BatchState| {
            state.stage == BatchStage::Coming && !state.stored.contains_key(&index)
        };
        let mut state = self
            .changed
            .wait_while(begun, may_arrive)
            .unwrap_or_else(PoisonError::into_inner);
        state.stored.remove(&index)
    }

    /// Begins the request, which ends when the returned guard is dropped.
    fn begin(&self) -> impl Drop {
        self.lock().stage = BatchStage::Coming;
        self.changed.notify_all();
        EndOfBatch(self)
    }

    fn receive(&self, index: usize, stored: Vec<u8>) {
        self.lock().stored.insert(index, stored);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a batch when it is dropped, also when the store panicked.
struct EndOfBatch<'batch>(&'batch FrameBatch);

impl Drop for EndOfBatch<'_> {
    fn drop(&mut self) {
        self.0.lock().stage = BatchStage::Over;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::FrameBatch;
    use crate::index::FrameRow;
    use crate::model::{FrameNo, SegmentOffset, StreamOffset};

    fn row(number: u64, segment: u32, offset: u64) -> FrameRow {
        FrameRow {
            number: FrameNo(number),
            start: StreamOffset(number * 1000),
            raw_length: 1000,
            segment,
            offset: SegmentOffset(offset),
            stored_length: 100,
            checksum: None,
            stretch: None,
        }
    }

    #[test]
    fn only_frames_that_follow_in_one_segment_and_fit_are_fetched_together() {
        let mut batch = FrameBatch::new(row(0, 0, 0));
        assert!(batch.push(row(1, 0, 100), 3000));
        assert!(!batch.push(row(2, 0, 201), 3000), "a gap");
        assert!(!batch.push(row(2, 1, 200), 3000), "another segment");
        assert!(!batch.push(row(2, 0, 200), 2999), "too much");
        assert!(batch.push(row(2, 0, 200), 3000));
        assert_eq!(batch.rows().len(), 3);
    }

    fn batch_of_three() -> FrameBatch {
        let mut batch = FrameBatch::new(row(0, 0, 0));
        assert!(batch.push(row(1, 0, 100), 9000) && batch.push(row(2, 0, 200), 9000));
        batch
    }

    #[test]
    fn a_frame_is_there_as_soon_as_it_has_arrived_itself() {
        let batch = batch_of_three();
        let over = batch.begin();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| batch.wait(&row(1, 0, 100)));
            batch.receive(0, vec![0]);
            batch.receive(1, vec![1]);
            assert_eq!(
                second.join().expect("no panic"),
                Some(vec![1]),
                "the third has not arrived"
            );
            assert_eq!(batch.wait(&row(0, 0, 0)), Some(vec![0]));
            let third = scope.spawn(|| batch.wait(&row(2, 0, 200)));
            drop(over);
            assert_eq!(
                third.join().expect("no panic"),
                None,
                "it will not arrive any more"
            );
        });
    }

    #[test]
    fn no_frame_waits_for_a_batch_that_no_thread_begins() {
        assert_eq!(batch_of_three().wait(&row(1, 0, 100)), None);
    }
}
