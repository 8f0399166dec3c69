//! Stores the blocks of a new frame table.

use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Encoder, Lane, Sealer};
use crate::format::segment::{Packer, Segment, TooManySegments};
use crate::index::{BlockAddress, BlockSink, IndexError};
use crate::model::FrameNo;
use crate::store::{self, Store};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use std::sync::Arc;

/// Most bytes of an object of a frame table.
const TABLE_OBJECT_BYTES: u64 = 4 << 20;

/// Blocks of the table of a level's `n`th repack are numbered from `n` times this, so that no two
/// blocks of a level have one number.
const BLOCKS_OF_A_TABLE: u64 = 1 << 32;

/// Seals the blocks of a new frame table and stores them.
pub(super) struct TableBlocks<'run> {
    store: Arc<dyn Store>,
    level: &'run LevelOf,
    sealer: Sealer,
    encoder: Encoder,
    packer: Packer,
    /// Number of the first object of the table.
    first_object: u32,
    /// Number of the next block.
    next: FrameNo,
}

impl<'run> TableBlocks<'run> {
    /// Begins the table of a level's `number`th repack.
    pub(super) fn new(
        of: BackupIn<'_>,
        level: &'run LevelOf,
        number: u32,
        first_object: u32,
    ) -> Result<Self, PruneError> {
        let access = of.access;
        Ok(Self {
            store: of.store(),
            level,
            sealer: Sealer::new(access.store_id(), level.level.clone(), access.protection()),
            encoder: Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
                .map_err(PruneError::Frame)?,
            packer: Packer::new(TABLE_OBJECT_BYTES),
            first_object,
            next: FrameNo(u64::from(number) * BLOCKS_OF_A_TABLE),
        })
    }

    fn put(&self, segment: Segment) -> Result<(), store::Error> {
        let number = self.first_object.saturating_add(segment.number);
        let name = self.level.data_name(Folder::Frames, number);
        self.store.put(&name, &segment.body)
    }

    /// Stores the last object. Returns one more than its number.
    pub(super) fn finish(mut self) -> Result<u32, PruneError> {
        let packer = std::mem::replace(&mut self.packer, Packer::new(0));
        let (last, count) = packer.finish();
        last.map_or(Ok(()), |segment| self.put(segment))
            .map_err(PruneError::Store)?;
        self.first_object
            .checked_add(count)
            .ok_or(PruneError::Segments(TooManySegments))
    }
}

impl BlockSink for TableBlocks<'_> {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        let number = self.next;
        self.next.0 += 1;
        let sealed = self
            .sealer
            .seal(&mut self.encoder, Lane::FrameTable, number, raw)
            .map_err(IndexError::store)?;
        let length = u32::try_from(sealed.len()).map_err(IndexError::store)?;
        let (place, full) = self.packer.put(&sealed).map_err(IndexError::store)?;
        full.map_or(Ok(()), |segment| self.put(segment))
            .map_err(IndexError::store)?;
        let object = self
            .first_object
            .checked_add(place.segment)
            .ok_or(TooManySegments)
            .map_err(IndexError::store)?;
        Ok(BlockAddress {
            number,
            object,
            offset: place.offset,
            length,
        })
    }
}
