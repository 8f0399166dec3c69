//! The engine for large files that change in place: finds which blocks of a file earlier levels
//! have, so that only the rest is stored.
//!
//! ```text
//! signatures of the earlier version ─→ known ─┐
//! the file as it is ──────────────────────────┴→ scan ─→ plan: kept pieces and new ones ─→ member
//! ```
//!
//! Start reading at [`member`]. Reasons and figures: docs/design/0006.
//!
//! Invariants: a piece is kept only when the strong sum of its block agrees; what cannot be found
//! out is stored; memory is bounded by [`MAX_BLOCKS`], whatever a file's size.

mod known;
mod member;
mod plan;
mod scan;
mod stored;

pub(super) use stored::{StoredFrames, Streams, Unusable};

use super::compare::Previous;
use crate::model::{Content, Extent, SignaturePlace};

/// What decides which bytes of a changed file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Engine {
    /// It is stored whole.
    #[default]
    Tar,
    /// Of a large file, the blocks that are new.
    Rsync(BlockOptions),
}

impl Engine {
    /// What the manifest and the command line call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Rsync(_) => "rsync",
        }
    }

    /// Whether a file of `size` bytes is stored by blocks.
    pub(super) fn takes(&self, size: u64) -> bool {
        matches!(self, Self::Rsync(options) if size >= options.threshold_bytes.max(1))
    }
}

/// Which files are stored by blocks, and by how large ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Files from this size on.
    pub threshold_bytes: u64,
    /// The least length of a block. It is larger where a file would have more than two million of
    /// them.
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

/// A file has so many blocks at most when its signature begins: 48 MiB of sums, and 100 MiB of
/// memory when they are looked up.
const MAX_BLOCKS: u64 = 1 << 21;

/// How long the blocks of a file of `size` bytes are: `least` if that makes no more than
/// [`MAX_BLOCKS`], else twice that, and so on.
fn block_bytes(size: u64, least: u32) -> u32 {
    let mut bytes = least.clamp(16, crate::format::signature::MAX_BLOCK_BYTES);
    while size.div_ceil(u64::from(bytes)) > MAX_BLOCKS
        && bytes < crate::format::signature::MAX_BLOCK_BYTES
    {
        bytes *= 2;
    }
    bytes.min(crate::format::signature::MAX_BLOCK_BYTES)
}

/// The version of a file that an earlier level has.
#[derive(Clone, Debug, Default)]
pub(super) struct Earlier {
    extents: Vec<Extent>,
    signatures: Vec<SignaturePlace>,
}

impl Earlier {
    /// What is known of the blocks of an entry; `None` when nothing is.
    pub(super) fn of(previous: &Previous) -> Option<Self> {
        match &previous.entry.content {
            Content::File { extents, .. } if !previous.entry.metadata.signatures.is_empty() => {
                Some(Self {
                    extents: extents.clone(),
                    signatures: previous.entry.metadata.signatures.clone(),
                })
            }
            _ => None,
        }
    }
}

/// What the archive needs to store files by blocks.
pub(super) struct Blocks<'run> {
    /// How.
    options: BlockOptions,
    /// The levels that earlier versions lie in.
    streams: Option<&'run Streams>,
    /// How many members of blocks there are: their names count on.
    members: u64,
}

impl<'run> Blocks<'run> {
    pub(super) fn new(engine: Engine, streams: Option<&'run Streams>) -> Self {
        let options = match engine {
            Engine::Tar => BlockOptions::default(),
            Engine::Rsync(options) => options,
        };
        Self {
            options,
            streams,
            members: 0,
        }
    }
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
