//! Puts sealed frames into segments and the frame table, in the order of the stream.

use super::checkpoint::{CheckpointWriter, Mark};
use super::error::BackupError;
use super::lane::LaneWriter;
use super::own_level::DataLane;
use super::seal::SealedFrame;
use super::segments::SegmentWriter;
use super::uploads::Uploader;
use crate::index::{FrameRow, FrameTableWriter};
use crate::model::{FrameNo, StreamOffset};
use crate::store::ObjectName;
use crossbeam_channel::Receiver;
use std::collections::BTreeMap;

/// Collects the frames of one level.
pub(super) struct Collector<'run> {
    segments: SegmentWriter<'run>,
    table: FrameTableWriter,
    table_lane: LaneWriter<'run>,
    checkpoints: CheckpointWriter<'run>,
    uploader: Uploader,
}

/// The data lane of a level, complete.
#[derive(Debug)]
pub(super) struct CollectedLane {
    pub(super) data: DataLane,
    /// The newest checkpoint, if the run took one.
    pub(super) checkpoint: Option<ObjectName>,
}

impl<'run> Collector<'run> {
    /// Starts with empty lanes. `segments` is the data lane; it and `table_lane` hand over through
    /// clones of `uploader`, so that its receipts cover both.
    pub(super) fn new(
        segments: SegmentWriter<'run>,
        table_lane: LaneWriter<'run>,
        checkpoints: CheckpointWriter<'run>,
        uploader: Uploader,
    ) -> Self {
        Self {
            segments,
            table: FrameTableWriter::new(),
            table_lane,
            checkpoints,
            uploader,
        }
    }

    /// Collects frames until there are no more.
    pub(super) fn collect(
        mut self,
        sealed: &Receiver<SealedFrame>,
    ) -> Result<CollectedLane, BackupError> {
        // Frames that overtook another: at most as many as the queues and the sealing threads hold.
        let mut early: BTreeMap<FrameNo, SealedFrame> = BTreeMap::new();
        let mut next = FrameNo(0);
        while let Ok(frame) = sealed.recv() {
            early.insert(frame.number, frame);
            while let Some(frame) = early.remove(&next) {
                next.0 += 1;
                self.put(frame)?;
            }
        }
        self.finish()
    }

    fn put(&mut self, frame: SealedFrame) -> Result<(), BackupError> {
        let bytes = &frame.stored.bytes;
        let stored_length = u32::try_from(bytes.len()).map_err(|_| BackupError::BlockTooLong)?;
        let place = self.segments.put(bytes)?;
        let row = FrameRow {
            number: frame.number,
            start: frame.start,
            raw_length: frame.stored.raw_length,
            segment: place.segment,
            offset: place.offset,
            stored_length,
            checksum: frame.stored.checksum,
            stretch: None,
        };
        self.table
            .push(&row, &mut self.table_lane)
            .map_err(BackupError::Index)?;
        frame
            .mark
            .map_or(Ok(()), |mark| self.checkpoint(mark, row.end()))
    }

    /// Closes segment and frame table behind the frame that carried `mark`, and hands the
    /// checkpoint over.
    fn checkpoint(&mut self, mark: Mark, end: StreamOffset) -> Result<(), BackupError> {
        let segments = self.segments.cut()?;
        let frame_table = self
            .table
            .so_far(&mut self.table_lane)
            .map_err(BackupError::Index)?;
        let table = self.table_lane.flush()?;
        let data = DataLane {
            segments,
            frame_table,
            frame_table_segments: table.segments,
        };
        self.checkpoints
            .write(mark, end, data, table.stored, &self.uploader)
    }

    fn finish(mut self) -> Result<CollectedLane, BackupError> {
        let segments = self.segments.finish()?;
        let frame_table = self
            .table
            .finish(&mut self.table_lane)
            .map_err(BackupError::Index)?;
        Ok(CollectedLane {
            data: DataLane {
                segments,
                frame_table,
                frame_table_segments: self.table_lane.finish()?,
            },
            checkpoint: self.checkpoints.newest(),
        })
    }
}
