//! Reads frames with several threads: fetches, authenticates and decompresses each.

use crate::format::frame::{Compression, Decoder, FrameError, Opener};
use crate::index::FrameRow;
use crate::model::Progress;
use crate::store::{self, ObjectName, Store, StoreExt};
use crate::upkeep::error::CheckError;
use crate::upkeep::frames_at_once::AdjacentFrames;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::sync::Arc;
use std::thread;

/// Neighbouring frames, and the segment that they lie in.
pub(super) struct SegmentBatch {
    pub(super) object: ObjectName,
    pub(super) frames: AdjacentFrames,
}

/// A frame that could not be read.
pub(super) struct UnreadableFrame {
    pub(super) row: FrameRow,
    pub(super) object: ObjectName,
    pub(super) why: Why,
}

/// Why a frame could not be read.
pub(super) enum Why {
    /// The store did not hand it over.
    Fetch(store::Error),
    /// It is not what was stored.
    Frame(FrameError),
}

/// What the threads need to read frames of one level.
pub(super) struct FrameReaders<'run> {
    pub(super) store: Arc<dyn Store>,
    pub(super) opener: Opener,
    pub(super) compression: Compression,
    pub(super) progress: &'run dyn Progress,
}

impl FrameReaders<'_> {
    /// Reads the frames that `feed` hands out, in one thread for each processor. Returns those that
    /// could not be read, in the order of the stream.
    pub(super) fn read(
        &self,
        feed: impl FnOnce(&Sender<SegmentBatch>) -> Result<(), CheckError>,
    ) -> Result<Vec<UnreadableFrame>, CheckError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (batches, work) = bounded::<SegmentBatch>(2 * threads);
        let (failures, failed) = unbounded::<UnreadableFrame>();
        thread::scope(|scope| {
            // Dropped when this returns, so the readers end.
            let batches = batches;
            for number in 0..threads {
                let (work, failures) = (work.clone(), failures.clone());
                thread::Builder::new()
                    .name(format!("check-{number}"))
                    .spawn_scoped(scope, move || self.serve(&work, &failures))
                    .map_err(CheckError::Thread)?;
            }
            drop((work, failures));
            feed(&batches)
        })?;
        let mut failed: Vec<UnreadableFrame> = failed.into_iter().collect();
        failed.sort_by_key(|failed| failed.row.number);
        Ok(failed)
    }

    fn serve(&self, work: &Receiver<SegmentBatch>, failures: &Sender<UnreadableFrame>) {
        let mut decoder = Decoder::new();
        for SegmentBatch { object, frames } in work {
            // When that fails, each frame is tried alone.
            let together = frames.fetch(self.store.as_ref(), &object).ok();
            for row in frames.rows() {
                let stored = together.as_ref().and_then(|fetched| fetched.frame(row));
                let stored = stored.map_or_else(|| self.fetch(&object, row), Ok);
                let why = match stored {
                    Ok(stored) => self.open(&mut decoder, row, stored).err().map(Why::Frame),
                    Err(error) => Some(Why::Fetch(error)),
                };
                self.progress.advance(0, u64::from(row.raw_length));
                if let Some(why) = why {
                    let failed = UnreadableFrame {
                        row: *row,
                        object: object.clone(),
                        why,
                    };
                    failures.send(failed).ok();
                }
            }
        }
    }

    /// Fetches one frame.
    fn fetch(&self, object: &ObjectName, row: &FrameRow) -> Result<Vec<u8>, store::Error> {
        let length = usize::try_from(row.stored_length).unwrap_or(usize::MAX);
        let fetched = self.store.get_range(object, row.offset.0, length);
        if let Err(error) = &fetched
            && !error.kind().is_damage()
        {
            tracing::warn!(
                %object,
                error = error as &dyn std::error::Error,
                "the store did not answer; the frame counts as unreadable"
            );
        }
        fetched
    }

    fn open(
        &self,
        decoder: &mut Decoder,
        row: &FrameRow,
        stored: Vec<u8>,
    ) -> Result<(), FrameError> {
        self.opener
            .open_data(decoder, &row.expected(self.compression), stored)
            .map(|_| ())
    }
}
