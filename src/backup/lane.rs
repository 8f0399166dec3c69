//! Puts sealed blocks of an index or frame table into segments of their own lane.

use super::BackupError;
use super::uploads::{Receipt, Uploader};
use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Encoder, Lane, Sealer};
use crate::format::segment::{Packer, Segment};
use crate::index::{BlockAddress, BlockSink, IndexError};
use crate::model::FrameNo;

/// Index blocks compress in a few KiB each: a low level is as good as a high one.
const BLOCK_COMPRESSION: (Compression, u32) = (Compression::Zstd, 3);

/// Their objects are this long at most, as one of them is held in memory while it fills.
const MOST_OBJECT_BYTES: u64 = 4 << 20;

/// Where a run's blocks go.
pub(super) struct LaneWriter<'run> {
    lane: Lane,
    folder: Folder,
    of: &'run LevelOf,
    sealer: &'run Sealer,
    encoder: Encoder,
    packer: Packer,
    next: FrameNo,
    uploader: Uploader,
}

impl<'run> LaneWriter<'run> {
    pub(super) fn new(
        (lane, folder): (Lane, Folder),
        of: &'run LevelOf,
        sealer: &'run Sealer,
        segment_bytes: u64,
        uploader: Uploader,
    ) -> Result<Self, BackupError> {
        let encoder =
            Encoder::new(BLOCK_COMPRESSION.0, BLOCK_COMPRESSION.1).map_err(BackupError::Frame)?;
        Ok(Self {
            lane,
            folder,
            of,
            sealer,
            encoder,
            packer: Packer::new(segment_bytes.min(MOST_OBJECT_BYTES)).of_pieces(uploader.pieces()),
            next: FrameNo(0),
            uploader,
        })
    }

    fn upload(&self, segment: Segment) -> Result<(), BackupError> {
        self.uploader
            .store(self.of.data_name(self.folder, segment.number), segment.body)
    }

    fn put(&mut self, raw: &[u8]) -> Result<BlockAddress, BackupError> {
        let number = self.next;
        self.next.0 += 1;
        let sealed = self
            .sealer
            .seal(&mut self.encoder, self.lane, number, raw)
            .map_err(BackupError::Frame)?;
        let length = u32::try_from(sealed.len()).map_err(|_| BackupError::BlockTooLong)?;
        let (place, full) = self.packer.put(&sealed).map_err(BackupError::Segments)?;
        if let Some(segment) = full {
            self.upload(segment)?;
        }
        Ok(BlockAddress {
            number,
            object: place.segment,
            offset: place.offset,
            length,
        })
    }

    /// Hands over what was put so far. Returns how many segments there are, and what tells when
    /// they are stored.
    pub(super) fn flush(&mut self) -> Result<(u32, Receipt), BackupError> {
        if let Some(segment) = self.packer.cut().map_err(BackupError::Segments)? {
            self.upload(segment)?;
        }
        Ok((self.packer.closed(), self.uploader.receipt()))
    }

    /// Hands the last segment over; returns how many there are.
    pub(super) fn finish(mut self) -> Result<u32, BackupError> {
        let packer = std::mem::replace(&mut self.packer, Packer::new(0));
        let (last, count) = packer.finish();
        last.map_or(Ok(()), |segment| self.upload(segment))?;
        Ok(count)
    }
}

impl BlockSink for LaneWriter<'_> {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        self.put(raw).map_err(IndexError::store)
    }
}
