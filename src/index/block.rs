//! Sinks and sources of blocks, and the parts of a run that manifests hold.

use super::{BlockAddress, IndexError};
use crate::format::manifest::RootNode;
use crate::model::FrameNo;
use std::sync::Arc;

/// Stores the blocks of a run, in the order in which they become full. Compresses, encrypts and
/// authenticates them.
pub trait BlockSink {
    /// Stores one block of at most [`MAX_BLOCK_BYTES`](super::MAX_BLOCK_BYTES). Returns its
    /// address, whose number no other block of the run has.
    ///
    /// # Errors
    ///
    /// [`IndexError::Store`]. The run can then not be finished.
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError>;
}

/// Returns the blocks of a run. May be called from many threads at once.
pub trait BlockSource: Send + Sync {
    /// Returns the raw bytes of a block. Authenticates them first, and decompresses no more than
    /// [`MAX_BLOCK_BYTES`](super::MAX_BLOCK_BYTES).
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`], made with [`IndexError::fetch`].
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError>;
}

/// A block on the path from the root of a run to its first entries. The manifest repeats it beside
/// the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadBlock {
    /// Number of the block in the run.
    pub number: FrameNo,
    /// The raw block.
    pub raw: Vec<u8>,
}

/// A source that has some blocks in memory and takes the others from another source.
pub struct WithHead {
    head: Vec<HeadBlock>,
    rest: Arc<dyn BlockSource>,
}

impl WithHead {
    /// Makes a source. The blocks of `head` must be authenticated already.
    pub fn new(head: Vec<HeadBlock>, rest: Arc<dyn BlockSource>) -> Self {
        Self { head, rest }
    }
}

impl BlockSource for WithHead {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        match self
            .head
            .iter()
            .find(|block| block.number == address.number)
        {
            Some(block) => Ok(block.raw.clone()),
            None => self.rest.load(address),
        }
    }
}

/// The root of a run, as a manifest holds it: at most 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRoot {
    /// The raw root node.
    pub node: Vec<u8>,
    /// Height of the root node; 0 if it is a leaf, and so the whole run.
    pub height: u8,
    /// Number of entries in the run.
    pub entries: u64,
}

impl From<RootNode> for RunRoot {
    fn from(root: RootNode) -> Self {
        Self {
            node: root.node,
            height: root.height,
            entries: root.entries,
        }
    }
}

impl From<&RootNode> for RunRoot {
    fn from(root: &RootNode) -> Self {
        root.clone().into()
    }
}

impl From<RunRoot> for RootNode {
    fn from(root: RunRoot) -> Self {
        Self {
            node: root.node,
            height: root.height,
            entries: root.entries,
        }
    }
}
