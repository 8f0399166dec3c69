//! Where blocks are kept.

use crate::model::{FrameNo, SegmentOffset};
use std::fmt;

/// Where a block of a run is stored. A [`BlockSink`](super::BlockSink) makes it; the
/// [`BlockSource`](super::BlockSource) of the same level understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockAddress {
    /// Number of the block's frame in its lane, which the tag of the frame covers. No other block
    /// of the run has the same number.
    pub number: FrameNo,
    /// Number of the object that holds the block.
    pub object: u32,
    /// Where the block begins in the object.
    pub offset: SegmentOffset,
    /// Length of the block as stored, in bytes.
    pub length: u32,
}

impl fmt::Display for BlockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "block {} ({} bytes at {} of object {:08})",
            self.number.0, self.length, self.offset.0, self.object
        )
    }
}

/// Where a malformed block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPlace {
    /// In the manifest: the root.
    Root,
    /// In an object of the level.
    At(BlockAddress),
}

impl fmt::Display for BlockPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the root block"),
            Self::At(address) => address.fmt(f),
        }
    }
}
