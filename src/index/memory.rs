//! Blocks in memory: for tests, benchmarks and runs that are never stored.

use super::{BlockAddress, BlockSink, BlockSource, IndexError};
use crate::model::{FrameNo, SegmentOffset};

/// Keeps the raw blocks of one run: a sink while the run is written, then a source.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlocks {
    blocks: Vec<Vec<u8>>,
}

/// Reports an address that no block has.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no such block in memory")]
struct NoSuchBlock;

impl MemoryBlocks {
    /// Returns the blocks in the order in which they were appended.
    pub fn blocks(&self) -> &[Vec<u8>] {
        &self.blocks
    }

    /// Returns the blocks, for the caller to change.
    pub fn blocks_mut(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.blocks
    }
}

impl BlockSink for MemoryBlocks {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        let length = u32::try_from(raw.len()).map_err(IndexError::store)?;
        let number = FrameNo(self.blocks.len() as u64);
        let offset = SegmentOffset(self.blocks.iter().map(|block| block.len() as u64).sum());
        self.blocks.push(raw.to_vec());
        Ok(BlockAddress {
            number,
            object: 0,
            offset,
            length,
        })
    }
}

impl BlockSource for MemoryBlocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let block = usize::try_from(address.number.0)
            .ok()
            .and_then(|number| self.blocks.get(number));
        block
            .cloned()
            .ok_or_else(|| IndexError::fetch(*address, NoSuchBlock))
    }
}
