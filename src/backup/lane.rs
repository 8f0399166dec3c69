//! Writes the blocks of an index or a frame table into segments of their own lane.

use super::error::BackupError;
use super::segments::SegmentWriter;
use super::uploads::{Receipt, Uploader};
use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Encoder, Lane, Sealer};
use crate::index::{BlockAddress, BlockSink, IndexError};
use crate::model::FrameNo;

/// Blocks compress alone, a few KiB each: a higher level of the method gains nothing.
const BLOCK_COMPRESSION: Compression = Compression::Zstd;
const BLOCK_COMPRESSION_LEVEL: u32 = 3;

/// Longest segment of a lane of blocks, in bytes: memory holds one while it fills.
const MOST_SEGMENT_BYTES: u64 = 4 << 20;

/// A lane that holds blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockLane {
    /// The blocks of the index.
    Index,
    /// The blocks of the frame table.
    FrameTable,
}

impl BlockLane {
    fn lane(self) -> Lane {
        match self {
            Self::Index => Lane::Index,
            Self::FrameTable => Lane::FrameTable,
        }
    }

    fn folder(self) -> Folder {
        match self {
            Self::Index => Folder::Index,
            Self::FrameTable => Folder::Frames,
        }
    }
}

/// Writes the blocks of one lane.
pub(super) struct LaneWriter<'run> {
    lane: Lane,
    sealer: &'run Sealer,
    encoder: Encoder,
    segments: SegmentWriter<'run>,
    next: FrameNo,
}

/// The blocks that a lane had at some moment.
pub(super) struct LaneSoFar {
    /// Number of segments that hold them.
    pub(super) segments: u32,
    /// Tells when all of those are stored.
    pub(super) stored: Receipt,
}

impl<'run> LaneWriter<'run> {
    /// Starts a lane of `level`. A segment is cut at `segment_bytes`, or at 4 MiB if that is less.
    pub(super) fn new(
        lane: BlockLane,
        level: &'run LevelOf,
        sealer: &'run Sealer,
        segment_bytes: u64,
        uploader: Uploader,
    ) -> Result<Self, BackupError> {
        let encoder =
            Encoder::new(BLOCK_COMPRESSION, BLOCK_COMPRESSION_LEVEL).map_err(BackupError::Frame)?;
        let limit_bytes = segment_bytes.min(MOST_SEGMENT_BYTES);
        Ok(Self {
            lane: lane.lane(),
            sealer,
            encoder,
            segments: SegmentWriter::new(level, lane.folder(), limit_bytes, uploader),
            next: FrameNo(0),
        })
    }

    fn put(&mut self, raw: &[u8]) -> Result<BlockAddress, BackupError> {
        let number = self.next;
        self.next.0 += 1;
        let sealed = self
            .sealer
            .seal(&mut self.encoder, self.lane, number, raw)
            .map_err(BackupError::Frame)?;
        let length = u32::try_from(sealed.len()).map_err(|_| BackupError::BlockTooLong)?;
        let place = self.segments.put(&sealed)?;
        Ok(BlockAddress {
            number,
            object: place.segment,
            offset: place.offset,
            length,
        })
    }

    /// Hands over all blocks so far.
    pub(super) fn flush(&mut self) -> Result<LaneSoFar, BackupError> {
        Ok(LaneSoFar {
            segments: self.segments.cut()?,
            stored: self.segments.receipt(),
        })
    }

    /// Hands the last segment over, and returns how many segments the lane has.
    pub(super) fn finish(self) -> Result<u32, BackupError> {
        self.segments.finish()
    }
}

impl BlockSink for LaneWriter<'_> {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        self.put(raw).map_err(IndexError::store)
    }
}
