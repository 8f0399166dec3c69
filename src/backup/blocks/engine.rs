//! The choice of an engine, and the length of blocks.

use crate::format::signature::MAX_BLOCK_BYTES;

/// The part of a changed file that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Engine {
    /// The whole file.
    #[default]
    Tar,
    /// Of a large file, the blocks that are new.
    Rsync(BlockOptions),
}

impl Engine {
    /// Returns the engine's name in manifests and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Rsync(_) => "rsync",
        }
    }

    /// Returns whether a file of `size` bytes is stored by blocks.
    pub(in crate::backup) fn takes(&self, size: u64) -> bool {
        matches!(self, Self::Rsync(options) if size >= options.threshold_bytes.max(1))
    }

    /// Returns the options for files that are stored by blocks.
    pub(in crate::backup) fn block_options(self) -> BlockOptions {
        match self {
            Self::Tar => BlockOptions::default(),
            Self::Rsync(options) => options,
        }
    }
}

/// Which files are stored by blocks, and the length of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Least size in bytes of a file that is stored by blocks.
    pub threshold_bytes: u64,
    /// Least length of a block in bytes. Blocks are longer where a file would have more than two
    /// million of them.
    pub least_block_bytes: u32,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self {
            threshold_bytes: 1 << 20,
            least_block_bytes: 4096,
        }
    }
}

/// Most blocks of a file when its signature begins: 48 MiB of sums, and 100 MiB of memory to look
/// them up.
pub(super) const MAX_BLOCKS: u64 = 1 << 21;

/// Returns the length of blocks for a file of `size` bytes: `least`, doubled until there are no
/// more than [`MAX_BLOCKS`].
pub(in crate::backup) fn block_bytes(size: u64, least: u32) -> u32 {
    let mut bytes = least.clamp(16, MAX_BLOCK_BYTES);
    while size.div_ceil(u64::from(bytes)) > MAX_BLOCKS && bytes < MAX_BLOCK_BYTES {
        bytes *= 2;
    }
    bytes.min(MAX_BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::{MAX_BLOCKS, block_bytes};

    #[test]
    fn blocks_grow_with_the_file() {
        assert_eq!(block_bytes(1 << 20, 4096), 4096);
        assert_eq!(block_bytes(8 << 30, 4096), 4096);
        assert_eq!(block_bytes((8 << 30) + 1, 4096), 8192);
        assert_eq!(block_bytes(100 << 30, 4096), 64 << 10);
        assert_eq!(block_bytes(1 << 20, 64 << 10), 64 << 10);
        for size in [0, 1, 1 << 40, u64::MAX >> 3] {
            assert!(
                size.div_ceil(u64::from(block_bytes(size, 1)))
                    <= MAX_BLOCKS.max(size.div_ceil(1 << 30)),
                "{size}"
            );
        }
    }
}
